"""Requests from command lines, as `run` and `create` make them."""

from pyctr.cli import container_options, reader
from pyctr.cli.tables import Command
from pyctr.engine.request import Request
from pyctr.storage.paths import Store

RUN = Command("run", "", None, container_options.RUN, container_options.ARGUMENTS, interspersed=False)


def ask(store: Store, *words: str) -> Request:
    """The request of `pyctr run WORDS`."""
    options, arguments = reader.read(RUN, list(words))
    return container_options.create_request(options, arguments, store)

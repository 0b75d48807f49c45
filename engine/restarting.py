"""Stopping containers and starting them again."""

import os

from pyctr.engine import containers, starting, stopping
from pyctr.runtime import launch
from pyctr.storage import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.storage.paths import Store


def restart_many(
    store: "Store", ids: "list[str]", timeout: int | None = None
) -> "Iterator[tuple[str, BaseException | None]]":
    """Stops containers side by side and starts each as soon as it is down; each id with the error that came
    up.
    """
    ephemeral = [each for each in ids if _unmark(store, each)]
    for container_id, error in stopping.stop_many(store, ids, timeout):
        if error is None:
            try:
                _start(store, container_id)
            except Exception as failure:
                error = failure
        if container_id in ephemeral:
            _mark(store, container_id)
        yield container_id, error


def _unmark(store: "Store", container_id: str) -> bool:
    """Takes the mark of a --rm container away, so that its end in between is not taken for the last one.

    A SIGKILL now leaves a container that stays until `rm`: nothing is lost.
    """
    try:
        with containers.lock(store, container_id):
            os.unlink(f"{store.container(container_id)}/{paths.EPHEMERAL}")
    except (FileNotFoundError, containers.NoSuchContainer):
        return False
    return True


def _mark(store: "Store", container_id: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        os.close(os.open(f"{store.container(container_id)}/{paths.EPHEMERAL}", flags, 0o600))
    except FileNotFoundError:
        pass


def _start(store: "Store", container_id: str) -> None:
    forked = launch.fork_monitor()
    try:
        spec = containers.read_spec(store, container_id)
        forked.begin(spec.namespaces, starting.maps_of(spec))
        starting.start(store, forked, spec, attached=False, event="restart")
    except BaseException:
        forked.abort()
        raise

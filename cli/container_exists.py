"""pyctr container exists"""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers
from pyctr.engine.containers import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def exists(options: "Options", arguments: "tuple[str, ...]") -> int:
    """0 when the container exists, 1 when not."""
    try:
        containers.find(options.store, arguments[0])
    except NoSuchContainer:
        return 1
    return 0


COMMAND = Command(
    name="container exists",
    summary="Tell by the exit code whether a container exists",
    description="Ends with 0 when the container exists and with 1 when it does not; prints nothing.",
    handler=exists,
    arguments=(Argument("CONTAINER", complete="container"),),
    options=(Option(("--external",), "Also those of other programs (there are none)"),),
    examples=("pyctr container exists web && pyctr stop web",),
)

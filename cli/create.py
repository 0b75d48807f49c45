"""pyctr create: make a container without starting it."""

from pyctr.cli import container_options, making
from pyctr.cli.tables import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def create(options: "Options", arguments: "tuple[str, ...]") -> int:
    request = container_options.create_request(options, arguments, options.store)
    print(making.make(options, request).id)
    return 0


COMMAND = Command(
    name="create",
    summary="Create a container without starting it",
    handler=create,
    options=container_options.CREATE,
    arguments=(Argument("IMAGE", 1, 1, "image"), Argument("COMMAND", 0, -1)),
    interspersed=False,
    headings=container_options.HEADINGS,
)

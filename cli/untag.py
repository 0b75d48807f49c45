"""pyctr untag"""

from pyctr.cli.tables import Argument, Command
from pyctr.engine import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def untag(options: "Options", arguments: "tuple[str, ...]") -> int:
    images.untag(options.store, arguments[0], arguments[1:])
    return 0


COMMAND = Command(
    name="untag",
    summary="Take names away from an image",
    handler=untag,
    arguments=(Argument("IMAGE", 1, 1, complete="image"), Argument("NAME", 0, -1, complete="image")),
    description="Without NAME the image loses all its names; it stays, and can be used by its id.",
    examples=("pyctr untag alpine", "pyctr untag alpine localhost/mine:1"),
)

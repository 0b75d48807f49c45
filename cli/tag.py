"""pyctr tag"""

from pyctr.cli.tables import Argument, Command
from pyctr.engine import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def tag(options: "Options", arguments: "tuple[str, ...]") -> int:
    images.tag(options.store, arguments[0], arguments[1:])
    return 0


COMMAND = Command(
    name="tag",
    summary="Give an image more names",
    handler=tag,
    arguments=(Argument("IMAGE", 1, 1, complete="image"), Argument("NAME", 1, -1)),
    description="A name without a registry gets localhost/ in front, one without a tag gets :latest.",
    examples=("pyctr tag alpine registry.example.com/team/alpine:3",),
)

"""pyctr image exists"""

from pyctr.cli.tables import Argument, Command
from pyctr.image import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def exists(options: "Options", arguments: "tuple[str, ...]") -> int:
    return 0 if lookup.exists(options.store, arguments[0]) else 1


COMMAND = Command(
    name="image exists",
    summary="Tell by the exit code whether there is such an image",
    handler=exists,
    arguments=(Argument("IMAGE", 1, 1, complete="image"),),
    description="0 when there is, 1 when there is not, 125 when that cannot be told.",
    examples=("pyctr image exists alpine || pyctr pull alpine",),
)

"""pyctr image prune"""

import sys

from pyctr.cli.failure import warn_kept
from pyctr.cli.tables import Command, Option
from pyctr.engine import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

_ALL = "WARNING! This will remove all images without a container, and all manifest lists."
_DANGLING = "WARNING! This will remove all images without a name."


def prune(options: "Options", _arguments: "tuple[str, ...]") -> int:
    if not options.force and not agreed(_ALL if options.all else _DANGLING):
        return 0
    pruned = images.prune(options.store, every=options.all, filters=options.filter)
    for image_id in pruned.ids:
        print(image_id)
    warn_kept(pruned.kept)
    return 0


def agreed(warning: str) -> bool:
    """Whether the user wants to go on."""
    print(warning)
    print("Are you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


COMMAND = Command(
    name="image prune",
    summary="Remove images that nothing needs",
    handler=prune,
    options=(
        Option(("--all", "-a"), "Also images with a name, when no container uses them, and manifest lists"),
        Option(("--filter",), "Only images that fit: label=, until=", "list", "FILTER"),
        Option(("--force", "-f"), "Do not ask"),
        Option(("--build-cache",), unsupported=True),
        Option(("--external",), unsupported=True),
    ),
    examples=("pyctr image prune -f", "pyctr image prune -a --filter until=240h"),
)

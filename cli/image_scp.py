"""pyctr image scp"""

from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def scp(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli import progress
    from pyctr.engine import imagescp

    source, target = (*arguments, "")[:2]
    shown = progress.choose(quiet=options.quiet)
    for name in imagescp.copy(options.store, source, target, shown):
        print(f"Loaded image: {name}")
    return 0


COMMAND = Command(
    name="image scp",
    summary="Copy an image to or from another machine or user",
    handler=scp,
    arguments=(Argument("[HOST::]IMAGE", complete="image"), Argument("[HOST::][IMAGE]", 0, 1)),
    options=(Option(("--quiet", "-q"), "No progress"),),
    description="HOST is what ssh takes, and has pyctr or podman. USER@localhost is another user of this "
    "machine, reached through sudo.",
    examples=("pyctr image scp alpine user@host::", "pyctr image scp user@host::alpine"),
)

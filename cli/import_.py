"""pyctr import"""

import os

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def import_image(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli import progress
    from pyctr.image import importing

    path, name = (*arguments, "")[:2]
    if path == "-" and os.isatty(0):
        raise PyctrError("cannot read from a terminal", "Give a file, or redirect standard input.")
    wanted = importing.ImportOptions(
        changes=options.change,
        message=options.message or "",
        arch=options.arch or "",
        os=options.os or "",
        variant=options.variant or "",
    )
    shown = progress.choose(quiet=options.quiet)
    print(f"sha256:{importing.import_image(options.store, path, name, wanted, shown)}")
    return 0


COMMAND = Command(
    name="import",
    summary="Make an image from the tar archive of a root file system",
    handler=import_image,
    arguments=(Argument("PATH", 1, 1, complete="file"), Argument("NAME", 0, 1, complete="image")),
    options=(
        Option(("--arch",), "Architecture of the image", "text", "ARCH"),
        Option(
            ("--change", "-c"), "Instruction for the config: CMD, ENV, LABEL, ...", "list", "INSTRUCTION"
        ),
        Option(("--message", "-m"), "Message for the history of the image", "text", "MESSAGE"),
        Option(("--os",), "Operating system of the image", "text", "OS"),
        Option(("--quiet", "-q"), "No progress"),
        Option(("--variant",), "Variant of the architecture", "text", "VARIANT"),
    ),
    description="PATH is a file, `-` for standard input, or a URL; it may be compressed.",
    examples=(
        "pyctr import -c 'CMD [\"/bin/sh\"]' root.tar localhost/mine",
        "debootstrap ... | pyctr import - debian",
    ),
)

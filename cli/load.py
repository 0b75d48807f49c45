"""pyctr load"""

import os

from pyctr.cli.tables import Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def load(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.cli import progress
    from pyctr.image import load as images

    path = options.input or "-"
    if path == "-" and os.isatty(0):
        raise PyctrError(
            "cannot read from a terminal", "Give a file with --input, or redirect standard input."
        )
    for name in images.load(options.store, path, progress.choose(quiet=options.quiet)):
        print(f"Loaded image: {name}")
    return 0


COMMAND = Command(
    name="load",
    summary="Load images from an archive",
    handler=load,
    options=(
        Option(
            ("--input", "-i"),
            "Archive or OCI layout folder to read",
            "text",
            "PATH",
            complete="file",
        ),
        Option(("--quiet", "-q"), "No progress"),
    ),
    description="Loads what `save` wrote, also podman's or docker's: docker-archive and oci-archive, also "
    "compressed, OCI layout folders and `dir:` folders.",
    examples=("pyctr load -i image.tar", "podman save alpine | pyctr load"),
)

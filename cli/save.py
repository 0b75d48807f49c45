"""pyctr save"""

import os

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.image.rendering import Wishes
    from pyctr.image.saving import Chosen

_FORMATS = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")


def save(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli import progress
    from pyctr.image import saving

    check(options)
    place = saving.place_of(options.format, options.output or "")
    if not place.path and os.isatty(1):
        raise PyctrError(
            "refusing to save to a terminal", "Give a file with --output, or redirect standard output."
        )
    shown = progress.choose(quiet=options.quiet)
    saving.save(options.store, chosen(options, arguments), place, wishes(options), shown)
    return 0


def check(options: "Options") -> None:
    """PyctrError for options that the format has no use for."""
    if options.multi_image_archive and options.format != "docker-archive":
        raise PyctrError("--multi-image-archive is for --format docker-archive only")
    if options.compress and options.format != "docker-dir":
        raise PyctrError("--compress is for --format docker-dir only")
    if options.uncompressed and not options.format.startswith("oci-"):
        raise PyctrError("--uncompressed is for --format oci-archive and oci-dir only")


def wishes(options: "Options") -> "Wishes":
    """What the manifest and the layers shall be."""
    from pyctr.image.rendering import Wishes

    if options.format.startswith("oci-"):
        return Wishes(format="oci", compress=not options.uncompressed)
    return Wishes(format="v2s2", compress=options.compress)


def chosen(options: "Options", arguments: "tuple[str, ...]") -> "list[Chosen]":
    """The images: all words with -m, else the first, and the others are more names for it."""
    from pyctr.engine.images import local_name
    from pyctr.image import lookup
    from pyctr.image.saving import Chosen

    words = arguments if options.multi_image_archive else arguments[:1]
    found = [lookup.find(options.store, word) for word in words]
    images = [Chosen(each.image, tagged(each.name)) for each in found]
    if not options.multi_image_archive:
        more = tuple([local_name(word) for word in arguments[1:]])
        images[0] = images[0].replace(names=(*images[0].names, *more))
    return images


def tagged(name: str) -> "tuple[str, ...]":
    """The full name as one for an archive, which holds no digests."""
    return (name,) if name and "@" not in name else ()


COMMAND = Command(
    name="save",
    summary="Write images to an archive or folder",
    handler=save,
    arguments=(Argument("IMAGE", 1, -1, complete="image"),),
    options=(
        Option(("--compress",), "Compress layers that are not, with --format docker-dir"),
        Option(
            ("--format",),
            "docker-archive, oci-archive, oci-dir or docker-dir",
            "text",
            "FORMAT",
            "docker-archive",
            choices=_FORMATS,
        ),
        Option(("--multi-image-archive", "-m"), "Every word is an image, not one more name for the first"),
        Option(
            ("--output", "-o"),
            "File or folder to write instead of standard output",
            "text",
            "PATH",
            complete="file",
        ),
        Option(("--quiet", "-q"), "No progress"),
        Option(("--uncompressed",), "Leave layers that are not compressed as they are, in OCI formats"),
    ),
    description="More words than one are more names for the image in the archive, unless -m is given. An "
    "archive that exists is replaced when the new one is whole; into an OCI folder the image is added.",
    examples=(
        "pyctr save -o alpine.tar alpine",
        "pyctr save --format oci-dir -o layout alpine",
        "pyctr save -m -o both.tar alpine busybox",
    ),
)

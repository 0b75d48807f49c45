"""pyctr image mount, image unmount"""

from pyctr.cli.format import json_text, table
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

_ARGUMENTS = (Argument("IMAGE", 0, -1, complete="image"),)


def mount(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import imagemounts
    from pyctr.storage import images

    imagemounts.refuse_outside("image mount")
    if options.all and arguments:
        raise PyctrError("image mount takes names or --all, and not both")
    names = tuple(images.image_ids(options.store)) if options.all else arguments
    found = [imagemounts.mount(options.store, name) for name in names]
    if not names:
        found = imagemounts.mounted(options.store)
    if options.format == "json":
        rows = [{"id": each.id, "Repositories": list(each.names), "mountpoint": each.path} for each in found]
        print(json_text(rows))
    elif len(arguments) == 1:
        print(found[0].path)
    else:
        print(table([[each.names[0] if each.names else each.id, each.path] for each in found]), end="")
    return 0


def unmount(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import imagemounts

    imagemounts.refuse_outside("image unmount")
    if options.all == bool(arguments):
        raise PyctrError("image unmount needs the names of images or --all, and not both")
    names = [each.id for each in imagemounts.mounted(options.store)] if options.all else arguments
    for name in names:
        print(imagemounts.unmount(options.store, name, force=options.force))
    return 0


MOUNT = Command(
    name="image mount",
    summary="Mount images for reading, inside of unshare",
    handler=mount,
    arguments=_ARGUMENTS,
    options=(
        Option(("--all", "-a"), "Mount all images"),
        Option(("--format",), "json", "text", "FORMAT", choices=("json",)),
    ),
    description=(
        "Prints where each is; without a name, what is mounted. The mounts end with the unshare. Only layers"
        " in the overlay format can be mounted: those of the storage drivers overlay and llfuse."
    ),
    examples=("pyctr unshare sh -c 'ls $(pyctr image mount alpine)'",),
)
UNMOUNT = Command(
    name="image unmount",
    summary="Unmount images",
    handler=unmount,
    arguments=_ARGUMENTS,
    options=(
        Option(("--all", "-a"), "Unmount all images"),
        Option(("--force", "-f"), "Also when somebody is in it"),
    ),
    examples=("pyctr image unmount alpine",),
)

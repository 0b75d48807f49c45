"""pyctr rmi"""

from pyctr.cli.failure import describe, say, warn_kept
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import images
from pyctr.rootless.errors import InUse, NoSuchObject, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def rmi(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.all == bool(arguments):
        raise PyctrError("rmi needs the names of images or --all, and not both")
    codes = {remove_one(options, name, whole=options.all) for name in names(options, arguments)}
    return next((code for code in (125, 2, 1) if code in codes), 0)


def names(options: "Options", arguments: "tuple[str, ...]") -> "tuple[str, ...]":
    """What is to be removed: the words, or the ids of all images."""
    from pyctr.storage.images import image_ids

    return tuple(image_ids(options.store)) if options.all else arguments


def remove_one(options: "Options", name: str, *, whole: bool) -> int:
    """Removes one image or name and tells it; the exit code it stands for: podman-rmi(1), "Exit Status"."""
    try:
        if whole:
            removed = images.remove_whole(options.store, name, force=options.force)
        else:
            removed = images.remove(options.store, name, force=options.force)
    except NoSuchObject as error:  # of --all: another call has removed it meanwhile
        return 0 if options.ignore or options.force or whole else complain(error, 1)
    except InUse as error:
        return complain(error, 2)
    except (PyctrError, OSError) as error:
        return complain(error, 125)
    for each in removed.untagged:
        print(f"Untagged: {each}")
    if removed.deleted:
        print(f"Deleted: {removed.deleted}", flush=True)
    warn_kept(removed.kept)
    return 0


def complain(error: Exception, code: int) -> int:
    message, hint, _ = describe(error)
    say(f"Error: {message}", *([hint] if hint else []))
    return code


COMMAND = Command(
    name="rmi",
    summary="Remove images",
    handler=rmi,
    arguments=(Argument("IMAGE", 0, -1, complete="image"),),
    options=(
        Option(("--all", "-a"), "Remove all images"),
        Option(("--force", "-f"), "Remove containers that use the image first"),
        Option(("--ignore", "-i"), "An image that does not exist is no failure"),
        Option(("--no-prune",), "Keep images that the removed one was built on"),
    ),
    examples=("pyctr rmi alpine", "pyctr rmi -a -f"),
)

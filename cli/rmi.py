"""pyctr rmi"""

from functools import partial

from pyctr.cli.failure import describe, say, warn_kept
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import images
from pyctr.rootless.errors import InUse, NoSuchObject, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.cli.reader import Options


def rmi(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.all == bool(arguments):
        raise PyctrError("rmi needs the names of images or --all, and not both")
    if options.all:
        codes = {remove_one(options, way) for way in everything(options)}
    else:
        ways = [partial(images.remove, options.store, name, force=options.force) for name in arguments]
        codes = {remove_one(options, way) for way in ways}
    return next((code for code in (125, 2, 1) if code in codes), 0)


def everything(options: "Options") -> "list[Callable[[], images.Removed]]":
    """What removes each of all images and manifest lists; lists first, which keep images of others."""
    from pyctr.storage import images as records
    from pyctr.storage import manifestlists

    store = options.store
    return [
        *[partial(images.remove_list, store, each) for each in manifestlists.ids(store)],
        *[
            partial(images.remove_whole, store, each, force=options.force)
            for each in records.image_ids(store)
        ],
    ]


def remove_one(options: "Options", remove: "Callable[[], images.Removed]") -> int:
    """Removes one image or name and tells it; the exit code it stands for: podman-rmi(1), "Exit Status"."""
    try:
        removed = remove()
    except NoSuchObject as error:  # of --all: another call has removed it meanwhile
        return 0 if options.ignore or options.force or options.all else complain(error, 1)
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
        Option(("--all", "-a"), "Remove all images and manifest lists"),
        Option(("--force", "-f"), "Remove containers that use the image first"),
        Option(("--ignore", "-i"), "An image that does not exist is no failure"),
        Option(("--no-prune",), "Keep images that the removed one was built on"),
    ),
    description="A manifest list is removed alone: the images in it stay.",
    examples=("pyctr rmi alpine", "pyctr rmi -a -f"),
)

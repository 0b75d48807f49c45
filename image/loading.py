"""The image of an archive or folder that a container is to be made from: podman-run(1), "IMAGE"."""

import marshal
import os

from pyctr.image import places, pull
from pyctr.image.lookup import Found
from pyctr.image.pull import PullOptions
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.image.places import Place
    from pyctr.image.progress import Progress
    from pyctr.storage.paths import Store

_TOLD = 16  # names: the pipe takes them all at once


def bring(
    store: "Store", text: str, options: PullOptions, progress: "Callable[[], Progress] | None" = None
) -> Found:
    """Loads what `text` (TRANSPORT:PATH[:NAME]) names, in a child process. PyctrError, also when it holds
    several images: which of them is meant?
    """
    place = places.parse(text)
    assert place
    count, names = _load(store, place, progress)
    if count != 1:
        raise PyctrError(
            f"{text} holds {count} images: {', '.join(names)}{', ...' if count > len(names) else ''}",
            f"They are loaded now: use one of them by its name, or write {place.transport}:PATH:NAME.",
        )
    return pull.pull_if_needed(store, names[0], "never", options, progress)


def _load(
    store: "Store", place: "Place", progress: "Callable[[], Progress] | None"
) -> tuple[int, list[str]]:
    """How many images were loaded, and one name for each of the first."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as answer:
        try:
            pull.in_child(lambda: _tell(store, place, progress, writing))
        finally:
            os.close(writing)
        count, names = marshal.loads(answer.read())
    return count, names


def _tell(store: "Store", place: "Place", progress: "Callable[[], Progress] | None", writing: int) -> None:
    from pyctr.image import load, lookup
    from pyctr.image.progress import SILENT

    loaded = load.load(store, place.path, progress() if progress else SILENT, place.name)
    by_id = {lookup.meant(store, name).id: name for name in reversed(loaded)}
    os.write(writing, marshal.dumps((len(by_id), [*reversed(by_id.values())][:_TOLD])))

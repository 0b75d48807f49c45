"""Finding a local image by what a user types: a name, a digest, an id or the beginning of one.

On the path of `run`. The order is podman's: names first, then ids, then names that end alike. A manifest
list has a name and an id too; as an image it is the one in it that is for this machine.
"""

import os

from pyctr.image import reference
from pyctr.image.reference import Reference, is_hex
from pyctr.rootless.errors import BrokenRecord, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.manifest import Platform
    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

ID_LENGTH = 64


class NoSuchImage(NoSuchObject):
    """In the words that podman's users and scripts know."""

    def __init__(self, name: str) -> None:
        super().__init__("image", name)
        self.message = f"{name}: image not known"
        self.args = (self.message,)


class Meant(Value):
    """What is meant, readable or not: an image or a list by its whole id, and the full name that led to it,
    empty when it was its id.
    """

    id: str
    name: str = ""
    is_list: bool = False


class Found(Value):
    """An image and the full name by which it was found, empty when it was its id."""

    image: "Image"
    name: str = ""


def lookup(store: "Store", name: str) -> "Image":
    """The local image that `name` means. Raises NoSuchImage; PyctrError for a wrong or ambiguous name."""
    return find(store, name).image


def find(store: "Store", name: str, wanted: "Platform | None" = None) -> Found:
    """Like `lookup`, with the full name that led to it. Of a list it is the image for the `wanted` platform,
    else this machine's.
    """
    found = meant(store, name)
    if not found.is_list:
        return Found(images.image_of(store, found.id, found.name), found.name)
    from pyctr.image import instances

    return Found(instances.local(store, found, wanted), found.name)


def meant(store: "Store", name: str) -> Meant:
    """The image or list that `name` means. Raises NoSuchImage; PyctrError for a wrong or ambiguous name."""
    prefix = name.removeprefix("sha256:")
    if is_hex(prefix) and (prefix != name or len(prefix) == ID_LENGTH):
        return _by_id(store, prefix) or _by_digest(store, name, "") or _none(name)
    parsed = reference.parse(name)
    full = candidates(store, parsed)
    return (
        _by_name(store, tuple([str(each) for each in full]))
        or (_by_id(store, name) if is_hex(name) else None)
        or _by_digest(store, parsed.digest, *[each.repository for each in full])
        or _by_ending(store, parsed)
        or _none(name)
    )


def candidates(store: "Store", parsed: Reference) -> tuple[Reference, ...]:
    """The full names that a name may mean here, best first."""
    if parsed.domain:
        return reference.candidates(parsed)
    from pyctr.image import registries

    return registries.local_candidates(store, parsed)


def _by_name(store: "Store", full: tuple[str, ...]) -> Meant | None:
    for name in full:
        record = images.read_name(store, name)
        if record is not None:
            return Meant(record.image, name, record.is_list)
    return None


def _by_id(store: "Store", prefix: str) -> Meant | None:
    """The image or list whose id begins so. PyctrError when several do."""
    found = [Meant(each) for each in images.image_ids(store) if each.startswith(prefix)]
    if os.path.isdir(store.manifest_lists()):
        from pyctr.storage import manifestlists

        ids = manifestlists.ids(store)
        found += [Meant(each, is_list=True) for each in ids if each.startswith(prefix)]
    if len(found) > 1:
        raise PyctrError(f"image id {prefix} is ambiguous: it fits {len(found)} images", "Give more digits.")
    return found[0] if found else None


def _by_digest(store: "Store", digest: str, *repositories: str) -> Meant | None:
    """The image whose manifest (or the index before it) has this digest, by a name in these repositories."""
    if not digest:
        return None
    for name in images.image_names(store):
        if repositories == ("",) or _repository(name) in repositories:
            found = _with_digest(store, name, digest)
            if found is not None:
                return found
    return None


def _with_digest(store: "Store", name: str, digest: str) -> Meant | None:
    """The image of a name, if it has this digest. What cannot be read may be another image: it has not."""
    try:
        record = images.read_name(store, name)
        image = images.read_image(store, record.image) if record else None
    except (BrokenRecord, NoSuchObject):
        return None
    if record and image and digest in (record.manifest_digest, image.manifest_digest):
        return Meant(image.id, name)
    return None


def _by_ending(store: "Store", parsed: Reference) -> Meant | None:
    """A short name also means an image of any registry whose name ends alike, if there is just one."""
    if parsed.domain:
        return None
    ending = f"/{parsed.completed()}"
    names = [name for name in images.image_names(store) if name.endswith(ending)]
    found = {record.image: name for name in names if (record := images.read_name(store, name))}
    if len(found) > 1:
        raise PyctrError(f"{parsed} fits several images: {', '.join(sorted(names))}", "Give the whole name.")
    return _by_name(store, tuple(found.values()))


def _repository(name: str) -> str:
    """The part of a kept name before its tag or digest."""
    return name.partition("@")[0] if "@" in name else name.rpartition(":")[0]


def _none(name: str) -> Meant:
    raise NoSuchImage(name)


def exists(store: "Store", name: str) -> bool:
    """Whether `name` means a local image; a broken one counts."""
    try:
        find(store, name)
    except NoSuchObject:
        return False
    except BrokenRecord:
        return True
    return True

"""The images of a manifest list that are in the store: which of them is for a machine."""

from pyctr.image import manifest, platform
from pyctr.image.lookup import Meant
from pyctr.image.manifest import Descriptor, Index, Platform
from pyctr.rootless.errors import NoSuchObject
from pyctr.storage import images, manifestlists
from pyctr.storage.images import Image
from pyctr.storage.manifestlists import Entry, ManifestList
from pyctr.storage.paths import Store


class NoInstance(NoSuchObject):
    """A list has no image here for the platform that is wanted.

    No NoSuchImage, for which another image of that name would be pulled.
    """

    def __init__(self, name: str, wanted: Platform, found: ManifestList) -> None:
        known = ", ".join([_where(each) for each in found.entries]) or "no image"
        super().__init__("image", name, f"The list names: {known}.")
        self.message = f"the manifest list {name} has no image for {wanted} in this store"
        self.args = (self.message,)


def _where(entry: Entry) -> str:
    its = str(platform_of(entry))
    return f"{its} (pyctr pull {entry.source}@{entry.digest})" if entry.source else its


def platform_of(entry: Entry) -> Platform:
    """The platform that an entry is for."""
    return Platform(entry.os, entry.architecture, entry.variant)


def local(store: Store, meant: Meant, wanted: Platform | None = None) -> Image:
    """The local image of a list for the `wanted` platform, else this machine's. NoInstance, BrokenRecord."""
    found = manifestlists.read(store, meant.id)
    known = {row.image.manifest_digest: row.image for row in images.list_images(store) if row.image}
    wanted = wanted or platform.host()
    name = meant.name or meant.id[:12]
    here = [_descriptor(entry) for entry in found.entries if entry.digest in known]
    try:
        return known[platform.choose(Index(manifest.OCI_INDEX, tuple(here)), wanted, name).digest]
    except manifest.Invalid:
        raise NoInstance(name, wanted, found) from None


def _descriptor(entry: Entry) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size, platform_of(entry))

"""Manifest lists among the images: podman-images(1) shows both."""

from pyctr.image import manifestlist
from pyctr.image.manifest import digest_of
from pyctr.rootless.errors import BrokenRecord
from pyctr.storage import images, manifestlists
from pyctr.storage.images import Image, Listed
from pyctr.storage.manifestlists import ManifestList
from pyctr.storage.paths import Store


def rows(store: Store) -> list[Listed]:
    """All lists as rows of `images`, with their names; broken ones carry an error."""
    names: dict[str, tuple[str, ...]] = {}
    for name in images.image_names(store):
        try:
            record = images.read_name(store, name)
        except BrokenRecord:
            continue
        if record is not None and record.is_list:
            names[record.image] = (*names.get(record.image, ()), name)
    found = [_row(store, list_id, names.get(list_id, ())) for list_id in manifestlists.ids(store)]
    return [row for row in found if row is not None]


def _row(store: Store, list_id: str, names: tuple[str, ...]) -> Listed | None:
    try:
        return Listed(list_id, names, as_image(manifestlists.read(store, list_id)), is_list=True)
    except manifestlists.NoSuchList:
        return None  # removed while we looked
    except BrokenRecord as error:
        return Listed(list_id, names, error=error.message, is_list=True)


def as_image(found: ManifestList) -> Image:
    """What can be said of a list as of an image: its digest and size are those of its index."""
    document = manifestlist.document(manifestlist.index(found, found.entries))
    return Image(
        version=images.IMAGE_VERSION,
        id=found.id,
        manifest_digest=digest_of(document),
        manifest_media_type=manifestlist.TYPES["oci"],
        created=found.created,
        architecture="",
        os="",
        size=len(document),
        layers=(),
        config={},
    )

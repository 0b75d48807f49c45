"""Images and their names, as records.

images/<id>.json says what an image is, names/images/<quoted reference> which image a name means. Both
are replaced atomically; a tag moves by replacing its record. On the path of `run`: what only pull, rmi
and prune need lives in `pyctr.storage.sweep` and `pyctr.storage.layout`.
"""

import os

from pyctr.rootless.errors import BrokenRecord, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import paths, records

IMAGE_VERSION = 1
NAME_VERSION = 1


class ImageLayer(Value):
    """One layer: `digest` and `size` of its blob, `diff_id` of its tar, `chain_id` of it with all below."""

    digest: str
    diff_id: str
    chain_id: str
    media_type: str
    size: int


class Image(Value):
    """An image.

    `config` is the inner "config" object of its OCI config (Env, Cmd, ...), `history` its list of entries.
    """

    version: int
    id: str  # 64 hex digits: the sha256 of its config blob
    manifest_digest: str
    manifest_media_type: str
    created: str  # RFC 3339, as the config has it
    architecture: str
    os: str
    size: int  # bytes of its layers, unpacked
    layers: tuple[ImageLayer, ...]  # lowest first
    config: dict[str, object]
    variant: str = ""
    author: str = ""
    history: tuple[dict[str, object], ...] = ()
    pulled: bool = False  # from a registry, which gets the same bytes back
    oci_digest: str = (
        ""  # of a second manifest, for readers of OCI layouts, where the first one is not OCI's
    )

    @property
    def config_digest(self) -> str:
        return f"sha256:{self.id}"

    @property
    def digests(self) -> tuple[str, ...]:
        """Those of all its blobs, each once."""
        manifests = (self.manifest_digest, self.oci_digest) if self.oci_digest else (self.manifest_digest,)
        return tuple(dict.fromkeys([*manifests, self.config_digest, *[each.digest for each in self.layers]]))


class ImageName(Value):
    """Which image a name means, and by which manifest (or index) digest it was fetched; or which list."""

    version: int
    image: str  # id
    manifest_digest: str  # empty for a list
    is_list: bool = False  # `image` is the id of a manifest list


class Listed(Value):
    """One row of `images`: a broken record has no `image` but an `error`. Of a manifest list `image` tells
    what a list can have of one.
    """

    id: str
    names: tuple[str, ...]
    image: Image | None = None
    error: str = ""
    is_list: bool = False


def making(store: paths.Store) -> records.Lock:
    """The shared store lock: who makes references to blobs and layers holds it until they are recorded, and
    who replaces a record or index.json, else a sweeper takes its half. For moments only: sweepers wait.
    What takes longer has a pin (`pyctr.storage.pins`).
    """
    return records.lock_file(store.store_lock(), shared=True)


def chain_ids(diff_ids: "list[str] | tuple[str, ...]") -> tuple[str, ...]:
    """The chain id of each layer, lowest first (OCI image-spec, config.md, "Layer ChainID")."""
    import hashlib

    chain = list(diff_ids[:1])
    for diff_id in diff_ids[1:]:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}")
    return tuple(chain)


def put_image(store: paths.Store, image: Image) -> None:
    """Writes the record of an image whose blobs are stored. The caller holds `making`."""
    records.make_folder(store.images())
    records.write_record(store.image(image.id), image, durable=True)
    refresh_index(store)


def add_name(
    store: paths.Store, name: str, image_id: str, manifest_digest: str, *, is_list: bool = False
) -> None:
    """Lets a full reference mean this image or list, whatever it meant before. The caller holds `making`."""
    record = ImageName(NAME_VERSION, image_id, manifest_digest, is_list)
    with _names_lock(store):
        records.write_record(store.image_name(name), record, durable=True)
    refresh_index(store)


def _names_lock(store: paths.Store) -> records.Lock:
    """Held while names change, so that one is not taken away that has just got another meaning."""
    records.make_folder(store.image_names())
    return records.lock(store.image_names())


def remove_name(store: paths.Store, name: str) -> None:
    """Takes a name away; its image stays. NoSuchObject. The caller holds `making`, or sweeps."""
    with _names_lock(store):
        _unlink_name(store, name)
    refresh_index(store)


def take_name(store: paths.Store, name: str, image_id: str) -> bool:
    """Takes one of several names away from an image; False when it is its last one, or another image's.

    The caller holds `making`.
    """
    with _names_lock(store):
        names = names_of(store, image_id)
        if name not in names or len(names) == 1:
            return False
        _unlink_name(store, name)
    refresh_index(store)
    return True


def _unlink_name(store: paths.Store, name: str) -> None:
    try:
        os.unlink(store.image_name(name))
    except FileNotFoundError:
        raise NoSuchObject("image", name) from None
    records.sync_folder(store.image_names())


def refresh_index(store: paths.Store) -> None:
    """Derives index.json anew. Not for `run`: it never changes images."""
    from pyctr.storage import layout

    layout.refresh(store)


def read_image(store: paths.Store, image_id: str) -> Image:
    """The record of an image by its whole id. NoSuchObject, BrokenRecord."""
    try:
        return records.read_record(store.image(image_id), Image, IMAGE_VERSION)
    except FileNotFoundError:
        raise NoSuchObject("image", image_id) from None


def read_name(store: paths.Store, name: str) -> ImageName | None:
    """What a full reference means, or None. BrokenRecord."""
    try:
        return records.read_record(store.image_name(name), ImageName, NAME_VERSION)
    except FileNotFoundError:
        return None


def find_name(store: paths.Store, candidates: tuple[str, ...]) -> str | None:
    """The first of these full references that names an image."""
    for name in candidates:
        if os.path.lexists(store.image_name(name)):
            return name
    return None


def image_of(store: paths.Store, image_id: str, name: str = "") -> Image:
    """The record of an image, which `name` led to if it is given: then it must be there. NoSuchObject,
    BrokenRecord.
    """
    try:
        return read_image(store, image_id)
    except NoSuchObject:
        if not name or read_name(store, name) is None:
            raise
        raise BrokenRecord(
            f"image {name} has no record: {store.image(image_id)} is missing", "Pull or load it again."
        ) from None


def image_ids(store: paths.Store) -> list[str]:
    """The ids of all images that have a record, readable or not."""
    found = records.names_in(store.images())
    return [name[:-5] for name in found if name.endswith(".json") and name[0] != "."]


def image_names(store: paths.Store) -> list[str]:
    """All full references that have a record."""
    found = records.names_in(store.image_names())
    return sorted([paths.unquote_component(name) for name in found if name[0] != "."])


def names_of(store: paths.Store, image_id: str) -> tuple[str, ...]:
    """The names of one image. Broken names are passed over."""
    found = []
    for name in image_names(store):
        try:
            record = read_name(store, name)
        except BrokenRecord:
            continue
        if record is not None and record.image == image_id:
            found.append(name)
    return tuple(found)


def list_images(store: paths.Store) -> list[Listed]:
    """All images with their names; broken ones, and names of images without a record, carry an error.

    Takes no lock.
    """
    names: dict[str, list[str]] = {}
    broken = []
    for name in image_names(store):
        try:
            record = read_name(store, name)
        except BrokenRecord as error:
            broken.append(Listed(id="", names=(name,), error=error.message))
            continue
        if record is not None and not record.is_list:
            names.setdefault(record.image, []).append(name)
    listed = [_listed(store, image_id, tuple(names.pop(image_id, ()))) for image_id in image_ids(store)]
    lost = [_listed(store, image_id, tuple(rest)) for image_id, rest in names.items()]
    return [row for row in listed if row is not None] + [row for row in lost if row is not None] + broken


def _listed(store: paths.Store, image_id: str, names: tuple[str, ...]) -> Listed | None:
    try:
        return Listed(image_id, names, read_image(store, image_id))
    except NoSuchObject:
        if not names or all([read_name(store, name) is None for name in names]):
            return None  # removed while we looked
        return Listed(image_id, names, error=f"{store.image(image_id)} is missing")
    except PyctrError as error:
        return Listed(image_id, names, error=error.message)

"""An image as it leaves the store: manifest and blobs, the very bytes unless something else is wanted.

Layers are changed only where they must: those that are not compressed (of images that were made or loaded
here; what was pulled stays as it was), or compressed otherwise than asked for. Changed ones lie in unnamed
files on the disk of the store: a crash leaves nothing behind.
"""

import os

from pyctr.image import conversion, manifest
from pyctr.image.manifest import Descriptor, Invalid, Manifest
from pyctr.rootless.values import Value
from pyctr.storage import blobs, paths, variants
from pyctr.storage.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from typing import BinaryIO

KINDS = ("gzip", "zstd")


class Wishes(Value):
    """What a rendition shall be: `format` oci, v2s2 or as it is, `compression` gzip or zstd.

    With `force` all layers get that compression, else those that have none and were not pulled so; without
    `compress` not these either.
    """

    format: str = ""
    compression: str = ""
    force: bool = False
    level: int | None = None
    compress: bool = True


class Source(Value):
    """An image in the store: its record, its manifest, and the bytes of that.

    `files` are its blobs by digest, when they are held open: then it may be removed meanwhile.
    """

    image: Image
    manifest: Manifest
    data: bytes
    files: "dict[str, BinaryIO]" = {}

    def held(self, store: paths.Store, stack: "ExitStack") -> "Source":
        """The same with all blobs open until `stack` is left. The caller holds `images.making`."""
        blobs_named = (self.manifest.config, *self.manifest.layers)
        digests = dict.fromkeys([blob.digest for blob in blobs_named])
        files = {digest: stack.enter_context(blobs.open_blob(store, digest)) for digest in digests}
        return self.replace(files=files)

    def content(self, store: paths.Store, blob: Descriptor) -> "Content":
        """One of its blobs as it is. NoSuchObject when it is missing."""
        file = self.files.get(blob.digest)
        if file is None:
            return stored(store, blob)
        size = os.fstat(file.fileno()).st_size
        return Content(blob.replace(size=size), lambda: _reopened(file))


class Content(Value):
    """The bytes of a blob: `open()` gives a file of its own, at its start."""

    descriptor: Descriptor
    open: "Callable[[], BinaryIO]"


class Rendered(Value):
    """A layer as it leaves: its content, and how it is compressed."""

    content: Content
    kind: str


def source_of(store: paths.Store, image: Image) -> Source:
    """Reads the manifest of an image, verified. PyctrError when it is damaged."""
    data = blobs.read_blob(store, image.manifest_digest)
    found = manifest.parse(data, image.manifest_media_type, f"the manifest of {image.id[:12]}")
    if not isinstance(found, Manifest):
        raise Invalid(f"{image.manifest_digest} is not the manifest of an image")
    return Source(image, found, data)


def check(wishes: Wishes) -> None:
    """Raises PyctrError when the wishes cannot be met by any image."""
    if wishes.level is not None:
        from pyctr.storage.compressing import check_level

        check_level(wishes.compression or "gzip", wishes.level)
    if wishes.format == "v2s2" and wishes.compression == "zstd":
        conversion.media_type_for("v2s2", Manifest(manifest.DOCKER_MANIFEST, _NOTHING, ()), ("zstd",))


_NOTHING = Descriptor("", "", 0)


def stored(store: paths.Store, blob: Descriptor) -> Content:
    """A blob of the store as it is. NoSuchObject when it is missing."""
    size = blobs.blob_size(store, blob.digest)
    return Content(blob.replace(size=size), lambda: blobs.open_blob(store, blob.digest))


def layer(store: paths.Store, source: Source, at: int, wishes: Wishes) -> Rendered:
    """The layer with the number `at` as it leaves, compressed now if need be. PyctrError."""
    entry = source.manifest.layers[at]
    content = source.content(store, entry)
    kind = _kind(content)
    wanted = _wanted_kind(source.image, entry, kind, wishes)
    if wanted == kind:
        return Rendered(content, kind)
    made = _compressed(store, content, source.image.layers[at].diff_id, wanted, wishes.level)
    blob = made.descriptor
    variants.remember(store, entry.digest, _how(wanted, wishes), blob.digest, blob.size)
    return Rendered(made, wanted)


def remembered(store: paths.Store, source: Source, at: int, wishes: Wishes) -> Rendered | None:
    """The layer as it left before, if it was changed then: for somebody who may have it. It has no bytes."""
    entry = source.manifest.layers[at]
    kind = _kind(source.content(store, entry))
    wanted = _wanted_kind(source.image, entry, kind, wishes)
    known = variants.find(store, entry.digest, _how(wanted, wishes)) if wanted != kind else None
    if not known:
        return None
    blob = entry.replace(digest=known.digest, size=known.size)
    return Rendered(Content(blob, _no_bytes), wanted)


def known(store: paths.Store, source: Source, at: int, wishes: Wishes) -> Rendered | None:
    """The layer as it leaves, when that takes no compressing: as it is, or as it left before."""
    if not wishes.force and source.image.pulled and not wishes.format:
        return Rendered(source.content(store, source.manifest.layers[at]), "")  # nothing asks for its kind
    found = remembered(store, source, at, wishes)
    if found:
        return found
    content = source.content(store, source.manifest.layers[at])
    kind = _kind(content)
    same = _wanted_kind(source.image, source.manifest.layers[at], kind, wishes) == kind
    return Rendered(content, kind) if same else None


def _how(kind: str, wishes: Wishes) -> str:
    return kind if wishes.level is None else f"{kind}-{wishes.level}"


def _no_bytes() -> "BinaryIO":
    raise AssertionError("a remembered layer has no bytes")


def _kind(content: Content) -> str:
    from pyctr.storage.compression import kind_of

    with content.open() as file:
        return kind_of(file.read(6))


def _wanted_kind(image: Image, entry: Descriptor, kind: str, wishes: Wishes) -> str:
    if conversion.is_foreign(entry.media_type):
        return kind
    plain = kind not in KINDS
    if wishes.force or (plain and wishes.compress and not image.pulled):
        return wishes.compression or "gzip"
    return kind


def _compressed(store: paths.Store, content: Content, diff_id: str, kind: str, level: int | None) -> Content:
    """A layer compressed as `kind`, in an unnamed file. Invalid when it is not what its diff id says."""
    import hashlib

    from pyctr.image import archive
    from pyctr.storage.compressing import compressed
    from pyctr.storage.compression import decompressed

    found, made = hashlib.sha256(), hashlib.sha256()

    def plain(file: "BinaryIO") -> "Iterator[bytes]":
        for chunk in decompressed(file):
            found.update(chunk)
            yield chunk

    def chunks(file: "BinaryIO") -> "Iterator[bytes]":
        for chunk in compressed(plain(file), kind, level):
            made.update(chunk)
            yield chunk

    with content.open() as file:
        spooled = archive.spool(store, chunks(file), f"layer {diff_id}")
    if f"sha256:{found.hexdigest()}" != diff_id:
        spooled.close()
        raise Invalid(
            f"layer {content.descriptor.digest} is damaged on disk", "Remove the image and get it again."
        )
    size = os.fstat(spooled.fileno()).st_size
    blob = content.descriptor.replace(digest=f"sha256:{made.hexdigest()}", size=size)
    return Content(blob, lambda: _reopened(spooled))


def _reopened(file: "BinaryIO") -> "BinaryIO":
    """A file of its own on the same data: threads do not share an offset."""
    return open(f"/proc/self/fd/{file.fileno()}", "rb")


def document(source: Source, layers: list[Rendered], wishes: Wishes) -> tuple[bytes, str]:
    """The manifest for these layers, and its media type: the bytes as they are if nothing has changed."""
    media_type = _media_type(source, layers, wishes)
    now = tuple([_typed(each, media_type, source.manifest) for each in layers])
    if media_type == source.manifest.media_type and now == source.manifest.layers:
        return source.data, media_type
    return conversion.converted(source.data, media_type, now), media_type


def _media_type(source: Source, layers: list[Rendered], wishes: Wishes) -> str:
    """The type that fits: a layer that stays what it was needs no other in the same format."""
    found = source.manifest
    other = conversion.FORMATS.get(wishes.format, found.media_type) != found.media_type
    known = {entry.digest for entry in found.layers}
    kinds = [each.kind for each in layers if other or each.content.descriptor.digest not in known]
    return conversion.media_type_for(wishes.format, found, kinds)


def _typed(rendered: Rendered, media_type: str, found: Manifest) -> Descriptor:
    """The descriptor with the type that it has in the new manifest; its own in one of the same format."""
    blob = rendered.content.descriptor
    if media_type == found.media_type and blob in found.layers:
        return blob
    return blob.replace(media_type=conversion.layer_type(blob.media_type, rendered.kind, media_type))

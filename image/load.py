"""Loading images from archives and folders: docker-archive, oci-archive, OCI layouts and `dir:`.

Formats: the archive of "docker save" (manifest.json); OCI image-spec, image-layout.md;
containers-transports(5) for `dir:`.
"""

import json
import os
from collections.abc import Iterable
from typing import BinaryIO

from pyctr.image import archive, keeping, manifest, platform, reference
from pyctr.image.archive import Archive
from pyctr.image.manifest import Config, Descriptor, Index, Invalid, Manifest
from pyctr.image.progress import SILENT, Progress
from pyctr.image.reference import DEFAULT_DOMAIN, LOCAL_DOMAIN
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, paths
from pyctr.storage.compression import decompressed, kind_of
from pyctr.storage.images import Image
from pyctr.storage.pins import Pin
from pyctr.storage.unpack import DEFAULT_LIMITS

_NESTED = 3  # indexes in indexes
_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_COPY = 1 << 20


def load(store: paths.Store, path: str, progress: Progress = SILENT, wanted: str = "") -> list[str]:
    """Loads all images of an archive or folder (`-`: standard input); their names, or sha256:<id>.

    With `wanted` only the one that has this name there. Raises PyctrError that names the archive.
    """
    label = "standard input" if path == "-" else path
    try:
        opened = archive.open_archive(store, path)
        try:
            with Pin(store) as pin:
                return _load_all(pin, opened, progress, wanted)
        finally:
            opened.close()
    except PyctrError as error:
        raise PyctrError(f"cannot load {label}: {error.message}", error.hint) from None


def _load_all(pin: Pin, source: Archive, progress: Progress, wanted: str) -> list[str]:
    if source.has("manifest.json") and source.has("version"):
        return _load_directory(pin, source, progress)
    if source.has("manifest.json"):
        return _load_docker(pin, source, progress, wanted)
    if source.has("index.json"):
        return _load_oci(pin, source, progress, wanted)
    if source.has("repositories"):
        raise Invalid("it was made by a docker older than 1.10", "Load and save it with a current docker.")
    raise Invalid(
        "it is neither a docker-archive nor an OCI image layout (no manifest.json, no index.json)",
        "For the tar of a root file system use 'pyctr import'.",
    )


def _load_docker(pin: Pin, source: Archive, progress: Progress, wanted: str) -> list[str]:
    data = archive.read(source, "manifest.json", manifest.MANIFEST_LIMIT)
    entries = manifest.parse_archive(data, "manifest.json")
    loaded = []
    for entry in _of_name(entries, wanted) if wanted else entries:
        names = [str(reference.normalize(name, DEFAULT_DOMAIN)) for name in entry.names]
        if len(entry.layers) > manifest.LAYER_COUNT_LIMIT:
            raise Invalid(
                f"{entry.config} has {len(entry.layers)} layers, more than {manifest.LAYER_COUNT_LIMIT}"
            )
        progress.line("Getting image source signatures")
        document = archive.read(source, entry.config, manifest.CONFIG_LIMIT)
        config = manifest.parse_config(document, entry.config)
        if len(config.diff_ids) != len(entry.layers):
            raise Invalid(
                f"{entry.config} lists {len(config.diff_ids)} layers, manifest.json {len(entry.layers)}"
            )
        rows = zip(entry.layers, config.diff_ids, strict=True)
        layers = [_store_layer(pin, source, path, diff_id, progress) for path, diff_id in rows]
        made = docker_manifest(document, layers)
        pin.put_blob(document)
        image = keep_manifest(pin, made, config, names, progress)
        loaded += names or [image.config_digest]
    return loaded


def _of_name(entries: tuple[manifest.Entry, ...], wanted: str) -> list[manifest.Entry]:
    """The image of a docker-archive that has a name, with this name alone."""
    full = reference.normalize(wanted, DEFAULT_DOMAIN)
    for entry in entries:
        for name in entry.names:
            if reference.normalize(name, DEFAULT_DOMAIN) == full:
                return [entry.replace(names=(name,))]
    raise _nothing(wanted, [name for entry in entries for name in entry.names])


def _nothing(wanted: str, names: list[str]) -> Invalid:
    known = ", ".join([name for name in names if name]) or "no name"
    return Invalid(f"it has no image of the name {wanted}", f"It has: {known}.")


def docker_manifest(config: bytes, layers: list[Descriptor]) -> bytes:
    """The schema 2 manifest of an image in a docker-archive, byte for byte that of podman: digests agree."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": manifest.DOCKER_MANIFEST,
            "config": _described(manifest.DOCKER_CONFIG, len(config), manifest.digest_of(config)),
            "layers": [_described(layer.media_type, layer.size, layer.digest) for layer in layers],
        },
        separators=(",", ":"),
    ).encode()


def _described(media_type: str, size: int, digest: str) -> dict[str, object]:
    return {"mediaType": media_type, "size": size, "digest": digest}


def keep_manifest(
    pin: Pin, data: bytes, config: Config, names: Iterable[str], progress: Progress, top: str = ""
) -> Image:
    """Stores a manifest whose config and layers are stored and pinned, and keeps its image."""
    parsed = manifest.parse(data, "", "manifest")
    if not isinstance(parsed, Manifest):
        raise Invalid("an index stands where a manifest is expected")
    progress.line(f"Copying config {parsed.config.digest}")
    digest = pin.put_blob(data)
    image = keeping.make_image(digest, parsed, config, "manifest")
    return keeping.keep(pin, image, list(names), progress, top_digest=top)


def _store_layer(pin: Pin, source: Archive, path: str, diff_id: str, progress: Progress) -> Descriptor:
    """Stores one layer of a docker-archive as it is; xz and bzip2, which no registry takes, decompressed."""
    with source.open(path) as file:
        kind = kind_of(file.read(6))
    size = source.size(path)
    if kind in ("gzip", "zstd"):
        with source.open(path) as file:
            digest = _store(pin, iter(lambda: file.read(_COPY), b""), None, size, progress)
        return Descriptor(f"{manifest.DOCKER_LAYER}.{kind}", digest, size)
    pin.add([diff_id])
    if not blobs.has_blob(pin.store, diff_id):
        with source.open(path) as file:
            most = DEFAULT_LIMITS.tar_size(size) if kind else size
            _store(pin, decompressed(file), diff_id, most, progress)
    else:
        progress.blob_started(diff_id, size)
        progress.blob_done(diff_id, skipped=True)
    return Descriptor(f"{manifest.DOCKER_LAYER}.gzip", diff_id, blobs.blob_size(pin.store, diff_id))


def _store(
    pin: Pin, chunks: Iterable[bytes], digest: str | None, size: int | None, progress: Progress
) -> str:
    if digest:
        progress.blob_started(digest, size or 0)
    with pin.writer(digest, limit=size) as blob:
        for chunk in chunks:
            blob.write(chunk)
            if digest:
                progress.blob_moved(digest, blob.size)
    if not digest:
        progress.blob_started(blob.digest, blob.size)
    progress.blob_done(blob.digest)
    return blob.digest


def _load_oci(pin: Pin, source: Archive, progress: Progress, wanted: str) -> list[str]:
    index = _index(archive.read(source, "index.json", manifest.MANIFEST_LIMIT), "index.json")
    if not index.manifests:
        raise Invalid("index.json lists no image")
    groups: dict[str, list[Descriptor]] = {}
    for entry in index.manifests:
        groups.setdefault(_name_of(entry), []).append(entry)
    if wanted:
        if wanted not in groups:
            raise _nothing(wanted, list(groups))
        groups = {wanted: groups[wanted]}
    loaded = []
    for name, entries in groups.items():
        progress.line("Getting image source signatures")
        full = [str(reference.normalize(name, LOCAL_DOMAIN))] if name else []
        for entry in _wanted(index, entries):
            image = _load_entry(pin, source, entry, full, progress)
            loaded += full or [image.config_digest]
    return loaded


def _name_of(entry: Descriptor) -> str:
    return entry.annotations.get(_FULL_NAME) or entry.annotations.get(_NAME, "")


def _wanted(index: Index, entries: list[Descriptor]) -> list[Descriptor]:
    """Entries of one name are one image for several platforms, when they tell their platforms."""
    if len(entries) > 1 and all([entry.platform for entry in entries]):
        return [platform.choose(index.replace(manifests=tuple(entries)), platform.host(), "index.json")]
    return entries


def _index(data: bytes, what: str) -> Index:
    parsed = manifest.parse(data, "", what)
    if not isinstance(parsed, Index):
        raise Invalid(f"{what} is not an index")
    return parsed


def _load_entry(pin: Pin, source: Archive, entry: Descriptor, names: list[str], progress: Progress) -> Image:
    top = entry.digest
    for _ in range(_NESTED):
        data = _document(source, entry, manifest.MANIFEST_LIMIT)
        parsed = manifest.parse(data, entry.media_type, entry.digest)
        if isinstance(parsed, Manifest):
            return _load_manifest(pin, source, parsed, data, names, progress, top)
        pin.put_blob(data, entry.digest)
        entry = platform.choose(parsed, platform.host(), entry.digest)
    raise Invalid(f"{top} is an index of indexes of indexes")


def _load_manifest(
    pin: Pin,
    source: Archive,
    found: Manifest,
    data: bytes,
    names: list[str],
    progress: Progress,
    top: str,
) -> Image:
    document = _document(source, found.config, manifest.CONFIG_LIMIT)
    config = manifest.parse_config(document, found.config.digest)
    pin.add([layer.digest for layer in found.layers])
    for layer in found.layers:
        if blobs.has_blob(pin.store, layer.digest):
            progress.blob_started(layer.digest, layer.size)
            progress.blob_done(layer.digest, skipped=True)
            continue
        with source.open(_blob_name(layer.digest)) as file:
            _store(pin, iter(lambda: file.read(_COPY), b""), layer.digest, layer.size, progress)
    pin.put_blob(document, found.config.digest)
    return keep_manifest(pin, data, config, names, progress, top)


def _load_directory(pin: Pin, source: Archive, progress: Progress) -> list[str]:
    """A `dir:` folder: one image, whose name is that of the folder, if that can be one."""
    data = archive.read(source, "manifest.json", manifest.MANIFEST_LIMIT)
    parsed = manifest.parse(data, "", "manifest.json")
    if not isinstance(parsed, Manifest):
        raise Invalid("its manifest.json is an index of several images", "Save one image of them.")
    progress.line("Getting image source signatures")
    names = _folder_name(source.label)
    image = _load_manifest(pin, _Plain(source), parsed, data, names, progress, "")
    return names or [image.config_digest]


def _folder_name(path: str) -> list[str]:
    try:
        return [str(reference.normalize(f"{LOCAL_DOMAIN}/{path.strip('/')}", LOCAL_DOMAIN))]
    except PyctrError:
        return []


class _Plain:
    """A `dir:` folder in which blobs are found as in a layout: there they have their digits for a name."""

    def __init__(self, source: Archive) -> None:
        self._source = source
        self.label = source.label

    def has(self, name: str) -> bool:
        return self._source.has(os.path.basename(name))

    def open(self, name: str) -> BinaryIO:
        return self._source.open(os.path.basename(name))

    def size(self, name: str) -> int:
        return self._source.size(os.path.basename(name))

    def close(self) -> None:
        self._source.close()


def _document(source: Archive, descriptor: Descriptor, limit: int) -> bytes:
    """A manifest or config of a layout, verified."""
    data = archive.read(source, _blob_name(descriptor.digest), limit)
    if manifest.digest_like(data, descriptor.digest) != descriptor.digest:
        raise Invalid(f"the blob {descriptor.digest} is damaged: its content has another digest")
    return data


def _blob_name(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"

"""Writing images to archives and folders: `save`, and `push` to anything but a registry.

Formats: the archive of "docker save" (manifest.json); OCI image-spec, image-layout.md;
containers-transports(5) for `dir:`. A docker-archive has plain layers, so that docker's oldest readers take
it; elsewhere layers and manifests stay the bytes that they are where the format allows it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pyctr.image import load, manifest, places, reference, rendering, sinks
from pyctr.image.manifest import Descriptor, Invalid
from pyctr.image.places import Place
from pyctr.image.progress import SILENT, Progress
from pyctr.image.rendering import Content, Rendered, Wishes
from pyctr.image.sinks import Sink
from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.rootless.userns import default_maps
from pyctr.rootless.values import Value
from pyctr.storage import blobs, images, layers, paths, records
from pyctr.storage.compression import decompressed
from pyctr.storage.images import Image

_COPY = 1 << 20
_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_DIRECTORY = b"Directory Transport Version: 1.1\n"


class Chosen(Value):
    """An image that is saved, and the full names that it gets."""

    image: Image
    names: tuple[str, ...] = ()


def save(
    store: paths.Store,
    chosen: Sequence[Chosen],
    place: Place,
    wishes: Wishes | None = None,
    progress: Progress = SILENT,
) -> str:
    """Writes images to a place; the digest of the manifest there (of the last image). PyctrError names it.

    Only a docker-archive holds several images. The format in `wishes` is that of the place unless it says
    one. In an archive of docker's the name of the place becomes a full one.
    """
    if place.transport == "docker-archive" and place.name:
        place = place.replace(name=_full_name(place.name))
    if len(chosen) > 1 and place.transport != "docker-archive":
        raise PyctrError(f"{place.transport} holds one image only", "Use the format docker-archive.")
    label = place.path or "standard output"
    try:
        with images.making(store):
            if place.is_file():
                with sinks.tar_file(place.path) as tar:
                    return _write(store, chosen, place, wishes, tar, progress)
            folder = sinks.FolderSink(place.path)
            return _write(store, chosen, place, wishes, folder, progress)
    except BrokenPipeError:
        raise
    except PyctrError as error:
        raise PyctrError(f"cannot save to {label}: {error.message}", error.hint) from None
    except OSError as error:
        raise PyctrError(f"cannot save to {label}: {error.strerror}") from None


def _full_name(text: str) -> str:
    """With domain and tag: podman loads no other. PyctrError for what cannot be a tag."""
    found = reference.normalize(text)
    if found.digest:
        raise PyctrError(f"{text!r} has a digest, which a docker-archive cannot name", "Give a tag instead.")
    return str(found)


def _write(
    store: paths.Store,
    chosen: Sequence[Chosen],
    place: Place,
    wishes: Wishes | None,
    sink: Sink,
    progress: Progress,
) -> str:
    if place.transport == "docker-archive":
        given = [each.replace(names=(place.name,)) for each in chosen] if place.name else chosen
        return _write_docker(store, given, sink, progress)
    [one] = chosen
    if place.transport == "dir":
        wishes = _without_zstd(store, one.image, wishes or Wishes(format="v2s2", compress=False))
        return _write_directory(store, one.image, wishes, sink, progress)
    names = (place.name,) if place.name else one.names
    return _write_layout(store, one.image, names, wishes or Wishes(format="oci"), sink, progress)


# docker-archive


def _write_docker(store: paths.Store, chosen: Sequence[Chosen], sink: Sink, progress: Progress) -> str:
    entries: dict[str, dict[str, Any]] = {}
    digest = ""
    for each in chosen:
        entry, digest = _add_docker(store, each.image, sink, progress)
        known = entries.setdefault(each.image.id, entry)
        known["RepoTags"] = list(dict.fromkeys([*known["RepoTags"], *each.names]))
    progress.line("Writing manifest to image destination")
    _put(sink, "manifest.json", _json(list(entries.values())))
    return digest


def _add_docker(
    store: paths.Store, image: Image, sink: Sink, progress: Progress
) -> tuple[dict[str, Any], str]:
    """Its entry of manifest.json, and the digest of the manifest that a reader will make of it."""
    progress.line("Getting image source signatures")
    described = []
    for layer in image.layers:
        size = _plain_size(store, layer)
        name = f"{layer.diff_id.partition(':')[2]}.tar"
        progress.blob_started(layer.diff_id, size)
        skipped = sink.has(name, size)
        if not skipped:
            sink.add(name, size, _moving(_plain(store, layer), layer.diff_id, progress))
        progress.blob_done(layer.diff_id, skipped=skipped)
        described.append((layer.diff_id, size, name))
    config = rendering.stored(store, Descriptor(manifest.DOCKER_CONFIG, image.config_digest, 0))
    name = f"{image.id}.json"
    _copy_config(sink, name, config, progress)
    data = blobs.read_blob(store, image.config_digest, manifest.CONFIG_LIMIT)
    rows = [Descriptor(f"{manifest.DOCKER_LAYER}.gzip", digest, size) for digest, size, _ in described]
    files = [file for _, _, file in described]
    made = load.docker_manifest(data, rows)
    return {"Config": name, "RepoTags": [], "Layers": files}, manifest.digest_of(made)


def _plain(store: paths.Store, layer: images.ImageLayer) -> Iterator[bytes]:
    """The tar of a layer, verified by its diff id. Invalid when it is damaged."""
    found = hashlib.new(layer.diff_id.partition(":")[0])
    with rendering.stored(store, Descriptor(layer.media_type, layer.digest, layer.size)).open() as file:
        for chunk in decompressed(file):
            found.update(chunk)
            yield chunk
    if found.hexdigest() != layer.diff_id.partition(":")[2]:
        raise Invalid(f"layer {layer.digest} is damaged on disk", "Remove the image and get it again.")


def _plain_size(store: paths.Store, layer: images.ImageLayer) -> int:
    """Bytes of its tar: as it was counted when the layer was unpacked, else counted now."""
    if layer.digest == layer.diff_id:
        return rendering.stored(store, Descriptor("", layer.digest, 0)).descriptor.size
    folder = store.layers(layers.layer_key(store, default_maps()))
    path = f"{folder}/{layers.layer_name(layer.chain_id)}/{paths.LAYER_RECORD}"
    try:
        return records.read_record(path, layers.Layer, layers.LAYER_VERSION).size
    except (FileNotFoundError, BrokenRecord):
        return sum([len(chunk) for chunk in _plain(store, layer)])


# OCI image layout


def _write_layout(
    store: paths.Store,
    image: Image,
    names: tuple[str, ...],
    wishes: Wishes,
    sink: Sink,
    progress: Progress,
) -> str:
    """Blobs first, then index.json, which keeps what a layout lists under other names."""
    before = _entries(sink.read("index.json"))
    data, media_type, config, contents = _render(store, image, wishes, progress)
    digest = manifest.digest_of(data)
    for content in contents:
        _copy(sink, _blob_name(content.descriptor.digest), content, progress)
    _copy_config(sink, _blob_name(config.descriptor.digest), config, progress)
    _put(sink, _blob_name(digest), data)
    entry = {"mediaType": media_type, "digest": digest, "size": len(data)}
    named = [{**entry, "annotations": {_REF_NAME: name}} for name in names] or [entry]
    kept = [each for each in before if _name_of(each) not in names and (names or each != entry)]
    progress.line("Writing manifest to image destination")
    index = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [*kept, *named]}
    _put(sink, "oci-layout", _LAYOUT)
    _put(sink, "index.json", _json(index))
    return digest


def _entries(index: bytes | None) -> list[dict[str, Any]]:
    """What a layout lists already. Invalid when it is none."""
    if index is None:
        return []
    found = manifest.parse(index, "", "index.json")
    if not isinstance(found, manifest.Index):
        raise Invalid("its index.json is no index of an OCI layout", "Choose another folder.")
    entries: list[dict[str, Any]] = json.loads(index)["manifests"]
    return entries


def _name_of(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(_REF_NAME, ""))


def _blob_name(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


# dir


def _write_directory(
    store: paths.Store, image: Image, wishes: Wishes, sink: Sink, progress: Progress
) -> str:
    data, _, config, contents = _render(store, image, wishes, progress)
    _put(sink, "version", _DIRECTORY)
    for content in contents:
        _copy(sink, content.descriptor.digest.partition(":")[2], content, progress)
    _copy_config(sink, config.descriptor.digest.partition(":")[2], config, progress)
    progress.line("Writing manifest to image destination")
    _put(sink, "manifest.json", data)
    return manifest.digest_of(data)


def _without_zstd(store: paths.Store, image: Image, wishes: Wishes) -> Wishes:
    """Docker's manifests have no type for zstd: such layers become gzip."""
    if wishes.format != "v2s2" or wishes.compression:
        return wishes
    source = rendering.source_of(store, image)
    kept = wishes.replace(compress=False)
    kinds = [rendering.layer(store, source, at, kept).kind for at in range(len(image.layers))]
    return wishes.replace(compression="gzip", force=True) if "zstd" in kinds else wishes


# What both folders share


def _render(
    store: paths.Store, image: Image, wishes: Wishes, progress: Progress
) -> tuple[bytes, str, Content, list[Content]]:
    """The manifest and its type, the config, and the layers, each digest once."""
    rendering.check(wishes)
    progress.line("Getting image source signatures")
    source = rendering.source_of(store, image)
    made: dict[str, Rendered] = {}
    for at, entry in enumerate(source.manifest.layers):
        if entry.digest not in made:
            made[entry.digest] = rendering.layer(store, source, at, wishes)
    rendered = [made[entry.digest] for entry in source.manifest.layers]
    data, media_type = rendering.document(source, rendered, wishes)
    config = rendering.stored(store, source.manifest.config)
    return data, media_type, config, [each.content for each in made.values()]


def _copy(sink: Sink, name: str, content: Content, progress: Progress) -> None:
    blob = content.descriptor
    progress.blob_started(blob.digest, blob.size)
    skipped = sink.has(name, blob.size)
    if not skipped:
        sink.add(name, blob.size, _moving(_verified(content), blob.digest, progress))
    progress.blob_done(blob.digest, skipped=skipped)


def _copy_config(sink: Sink, name: str, content: Content, progress: Progress) -> None:
    progress.pause()
    progress.line(f"Copying config {content.descriptor.digest}")
    if not sink.has(name, content.descriptor.size):
        sink.add(name, content.descriptor.size, _verified(content))


def _verified(content: Content) -> Iterator[bytes]:
    """The bytes of a blob. Invalid when they have rotted on disk."""
    algorithm, _, value = content.descriptor.digest.partition(":")
    found = hashlib.new(algorithm)
    with content.open() as file:
        while chunk := file.read(_COPY):
            found.update(chunk)
            yield chunk
    if found.hexdigest() != value:
        raise Invalid(f"blob {content.descriptor.digest} is damaged on disk", "Get the image again.")


def _moving(chunks: Iterable[bytes], digest: str, progress: Progress) -> Iterator[bytes]:
    there = 0
    for chunk in chunks:
        there += len(chunk)
        yield chunk
        progress.blob_moved(digest, there)


def _put(sink: Sink, name: str, data: bytes) -> None:
    sink.add(name, len(data), [data])


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def place_of(save_format: str, path: str) -> Place:
    """The place for `save --format`. PyctrError when a folder has no path."""
    transport = places.FORMATS[save_format]
    place = Place(transport, path)
    if not path and not place.is_file():
        raise PyctrError(f"--format {save_format} is a folder, which needs a name", "Name it with --output.")
    return place

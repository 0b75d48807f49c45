"""From checked documents to a local image: layers, record, names, in an order that a crash cannot hurt."""

from collections.abc import Sequence

from pyctr.image.manifest import DOCKER_MANIFEST, Config, Invalid, Manifest
from pyctr.image.progress import Progress
from pyctr.rootless.userns import default_maps
from pyctr.storage import blobs, images, layers, paths, records
from pyctr.storage.images import Image, ImageLayer
from pyctr.storage.pins import Pin


def make_image(manifest_digest: str, manifest: Manifest, config: Config, what: str) -> Image:
    """The record of an image. Raises Invalid when manifest and config do not fit each other."""
    if not manifest.config.digest.startswith("sha256:"):
        raise Invalid(
            f"{what}: its config has the digest {manifest.config.digest}; only sha256 is supported"
        )
    if len(config.diff_ids) != len(manifest.layers):
        raise Invalid(
            f"{what} has {len(manifest.layers)} layers, but its config lists {len(config.diff_ids)}"
        )
    return Image(
        version=images.IMAGE_VERSION,
        id=manifest.config.digest.removeprefix("sha256:"),
        manifest_digest=manifest_digest,
        manifest_media_type=manifest.media_type,
        created=config.created,
        architecture=config.architecture,
        os=config.os,
        variant=config.variant,
        author=config.author,
        size=manifest.config.size + sum([layer.size for layer in manifest.layers]),
        layers=_layers(manifest, config),
        config=config.config,
        history=config.history,
    )


def _layers(manifest: Manifest, config: Config) -> tuple[ImageLayer, ...]:
    chain = images.chain_ids(config.diff_ids)
    rows = zip(manifest.layers, config.diff_ids, chain, strict=True)
    return tuple(
        [
            ImageLayer(blob.digest, diff_id, chain_id, blob.media_type, blob.size)
            for blob, diff_id, chain_id in rows
        ]
    )


def keep(pin: Pin, image: Image, names: Sequence[str], progress: Progress, *, top_digest: str = "") -> Image:
    """Unpacks what is missing, writes the record, then the names. Its blobs are stored and pinned.

    `top_digest` is that of the index or manifest by which the names were resolved. The image as it was
    recorded: its size is what its layers hold unpacked, as podman counts.
    """
    progress.pause()
    pin.add_layers(image)
    key, folders = layers.ensure_layers(pin.store, image, default_maps())
    _check_sizes(pin.store, image)
    image = image.replace(size=_unpacked_size(pin.store.layers(key), folders))
    if image.manifest_media_type == DOCKER_MANIFEST:
        from pyctr.image import ocitwin

        image = ocitwin.put(pin, image)
    progress.line("Writing manifest to image destination")
    with images.making(pin.store):
        images.put_image(pin.store, image)
        for name in names:
            images.add_name(pin.store, name, image.id, top_digest or image.manifest_digest)
    return image


def _check_sizes(store: paths.Store, image: Image) -> None:
    """Raises Invalid for a layer of another size than its manifest says, which was here already."""
    for layer in image.layers:
        size = blobs.blob_size(store, layer.digest)
        if size != layer.size:
            raise Invalid(f"layer {layer.digest} has {size} bytes, but its manifest says {layer.size}")


def _unpacked_size(folder: str, names: Sequence[str]) -> int:
    found = [
        records.read_record(f"{folder}/{name}/{paths.LAYER_RECORD}", layers.Layer, layers.LAYER_VERSION)
        for name in names
    ]
    return sum([layer.size for layer in found])

"""Pulls and pushes with nothing to do: found out at a glance, without a client, where that is possible.

None is no answer: then the whole way is gone, which also tells what is wrong. Nothing is written.
"""

import os

from pyctr.image import glance, manifest, reference, registries
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import images, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.manifest import Descriptor
    from pyctr.image.progress import Progress
    from pyctr.image.pull import PullOptions
    from pyctr.image.reference import Reference
    from pyctr.image.rendering import Source, Wishes
    from pyctr.storage.images import Image


def pulled(store: paths.Store, name: str, options: "PullOptions", progress: "Progress") -> "Image | None":
    """The image that was pulled by this name, if it is whole and the registry still has it so."""
    try:
        full = _first(store, name)
        image = _still_pulled(store, full, options)
    except (PyctrError, OSError):
        return None
    if image:
        _tell_pulled(full, image, progress)
    return image


def _still_pulled(store: paths.Store, full: "Reference", options: "PullOptions") -> "Image | None":
    known = images.read_name(store, str(full))
    if not known or not full.tag or not _is_alone(store, full, options.tls_verify):
        return None
    target = f"/v2/{full.path}/manifests/{full.tag}"
    asked = glance.Glance(full.domain, [(target, ", ".join(manifest.ACCEPTED))])
    try:
        image = images.read_image(store, known.image)
        is_whole = _would_be_pulled(store, image, known.manifest_digest, options)
        told = asked.answers() if is_whole else []
    finally:
        asked.close()
    if not told or "ratelimit-limit" in told[0] or _digest(told[0]) != known.manifest_digest:
        return None
    return image


def _first(store: paths.Store, name: str) -> "Reference":
    """The full name that is tried first. PyctrError."""
    return registries.candidates(registries.load(store), reference.parse(name.removeprefix("docker://")))[0]


def _is_alone(store: paths.Store, full: "Reference", tls_verify: bool | None) -> bool:
    """Whether a full name is on this machine, and registries.conf says nothing else of it. PyctrError."""
    if not glance.fits(full.domain, tls_verify):
        return False
    return registries.sources(registries.load(store), full) == (registries.Source(full),)


def _digest(headers: "dict[str, str]") -> str:
    return headers.get("docker-content-digest", "")


def _would_be_pulled(store: paths.Store, image: "Image", top: str, options: "PullOptions") -> bool:
    """Whether a pull of the document `top` would bring this very image, and everything of it is here."""
    if not image.pulled or options.wants_platform() or not _is_chosen(store, image, top):
        return False
    digests = (top, image.manifest_digest, image.config_digest, *[layer.digest for layer in image.layers])
    return all([os.path.exists(store.blob(digest)) for digest in digests]) and _is_unpacked(store, image)


def _is_chosen(store: paths.Store, image: "Image", top: str) -> bool:
    """Whether this machine takes the image from the document `top`: it may have been pulled for another.

    PyctrError or OSError when `top` cannot be read.
    """
    from pyctr.image import platform
    from pyctr.storage import blobs

    here = platform.host()
    if top == image.manifest_digest:
        return (image.os, image.architecture) == (here.os, here.architecture)
    parsed = manifest.parse(blobs.read_blob(store, top), "", top)
    if not isinstance(parsed, manifest.Index):
        return False
    return platform.choose(parsed, here, top).digest == image.manifest_digest


def _is_unpacked(store: paths.Store, image: "Image") -> bool:
    from pyctr.rootless.userns import default_maps
    from pyctr.storage import layers

    folder = store.layers(layers.layer_key(store, default_maps()))
    rows = [(layers.layer_name(layer.chain_id), layer.chain_id) for layer in image.layers]
    return all([layers.is_complete(folder, *row) for row in rows])


def _tell_pulled(full: "Reference", image: "Image", progress: "Progress") -> None:
    """The same that the whole way tells."""
    progress.line(f"Trying to pull {full}...")
    progress.line("Getting image source signatures")
    for layer in {layer.digest: layer for layer in image.layers}.values():
        progress.blob_started(layer.digest, layer.size)
        progress.blob_done(layer.digest, skipped=True)
    progress.line(f"Copying config {image.config_digest}")
    progress.pause()
    progress.line("Writing manifest to image destination")


def pushed(
    store: paths.Store,
    image: "Image",
    to: "Reference",
    wishes: "Wishes",
    tls_verify: bool | None,
    progress: "Progress",
) -> str:
    """The digest of an image's manifest at its destination if the registry has that and all blobs, else an
    empty text.
    """
    try:
        if not _is_alone(store, to, tls_verify):
            return ""
        sent = _sent(store, image, wishes)
        digest = manifest.digest_like(sent.data, to.digest or image.manifest_digest) if sent else ""
    except (PyctrError, OSError):
        return ""
    if not sent or not _has_all(to, digest, sent):
        return ""
    _tell_pushed(sent.source, progress)
    return digest


class Sent(Value):
    """What a push would bring to a registry."""

    source: "Source"
    blobs: "tuple[Descriptor, ...]"
    data: bytes  # the manifest
    media_type: str


def _sent(store: paths.Store, image: "Image", wishes: "Wishes") -> Sent | None:
    """None when that cannot be known without compressing layers."""
    from pyctr.image import rendering

    rendering.check(wishes)
    source = rendering.source_of(store, image)
    known = [rendering.known(store, source, at, wishes) for at in range(len(source.manifest.layers))]
    layers = [layer for layer in known if layer]
    if len(layers) < len(known):
        return None
    blobs = (source.manifest.config, *[layer.content.descriptor for layer in layers])
    return Sent(source, blobs, *rendering.document(source, layers, wishes))


def _has_all(to: "Reference", digest: str, sent: Sent) -> bool:
    """Whether a repository has these blobs, and this manifest under the tag or digest of `to`."""
    sizes = {blob.digest: blob.size for blob in sent.blobs}
    targets = [(f"/v2/{to.path}/blobs/{each}", "") for each in sizes]
    targets.append((f"/v2/{to.path}/manifests/{to.digest or to.tag}", sent.media_type))
    told = glance.Glance(to.domain, targets).answers()
    if not told or _digest(told[-1]) != digest:
        return False
    return all([_is_blob(told[at], *blob) for at, blob in enumerate(sizes.items())])


def _is_blob(headers: "dict[str, str]", digest: str, size: int) -> bool:
    return (
        headers.get("content-length") == str(size) and headers.get("docker-content-digest", digest) == digest
    )


def _tell_pushed(source: "Source", progress: "Progress") -> None:
    """The same that the whole way tells."""
    progress.line("Getting image source signatures")
    for layer in {layer.digest: layer for layer in source.manifest.layers}.values():
        progress.blob_started(layer.digest, layer.size)
        progress.blob_done(layer.digest, skipped=True)
    progress.pause()
    progress.line(f"Copying config {source.manifest.config.digest}")
    progress.line("Writing manifest to image destination")

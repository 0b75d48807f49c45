"""Pushing an image to a registry: its blobs, several at once, then its manifest.

Nothing is written to the store. A crash leaves blobs in the registry that no manifest names, which it
removes in its own time; the tag is moved last, by one request.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from pyctr.image import manifest, parallel, registries, rendering
from pyctr.image.manifest import Descriptor
from pyctr.image.progress import Progress
from pyctr.image.reference import Reference, parse
from pyctr.image.rendering import Content, Rendered, Source, Wishes
from pyctr.image.transport import Access
from pyctr.image.upload import Uploader
from pyctr.rootless.errors import PyctrError
from pyctr.storage import images, paths, variants

_SOURCES = 3  # repositories that are asked to share a blob


def push(
    store: paths.Store,
    image: images.Image,
    to: Reference,
    wishes: Wishes,
    access: Access,
    progress: Progress,
) -> str:
    """Pushes a local image to a full name; the digest of its manifest there. Raises PyctrError."""
    rendering.check(wishes)
    with naming(to), ExitStack() as stack:
        with images.making(store):  # not for the time of the push, which may be hours
            source = rendering.source_of(store, image).held(store, stack)
        uploader = Uploader(to, registries.reached(store, str(to), access))
        progress.line("Getting image source signatures")
        uploader.has_blob(source.manifest.config)  # whoever cannot be reached is told at once
        layers = push_layers(store, source, uploader, _sources(store, to), wishes, progress)
        data, media_type = rendering.document(source, layers, wishes)
        push_config(store, source, uploader, progress)
        digest = manifest.digest_like(data, to.digest or image.manifest_digest)
        if to.digest and to.digest != digest:
            raise PyctrError(f"the manifest to be pushed has the digest {digest}", "Push to a tag instead.")
        progress.line("Writing manifest to image destination")
        uploader.put_manifest(data, media_type, to.digest or to.tag)
        return digest


@contextmanager
def naming(to: Reference) -> Iterator[None]:
    """Lets an error name the destination."""
    try:
        yield
    except PyctrError as error:
        error.message = f"pushing to docker://{to}: {error.message}"
        error.args = (error.message,)
        raise


def _sources(store: paths.Store, to: Reference) -> dict[str, tuple[str, ...]]:
    """By digest of a layer: the repositories of the same registry whose local images have it too."""
    found: dict[str, tuple[str, ...]] = {}
    for row in images.list_images(store):
        named = [parse(name) for name in row.names]
        repositories = {
            each.path: None for each in named if each.domain == to.domain and each.path != to.path
        }
        for layer in row.image.layers if row.image and repositories else ():
            found[layer.digest] = (*found.get(layer.digest, ()), *repositories)
    return found


def _holders(store: paths.Store, digest: str, to: Reference, named: tuple[str, ...]) -> tuple[str, ...]:
    """The repositories that may share a blob: those that had it when it was pushed, then the named ones."""
    start = f"{to.domain}/"
    pushed = [name.removeprefix(start) for name in variants.holders(store, digest) if name.startswith(start)]
    return tuple(dict.fromkeys([each for each in (*pushed, *named) if each != to.path]))[:_SOURCES]


def push_layers(
    store: paths.Store,
    source: Source,
    uploader: Uploader,
    shared: dict[str, tuple[str, ...]],
    wishes: Wishes,
    progress: Progress,
) -> list[Rendered]:
    """Brings all layers up, several at once, each digest once."""
    entries = source.manifest.layers
    first = {entry.digest: at for at, entry in reversed(list(enumerate(entries)))}
    for digest, at in first.items():
        progress.blob_started(digest, entries[at].size)

    def one(at: int, stop: threading.Event) -> Rendered:
        digest = entries[at].digest
        known = rendering.remembered(store, source, at, wishes)
        if known and _shares(store, uploader, known.content.descriptor, shared, stop):
            progress.blob_done(digest, skipped=True)
            return known
        rendered = rendering.layer(store, source, at, wishes)
        blob = rendered.content.descriptor
        sources = _holders(store, blob.digest, uploader.to, shared.get(blob.digest, ()))
        sent = send(uploader, rendered.content, entries[at], sources, stop, progress)
        variants.remember_holder(store, blob.digest, uploader.name)
        progress.blob_done(digest, skipped=not sent)
        return rendered

    order = list(first.values())
    made = dict(zip(order, parallel.each(order, one), strict=True)) if order else {}
    return [made[first[entry.digest]] for entry in entries]


def _shares(
    store: paths.Store,
    uploader: Uploader,
    blob: Descriptor,
    shared: dict[str, tuple[str, ...]],
    stop: threading.Event,
) -> bool:
    """Whether the repository has a blob, or gets it from another one of the registry."""
    if uploader.has_blob(blob):
        return True
    sources = _holders(store, blob.digest, uploader.to, shared.get(blob.digest, ()))
    return bool(sources) and uploader.share_blob(blob, sources, stop)


def send(
    uploader: Uploader,
    content: Content,
    entry: Descriptor,
    sources: tuple[str, ...],
    stop: threading.Event,
    progress: Progress,
) -> bool:
    """Brings one blob up; False when the registry has it already. Progress is told in bytes of `entry`."""
    if uploader.has_blob(content.descriptor):
        return False
    scale = entry.size / max(content.descriptor.size, 1)
    uploader.send_blob(content, _scaled(progress, entry.digest, scale), stop, sources)
    return True


def _scaled(progress: Progress, digest: str, scale: float) -> Callable[[int], None]:
    return lambda there: progress.blob_moved(digest, int(there * scale))


def push_config(store: paths.Store, source: Source, uploader: Uploader, progress: Progress) -> None:
    """Brings the config of an image up, unless the registry has it."""
    content = source.content(store, source.manifest.config)
    progress.pause()
    progress.line(f"Copying config {content.descriptor.digest}")
    if not uploader.has_blob(content.descriptor):
        uploader.send_blob(content, lambda there: None, threading.Event())

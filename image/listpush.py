"""Pushing a manifest list: its images by their digests, then the index under its tag.

What only another registry has goes through the store, and the next sweep takes it out again. All of it is
pinned meanwhile: the list and its images may be removed. A crash leaves here what the next rmi or image
prune removes, and in the registry blobs and images without a tag: that is moved last.
"""

import threading
from typing import BinaryIO

from pyctr.image import keeping, manifest, manifestlist, parallel, push, registries, rendering
from pyctr.image.manifest import Descriptor, Invalid, Manifest
from pyctr.image.progress import Progress
from pyctr.image.reference import Reference, parse
from pyctr.image.registry import Repository
from pyctr.image.rendering import Content, Source, Wishes
from pyctr.image.transport import Access
from pyctr.image.upload import Uploader
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, images, manifestlists, paths, sweep
from pyctr.storage.manifestlists import Entry, ManifestList
from pyctr.storage.pins import Pin


class _Way(Value):
    """From where to where, and how."""

    store: paths.Store
    to: Reference
    uploader: Uploader
    wishes: Wishes
    access: Access
    progress: Progress


def push_list(
    store: paths.Store,
    manifests: ManifestList,
    to: Reference,
    wishes: Wishes,
    access: Access,
    progress: Progress,
    *,
    every: bool = True,
) -> str:
    """Pushes a list, with `every` one of its images; the digest of its index there. Raises PyctrError.

    The format is that of the list; docker's, v2s2, wants images of the same. The other wishes are for these.
    """
    rendering.check(wishes)
    form = wishes.format or "oci"
    wishes = wishes.replace(format="v2s2" if form == "v2s2" else "")
    with push.naming(to), Pin(store) as pin:
        if to.digest:
            raise PyctrError("a manifest list cannot be pushed to a digest", "Push to a tag instead.")
        uploader = Uploader(to, registries.reached(store, str(to), access))
        way = _Way(store, to, uploader, wishes, access, progress)
        manifests = _pinned(pin, manifests.id) if every else manifests
        entries = [_push_entry(way, each) if every else each for each in manifests.entries]
        data = manifestlist.document(manifestlist.index(manifests, entries, form))
        progress.line("Writing manifest list to image destination")
        way.uploader.put_manifest(data, manifestlist.TYPES[form], to.tag)
    if every and any([entry.source for entry in manifests.entries]):
        sweep.sweep(store)
    return manifest.digest_of(data)


def _pinned(pin: Pin, list_id: str) -> ManifestList:
    """The list as it is now. All that its images need stays from now on. NoSuchList, PyctrError."""
    with images.making(pin.store):
        current = manifestlists.read(pin.store, list_id)
        for entry in current.entries:
            found, _data = _manifest_of(pin.store, entry)
            pin.add([entry.digest, *[blob.digest for blob in (found.config, *found.layers)]])
    return current


def _manifest_of(store: paths.Store, entry: Entry) -> tuple[Manifest, bytes]:
    data = blobs.read_blob(store, entry.digest)
    found = manifest.parse(data, entry.media_type, entry.digest)
    if not isinstance(found, Manifest):
        raise Invalid(f"{entry.digest} is not the manifest of an image")
    return found, data


def _push_entry(way: _Way, entry: Entry) -> Entry:
    """Brings one image up; its entry as it is there."""
    found, data = _manifest_of(way.store, entry)
    way.progress.line(f"Copying image {entry.digest}")
    if entry.source and _stays(entry, way.wishes):
        return _copy(way, entry, found, data)
    if entry.source:
        _fetch_all(way, entry, found)
    return _render(way, entry, found, data)


def _stays(entry: Entry, wishes: Wishes) -> bool:
    """Whether an image goes out as it came."""
    fits = wishes.format != "v2s2" or entry.media_type == manifest.DOCKER_MANIFEST
    return fits and not wishes.force


def _copy(way: _Way, entry: Entry, found: Manifest, data: bytes) -> Entry:
    """From one repository to another, byte by byte; within one registry by its own means."""
    origin = parse(entry.source)
    if origin.repository != way.to.repository:
        repository = _origin(way, origin)
        sources = (origin.path,) if origin.domain == way.to.domain else ()
        wanted = list({blob.digest: blob for blob in (*found.layers, found.config)}.values())
        for blob in wanted:
            way.progress.blob_started(blob.digest, blob.size)

        def one(blob: Descriptor, stop: threading.Event) -> None:
            content = Content(blob, lambda: _fetched(way.store, repository, blob, stop))
            sent = push.send(way.uploader, content, blob, sources, stop, way.progress)
            way.progress.blob_done(blob.digest, skipped=not sent)

        parallel.each(wanted, one)
        way.progress.pause()
    way.uploader.put_manifest(data, entry.media_type, entry.digest)
    return entry


def _origin(way: _Way, origin: Reference) -> Repository:
    """Where an image comes from. What the user said about the destination is for no other registry."""
    access = way.access
    if origin.domain != way.to.domain:
        access = access.replace(credentials=None, cert_dir="", tls_verify=access.tls_verify or None)
    return Repository(origin, registries.reached(way.store, str(origin), access))


def _fetched(
    store: paths.Store, repository: Repository, blob: Descriptor, stop: threading.Event
) -> BinaryIO:
    """A blob of another registry, brought into the store unless it is there."""
    if not blobs.has_blob(store, blob.digest):
        repository.fetch_blob(store, blob, lambda there: None, stop)
    return blobs.open_blob(store, blob.digest)


def _fetch_all(way: _Way, entry: Entry, found: Manifest) -> None:
    """Brings all that is to be changed."""
    repository = _origin(way, parse(entry.source))

    def one(blob: Descriptor, stop: threading.Event) -> None:
        _fetched(way.store, repository, blob, stop).close()

    parallel.each(list({blob.digest: blob for blob in (*found.layers, found.config)}.values()), one)


def _render(way: _Way, entry: Entry, found: Manifest, data: bytes) -> Entry:
    """An image of the store, changed where that is wanted."""
    config = manifest.parse_config(
        blobs.read_blob(way.store, found.config.digest, manifest.CONFIG_LIMIT), found.config.digest
    )
    image = keeping.make_image(entry.digest, found, config, entry.digest).replace(pulled=entry.pulled)
    source = Source(image, found, data)
    layers = push.push_layers(way.store, source, way.uploader, {}, way.wishes, way.progress)
    push.push_config(way.store, source, way.uploader, way.progress)
    data, media_type = rendering.document(source, layers, way.wishes)
    digest = manifest.digest_like(data, entry.digest)
    way.uploader.put_manifest(data, media_type, digest)
    return entry.replace(digest=digest, size=len(data), media_type=media_type)

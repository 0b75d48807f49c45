"""The transfer of an image from a registry: manifest, config, all missing layers at once, then unpacking.

Order: blobs, layers, record, name. A crash in between leaves the old image, and garbage that is swept.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pyctr.image import keeping, manifest, parallel, platform, registries
from pyctr.image.credentials import from_option
from pyctr.image.manifest import Config, Descriptor, Index, Invalid, Manifest, Platform
from pyctr.image.progress import SILENT, Progress
from pyctr.image.pull import PullOptions
from pyctr.image.reference import Reference, is_digest
from pyctr.image.registries import Source
from pyctr.image.registry import Repository
from pyctr.image.transport import Access, Unreachable
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.userns import default_maps
from pyctr.rootless.values import Value
from pyctr.storage import blobs, images, layerbuild, paths
from pyctr.storage.images import Image
from pyctr.storage.layerbuild import Build
from pyctr.storage.pins import Pin

R = TypeVar("R")

_NESTED = 3  # indexes in indexes


class Resolved(Value):
    """What a name led to: a manifest, with its bytes."""

    manifest: Manifest
    digest: str
    data: bytes
    top: tuple[tuple[str, bytes], ...]  # digest and bytes of the indexes on the way

    @property
    def top_digest(self) -> str:
        """The digest of the document that the name stands for."""
        return self.top[0][0] if self.top else self.digest


def access(options: PullOptions) -> Access:
    """How a registry is reached for these options."""
    return Access(
        tls_verify=options.tls_verify,
        cert_dir=options.cert_dir,
        credentials=from_option(options.creds) if options.creds else None,
        auth_file=options.auth_file,
        retries=options.retries,
        retry_delay=options.retry_delay,
    )


def pull(store: paths.Store, reference: Reference, options: PullOptions, progress: Progress) -> Image:
    """Pulls the image of a full name and gives it that name. Raises PyctrError."""
    wanted = platform.wanted(
        options.platform, arch=options.arch, os_name=options.os, variant=options.variant
    )
    progress.line(f"Trying to pull {reference}...")
    with naming("initializing source", reference):
        repository, resolved = from_source(
            store, reference, options, lambda found: resolve(store, found, reference, wanted), progress
        )
    if repository.rate_limit:
        progress.line(repository.rate_limit)
    progress.line("Getting image source signatures")
    with naming("copying", reference), Pin(store) as pin:
        documents = (*resolved.top, (resolved.digest, resolved.data))
        pin.add([resolved.manifest.config.digest, *[digest for digest, _ in documents]])
        config = fetch_config(repository, store, resolved.manifest, str(reference))
        its = Platform(config.os, config.architecture, config.variant)
        if platform.mismatch(wanted, its):
            progress.warn(platform.warning(wanted, its))
        image = keeping.make_image(resolved.digest, resolved.manifest, config, str(reference))
        pin.add_layers(image)
        with layerbuild.building(store, image.layers, default_maps()) as build:
            fetch_layers(repository, store, resolved.manifest.layers, build, progress)
        progress.line(f"Copying config {resolved.manifest.config.digest}")
        for digest, data in documents:
            if not blobs.has_blob(store, digest):
                blobs.put_blob(store, data, digest)
        return keeping.keep(
            pin, image.replace(pulled=True), [str(reference)], progress, top_digest=resolved.top_digest
        )


def is_newer(store: paths.Store, known: tuple[str, ...], reference: Reference, options: PullOptions) -> bool:
    """Whether the registry has something of another digest under a full name. Raises PyctrError."""
    asked = reference.digest or reference.tag
    with naming("initializing source", reference):
        return from_source(store, reference, options, lambda found: found.digest(asked))[1] not in known


def from_source(
    store: paths.Store,
    reference: Reference,
    options: PullOptions,
    action: Callable[[Repository], R],
    progress: Progress = SILENT,
) -> tuple[Repository, R]:
    """The first place of a full name (mirrors, then itself) for which `action` succeeds, and its result.

    Passwords of --creds are for the registry that was named: mirrors get those of the credential files.
    """
    places = registries.sources(registries.load(store), reference)
    for place in places[:-1]:
        try:
            return _at(place, options, action)
        except PyctrError as error:
            progress.warn(f"mirror {place.reference.repository}: {error.message}")
    return _at(places[-1], options, action)


def _at(place: Source, options: PullOptions, action: Callable[[Repository], R]) -> tuple[Repository, R]:
    how = access(options.replace(creds="") if place.mirror else options)
    repository = Repository(place.reference, place.reached(how))
    return repository, action(repository)


@contextmanager
def naming(doing: str, reference: Reference) -> Iterator[None]:
    """Lets an error name the image, in podman's words, beside what of it was not to be had."""
    try:
        yield
    except PyctrError as error:
        error.message = f"{doing} docker://{reference}: {error.message}"
        error.args = (error.message,)
        raise


def resolve(store: paths.Store, repository: Repository, reference: Reference, wanted: Platform) -> Resolved:
    """The manifest for the wanted platform, through indexes if need be. Raises Invalid."""
    what, asked, announced = str(reference), reference.digest or reference.tag, ""
    top: list[tuple[str, bytes]] = []
    for _ in range(_NESTED):
        data, told = _kept(store, repository, reference, asked) or repository.manifest(asked)
        document = manifest.parse(data, announced or told, what)
        digest = asked if asked.startswith("sha") and ":" in asked else manifest.digest_of(data)
        if isinstance(document, Manifest):
            return Resolved(document, digest, data, tuple(top))
        top.append((digest, data))
        entry = choose(document, wanted, what)
        asked, announced = entry.digest, entry.media_type
    raise Invalid(f"{what} is an index of indexes of indexes")


def _kept(
    store: paths.Store, repository: Repository, reference: Reference, asked: str
) -> tuple[bytes, str] | None:
    """A manifest that is stored already. By tag the registry is asked for the digest only, which is quick
    and does not count as a pull, and only where an older pull makes it likely.
    """
    digest = asked if is_digest(asked) else _told(store, repository, reference, asked)
    try:
        if digest.startswith("sha256:") and blobs.has_blob(store, digest):
            return blobs.read_blob(store, digest), ""
    except PyctrError:
        pass  # swept or rotten
    return None


def _told(store: paths.Store, repository: Repository, reference: Reference, asked: str) -> str:
    try:
        return repository.digest(asked) if images.find_name(store, (str(reference),)) else ""
    except Unreachable as error:
        if error.transient:
            raise
    return ""


def choose(index: Index, wanted: Platform, what: str) -> Descriptor:
    """The entry of an index that fits, of a type that is an image. Raises Invalid."""
    entry = platform.choose(index, wanted, what)
    if entry.size > manifest.MANIFEST_LIMIT:
        raise Invalid(
            f"{what} has a manifest of {entry.size} bytes, more than {manifest.MANIFEST_LIMIT >> 20} MiB"
        )
    return entry


def fetch_config(repository: Repository, store: paths.Store, found: Manifest, what: str) -> Config:
    """The config of an image, checked, stored as a blob. Raises Invalid."""
    digest = found.config.digest
    if digest.startswith("sha256:") and blobs.has_blob(store, digest):
        data = blobs.read_blob(store, digest, manifest.CONFIG_LIMIT)
        if len(data) != found.config.size:
            raise Invalid(f"config {digest} has {len(data)} bytes, but {what} says {found.config.size}")
        return manifest.parse_config(data, f"config of {what}")
    data = repository.small_blob(found.config, f"config of {what}")
    config = manifest.parse_config(data, f"config of {what}")
    blobs.put_blob(store, data, digest)
    return config


def fetch_layers(
    repository: Repository,
    store: paths.Store,
    layers: tuple[Descriptor, ...],
    build: Build,
    progress: Progress,
) -> None:
    """Brings all layers that are missing, several at once, and unpacks them as they arrive.

    The first failure ends all of it and is raised.
    """
    missing = []
    for layer in {layer.digest: layer for layer in layers}.values():
        progress.blob_started(layer.digest, layer.size)
        if blobs.has_blob(store, layer.digest):
            progress.blob_done(layer.digest, skipped=True)
            build.ready(layer.digest)
        else:
            missing.append(layer)

    def fetch(layer: Descriptor, stop: threading.Event) -> None:
        repository.fetch_blob(store, layer, lambda there: progress.blob_moved(layer.digest, there), stop)
        progress.blob_done(layer.digest)
        build.ready(layer.digest)

    def work(layer: Descriptor | None, stop: threading.Event) -> None:
        fetch(layer, stop) if layer else build.wait(stop, progress.layer_moved)

    parallel.each([None, *missing], work, parallel.CONNECTIONS + 1)
    build.finish()

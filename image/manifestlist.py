"""Manifest lists: made, filled from the store and from registries, and described as an index.

Sources: podman-manifest(1) and its parts; OCI image-spec, image-index.md; the distribution project's "Image
Manifest Version 2, Schema 2" for docker's lists.

What is added is pinned until the record of the list refers to it. A crash before that leaves the old list,
and manifests that the next rmi or image prune removes.
"""

import datetime
import json
import os
from collections.abc import Sequence
from typing import Any

from pyctr.image import lookup, manifest, platform, reference
from pyctr.image.lookup import Meant, NoSuchImage
from pyctr.image.manifest import Config, Descriptor, Index, Invalid
from pyctr.image.reference import Reference
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, images, manifestlists, paths
from pyctr.storage.images import Image
from pyctr.storage.manifestlists import Entry, ManifestList, NoSuchList
from pyctr.storage.pins import Pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.registry import Repository
    from pyctr.image.transport import Access

LOCAL, REMOTE = "containers-storage:", "docker://"
TYPES = {"oci": manifest.OCI_INDEX, "v2s2": manifest.DOCKER_LIST}


class Changes(Value):
    """What is recorded of an entry instead of what its image says; empty fields stay."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    annotations: dict[str, str] = {}

    def applied(self, entry: Entry) -> Entry:
        given = {name: value for name, value in self.to_json().items() if value and name != "annotations"}
        given = {name: tuple(value) if type(value) is list else value for name, value in given.items()}
        return entry.replace(**given, annotations={**entry.annotations, **self.annotations})


UNCHANGED = Changes()


def full_name(name: str) -> str:
    """The full name of a new list: localhost/ in front of a short one."""
    parsed = reference.normalize(name, reference.LOCAL_DOMAIN)
    if parsed.digest:
        raise PyctrError(f"{name} has a digest, which a manifest list cannot have", "Use a tag.")
    return str(parsed)


def meant(store: paths.Store, name: str) -> Meant:
    """The list, readable or not, that a user means by a name or an id. NoSuchList, PyctrError."""
    manifestlists.ids(store)  # those of an older pyctr get their names
    try:
        found = lookup.meant(store, name)
    except NoSuchImage:
        raise NoSuchList(str(reference.normalize(name, reference.LOCAL_DOMAIN))) from None
    if not found.is_list:
        raise NoSuchList(f"{name} (it is an image)")
    return found


def find(store: paths.Store, name: str) -> ManifestList:
    """The list that a user means by a name or an id. NoSuchList, BrokenRecord, PyctrError."""
    return manifestlists.read(store, meant(store, name).id)


def create(
    store: paths.Store, name: str, *, amend: bool = False, annotations: dict[str, str] | None = None
) -> ManifestList:
    """An empty list; with `amend` the one that has the name already. PyctrError when the name is taken."""
    full = full_name(name)
    manifestlists.ids(store)
    with images.making(store), manifestlists.lock(store):
        record = images.read_name(store, full)
        if record is not None:
            _check_taken(full, record, amend=amend)
            made = manifestlists.read(store, record.image)
        else:
            made = ManifestList(manifestlists.VERSION, os.urandom(32).hex(), _now())
        made = made.replace(annotations={**made.annotations, **(annotations or {})})
        manifestlists.write(store, made)
        if record is None:
            images.add_name(store, full, made.id, "", is_list=True)
    return made


def _check_taken(full: str, record: images.ImageName, *, amend: bool) -> None:
    if not record.is_list:
        raise PyctrError(f"{full} is the name of an image", "Choose another name, or untag the image.")
    if not amend:
        raise PyctrError(f"a manifest list {full} exists already", "Use --amend to change it.")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


def add(
    store: paths.Store,
    to: ManifestList,
    name: str,
    access: "Access",
    *,
    wanted: manifest.Platform,
    every: bool = False,
    changes: Changes = UNCHANGED,
) -> ManifestList:
    """Adds an image to a list: of the store, or of a registry (docker://). PyctrError.

    Of an index one image is added, that for the wanted platform, or `every` one.
    """
    with Pin(store) as pin:
        entries = _entries(pin, name, access, wanted, every=every)
        new = {entry.digest: changes.applied(entry) for entry in entries}
        with images.making(store), manifestlists.lock(store):
            current = manifestlists.read(store, to.id)
            kept = [entry for entry in current.entries if entry.digest not in new]
            current = current.replace(entries=(*kept, *new.values()))
            manifestlists.write(store, current)
    return current


def _entries(
    pin: Pin, name: str, access: "Access", wanted: manifest.Platform, *, every: bool
) -> list[Entry]:
    if not name.startswith(REMOTE):
        try:
            return [_local(pin, lookup.lookup(pin.store, name.removeprefix(LOCAL)))]
        except NoSuchImage:
            if name.startswith(LOCAL):
                raise
    return _remote(pin, name.removeprefix(REMOTE), access, wanted, every=every)


def _local(pin: Pin, image: Image) -> Entry:
    """The entry for an image of the store, whose blobs stay from now on. NoSuchObject."""
    pin.add(image.digests)
    image = images.read_image(pin.store, image.id)  # still: else a sweep may have been faster
    return Entry(
        image.manifest_digest,
        image.manifest_media_type,
        blobs.blob_size(pin.store, image.manifest_digest),
        architecture=image.architecture,
        os=image.os,
        variant=image.variant,
        pulled=image.pulled,
    )


def _remote(pin: Pin, name: str, access: "Access", wanted: manifest.Platform, *, every: bool) -> list[Entry]:
    repository, full, data, told = read_remote(pin.store, name, access)
    found = manifest.parse(data, told, str(full))
    if not isinstance(found, Index):
        return [_of_manifest(pin, repository, data, told, full.repository, None)]
    chosen = found.manifests if every else (platform.choose(found, wanted, str(full)),)
    return [_of_descriptor(pin, repository, each, full.repository) for each in chosen]


def read_remote(
    store: paths.Store, name: str, access: "Access"
) -> "tuple[Repository, Reference, bytes, str]":
    """Where a name leads to, the full name, the manifest there and the type that the registry tells."""
    from pyctr.image import registries
    from pyctr.image.registry import Repository

    full = reference.normalize(name)
    repository = Repository(full, registries.reached(store, str(full), access))
    return repository, full, *repository.manifest(full.digest or full.tag)


def _of_descriptor(pin: Pin, repository: "Repository", found: Descriptor, source: str) -> Entry:
    data, told = repository.manifest(found.digest)
    return _of_manifest(pin, repository, data, found.media_type or told, source, found)


def _of_manifest(
    pin: Pin,
    repository: "Repository",
    data: bytes,
    told: str,
    source: str,
    listed: Descriptor | None,
) -> Entry:
    """The entry for a manifest of a registry, which is stored. Its platform is what the index says of it."""
    parsed = manifest.parse(data, told, source)
    if isinstance(parsed, Index):
        raise Invalid(
            f"{source} has an index in an index", "Add the images of the inner one by their digests."
        )
    digest = pin.put_blob(data, listed.digest if listed else "")
    if listed and listed.platform:
        its, annotations = listed.platform, listed.annotations
    else:
        config = _config(repository, parsed.config, source)
        its, annotations = manifest.Platform(config.os, config.architecture, config.variant), {}
    return Entry(
        digest,
        parsed.media_type,
        len(data),
        architecture=its.architecture,
        os=its.os,
        variant=its.variant,
        annotations=annotations,
        source=source,
        pulled=True,
    )


def _config(repository: "Repository", descriptor: Descriptor, source: str) -> Config:
    data = repository.small_blob(descriptor, f"config of {source}")
    return manifest.parse_config(data, f"config of {source}")


def annotate(store: paths.Store, to: ManifestList, image: str, changes: Changes) -> ManifestList:
    """Changes what a list says of one of its images. PyctrError when it has no such image."""
    digest = _digest_in(store, to, image)
    with images.making(store), manifestlists.lock(store):
        current = manifestlists.read(store, to.id)
        entries = [changes.applied(each) if each.digest == digest else each for each in current.entries]
        current = current.replace(entries=tuple(entries))
        manifestlists.write(store, current)
    return current


def annotate_index(store: paths.Store, to: ManifestList, annotations: dict[str, str]) -> ManifestList:
    """Adds annotations to a list as a whole."""
    with images.making(store), manifestlists.lock(store):
        current = manifestlists.read(store, to.id)
        current = current.replace(annotations={**current.annotations, **annotations})
        manifestlists.write(store, current)
    return current


def remove_entry(store: paths.Store, to: ManifestList, image: str) -> ManifestList:
    """Takes an image out of a list. PyctrError when it is not in it."""
    digest = _digest_in(store, to, image)
    with images.making(store), manifestlists.lock(store):
        current = manifestlists.read(store, to.id)
        kept = tuple([entry for entry in current.entries if entry.digest != digest])
        current = current.replace(entries=kept)
        manifestlists.write(store, current)
    return current


def _digest_in(store: paths.Store, manifests: ManifestList, image: str) -> str:
    """The digest of an entry that is named by it, or by a local image."""
    known = {entry.digest for entry in manifests.entries}
    if image not in known and not reference.is_digest(image):
        try:
            image = lookup.lookup(store, image).manifest_digest
        except NoSuchImage:
            pass
    if image not in known:
        raise PyctrError(
            f"{image} is not in the manifest list {manifests.id[:12]}",
            f"pyctr manifest inspect {manifests.id[:12]} shows what is.",
        )
    return image


def index(manifests: ManifestList, entries: Sequence[Entry], form: str = "oci") -> dict[str, Any]:
    """The index for these entries: OCI's, or with v2s2 docker's list, which has no annotations."""
    described: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": TYPES[form],
        "manifests": [_described(entry, form) for entry in entries],
    }
    if manifests.annotations and form == "oci":
        described["annotations"] = manifests.annotations
    return described


def _described(entry: Entry, form: str) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": entry.media_type, "size": entry.size, "digest": entry.digest}
    described["platform"] = {"architecture": entry.architecture, "os": entry.os}
    optional = {"os.version": entry.os_version, "os.features": entry.os_features, "variant": entry.variant}
    if form == "v2s2":
        optional["features"] = entry.features
    given = {
        name: list(value) if type(value) is tuple else value for name, value in optional.items() if value
    }
    described["platform"].update(given)
    if entry.annotations and form == "oci":
        described["annotations"] = entry.annotations
    return described


def document(described: dict[str, Any]) -> bytes:
    """The bytes of an index."""
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()

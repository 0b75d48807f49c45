"""Removing images, and what no record refers to any more.

There are no reference counters: under the exclusive store lock the roots (images, names, containers, pins)
are read, and blobs and layers that none of them needs go. Makers of references hold the lock shared
(`images.making`), or have a pin (`pyctr.storage.pins`) where that takes time. Where a root cannot be read
nothing is swept, since nobody knows what it refers to.
"""

import os
import re
from collections.abc import Iterable
from typing import Any

from pyctr.rootless import jsontext
from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, images, layers, paths, pins, records, trees

_SPEC_VERSION = 1  # of runtime.spec, which lies above this package
# What the trial of drivers, load, doctor and reset make in the root folder, which may be one that holds
# other things too, among them a tmp.x of the user's own.
_TEMPORARY_OF_ROOT = re.compile(
    r"tmp\.([0-9a-f]{32}|[0-9]+\.[0-9a-f]{16}|doctor\.[a-z0-9_]{8}|[a-z]+\.[0-9a-f]{16})"
)
_HALF_OF_ROOT = re.compile(r"\.(index\.json|oci-layout)\.[0-9]+")


class Swept(Value):
    """What a sweep took: counts, and bytes of disk. `kept` tells why it took nothing."""

    blobs: int = 0
    layers: int = 0
    bytes: int = 0
    kept: str = ""


class User(Value):
    """What the spec of a container says of images and layers."""

    container: str  # id
    image: str
    key: str
    layers: tuple[str, ...]


class Renamed(PyctrError):
    """An image has got or lost a name since the caller looked."""


class Roots(Value):
    """Everything that is needed: blobs by digest, layers by key and name."""

    blobs: frozenset[str]
    layers: frozenset[tuple[str, str]]


def remove_image(
    store: paths.Store,
    image_id: str,
    *,
    expected: tuple[str, ...] | None = None,
    ignore_users: bool = False,
) -> tuple[tuple[str, ...], Swept]:
    """Removes an image with its names, and all that nothing needs any more; the names, and what was swept.

    NoSuchObject. Renamed when its names are not the `expected` ones. InUse (exit code 2) when containers
    were made from it, unless told to ignore them: their layers stay. A crash leaves the image, or garbage
    for the next sweep.
    """
    with _Sweep(store) as sweep:
        names = images.names_of(store, image_id)
        if not os.path.lexists(store.image(image_id)) and not names:
            raise NoSuchObject("image", image_id)
        if expected is not None and names != expected:
            raise Renamed(f"image {image_id[:12]} has the names {', '.join(names) or 'none'} by now")
        users = () if ignore_users else users_of(store, image_id)
        if users:
            raise InUse(
                f"image {image_id[:12]} is in use by the following container(s): {', '.join(users)}",
                "Remove the containers first, or use --force.",
                exit_code=2,
            )
        _remove_records(store, store.image(image_id), names)
        sweep.take_all()
    return names, sweep.result()


def remove_list(
    store: paths.Store, list_id: str, *, expected: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Swept]:
    """Removes a manifest list as `remove_image` does an image; its images stay. NoSuchList, Renamed."""
    from pyctr.storage import manifestlists

    path = store.manifest_list(list_id)
    with _Sweep(store) as sweep:
        names = images.names_of(store, list_id)
        if not os.path.lexists(path) and not names:
            raise manifestlists.NoSuchList(list_id)
        if expected is not None and names != expected:
            raise Renamed(f"manifest list {list_id[:12]} has the names {', '.join(names) or 'none'} by now")
        _remove_records(store, path, names)
        sweep.take_all()
    return names, sweep.result()


def _remove_records(store: paths.Store, path: str, names: tuple[str, ...]) -> None:
    for name in names:
        images.remove_name(store, name)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    else:
        records.sync_folder(os.path.dirname(path))
    images.refresh_index(store)


def sweep(store: paths.Store, age: int = 0) -> Swept:
    """Removes all blobs and layers that nothing refers to, and what interrupted calls left, unless it was
    changed less than `age` seconds ago.
    """
    with _Sweep(store, age) as taken:
        taken.take_all()
    return taken.result()


def users_of(store: paths.Store, image_id: str) -> tuple[str, ...]:
    """The ids of the containers that were made from an image. Broken ones are passed over."""
    found = []
    for container in _containers(store):
        try:
            user = _user(store, container)
        except BrokenRecord:
            continue
        if user is not None and user.image == image_id:
            found.append(container)
    return tuple(found)


def users_of_layer(store: paths.Store, name: str) -> list[str]:
    """The ids of the containers that are built on a layer, of whatever key, or may be: broken ones too."""
    found = []
    for container in _containers(store):
        try:
            user = _user(store, container)
        except BrokenRecord:
            found.append(container)
            continue
        if user is not None and name in user.layers:
            found.append(container)
    return found


def _containers(store: paths.Store) -> list[str]:
    return [
        name for name in records.names_in(store.containers()) if not name.startswith((".", paths.TEMPORARY))
    ]


def _user(store: paths.Store, container: str) -> User | None:
    """What a container refers to; None when it is gone."""
    path = f"{store.container(container)}/{paths.SPEC}"
    try:
        data = records.read_json(path)
    except FileNotFoundError:
        return None
    try:
        if data["version"] > _SPEC_VERSION:
            raise BrokenRecord(f"{path} was written by a newer pyctr")
        rootfs = data["rootfs"]
        fields = {"image": data.get("image", ""), "key": rootfs.get("key", "")}
        return User.from_json({"container": container, **fields, "layers": rootfs.get("layers", [])})
    except (TypeError, KeyError, AttributeError) as error:
        raise BrokenRecord(f"{path} does not describe a container: {error}") from None


def roots(store: paths.Store) -> Roots:
    """What is needed. BrokenRecord when a record cannot be read. The store lock is held exclusively."""
    from pyctr.storage import manifestlists

    digests: set[str] = set()
    manifests: set[str] = set()
    chains: set[str] = set()
    for image_id in images.image_ids(store):
        image = images.read_image(store, image_id)
        digests |= set(image.digests)
        manifests.add(image.manifest_digest)
        chains |= {layers.layer_name(layer.chain_id) for layer in image.layers}
    for name in images.image_names(store):
        record = images.read_name(store, name)
        if record is not None:
            manifests.add(record.manifest_digest)
    whole, alone = manifestlists.needed(store)
    digests |= alone | _reached(store, manifests | whole)
    kept = pins.pinned(store)
    digests |= kept
    needed = {(key, name) for key in records.names_in(f"{store.root}/layers") for name in chains | kept}
    for container in _containers(store):
        user = _user(store, container)
        if user is not None:
            needed |= {(user.key, name) for name in user.layers}
    return Roots(frozenset(digests), frozenset(needed))


def _reached(store: paths.Store, digests: set[str]) -> set[str]:
    """Manifests and indexes, and what they name. Each is read once, however often it is named."""
    found = set(digests)
    left = list(digests)
    while left:
        blobs_named, manifests_named = _named(store, left.pop())
        found |= blobs_named
        left += manifests_named - found
        found |= manifests_named
    return found


def _named(store: paths.Store, digest: str) -> tuple[set[str], set[str]]:
    """The blobs and the manifests that a manifest or index names; nothing when it is missing or damaged."""
    try:
        manifest: Any = jsontext.loads(blobs.read_blob(store, digest).decode())
        parts = [manifest.get("config"), *(manifest.get("layers") or ())]
        below = manifest.get("manifests") or ()
        return {part["digest"] for part in parts if part}, {str(part["digest"]) for part in below}
    except (PyctrError, ValueError, TypeError, KeyError, AttributeError):
        return set(), set()


class _Sweep:
    """Collects garbage under the exclusive store lock, and removes it once the lock is given back."""

    def __init__(self, store: paths.Store, age: int = 0) -> None:
        self._store = store
        self._age = age  # seconds: what is younger stays
        self._doomed: list[tuple[str, records.Lock]] = []
        self._blobs = self._layers = self._bytes = 0
        self._kept = ""

    def __enter__(self) -> "_Sweep":
        self._lock = records.lock_file(self._store.store_lock())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()
        for path, lock in self._doomed:
            with lock:
                trees.remove(path)

    def result(self) -> Swept:
        return Swept(self._blobs, self._layers, self._bytes, self._kept)

    def take_all(self) -> None:
        """Takes what no root needs, and what killed or interrupted calls left."""
        self._take_garbage()
        self._take_temporaries()

    def _take_garbage(self) -> None:
        try:
            needed = roots(self._store)
        except BrokenRecord as error:
            self._kept = error.message
            return
        for digest in all_blobs(self._store):
            if digest not in needed.blobs:
                self._take_blob(self._store.blob(digest))
        for key, name in all_layers(self._store):
            if (key, name) not in needed.layers:
                self._take_layer(self._store.layers(key), name)

    def _take_blob(self, path: str) -> None:
        if records.is_younger(path, self._age):
            return
        self._bytes += os.stat(path).st_size
        os.unlink(path)
        self._blobs += 1

    def _take_layer(self, folder: str, name: str) -> None:
        """Renames at once, so that the layer is gone as a whole; its files go after the lock."""
        if records.is_younger(f"{folder}/{name}", self._age):
            return
        lock = records.lock(f"{folder}/{name}", wait=False)
        doomed = f"{folder}/{paths.TEMPORARY}{name}.{os.urandom(8).hex()}"
        self._bytes += layer_size(f"{folder}/{name}")
        os.rename(f"{folder}/{name}", doomed)
        self._doomed.append((doomed, lock))
        self._layers += 1

    def _take_temporaries(self) -> None:
        """All that is temporary and whose lock can be had."""
        for path in temporaries(self._store):
            self._take_temporary(path)
        for path in halves(self._store):
            if not records.is_younger(path, self._age):
                self._take_half(path)

    def _take_half(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # its writer was at work all the same, and has renamed it

    def _take_temporary(self, path: str) -> None:
        if path in [doomed for doomed, _lock in self._doomed] or records.is_younger(path, self._age):
            return
        try:
            lock = records.lock(path, wait=False)
        except (BlockingIOError, FileNotFoundError):
            return
        self._doomed.append((path, lock))


def temporaries(store: paths.Store) -> list[str]:
    """What is, or was, being built or removed in the root folder and those of blobs and layers, but for the
    parts of blobs that a pull at work goes on with. The store lock is held exclusively.
    """
    kept = pins.pinned(store)
    folders = [f"{store.blobs()}/{name}" for name in records.names_in(store.blobs())]
    folders += [store.layers(key) for key in records.names_in(f"{store.root}/layers")]
    folders.append(store.pins())
    in_root = [name for name in records.names_in(store.root) if _TEMPORARY_OF_ROOT.fullmatch(name)]
    found = [f"{store.root}/{name}" for name in in_root] + _beginning(folders, paths.TEMPORARY)
    return [path for path in found if _digest_of_part(path) not in kept]


def _digest_of_part(path: str) -> str:
    """Of which blob a temporary in the folder of blobs is a part."""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}:{name.removeprefix(paths.TEMPORARY).partition('.')[0]}"


def halves(store: paths.Store) -> list[str]:
    """What atomic replacements left: no writer is at work now."""
    in_root = [name for name in records.names_in(store.root) if _HALF_OF_ROOT.fullmatch(name)]
    folders = [store.images(), store.image_names(), store.manifest_lists()]
    return _beginning(folders, ".") + [f"{store.root}/{name}" for name in in_root]


def _beginning(folders: list[str], start: str) -> list[str]:
    """The paths in these folders whose name begins so."""
    return [
        f"{folder}/{name}"
        for folder in folders
        for name in records.names_in(folder)
        if name.startswith(start)
    ]


def is_temporary_of_root(name: str) -> bool:
    """Whether a name in the root folder is that of something half made or half removed."""
    return bool(_TEMPORARY_OF_ROOT.fullmatch(name) or _HALF_OF_ROOT.fullmatch(name))


def all_blobs(store: paths.Store) -> Iterable[str]:
    for algorithm in records.names_in(store.blobs()):
        for name in records.names_in(f"{store.blobs()}/{algorithm}"):
            if not name.startswith(paths.TEMPORARY):
                yield f"{algorithm}:{name}"


def all_layers(store: paths.Store) -> Iterable[tuple[str, str]]:
    for key in records.names_in(f"{store.root}/layers"):
        for name in records.names_in(store.layers(key)):
            if len(name) == paths.LAYER_NAME_LENGTH and not name.startswith(paths.TEMPORARY):
                yield key, name


def layer_size(path: str) -> int:
    """Bytes of an unpacked layer, as its record says; 0 when it is not there."""
    try:
        return records.read_record(f"{path}/{paths.LAYER_RECORD}", layers.Layer, layers.LAYER_VERSION).size
    except (FileNotFoundError, BrokenRecord):
        return 0

"""Pins: what a call at work needs, which no record refers to yet.

root/pins/tmp.<random> holds a line for each digest of a blob and each name of a layer. While its lock is
held, sweepers take none of these; once the lock can be had it is garbage itself. So pulls, loads, commits
and what is done to manifest lists need the store lock for moments only: to pin, and to write a record.

Lines are only ever added, under the shared store lock: what is seen after that, no sweep is about to take.
"""

import os
from collections.abc import Iterable, Iterator

from pyctr.storage import blobs, images, layers, paths, records


class Pin:
    """A context manager around the making of an image. Threads may share it."""

    def __init__(self, store: paths.Store) -> None:
        self.store = store
        self.path = f"{store.pins()}/{paths.TEMPORARY}{os.urandom(16).hex()}"

    def __enter__(self) -> "Pin":
        records.make_folder(self.store.pins())
        with images.making(self.store):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._lock = records.lock(self.path)
        return self

    def __exit__(self, *_exc: object) -> None:
        os.unlink(self.path)
        self._lock.release()

    def add(self, names: Iterable[str]) -> None:
        """Keeps blobs (by their digests) and layers (by their names), there or still to come."""
        add(self.store, self.path, names)

    def add_layers(self, image: images.Image) -> None:
        """Keeps the layers of an image, packed and unpacked."""
        named = [layers.layer_name(layer.chain_id) for layer in image.layers]
        self.add([*named, *[layer.digest for layer in image.layers]])

    def put_blob(self, data: bytes, digest: str = "") -> str:
        """Stores a small blob and keeps it; its digest. PyctrError when that is not the one asked for."""
        import hashlib

        digest = digest or f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.add([digest])
        return blobs.put_blob(self.store, data, digest)

    def writer(self, digest: str | None = None, *, limit: int | None = None) -> blobs.BlobWriter:
        """Like `blobs.writer`, for a blob that is kept."""
        if digest:
            self.add([digest])
        return blobs.writer(self.store, digest, limit=limit, naming=lambda found: self.add([found]))


def add(store: paths.Store, path: str, names: Iterable[str]) -> None:
    """Adds to the pin in the file `path`; also for another process than its owner."""
    with images.making(store):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            records.write_all(fd, "".join([f"{name}\n" for name in names]).encode())
        finally:
            os.close(fd)


def pinned(store: paths.Store) -> frozenset[str]:
    """All that living calls need. Whoever asks holds the store lock exclusively."""
    found: set[str] = set()
    for path in living(store):
        try:
            found.update(records.read_text(path).split())
        except FileNotFoundError:
            continue  # its call has ended by now
    return frozenset(found)


def living(store: paths.Store) -> Iterator[str]:
    """The pins of calls at work. Whoever asks holds the store lock exclusively."""
    for name in records.names_in(store.pins()):
        path = f"{store.pins()}/{name}"
        try:
            records.lock(path, shared=True, wait=False).release()
        except BlockingIOError:
            yield path
        except FileNotFoundError:
            continue

"""What is known of blobs elsewhere: which blob a layer became when it was compressed, and who has a blob.

A cache, of digests and names, not of bytes: a registry that has a blob gets it from nobody again, and
nothing is compressed for that. An entry may vanish at any time, be empty after a power cut, or be wrong by
now; those of layers that are gone are dropped.
"""

import os

from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.values import Value
from pyctr.storage import paths, records
from pyctr.storage.blobs import parse_digest

_VERSION = 1
_MOST = 8  # repositories that are kept of one blob, the last ones
_LAST = 1000  # entries that are kept of blobs that are not in the store


class Variant(Value):
    """The same layer in another compression; `size` in bytes."""

    version: int
    digest: str
    size: int


class Holders(Value):
    """The repositories (quay.io/team/app) that had a blob, the last one first."""

    version: int
    repositories: tuple[str, ...]


def find(store: paths.Store, digest: str, how: str) -> Variant | None:
    """What the blob `digest` became when it was compressed as `how` says: gzip, zstd-9."""
    try:
        return records.read_record(_path(store, digest, how), Variant, _VERSION)
    except (OSError, BrokenRecord):
        return None


def remember(store: paths.Store, digest: str, how: str, made: str, size: int) -> None:
    """Keeps what was made of a blob. A failure costs time only, and is passed over."""
    _write(store, _path(store, digest, how), Variant(_VERSION, made, size))


def holders(store: paths.Store, digest: str) -> tuple[str, ...]:
    """The repositories that had a blob when it was last pushed."""
    try:
        return records.read_record(_path(store, digest, "at"), Holders, _VERSION).repositories
    except (OSError, BrokenRecord):
        return ()


def remember_holder(store: paths.Store, digest: str, repository: str) -> None:
    """Keeps that a repository has a blob."""
    known = holders(store, digest)
    if known[:1] != (repository,):
        others = [each for each in known if each != repository]
        record = Holders(_VERSION, (repository, *others)[:_MOST])
        _write(store, _path(store, digest, "at"), record)


def _write(store: paths.Store, path: str, record: Value) -> None:
    try:
        records.make_folder(store.variants())
        _drop_orphans(store)
        records.write_record(path, record, durable=False)
    except OSError:
        pass


def _path(store: paths.Store, digest: str, how: str) -> str:
    return f"{store.variants()}/{paths.check_component(f'{parse_digest(digest).hex}.{how}', 'variant')}"


def _drop_orphans(store: paths.Store) -> None:
    """Drops what is known of layers that are gone, and the oldest of what never was here."""
    names = [name for name in os.listdir(store.variants()) if name[0] != "."]  # halves of other threads
    gone = [name for name in names if not os.path.exists(store.blob(f"sha256:{name.partition('.')[0]}"))]
    others = [name for name in gone if name.endswith(".at")]
    if len(others) < _LAST:
        gone = [name for name in gone if not name.endswith(".at")]
    for name in gone:
        try:
            os.unlink(f"{store.variants()}/{name}")
        except FileNotFoundError:
            pass  # another push was faster

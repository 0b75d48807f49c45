"""Which blobs layers became when they were compressed for somebody else: digests, not the bytes.

A cache: a registry that has such a blob gets it from nobody again, and nothing is compressed for that. An
entry may vanish at any time, or be empty after a power cut; those of layers that are gone are dropped.
"""

import os

from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.values import Value
from pyctr.storage import paths, records
from pyctr.storage.blobs import parse_digest

_VERSION = 1


class Variant(Value):
    """The same layer in another compression; `size` in bytes."""

    version: int
    digest: str
    size: int


def find(store: paths.Store, digest: str, how: str) -> Variant | None:
    """What the blob `digest` became when it was compressed as `how` says: gzip, zstd-9."""
    try:
        return records.read_record(_path(store, digest, how), Variant, _VERSION)
    except (OSError, BrokenRecord):
        return None


def remember(store: paths.Store, digest: str, how: str, made: str, size: int) -> None:
    """Keeps what was made of a blob. A failure costs time only, and is passed over."""
    try:
        records.make_folder(store.variants())
        _drop_orphans(store)
        record = Variant(_VERSION, made, size)
        records.write_record(_path(store, digest, how), record, durable=False)
    except OSError:
        pass


def _path(store: paths.Store, digest: str, how: str) -> str:
    return f"{store.variants()}/{paths.check_component(f'{parse_digest(digest).hex}.{how}', 'variant')}"


def _drop_orphans(store: paths.Store) -> None:
    for name in os.listdir(store.variants()):
        if not os.path.exists(store.blob(f"sha256:{name.partition('.')[0]}")):
            os.unlink(f"{store.variants()}/{name}")

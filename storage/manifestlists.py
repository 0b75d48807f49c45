"""Manifest lists: which images, for which platforms, go out under one name.

manifests/<id> is the record of a list, replaced atomically under the lock of the folder; its names are
among those of the images, so that a name means one thing. What its entries refer to is kept from sweepers as
long as the list is there.
"""

import os

from pyctr.rootless.errors import BrokenRecord, NoSuchObject
from pyctr.rootless.values import Value
from pyctr.storage import images, paths, records

VERSION = 2
_OLD = 1  # the list was manifests/<its quoted name>


class Entry(Value):
    """One image of a list: its manifest (`size` in bytes), and the platform that it is for.

    The manifest is a blob of the store. Its own blobs are too, unless `source` names the repository of a
    registry that has them.
    """

    digest: str
    media_type: str
    size: int
    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    source: str = ""
    pulled: bool = False  # like an image's


class ManifestList(Value):
    """A list. The `id` (64 hex digits) stays the same whatever is added."""

    version: int
    id: str
    created: str = ""  # RFC 3339
    entries: tuple[Entry, ...] = ()
    annotations: dict[str, str] = {}


class _Old(Value):
    """What is needed of version 1: the rest is as it was."""

    version: int
    id: str
    name: str


class NoSuchList(NoSuchObject):
    """There is no such list here."""

    def __init__(self, name: str) -> None:
        super().__init__("manifest list", name, "pyctr manifest create makes one.")


def lock(store: paths.Store) -> records.Lock:
    """Held while lists change. The caller holds `images.making`."""
    records.make_folder(store.manifest_lists())
    return records.lock(store.manifest_lists())


def read(store: paths.Store, list_id: str) -> ManifestList:
    """A list by its whole id. NoSuchList, BrokenRecord."""
    try:
        return records.read_record(store.manifest_list(list_id), ManifestList, VERSION)
    except FileNotFoundError:
        raise NoSuchList(list_id) from None


def write(store: paths.Store, manifests: ManifestList) -> None:
    """Writes a list. The caller holds `images.making`, and `lock`."""
    records.write_record(store.manifest_list(manifests.id), manifests, durable=True)


def ids(store: paths.Store) -> list[str]:
    """The ids of all lists that have a record, readable or not."""
    found = [name for name in records.names_in(store.manifest_lists()) if name[0] != "."]
    if any(["%" in name for name in found]):
        return _modernized(store, found)
    return found


def _modernized(store: paths.Store, found: list[str]) -> list[str]:
    """Lists of version 1 get an id for a file name, and then their name; the ids of all."""
    with images.making(store), lock(store):
        return [_moved(store, name) if "%" in name else name for name in found]


def _moved(store: paths.Store, file: str) -> str:
    """SIGKILL after the record leaves two of one list; after its name, one more that is done again."""
    path = store.manifest_list(file)
    try:
        old = records.read_record(path, _Old, _OLD)
        same = records.read_record(path, ManifestList, _OLD)
    except (FileNotFoundError, BrokenRecord):
        return file  # another call was faster, or it stays as it is: broken
    write(store, same.replace(version=VERSION))
    if images.read_name(store, old.name) is None:
        images.add_name(store, old.name, old.id, "", is_list=True)
    os.unlink(path)
    records.sync_folder(store.manifest_lists())
    return old.id


def needed(store: paths.Store) -> tuple[set[str], set[str]]:
    """The manifests that lists refer to: those whose blobs must stay too, and all. BrokenRecord."""
    entries: list[Entry] = []
    for name in records.names_in(store.manifest_lists()):
        try:
            entries += read(store, name).entries if name[0] != "." else ()
        except NoSuchList:
            continue  # removed while we looked
    return {entry.digest for entry in entries if not entry.source}, {entry.digest for entry in entries}

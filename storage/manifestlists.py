"""Manifest lists under construction: which images, for which platforms, go out under one name.

manifests/<quoted reference> is the record of a list, replaced atomically under the lock of the folder. What
its entries refer to is kept from sweepers as long as the list is there.
"""

import os

from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import paths, records

VERSION = 1


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
    """A list by its full name. The `id` (64 hex digits) stays the same whatever is added."""

    version: int
    id: str
    name: str
    entries: tuple[Entry, ...] = ()
    annotations: dict[str, str] = {}


class NoSuchList(NoSuchObject):
    """There is no such list here."""

    def __init__(self, name: str) -> None:
        super().__init__("manifest list", name, "pyctr manifest create makes one.")


def lock(store: paths.Store) -> records.Lock:
    """Held while lists change."""
    records.make_folder(store.manifest_lists())
    return records.lock(store.manifest_lists())


def read(store: paths.Store, name: str) -> ManifestList:
    """A list by its full name. NoSuchList, BrokenRecord."""
    try:
        return records.read_record(store.manifest_list(name), ManifestList, VERSION)
    except FileNotFoundError:
        raise NoSuchList(name) from None


def write(store: paths.Store, manifests: ManifestList) -> None:
    """Writes a list. The caller holds `images.making`, and `lock`."""
    records.write_record(store.manifest_list(manifests.name), manifests, durable=True)


def remove(store: paths.Store, name: str) -> None:
    """Removes a list by its full name. NoSuchList."""
    with lock(store):
        try:
            os.unlink(store.manifest_list(name))
        except FileNotFoundError:
            raise NoSuchList(name) from None
        records.sync_folder(store.manifest_lists())


def names(store: paths.Store) -> list[str]:
    """The full names of all lists."""
    found = records.names_in(store.manifest_lists())
    return [paths.unquote_component(name) for name in found if name[0] != "."]


def needed(store: paths.Store) -> tuple[set[str], set[str]]:
    """The manifests that lists refer to: those whose blobs must stay too, and all. BrokenRecord."""
    entries: list[Entry] = []
    for name in names(store):
        try:
            entries += read(store, name).entries
        except NoSuchList:
            continue  # removed while we looked
    return {entry.digest for entry in entries if not entry.source}, {entry.digest for entry in entries}


def find(store: paths.Store, candidates: tuple[str, ...], id_prefix: str = "") -> ManifestList:
    """The list with the first of these full names, or whose id starts with `id_prefix`. NoSuchList."""
    for name in candidates:
        if os.path.lexists(store.manifest_list(name)):
            return read(store, name)
    if id_prefix:
        fitting = [each for name in names(store) if (each := read(store, name)).id.startswith(id_prefix)]
        if len(fitting) > 1:
            raise PyctrError(f"the id {id_prefix} fits {len(fitting)} manifest lists", "Give more digits.")
        if fitting:
            return fitting[0]
    raise NoSuchList(id_prefix or candidates[0])

"""The root file system of a container as a tar: what it has changed, or all that it shows.

For `commit` and `export`. Works as root of a user namespace with the maps of the container;
nothing is mounted, and the container may run meanwhile.
"""

import os
import stat
from collections.abc import Iterator
from typing import Any

from pyctr.rootless import processes, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import changes, drivers, merged, paths, records
from pyctr.storage.drivers import Tree
from pyctr.storage.merged import Child, Merged
from pyctr.storage.pins import Pin
from pyctr.storage.tarwriter import GONE, TarWriter
from pyctr.storage.unpack import shown
from pyctr.storage.whiteouts import PREFIX, dialect_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BELOW = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
# Files that pyctr itself makes, for the runtime to mount something over them.
OWN = (b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"run/.containerenv")


def write_layer(pin: Pin, maps: IdMaps, driver: str, tree: Tree, *, whole: bool) -> tuple[str, int]:
    """Stores the changes of a container, or all its files, as a plain layer; its digest and its size.

    PyctrError names the file that no layer can have.
    """
    fields = (driver, tree.to_json(), whole)
    digest, size = userns.call_mapped(maps, _write_layer, pin, *fields)
    return digest, size


def _write_layer(pin: Pin, driver: str, tree: Any, whole: bool) -> tuple[str, int]:
    write = _write_view if whole else _write_changes
    with pin.writer() as blob:
        write(TarWriter(blob.write), driver, Tree.from_json(tree), True)
    return blob.digest, blob.size


def export(target: int, maps: IdMaps, driver: str, tree: Tree) -> None:
    """Writes everything that a container shows, without its volumes, as a tar to a descriptor. OSError."""
    userns.call_mapped(maps, _export, target, driver, tree.to_json(), "")


def export_folder(target: int, maps: IdMaps, path: str) -> None:
    """The same for a container whose root is a folder of the user's."""
    userns.call_mapped(maps, _export, target, "", {}, path)


def _export(target: int, driver: str, tree: Any, path: str) -> None:
    def write(data: bytes) -> None:
        records.write_all(target, data)

    if path:
        _write_all(TarWriter(write), Merged([os.open(path, _FOLDER)], dialect_of("whole")), marks=False)
    else:
        _write_view(TarWriter(write), driver, Tree.from_json(tree), False)


def _write_changes(writer: TarWriter, driver: str, tree: Tree, _marks: bool) -> None:
    folders = _Folders(changes.data_folder(tree))
    try:
        for change in changes.changes(driver, tree):
            if change.status is None:
                writer.hide(change.path)
                continue
            if change.kind == changes.ADDED and is_own(change.path, change.status):
                continue
            above, _, leaf = change.path.rpartition(b"/")
            check_name(change.path, leaf)
            folder = folders.open(above)
            if folder is not None:
                writer.add(change.path, change.status, folder, leaf)
    finally:
        folders.close()
    writer.finish()


def is_own(path: bytes, status: os.stat_result) -> bool:
    """Whether this is an empty file that is there only for something to be mounted over it."""
    return path in OWN and stat.S_ISREG(status.st_mode) and not status.st_size


def check_name(path: bytes, leaf: bytes) -> None:
    """PyctrError for a name that means a deletion in a layer."""
    if leaf.startswith(PREFIX):
        raise PyctrError(
            f"{shown(b'/' + path)} cannot be in an image: names that begin with .wh. are marks there",
            "Rename or remove it in the container.",
        )


class _Folders:
    """Opens folders below the upper layer; the last one stays open, since its entries follow each other."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._open = -1
        self._path = b"/"

    def open(self, path: bytes) -> int | None:
        """None when it has vanished meanwhile."""
        if path != self._path:
            self.close()
            top = os.open(self._top, _FOLDER)
            try:
                self._open = syscalls.openat2(top, path or b".", _FOLDER, 0, _BELOW)
            except OSError as error:
                if error.errno not in GONE:
                    raise
                return None
            finally:
                os.close(top)
            self._path = path
        return self._open

    def close(self) -> None:
        if self._open >= 0:
            os.close(self._open)
        self._open, self._path = -1, b"/"


def _write_view(writer: TarWriter, driver: str, tree: Tree, marks: bool) -> None:
    processes.allow_many_files()
    _write_all(writer, view(driver, tree), marks=marks)


def view(driver: str, tree: Tree) -> Merged:
    """What a container shows: its upper layer on the layers of its image."""
    found = drivers.by_name(driver)
    layers = [f"{name}/{paths.LAYER_DIFF}" for name in tree.lower]
    try:
        upper = os.open(changes.data_folder(tree), _FOLDER)
    except FileNotFoundError:  # it was never started
        return merged.open_stack(tree.layers, layers, dialect_of(found.FORMAT))
    if found.UPPER == "whole":
        return Merged([upper], dialect_of("whole"))
    # `marks` reads both dialects, and no layer of the other has a name that it would take for a mark.
    either = "marks" if "marks" in (found.UPPER, found.FORMAT) else found.FORMAT
    below = merged.open_stack(tree.layers, layers, dialect_of(either))
    return Merged([upper, *below.folders], below.dialect)


def _write_all(writer: TarWriter, top: Merged, *, marks: bool) -> None:
    for path, child in walk(top):
        if is_own(path, child.status):
            continue
        if marks:
            check_name(path, child.name)
        writer.add(path, child.status, child.parents[0], child.name)
    writer.finish()


def walk(top: Merged) -> Iterator[tuple[bytes, Child]]:
    """Everything below a merged folder, which is closed: parents first, names in order."""
    frames: list[tuple[Merged, bytes, Iterator[Child]]] = [(top, b"", _sorted(top))]
    try:
        while frames:
            folder, path, names = frames[-1]
            child = next(names, None)
            if child is None:
                frames.pop()[0].__exit__()
                continue
            below = path + b"/" + child.name if path else child.name
            yield below, child
            if child.is_folder():
                inside = folder.enter(child)
                frames.append((inside, below, _sorted(inside)))
    finally:
        for folder, _, _ in frames:
            folder.__exit__()


def _sorted(folder: Merged) -> Iterator[Child]:
    found = folder.children()
    return iter([found[name] for name in sorted(found)])

"""How a layer on disk says that it hides what lies below it: the dialects of the layer formats.

    overlay   0:0 devices, user.overlay.opaque (kernel, Documentation/filesystems/overlayfs.rst, userxattr)
    marks     files .wh.<name> and .wh..wh..opq, as in a tar (OCI image-spec, layer.md)
    whole     nothing is hidden one by one: the upper folder of vfs, which has a copy of everything

Devices cannot be made on kernels before 5.8, nor where another overlay carries the store: there the drivers
that do without the kernel's overlay read `marks`. Everything works on open folders of a layer.
"""

import os
import stat

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage.xattrs import OPAQUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Dialect(Protocol):
        """One way to mark. All of it runs as root of the user namespace that owns the layer."""

        late: bool  # whether `settle` has anything to do

        def hide(self, folder: int, name: bytes) -> None:
            """Hides `name` of the layers below; a folder of that name hides what they have in it."""

        def make_opaque(self, folder: int, name: bytes) -> None:
            """Lets the folder `name` hide everything that the layers below have in it."""

        def settle(self, folder: int, name: bytes) -> None:
            """`hide` once more, when all entries of the layer are there."""

        def read(self, folder: int) -> "Listing":
            """What a folder of a layer holds and hides."""

        def is_mark(self, name: bytes, status: os.stat_result) -> bool:
            """Whether an entry is a mark and nothing that a container may see."""

        def hides(self, folder: int, name: bytes) -> bool:
            """Whether a folder of a layer, which is not opaque itself, hides `name` of those below."""

        def is_opaque(self, folder: int) -> bool:
            """Whether a folder of a layer hides all that those below have in it."""


PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE_XATTRS = (OPAQUE, b"user.fuseoverlayfs.opaque")


class Listing(Value):
    """A folder of one layer: its entries, and what it hides of the layers below."""

    entries: dict[bytes, os.stat_result]
    hidden: frozenset[bytes]
    opaque: bool


class _Devices:
    """The dialect of the kernel's overlay."""

    late = False

    def hide(self, folder: int, name: bytes) -> None:
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                self.make_opaque(folder, name)

    def make_opaque(self, folder: int, name: bytes) -> None:
        fd = os.open(name, _READ_FOLDER, dir_fd=folder)
        try:
            os.setxattr(fd, OPAQUE, b"y")
        finally:
            os.close(fd)

    def settle(self, folder: int, name: bytes) -> None:
        """A device has the very name that it hides, so an entry has replaced it."""

    def read(self, folder: int) -> Listing:
        return _read(self, folder)

    def is_mark(self, _name: bytes, status: os.stat_result) -> bool:
        return stat.S_ISCHR(status.st_mode) and not status.st_rdev

    def hides(self, folder: int, name: bytes) -> bool:
        status = _status(folder, name)
        return status is not None and self.is_mark(name, status)

    def is_opaque(self, folder: int) -> bool:
        return _has_opaque_xattr(folder)


class _Marks:
    """The dialect of tar layers, and of everything that fuse-overlayfs leaves in an upper layer."""

    late = True

    def hide(self, folder: int, name: bytes) -> None:
        found = _status(folder, name)
        if found is None:
            _make_file(folder, PREFIX + name)
        elif stat.S_ISDIR(found.st_mode):
            self.make_opaque(folder, name)

    def make_opaque(self, folder: int, name: bytes) -> None:
        fd = os.open(name, _READ_FOLDER, dir_fd=folder)
        try:
            _make_file(fd, OPAQUE_MARK)
        finally:
            os.close(fd)

    def settle(self, folder: int, name: bytes) -> None:
        """What came after the mark took its own name: the mark goes, and a folder hides by itself."""
        if _status(folder, name) is not None and _status(folder, PREFIX + name) is not None:
            self.hide(folder, name)
            os.unlink(PREFIX + name, dir_fd=folder)

    def read(self, folder: int) -> Listing:
        return _read(self, folder)

    def is_mark(self, name: bytes, status: os.stat_result) -> bool:
        return name.startswith(PREFIX) or DEVICES.is_mark(name, status)

    def hides(self, folder: int, name: bytes) -> bool:
        return _status(folder, PREFIX + name) is not None or DEVICES.hides(folder, name)

    def is_opaque(self, folder: int) -> bool:
        return _status(folder, OPAQUE_MARK) is not None or _has_opaque_xattr(folder)


class _Whole(_Devices):
    """No marks at all: a folder that stands for itself and hides everything below it."""

    def is_mark(self, _name: bytes, _status: os.stat_result) -> bool:
        return False

    def is_opaque(self, _folder: int) -> bool:
        return True


DEVICES = _Devices()
MARKS = _Marks()
_BY_FORMAT: "dict[str, Dialect]" = {"overlay": DEVICES, "marks": MARKS, "whole": _Whole()}


def dialect_of(layer_format: str) -> "Dialect":
    """The dialect of a layer format, which is the first part of a layer key. PyctrError."""
    try:
        return _BY_FORMAT[layer_format.partition("-")[0]]
    except KeyError:
        raise PyctrError(f"layers of the format {layer_format!r} are not known to this pyctr") from None


def _read(dialect: "Dialect", folder: int) -> Listing:
    entries, hidden, opaque = {}, set(), dialect.is_opaque(folder)
    with os.scandir(folder) as found:
        for entry in found:
            name = os.fsencode(entry.name)
            status = _status(folder, name)
            if status is None:  # it has vanished meanwhile
                continue
            if not dialect.is_mark(name, status):
                entries[name] = status
            elif name != OPAQUE_MARK:
                hidden.add(name.removeprefix(PREFIX) if stat.S_ISREG(status.st_mode) else name)
    return Listing(entries, frozenset(hidden), opaque)


def _status(folder: int, name: bytes) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _make_file(folder: int, name: bytes) -> None:
    """An empty file with a time that is always the same: two unpackings of a layer do not differ."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        os.utime(fd, ns=(0, 0))
    finally:
        os.close(fd)


def _has_opaque_xattr(folder: int) -> bool:
    for name in _OPAQUE_XATTRS:
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except OSError:
            continue
    return False

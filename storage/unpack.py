"""Unpacking one layer: a tar stream into a folder, as the lower folder of an overlay.

Runs as root of a user namespace with umask 0. No name in the tar can lead out: parents are opened with
openat2(RESOLVE_IN_ROOT), in which `..` and links stop at the folder, and the last component is never
followed. Rules: OCI image-spec, layer.md; how what is hidden is marked on disk says
`pyctr.storage.whiteouts`.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps, IdRange
from pyctr.rootless.values import Value
from pyctr.storage import trees
from pyctr.storage.compression import BrokenStream
from pyctr.storage.tarstream import SECOND, Entry, TarReader
from pyctr.storage.whiteouts import DEVICES, OPAQUE_MARK
from pyctr.storage.whiteouts import PREFIX as WHITEOUT
from pyctr.storage.xattrs import set_xattrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.whiteouts import Dialect

V = TypeVar("V")
_META = b".wh..wh."  # aufs kept its own files under such names
_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_BELOW = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_FOLDER = os.O_PATH | os.O_DIRECTORY
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40  # links followed in one name, as in the kernel
_HOLE = 4096  # zeros of at least this much are left out of a file
_EARLIEST, _LATEST = -(1 << 31) * SECOND, (1 << 34) * SECOND  # what every file system can keep


class Limits(Value):
    """What a layer may ask for before it counts as an attack."""

    entries: int = 4_000_000
    names: int = 256 << 20  # bytes of all names that have to be remembered
    unpacked: int = 4 << 30  # bytes that any layer may unpack to
    ratio: int = 200  # beyond that, at most so many times its compressed size

    def tar_size(self, compressed: int) -> int:
        """Bytes of tar that a blob of `compressed` bytes may hold."""
        return max(self.unpacked, self.ratio * compressed)


DEFAULT_LIMITS = Limits()


class Pending(Value):
    """What a layer needs from those below: parents that its tar lacked, targets of hard links."""

    parents: tuple[bytes, ...]
    links: tuple[tuple[bytes, bytes], ...]  # (name, target)
    opaque: bool = False  # the root itself hides all below, which the overlay does not look at


class Unpacker:
    """Puts entries into the folder `root`, an open descriptor. `finish` comes last."""

    def __init__(self, root: int, maps: IdMaps, limits: Limits, dialect: "Dialect" = DEVICES) -> None:
        self._root = root
        self._dialect = dialect
        self._hidden: dict[bytes, None] = {}  # names that a whiteout was made for
        self._base = os.readlink(f"/proc/self/fd/{root}".encode())
        self._maps = maps
        self._limits = limits
        self.entries = 0
        self._names = 0
        self._owners: set[tuple[int, int]] = set()
        self._times: dict[bytes, int] = {}
        self._implied: dict[bytes, None] = {}
        self._root_implied = True
        self._links: dict[bytes, bytes] = {}
        self._opaque_root = False
        self._cached = (b"/", -1)  # a folder by the name that led to it; no clean name has a slash in front
        self._makers: dict[bytes, Callable[[int, bytes, Entry, TarReader], None]] = {
            b"0": self._add_file,
            b"1": self._add_link,
            b"2": self._add_symlink,
            b"3": self._skip_device,
            b"4": self._skip_device,
            b"5": self._add_folder,
            b"6": self._add_fifo,
        }

    def add(self, entry: Entry, reader: TarReader) -> None:
        """Makes one entry. PyctrError names it and what is wrong."""
        self.entries += 1
        if self.entries > self._limits.entries:
            raise BrokenStream(
                f"it has more than {self._limits.entries} entries, which is beyond all reason"
            )
        try:
            self._add(clean(entry.name), entry, reader)
        except OSError as error:
            raise PyctrError(f"{shown(entry.name)} cannot be unpacked: {error.strerror}") from None

    def finish(self) -> Pending:
        """Sets the times of folders, which their files had changed; what waits for the layers below."""
        self._drop_cached()
        for path in self._hidden:
            self._settle(path)
        for path, when in self._times.items():
            self._set_time(path, when)
        implied = (b"",) * self._root_implied + tuple(self._implied)
        return Pending(implied, tuple(self._links.items()), self._opaque_root)

    def _settle(self, path: bytes) -> None:
        """An entry that came after the whiteout of its name has its say now."""
        above, _, leaf = path.rpartition(b"/")
        try:
            folder = syscalls.openat2(self._root, above or b".", _READ_FOLDER, 0, _BELOW)
        except OSError:
            return  # a later entry has replaced it
        try:
            self._dialect.settle(folder, leaf)
        finally:
            os.close(folder)

    def _add(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        if not path:
            self._add_root(entry)
            return
        above, _, leaf = path.rpartition(b"/")
        if _is_meta(path, leaf):
            return
        folder = self._folder(above)
        if leaf.startswith(WHITEOUT):
            self._add_whiteout(folder, leaf)
            return
        make = self._makers.get(entry.kind)
        if make is None:
            raise BrokenStream(f"{shown(entry.name)} is of an unknown kind {entry.kind!r}")
        make(folder, leaf, entry, reader)

    def _add_root(self, entry: Entry) -> None:
        if entry.kind != b"5":
            raise BrokenStream(f"{shown(entry.name)} would replace the root folder by something else")
        self._root_implied = False
        fd = os.open(b".", _READ_FOLDER, dir_fd=self._root)
        self._finish_folder(fd, entry)

    # Parents.

    def _folder(self, path: bytes) -> int:
        """The folder `path`, made when missing.

        Entries of one folder follow each other, so the last is kept open.
        """
        if path != self._cached[0]:
            folder = self._reach(path, 0)
            self._drop_cached()
            self._cached = (path, folder)
        return self._cached[1]

    def _drop_cached(self) -> None:
        if self._cached[1] >= 0:
            os.close(self._cached[1])
        self._cached = (b"/", -1)

    def _forget_cached(self) -> None:
        """Something was replaced, so a name may lead elsewhere from now on.

        The descriptor itself is still in use.
        """
        self._cached = (b"/", self._cached[1])

    def _reach(self, path: bytes, links: int) -> int:
        try:
            return syscalls.openat2(self._root, path or b".", _FOLDER, 0, _IN_ROOT)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or not path:
                raise
        above, _, leaf = path.rpartition(b"/")
        parent = self._reach(above, links)
        try:
            return self._make_parent(parent, leaf, links)
        finally:
            os.close(parent)

    def _make_parent(self, parent: int, leaf: bytes, links: int) -> int:
        """A folder that the tar has no entry for (so far), or that a link of this layer points to."""
        try:
            os.mkdir(leaf, 0o755, dir_fd=parent)
        except FileExistsError:
            mode = os.lstat(leaf, dir_fd=parent).st_mode
            if stat.S_ISLNK(mode):
                return self._follow(parent, leaf, links)
            if not stat.S_ISCHR(mode):  # the only devices that are made are whiteouts
                raise NotADirectoryError(errno.ENOTDIR, "its parent is not a folder") from None
            self._folder_over_whiteout(parent, leaf)
        folder = syscalls.openat2(parent, leaf, _FOLDER, 0, _BELOW)
        self._remember(self._implied, self._real(folder), None)
        return folder

    def _follow(self, parent: int, leaf: bytes, links: int) -> int:
        """The folder that a dangling link points to, made; inside the root, whatever the link says."""
        if links >= _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(leaf, dir_fd=parent)
        start = b"" if target.startswith(b"/") else self._real(parent)
        return self._reach(clamp(start + b"/" + target), links + 1)

    def _real(self, folder: int) -> bytes:
        """Where a folder is, from the root on, without links."""
        path = os.readlink(f"/proc/self/fd/{folder}".encode())
        return path[len(self._base) :].lstrip(b"/")

    def _folder_over_whiteout(self, parent: int, leaf: bytes) -> None:
        os.unlink(leaf, dir_fd=parent)
        os.mkdir(leaf, 0o755, dir_fd=parent)
        self._dialect.make_opaque(parent, leaf)

    # Entries. Each is made by a call that fails when the name exists, so that the usual case needs no
    # look before.

    def _clear(self, folder: int, leaf: bytes) -> None:
        """Removes what an earlier entry made under this name."""
        self._forget_cached()
        trees.remove_at(folder, leaf)

    def _again(self, make: Callable[[], None], folder: int, leaf: bytes) -> None:
        """`make()`, over what an earlier entry has put there."""
        try:
            make()
        except FileExistsError:
            self._clear(folder, leaf)
            make()

    def _add_folder(self, folder: int, leaf: bytes, entry: Entry, _reader: TarReader) -> None:
        try:
            os.mkdir(leaf, 0o700, dir_fd=folder)
        except FileExistsError:
            mode = os.lstat(leaf, dir_fd=folder).st_mode
            if stat.S_ISCHR(mode):
                self._folder_over_whiteout(folder, leaf)
            elif not stat.S_ISDIR(mode):
                self._clear(folder, leaf)
                os.mkdir(leaf, 0o700, dir_fd=folder)
        fd = os.open(leaf, _READ_FOLDER, dir_fd=folder)
        self._finish_folder(fd, entry)

    def _finish_folder(self, fd: int, entry: Entry) -> None:
        try:
            if self._implied:
                self._implied.pop(self._real(fd), None)
            self._own(fd, entry)
            self._remember(self._times, clean(entry.name), _clamped(entry.mtime))
        finally:
            os.close(fd)

    def _add_file(self, folder: int, leaf: bytes, entry: Entry, reader: TarReader) -> None:
        try:
            fd = os.open(leaf, _NEW_FILE, 0o600, dir_fd=folder)
        except FileExistsError:
            self._clear(folder, leaf)
            fd = os.open(leaf, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            _write_data(fd, entry, reader)
            self._own(fd, entry)
            os.utime(fd, ns=(_clamped(entry.mtime),) * 2)
        finally:
            os.close(fd)

    def _add_symlink(self, folder: int, leaf: bytes, entry: Entry, _reader: TarReader) -> None:
        self._again(lambda: os.symlink(entry.target, leaf, dir_fd=folder), folder, leaf)
        self._check_owner(entry)
        os.chown(leaf, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(leaf, ns=(_clamped(entry.mtime),) * 2, dir_fd=folder, follow_symlinks=False)

    def _add_fifo(self, folder: int, leaf: bytes, entry: Entry, _reader: TarReader) -> None:
        self._again(lambda: os.mkfifo(leaf, 0o600, dir_fd=folder), folder, leaf)
        self._check_owner(entry)
        os.chown(leaf, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        os.chmod(leaf, entry.mode, dir_fd=folder)
        os.utime(leaf, ns=(_clamped(entry.mtime),) * 2, dir_fd=folder, follow_symlinks=False)

    def _skip_device(self, folder: int, leaf: bytes, _entry: Entry, _reader: TarReader) -> None:
        """No ordinary user can make a device, so podman leaves them out too.

        Nor is a 0:0 one taken for a whiteout.
        """
        if not _is_whiteout(folder, leaf):
            self._clear(folder, leaf)

    def _add_link(self, folder: int, leaf: bytes, entry: Entry, _reader: TarReader) -> None:
        name, target = clean(entry.name), clean(entry.target)
        if name == target:
            raise BrokenStream(f"{shown(entry.name)} is a hard link to itself")
        try:
            self._again(lambda: link_within(self._root, target, folder, leaf), folder, leaf)
        except (FileNotFoundError, NotADirectoryError):
            self._clear(folder, leaf)
            self._links.pop(name, None)  # a later entry of the same name comes later in the order too
            self._remember(self._links, name, target)

    def _add_whiteout(self, folder: int, leaf: bytes) -> None:
        """Hides a name of the layers below. It says nothing about what this layer itself has there."""
        if leaf == OPAQUE_MARK:
            self._opaque_root |= not self._real(folder)
            self._dialect.make_opaque(folder, b".")
            return
        hidden = leaf[len(WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise BrokenStream(f"{shown(leaf)} hides no name")
        self._dialect.hide(folder, hidden)
        if self._dialect.late:
            self._remember(self._hidden, (self._real(folder) + b"/" + hidden).lstrip(b"/"), None)

    # Owner, mode, attributes, times.

    def _own(self, fd: int, entry: Entry) -> None:
        """Owner, mode, attributes, in this order: chown clears set-uid bits and capabilities."""
        self._check_owner(entry)
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            set_xattrs(fd, entry.xattrs)

    def _check_owner(self, entry: Entry) -> None:
        owner = (entry.uid, entry.gid)
        if owner not in self._owners:
            check_id(entry, "user", entry.uid, self._maps.uid)
            check_id(entry, "group", entry.gid, self._maps.gid)
            self._owners.add(owner)

    def _remember(self, where: dict[bytes, V], name: bytes, value: V) -> None:
        self._names += len(name) + 100  # what a dictionary needs for one
        if self._names > self._limits.names:
            raise BrokenStream("its names need more memory than is reasonable")
        where[name] = value

    def _set_time(self, path: bytes, when: int) -> None:
        try:
            fd = syscalls.openat2(self._root, path or b".", os.O_RDONLY | os.O_DIRECTORY, 0, _IN_ROOT)
        except OSError:
            return  # a later entry has replaced it
        try:
            os.utime(fd, ns=(when, when))
        finally:
            os.close(fd)


def clean(name: bytes) -> bytes:
    """A name of the tar as components from the root on.

    BrokenStream when it climbs out or has a zero byte.
    """
    if b"\0" in name:
        raise BrokenStream(f"{shown(name)} has a zero byte in its name")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise BrokenStream(f"{shown(name)} climbs out of the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def clamp(path: bytes) -> bytes:
    """A path from the root on without `.` and `..`, which stop at the root as in the kernel."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def shown(name: bytes) -> str:
    """A name for a message, without characters that a terminal obeys."""
    return repr(name.decode(errors="backslashreplace"))


def check_id(entry: Entry, kind: str, number: int, ranges: tuple[IdRange, ...]) -> None:
    """PyctrError when the namespace has no such id."""
    if any([part.inside <= number < part.inside + part.length for part in ranges]):
        return
    count = sum([part.length for part in ranges])
    raise PyctrError(
        f"{shown(entry.name)} belongs to {kind} {number}, but this user has only {count} {kind} ids",
        f"Ask the administrator for a larger range in /etc/sub{kind[0]}id (usermod --add-sub{kind[0]}ids).",
    )


def _is_meta(path: bytes, leaf: bytes) -> bool:
    return (path.startswith(_META) or b"/" + _META in path) and leaf != OPAQUE_MARK


def _is_whiteout(folder: int, leaf: bytes) -> bool:
    try:
        return stat.S_ISCHR(os.lstat(leaf, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def link_within(root: int, target: bytes, folder: int, leaf: bytes) -> None:
    """A hard link `leaf` in an open folder to the file at `target` of the same layer.

    FileNotFoundError when it has none.
    """
    above, _, base = target.rpartition(b"/")
    if not base:
        raise OSError(errno.EPERM, "it is a hard link to a folder")
    source = syscalls.openat2(root, above or b".", _FOLDER, 0, _IN_ROOT)
    try:
        os.link(base, leaf, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(source)


def _clamped(when: int) -> int:
    return min(max(when, _EARLIEST), _LATEST)


def _write_data(fd: int, entry: Entry, reader: TarReader) -> None:
    """The data of a file. Zeros become holes: a layer of nothing else costs no disk."""
    if not entry.size and entry.sparse is None:
        return
    pieces = ((0, entry.size),) if entry.sparse is None else entry.sparse.pieces
    data = reader.data()
    rest = memoryview(b"")
    hole = entry.sparse is not None
    for offset, length in pieces:
        os.lseek(fd, offset, os.SEEK_SET)
        while length:
            rest = rest or next(data)
            piece, rest = rest[:length], rest[length:]
            length -= len(piece)
            hole = _write_piece(fd, piece) or hole
    if hole:
        os.ftruncate(fd, entry.size if entry.sparse is None else entry.sparse.size)


def _write_piece(fd: int, piece: memoryview) -> bool:
    """Writes, or passes over zeros and says so."""
    if len(piece) >= _HOLE and not piece[0] and not piece[-1] and not bytes(piece).strip(b"\0"):
        os.lseek(fd, len(piece), os.SEEK_CUR)
        return True
    while piece:
        piece = piece[os.write(fd, piece) :]
    return False

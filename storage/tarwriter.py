"""Writing trees as tar streams: layers and exported root file systems.

Formats: POSIX.1-2017, pax, "ustar Interchange Format"; the GNU tar manual, "Storing Sparse Files", PAX
format 1.0. Times are whole seconds, so that most entries need no extended header; docker and podman do
the same. Files are opened below folders that are open already, and no link is followed: a container may
change the tree meanwhile.
"""

import errno
import os
import stat
import tarfile
from collections.abc import Callable

from pyctr.rootless.errors import PyctrError
from pyctr.storage.copying import Piece, pieces
from pyctr.storage.unpack import shown
from pyctr.storage.whiteouts import PREFIX
from pyctr.storage.xattrs import is_kept

_BLOCK = tarfile.BLOCKSIZE
_COPY = 1 << 20
_WORTH = 64 << 20  # bytes of holes from which on a file is written as sparse: few readers know the format
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
# What opening a name says when there is nothing any more, or something else.
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class TarWriter:
    """Entries go to `write`, in order; `finish` comes last. Runs as root of the namespace of the ids."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._links: dict[tuple[int, int], bytes] = {}

    def add(self, path: bytes, status: os.stat_result, folder: int, leaf: bytes) -> None:
        """The entry `leaf` of an open folder, under the name `path`. PyctrError names it.

        Sockets and devices are left out: a tar has no place for the former, an ordinary user no right to
        the latter. So is what vanishes meanwhile.
        """
        try:
            self._add(path, status, folder, leaf)
        except OSError as error:
            if error.errno in GONE:
                return
            if error.errno in (errno.ENOSPC, errno.EPIPE):
                raise
            raise PyctrError(f"/{_text(path)} cannot be read: {error.strerror}") from None

    def hide(self, path: bytes) -> None:
        """The whiteout of a name that the layers below have: OCI image-spec, layer.md."""
        above, _, leaf = path.rpartition(b"/")
        name = PREFIX + leaf
        if len(name) > 255:
            raise PyctrError(
                f"the deletion of {shown(path)} cannot be told in a layer: its name is too long for a mark",
                "Use --squash, which makes one layer of all files.",
            )
        self._entry(tarfile.TarInfo(), above + b"/" + name if above else name)

    def finish(self) -> None:
        """Writes the end of the archive."""
        self._write(bytes(2 * _BLOCK))

    def _add(self, path: bytes, status: os.stat_result, folder: int, leaf: bytes) -> None:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        header = tarfile.TarInfo()
        header.type, header.mode = kind, stat.S_IMODE(status.st_mode)
        header.uid, header.gid, header.mtime = status.st_uid, status.st_gid, int(status.st_mtime)
        file = (status.st_dev, status.st_ino)
        shared = status.st_nlink > 1 and kind != tarfile.DIRTYPE
        if shared and file in self._links:
            header.type, header.linkname = tarfile.LNKTYPE, _text(self._links[file])
            self._entry(header, path)
            return
        self._add_content(header, path, folder, leaf)
        if shared:  # not before: it may vanish
            self._links[file] = path

    def _add_content(self, header: tarfile.TarInfo, path: bytes, folder: int, leaf: bytes) -> None:
        """An entry that is no hard link to another one."""
        if header.type == tarfile.REGTYPE:
            self._add_file(header, path, os.open(leaf, _READ, dir_fd=folder))
            return
        if header.type == tarfile.SYMTYPE:
            header.linkname = os.fsdecode(_read_link(folder, leaf))
        elif header.type == tarfile.DIRTYPE:
            header.pax_headers = _folder_xattrs(folder, leaf)
        self._entry(header, path)

    def _add_file(self, header: tarfile.TarInfo, path: bytes, fd: int) -> None:
        """A file as long as it is now: one that shrinks meanwhile gets zeros."""
        with open(fd, "rb", buffering=0):
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "it was replaced meanwhile")
            header.pax_headers = _xattrs(fd)
            if status.st_size - status.st_blocks * 512 >= _WORTH:
                self._add_sparse(header, path, fd, status.st_size)
                return
            header.size = status.st_size
            self._entry(header, path)
            self._data(fd, [(0, header.size)], header.size)

    def _add_sparse(self, header: tarfile.TarInfo, path: bytes, fd: int, size: int) -> None:
        found = [*pieces(fd, size), (size, 0)]  # readers rely on the end of the last one
        numbers = [len(found), *[number for piece in found for number in piece]]
        table = "".join([f"{number}\n" for number in numbers]).encode()
        table += bytes(-len(table) % _BLOCK)
        version = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        fields = {"GNU.sparse.name": _text(path), "GNU.sparse.realsize": str(size)}
        header.pax_headers = {**header.pax_headers, **version, **fields}
        data = sum([length for _, length in found])
        header.size = len(table) + data
        above, _, leaf = path.rpartition(b"/")
        self._entry(header, b"/".join([part for part in (above, b"GNUSparseFile.0", leaf) if part]))
        self._write(table)
        self._data(fd, found, header.size)

    def _data(self, fd: int, parts: list[Piece], size: int) -> None:
        for offset, length in parts:
            while length:
                chunk = os.pread(fd, min(length, _COPY), offset) or bytes(min(length, _COPY))
                self._write(chunk)
                offset, length = offset + len(chunk), length - len(chunk)
        self._write(bytes(-size % _BLOCK))

    def _entry(self, header: tarfile.TarInfo, path: bytes) -> None:
        header.name = _text(path)
        self._write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))


def _read_link(folder: int, leaf: bytes) -> bytes:
    try:
        return os.readlink(leaf, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise FileNotFoundError(errno.ENOENT, "it was replaced meanwhile") from None


def _folder_xattrs(folder: int, leaf: bytes) -> dict[str, str]:
    fd = os.open(leaf, _READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        return _xattrs(fd)
    finally:
        os.close(fd)


def _xattrs(fd: int) -> dict[str, str]:
    """The attributes that layers keep, as PAX records."""
    try:
        names = os.listxattr(fd)
    except OSError:
        return {}
    kept = [name for name in names if is_kept(os.fsencode(name))]
    return {f"SCHILY.xattr.{name}": _text(os.getxattr(fd, name)) for name in kept}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")

"""The content of volumes as tar archives, out and in.

Both run as root of a user namespace and work on descriptors: a container that has the volume mounted may
swap folders for links meanwhile, and nothing outside is read or written. Formats: POSIX.1-2017, pax.
"""

import hashlib
import os
import stat
import tarfile
from typing import BinaryIO

from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import unpack
from pyctr.storage.compression import decompressed
from pyctr.storage.tarstream import Entry, Source, TarReader

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TAR_LIMIT = 1 << 62  # bytes; what an archive of the user's own unpacks to is his business
_LEFT_OUT = ("user.overlay.", "user.fuseoverlayfs.", "security.selinux")


def export(folder: str, target: int) -> None:
    """Writes what is in the data folder of a volume as a tar to the descriptor `target`. OSError."""
    userns.call_mapped(userns.default_maps(), _export, folder, target)


def import_(folder: str, source: int) -> int:
    """Unpacks a tar, perhaps compressed, from the descriptor `source` over what is in a data folder; the
    number of entries. PyctrError names the entry that cannot be unpacked.
    """
    maps = userns.default_maps()
    count: int = userns.call_mapped(maps, _import, folder, source, maps)
    return count


def _export(folder: str, target: int) -> None:
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with open(target, "wb", closefd=False) as file:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            _Writer(tar).add_folder(top, ".")


class _Writer:
    """Adds a tree to a tar; `_links` knows the first name of each file that has several."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._links: dict[tuple[int, int], str] = {}

    def add_folder(self, fd: int, name: str) -> None:
        """A folder, which is closed, and what is below it. One that goes meanwhile is left out."""
        try:
            self._tar.addfile(_header(name, os.fstat(fd), _xattrs(fd)))
            for entry in sorted(os.listdir(fd)):
                try:
                    self._add(fd, entry, f"{name}/{entry}")
                except FileNotFoundError:
                    continue
        finally:
            os.close(fd)

    def _add(self, parent: int, entry: str, name: str) -> None:
        status = os.stat(entry, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self.add_folder(os.open(entry, _FOLDER, dir_fd=parent), name)
        elif first := self._links.get((status.st_dev, status.st_ino)):
            header = _header(name, status)
            header.type, header.linkname, header.size = tarfile.LNKTYPE, first, 0
            self._tar.addfile(header)
        elif stat.S_ISREG(status.st_mode):
            self._add_file(os.open(entry, _FILE, dir_fd=parent), name)
        elif not stat.S_ISSOCK(status.st_mode):
            target = os.readlink(entry, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
            self._tar.addfile(_header(name, status, target=target))

    def _add_file(self, fd: int, name: str) -> None:
        """A file as long as it was at first: one that grows is cut, one that shrinks gets zeros."""
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if status.st_nlink > 1:
                self._links[status.st_dev, status.st_ino] = name
            self._tar.addfile(_header(name, status, _xattrs(fd)), _Padded(file))


class _Padded:
    """A file that never ends early."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size).ljust(size, b"\0")


_KINDS = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
}


def _header(
    name: str, status: os.stat_result, xattrs: "dict[str, str] | None" = None, target: str = ""
) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = _KINDS[stat.S_IFMT(status.st_mode)]
    header.mode, header.uid, header.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    header.mtime = status.st_mtime
    header.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    header.linkname = target
    header.devmajor, header.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    header.pax_headers = xattrs or {}
    return header


def _xattrs(fd: int) -> dict[str, str]:
    try:
        names = os.listxattr(fd)
    except OSError:
        return {}
    kept = [name for name in names if not name.startswith(_LEFT_OUT)]
    return {
        f"SCHILY.xattr.{name}": os.getxattr(fd, name).decode("utf-8", "surrogateescape") for name in kept
    }


class _Merger(unpack.Unpacker):
    """Unpacks over what is there, where names that begin with .wh. are names like others."""

    def _add(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        if not path:
            self._add_root(entry)
            return
        above, _, leaf = path.rpartition(b"/")
        make = self._makers.get(entry.kind)
        if make is None:
            raise PyctrError(f"{unpack.shown(entry.name)} is of an unknown kind {entry.kind!r}")
        make(self._folder(above), leaf, entry, reader)


def _import(folder: str, source: int, maps: IdMaps) -> int:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    merger = _Merger(root, maps, unpack.DEFAULT_LIMITS.replace(entries=1 << 60, names=1 << 40))
    with open(source, "rb", closefd=False) as file:
        stream = Source(decompressed(file), hashlib.sha256(), _TAR_LIMIT)
        reader = TarReader(stream)
        for entry in reader:
            merger.add(entry, reader)
        stream.drain()  # whoever writes into a pipe gets rid of all of it
    pending = merger.finish()
    if pending.links:
        name, target = pending.links[0]
        raise PyctrError(f"{unpack.shown(name)} is a hard link to {unpack.shown(target)}, which is missing")
    os.close(root)
    return merger.entries

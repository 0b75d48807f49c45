"""Archives and folders that images are loaded from: members by their exact names.

Nothing is ever extracted: a name from an archive is a key of an index, never a path. Archives that are
compressed or come through a pipe are first written out to an unnamed file on the disk of the store.
"""

import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from pyctr.image.manifest import Invalid
from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage import paths, records, trees
from pyctr.storage.compression import BrokenStream, kind_of, proportionate
from pyctr.storage.tarstream import BLOCK, Source, TarReader
from pyctr.storage.unpack import DEFAULT_LIMITS

MEMBER_LIMIT = 100_000  # an image archive has some hundred
_NAMES_LIMIT = 16 << 20  # bytes of all names, which are kept in memory
_LINKS = 8  # links followed from member to member
_FULL = "Make room there, or choose another place with --root."
_RESERVE = 64 << 20  # bytes of the disk that a spooled archive leaves free
_INSIDE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS


class Archive(Protocol):
    """Where the documents and blobs of images are. A context manager."""

    label: str

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def open(self, name: str) -> BinaryIO:
        """The file of this name. Raises Invalid when there is none."""

    def size(self, name: str) -> int:
        """Its size in bytes. Raises Invalid when there is none."""

    def close(self) -> None:
        """Gives back what is open."""


def read(archive: Archive, name: str, limit: int) -> bytes:
    """A small file of an archive, whole. Raises Invalid when it is missing or larger than `limit` bytes."""
    if archive.size(name) > limit:
        raise Invalid(f"{name} is larger than {limit >> 20} MiB")
    with archive.open(name) as file:
        return file.read(limit)


def open_archive(store: paths.Store, path: str) -> Archive:
    """The archive or OCI layout folder at `path`; `-` is standard input. Raises PyctrError."""
    if path == "-":
        return TarArchive(_seekable(store, os.fdopen(os.dup(0), "rb"), "standard input"), "standard input")
    try:
        if os.path.isdir(path):
            return FolderArchive(path)
        file = open(path, "rb")
    except FileNotFoundError:
        raise PyctrError(f"the archive {path} does not exist") from None
    return TarArchive(_seekable(store, file, path), path)


def _seekable(store: paths.Store, file: BinaryIO, label: str) -> BinaryIO:
    """`file` itself when it is a plain tar on a disk, else an unnamed copy of its decompressed content."""
    start = file.peek(6)[:6] if isinstance(file, io.BufferedReader) else b""
    regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    if regular and not file.tell() and not kind_of(start):
        return file
    with file:
        return spool(store, proportionate(file, DEFAULT_LIMITS.tar_size), label)


def spool(store: paths.Store, chunks: Iterator[bytes], label: str) -> BinaryIO:
    """The chunks in an unnamed file on the disk of the store, at its start. PyctrError when that is full.

    The file has no name, so a crash leaves nothing behind.
    """
    records.make_folder(store.root)
    copy = os.fdopen(_unnamed_file(store.root), "w+b")
    try:
        left = _free(store.root)
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise PyctrError(
                    f"{label} does not fit on the disk of {store.root}",
                    "Make room, or choose another --root.",
                )
            copy.write(chunk)
        copy.flush()
    except OSError as error:
        copy.close()
        raise PyctrError(f"{label} cannot be copied to {store.root}: {error.strerror}") from None
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _free(folder: str) -> int:
    found = os.statvfs(folder)
    return max(found.f_bavail * found.f_frsize - _RESERVE, found.f_bavail * found.f_frsize // 2)


def _unnamed_file(folder: str) -> int:
    try:
        return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError:  # file systems without O_TMPFILE
        path = f"{folder}/{paths.TEMPORARY}{os.getpid()}.{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        trees.remove_own(path)  # unless a sweeper was faster
        return fd


class _FileSource(Source):
    """A tar on a disk: data that is not wanted is passed over without reading it."""

    def __init__(self, file: BinaryIO) -> None:
        self._fd = file.fileno()
        self._end = os.fstat(self._fd).st_size
        self.position = 0

    def take(self, size: int) -> bytes:
        data = os.pread(self._fd, size, self.position)
        if len(data) < size:
            raise BrokenStream("the tar ends in the middle of an entry")
        self.position += size
        return data

    def pieces(self, size: int) -> Iterator[memoryview]:
        yield memoryview(self.take(size))

    def skip(self, size: int) -> None:
        self.position += size
        if self.position > self._end + BLOCK:  # the padding of the last entry may be missing
            raise BrokenStream("the tar ends in the middle of an entry")

    def at_end(self) -> bool:
        return self.position >= self._end


class TarArchive:
    """An uncompressed tar in a file on a disk."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self.label = label
        self._file = file
        self._members: dict[str, tuple[int, int]] = {}  # name -> offset, size
        self._links: dict[str, str] = {}
        try:
            self._read_index()
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> "TarArchive":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def _read_index(self) -> None:
        source = _FileSource(self._file)
        names = 0
        for entry in TarReader(source):
            names += len(entry.name) + len(entry.target)
            if names > _NAMES_LIMIT:
                raise Invalid(f"{self.label} has more than {_NAMES_LIMIT} bytes of names")
            name = _clean(entry.name)
            if entry.kind not in (b"0", b"1", b"2"):
                continue
            if name in self._members or name in self._links:
                raise Invalid(f"{self.label} has two files of the name {name!r}")
            if entry.kind == b"0" and entry.sparse is None:
                self._members[name] = (source.position, entry.size)
            elif entry.kind in (b"1", b"2"):
                folder = os.path.dirname(name) if entry.kind == b"2" else ""
                self._links[name] = _clean(os.path.join(os.fsencode(folder), entry.target))
            if len(self._members) + len(self._links) > MEMBER_LIMIT:
                raise Invalid(f"{self.label} has more than {MEMBER_LIMIT} files")

    def _find(self, name: str) -> tuple[int, int] | None:
        """Offset and size; docker once stored a repeated layer as a link to the first."""
        for _ in range(_LINKS):
            if name in self._members:
                return self._members[name]
            name = self._links.get(name, "")
        return None

    def has(self, name: str) -> bool:
        return self._find(_clean(name.encode())) is not None

    def open(self, name: str) -> BinaryIO:
        offset, size = self._found(name)
        return io.BufferedReader(_Member(self._file.fileno(), offset, size), 1 << 18)

    def size(self, name: str) -> int:
        return self._found(name)[1]

    def _found(self, name: str) -> tuple[int, int]:
        found = self._find(_clean(name.encode(errors="surrogateescape")))
        if found is None:
            raise Invalid(f"{self.label} lacks the file {name!r}")
        return found


def _clean(name: bytes) -> str:
    """A name without `./`, doubled slashes and `..`, which only serves as a key."""
    return os.path.normpath(b"/" + name).lstrip(b"/").decode(errors="surrogateescape")


class _Member(io.RawIOBase):
    """A part of a file, read without moving the file's own position."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._offset = offset
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        view = memoryview(buffer)[: self._left]
        count = os.preadv(self._fd, [view], self._offset) if view else 0
        if view and not count:
            raise BrokenStream("the archive ends in the middle of a file")
        self._offset += count
        self._left -= count
        return count


class FolderArchive:
    """An OCI image layout as a folder. Links in it may not lead out."""

    def __init__(self, path: str) -> None:
        self.label = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> "FolderArchive":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def has(self, name: str) -> bool:
        try:
            os.close(syscalls.openat2(self._fd, name, os.O_PATH, resolve=_INSIDE))
        except OSError:
            return False
        return True

    def open(self, name: str) -> BinaryIO:
        try:
            fd = syscalls.openat2(self._fd, name, os.O_RDONLY | os.O_NONBLOCK, resolve=_INSIDE)
        except OSError as error:
            raise Invalid(f"{self.label}: {name!r} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Invalid(f"{self.label}: {name!r} is not a file")
        return os.fdopen(fd, "rb")

    def size(self, name: str) -> int:
        with self.open(name) as file:
            return os.fstat(file.fileno()).st_size

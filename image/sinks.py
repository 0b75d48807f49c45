"""What images are written to: a folder or a tar, file by file.

A folder gets each file under a temporary name first; what was whole stays whole when a writer is killed,
and its leftover is a `.<name>.<random>`. A tar that is a plain file gets its name when it is finished.
"""

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

from pyctr.rootless.errors import PyctrError

_LIMIT = 16 << 20  # bytes of a document that is read back


class Sink(Protocol):
    """Takes files by relative names. A file that is there is not written again."""

    def has(self, name: str, size: int) -> bool:
        """Whether a file of this name and size is there."""

    def read(self, name: str) -> bytes | None:
        """A small file that was there before, None when there is none."""

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Writes a file of `size` bytes, over an older one."""


class FolderSink:
    """A folder, made when it is missing."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(path, exist_ok=True)

    def has(self, name: str, size: int) -> bool:
        try:
            status = os.stat(f"{self._path}/{name}")
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def read(self, name: str) -> bytes | None:
        path = f"{self._path}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise PyctrError(f"{path} is not a file", "Choose another folder.")
        with open(fd, "rb") as file:
            return file.read(_LIMIT)

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        path = f"{self._path}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with _replaced(path) as file:
            file.writelines(chunks)


class TarSink:
    """A tar in an open file that need not be seekable."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()

    def has(self, name: str, _size: int) -> bool:
        return name in self._names

    def read(self, _name: str) -> bytes | None:
        return None

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        self._add_folders(os.path.dirname(name))
        self._names.add(name)
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o444
        self._file.write(header.tobuf(tarfile.PAX_FORMAT))
        written = sum([self._file.write(chunk) for chunk in chunks])
        if written != size:
            raise PyctrError(f"{name} has {written} bytes instead of {size}")
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))

    def _add_folders(self, path: str) -> None:
        """Entries for the folders of a file: skopeo gives those that have none to root, and fails."""
        if path and path not in self._names:
            self._add_folders(os.path.dirname(path))
            self._names.add(path)
            header = tarfile.TarInfo(f"{path}/")
            header.type, header.mode = tarfile.DIRTYPE, 0o755
            self._file.write(header.tobuf(tarfile.PAX_FORMAT))

    def finish(self) -> None:
        """Writes the end of the tar."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.flush()


@contextlib.contextmanager
def tar_file(path: str) -> Iterator[TarSink]:
    """A tar in a `whole_file`."""
    with whole_file(path) as file:
        sink = TarSink(file)
        yield sink
        sink.finish()


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """A file to write that gets the name `path` when it is whole; standard output when that is empty.

    A symbolic link stays, and what it leads to is replaced. What is there and is no plain file (a device, a
    FIFO) is written to as it is. OSError names it.
    """
    if not path or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path or os.dup(1), "wb") as file:
            yield file
        return
    with _replaced(os.path.realpath(path)) as file:
        yield file


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[BinaryIO]:
    """A file that gets the name `path` when it is whole, as a file of the user's umask."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:200]}.{os.urandom(6).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with io.BufferedWriter(io.FileIO(fd, "w"), 1 << 18) as file:
            yield file
            if os.path.lexists(path):  # else a power cut could leave neither the older file nor this one
                file.flush()
                os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

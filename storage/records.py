"""Records: small JSON files that are replaced atomically, and the locks that protect their objects.

Every record carries `version`. Newer code reads every older version; a record of a newer version, or one
that cannot be read, raises BrokenRecord and is kept. EIO, EMFILE and EACCES are errors, never absence.
"""

import errno
import fcntl
import os
import stat
import time

from pyctr.rootless import jsontext
from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    V = TypeVar("V", bound=Value)

RECORD_LIMIT = 16 << 20  # bytes; a record beyond this is not ours


def read_text(path: str) -> str:
    """The text of a small file. FileNotFoundError when it is absent, BrokenRecord for a FIFO."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            _wait_for_pipe(fd, path)
        chunks = []
        left = RECORD_LIMIT
        while chunk := os.read(fd, min(left, 1 << 20)):
            chunks.append(chunk)
            left -= len(chunk)
            if left <= 0:
                raise BrokenRecord(f"{path} is larger than {RECORD_LIMIT} bytes")
    finally:
        os.close(fd)
    try:
        return b"".join(chunks).decode()
    except UnicodeDecodeError:
        raise BrokenRecord(f"{path} is not UTF-8 text") from None


def _wait_for_pipe(fd: int, path: str) -> None:
    """Lets reads wait for what comes through the pipe of a shell's <(...). A FIFO on the disk may have no
    writer, ever.
    """
    if not os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
        raise BrokenRecord(f"{path} is a FIFO, not a file")
    os.set_blocking(fd, True)


def read_json(path: str) -> "Any":
    """The JSON value in a file. FileNotFoundError when it is absent, BrokenRecord when it is not JSON."""
    try:
        return jsontext.loads(read_text(path))
    except ValueError as error:
        raise BrokenRecord(f"{path} is not JSON: {error}") from None


def read_record(path: str, kind: "type[V]", version: int) -> "V":
    """The record of `kind` in `path`. FileNotFoundError when absent, BrokenRecord when unreadable or
    newer.
    """
    data = read_json(path)
    if type(data) is not dict or type(data.get("version")) is not int:
        raise BrokenRecord(f"{path} has no version")
    if data["version"] > version:
        raise BrokenRecord(
            f"{path} was written by a newer pyctr (format {data['version']}, known is {version})",
            "Use the newer pyctr for this object.",
        )
    try:
        return kind.from_json(data)
    except (TypeError, ValueError) as error:
        raise BrokenRecord(f"{path} does not describe a {kind.__name__}: {error}") from None


def write_all(fd: int, data: "bytes | bytearray | memoryview") -> None:
    """Writes all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_text(path: str, text: str, *, durable: bool, mode: int = 0o600) -> None:
    """Replaces a file: a temporary beside it, fsync when `durable`, rename, fsync of the folder.

    SIGKILL before the rename leaves the old file and a `.<name>.<pid>` that the next sweep of the object
    removes.
    """
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            if mode != 0o600:
                os.fchmod(fd, mode)  # whatever the user's umask is: a container reads it
            write_all(fd, text.encode())
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    if durable:
        sync_folder(folder)


def write_record(path: str, record: Value, *, durable: bool) -> None:
    """Replaces a record, which has a field `version`."""
    write_text(path, jsontext.dumps(record.to_json()) + "\n", durable=durable)


def sync_folder(path: str) -> None:
    """Makes the names in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Lock:
    """A held `flock` on a file or folder; a context manager. Close-on-exec, but a forked child must close
    it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Gives the lock back. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def lock(path: str, *, shared: bool = False, wait: bool = True) -> Lock:
    """Locks a folder or file that exists. FileNotFoundError when it is gone (also when it goes while we
    wait).

    After the lock is taken the path must still lead to the locked inode, else the object was replaced and
    the new one is locked. BlockingIOError with `wait=False` when another process holds it.
    """
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, operation)
            held, named = os.fstat(fd), os.stat(path)
            if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
                return Lock(fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def lock_file(path: str, *, shared: bool = False, wait: bool = True) -> Lock:
    """Like `lock`, for a lock file that is made when it is missing."""
    make_folder(os.path.dirname(path))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return lock(path, shared=shared, wait=wait)


def names_in(folder: str) -> "list[str]":
    """The names in a folder, sorted; none when there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_younger(path: str, age: int) -> bool:
    """Whether a file or folder was changed less than `age` seconds ago; what is gone was not."""
    try:
        return age > 0 and time.time() - os.lstat(path).st_mtime < age
    except FileNotFoundError:
        return False


def make_folder(path: str) -> None:
    """A folder with mode 0700 and its parents. FileNotFoundError behind a link that leads nowhere."""
    try:
        _make_one(path)
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        _make_one(path)


def _make_one(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass

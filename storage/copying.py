"""Copies of files as they are: content (shared with the original where the file system can), holes, owner,
mode, attributes, times. Works on open folders and follows no link.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from pyctr.storage.xattrs import set_xattrs

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 30  # bytes of one call; the kernel does less when it likes
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
Piece = tuple[int, int]  # start and length in bytes


def copy_entry(source: int, name: bytes, status: os.stat_result, target: int) -> None:
    """Copies `name`, anything but a folder, from the open folder `source` to the open folder `target`.

    Sockets and devices are left out: no layer has any.
    """
    if stat.S_ISREG(status.st_mode):
        opened = os.open(name, _READ_FILE, dir_fd=source)
        try:
            copy_file(opened, target, name)
        finally:
            os.close(opened)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        _own(target, name, status)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(name, 0o600, dir_fd=target)
        _own(target, name, status)


def _own(folder: int, name: bytes, status: os.stat_result) -> None:
    """Owner, mode and time of what cannot be opened."""
    os.chown(name, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=folder)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def copy_file(source: int, folder: int, name: bytes) -> None:
    """A new file `name` in an open folder, like the file that is open as `source`. FileExistsError."""
    copy = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        copy_content(source, copy)
        copy_status(source, copy)
    finally:
        os.close(copy)


def copy_content(source: int, target: int, length: int | None = None) -> None:
    """Fills the empty file `target` with the first `length` bytes, all when not given: shares the blocks of
    `source`, else copies what is not a hole.
    """
    size = os.fstat(source).st_size
    if length in (None, size) and _clone(source, target):
        return
    size = size if length is None else length
    for start, count in pieces(source, size):
        _copy_piece(source, target, start, count)
    os.ftruncate(target, size)


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return True
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise


def pieces(fd: int, size: int) -> Iterator[Piece]:
    """(start, length) of all that is not a hole in the first `size` bytes of a file."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
            hole = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # the file system knows no holes
                yield end, size - end
            return
        end = min(hole, size)
        if start < end:
            yield start, end - start


def _copy_piece(source: int, target: int, start: int, length: int) -> None:
    os.lseek(source, start, os.SEEK_SET)
    os.lseek(target, start, os.SEEK_SET)
    while length:
        done = os.sendfile(target, source, None, min(length, _PIECE))
        if not done:
            return  # it has become shorter
        length -= done


def copy_status(source: int, target: int) -> None:
    """Owner, mode, attributes and times of an open file or folder, in the order that keeps them."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    names = [os.fsencode(name) for name in os.listxattr(source)]
    if names:
        set_xattrs(target, {name: os.getxattr(source, name) for name in names})
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

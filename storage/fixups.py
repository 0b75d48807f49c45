"""What a layer takes from the layers below it, once they are complete.

Parents that its tar lacked get owner, mode and time from below; hard links to files that only a lower
layer has become copies of them. Runs as root of the user namespace, on open folders.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage.unpack import Pending, link_within, make_whiteout, shown
from pyctr.storage.xattrs import OPAQUE, set_xattrs

_BELOW = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_HANDLE = os.O_PATH | os.O_NOFOLLOW
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_COPY = 1 << 30


def mend(layer: int, below: Sequence[int], pending: Pending) -> None:
    """Does what is pending in the folder `layer`.

    `below` are the folders of the lower layers, the next one first.
    """
    copies: dict[bytes, bytes] = {}
    for name, target in pending.links:
        _complete_link(layer, below, name, target, copies.setdefault(target, name))
    for path in pending.parents:
        _take_after(layer, below, path)
    if pending.opaque:
        _hide_all(layer, below)


def find(layers: Iterable[int], path: bytes) -> int | None:
    """A handle (O_PATH) of what an overlay of these layers, topmost first, has at `path`.

    None when it has nothing.
    """
    for layer in layers:
        try:
            found = syscalls.openat2(layer, path or b".", _HANDLE, 0, _BELOW)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            if _hides(layer, path):
                return None
            continue
        if not stat.S_ISCHR(os.fstat(found).st_mode):
            return found
        os.close(found)
        return None
    return None


def _hides(layer: int, path: bytes) -> bool:
    """Whether this layer, which lacks `path`, hides what lower ones have there.

    By a whiteout, an opaque folder, a file.
    """
    parts = path.split(b"/")
    for count in range(1, len(parts)):
        try:
            fd = syscalls.openat2(layer, b"/".join(parts[:count]), _READ_FOLDER, 0, _BELOW)
        except OSError as error:
            return error.errno != errno.ENOENT
        try:
            if _is_opaque(fd):
                return True
        finally:
            os.close(fd)
    return False


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, OPAQUE) == b"y"
    except OSError:
        return False


def _take_after(layer: int, below: Sequence[int], path: bytes) -> None:
    try:
        folder = syscalls.openat2(layer, path or b".", _READ_FOLDER, 0, _BELOW)
    except OSError as error:
        if error.errno in _ABSENT:
            return  # a later entry of the tar has replaced it
        raise
    try:
        model = find(below, path)
        if model is not None:
            _copy_folder_status(model, folder)
    finally:
        os.close(folder)


def _copy_folder_status(model: int, folder: int) -> None:
    try:
        status = os.fstat(model)
        if stat.S_ISDIR(status.st_mode):
            opened = os.open(b".", _READ_FOLDER, dir_fd=model)
            try:
                _copy_status(opened, folder, status)
            finally:
                os.close(opened)
    finally:
        os.close(model)


def _copy_status(source: int, target: int, status: os.stat_result) -> None:
    """Owner, mode, attributes and times, in the order that keeps them."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    names = [os.fsencode(name) for name in os.listxattr(source)]
    set_xattrs(target, {name: os.getxattr(source, name) for name in names})
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _complete_link(layer: int, below: Sequence[int], name: bytes, target: bytes, copy: bytes) -> None:
    """Makes the link; `copy` is the name that got the first copy of its target, perhaps this one."""
    above, _, leaf = name.rpartition(b"/")
    folder = syscalls.openat2(layer, above or b".", _READ_FOLDER, 0, _IN_ROOT)
    try:
        status = os.fstat(folder)
        if not _exists(folder, leaf):  # else a later entry of the tar has made it
            _link_or_copy(layer, below, folder, leaf, target, copy)
            os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        raise PyctrError(f"{shown(name)} cannot be linked to {shown(target)}: {error.strerror}") from None
    finally:
        os.close(folder)


def _exists(folder: int, leaf: bytes) -> bool:
    try:
        os.lstat(leaf, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _link_or_copy(
    layer: int, below: Sequence[int], folder: int, leaf: bytes, target: bytes, copy: bytes
) -> None:
    for here in (target, copy):  # an earlier fix-up may have made either
        try:
            link_within(layer, here, folder, leaf)
            return
        except (FileNotFoundError, NotADirectoryError):
            pass
    source = find(below, target)
    if source is None:
        raise FileNotFoundError(errno.ENOENT, "no layer has the target")
    try:
        _copy(source, folder, leaf)
    finally:
        os.close(source)


def _copy(source: int, folder: int, leaf: bytes) -> None:
    status = os.fstat(source)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(b"", dir_fd=source), leaf, dir_fd=folder)
        os.chown(leaf, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
        return
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EPERM, "the target is not a file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    copy = os.open(leaf, flags, 0o600, dir_fd=folder)
    try:
        while os.sendfile(copy, opened, None, _COPY):
            pass
        _copy_status(opened, copy, status)
    finally:
        os.close(opened)
        os.close(copy)


def _hide_all(layer: int, below: Sequence[int]) -> None:
    """Whiteouts for every name that lower layers have in their root: the overlay ignores an opaque root."""
    for lower in below:
        for name in os.listdir(lower):
            make_whiteout(layer, os.fsencode(name))

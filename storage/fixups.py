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
from pyctr.storage.copying import copy_file, copy_status
from pyctr.storage.unpack import Pending, link_within, shown
from pyctr.storage.whiteouts import DEVICES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.whiteouts import Dialect

_BELOW = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_HANDLE = os.O_PATH | os.O_NOFOLLOW
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def mend(layer: int, below: Sequence[int], pending: Pending, dialect: "Dialect" = DEVICES) -> None:
    """Does what is pending in the folder `layer`.

    `below` are the folders of the lower layers, the next one first.
    """
    copies: dict[bytes, bytes] = {}
    for name, target in pending.links:
        _complete_link(layer, below, name, target, copies.setdefault(target, name), dialect)
    for path in pending.parents:
        _take_after(layer, below, path, dialect)
    if pending.opaque:
        _hide_all(layer, below, dialect)


def find(layers: Iterable[int], path: bytes, dialect: "Dialect" = DEVICES) -> int | None:
    """A handle (O_PATH) of what these layers together, topmost first, have at `path`.

    None when they have nothing.
    """
    for layer in layers:
        try:
            found = syscalls.openat2(layer, path or b".", _HANDLE, 0, _BELOW)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            if path and _hides(layer, path, dialect):
                return None
            continue
        if not dialect.is_mark(path.rpartition(b"/")[2], os.fstat(found)):
            return found
        os.close(found)
        return None
    return None


def _hides(layer: int, path: bytes, dialect: "Dialect") -> bool:
    """Whether this layer, which lacks `path`, hides what lower ones have there.

    By a whiteout, an opaque folder, a file.
    """
    parts = path.split(b"/")
    for count, part in enumerate(parts):
        try:
            fd = syscalls.openat2(layer, b"/".join(parts[:count]) or b".", _READ_FOLDER, 0, _BELOW)
        except OSError as error:
            return error.errno != errno.ENOENT
        try:
            if (count and dialect.is_opaque(fd)) or dialect.hides(fd, part):
                return True
        finally:
            os.close(fd)
    return False


def _take_after(layer: int, below: Sequence[int], path: bytes, dialect: "Dialect") -> None:
    try:
        folder = syscalls.openat2(layer, path or b".", _READ_FOLDER, 0, _BELOW)
    except OSError as error:
        if error.errno in _ABSENT:
            return  # a later entry of the tar has replaced it
        raise
    try:
        model = find(below, path, dialect)
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
                copy_status(opened, folder)
            finally:
                os.close(opened)
    finally:
        os.close(model)


def _complete_link(
    layer: int, below: Sequence[int], name: bytes, target: bytes, copy: bytes, dialect: "Dialect"
) -> None:
    """Makes the link; `copy` is the name that got the first copy of its target, perhaps this one."""
    above, _, leaf = name.rpartition(b"/")
    folder = syscalls.openat2(layer, above or b".", _READ_FOLDER, 0, _IN_ROOT)
    try:
        status = os.fstat(folder)
        if not _exists(folder, leaf):  # else a later entry of the tar has made it
            if not _link_again(layer, folder, leaf, (target, copy)):
                _copy_from(find(below, target, dialect), folder, leaf)
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


def _link_again(layer: int, folder: int, leaf: bytes, targets: Iterable[bytes]) -> bool:
    """Links to the first of the targets that this layer has: an earlier fix-up may have made either."""
    for target in targets:
        try:
            link_within(layer, target, folder, leaf)
            return True
        except (FileNotFoundError, NotADirectoryError):
            pass
    return False


def _copy_from(source: int | None, folder: int, leaf: bytes) -> None:
    """Copies what the layers below have, and closes its handle."""
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
    opened = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy_file(opened, folder, leaf)
    finally:
        os.close(opened)


def _hide_all(layer: int, below: Sequence[int], dialect: "Dialect") -> None:
    """Whiteouts for every name that lower layers have in their root: the overlay ignores an opaque root."""
    for lower in below:
        for name in dialect.read(lower).entries:
            dialect.hide(layer, name)

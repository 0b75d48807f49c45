"""Removal of folders, also of those whose files belong to subordinate ids.

Works on descriptors and never follows a link, so a tree that a container wrote cannot lead it elsewhere.
On the path of `rm`: no imports beyond the basics.
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.rootless.idmap import IdMaps

_DEPTH = 64  # descriptors that are open at once; deeper folders are moved up to the top first
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OURS = (errno.EACCES, errno.EPERM)


def remove(path: str, maps: "IdMaps | None" = None) -> None:
    """Removes a file or a tree; absence is success.

    First as the user; what belongs to subordinate ids then as root of a user namespace with `maps` (the
    user's own when not given). OSError names what could not be removed.
    """
    try:
        remove_own(path)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        from pyctr.rootless import userns

        userns.call_mapped(maps or userns.default_maps(), remove_own, path)


def remove_own(path: str) -> None:
    """Removes a file or a tree with the rights of this process; absence is success."""
    folder, name = os.path.split(path)
    try:
        parent = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_at(parent, os.fsencode(name))
    finally:
        os.close(parent)


def remove_at(parent: int, name: bytes) -> None:
    """Removes the file or tree `name`, one component, of an open folder; absence is success."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    top = _open_folder(parent, name)
    try:
        while _empty(top, top, 0):
            pass
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty(folder: int, top: int, depth: int) -> bool:
    """Removes all that is in a folder; True when a folder was too deep and now waits in the top one."""
    moved = False
    with os.scandir(folder) as entries:
        found = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif depth >= _DEPTH:
            os.rename(name, b"deep." + os.urandom(8).hex().encode(), src_dir_fd=folder, dst_dir_fd=top)
            moved = True
        else:
            moved |= _remove_folder(folder, name, top, depth + 1)
    return moved


def _remove_folder(parent: int, name: bytes, top: int, depth: int) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
        return False
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    folder = _open_folder(parent, name)
    try:
        moved = _empty(folder, top, depth)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)
    return moved


def _open_folder(parent: int, name: bytes) -> int:
    """The folder, opened so that it can be emptied: one of our own without permissions gets them."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        status = os.fstat(handle)
        if status.st_mode & 0o700 != 0o700 and status.st_uid == os.geteuid():
            os.chmod(f"/proc/self/fd/{handle}", 0o700)  # fchmod refuses an O_PATH descriptor
        return os.open(b".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)

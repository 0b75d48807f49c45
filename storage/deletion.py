"""Deleting folders in which container ids own files."""

import errno
import os

from pyctr.rootless import userns

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def delete_tree(path: str) -> None:
    """Deletes a folder and all below it; nothing when it is gone. Links are not followed.

    As the user where that is allowed; else as root of its user namespace, where it may delete what its subordinate ids own.
    """
    try:
        _delete(path)
    except PermissionError:
        userns.call_mapped(userns.default_maps(), _delete, path)


def _delete(path: str) -> None:
    try:
        top = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        while names := os.listdir(top):
            for name in names:
                if not _remove(name, top):
                    _flatten(name, top)
    finally:
        os.close(top)
    os.rmdir(path)


def _remove(name: str, folder: int) -> bool:
    """Whether an entry could be removed: a file, or an empty folder."""
    try:
        os.unlink(name, dir_fd=folder)
        return True
    except IsADirectoryError:
        pass
    try:
        os.rmdir(name, dir_fd=folder)
        return True
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        return False


def _flatten(name: str, top: int) -> None:
    """Removes a folder whose own folders, where they hold something, move up into `top`.

    So neither Python's stack nor the number of descriptors limits how deep a container may nest its folders.
    """
    folder = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for entry in os.listdir(folder):
            if not _remove(entry, folder):
                os.rename(entry, f".{os.urandom(12).hex()}", src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)

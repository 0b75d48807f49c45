"""Copies of the image's content: into a fresh named volume (docker and podman do so), into a tmpfs
(`tmpcopyup`).

Runs in init before the pivot, as root of the container's user namespace. The source is the image's: nothing
is followed (descriptors and O_NOFOLLOW), special files are left out.
"""

import os

from pyctr.rootless import syscalls
from pyctr.rootless.mounts import Root
from pyctr.storage import paths, trees, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store

_FOLDER, _FILE, _LINK = 0o040000, 0o100000, 0o120000
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill_volume(store: "Store", name: str, root: Root, target: str) -> None:
    """Copies the folder `target` of the image into a volume that is empty and was never filled.

    What a SIGKILL or power cut leaves after each step, and what the next filling does about it:
    1. the copy in fill.draft/       a part of the copy, which is dropped: the volume is empty still
    2. fill.draft becomes fill/      the whole copy, which is moved on
    3. its entries move to data/     as 2; nothing that somebody has put there meanwhile is replaced.
                                     They are on disk before the next step
    4. fill/ goes, the mark is set   a full volume; without the mark, one that is not filled since it is not
                                     empty
    """
    with volumes.lock(store, name) as held:
        volume = volumes.read(store, name)
        if volume.copied:
            return
        _fill(held.fd, root, target, durable=not volume.anonymous)
        volumes.mark_copied(store, name, durable=not volume.anonymous)


def _fill(folder: int, root: Root, target: str, *, durable: bool) -> None:
    """`fill_volume` in the open folder of the volume."""
    from pyctr.storage import copying

    data = os.open(paths.VOLUME_DATA, _OPEN_FOLDER, dir_fd=folder)
    try:
        if not _exists(folder, paths.VOLUME_FILL):
            if os.listdir(data):
                return
            _draft_copy(folder, root, target, durable=durable)
        copy = os.open(paths.VOLUME_FILL, _OPEN_FOLDER, dir_fd=folder)
        try:
            _move_entries(copy, data)
            copying.copy_status(copy, data)
            if durable:  # before anything says that they are there
                os.fsync(data)
        finally:
            os.close(copy)
        trees.remove_at(folder, paths.VOLUME_FILL.encode())
    finally:
        os.close(data)


def _draft_copy(folder: int, root: Root, target: str, *, durable: bool) -> None:
    """A copy of the image's folder, which gets its name when it is whole."""
    trees.remove_at(folder, paths.VOLUME_FILL_DRAFT.encode())
    os.mkdir(paths.VOLUME_FILL_DRAFT, 0o700, dir_fd=folder)
    draft = os.open(paths.VOLUME_FILL_DRAFT, _OPEN_FOLDER, dir_fd=folder)
    try:
        data = os.stat(paths.VOLUME_DATA, dir_fd=folder)
        os.fchown(draft, data.st_uid, data.st_gid)
        os.fchmod(draft, data.st_mode & 0o7777)
        copy_folder(root, target, draft, attributes=not (data.st_uid or data.st_gid))
        if durable and os.listdir(draft):
            syscalls.syncfs(draft)
    finally:
        os.close(draft)
    os.rename(paths.VOLUME_FILL_DRAFT, paths.VOLUME_FILL, src_dir_fd=folder, dst_dir_fd=folder)


def _move_entries(source: int, target: int) -> None:
    """Moves what a folder holds into another, but for names that are taken there."""
    for name in os.listdir(source):
        if not _exists(target, name):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def copy_folder(root: Root, path: str, target: int, *, attributes: bool = True) -> None:
    """Copies what is in a folder of the image, and the folder's own owner and mode unless they were chosen,
    into the folder `target` (a descriptor).
    """
    try:
        source = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        # Opened anew: the descriptor of a mount that is not attached yet cannot be changed through (EBADF).
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=target)
        try:
            _copy_children(source, folder)
            if attributes:
                from pyctr.storage import copying

                copying.copy_status(source, folder)
        finally:
            os.close(folder)
    finally:
        os.close(source)


def _copy_children(source: int, target: int) -> None:
    for name in os.listdir(source):
        _copy_entry(name, source, target)


def _copy_entry(name: str, source: int, target: int) -> None:
    from pyctr.storage import copying

    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    kind = status.st_mode & 0o170000
    if kind == _FOLDER:
        os.mkdir(name, 0o700, dir_fd=target)
        _copy_subfolder(name, source, target)
    elif kind in (_FILE, _LINK):
        copying.copy_entry(source, os.fsencode(name), status, target)


def _copy_subfolder(name: str, source: int, target: int) -> None:
    from pyctr.storage import copying

    old = os.open(name, _OPEN_FOLDER, dir_fd=source)
    try:
        new = os.open(name, _OPEN_FOLDER, dir_fd=target)
        try:
            _copy_children(old, new)
            copying.copy_status(old, new)
        finally:
            os.close(new)
    finally:
        os.close(old)

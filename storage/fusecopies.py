"""Copy-up of the built-in overlay: a file of a lower layer becomes one of the upper folder.

Each copy is built in the work folder and renamed into its place, so a SIGKILL leaves the old state or the
new one, and garbage in the work folder that the next mount removes. Data is on disk before the rename,
except on a volatile mount.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyctr.rootless import syscalls
from pyctr.storage import trees
from pyctr.storage.copying import copy_content
from pyctr.storage.fusenodes import UPPER, Node
from pyctr.storage.fusetrees import PRIVATE, Trees

_LOST_XATTR = (errno.ENOTSUP, errno.EPERM, errno.ENODATA)  # what the upper file system or the kernel refuses
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Copies:
    """Makes things in the upper folder. `work` is a descriptor of a folder on the same file system."""

    def __init__(self, files: Trees, work: int, *, volatile: bool) -> None:
        self._files = files
        self.work = work
        self.volatile = volatile
        self._drafts = 0

    def clear_work(self) -> None:
        """Removes what a killed process has left."""
        for name in os.listdir(self.work):
            trees.remove_at(self.work, os.fsencode(name))

    @contextmanager
    def draft(self) -> Iterator[bytes]:
        """A free name in the work folder; what is left there at the end is removed."""
        self._drafts += 1
        name = b"%d" % self._drafts
        try:
            yield name
        finally:
            trees.remove_at(self.work, name)

    def folder(self, node: Node) -> int:
        """The upper folder of a merged one, copied up with its parents where it is missing."""
        self.copy_up(node)
        return self._files.folder(node, UPPER)

    def copy_up(self, node: Node, length: int | None = None) -> None:
        """Makes a node one of the upper folder; of a file the first `length` bytes, all when not given."""
        missing = []
        while not node.is_upper:
            missing.append(node)
            if not node.names:  # removed already: no folder needs it
                break
            node = node.place()[0]
        for each in reversed(missing):
            self._copy_up(each, length)

    def _copy_up(self, node: Node, length: int | None) -> None:
        with self.draft() as name, self._files.pinned(node) as source:
            status = os.fstat(source)
            self._copy(source, name, status, length)
            if node.names:
                parent, leaf = node.place()
                self._publish(name, self._files.folder(parent, UPPER), leaf)
            self._switch(node, name)

    def _publish(self, name: bytes, folder: int, leaf: bytes) -> None:
        """A copy does not change the folder that it is in, as far as its times can tell."""
        before = os.fstat(folder)
        os.rename(name, leaf, src_dir_fd=self.work, dst_dir_fd=folder)
        os.utime(path_of(folder), ns=(before.st_atime_ns, before.st_mtime_ns))

    def _switch(self, node: Node, draft: bytes) -> None:
        """From now on the node is the copy, for those too that have it open."""
        layers = (UPPER, *node.lowers) if node.is_folder else (UPPER,)
        if node.handle >= 0:
            new = os.open(draft, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.work)
            os.dup2(new, node.handle, inheritable=False)
            os.close(new)
        node.layers = layers
        if node.is_folder:
            return
        node.number = node.id
        status = self._files.status(node)
        self._files.nodes.register(node, (status.st_dev, status.st_ino))
        if node.fd >= 0:
            with self._files.pinned(node) as handle:
                new = os.open(path_of(handle), os.O_RDWR | os.O_CLOEXEC)
            os.dup2(new, node.fd, inheritable=False)
            os.close(new)
            node.writable = True

    def _copy(self, source: int, name: bytes, status: os.stat_result, length: int | None) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._copy_file(source, name, status, status.st_size if length is None else length)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(b"", dir_fd=source), name, dir_fd=self.work)
        elif kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=self.work)
        else:
            os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=self.work)
        target = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.work)
        try:
            copy_attributes(path_of(source), path_of(target), status)
        finally:
            os.close(target)

    def _copy_file(self, source: int, name: bytes, status: os.stat_result, length: int) -> None:
        reader = os.open(path_of(source), os.O_RDONLY | os.O_CLOEXEC)
        try:
            writer = os.open(name, NEW_FILE, 0o600, dir_fd=self.work)
            try:
                copy_content(reader, writer, min(length, status.st_size))
                if not self.volatile:
                    os.fsync(writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    # Whiteouts and marks.

    def cover(self, folder: int, leaf: bytes, kind: int | None) -> None:
        """Puts a whiteout at a name of the upper folder, over what is there (S_IFMT bits; None: nothing)."""
        if kind is None:
            make_whiteout(folder, leaf)
            return
        with self.draft() as name:
            make_whiteout(self.work, name)
            if kind == stat.S_IFDIR:
                exchange(self.work, name, folder, leaf)
            else:
                os.rename(name, leaf, src_dir_fd=self.work, dst_dir_fd=folder)

    def erase(self, folder: int, leaf: bytes, kind: int) -> None:
        """Removes a name of the upper folder; a folder with all whiteouts that are in it."""
        if kind != stat.S_IFDIR:
            os.unlink(leaf, dir_fd=folder)
            return
        with self.draft() as name:
            os.rename(leaf, name, src_dir_fd=folder, dst_dir_fd=self.work)

    def place(self, make: Callable[[int, bytes], None], folder: int, leaf: bytes) -> None:
        """`make(folder, name)` in the work folder, then moved over the whiteout at a name."""
        with self.draft() as name:
            make(self.work, name)
            if stat.S_ISDIR(os.lstat(name, dir_fd=self.work).st_mode):
                exchange(self.work, name, folder, leaf)
            else:
                os.rename(name, leaf, src_dir_fd=self.work, dst_dir_fd=folder)


def path_of(fd: int) -> str:
    """A path for calls that refuse an O_PATH descriptor, which is the file itself whatever its name is."""
    return f"/proc/self/fd/{fd}"


def make_whiteout(folder: int, name: bytes) -> None:
    """The device 0:0, which any user may make (Linux 5.8)."""
    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)


def exchange(folder: int, name: bytes, other: int, other_name: bytes) -> None:
    syscalls.renameat2(folder, name, other, other_name, syscalls.RENAME_EXCHANGE)


def copy_attributes(source: str, target: str, status: os.stat_result) -> None:
    """Owner, mode, attributes, times, in this order: chown clears capabilities and set-uid bits."""
    os.chown(target, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in _names_of(source):
        if not os.fsencode(name).startswith(PRIVATE):
            _copy_attribute(source, target, name)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _names_of(source: str) -> list[str]:
    try:
        return os.listxattr(source)
    except OSError as error:
        if error.errno in _LOST_XATTR:
            return []
        raise


def _copy_attribute(source: str, target: str, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in _LOST_XATTR:
            raise

"""The built-in overlay: what each operation of a file system does to the folders below.

Nothing here knows FUSE: these are functions on nodes, which raise OSError. The process is root of a user
namespace with the container's id maps, has umask 0, and does one operation after the other.

Behaves as the kernel's overlay with `userxattr`, without redirects and index: a folder of a lower layer
cannot be renamed (EXDEV, so that mv(1) copies), hard links of lower layers break when written.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from pyctr.rootless import syscalls
from pyctr.rootless.values import Value
from pyctr.storage import trees
from pyctr.storage.fusecopies import NEW_FILE, Copies, exchange, make_whiteout, path_of
from pyctr.storage.fusenodes import UPPER, Node
from pyctr.storage.fusetrees import HANDLE, OPAQUE, PRIVATE, Entry, Trees

_WRITING = os.O_WRONLY | os.O_RDWR
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY)


class Owner(Value):
    """Who makes a file, in ids of the container's user namespace."""

    uid: int
    gid: int


class Changes(Value):
    """What setattr changes; None: nothing. Times in nanoseconds."""

    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    atime: int | None = None
    mtime: int | None = None


class Overlay:
    """One mounted file system: descriptors of the upper folder, the work folder, the lower ones (highest
    first).
    """

    def __init__(self, upper: int, work: int, lowers: list[int], *, volatile: bool) -> None:
        self._upper = upper
        self.files = Trees([upper, *lowers])
        self.nodes = self.files.nodes
        self._copies = Copies(self.files, work, volatile=volatile)
        self._copies.clear_work()

    # Reading.

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        return self.files.lookup(parent, name)

    def status(self, node: Node) -> os.stat_result:
        return os.fstat(node.fd) if node.fd >= 0 else self.files.status(node)

    def links(self, node: Node, status: os.stat_result) -> int:
        """st_nlink: a merged folder has no count of its own, as in the kernel's overlay."""
        return 1 if len(node.layers) > 1 else status.st_nlink

    def is_shared_below(self, node: Node, status: os.stat_result) -> bool:
        """Whether its number and count of links change when it is copied up."""
        return not node.is_upper and not node.is_folder and status.st_nlink > 1

    def readlink(self, node: Node) -> bytes:
        with self.files.pinned(node) as handle:
            return os.readlink(b"", dir_fd=handle)

    def entries(self, node: Node) -> list[Entry]:
        return self.files.entries(node)

    def statvfs(self) -> os.statvfs_result:
        return os.fstatvfs(self._upper)

    def forget(self, node: Node, lookups: int) -> None:
        """The kernel has given back so many lookups."""
        node.lookups -= lookups
        self._drop(node)

    def _drop(self, node: Node) -> None:
        for dropped in self.nodes.forget(node):
            self.files.release_folders(dropped)
            if dropped.handle >= 0:
                os.close(dropped.handle)
                dropped.handle = -1

    # Open files. All of a node share one descriptor, since each read and write names its offset.

    def open(self, node: Node, flags: int) -> None:
        """Opens a regular file. Writing copies it up."""
        writing = bool(flags & (_WRITING | os.O_TRUNC))
        if writing:
            self._copies.copy_up(node)
        if node.fd < 0 or (writing and not node.writable):
            self._reopen(node, writing=writing)
        node.opens += 1

    def _reopen(self, node: Node, *, writing: bool) -> None:
        with self.files.pinned(node) as handle:
            fd, writable = _open_file(path_of(handle), lower=not node.is_upper, writing=writing)
        node.writable = writable
        if node.fd < 0:
            node.fd = fd
        else:
            os.dup2(fd, node.fd, inheritable=False)
            os.close(fd)

    def close(self, node: Node) -> None:
        node.opens -= 1
        if not node.opens:
            os.close(node.fd)
            node.fd = -1
            self._drop(node)

    def sync(self, node: Node, *, data_only: bool) -> None:
        """fsync(2) of a file or folder; nothing on a volatile mount or in a lower layer."""
        if self._copies.volatile or not node.is_upper:
            return
        if node.fd >= 0:
            (os.fdatasync if data_only else os.fsync)(node.fd)
            return
        with self.files.pinned(node) as handle:
            fd = os.open(path_of(handle), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # Making.

    def make_node(self, parent: Node, name: bytes, mode: int, device: int, owner: Owner) -> Node:
        """A FIFO, a socket or an empty file; a device where the kernel lets us (a whiteout never)."""
        if stat.S_ISCHR(mode) and not device:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return self._make(
            parent,
            name,
            lambda folder, leaf: os.mknod(leaf, stat.S_IFMT(mode) | 0o600, device, dir_fd=folder),
            mode,
            owner,
        )

    def make_link(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Node:
        """A symbolic link."""
        return self._make(
            parent, name, lambda folder, leaf: os.symlink(target, leaf, dir_fd=folder), stat.S_IFLNK, owner
        )

    def make_folder(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Node:
        """A folder, opaque where lower layers have something under its name."""
        covers = self.files.is_in_lower(parent, name)

        def make(folder: int, leaf: bytes) -> None:
            os.mkdir(leaf, 0o700, dir_fd=folder)
            if covers:
                self._set_opaque(folder, leaf, parent, name)

        return self._make(parent, name, make, mode, owner)

    def make_file(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Node:
        """A new regular file, which is open for reading and writing."""

        def make(folder: int, leaf: bytes) -> None:
            os.close(os.open(leaf, NEW_FILE, 0o600, dir_fd=folder))

        node = self._make(parent, name, make, mode | stat.S_IFREG, owner)
        self.open(node, os.O_RDWR)
        return node

    def _make(
        self, parent: Node, name: bytes, make: Callable[[int, bytes], None], mode: int, owner: Owner
    ) -> Node:
        folder = self._copies.folder(parent)
        above = os.fstat(folder)

        def make_owned(where: int, leaf: bytes) -> None:
            make(where, leaf)
            try:
                _settle(where, leaf, above, mode, owner)
            except OSError:
                trees.remove_at(where, leaf)
                raise

        if self.files.is_hidden(parent, name):
            self._copies.place(make_owned, folder, name)
        else:
            make_owned(folder, name)
        return self.nodes.add(parent, name, os.lstat(name, dir_fd=folder), (UPPER,))

    def link(self, node: Node, parent: Node, name: bytes) -> Node:
        """A hard link."""
        self._copies.copy_up(node)
        folder = self._copies.folder(parent)
        with self.files.pinned(node) as handle:

            def make(where: int, leaf: bytes) -> None:
                os.link(path_of(handle), leaf, dst_dir_fd=where, follow_symlinks=True)

            if self.files.is_hidden(parent, name):
                self._copies.place(make, folder, name)
            else:
                make(folder, name)
        self.nodes.attach(node, parent, name)
        return node

    def _set_opaque(self, folder: int, leaf: bytes, parent: Node, name: bytes) -> None:
        """Hides what lower layers have in a folder; by whiteouts where there are no attributes."""
        handle = os.open(leaf, HANDLE, dir_fd=folder)
        try:
            os.setxattr(path_of(handle), OPAQUE, b"y")
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            for entry in self.files.lower_entries(parent, name):
                _hide_if_absent(handle, entry.name)
        finally:
            os.close(handle)

    # Removing.

    def unlink(self, parent: Node, name: bytes) -> None:
        self._remove(parent, name, self._existing(parent, name))

    def rmdir(self, parent: Node, name: bytes) -> None:
        node = self._existing(parent, name)
        if not node.is_folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self._check_empty(node)
        self._remove(parent, name, node)

    def _existing(self, parent: Node, name: bytes) -> Node:
        node = self.files.lookup(parent, name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return node

    def _check_empty(self, node: Node) -> None:
        if self.files.entries(node):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    def _remove(self, parent: Node, name: bytes, node: Node) -> None:
        covered = self.files.is_in_lower(parent, name)
        folder = self._copies.folder(parent)
        with self._pinned(node):
            if covered:
                self._copies.cover(folder, name, node.kind if node.is_upper else None)
            else:
                self._copies.erase(folder, name, node.kind)
        self._detach(node, parent, name)

    @contextmanager
    def _pinned(self, node: Node) -> Iterator[None]:
        """What is about to lose its last name stays reachable for those that have it. It keeps its name when
        the removal fails, and then no handle: that would say that it is gone.
        """
        pins = len(node.names) == 1 and node.handle < 0 and (node.lookups > 0 or node.opens > 0)
        if pins:
            node.handle = self.files.open_handle(node)
        try:
            yield
        except OSError:
            if pins:
                os.close(node.handle)
                node.handle = -1
            raise

    def _detach(self, node: Node, parent: Node, name: bytes) -> None:
        self.nodes.detach(node, parent, name)
        self._drop(node)

    # Renaming.

    def rename(self, parent: Node, name: bytes, new_parent: Node, new_name: bytes) -> None:
        """rename(2), over an existing file or an empty folder too. EXDEV for a folder of a lower layer."""
        node = self._existing(parent, name)
        target = self.files.lookup(new_parent, new_name)
        if node is target:
            return
        if node.is_folder and node.lowers:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if target is not None and target.is_folder:
            self._check_empty(target)
        self._copies.copy_up(node)
        self._clear_way(node, new_parent, new_name, target)
        with self._pinned(target) if target is not None else nullcontext():
            self._move(node, parent, name, new_parent, new_name)
        if target is not None:
            self._detach(target, new_parent, new_name)
        self.nodes.detach(node, parent, name)
        self.nodes.attach(node, new_parent, new_name)

    def _clear_way(self, node: Node, parent: Node, name: bytes, target: Node | None) -> None:
        """A folder hides the lower layers at its new place before it is there; whiteouts in an empty folder
        that it replaces go, once they are not needed.
        """
        if not node.is_folder:
            return
        if self.files.is_in_lower(parent, name):
            with self.files.pinned(node) as handle:
                self._set_opaque(handle, b".", parent, name)
        if target is not None and target.is_upper:
            folder = self.files.folder(target, UPPER)
            self._set_opaque(folder, b".", parent, name)
            for leaf in os.listdir(path_of(folder)):
                os.unlink(leaf, dir_fd=folder)

    def _move(self, node: Node, parent: Node, name: bytes, new_parent: Node, new_name: bytes) -> None:
        leaves = self.files.is_in_lower(parent, name)
        folder = self._copies.folder(parent)
        new_folder = self._copies.folder(new_parent)
        if node.is_folder and self.files.is_hidden(new_parent, new_name):
            exchange(folder, name, new_folder, new_name)
            if not leaves:
                os.unlink(name, dir_fd=folder)
        elif leaves:
            _rename_leaving_whiteout(folder, name, new_folder, new_name)
        else:
            os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)

    # Attributes.

    def change(self, node: Node, changes: Changes) -> None:
        """setattr: size, owner, mode and times, in this order."""
        self._copies.copy_up(node, changes.size)
        with self.files.pinned(node) as handle:
            path = path_of(handle)
            if changes.size is not None:
                os.truncate(node.fd if node.writable and node.fd >= 0 else path, changes.size)
            if changes.uid is not None or changes.gid is not None:
                os.chown(path, _or_same(changes.uid), _or_same(changes.gid))
            if changes.mode is not None and node.kind != stat.S_IFLNK:
                os.chmod(path, stat.S_IMODE(changes.mode))
            if changes.atime is not None or changes.mtime is not None:
                now = os.fstat(handle)
                atime = now.st_atime_ns if changes.atime is None else changes.atime
                os.utime(path, ns=(atime, now.st_mtime_ns if changes.mtime is None else changes.mtime))

    def get_xattr(self, node: Node, name: bytes) -> bytes:
        _check_public(name, errno.ENODATA)
        with self.files.pinned(node) as handle:
            return os.getxattr(path_of(handle), name)

    def list_xattrs(self, node: Node) -> list[bytes]:
        """Names, without the marks of the overlay itself."""
        with self.files.pinned(node) as handle:
            names = [os.fsencode(name) for name in os.listxattr(path_of(handle))]
        return [name for name in names if not name.startswith(PRIVATE)]

    def set_xattr(self, node: Node, name: bytes, value: bytes) -> None:
        _check_public(name, errno.EOPNOTSUPP)
        self._copies.copy_up(node)
        with self.files.pinned(node) as handle:
            os.setxattr(path_of(handle), name, value)

    def remove_xattr(self, node: Node, name: bytes) -> None:
        _check_public(name, errno.EOPNOTSUPP)
        self.get_xattr(node, name)  # one that is absent is no reason to copy
        self._copies.copy_up(node)
        with self.files.pinned(node) as handle:
            os.removexattr(path_of(handle), name)


def _check_public(name: bytes, number: int) -> None:
    if name.startswith(PRIVATE):
        raise OSError(number, os.strerror(number))


def _or_same(id: int | None) -> int:
    return -1 if id is None else id


def _open_file(path: str, *, lower: bool, writing: bool) -> tuple[int, bool]:
    """A descriptor, and whether it can write. What nobody writes to keeps its access time."""
    if lower:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC), False
        except PermissionError:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC), True
    except OSError as error:
        if writing or error.errno not in _READ_ONLY:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def _settle(folder: int, leaf: bytes, above: os.stat_result, mode: int, owner: Owner) -> None:
    """Owner and mode of a new file. It was made with mode 0600 as root's, so nobody got at it before."""
    inherits = bool(above.st_mode & stat.S_ISGID)
    os.chown(leaf, owner.uid, above.st_gid if inherits else owner.gid, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(mode):
        return
    handle = os.open(leaf, HANDLE, dir_fd=folder)
    try:
        bits = stat.S_IMODE(mode) | (stat.S_ISGID if inherits and stat.S_ISDIR(mode) else 0)
        os.chmod(path_of(handle), bits)
    finally:
        os.close(handle)


def _hide_if_absent(folder: int, name: bytes) -> None:
    try:
        make_whiteout(folder, name)
    except FileExistsError:
        pass


def _rename_leaving_whiteout(folder: int, name: bytes, new_folder: int, new_name: bytes) -> None:
    """In one step where the file system can; a crash between two shows the lower file again."""
    try:
        syscalls.renameat2(folder, name, new_folder, new_name, syscalls.RENAME_WHITEOUT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)
        make_whiteout(folder, name)

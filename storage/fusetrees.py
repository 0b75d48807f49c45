"""The folders below the built-in overlay: reading them without ever following a link.

Lower layers are hostile. Nothing is opened but single names below an open folder, with O_NOFOLLOW. Marks
are those of the kernel's overlay with `userxattr`, so both share layers: a whiteout is a 0:0 device, or an
empty file with user.overlay.whiteout in a folder whose user.overlay.opaque is "x"; an opaque folder has "y"
there (kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
"""

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from pyctr.rootless.values import Value
from pyctr.storage.fusenodes import UPPER, Node, Nodes

PRIVATE = b"user.overlay."
OPAQUE = b"user.overlay.opaque"
WHITEOUT = b"user.overlay.whiteout"
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDERS = 256  # descriptors of folders that are kept
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_NO_MARK = (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES)


class Entry(Value):
    """One name of a merged folder; `kind` has the S_IFMT bits."""

    name: bytes
    number: int
    kind: int


class Trees:
    """All folders of one overlay: `tops` are descriptors, the upper one first, then the lower ones from the
    highest on.
    """

    def __init__(self, tops: "list[int]") -> None:
        self._tops = tops
        self._open: OrderedDict[tuple[Node, int], int] = OrderedDict()
        root = Node(1, stat.S_IFDIR, (UPPER,))
        self.nodes = Nodes(root)
        root.layers, root.xattr_whiteouts = self._merge_tops()
        root.number = os.fstat(tops[UPPER]).st_ino

    def _merge_tops(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        layers, marked = [], []
        for index, top in enumerate(self._tops):
            mark = read_mark(b"/proc/self/fd/%d/." % top)
            layers.append(index)
            if mark == b"x":
                marked.append(index)
            if mark == b"y":
                break
        return tuple(layers), tuple(marked)

    # Descriptors of folders.

    def folder(self, node: Node, index: int) -> int:
        """An O_PATH descriptor of a folder in one of the trees; valid until many more were asked for."""
        if node is self.nodes.root:
            return self._tops[index]
        if node.handle >= 0 and index == node.layers[0]:
            return node.handle
        below: list[Node] = []
        while True:
            fd = self._known(node, index)
            if fd >= 0:
                break
            below.append(node)
            node = node.place()[0]
        for node in reversed(below):
            fd = self._keep(node, index, os.open(node.place()[1], FOLDER, dir_fd=fd))
        return fd

    def _known(self, node: Node, index: int) -> int:
        if node is self.nodes.root:
            return self._tops[index]
        fd = self._open.get((node, index), -1)
        if fd >= 0:
            self._open.move_to_end((node, index))
        return fd

    def _keep(self, node: Node, index: int, fd: int) -> int:
        self._open[node, index] = fd
        if len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def release_folders(self, node: Node) -> None:
        """Closes what is kept of a folder that is gone."""
        for index in node.layers:
            fd = self._open.pop((node, index), -1)
            if fd >= 0:
                os.close(fd)

    # Files.

    @contextmanager
    def pinned(self, node: Node) -> Iterator[int]:
        """An O_PATH descriptor of the topmost file of a node."""
        if node.handle >= 0:
            yield node.handle
            return
        fd = self.open_handle(node)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_handle(self, node: Node) -> int:
        """A new O_PATH descriptor of the topmost file of a node."""
        if node.handle >= 0:
            return os.dup(node.handle)
        index = node.layers[0]
        if node is self.nodes.root:
            return os.dup(self._tops[index])
        parent, name = node.place()
        return os.open(name, HANDLE, dir_fd=self.folder(parent, index))

    def status(self, node: Node) -> os.stat_result:
        """stat(2) of the topmost file of a node."""
        if node.handle >= 0:
            return os.fstat(node.handle)
        if node is self.nodes.root:
            return os.fstat(self._tops[UPPER])
        parent, name = node.place()
        return os.lstat(name, dir_fd=self.folder(parent, node.layers[0]))

    # Merging.

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The node of a name, None where there is none."""
        known = parent.children.get(name)
        if known is not None:
            return known
        top, layers, marked = self._merge(parent, name, parent.layers)
        if top is None:
            return None
        node = self.nodes.add(parent, name, top, layers)
        node.xattr_whiteouts = marked
        return node

    def _merge(
        self, parent: Node, name: bytes, layers: tuple[int, ...]
    ) -> tuple[os.stat_result | None, tuple[int, ...], tuple[int, ...]]:
        """What a name is: status of the topmost file, the layers that have it, those with marked files."""
        found: list[int] = []
        marked: list[int] = []
        top: os.stat_result | None = None
        for index, status in self._candidates(parent, name, layers):
            is_folder = stat.S_ISDIR(status.st_mode)
            if top is not None and not is_folder:
                break
            top = top or status
            found.append(index)
            mark = read_mark(self._path(parent, index, name)) if is_folder else b"y"
            if mark == b"x":
                marked.append(index)
            if mark == b"y":
                break
        return top, tuple(found), tuple(marked)

    def _path(self, parent: Node, index: int, name: bytes) -> bytes:
        """A path of a file in one layer, for calls that take no descriptor of a folder."""
        return b"/proc/self/fd/%d/" % self.folder(parent, index) + name

    def is_in_lower(self, parent: Node, name: bytes) -> bool:
        """Whether the layers below the upper folder show this name."""
        return any(True for _ in self._candidates(parent, name, parent.lowers))

    def _candidates(
        self, parent: Node, name: bytes, layers: tuple[int, ...]
    ) -> Iterator[tuple[int, os.stat_result]]:
        """What the layers have under a name, down to a whiteout."""
        for index in layers:
            folder = self.folder(parent, index)
            try:
                status = os.lstat(name, dir_fd=folder)
            except OSError as error:
                if error.errno in _ABSENT:
                    continue
                raise
            if self._hides(parent, index, name, status):
                return
            yield index, status

    def _hides(self, parent: Node, index: int, name: bytes, status: os.stat_result) -> bool:
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == 0
        if index in parent.xattr_whiteouts and stat.S_ISREG(status.st_mode) and not status.st_size:
            return _attribute(self._path(parent, index, name), WHITEOUT) is not None
        return False

    def is_hidden(self, parent: Node, name: bytes) -> bool:
        """Whether the upper folder has a whiteout under this name."""
        if not parent.is_upper:
            return False
        try:
            status = os.lstat(name, dir_fd=self.folder(parent, UPPER))
        except FileNotFoundError:
            return False
        return self._hides(parent, UPPER, name, status)

    def entries(self, node: Node) -> list[Entry]:
        """All names of a merged folder, without `.` and `..`."""
        if node.handle >= 0:  # it has been removed
            return []
        seen: set[bytes] = set()
        found: list[Entry] = []
        for index in node.layers:
            names: set[bytes] = set()
            for name, number, kind in self._list(node, index):
                names.add(name)
                if kind and name not in seen:
                    child = node.children.get(name)
                    found.append(Entry(name, child.number if child is not None else number, kind))
            seen |= names
        return found

    def lower_entries(self, parent: Node, name: bytes) -> list[Entry]:
        """What a folder of this name would show of the lower layers."""
        top, layers, marked = self._merge(parent, name, parent.lowers)
        if top is None or not stat.S_ISDIR(top.st_mode):
            return []
        node = Node(0, stat.S_IFDIR, layers)
        node.xattr_whiteouts = marked
        node.names[parent, name] = None
        try:
            return self.entries(node)
        finally:
            self.release_folders(node)

    def _list(self, node: Node, index: int) -> Iterator[tuple[bytes, int, int]]:
        """Names of one layer's folder with number and kind, 0 for whiteouts."""
        folder = os.open(b".", _LISTED, dir_fd=self.folder(node, index))
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    yield name, entry.inode(), self._kind(node, index, name, entry)
        finally:
            os.close(folder)

    def _kind(self, node: Node, index: int, name: bytes, entry: "os.DirEntry[str]") -> int:
        if entry.is_dir(follow_symlinks=False):
            return stat.S_IFDIR
        if entry.is_symlink():
            return stat.S_IFLNK
        if entry.is_file(follow_symlinks=False) and index not in node.xattr_whiteouts:
            return stat.S_IFREG
        status = entry.stat(follow_symlinks=False)
        return 0 if self._hides(node, index, name, status) else stat.S_IFMT(status.st_mode)


def read_mark(path: bytes) -> bytes:
    """The mark of a folder: "y" opaque, "x" with whiteouts that are marked files, "" none."""
    return _attribute(path, OPAQUE) or b""


def _attribute(path: bytes, name: bytes) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_MARK:
            return None
        raise

"""Nodes of the built-in overlay: what the kernel knows by number, and where each lies.

A node lives while the kernel holds it (lookups that it has not forgotten), while it is open, or while a
child lives. It knows its names instead of holding a descriptor, so that thousands of cached inodes cost
none; only a node whose last name is gone is pinned by one.
"""

import os
import stat

ROOT = 1  # FUSE_ROOT_ID, linux/fuse.h
UPPER = 0  # the index of the writable folder; lower ones follow, the highest first
_OWN_NUMBERS = 1 << 48  # for files whose number another one has: from other devices, broken hard links

Real = tuple[int, int]  # device and inode number of a file below


class Node:
    """One file as the container sees it.

    `layers` are the indices of the folders that it is in: several for a merged folder, one otherwise.
    `xattr_whiteouts` are those in which empty files with a mark hide names. `number` is what stat(2) shows.
    """

    __slots__ = (
        "children",
        "fd",
        "handle",
        "id",
        "kind",
        "layers",
        "lookups",
        "names",
        "number",
        "opens",
        "real",
        "writable",
        "xattr_whiteouts",
    )

    def __init__(self, id: int, kind: int, layers: tuple[int, ...]) -> None:
        self.id = id
        self.number = id
        self.kind = kind  # S_IFMT bits
        self.layers = layers
        self.xattr_whiteouts: tuple[int, ...] = ()
        self.names: dict[tuple[Node, bytes], None] = {}
        self.children: dict[bytes, Node] = {}
        self.lookups = 0
        self.opens = 0
        self.fd = -1  # shared by all open files
        self.writable = False  # whether `fd` is
        self.handle = -1  # O_PATH, once the last name is gone
        self.real: Real | None = None  # of a file in the upper folder: its hard links share this node

    @property
    def is_folder(self) -> bool:
        return self.kind == stat.S_IFDIR

    @property
    def is_upper(self) -> bool:
        return self.layers[0] == UPPER

    @property
    def lowers(self) -> tuple[int, ...]:
        return self.layers[1:] if self.is_upper else self.layers

    def place(self) -> "tuple[Node, bytes]":
        """The folder and the name of this node. FileNotFoundError when it has none any more."""
        for name in self.names:
            return name
        raise FileNotFoundError(2, os.strerror(2))


class Nodes:
    """All nodes that are alive."""

    def __init__(self, root: Node) -> None:
        self._by_id = {ROOT: root}
        self._by_real: dict[Real, Node] = {}
        self._next = _OWN_NUMBERS
        self.root = root

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: int) -> Node:
        """The node that the kernel means. OSError (ESTALE) when it should have forgotten it."""
        try:
            return self._by_id[id]
        except KeyError:
            raise OSError(116, os.strerror(116)) from None

    def add(self, parent: Node, name: bytes, status: os.stat_result, layers: tuple[int, ...]) -> Node:
        """The node of a file that was found or made: the one that has it already under another name, or a
        new one.
        """
        kind = stat.S_IFMT(status.st_mode)
        shared = layers[0] == UPPER and kind != stat.S_IFDIR
        real = (status.st_dev, status.st_ino)
        node = self._by_real.get(real) if shared else None
        if node is None:
            node = self._new(kind, status, layers)
            if shared:
                self.register(node, real)
        self.attach(node, parent, name)
        return node

    def _new(self, kind: int, status: os.stat_result, layers: tuple[int, ...]) -> Node:
        """Its number is that of the file below where that is free.

        Hard links of a lower layer are nodes of their own, since writing to one breaks them, as in the
        kernel's overlay; stat(2) shows one number all the same.
        """
        id = status.st_ino
        if id <= ROOT or id in self._by_id:
            id, self._next = self._next, self._next + 1
        node = self._by_id[id] = Node(id, kind, layers)
        if layers[0] != UPPER and kind != stat.S_IFDIR and status.st_nlink > 1:
            node.number = status.st_ino
        return node

    def register(self, node: Node, real: Real) -> None:
        """Notes that a node is a file of the upper folder."""
        node.real = real
        self._by_real[real] = node

    @staticmethod
    def attach(node: Node, parent: Node, name: bytes) -> None:
        node.names[parent, name] = None
        parent.children[name] = node

    @staticmethod
    def detach(node: Node, parent: Node, name: bytes) -> None:
        node.names.pop((parent, name), None)
        if parent.children.get(name) is node:
            del parent.children[name]

    def forget(self, node: Node) -> "list[Node]":
        """Drops a node that nobody needs any more, and the folders that lived for its sake; returns them."""
        dropped = []
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if node is self.root or node.lookups > 0 or node.opens or node.children:
                continue
            dropped.append(node)
            waiting += [parent for parent, _ in node.names]
            for parent, name in list(node.names):
                self.detach(node, parent, name)
            self._by_id.pop(node.id, None)
            if node.real is not None and self._by_real.get(node.real) is node:
                del self._by_real[node.real]
        return dropped

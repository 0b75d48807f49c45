"""Layers made one: a copy of all that they show together. Runs as root of their user namespace, umask 0."""

import os
from collections.abc import Iterator

from pyctr.storage.copying import copy_entry, copy_status
from pyctr.storage.merged import Child, Merged

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Frame:
    """A folder that is being filled, and the names that are left."""

    def __init__(self, source: Merged, target: int, path: bytes) -> None:
        self.source = source
        self.target = target
        self.path = path
        self.left: Iterator[Child] = iter(source.children().values())

    def finish(self) -> None:
        """Last of all: times change with every new name, and a folder may not let its owner write."""
        if self.source.folders:
            copy_status(self.source.folders[0], self.target)

    def close(self) -> None:
        self.source.__exit__()
        os.close(self.target)


def flatten(source: Merged, target: int) -> None:
    """Copies all that `source` shows into the empty folder `target`; closes both, as it goes.

    Files that are one file (hard links) stay one.
    """
    links: dict[tuple[int, int], bytes] = {}
    frames = [_Frame(source, target, b"")]
    root = os.dup(target)
    try:
        while frames:
            frame = frames[-1]
            child = next(frame.left, None)
            if child is None:
                frame.finish()
                frames.pop().close()
            elif child.is_folder():
                frames.append(_enter(frame, child))
            elif not _link(frame, child, root, links):
                copy_entry(child.parents[0], child.name, child.status, frame.target)
    finally:
        os.close(root)
        for frame in frames:
            frame.close()


def _enter(frame: _Frame, child: Child) -> _Frame:
    os.mkdir(child.name, 0o700, dir_fd=frame.target)
    target = os.open(child.name, _FOLDER, dir_fd=frame.target)
    return _Frame(frame.source.enter(child), target, frame.path + child.name + b"/")


def _link(frame: _Frame, child: Child, root: int, links: dict[tuple[int, int], bytes]) -> bool:
    """Links to the copy of the same file; else notes where its copy will be."""
    if child.status.st_nlink < 2:
        return False
    key = (child.status.st_dev, child.status.st_ino)
    first = links.setdefault(key, frame.path + child.name)
    if first == frame.path + child.name:
        return False
    os.link(first, child.name, src_dir_fd=root, dst_dir_fd=frame.target, follow_symlinks=False)
    return True

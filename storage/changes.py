"""What a container has changed: its upper layer compared with the layers below it.

For `diff`, `commit` and `ps --size`. Runs as root of a user namespace with the maps of the container
(`userns.call_mapped`); nothing is mounted, and the container may run meanwhile. Whatever the driver, the
content of what was added or changed is below `data_folder`.
"""

import errno
import os
import stat
from collections.abc import Iterator

from pyctr.rootless import processes
from pyctr.rootless.values import Value
from pyctr.storage import drivers, merged, paths
from pyctr.storage.drivers import Tree
from pyctr.storage.merged import Child, Merged
from pyctr.storage.tarstream import SECOND
from pyctr.storage.whiteouts import Listing, dialect_of
from pyctr.storage.xattrs import is_kept

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ADDED, CHANGED, DELETED = "A", "C", "D"
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)  # EINVAL: it is a link no more


class Change(Value):
    """One difference. `path` is relative to the root; parents come before children, the names of a folder
    in order; what lies below something deleted is not listed.

    `status` is the new one, None for what was deleted.
    """

    kind: str  # A, C or D, as `podman diff` prints them
    path: bytes
    status: os.stat_result | None


def data_folder(tree: Tree) -> str:
    """The folder in which everything that was added or changed is found under its path."""
    return f"{tree.folder}/{paths.UPPER}"


def changes(driver: str, tree: Tree) -> Iterator[Change]:
    """Every difference between the root of a container and its image; none when it was never started.

    OSError names what cannot be read.
    """
    found = drivers.by_name(driver)
    try:
        top = os.open(data_folder(tree), _FOLDER)
    except FileNotFoundError:
        return
    processes.allow_many_files()
    layers = [f"{name}/{paths.LAYER_DIFF}" for name in tree.lower]
    with Merged([top], dialect_of(found.UPPER)) as upper:
        yield from _compare(upper, merged.open_stack(tree.layers, layers, dialect_of(found.FORMAT)))


class _Frame:
    """A folder on the way down: above and below, and the names that are left.

    `alone` is whether it, or a folder around it, hides what lies below: a name that is missing is deleted,
    and one that is there may be just as it was.
    """

    def __init__(
        self, child: Child | None, upper: Merged, lower: Merged, path: bytes, *, alone: bool
    ) -> None:
        self.upper = upper
        self.lower = lower
        self.path = path
        self.unsaid = child  # the folder itself, unless its change was told
        [folder] = upper.folders
        self.listing = upper.dialect.read(folder)
        self.alone = alone or self.listing.opaque
        self.below = lower.children()
        self.names = iter(
            sorted({*self.listing.entries, *_gone(self.listing, self.below, alone=self.alone)})
        )

    def close(self) -> None:
        self.upper.__exit__()
        self.lower.__exit__()


def _gone(listing: Listing, below: dict[bytes, Child], *, alone: bool) -> set[bytes]:
    if alone:
        return below.keys() - listing.entries.keys()
    return (below.keys() & listing.hidden) - listing.entries.keys()


def _compare(upper: Merged, lower: Merged) -> Iterator[Change]:
    """Depth first, without recursion: containers can make folders that are deeper than Python's stack."""
    frames = [
        _Frame(None, Merged([os.dup(fd) for fd in upper.folders], upper.dialect), lower, b"", alone=False)
    ]
    try:
        while frames:
            frame = frames[-1]
            name = next(frame.names, None)
            if name is None:
                frames.pop().close()
                continue
            told, deeper = _look(frame, name)
            if told is not None:
                yield from _parents_of(frames)
                yield told
            if deeper is not None:
                frames.append(deeper)
    finally:
        for frame in frames:
            frame.close()


def _parents_of(frames: list[_Frame]) -> Iterator[Change]:
    """The folders on the way to a change count as changed, as they do where they had to be copied up."""
    for frame in frames:
        if frame.unsaid is not None:
            yield Change(CHANGED, frame.path, frame.unsaid.status)
            frame.unsaid = None


def _look(frame: _Frame, name: bytes) -> tuple[Change | None, _Frame | None]:
    """What is to be told of a name, and the folder that it is."""
    path = frame.path + b"/" + name if frame.path else name
    status, before = frame.listing.entries.get(name), frame.below.get(name)
    if status is None:
        return Change(DELETED, path, None), None
    child = Child(name, status, tuple(frame.upper.folders))
    same = frame.alone and before is not None and is_same(child, before)
    told = None if same else Change(ADDED if before is None else CHANGED, path, status)
    return told, _deeper(frame, child, before, path, told) if child.is_folder() else None


def _deeper(
    frame: _Frame, child: Child, before: Child | None, path: bytes, told: Change | None
) -> _Frame | None:
    """None for a folder that has vanished meanwhile."""
    upper = frame.upper.enter(child)
    if not upper.folders:
        return None
    nothing = Merged([], frame.lower.dialect)
    lower = frame.lower.enter(before) if before is not None and before.is_folder() else nothing
    return _Frame(child if told is None else None, upper, lower, path, alone=frame.alone)


def is_same(child: Child, before: Child) -> bool:
    """Whether nothing tells two entries apart but, perhaps, content of the same size and time; of one that
    vanishes meanwhile there is nothing to be told.
    """
    new, old = child.status.st_mtime_ns, before.status.st_mtime_ns
    try:
        return _same_time(new, old) and _facts(child) == _facts(before)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return True


def _same_time(new: int, old: int) -> bool:
    """Tars mostly keep whole seconds: a time without a fraction is any time of its second."""
    seconds = new // SECOND == old // SECOND
    return new == old or (seconds and not (new % SECOND and old % SECOND))


def _facts(child: Child) -> tuple[object, ...]:
    status, folder = child.status, child.parents[0]
    kind = stat.S_IFMT(status.st_mode)
    size = 0 if kind == stat.S_IFDIR else status.st_size
    facts = (status.st_mode, status.st_uid, status.st_gid, size, status.st_rdev)
    if kind == stat.S_IFLNK:
        return (*facts, os.readlink(child.name, dir_fd=folder))
    path = f"/proc/self/fd/{folder}/".encode() + child.name
    names = sorted([os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)])
    kept = [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names if is_kept(name)]
    return (*facts, kept)

"""Overlays of plain folders for tests, in the namespaces of `userns.call_mapped`: the kernel's and the
built-in one. Their layers are base/lower1/diff, base/lower2/diff ..., the last one on top.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

from pyctr.rootless import syscalls
from pyctr.storage import serving
from pyctr.storage.drivers import Tree

OLD = 10**18  # ns: files of lower layers are from 2001, so whatever is newer was made by the test


def tree(base: str, *, volatile: bool = True) -> Tree:
    """The layers of a folder, with upper/ and work/ beside them."""
    names = sorted(name for name in os.listdir(base) if name.startswith("lower"))
    return Tree(base, tuple(names), base, volatile=volatile)


@contextlib.contextmanager
def mounted(driver: str, base: str, *, volatile: bool = True) -> Iterator[str]:
    """The mounted tree. A process that serves it must end by itself, without an error."""
    target = f"{base}/merged"
    os.makedirs(target, exist_ok=True)
    server = serving.mount_here(driver, tree(base, volatile=volatile), target)
    try:
        yield target
    finally:
        syscalls.umount2(target, syscalls.MNT_DETACH)
        status = os.waitpid(server, 0)[1] if server else 0
        if status:
            raise AssertionError(f"the file system's process ended with {status}")


Snapshot = dict[str, str]


def snapshot(top: str) -> Snapshot:
    """All that can be seen of a tree but inode numbers, block counts and the times of what is new."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            if name == "." or path != folder:
                found[os.path.relpath(path, top)] = _describe(path)
    return found


def _describe(path: str) -> str:
    status = os.lstat(path)
    words = [f"{status.st_mode:o}", f"{status.st_uid}:{status.st_gid}"]
    words.append(str(status.st_mtime_ns) if status.st_mtime_ns <= OLD + 10**15 else "new")
    if not stat.S_ISDIR(status.st_mode):
        words += [f"links {status.st_nlink}", f"{status.st_size} bytes"]
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            words.append(repr(file.read()))
    if stat.S_ISLNK(status.st_mode):
        words.append(os.readlink(path))
    words += [f"{name}={os.getxattr(path, name, follow_symlinks=False)!r}" for name in _xattrs(path)]
    return " ".join(words)


def _xattrs(path: str) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def rename(source: str, target: str, flags: int) -> None:
    """renameat2(2) with flags."""
    syscalls.renameat2(-100, source, -100, target, flags)

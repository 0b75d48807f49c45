"""A cgroup (version 2) of a container's own, where this user may make one. Without one, containers run all
the same.

    <where we are>/pyctr-<pid of the monitor>      the container, root of its cgroup namespace

The monitor stays where it was started: each move of a process between cgroups waits for an RCU grace period
(5 to 20 ms), and the one that is needed runs beside newuidmap. Rules: cgroups(7), kernel
Documentation/admin-guide/cgroup-v2.rst.
"""

import os

_MOUNT = "/sys/fs/cgroup"
_PREFIX = "pyctr-"


class Group:
    """A container's cgroup, by its folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def enter(self) -> None:
        """Moves this process into it."""
        _write(f"{self.path}/cgroup.procs", "0")

    def kill(self) -> bool:
        """Kills every process in it; False where the kernel is older than 5.14."""
        try:
            _write(f"{self.path}/cgroup.kill", "1")
        except OSError:
            return False
        return True

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory; 0 when not accounted."""
        try:
            with open(f"{self.path}/memory.events") as file:
                rows = dict(line.split() for line in file)
        except OSError:
            return 0
        return int(rows.get("oom_kill", "0"))

    def remove(self) -> None:
        """Removes it, with those that the container has made in it. One that still has processes stays."""
        remove_tree(self.path)


def make(monitor: int) -> Group | None:
    """A new cgroup below the one that this process is in, or None where that is not ours to divide.

    Those of monitors that were killed are removed on the way.
    """
    parent = own_path()
    if parent is None or not os.access(f"{parent}/cgroup.procs", os.W_OK):
        return None
    group = Group(f"{parent}/{_PREFIX}{monitor}")
    try:
        for name in os.listdir(parent):
            if name.startswith(_PREFIX) and not os.path.exists(f"/proc/{name.removeprefix(_PREFIX)}"):
                remove_tree(f"{parent}/{name}")
        remove_tree(group.path)
        os.mkdir(group.path)
    except OSError:
        return None
    return group


def own_path() -> str | None:
    """The folder of this process's cgroup, or None on machines without a pure version 2 hierarchy."""
    if not os.path.exists(f"{_MOUNT}/cgroup.controllers"):
        return None
    with open("/proc/self/cgroup") as file:
        for line in file:
            if line.startswith("0::"):
                return f"{_MOUNT}{line[3:].rstrip()}".rstrip("/")
    return None


def remove_tree(folder: str) -> None:
    """Removes a cgroup and those below it that are empty (a container may have made some)."""
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
        os.rmdir(folder)
    except OSError:
        pass


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

"""A cgroup (version 2) of a container's own, where this user may make one. Without one, containers run all
the same.

    <where we are>/pyctr-<name>/monitor      the monitor and its network helper
    <where we are>/pyctr-<name>/container    the container, root of its cgroup namespace

Rules: cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst ("no internal processes", delegation).
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_MOUNT = "/sys/fs/cgroup"


class Group:
    """A container's pair of cgroups; `path` is their common folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def add_container(self, pid: int) -> None:
        _write(f"{self.path}/container/cgroup.procs", str(pid))

    def add_monitor(self, pid: int) -> None:
        _write(f"{self.path}/monitor/cgroup.procs", str(pid))

    def kill(self) -> bool:
        """Kills every process of the container; False where the kernel is older than 5.14."""
        try:
            _write(f"{self.path}/container/cgroup.kill", "1")
        except OSError:
            return False
        return True

    def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for want of memory; 0 when not
        accounted.
        """
        try:
            with open(f"{self.path}/container/memory.events") as file:
                rows = dict(line.split() for line in file)
        except OSError:
            return 0
        return int(rows.get("oom_kill", "0"))

    def remove(self) -> None:
        """Removes both, once they are empty; the calling monitor goes back to where it came from."""
        try:
            _write(f"{os.path.dirname(self.path)}/cgroup.procs", "0")
        except OSError:
            return
        for folder in (f"{self.path}/container", f"{self.path}/monitor", self.path):
            remove_tree(folder)


def make(name: str) -> Group | None:
    """A new pair of cgroups below the one that this process is in, or None where that is not ours to
    divide.
    """
    parent = own_path()
    if parent is None or not os.access(f"{parent}/cgroup.procs", os.W_OK):
        return None
    group = Group(f"{parent}/pyctr-{name}")
    try:
        for folder in (group.path, f"{group.path}/monitor", f"{group.path}/container"):
            os.mkdir(folder)
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

"""Wall and CPU time of one command, with all that it leaves behind until the last process has ended."""

import contextlib
import os
import pathlib
import select
import time
from collections.abc import Iterator
from typing import NamedTuple


class Sample(NamedTuple):
    """Seconds. `cpu` is of all processes that the command started, also those that outlived it."""

    wall: float
    cpu: float | None


def own_cgroup() -> pathlib.Path | None:
    """The cgroup v2 folder that this process is in; None where /sys/fs/cgroup is no v2 hierarchy."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            folder = pathlib.Path("/sys/fs/cgroup" + line[3:])
            return folder if (folder / "cgroup.procs").exists() else None
    return None


class Meter:
    """Runs commands, each in a cgroup of its own if it can: wait4 misses what outlives a command."""

    def __init__(self) -> None:
        home = own_cgroup()
        self._home = home if home and os.access(home.parent, os.W_OK) else None
        self._count = 0

    @property
    def reads_cgroups(self) -> bool:
        return self._home is not None

    def run(self, argv: list[str], environment: dict[str, str]) -> Sample:
        """RuntimeError when the command fails."""
        if not self._home:
            return Sample(_timed(argv, environment), None)
        self._count += 1
        group = self._home.parent / f"bench-{os.getpid()}-{self._count}"
        leaf = group / "command"  # commands may make cgroups beside their own: those count too
        leaf.mkdir(parents=True)
        try:
            with self._moved_to(leaf):
                wall = _timed(argv, environment)
            _wait_until_empty(group)
            return Sample(wall, _cpu_seconds(group))
        finally:
            _remove(group)

    @contextlib.contextmanager
    def _moved_to(self, leaf: pathlib.Path) -> Iterator[None]:
        """This process in `leaf`: the command starts there without a helper that would be measured too."""
        assert self._home
        (leaf / "cgroup.procs").write_text("0")
        try:
            yield
        finally:
            (self._home / "cgroup.procs").write_text("0")


def _timed(argv: list[str], environment: dict[str, str]) -> float:
    """Wall seconds from the start to the exit of the command. Its output goes to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1)]
    start = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, environment, file_actions=actions)
    _, status = os.waitpid(child, 0)
    wall = time.perf_counter() - start
    os.close(null)
    if status:
        raise RuntimeError(f"exit code {os.waitstatus_to_exitcode(status)}: {' '.join(argv)}")
    return wall


def _wait_until_empty(group: pathlib.Path, seconds: float = 30) -> None:
    """cgroup.events is notified (POLLPRI) when the last process of the subtree ends (cgroup-v2.rst)."""
    deadline = time.monotonic() + seconds
    with open(group / "cgroup.events") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            left = deadline - time.monotonic()
            if left < 0 or not poll.poll(left * 1000):
                raise RuntimeError(f"processes stay in {group}: {_members(group)}")
            events.seek(0)


def _members(group: pathlib.Path) -> list[str]:
    return [pid for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]


def _cpu_seconds(group: pathlib.Path) -> float:
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def _remove(group: pathlib.Path) -> None:
    for folder in sorted([*group.rglob("*/"), group], reverse=True):
        if folder.is_dir():
            with contextlib.suppress(OSError):
                folder.rmdir()

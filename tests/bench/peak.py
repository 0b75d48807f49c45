"""The peak memory of a command: the sum over all of its processes, looked at as often as can be.

The sum is of Pss, which divides what processes share, so a fork counts for what it has of its own. The peak
that a memory cgroup tells is of no use: it has the pages of all files written, which the kernel keeps as
long as nobody else wants them.
"""

import os
import pathlib
import subprocess
from typing import NamedTuple


class Peak(NamedTuple):
    """`kilobytes` at the worst moment of `looks`."""

    kilobytes: int
    looks: int


def of_command(argv: list[str], environment: dict[str, str]) -> Peak:
    """Runs a command to its end. RuntimeError when it fails."""
    peak, looks = 0, 0
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as command:
        known = {command.pid}
        while command.poll() is None:
            peak = max(peak, sum(_kilobytes(pid) for pid in _descendants(known)))
            looks += 1
    if command.returncode:
        raise RuntimeError(f"exit code {command.returncode}: {' '.join(argv)}")
    return Peak(peak, looks)


def _descendants(known: set[int]) -> set[int]:
    """The living of the processes `known` and of their descendants, which become known.

    Who was once a child of the command stays known when its parent dies.
    """
    parents = _parents()
    known &= parents.keys()
    while found := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= found
    return known


def _parents() -> dict[int, int]:
    return {int(name): _parent(name) for name in os.listdir("/proc") if name.isdigit()}


def _parent(pid: str) -> int:
    """The fourth field of its stat, behind a name that may hold anything; 0 for a process that is gone."""
    text = _text(f"/proc/{pid}/stat")
    return int(text.rpartition(")")[2].split()[1]) if text else 0


def _kilobytes(pid: int) -> int:
    """Pss; for a process that hides its maps what it has for itself or shares without a file."""
    if text := _text(f"/proc/{pid}/smaps_rollup"):
        return _sum(text, ("Pss:",))
    return _sum(_text(f"/proc/{pid}/status"), ("RssAnon:", "RssShmem:"))


def _sum(text: str, names: tuple[str, ...]) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(names))


def _text(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:  # gone meanwhile
        return ""

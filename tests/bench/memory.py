"""Private memory of what runs beside a container: the monitor and the network helper."""

import os
import pathlib

from tests import processes
from tests.bench.cases import IDLE
from tests.bench.contestants import Contestant
from tests.images import BUSYBOX

Kilobytes = dict[str, int]  # by name of the program; several of one name are added up


def beside_container(contestant: Contestant, network: str) -> Kilobytes:
    """Private kB of each process outside of the container, while one runs that does nothing."""
    contestant.run("run", "-d", "--network", network, BUSYBOX, *IDLE)
    try:
        return _private_by_name(contestant.folder)
    finally:
        contestant.run("rm", "-f", "-a", "-t", "0")


def _private_by_name(folder: str) -> Kilobytes:
    found: Kilobytes = {}
    for process in processes.of_test(folder):
        if not _is_contained(process.pid):
            name = pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip()
            found[name] = found.get(name, 0) + private_kilobytes(process.pid)
        process.close()
    return found


def _is_contained(pid: int) -> bool:
    """In another pid namespace than ours."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    except PermissionError:
        return False


def private_kilobytes(pid: int) -> int:
    """Private_Clean and Private_Dirty; RssAnon for a process that hides its maps (pasta)."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return _sum_fields(pathlib.Path(f"/proc/{pid}/status").read_text(), "RssAnon:")
    return _sum_fields(text, "Private_")


def _sum_fields(text: str, start: str) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(start))

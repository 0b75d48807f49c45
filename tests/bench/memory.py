"""Private memory of what runs beside a container: the monitor and the network helper.

Three containers run at once and the sum is divided: the pages of a program's file that several processes of
it share are then counted for none, as they are for anybody who runs more than one container.
"""

import os
import pathlib

from tests import processes
from tests.bench.cases import IDLE
from tests.bench.contestants import Contestant
from tests.images import BUSYBOX

Kilobytes = dict[str, int]  # by name of the program; several of one name are added up

COUNT = 3  # containers


def beside_container(contestant: Contestant, network: str) -> Kilobytes:
    """Private kB outside of a container that does nothing: the sum of `COUNT` of them, divided."""
    try:
        contained = set()
        for number in range(COUNT):
            name = f"idle{number}"
            contestant.run("run", "-d", "--name", name, "--network", network, BUSYBOX, *IDLE)
            listed = contestant.run("inspect", "--format", "{{.State.Pid}}", name)
            contained.add(os.readlink(f"/proc/{listed.stdout.strip()}/ns/pid"))
        sums = _private_by_name(contestant.folder, contained)
        return {name: size // COUNT for name, size in sums.items()}
    finally:
        contestant.run("rm", "-f", "-a", "-t", "0")


def _private_by_name(folder: str, contained: set[str]) -> Kilobytes:
    """Leaves out the processes of the pid namespaces `contained`."""
    found: Kilobytes = {}
    for process in processes.family(folder):
        if _pid_namespace(process.pid) not in contained:
            name = pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip()
            found[name] = found.get(name, 0) + private_kilobytes(process.pid)
        process.close()
    return found


def _pid_namespace(pid: int) -> str:
    """Empty for a process that hides it (pasta, which is in one of its own)."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except PermissionError:
        return ""


def private_kilobytes(pid: int) -> int:
    """Private_Clean and Private_Dirty; RssAnon for a process that hides its maps (pasta)."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return _sum_fields(pathlib.Path(f"/proc/{pid}/status").read_text(), "RssAnon:")
    return _sum_fields(text, "Private_")


def _sum_fields(text: str, start: str) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(start))

"""Stopping the clock of a running container for a while: the freezer of cgroup v2.

Source: kernel, Documentation/admin-guide/cgroup-v2.rst, "cgroup.freeze".
"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

from pyctr.engine import truth
from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store

_LONGEST = 10_000  # milliseconds until all processes are frozen


@contextmanager
def frozen(store: "Store", container_id: str) -> Iterator[None]:
    """Freezes a container that runs, thaws it at the end. PyctrError when it cannot be frozen.

    A process of its own thaws it when this one is killed.
    """
    state = truth.current(store, container_id)
    if state.status != "running":
        yield
        return
    if not state.cgroup or not os.access(f"{state.cgroup}/cgroup.freeze", os.W_OK):
        raise PyctrError(
            "it cannot be paused: pausing needs cgroup v2, and a cgroup of its own for the container",
            "Leave out --pause, or stop the container first.",
        )
    guard, end = _start_guard(state.cgroup)
    try:
        _write(state.cgroup, "1")
        _wait_frozen(state.cgroup)
        yield
    finally:
        os.close(end)
        os.waitpid(guard, 0)


def _start_guard(cgroup: str) -> tuple[int, int]:
    """A process that thaws the cgroup once the returned descriptor is closed, by whatever."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        try:
            os.setsid()  # ctrl-c is for the command
            processes.close_all_but({reading})
            os.read(reading, 1)
            _write(cgroup, "0")
        finally:
            os._exit(0)
    os.close(reading)
    return child, writing


def _write(cgroup: str, value: str) -> None:
    with open(f"{cgroup}/cgroup.freeze", "w") as file:
        file.write(value)


def _wait_frozen(cgroup: str) -> None:
    """Changes of cgroup.events are told by POLLPRI."""
    with open(f"{cgroup}/cgroup.events") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "frozen 1" not in events.read():
            if not poll.poll(_LONGEST):
                raise PyctrError("its processes do not freeze", "Leave out --pause.")
            events.seek(0)

"""Waiting until a container is in some condition."""

import os
import select
import time

from pyctr.engine import containers, truth
from pyctr.engine.containers import NoSuchContainer
from pyctr.engine.truth import Here
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.runtime.state import State
    from pyctr.storage.paths import Store

INTERVAL = 0.25  # seconds between two looks where there is no process to wait for
CONDITIONS = {
    "configured": ("created",),
    "created": ("created",),
    "exited": ("exited",),
    "initialized": ("initialized",),
    "removing": ("removed",),
    "running": ("running",),
    "stopped": ("exited",),
    "stopping": ("stopping",),
}
UNSUPPORTED = ("healthy", "unhealthy", "paused")


def statuses(conditions: "tuple[str, ...]") -> "frozenset[str]":
    """The statuses that meet one of the conditions of podman-wait(1). PyctrError for an unknown one."""
    wanted: set[str] = set()
    for condition in conditions:
        if condition in UNSUPPORTED:
            raise PyctrError(f"waiting for the condition {condition} is not supported yet")
        if condition not in CONDITIONS:
            raise PyctrError(
                f"unknown container condition: {condition}", f"Known are {', '.join(sorted(CONDITIONS))}."
            )
        wanted.update(CONDITIONS[condition])
    return frozenset(wanted)


def find_or_remember(store: "Store", name: str) -> str:
    """The id of a container that exists, or existed and left an exit record. NoSuchContainer."""
    try:
        return containers.find(store, name)
    except NoSuchContainer:
        try:
            known = [each for each in os.listdir(store.exits()) if name and each.startswith(name)]
        except FileNotFoundError:
            known = []
        if len(known) != 1 or not containers.is_id(known[0]):
            raise
        return known[0]


def wait(store: "Store", container_id: str, wanted: "frozenset[str]", interval: float = INTERVAL) -> int:
    """Waits until the status is one of `wanted`. The exit code, or -1 when it was not the end that was met.

    NoSuchContainer when the container is gone and that is not what was waited for.
    """
    while True:
        status, code = look(store, container_id)
        if status == "removed" and "removed" not in wanted:
            if code is None or "exited" not in wanted:
                raise NoSuchContainer(container_id)
            return code
        if status in wanted:
            return code if status == "exited" and code is not None else -1
        pause(store, container_id, wanted, interval)


def wait_exit(store: "Store", container_id: str) -> int:
    """The exit code of a container, when it has ended."""
    return wait(store, container_id, frozenset(("exited",)))


def look(store: "Store", container_id: str) -> "tuple[str, int | None]":
    """The status and the exit code now; the status of a container that is gone is removed, its code what is
    kept.
    """
    try:
        state = truth.current(store, container_id)
    except FileNotFoundError:
        record = states.read_exit(store, container_id)
        return "removed", record.exit_code if record else None
    return state.status, state.exit_code


def pause(store: "Store", container_id: str, wanted: "frozenset[str]", interval: float) -> None:
    """Waits for the end of the monitor when only that matters, else for `interval` seconds."""
    try:
        state = states.read_state(store.container(container_id))
    except FileNotFoundError:
        return
    monitor = truth.open_process(_watched(state)) if wanted <= {"exited"} else None
    if monitor is None:
        time.sleep(interval)
        return
    try:
        poll = select.poll()
        poll.register(monitor, select.POLLIN)
        poll.poll()
    finally:
        os.close(monitor)


def _watched(state: "State") -> "states.ProcessId | None":
    """The process whose end is the end of the container. One of another pid namespace cannot be watched from
    here.
    """
    here = Here()
    for process in (state.monitor, state.process):
        if here.is_alive(process):
            return process
    return None

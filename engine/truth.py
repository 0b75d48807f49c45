"""What is true of a container now, whatever its record says.

A record tells what the last writer knew; a writer may have been killed and the machine restarted. `judge`
compares it with the living processes, `settle` writes down what it found. Readers (ps, inspect) judge,
whoever changes something settles.
"""

import errno
import os
import time

from pyctr.rootless.errors import BrokenRecord
from pyctr.runtime import state as states
from pyctr.runtime.state import ExitRecord, ProcessId, State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store

KILLED = 137  # exit code of a container whose end nobody saw: its init dies by SIGKILL with its monitor
# After a reboot the code is unknown: Docker says 255, Podman keeps the 0 that looks like a success.
LOST_AT_BOOT = 255
ALIVE = ("running", "stopping")


class Here:
    """This boot and pid namespace, read once for many containers."""

    def __init__(self) -> None:
        self.boot = states.boot_id()
        self.pidns = states.pid_namespace()

    def is_alive(self, process: ProcessId | None) -> bool | None:
        """As `states.is_alive`: None when it cannot be told from this pid namespace."""
        if process is None or process.boot != self.boot:
            return False
        if process.pidns != self.pidns:
            return None
        try:
            return states.start_time(process.pid) == process.start
        except ProcessLookupError:
            return False


def judge(store: "Store", container_id: str, recorded: State, here: Here) -> State:
    """The state as it is. Status is one of created, initialized, running, stopping, exited, unknown.

    unknown: it counts in another pid namespace of this boot (a toolbox that shares the home); hands off.
    stopping: its process is gone and its monitor is about to write the end down.
    """
    if recorded.status in ("created", "exited"):
        return recorded
    process, monitor = here.is_alive(recorded.process), here.is_alive(recorded.monitor)
    if process is None or monitor is None:
        return recorded.replace(status="unknown")
    if process:
        return recorded
    if monitor:
        return recorded if recorded.status == "initialized" else recorded.replace(status="stopping")
    if recorded.monitor is None and recorded.process is None:
        return recorded  # being started; its lock tells whether somebody still is at it: settle
    return ended(store, container_id, recorded, here)


def ended(store: "Store", container_id: str, recorded: State, here: Here) -> State:
    """The state of a container that has ended without its monitor saying so in the state."""
    exit_record = states.read_exit(store, container_id)
    if exit_record and exit_record.finished >= recorded.started > 0:
        # The monitor writes the exit record first; it was killed before it wrote the state.
        return recorded.replace(
            status="exited",
            exit_code=exit_record.exit_code,
            finished=exit_record.finished,
            oom_killed=exit_record.oom_killed,
        )
    known = recorded.process or recorded.monitor
    rebooted = known is not None and known.boot != here.boot
    return recorded.replace(
        status="exited",
        exit_code=LOST_AT_BOOT if rebooted else KILLED,
        error="the machine was restarted" if rebooted else "its monitor was killed",
        finished=last_sign_of_life(store, container_id, recorded),
    )


def last_sign_of_life(store: "Store", container_id: str, recorded: State) -> int:
    """The best guess at when a container ended, in nanoseconds since 1970: its last change of state or line
    of log.
    """
    latest = recorded.started
    for name in (paths.STATE, paths.LOG):
        try:
            latest = max(latest, os.stat(f"{store.container(container_id)}/{name}").st_mtime_ns)
        except OSError:
            pass
    return latest


def current(store: "Store", container_id: str, here: Here | None = None) -> State:
    """The state as it is, read without a lock. FileNotFoundError, BrokenRecord."""
    recorded = states.read_state(store.container(container_id))
    return judge(store, container_id, recorded, here or Here())


def settle(store: "Store", container_id: str) -> State:
    """The state as it is, written down when the record says otherwise. The caller holds the container's
    lock.

    Also keeps the exit record, so that `wait` gets a code for a container whose monitor was killed.
    FileNotFoundError, BrokenRecord.
    """
    recorded = states.read_state(store.container(container_id))
    here = Here()
    true = judge(store, container_id, recorded, here)
    if true.status == "initialized" and true.monitor is None:
        # Whoever starts a container holds its lock until a monitor is recorded; we have the lock, so it was
        # killed.
        true = ended(store, container_id, recorded, here)
    if true.status == "exited" and recorded.status != "exited":
        keep_exit(store, container_id, true)
        try:
            states.change_state(store, container_id, true, "died", durable=False, exitCode=true.exit_code)
        except OSError:
            pass  # a full disk must not keep it from being removed; the next call finds the same
    return true


def keep_exit(store: "Store", container_id: str, state: State) -> None:
    """Writes the exit record of a container whose monitor could not."""
    path = store.exit_record(container_id)
    record = ExitRecord(
        1, state.exit_code, 0, state.oom_killed, state.started, state.finished or time.time_ns()
    )
    try:
        known = states.read_exit(store, container_id)
        if known is None or known.finished < record.finished:
            records.make_folder(store.exits())
            records.write_record(path, record, durable=False)
    except (OSError, BrokenRecord):
        pass  # a full disk must not keep a dead container from being removed


def open_process(process: ProcessId | None) -> int | None:
    """A pidfd of exactly this process, or None when it has ended. The caller closes it.

    The pidfd comes first: it pins the process, so the start time that is read afterwards is that of the
    pinned one.
    """
    if process is None:
        return None
    try:
        fd = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EINVAL):  # EINVAL: the number is that of a thread now
            raise
        return None
    if Here().is_alive(process):
        return fd
    os.close(fd)
    return None

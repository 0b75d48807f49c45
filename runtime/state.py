"""The state of a container, and the one function that changes it.

state.json is replaced atomically under the container's lock; every change appends one line to events.log.
"""

import os
import time

from pyctr.rootless import jsontext
from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.values import Value
from pyctr.storage import paths, records

STATE_VERSION = 1


class ProcessId(Value):
    """A process that cannot be mistaken for another: boot, pid namespace, pid and start time.

    `start` is field 22 of /proc/PID/stat, in clock ticks since boot; `pidns` the inode of the pid namespace
    in which `pid` counts.
    """

    pid: int
    start: int
    boot: str
    pidns: int


class State(Value):
    """What is known of a container. Times are nanoseconds since 1970, 0 is never."""

    version: int = STATE_VERSION
    status: str = "created"  # created, initialized (being started), running, stopping, exited
    process: ProcessId | None = None  # pid 1 of the container
    monitor: ProcessId | None = None
    started: int = 0
    finished: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    stopped_by_user: bool = False
    restarts: int = 0
    cgroup: str = ""  # folder of the container's cgroups while it runs


class ExitRecord(Value):
    """exits/<id>: how a container ended, kept for a while after its removal."""

    version: int
    exit_code: int
    signal: int = 0
    oom_killed: bool = False
    started: int = 0
    finished: int = 0


def boot_id() -> str:
    """The id of this boot of the kernel."""
    return records.read_text("/proc/sys/kernel/random/boot_id").strip()


def pid_namespace() -> int:
    """The inode of the pid namespace that this process sees."""
    return os.stat("/proc/self/ns/pid").st_ino


def start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot; ProcessLookupError when there is none (a zombie counts
    as none).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    if fields[0] in (b"Z", b"X"):
        raise ProcessLookupError(pid)
    return int(fields[19])


def identify(pid: int) -> ProcessId:
    """The identity of a living process."""
    return ProcessId(pid, start_time(pid), boot_id(), pid_namespace())


def is_alive(process: ProcessId | None) -> bool | None:
    """Whether the process lives; None when it cannot be told (it counts in another pid namespace of this
    boot).
    """
    if process is None or process.boot != boot_id():
        return False
    if process.pidns != pid_namespace():
        return None
    try:
        return start_time(process.pid) == process.start
    except ProcessLookupError:
        return False


def read_state(folder: str) -> State:
    """The state in a container's folder. FileNotFoundError, BrokenRecord."""
    return records.read_record(f"{folder}/{paths.STATE}", State, STATE_VERSION)


def change_state(
    store: paths.Store, container_id: str, state: State, event: str, *, durable: bool, **details: object
) -> None:
    """Replaces the state and appends the event. The caller holds the container's lock.

    SIGKILL between the two writes leaves the new state without its event: events tell, they do not decide.
    """
    records.write_record(f"{store.container(container_id)}/{paths.STATE}", state, durable=durable)
    append_event(store, "container", event, container_id, **details)


def append_event(store: paths.Store, kind: str, event: str, object_id: str, **details: object) -> None:
    """One line of events.log, in one O_APPEND write. A full disk loses the event, not the operation."""
    line = jsontext.dumps(
        {"time": time.time_ns(), "type": kind, "status": event, "id": object_id, **details}
    )
    try:
        fd = os.open(store.events(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(fd, line.encode() + b"\n")
    except OSError:
        pass
    finally:
        os.close(fd)


def read_exit(store: paths.Store, container_id: str) -> ExitRecord | None:
    """How a container ended, or None when no record is kept."""
    try:
        return records.read_record(store.exit_record(container_id), ExitRecord, 1)
    except (FileNotFoundError, BrokenRecord):
        return None

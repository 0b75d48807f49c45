"""Containers as records on disk with real processes, for tests that need no image: what ps, rm, stop ...
look at.
"""

import os
import select
import subprocess
import sys
import time
from typing import Any

from pyctr.runtime import state as states
from pyctr.runtime.spec import SPEC_VERSION, Log, Process, Rootfs, Spec
from pyctr.runtime.state import ProcessId, State
from pyctr.storage import paths, records
from pyctr.storage.paths import Store

# A monitor in the small: its child is the "pid 1"; when that ends it writes the exit record and the state.
MONITOR = """
import os, sys, time
from pyctr.runtime import state as states
from pyctr.runtime.state import ExitRecord, State
from pyctr.storage import records
from pyctr.storage.paths import Store
store, identifier, program = Store(root=sys.argv[1], runroot=sys.argv[2]), sys.argv[3], sys.argv[4:]
child = os.posix_spawn(program[0], program, os.environ)
folder = store.container(identifier)
with records.lock(folder):
    running = State(status="running", process=states.identify(child), monitor=states.identify(os.getpid()),
                    started=time.time_ns())
    states.change_state(store, identifier, running, "start", durable=False)
os.write(1, b"%d\\n" % child)  # at once: the program writes there too
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
code = 128 - code if code < 0 else code
with records.lock(folder):
    records.make_folder(store.exits())
    ended = ExitRecord(1, code, started=running.started, finished=time.time_ns())
    records.write_record(store.exit_record(identifier), ended, durable=False)
    exited = states.read_state(folder).replace(
        status="exited", exit_code=code, finished=ended.finished, process=None, monitor=None)
    states.change_state(store, identifier, exited, "died", durable=False)
"""


def identifier(seed: int) -> str:
    """A container id that begins with the digits of `seed`."""
    return f"{seed:x}".ljust(64, "0")


def make(store: Store, container_id: str, name: str, *, state: State | None = None, **changes: Any) -> Spec:
    """A container as `create` leaves it, with some fields of its spec changed."""
    fields: dict[str, Any] = {
        "version": SPEC_VERSION,
        "id": container_id,
        "name": name,
        "created": time.time_ns(),
        "rootfs": Rootfs(kind="path", path="/"),
        "process": Process(argv=("sleep", "1000"), env=("PATH=/bin",)),
        "command": ("sleep", "1000"),
        "image": "ab" * 32,
        "image_name": "localhost/busybox:latest",
        "log": Log(),
    }
    spec = Spec(**{**fields, **changes})
    records.make_folder(store.container(container_id))
    records.make_folder(store.container_names())
    records.write_record(f"{store.container(container_id)}/{paths.SPEC}", spec, durable=False)
    records.write_record(f"{store.container(container_id)}/{paths.STATE}", state or State(), durable=False)
    if spec.ephemeral:
        open(f"{store.container(container_id)}/{paths.EPHEMERAL}", "w").close()
    records.write_text(store.container_name(name), container_id, durable=False)
    return spec


def run(store: Store, container_id: str, *program: str, speaks: bool = False) -> "subprocess.Popen[str]":
    """Runs a program as the container's only process under a monitor; its stdin is that of the monitor.

    Returns once the record says running, with `speaks` also once the program has printed a line.
    """
    argv = [sys.executable, "-c", MONITOR, store.root, store.runroot, container_id, *program]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = subprocess.PIPE
    monitor = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=environment)
    assert monitor.stdout is not None
    for _ in range(2 if speaks else 1):
        assert monitor.stdout.readline().strip()
    return monitor


def kill_monitor(monitor: "subprocess.Popen[str]", process: ProcessId) -> None:
    """SIGKILL of a monitor and then of its container, as the kernel does it for a real one."""
    pidfd = os.pidfd_open(process.pid)
    monitor.kill()
    monitor.wait()
    os.kill(process.pid, 9)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(10_000)
    os.close(pidfd)


def state_of(store: Store, container_id: str) -> State:
    return states.read_state(store.container(container_id))

"""Attaching to a running container."""

import _signal
import os
import time

from pyctr.engine import containers, truth, waiting
from pyctr.rootless.errors import PyctrError, WrongState
from pyctr.runtime import attach as client
from pyctr.runtime import state as states
from pyctr.runtime.spec import Spec
from pyctr.runtime.state import ExitRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from pyctr.storage.paths import Store

_ATTEMPTS = 100  # times 20 ms that a monitor gets to bind its socket


def check_running(store: "Store", container_id: str) -> Spec:
    """The spec of a container that runs; WrongState otherwise."""
    status = truth.current(store, container_id).status
    if status not in truth.ALIVE:
        raise WrongState(
            f"you can only attach to running containers: container {container_id[:12]} is {status}",
            f"Start it with 'pyctr start --attach {container_id[:12]}'.",
        )
    return containers.read_spec(store, container_id)


def attach(store: "Store", spec: Spec, plan: client.Plan) -> ExitRecord | None:
    """Stays attached until the container ends; None when the user detached."""
    try:
        sock = client.connect(store.container_run(spec.id))
    except OSError:
        sock = _wake(store, spec)
    try:
        return client.Session(sock, plan).run()
    except EOFError:
        return _after_lost_connection(store, spec)
    finally:
        sock.close()


def _after_lost_connection(store: "Store", spec: Spec) -> ExitRecord:
    """The container dies with its monitor; one that lives has dropped us. PyctrError then."""
    monitor = truth.open_process(states.read_state(store.container(spec.id)).monitor)
    if monitor is not None:
        os.close(monitor)
        raise PyctrError(
            f"the monitor of container {spec.id[:12]} closed the connection",
            "It drops a client that reads too slowly. Attach again.",
        )
    return ExitRecord(1, waiting.wait_exit(store, spec.id))


def _wake(store: "Store", spec: Spec) -> "_socket.socket":
    """The runtime folder has vanished (logout): SIGUSR1 makes the monitor bind its socket anew."""
    monitor = truth.open_process(truth.current(store, spec.id).monitor)
    if monitor is not None:
        _signal.pidfd_send_signal(monitor, _signal.SIGUSR1)
        os.close(monitor)
        for _ in range(_ATTEMPTS):
            try:
                return client.connect(store.container_run(spec.id))
            except OSError:
                time.sleep(0.02)
    raise PyctrError(
        f"the monitor of container {spec.id[:12]} does not answer at {store.container_run(spec.id)}",
        "Is the runtime folder writable, and is there room on it?",
    )

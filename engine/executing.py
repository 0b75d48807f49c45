"""exec: another program inside a running container."""

import os

from pyctr.engine import containers, truth
from pyctr.rootless import terminal
from pyctr.rootless.errors import WrongState
from pyctr.rootless.values import Value
from pyctr.runtime import session
from pyctr.runtime.spec import Process, Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store


class ExecRequest(Value):
    """What exec is asked to run. Empty `user` and `cwd` are those of the container."""

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    tty: bool = False
    stdin_open: bool = False
    privileged: bool = False


def execute(store: "Store", container_id: str, request: ExecRequest) -> "tuple[session.ForkedSession, str]":
    """Starts the program; its session and the session's id.

    WrongState when the container does not run; PyctrError with exit code 126 or 127 when the program cannot
    be executed.
    """
    state = truth.current(store, container_id)
    if state.status != "running":
        raise WrongState(
            "can only create exec sessions on running containers: "
            f"container {container_id[:12]} is {state.status}",
            f"Start it with 'pyctr start {container_id[:12]}'.",
            exit_code=255 if state.status == "stopping" else 125,
        )
    spec = containers.read_spec(store, container_id)
    join = session.Join(os.urandom(32).hex(), _process(spec, request), *_window(request))
    forked = session.fork_session(store, spec, state, join)
    forked.await_started()
    return forked, join.id


def _process(spec: Spec, request: ExecRequest) -> Process:
    """The container's process with the request's changes.

    As in podman an exec gets the container's capabilities; those beside root's only as the container's own
    user.
    """
    process = spec.process
    if request.privileged:
        from pyctr.rootless import capabilities

        process = process.replace(capabilities=capabilities.held(), no_new_privileges=False)
    env = dict(item.partition("=")[::2] for item in (*process.env, *request.env))
    if request.tty:
        env.setdefault("TERM", "xterm")
    return process.replace(
        argv=request.argv,
        env=tuple([f"{name}={value}" for name, value in env.items()]),
        cwd=request.cwd or process.cwd,
        user=request.user or process.user,
        ambient=process.ambient if request.user in ("", process.user) else (),
        tty=request.tty,
        stdin_open=request.stdin_open,
    )


def _window(request: ExecRequest) -> tuple[int, int]:
    if request.tty:
        for fd in (0, 1, 2):
            try:
                return terminal.size(fd)
            except OSError:
                continue
    return 0, 0

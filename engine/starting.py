"""Starting containers: from a record on disk to a running command, and the stay with it."""

import os

from pyctr.engine import containers, removal, truth
from pyctr.net import drivers, names
from pyctr.rootless import idmap, terminal, userns
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import attach, launch, messages
from pyctr.runtime import state as states
from pyctr.runtime.spec import Spec
from pyctr.runtime.state import ExitRecord, State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.net.model import Helper
    from pyctr.storage.paths import Store


def maps_of(spec: Spec) -> idmap.IdMaps:
    """The id maps of a container's user namespace."""
    return spec.id_maps or userns.default_maps()


def first_state(forked: launch.Launch) -> State:
    """The state of a --rm container that is made to be started by this monitor.

    When that is killed before it says more, the container has ended, and is swept.
    """
    try:
        return State(status="initialized", monitor=states.identify(forked.monitor))
    except ProcessLookupError:
        return State()  # it has died already; `start` tells why


def start(
    store: "Store",
    forked: launch.Launch,
    spec: Spec,
    *,
    attached: bool,
    event: str = "start",
    debug: bool = False,
) -> int:
    """Starts the container of a written record with a forked monitor; the pid of its pid 1.

    With `debug` init tells the steps of set-up on our standard error.
    WrongState when it runs already. PyctrError with the reason, and 126 or 127 when the command cannot be
    executed.
    """
    if truth.current(store, spec.id).status == "stopping":
        from pyctr.engine import waiting

        waiting.wait_exit(store, spec.id)
    with containers.lock(store, spec.id):
        truth.settle(store, spec.id)
        helper = _prepare_network(store, spec)
    rows, columns = _window(spec)
    names = (store.root, store.runroot, spec.id)
    request = messages.Launch(*names, helper, rows, columns, attached=attached, event=event, debug=debug)
    pid = forked.start(request)
    if spec.pid_file:
        records.write_text(spec.pid_file, f"{pid}\n", durable=False, mode=0o644)
    return pid


def _window(spec: Spec) -> tuple[int, int]:
    """The size of the caller's terminal for a container that gets one; (0, 0) when there is none."""
    if spec.process.tty:
        for fd in (0, 1, 2):
            try:
                return terminal.size(fd)
            except OSError:
                continue
    return 0, 0


def _prepare_network(store: "Store", spec: Spec) -> "Helper | None":
    """Writes the files of /etc that are the container's own; the network helper to start, if it needs
    one.
    """
    folder = store.container(spec.id)
    driver = drivers.by_name(spec.network.driver)
    records.write_text(f"{folder}/{paths.HOSTNAME}", f"{spec.hostname}\n", durable=False, mode=0o644)
    if spec.network.manage_hosts:
        text = names.hosts_text(spec.network, spec.hostname, spec.name)
        records.write_text(f"{folder}/{paths.HOSTS}", text, durable=False, mode=0o644)
    if spec.network.manage_resolv_conf:
        text = names.resolv_conf_text(spec.network)
        records.write_text(f"{folder}/{paths.RESOLV_CONF}", text, durable=False, mode=0o644)
    return driver.helper(spec.network, store.container_run(spec.id))


def stay(store: "Store", forked: launch.Launch, spec: Spec, plan: attach.Plan) -> ExitRecord | None:
    """Attaches to a container that was just started, until it ends; None when the user detached.

    A --rm container is removed before this returns.
    """
    try:
        ended = attach.Session(forked.stream, plan).run()
    except EOFError:
        ended = _after_lost_monitor(store, spec)
    if ended is not None and spec.ephemeral:
        removal.finish(store, spec.id)
    forked.stream.close()
    return ended


def _after_lost_monitor(store: "Store", spec: Spec) -> ExitRecord:
    """The container dies with its monitor: what the record then says."""
    from pyctr.engine import waiting

    waiting.wait_exit(store, spec.id)
    with containers.lock(store, spec.id):
        state = truth.settle(store, spec.id)
    return ExitRecord(1, state.exit_code, 9, state.oom_killed, state.started, state.finished)


def discard(store: "Store", spec: Spec) -> None:
    """After a failed start of a --rm container: it is removed; what fails is left to the next sweep."""
    if spec.ephemeral and os.path.isdir(store.container(spec.id)):
        try:
            removal.remove(store, spec.id, force=True, volumes=True)
        except (PyctrError, OSError):
            pass

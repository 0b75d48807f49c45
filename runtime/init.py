"""The container's side of set-up, in its pid 1, which the monitor has forked into the namespaces: it mounts,
opens the terminal, waits for Go, becomes the user, executes the command.

Everything is imported before pivot_root: afterwards the interpreter's files cannot be reached.
"""

import _signal
import os

from pyctr.rootless import processes, syscalls, userns
from pyctr.runtime import messages
from pyctr.runtime.messages import Channel, Go, Mapped, Prepare, Prepared, Serve
from pyctr.runtime.spec import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyctr.rootless import cgroups
    from pyctr.runtime.rootfs import Scene
    from pyctr.runtime.spec import Spec
    from pyctr.storage.drivers import Server

_FLAGS = {
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "pid": syscalls.CLONE_NEWPID,
}


def flags_of(namespaces: tuple[Namespace, ...]) -> int:
    """CLONE_NEW* of every namespace, but the user's, that a container does not share."""
    shared = {namespace.kind for namespace in namespaces if namespace.mode != "new"}
    flags = 0
    for kind, flag in _FLAGS.items():
        if kind not in shared:
            flags |= flag
    return flags


def born_in(namespaces: tuple[Namespace, ...]) -> int:
    """CLONE_NEW* of those that pid 1 is forked into: the cgroup's has to be made inside the cgroup."""
    return flags_of(namespaces) & ~syscalls.CLONE_NEWCGROUP


def serve(
    channel: Channel,
    streams: "tuple[int, int, int]",
    namespaces: tuple[Namespace, ...],
    cgroup: "cgroups.Group | None",
) -> "NoReturn":
    """Runs pid 1 up to the container's command; never returns."""
    try:
        _begin(channel, streams, namespaces, cgroup)
        channel.expect(Mapped)
        userns.become_root()
        _init(channel, streams)
    except BaseException as error:
        messages.report(channel, error)
    finally:
        os._exit(125)


def _begin(
    channel: Channel,
    streams: "tuple[int, int, int]",
    namespaces: tuple[Namespace, ...],
    cgroup: "cgroups.Group | None",
) -> None:
    """What goes on while newuidmap and newgidmap write our maps: capabilities come with the namespace."""
    processes.close_all_but({channel.fileno(), *streams})
    processes.set_name("pyctr-init")
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    if cgroup is not None:
        cgroup.enter()
    syscalls.unshare(flags_of(namespaces) & syscalls.CLONE_NEWCGROUP)
    _load()


def _load() -> None:
    """Loads what init needs: after the pivot nothing can be."""
    from pyctr.net import link, route  # noqa: F401
    from pyctr.rootless import mounts, seccomp, terminal  # noqa: F401
    from pyctr.runtime import program, rootfs, users  # noqa: F401


def _init(channel: Channel, streams: "tuple[int, int, int]") -> "NoReturn":
    from pyctr.net import link, route
    from pyctr.runtime import program, rootfs
    from pyctr.runtime.spec import SPEC_VERSION, Spec
    from pyctr.storage import paths, records

    request = channel.expect(Prepare)
    store = paths.Store(root=request.root, runroot=request.runroot)
    spec = records.read_record(f"{store.container(request.id)}/{paths.SPEC}", Spec, SPEC_VERSION)
    filters = program.load_filters(spec.process)
    if spec.process.limits:
        import resource  # noqa: F401 - loaded now, used after the pivot
    os.setsid()
    os.umask(0)
    if spec.namespace("uts").mode == "new":
        syscalls.sethostname(spec.hostname)
    if spec.namespace("net").mode == "new":
        link.raise_loopback()
        link.allow_ping()
    _adjust_oom(spec)
    scene = rootfs.Scene(store, spec, lambda server: _ask_to_serve(channel, server))
    for step in rootfs.plan(store, spec):
        if request.debug:
            os.write(2, f"init: {step.describe()}\n".encode())
        if isinstance(step, rootfs.Pivot):
            master = _open_terminal(scene, streams, request) if spec.process.tty else -1
        step.apply(scene)
    if request.wait_for_routes:
        route.wait_default_routes(request.wait_for_routes)
    prepared = program.Program(scene.root, spec.process, filters)
    channel.send(Prepared(), (master,) if master >= 0 else ())
    channel.expect(Go)
    _redirect(scene, streams, spec)
    prepared.own_streams((0, 1, 2))
    prepared.settle()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)  # last: a change of ids clears it
    if is_hung_up(channel):
        os._exit(137)
    prepared.execute()


def _ask_to_serve(channel: Channel, server: "Server") -> None:
    """Whatever touches the mount from here on waits for the process that the monitor starts."""
    channel.send(Serve(server.argv, server.folder), (server.device,))
    os.close(server.device)


def _adjust_oom(spec: "Spec") -> None:
    """Through a /proc of our own, by descriptor (CVE-2025-52881); lowering needs a privilege that we
    lack.
    """
    value = spec.process.oom_score_adj
    if value is not None:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        except PermissionError:
            pass
        finally:
            os.close(fd)


def _open_terminal(scene: "Scene", streams: "tuple[int, int, int]", request: Prepare) -> int:
    """Opens a terminal in the container's devpts, binds it at /dev/console; the master's descriptor."""
    from pyctr.rootless import mounts, terminal

    master, slave = terminal.open_pair(scene.devpts)
    if request.rows:
        terminal.set_size(slave, request.rows, request.columns)
    scene.dev.attach(mounts.clone_tree(slave, recursive=False), scene.dev.make_file("console", 0o620))
    terminal.make_controlling(slave)
    for fd in streams:
        os.dup2(slave, fd, inheritable=False)
    os.close(slave)
    return master


def _redirect(scene: "Scene", streams: "tuple[int, int, int]", spec: "Spec") -> None:
    """Makes the streams 0, 1 and 2; standard input is the container's /dev/null unless it is kept open."""
    if not spec.process.tty and not spec.process.stdin_open:
        null = os.open("null", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=scene.dev.fd)
        os.dup2(null, streams[0], inheritable=False)
        os.close(null)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)


def is_hung_up(channel: Channel) -> bool:
    """Whether the monitor died before PDEATHSIG was set."""
    import select

    poll = select.poll()
    poll.register(channel.fileno(), 0)
    return bool(poll.poll(0))

"""Exec sessions: another program inside a running container, with a parent and a record of its own.

    pyctr exec
      session parent     forked, own session, subreaper: owns its terminal or pipes and its record
        joiner           not dumpable; enters the namespaces of the container, forks, ends
          program        in the container's pid namespace; executes the command

A killed command line leaves the session running. The joiner sets PR_SET_DUMPABLE 0 before setns(2): until
execve no process of the container can look into it (/proc/PID/exe, fd, mem; CVE-2019-5736, CVE-2016-9962).
"""

import _signal
import _socket
import os
import time

from pyctr.rootless import processes, syscalls, terminal
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.mounts import Root
from pyctr.rootless.values import Value
from pyctr.runtime import init, messages, program, state
from pyctr.runtime.logfile import LogFile
from pyctr.runtime.messages import Born, Channel, Failed, Go, Prepared, Started
from pyctr.runtime.pipes import Pipes
from pyctr.runtime.spec import Process, Spec
from pyctr.runtime.state import ExitRecord, ProcessId, State
from pyctr.runtime.streams import Streams
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_DEVPTS_MAGIC_INODE = 1  # the root folder of every devpts instance


class SessionRecord(Value):
    """runroot/<id>/exec/<session>.json: an exec session. Removed when it has ended and its code was told."""

    version: int
    id: str  # 64 hex digits
    container: str
    argv: tuple[str, ...]
    process: ProcessId | None = None
    started: int = 0
    exit_code: int | None = None


class Join(Value):
    """What a session needs to know."""

    id: str
    process: Process
    rows: int = 0
    columns: int = 0


class ForkedSession:
    """A session's parent, as the command line sees it. `stream` carries attach frames once the program
    runs.
    """

    def __init__(self, control: Channel, stream: "_socket.socket") -> None:
        self.control = control
        self.stream = stream

    def await_started(self) -> int:
        """The pid of the program once it is executed. PyctrError (126, 127 as for run)."""
        try:
            return self.control.expect(Started).pid
        except EOFError:
            raise PyctrError("the exec session ended before its program was executed") from None


def fork_session(store: paths.Store, spec: Spec, running: State, join: Join) -> ForkedSession:
    """Starts a session in a running container."""
    ours, theirs = messages.channel_pair()
    kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
    stream, their_stream = _socket.socketpair(_socket.AF_UNIX, kind)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, processes.ALL_SIGNALS)
    try:
        if not os.fork():
            _serve(SessionParent(store, spec, running, join), theirs, their_stream)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    theirs.close()
    their_stream.close()
    return ForkedSession(ours, stream)


def _serve(parent: "SessionParent", control: Channel, stream: "_socket.socket") -> "NoReturn":
    code = 1
    try:
        parent.live(control, stream)
        code = 0
    except BaseException as error:
        messages.report(control, error)
    finally:
        os._exit(code)


class SessionParent:
    """See the module's text."""

    def __init__(self, store: paths.Store, spec: Spec, running: State, join: Join) -> None:
        self.store = store
        self.spec = spec
        self.running = running
        self.join = join
        self.pid = 0
        self.status: int | None = None
        self.signals = -1
        self.folder = f"{store.container_run(spec.id)}/{paths.EXEC_SESSIONS}"
        self.record = SessionRecord(1, join.id, spec.id, join.process.argv)

    def live(self, control: Channel, stream: "_socket.socket") -> None:
        processes.close_all_but({control.fileno(), stream.fileno()})
        processes.set_name("pyctr-exec")
        os.setsid()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self.signals = syscalls.signalfd({_signal.SIGCHLD})
        pipes = Pipes()
        channel, joiner = self._fork_joiner(pipes)
        streams = Streams(LogFile("", 0), pipes, stdin_open=self.join.process.stdin_open)
        fds = self._await_prepared(channel)
        os.waitpid(joiner, 0)
        if fds:
            streams.take_terminal(fds[0])
        self._leave_terminal()
        self._write(self.record.replace(process=state.identify(self.pid), started=time.time_ns()))
        channel.send(Go())
        self._await_execution(channel)
        streams.add_client(stream, launching=True)
        control.send(Started(self.pid))
        control.close()
        self._watch(streams)
        self._finish(streams)

    def _fork_joiner(self, pipes: Pipes) -> tuple[Channel, int]:
        ours, theirs = messages.channel_pair()
        joiner = os.fork()
        if not joiner:
            _join(self.spec, self.running, self.join, theirs, pipes.container_ends())
        theirs.close()
        pipes.close_container_ends()
        return ours, joiner

    def _await_prepared(self, channel: Channel) -> "list[int]":
        """The terminal's master, if any. The joiner tells the pid while its child prepares: in any order."""
        prepared: list[int] | None = None
        while prepared is None or not self.pid:
            message, fds = channel.receive()
            if isinstance(message, Failed):
                raise message.error()
            if isinstance(message, Born):
                self.pid = message.pid
            elif isinstance(message, Prepared):
                prepared = fds
            else:
                raise PyctrError("the exec session's program ended before it was executed")
        return prepared

    def _await_execution(self, channel: Channel) -> None:
        message, _ = channel.receive()
        if isinstance(message, Failed):
            self._remove_record()
            raise message.error()
        channel.close()

    @staticmethod
    def _leave_terminal() -> None:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(null, number)
        os.close(null)

    def _path(self) -> str:
        return f"{self.folder}/{self.join.id}.json"

    def _write(self, record: SessionRecord) -> None:
        self.record = record
        records.make_folder(self.folder)
        records.write_record(self._path(), record, durable=False)
        state.append_event(self.store, "container", "exec", self.spec.id, name=self.spec.name)

    def _remove_record(self) -> None:
        try:
            os.unlink(self._path())
        except FileNotFoundError:
            pass

    def _watch(self, streams: Streams) -> None:
        streams.watch(self.signals)
        while self.status is None:
            if streams.pump():
                for number in streams.signals_asked():
                    os.kill(self.pid, number)
                self._reap()

    def _reap(self) -> None:
        try:
            os.read(self.signals, 128 * 8)
        except BlockingIOError:
            pass
        self.status = processes.reap().get(self.pid, self.status)

    def _finish(self, streams: Streams) -> None:
        code = os.waitstatus_to_exitcode(self.status or 0)
        ended = ExitRecord(
            1,
            128 - code if code < 0 else code,
            -code if code < 0 else 0,
            False,
            self.record.started,
            time.time_ns(),
        )
        streams.drain()
        self._remove_record()
        state.append_event(
            self.store, "container", "exec_died", self.spec.id, name=self.spec.name, exitCode=ended.exit_code
        )
        streams.tell_end(ended)
        streams.say_farewell(None)


def _join(
    spec: Spec, running: State, join: Join, channel: Channel, streams: "tuple[int, int, int]"
) -> "NoReturn":
    """The joiner, to its end."""
    try:
        processes.close_all_but({channel.fileno(), *streams})
        filters = program.load_filters(join.process)
        if join.process.limits:
            import resource  # noqa: F401 - loaded now, used inside
        _enter(spec, running)
        child = os.fork()
        if child:
            channel.send(Born(child))
        else:
            _run_program(join, filters, channel, streams)
    except BaseException as error:
        messages.report(channel, error)
    finally:
        os._exit(125)


def _enter(spec: Spec, running: State) -> None:
    """Enters every namespace that the container has of its own, all at once, and its cgroup before."""
    process = running.process
    if process is None:
        raise PyctrError(f"container {spec.id[:12]} does not run")
    pidfd = os.pidfd_open(process.pid)
    if state.is_alive(process) is not True:
        raise PyctrError(f"container {spec.id[:12]} has just ended")
    if running.cgroup:
        _enter_cgroup(running.cgroup)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    flags = init.flags_of(spec.namespaces) | syscalls.CLONE_NEWUSER
    syscalls.setns(pidfd, flags)
    os.close(pidfd)


def _enter_cgroup(path: str) -> None:
    try:
        with open(f"{path}/cgroup.procs", "w") as file:
            file.write("0")
    except OSError:  # the session then counts where its command line does
        pass


def _run_program(
    join: Join, filters: "tuple[bytes, ...]", channel: Channel, streams: "tuple[int, int, int]"
) -> None:
    """In the pid namespace of the container. Everything is loaded by now."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setsid()
    os.umask(0)
    root = Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    prepared = program.Program(root, join.process, filters, makes_folder=False)
    master = _open_terminal(root, join, streams) if join.process.tty else -1
    channel.send(Prepared(), (master,) if master >= 0 else ())
    channel.expect(Go)
    if not join.process.tty and not join.process.stdin_open:
        null = root.open("/dev/null", os.O_RDONLY)
        os.dup2(null, streams[0], inheritable=False)
        os.close(null)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    prepared.own_streams((0, 1, 2))
    prepared.settle()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    if init.is_hung_up(channel):
        os._exit(137)
    prepared.execute()


def _open_terminal(root: Root, join: Join, streams: "tuple[int, int, int]") -> int:
    """A terminal in the container's devpts. What is mounted at /dev/pts must be one, not what a process put
    there.
    """
    devpts = root.open("/dev/pts", os.O_RDONLY | os.O_DIRECTORY)
    if (
        os.fstat(devpts).st_ino != _DEVPTS_MAGIC_INODE
        or os.major(os.stat("ptmx", dir_fd=devpts).st_rdev) != 5
    ):
        raise PyctrError("/dev/pts of the container is not a devpts file system, so there is no terminal")
    master, slave = terminal.open_pair(devpts)
    os.close(devpts)
    if join.rows:
        terminal.set_size(slave, join.rows, join.columns)
    terminal.make_controlling(slave)
    for fd in streams:
        os.dup2(slave, fd, inheritable=False)
    os.close(slave)
    return master

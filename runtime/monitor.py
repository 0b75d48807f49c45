"""The monitor: one small process per running container. Its parent while it runs, its witness when it ends.

It is forked early from the command (so that little is loaded: memory), starts the container as its own
child, then pumps its streams, writes its log, serves attach clients, and records how it ended. It needs no
module that is not loaded by then, so an upgrade of pyctr does not touch running containers. What needs more
(cleanup of a --rm container that no command claims) it starts as a new pyctr.

All signals stay blocked; those of interest arrive through a signalfd.
"""

import _signal
import _socket
import os
import select
import time

from pyctr.rootless import processes, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import messages, state
from pyctr.runtime.birth import Newborn
from pyctr.runtime.messages import (
    Channel,
    Failed,
    Go,
    Launch,
    Prepare,
    Prepared,
    Serve,
    Started,
)
from pyctr.runtime.pipes import Pipes
from pyctr.runtime.spec import SPEC_VERSION, Spec
from pyctr.runtime.state import ExitRecord, State
from pyctr.runtime.streams import Streams, open_log
from pyctr.storage import drivers, paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from pyctr.rootless.values import Value

    V = TypeVar("V", bound=Value)

_STARTABLE = ("created", "exited")
_KILLED = "Was it killed, or is the machine out of memory?"
_PATIENCE = 200  # milliseconds that clients get to read the rest while others wait for the monitor's end
_LATE_PATIENCE = 2000  # milliseconds that clients which attached later get afterwards


def run(control: Channel, stream: "_socket.socket", newborn: Newborn) -> None:
    """The life of a monitor from its first child on, in a forked process with all signals blocked."""
    Monitor(control, stream, newborn).live()


class Monitor:
    """See the module's text."""

    def __init__(self, control: Channel, stream: "_socket.socket", newborn: Newborn) -> None:
        self.control = control
        self.stream = stream
        self.store = paths.Store(root="", runroot="")
        self.spec: Spec
        self.launch: Launch
        self.state: State
        self.newborn = newborn
        self.pid = newborn.pid  # of the container's pid 1
        self.status: int | None = None  # its wait status
        self.helper = 0  # pid of the network helper
        self.server = 0  # pid of the process that serves the root file system, where one has to
        self.cgroup = newborn.cgroup
        self.signals = -1

    def live(self) -> None:
        self.signals = syscalls.signalfd({_signal.SIGCHLD, _signal.SIGUSR1, _signal.SIGTERM})
        try:
            self.newborn.finish_mapping()
            streams = self._start(self.newborn.channel, self.newborn.pipes)
        except BaseException as error:
            self._end_everything()
            messages.report(self.control, error)
            raise EOFError from None
        self._watch(streams)
        self._finish(streams)

    # Before the command runs.

    def _start(self, channel: Channel, pipes: Pipes) -> Streams:
        """From the command's request to the executed command; returns the streams to pump."""
        self.launch = self.control.expect(Launch)
        self.store = paths.Store(root=self.launch.root, runroot=self.launch.runroot)
        folder = self.store.container(self.launch.id)
        with records.lock(folder):
            self._claim(folder)
            try:
                return self._set_up(channel, pipes)
            except BaseException as error:
                self._give_up(error)
                raise

    def _set_up(self, channel: Channel, pipes: Pipes) -> Streams:
        """The part of `_start` that is done under the container's lock."""
        ready = self._start_helper()
        routes = self.launch.helper.families if self.launch.helper else ()
        size = (self.launch.rows, self.launch.columns)
        names = (self.store.root, self.store.runroot, self.spec.id)
        channel.tell(Prepare(*names, routes, *size, debug=self.launch.debug))
        if self.spec.rootfs.kind == "image" and drivers.is_served(self.spec.rootfs.driver):
            self._serve_root(channel)
        self._record_running()  # while init mounts; the command is executed after it
        streams = Streams(open_log(self.store, self.spec), pipes, stdin_open=self.spec.process.stdin_open)
        _prepared, fds = self._await(channel, Prepared)
        if fds:
            streams.take_terminal(fds[0])
        self._await_helper(ready)
        self._leave_terminal()
        channel.send(Go())
        self._await_execution(channel)
        streams.listen(self.store.container_run(self.spec.id))
        if self.launch.attached:
            streams.add_client(self.stream, launching=True)
        else:
            self.stream.close()
        self.control.send(Started(self.pid))
        self.control.close()
        return streams

    def _claim(self, folder: str) -> None:
        """Reads the record and makes sure that nobody else runs this container. The lock is held."""
        self.spec = records.read_record(f"{folder}/{paths.SPEC}", Spec, SPEC_VERSION)
        found = state.read_state(folder)
        if self._is_anothers(found):
            raise PyctrError(f"container {self.spec.id[:12]} is already running", exit_code=125)
        self.state = found
        records.make_folder(self.store.container_run(self.spec.id))

    @staticmethod
    def _is_anothers(found: State) -> bool:
        """Whether it runs, or another monitor is about to start it or to write down its end."""
        if found.status in _STARTABLE or (found.monitor and found.monitor.pid == os.getpid()):
            return False
        return not (state.is_alive(found.process) is state.is_alive(found.monitor) is False)

    def _await(self, channel: Channel, kind: "type[V]") -> "tuple[V, list[int]]":
        """The container's next message, while the command lives. Failed is raised; so is the end of
        either.
        """
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        poll.register(self.control.fileno(), 0)
        watched = {os.pidfd_open(pid): pid for pid in (self.helper, self.server) if pid}
        for fd in watched:
            poll.register(fd, select.POLLIN)
        try:
            return self._await_event(poll, channel, kind, watched)
        finally:
            for fd in watched:
                os.close(fd)

    def _await_event(
        self, poll: select.poll, channel: Channel, kind: "type[V]", watched: "dict[int, int]"
    ) -> "tuple[V, list[int]]":
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if channel.fileno() in ready:
                message, fds = channel.receive()
                if isinstance(message, kind):
                    return message, fds
                self._raise_end(watched)
                if isinstance(message, Failed):
                    raise message.error()
                raise PyctrError("the container's init ended while it was set up", _KILLED)
            if not watched.keys().isdisjoint(ready):  # init would wait in vain
                self._raise_end(watched)
            if self.control.fileno() in ready:
                raise EOFError("the command gave up")

    def _raise_end(self, watched: "dict[int, int]") -> None:
        """Raises what a helper that has ended has said: init knows only what came of it."""
        poll = select.poll()
        for fd in watched:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(_PATIENCE if self.server else 0):
            if watched[fd] == self.server:
                from pyctr.storage import serving

                raise serving.failure(self._server_log())
            from pyctr.runtime import nethelper

            raise nethelper.failure(self.spec.network, self._network_log())

    def _await_execution(self, channel: Channel) -> None:
        """End of file means that the command has been executed (the channel is close-on-exec)."""
        message, _ = channel.receive()
        if isinstance(message, Failed):
            raise message.error()
        channel.close()

    def _start_helper(self) -> int:
        """Starts the network helper; returns the descriptor to wait on, -1 when there is nothing to wait
        for.
        """
        helper = self.launch.helper
        if helper is None:
            return -1
        from pyctr.runtime import nethelper

        self.helper, ready = nethelper.start(helper, self.pid, self._network_log())
        return ready

    def _serve_root(self, channel: Channel) -> None:
        """Starts the process that init has asked for: nothing else can touch the mount before."""
        from pyctr.storage import serving

        asked, [device] = self._await(channel, Serve)
        server = drivers.Server(asked.argv, asked.folder, device)
        join = (lambda: None) if self.cgroup is None else self.cgroup.enter
        maps = self.spec.id_maps or userns.default_maps()
        self.server = serving.start(server, maps, self._server_log(), join)

    def _server_log(self) -> str:
        return f"{self.store.container_run(self.spec.id)}/{paths.STORAGE_LOG}"

    def _network_log(self) -> str:
        return f"{self.store.container_run(self.spec.id)}/{paths.NETWORK_LOG}"

    def _await_helper(self, ready: int) -> None:
        helper = self.launch.helper
        if helper is not None:
            from pyctr.runtime import nethelper

            log = self._network_log()
            nethelper.await_ready(helper, self.spec.network, self.helper, ready, log, container=self.pid)

    def _leave_terminal(self) -> None:
        """From now on the command's terminal may close: no stream of ours leads to it."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(null, number)
        os.close(null)

    def _record_running(self) -> None:
        self.state = State(
            status="running",
            process=state.identify(self.pid),
            monitor=state.identify(os.getpid()),
            started=time.time_ns(),
            restarts=self.state.restarts,
            cgroup=self.cgroup.path if self.cgroup is not None else "",
        )
        self._change(self.launch.event, durable=False)  # no process outlives a power cut anyway

    def _change(self, event: str, *, durable: bool = True, **details: object) -> None:
        durable = durable and not self.spec.ephemeral
        attributes = {"name": self.spec.name, "image": self.spec.image_name, **details}
        state.change_state(self.store, self.spec.id, self.state, event, durable=durable, **attributes)

    # While it runs.

    def _watch(self, streams: Streams) -> None:
        """Pumps until pid 1 has ended."""
        streams.watch(self.signals)
        while self.status is None:
            if streams.pump():
                self._take_signals(streams)

    def _take_signals(self, streams: Streams) -> None:
        try:
            data = os.read(self.signals, 128 * 8)
        except BlockingIOError:
            data = b""  # a client has asked for a signal
        numbers = {int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 128)}
        if _signal.SIGUSR1 in numbers:
            streams.listen(self.store.container_run(self.spec.id))
        if _signal.SIGTERM in numbers:
            self._signal_container(_signal.SIGTERM)
        for number in streams.signals_asked():
            self._signal_container(number)
        self._reap()

    def _signal_container(self, number: int) -> None:
        if self.status is None:  # not reaped, so the pid is still its own
            os.kill(self.pid, number)

    def _reap(self) -> None:
        """Reaps every child that has ended: pid 1, the helper, and orphans of a shared pid namespace."""
        ended = processes.reap()
        self.status = ended.get(self.pid, self.status)
        if self.helper in ended:
            self.helper = 0
        if self.server in ended:
            self.server = 0

    # When it has ended.

    def _finish(self, streams: Streams) -> None:
        """Order: exit record, state, then the clients' news, and removal last. A SIGKILL in between leaves a
        record that says running beside an exit record or none; the next call sees that no process matches
        and repairs it.

        The helper dies meanwhile: its interface takes the kernel some 20 ms.
        """
        self._kill_helper()
        self._kill_leftovers()
        streams.drain()
        ended = self._exit_record()
        try:
            with records.lock(self.store.container(self.spec.id)):
                self._record_end(ended)
        except OSError:
            pass  # a full disk: the clients are told all the same, and the next call sees no process
        self._await_server()
        if self.cgroup is not None:
            self.cgroup.remove()
        self._say_farewell(streams, ended)
        if self.spec.ephemeral and os.path.exists(self.store.container(self.spec.id)):
            self._spawn_cleanup()  # nobody waited, or was killed before it had removed it

    def _say_farewell(self, streams: Streams, ended: ExitRecord) -> None:
        """A slow reader is left to a child: `stop` and `wait` take the end of this process for that of the
        container.
        """
        streams.tell_end(ended)
        all_told = streams.say_farewell(_PATIENCE)
        self._await_helper_end()
        if all_told:
            return
        if os.fork():
            os._exit(0)
        streams.say_farewell(_LATE_PATIENCE)
        streams.drop_late_clients()
        streams.say_farewell(None)

    def _record_end(self, ended: ExitRecord) -> None:
        """Ports are free when the state says exited: whoever waits for that may start it again at once."""
        records.make_folder(self.store.exits())
        records.write_record(self.store.exit_record(self.spec.id), ended, durable=not self.spec.ephemeral)
        if self.spec.network.ports:
            self._await_helper_end()
        self.state = self._latest_state().replace(
            status="exited",
            process=None,
            monitor=None,
            exit_code=ended.exit_code,
            oom_killed=ended.oom_killed,
            finished=ended.finished,
            cgroup="",
        )
        self._change("died", exit_code=ended.exit_code)

    def _latest_state(self) -> State:
        """The state with what others noted in it (that a user stopped the container); ours when it is
        unreadable.
        """
        try:
            return state.read_state(self.store.container(self.spec.id))
        except (OSError, PyctrError):
            return self.state

    def _exit_record(self) -> ExitRecord:
        code = os.waitstatus_to_exitcode(self.status or 0)
        return ExitRecord(
            version=1,
            exit_code=128 - code if code < 0 else code,
            signal=-code if code < 0 else 0,
            oom_killed=self.cgroup is not None and self.cgroup.oom_kills() > 0,
            started=self.state.started,
            finished=time.time_ns(),
        )

    def _kill_leftovers(self) -> None:
        """Where the pid namespace is shared, pid 1 does not take the others with it."""
        if self.spec.namespace("pid").mode == "new":
            return
        if self.cgroup is not None and self.cgroup.kill():
            return
        processes.kill_children({self.helper, self.server})

    def _kill_helper(self) -> None:
        if self.helper:
            os.kill(self.helper, _signal.SIGKILL)

    def _await_helper_end(self) -> None:
        if self.helper:
            os.waitpid(self.helper, 0)
            self.helper = 0

    def _await_server(self) -> None:
        """With the container went its mounts, and with them what served the root file system."""
        if self.server:
            from pyctr.storage import serving

            serving.await_end(self.server)
            self.server = 0

    def _end_everything(self) -> None:
        """After a failed start: nothing that was made outlives this process."""
        pids = (self.pid, self.helper, self.server)
        self.pid = self.helper = self.server = 0
        for pid in pids:
            if pid:
                try:
                    os.kill(pid, _signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass
        if self.cgroup is not None:
            self.cgroup.remove()

    def _give_up(self, error: BaseException) -> None:
        """Ends what was started, and says so on record. The lock is held."""
        self._end_everything()
        lost = isinstance(error, EOFError | BrokenPipeError)  # the command was killed
        ended = self.spec.ephemeral or (lost and self.state.status == "running")
        if lost and not ended:
            return
        self.state = self.state.replace(
            status="exited" if ended else "created",
            process=None,
            monitor=None,
            started=0,
            finished=time.time_ns() if ended else 0,
            exit_code=137 if lost else getattr(error, "exit_code", 125),
            error="the command that started it was killed" if lost else str(error),
            cgroup="",
        )
        try:
            self._change("init-failed", exit_code=self.state.exit_code)
        except OSError:
            pass
        if lost and self.spec.ephemeral:
            self._spawn_cleanup()

    def _spawn_cleanup(self) -> None:
        command = processes.self_command()
        options = ["--root", self.store.root, "--runroot", self.store.runroot]
        processes.spawn(command[0], [*command, *options, "container", "cleanup", self.spec.id])

"""Ending containers: `stop` asks and then kills, `kill` sends one signal."""

import _signal
import os
import select
import time

from pyctr.engine import containers, truth
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import BrokenRecord, PyctrError, WrongState
from pyctr.rootless.values import Value
from pyctr.runtime import state as states
from pyctr.runtime.spec import SPEC_VERSION
from pyctr.runtime.state import State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.storage.paths import Store

FOREVER = -1  # a stop timeout without end
GRACE = 20.0  # seconds that a monitor may take to write down the end of a killed container


class Manners(Value):
    """The part of a spec that says how a container is stopped."""

    version: int
    stop_signal: int = 15
    stop_timeout: int = 10  # seconds


class Stopping:
    """One container on its way down, driven by `stop_many`."""

    def __init__(self, store: "Store", container_id: str, timeout: int | None) -> None:
        self.store = store
        self.id = container_id
        self.timeout = timeout
        self.process: int | None = None  # pidfd of the container's pid 1
        self.monitor: int | None = None
        self.deadline: float | None = None  # on the monotonic clock; None is never
        self.killed = False

    def begin(self) -> bool:
        """Sends the stop signal; False when there is nothing to stop."""
        with containers.lock(self.store, self.id):
            state = truth.settle(self.store, self.id)
            if state.status == "unknown":
                raise elsewhere(self.id)
            if state.status not in truth.ALIVE:
                return False
            self._take(state)
            if not state.stopped_by_user or state.status != "stopping":
                stopping = state.replace(status="stopping", stopped_by_user=True)
                try:
                    states.change_state(self.store, self.id, stopping, "stop", durable=False)
                except OSError:
                    pass  # a full disk: it is stopped all the same
        manners = self._manners()
        timeout = manners.stop_timeout if self.timeout is None else self.timeout
        if timeout == 0:
            self.kill()
            return True
        self._send(manners.stop_signal)
        self.deadline = None if timeout < 0 else time.monotonic() + timeout
        return True

    def kill(self) -> None:
        """SIGKILL. It ends the whole pid namespace when pid 1 is its init."""
        # A container in a pid namespace that is not its own keeps other processes: its monitor adopts and
        # ends those.
        self._send(_signal.SIGKILL)
        self.killed = True
        self.deadline = time.monotonic() + GRACE

    def waits_for(self) -> int | None:
        """The pidfd whose end is the next step; None when nothing is left to wait for."""
        return self.process if self.process is not None else self.monitor

    def advance(self) -> bool:
        """After `waits_for` has ended: True when the container is down and its end is on record."""
        if self.process is not None:
            os.close(self.process)
            self.process = None
            self.deadline = time.monotonic() + GRACE
        elif self.monitor is not None:
            os.close(self.monitor)
            self.monitor = None
        if self.waits_for() is not None:
            return False
        self._finish()
        return True

    def overdue(self) -> None:
        """The deadline has passed. PyctrError when not even SIGKILL helped."""
        if self.process is not None and not self.killed:
            return self.kill()
        what = "a process of it" if self.process is not None else "its monitor"
        raise PyctrError(
            f"container {self.id} does not end: {what} hangs",
            "A process in an uninterruptible wait (state D in ps) holds it: look at its disks.",
        )

    def close(self) -> None:
        _close(self.process)
        _close(self.monitor)
        self.process = self.monitor = None

    def _take(self, state: State) -> None:
        self.process = truth.open_process(state.process)
        self.monitor = truth.open_process(state.monitor)

    def _manners(self) -> Manners:
        path = f"{self.store.container(self.id)}/{paths.SPEC}"
        try:
            return records.read_record(path, Manners, SPEC_VERSION)
        except (FileNotFoundError, BrokenRecord):
            return Manners(SPEC_VERSION)

    def _send(self, number: int) -> None:
        if self.process is not None:
            send(self.process, number)

    def _finish(self) -> None:
        """A monitor that was killed writes nothing; an ephemeral container may be gone already."""
        try:
            with containers.lock(self.store, self.id):
                truth.settle(self.store, self.id)
        except (NoSuchContainer, FileNotFoundError):
            pass


def stop_many(
    store: "Store", ids: list[str], timeout: int | None = None
) -> "Iterator[tuple[str, BaseException | None]]":
    """Stops containers side by side; each id as it is down, with the error that kept it from going down.

    `timeout` in seconds goes before each container's own; 0 kills at once, -1 waits for ever. A container
    that does not run is no error, as in podman-stop(1).
    """
    going: list[Stopping] = []
    try:
        for container_id in ids:
            stopping = Stopping(store, container_id, timeout)
            try:
                if stopping.begin() and stopping.waits_for() is not None:
                    going.append(stopping)
                    continue
            except (PyctrError, OSError) as error:
                stopping.close()
                yield container_id, error
                continue
            stopping.close()
            yield container_id, None
        yield from _drive(going)
    finally:
        for stopping in going:
            stopping.close()


def stop(store: "Store", container_id: str, timeout: int | None = None) -> None:
    """Stops one container; returns when it is down and its end is on record."""
    for _id, error in stop_many(store, [container_id], timeout):
        if error is not None:
            raise error


def _drive(going: list[Stopping]) -> "Iterator[tuple[str, BaseException | None]]":
    while going:
        ready = _poll({fd: each for each in going if (fd := each.waits_for()) is not None})
        now = time.monotonic()
        for each in list(going):
            try:
                if each in ready:
                    done = each.advance()
                else:
                    done = False
                    if each.deadline is not None and each.deadline <= now:
                        each.overdue()
            except (PyctrError, OSError) as error:
                going.remove(each)
                each.close()
                yield each.id, error
                continue
            if done:
                going.remove(each)
                yield each.id, None


def _poll(waiting: "dict[int, Stopping]") -> list[Stopping]:
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    deadlines = [each.deadline for each in waiting.values() if each.deadline is not None]
    milliseconds = max(0, int((min(deadlines) - time.monotonic()) * 1000) + 1) if deadlines else None
    return [waiting[fd] for fd, _ in poll.poll(milliseconds)]


def kill(store: "Store", container_id: str, number: int) -> None:
    """Sends a signal to the container's pid 1. After SIGKILL the end is on record when this returns."""
    with containers.lock(store, container_id):
        state = truth.settle(store, container_id)
        process, monitor = _running(container_id, state)
        states.append_event(store, "container", "kill", container_id, signal=number)
    try:
        send(process, number)
        if number == _signal.SIGKILL:
            _wait(process)
            _wait(monitor)
    finally:
        _close(process)
        _close(monitor)
    if number == _signal.SIGKILL and exists_with_state(store, container_id):
        with containers.lock(store, container_id):
            truth.settle(store, container_id)


def exists_with_state(store: "Store", container_id: str) -> bool:
    """Whether the container is still there: an ephemeral one may be gone."""
    return os.path.exists(f"{store.container(container_id)}/{paths.STATE}")


def _running(container_id: str, state: State) -> "tuple[int, int | None]":
    if state.status == "unknown":
        raise elsewhere(container_id)
    process = truth.open_process(state.process) if state.status in truth.ALIVE else None
    if process is None:
        raise WrongState(
            f"can only kill running containers. {container_id} is in state {state.status}: "
            "container state improper"
        )
    return process, truth.open_process(state.monitor)


def elsewhere(container_id: str) -> WrongState:
    """The error for a container whose processes cannot be seen from here."""
    return WrongState(
        f"container {container_id} belongs to another pid namespace",
        "That is a toolbox or container that shares this home: run this command there.",
    )


def send(pidfd: int, number: int) -> None:
    """Sends a signal to a process; one that has just ended is no error."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def _wait(pidfd: int | None) -> None:
    if pidfd is not None:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(GRACE * 1000)


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)

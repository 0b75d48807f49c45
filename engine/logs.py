"""Reading the logs of containers, also while they grow."""

import errno
import os
import select
import time

from pyctr.engine import containers, truth
from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime import logs
from pyctr.runtime.spec import SPEC_VERSION, Log
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.runtime.logs import Entry
    from pyctr.storage.paths import Store

    Found = (
        tuple[int, Entry] | None
    )  # the place of a container in the list that was asked for, and an entry of its log

_SECOND = len("2026-01-01T00:00:00.000000000")
_LOOK = 200  # milliseconds between two looks where the kernel's notifications are used up


class Wanted(Value):
    """Which entries: `tail` lines at the end (-1 is all), between two moments in nanoseconds (0 is no
    border).
    """

    follow: bool = False
    tail: int = -1
    since: int = 0
    until: int = 0


class LogOf(Value):
    """The part of a spec that says where the log is."""

    version: int
    log: Log = Log()


class Source:
    """The log of one container."""

    def __init__(self, store: "Store", container_id: str, wanted: Wanted) -> None:
        self.folder = store.container(container_id)
        path = log_path(store, container_id)
        self.reader = logs.Reader(path)
        self.watched = os.path.dirname(path)
        self.monitor = open_monitor(store, container_id) if wanted.follow else None
        # What a log with a limit was before it began anew; read once.
        self.older: logs.Reader | None = logs.Reader(f"{path}.1")
        if wanted.tail >= 0:
            lacking = self.reader.skip_to_tail(wanted.tail)
            self.older.skip_to_tail(lacking)

    def entries(self) -> "Iterator[Entry]":
        """What is new since the last call."""
        if self.older is not None:
            yield from self.older.entries()
            self._close_older()
        yield from self.reader.entries()

    def close(self) -> None:
        self._close_older()
        self.reader.close()
        self.ended()

    def _close_older(self) -> None:
        if self.older is not None:
            self.older.close()
            self.older = None

    def ended(self) -> None:
        """The container has ended: nothing will be written any more."""
        if self.monitor is not None:
            os.close(self.monitor)
            self.monitor = None


def log_path(store: "Store", container_id: str) -> str:
    """The log file of a container. PyctrError when its output is not logged."""
    folder = store.container(container_id)
    try:
        log = records.read_record(f"{folder}/{paths.SPEC}", LogOf, SPEC_VERSION).log
    except FileNotFoundError:
        raise containers.NoSuchContainer(container_id) from None
    if log.driver == "none":
        raise PyctrError(
            f"container {container_id} has no log: it was made with --log-driver none",
            "Its output was shown to whoever was attached, and kept nowhere.",
        )
    return log.path or f"{folder}/{paths.LOG}"


def open_monitor(store: "Store", container_id: str) -> int | None:
    """A pidfd of the process that writes the log; None when the container does not run."""
    try:
        state = truth.current(store, container_id)
    except FileNotFoundError:
        return None
    return truth.open_process(state.monitor) if state.status in truth.ALIVE else None


def read(store: "Store", ids: "list[str]", wanted: Wanted) -> "Iterator[Found]":
    """The entries of the logs, container after container; None each time that all there is has been given.

    With `follow` it goes on, in the order in which entries come, until no container runs any more.
    """
    sources: list[Source] = []
    watch = Watch()
    try:
        for container_id in ids:
            sources.append(Source(store, container_id, wanted))
        if wanted.follow:
            watch.open([source.watched for source in sources])
        yield from _rounds(sources, wanted, watch)
    finally:
        watch.close()
        for source in sources:
            source.close()


def _rounds(sources: list[Source], wanted: Wanted, watch: "Watch") -> "Iterator[Found]":
    since, until = _border(wanted.since), _border(wanted.until)
    while True:
        living = [source for source in sources if source.monitor is not None]
        gone = watch.ended(living)
        for place, source in enumerate(sources):
            for entry in source.entries():
                moment = entry.time[:_SECOND]
                if moment >= since and (not until or moment < until):
                    yield place, entry
        yield None
        # Closed only after its log was read once more: what a monitor wrote last was there before it ended.
        for source in gone:
            source.ended()
        if len(gone) == len(living) or (wanted.until and time.time_ns() >= wanted.until):
            return
        watch.wait(living, wanted.until)


def _border(moment: int) -> str:
    """A moment as text that compares like the times of the entries."""
    return logs.format_time(moment).decode()[:_SECOND] if moment else ""


class Watch:
    """Waits for changes of folders and for the end of monitors."""

    def __init__(self) -> None:
        self.fd = -1
        self.complete = False  # every folder is watched, so nothing has to be looked at by the clock

    def open(self, folders: "list[str]") -> None:
        try:
            self.fd = syscalls.inotify_init1()
            for folder in folders:
                mask = syscalls.IN_MODIFY | syscalls.IN_CREATE | syscalls.IN_MOVED_TO
                syscalls.inotify_add_watch(self.fd, folder, mask)
            self.complete = True
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENOSPC, errno.ENOENT):
                raise

    def ended(self, sources: "list[Source]") -> "list[Source]":
        """Those whose monitor has ended."""
        poll = select.poll()
        by_fd = {source.monitor: source for source in sources if source.monitor is not None}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        return [by_fd[fd] for fd, _ in poll.poll(0)]

    def wait(self, sources: "list[Source]", until: int) -> None:
        """Until something changes, or until the moment `until`."""
        poll = select.poll()
        for source in sources:
            if source.monitor is not None:
                poll.register(source.monitor, select.POLLIN)
        if self.fd >= 0:
            poll.register(self.fd, select.POLLIN)
        limits = [] if self.complete else [_LOOK]
        if until:
            limits.append(max(0, (until - time.time_ns()) // 1_000_000 + 1))
        poll.poll(min(limits) if limits else None)
        self._forget()

    def _forget(self) -> None:
        """Empties the queue: the logs are read whatever it says."""
        try:
            while self.fd >= 0 and os.read(self.fd, 1 << 16):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

"""How pull and load tell what they do: plain lines as podman's, or bars on a terminal if rich is there."""

import sys
import time

from pyctr.cli.failure import say
from pyctr.image.progress import SILENT, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.progress import TaskID

REDRAW = 0.1  # seconds


def choose(*, quiet: bool) -> Progress:
    """The progress for this command: silent, bars on a terminal, else lines on standard error."""
    if quiet:
        return SILENT
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            return Bars()
        except ImportError:
            pass
    return Lines()


class Lines(Progress):
    """A line a step, for logs and pipes."""

    def line(self, text: str) -> None:
        say(text)

    def blob_started(self, digest: str, size: int) -> None:
        self.line(f"Copying blob {digest}")

    def warn(self, text: str) -> None:
        self.line(f"WARNING: {text}")


class Bars(Lines):
    """A bar a blob: how much of it is loaded, then how much is unpacked, in bytes and bytes a second.

    Drawn by whichever thread moved last: a thread of its own would not survive a fork.
    """

    def __init__(self) -> None:
        import threading

        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as Rich

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = Rich(*columns, console=Console(stderr=True), auto_refresh=False)
        self._tasks: dict[str, TaskID] = {}
        self._unpacking: set[TaskID] = set()
        self._lock = threading.Lock()
        self._drawing = False
        self._drawn = 0.0

    def blob_started(self, digest: str, size: int) -> None:
        if not self._drawing:
            self._bars.start()
            self._drawing = True
        self._tasks[digest] = self._bars.add_task(f"Copying blob {_short(digest)}", total=size)

    def blob_moved(self, digest: str, there: int) -> None:
        with self._lock:
            self._bars.update(self._tasks[digest], completed=there)
            self._redraw()

    def _redraw(self) -> None:
        if time.monotonic() - self._drawn > REDRAW:
            self._bars.refresh()
            self._drawn = time.monotonic()

    def blob_done(self, digest: str, *, skipped: bool = False) -> None:
        word = "skipped: already exists" if skipped else "done"
        with self._lock:
            self._complete(digest, f"Copying blob {_short(digest)} {word}")

    def _complete(self, digest: str, words: str) -> None:
        """A full bar, drawn at once."""
        task = self._tasks[digest]
        total = next(each.total for each in self._bars.tasks if each.id == task)
        self._bars.update(task, completed=total, description=words)
        self._bars.refresh()

    def layer_moved(self, digest: str, there: int) -> None:
        with self._lock:
            task = self._tasks.get(digest)
            if task is None:
                return
            if task not in self._unpacking:  # the rate begins anew
                self._unpacking.add(task)
                self._bars.reset(task, description=f"Unpacking blob {_short(digest)}")
            self._bars.update(task, completed=there)
            if any([each.id == task and each.finished for each in self._bars.tasks]):
                self._complete(digest, f"Unpacked blob {_short(digest)}")
            self._redraw()

    def line(self, text: str) -> None:
        self.pause()
        super().line(text)

    def pause(self) -> None:
        if self._drawing:
            self._bars.stop()
            self._drawing = False
            for task in self._bars.task_ids:
                self._bars.remove_task(task)
            self._tasks.clear()
            self._unpacking.clear()


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]

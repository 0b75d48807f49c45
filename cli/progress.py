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
    """A bar a blob, drawn by whichever thread moved last: a thread of its own would not survive a fork."""

    def __init__(self) -> None:
        import threading

        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as Rich

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = Rich(*columns, console=Console(stderr=True), auto_refresh=False)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._drawing = False
        self._drawn = 0.0

    def blob_started(self, digest: str, size: int) -> None:
        if not self._drawing:
            self._bars.start()
            self._drawing = True
        short = digest.partition(":")[2][:12]
        self._tasks[digest] = self._bars.add_task(f"Copying blob {short}", total=size)

    def blob_moved(self, digest: str, there: int) -> None:
        with self._lock:
            self._bars.update(self._tasks[digest], completed=there)
            if time.monotonic() - self._drawn > REDRAW:
                self._bars.refresh()
                self._drawn = time.monotonic()

    def blob_done(self, digest: str, *, skipped: bool = False) -> None:
        short = digest.partition(":")[2][:12]
        word = "skipped: already exists" if skipped else "done"
        with self._lock:
            task = self._bars.tasks[self._tasks[digest]]
            self._bars.update(task.id, completed=task.total, description=f"Copying blob {short} {word}")
            self._bars.refresh()

    def line(self, text: str) -> None:
        self.pause()
        super().line(text)

    def pause(self) -> None:
        if self._drawing:
            self._bars.stop()
            self._drawing = False
            for task in self._bars.task_ids:
                self._bars.remove_task(task)

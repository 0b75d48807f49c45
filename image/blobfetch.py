"""Fetching one blob: resumed where an earlier pull ended, a large one in several parts at once.

A blob of at least two parts is asked for part by part. As long as other connections are free, and one alone
is not fast, helpers bring later parts into files of their own (`pyctr.storage.blobparts`), which are joined
in their order. SIGKILL at any point leaves files whose sizes tell what is there.
"""

import os
import threading
import time
from collections.abc import Callable

from pyctr.image.manifest import Descriptor, Invalid
from pyctr.image.transport import Unreachable
from pyctr.rootless.errors import PyctrError, Stopped
from pyctr.storage import records
from pyctr.storage.blobparts import Parts
from pyctr.storage.blobs import BlobWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.registry import Repository

PART = 32 << 20  # bytes that are asked for at once
LONG = 256 << 20  # the same where one connection is fast
SOON = 1.0  # seconds until helpers come
FAST = 100 << 20  # bytes a second: more connections would not make it faster
_PATIENCE = 0.2  # seconds between looks at `stop`


class _Piece:
    """From `start` up to `end`. One that is `helped` is left to its owner once `done` is set."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.helped = False
        self.done = threading.Event()


class BlobFetch:
    """One blob on its way. `lanes` are the connections that all blobs share."""

    def __init__(
        self, repository: "Repository", descriptor: Descriptor, blob: BlobWriter, lanes: threading.Semaphore
    ) -> None:
        self._repository = repository
        self._descriptor = descriptor
        self._blob = blob
        self._lanes = lanes
        self._parts = Parts(blob)
        self._lock = threading.Lock()
        self._over = threading.Event()  # helpers that are at work give up
        self._ahead = 0  # bytes in parts
        self._pieces: list[_Piece] = []
        self._helpers: list[threading.Thread] = []
        self._ranges = False  # whether the registry has shown that it sends parts

    def run(self, moved: Callable[[int], None], stop: threading.Event) -> None:
        """Brings what is missing. `moved` hears how many bytes are there; Stopped when `stop` is set."""
        self._moved, self._stop = moved, stop
        self._began, self._first = time.monotonic(), self._blob.size
        if self._blob.size > self._descriptor.size:
            self._restart()
        self._plan()
        try:
            while self._pieces:
                self._finish(self._next())
        finally:
            self._leave()
        self._parts.drop()
        moved(self._blob.size)

    def _restart(self) -> None:
        self._parts.drop()
        self._blob.restart()

    def _plan(self) -> None:
        """Cuts what is missing into pieces, at the parts that are there too."""
        here, size = self._blob.size, self._descriptor.size
        kept = [start for start in self._parts.starts() if here <= start < size]
        bounds = sorted({here, *kept, *(range(here + PART, size - PART + 1, PART)), size})
        self._pieces = [_Piece(*pair) for pair in zip(bounds, bounds[1:], strict=False)]
        self._ahead = sum([self._parts.size(start) for start in kept])

    def _next(self) -> _Piece:
        """The first piece, which no helper will take now; a long one where nobody is to help anyway."""
        with self._lock:
            piece = self._pieces.pop(0)
            if not piece.helped and self._ranges and self._is_fast():
                while (
                    self._pieces and piece.end - piece.start < LONG and self._is_untouched(self._pieces[0])
                ):
                    piece.end = self._pieces.pop(0).end
            return piece

    def _is_untouched(self, piece: _Piece) -> bool:
        return not piece.helped and not self._parts.size(piece.start)

    def _is_fast(self) -> bool:
        return self._blob.size - self._first >= FAST * (time.monotonic() - self._began)

    def _finish(self, piece: _Piece) -> None:
        """Brings the blob to the end of a piece."""
        while piece.helped and not piece.done.wait(_PATIENCE):
            self._check_stop()
            self._told(0)
        if self._blob.size == piece.start:
            before = self._blob.size
            kept = self._parts.size(piece.start)
            self._parts.join(piece.start, piece.end)
            with self._lock:
                self._ahead -= kept
            self._told(self._blob.size - before)
        self._repository.retry(lambda: self._append(piece.end), lambda: self._blob.size)

    def _append(self, end: int) -> None:
        """Asks for what is missing up to `end`; a registry without ranges sends all of it, and goes on."""
        start, size = self._blob.size, self._descriptor.size
        if start >= end:
            return
        with self._repository.open_blob(self._descriptor, start, end) as answer:
            whole = answer.status != 206
            if whole and start:
                self._restart()
            self._ranges = not whole
            for data in answer:
                self._check_stop()
                if not whole and self._blob.size + len(data) > end:
                    raise self._too_much()
                self._blob.write(data)
                self._told(len(data))
        if self._blob.size < (size if whole else end):
            raise self._ended(self._blob.size)

    def _ended(self, at: int) -> Unreachable:
        what = f"blob {self._descriptor.digest} in {self._repository.name}"
        return Unreachable(f"{what} ended after {at} of {self._descriptor.size} bytes", transient=True)

    def _too_much(self) -> Invalid:
        return Invalid(f"blob {self._descriptor.digest}: the registry sends more than was asked for")

    def _check_stop(self) -> None:
        if self._stop.is_set() or self._over.is_set():
            raise Stopped(f"blob {self._descriptor.digest} was not finished")

    def _told(self, more: int) -> None:
        """Something has arrived: tells it, and calls helpers if there is need."""
        self._moved(min(self._blob.size + self._ahead, self._descriptor.size))
        late = time.monotonic() - self._began > SOON
        if self._ranges and more and late and not self._is_fast():
            self._call_helper()

    # Helpers: threads with a connection of their own.

    def _call_helper(self) -> None:
        with self._lock:
            wanted = any([not piece.helped for piece in self._pieces])
        if wanted and self._lanes.acquire(blocking=False):
            helper = threading.Thread(target=self._help, daemon=True)
            self._helpers.append(helper)
            helper.start()

    def _help(self) -> None:
        """Brings pieces until none is left, or anything goes wrong: the owner then does it himself."""
        try:
            while (piece := self._take()) is not None:
                try:
                    self._bring(piece)
                finally:
                    piece.done.set()
        except (PyctrError, OSError):
            pass
        finally:
            self._lanes.release()

    def _take(self) -> _Piece | None:
        with self._lock:
            for piece in self._pieces:
                if not piece.helped:
                    piece.helped = True
                    return piece
        return None

    def _bring(self, piece: _Piece) -> None:
        at = piece.start + self._parts.size(piece.start)
        if at >= piece.end:
            return
        with self._repository.open_blob(self._descriptor, at, piece.end) as answer:
            if answer.status != 206:
                raise Invalid("the registry sends no parts any more")
            fd = self._parts.open(piece.start)
            try:
                for data in answer:
                    self._check_stop()
                    at += len(data)
                    if at > piece.end:
                        raise self._too_much()
                    records.write_all(fd, data)
                    with self._lock:
                        self._ahead += len(data)
            finally:
                os.close(fd)

    def _leave(self) -> None:
        """Nobody is at work on the files any more."""
        self._over.set()
        with self._lock:
            self._pieces.clear()
        for helper in self._helpers:
            helper.join()

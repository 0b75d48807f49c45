"""The writing side of a container's log."""

import os
import time

from pyctr.runtime import logs


class LogFile:
    """Appends chunks to a log file. With an empty path nothing is written.

    A file that would outgrow `max_size` bytes becomes `<path>.1`, replacing an older one. A full disk loses
    log lines, never the container.
    """

    def __init__(self, path: str, max_size: int) -> None:
        self.path = path
        self.max_size = max_size
        self._fd = -1
        self._size = 0
        if path:
            self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        self._fd = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: str, data: bytes) -> None:
        """One chunk of `stream` (stdout or stderr), as it was read."""
        if self._fd < 0:
            return
        text = logs.format_chunk(stream, data, time.time_ns())
        try:
            if self.max_size and self._size and self._size + len(text) > self.max_size:
                self._rotate()
            self._size += os.write(self._fd, text)
        except OSError:
            pass

    def _rotate(self) -> None:
        os.rename(self.path, f"{self.path}.1")
        os.close(self._fd)
        self._open()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

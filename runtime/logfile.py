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
            if self.max_size:
                text = self._fill_files(text)
            self._size += os.write(self._fd, text)
        except OSError:
            pass

    def _fill_files(self, text: bytes) -> bytes:
        """Writes the lines that fill this file and the next ones up; what is left fits into the last one."""
        while self._size + len(text) > self.max_size:
            end = text.rfind(b"\n", 0, max(0, self.max_size - self._size)) + 1
            if not end and not self._size:
                end = text.index(b"\n") + 1  # a line that is longer has a file of its own
            self._size += os.write(self._fd, text[:end])
            text = text[end:]
            if not text:
                break
            self._rotate()
        return text

    def _rotate(self) -> None:
        full = self._fd
        os.rename(self.path, f"{self.path}.1")
        self._open()  # before the old one is closed: where this fails, no stranger gets its number
        os.close(full)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

"""The log of a container: lines of the k8s-file format, written by the monitor and read by `logs`.

One line is `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <content>`; P marks a piece whose line
goes on in the next entry of the same stream. That is the format of the Kubernetes CRI and of podman's
k8s-file driver.
"""

import os
import time

from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 16  # bytes read at once


class Entry(Value):
    """One entry: `time` is the RFC 3339 text as written, `data` the content without its newline."""

    time: str
    stream: str  # stdout or stderr
    partial: bool
    data: bytes


class _Clock:
    """The text of a second, kept: a chatty container writes thousands of lines in one."""

    second = -1
    text = b""


def format_time(now_ns: int) -> bytes:
    """RFC 3339 in UTC with nine digits of the second."""
    second, nanoseconds = divmod(now_ns, 1_000_000_000)
    if second != _Clock.second:
        _Clock.second = second
        _Clock.text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
    return b"%s.%09dZ" % (_Clock.text, nanoseconds)


def format_line(stream: str, partial: bool, data: bytes, now_ns: int) -> bytes:
    """One line of the log file, for `data` without a newline."""
    return b"%s %s %s %s\n" % (format_time(now_ns), stream.encode(), b"P" if partial else b"F", data)


def format_chunk(stream: str, data: bytes, now_ns: int) -> bytes:
    """What was read at once from a container: its full lines and a partial rest."""
    head = b"%s %s " % (format_time(now_ns), stream.encode())
    lines = data.split(b"\n")
    rest = lines.pop()
    text = b"".join([b"%sF %s\n" % (head, line) for line in lines])
    return text + b"%sP %s\n" % (head, rest) if rest else text


def parse_line(line: bytes) -> Entry | None:
    """The entry of one line without its newline; None for what is none (a torn write, a foreign file)."""
    fields = line.split(b" ", 3)
    if len(fields) != 4 or fields[1] not in (b"stdout", b"stderr") or not fields[0][:1].isdigit():
        return None
    return Entry(fields[0].decode(errors="replace"), fields[1].decode(), fields[2][:1] == b"P", fields[3])


class Reader:
    """Reads a log file that may grow, be truncated or be replaced by a new one while it is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._rest = b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def entries(self) -> "Iterator[Entry]":
        """The entries that were written since the last call. Nothing while the file does not exist."""
        while self._open():
            yield from self._drain()
            if not self._replaced():
                return
            self.close()
            self._rest = b""

    def skip_to_tail(self, count: int) -> int:
        """Goes to the last `count` lines (of several partial entries each counts once). How many the file
        lacks.
        """
        if not self._open():
            return count
        offset, lacking = _find_tail(self._fd, count)
        os.lseek(self._fd, offset, os.SEEK_SET)
        return lacking

    def _open(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def _drain(self) -> "Iterator[Entry]":
        if os.fstat(self._fd).st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)  # truncated
            self._rest = b""
        while block := os.read(self._fd, BLOCK):
            lines = (self._rest + block).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                if entry := parse_line(line):
                    yield entry

    def _replaced(self) -> bool:
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        held = os.fstat(self._fd)
        return (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino)


def _find_tail(fd: int, count: int) -> tuple[int, int]:
    """Where the last `count` lines begin, and how many of them the file lacks."""
    start = os.fstat(fd).st_size
    later: set[str] = set()  # streams with an entry further down: a partial entry belongs to that one's line
    for offset, line in _lines_backwards(fd):
        entry = parse_line(line)
        if entry is None:
            continue
        if not entry.partial or entry.stream not in later:
            if not count:
                return start, 0
            count -= 1
        later.add(entry.stream)
        start = offset
    return 0, count


def _lines_backwards(fd: int) -> "Iterator[tuple[int, bytes]]":
    """Offset and text of each complete line, last one first: the tail of gigabytes costs one block."""
    position = os.fstat(fd).st_size
    tail = b""
    while position:
        size = min(BLOCK, position)
        position -= size
        first, *others = (os.pread(fd, size, position) + tail).split(b"\n")
        tail = first + b"\n" if others else first
        offset = position + len(first) + 1
        found = []
        for line in others[:-1]:
            found.append((offset, line))
            offset += len(line) + 1
        yield from reversed(found)
        if not position and others:
            yield 0, first

"""A terminal with pyctr in it, as a user has one."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

from tests.commands import Cli

DEADLINE = 30  # seconds that anything may take


class Terminal:
    """Types and reads. `command` runs with the terminal as its controlling one."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = ""  # all output so far
        self.command: subprocess.Popen[bytes]
        self.resize(rows, columns)

    def run(self, cli: Cli, *args: object) -> "Terminal":
        self.command = subprocess.Popen(
            cli.argv(*args),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=cli.environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        return self

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def mode(self) -> list[object]:
        """The settings of the terminal, to be compared."""
        return list(termios.tcgetattr(self.slave))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read(self, wanted: str) -> str:
        """The output up to and with `wanted`, which the next call does not see."""
        deadline = time.monotonic() + DEADLINE
        while wanted not in self.seen:
            poll = select.poll()
            poll.register(self.master, select.POLLIN)
            if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
                raise AssertionError(f"no {wanted!r} in {self.seen!r}")
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        found, _, self.seen = self.seen.partition(wanted)
        return found + wanted

    def ask(self, line: str, wanted: str) -> str:
        """Types a line for a shell; what it prints up to `wanted`, without the echo of the line."""
        self.type(f"{line}\n")
        self.read(line)
        return self.read(wanted)

    def end(self) -> int:
        """The exit code, once the command has ended by itself."""
        try:
            return self.command.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(AssertionError):
                self.read("\0")
            raise AssertionError(f"still running after {self.seen!r}") from None

    def close(self) -> None:
        if hasattr(self, "command"):
            self.command.send_signal(signal.SIGKILL)
            self.command.wait()
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.contextmanager
def terminal(rows: int = 24, columns: int = 80) -> Iterator[Terminal]:
    opened = Terminal(rows, columns)
    try:
        yield opened
    finally:
        opened.close()

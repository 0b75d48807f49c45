"""The client side of attaching: between a user's streams and the frames of a monitor or an exec session."""

import _signal
import _socket
import os
import select

from pyctr.rootless import jsontext, processes, syscalls, terminal
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import frames
from pyctr.runtime.state import ExitRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_CHUNK = 32 << 10  # bytes
_HIGH = 256 << 10  # bytes on their way to the container before our input waits
# Not passed on: what has a meaning for this process itself (job control, children, a lost reader).
_OWN = {_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGCONT}
_UNBLOCKABLE = {_signal.SIGKILL, _signal.SIGSTOP}


class Plan:
    """What to connect: which of our streams, with a terminal or without, and which keys detach."""

    def __init__(
        self,
        *,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        tty: bool = False,
        detach_keys: str = "ctrl-p,ctrl-q",
        sig_proxy: bool = True,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.tty = tty
        self.keys = parse_keys(detach_keys)
        self.sig_proxy = sig_proxy


def parse_keys(text: str) -> bytes:
    """The bytes of a detach sequence such as `ctrl-p,ctrl-q` or `a,ctrl-@`; empty when detaching is off."""
    keys = b""
    for word in text.split(",") if text else ():
        if len(word) == 1 and word.isascii():
            keys += word.encode()
        elif len(word) == 6 and word.startswith("ctrl-") and "@" <= word[5].upper() <= "_":
            keys += bytes([ord(word[5].upper()) & 0x1F])
        else:
            raise PyctrError(
                f"detach key {word!r} is not known",
                "Give single characters or ctrl-<a-z@^[,_>, separated by commas.",
            )
    return keys


class KeyFilter:
    """Finds the detach sequence in typed bytes, over the bounds of single reads."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> "tuple[bytes, bool]":
        """(bytes that pass, whether the sequence is complete). A beginning of the sequence is held back."""
        if not self._keys:
            return data, False
        data = self._held + data
        found = data.find(self._keys)
        if found >= 0:
            return data[:found], True
        held = 0
        for length in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:length]):
                held = length
                break
        self._held = data[len(data) - held :]
        return data[: len(data) - held], False


class RawTerminal:
    """Puts a terminal into raw mode for a while (cfmakeraw(3)); a context manager. Does nothing for fd
    -1.

    Without `typed`, where nobody reads what is typed, only output is raw: ctrl-c stays a signal.
    """

    def __init__(self, fd: int, *, typed: bool = True) -> None:
        self._fd = fd
        self._typed = typed
        self._saved: list[object] | None = None

    def __enter__(self) -> "RawTerminal":
        if self._fd >= 0:
            import termios

            self._saved = termios.tcgetattr(self._fd)
            mode = termios.tcgetattr(self._fd)
            mode[1] &= ~termios.OPOST
            if self._typed:
                mode[0] &= ~(
                    termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
                    | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
                )  # fmt: skip
                mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
                mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._saved is not None:
            import termios

            try:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            except termios.error:
                pass  # the terminal was closed


class Session:
    """One attachment. `run` returns how the container ended, or None when the user detached.

    The socket stays open: a monitor waits for its end before it removes a --rm container itself.
    """

    def __init__(self, sock: "_socket.socket", plan: Plan) -> None:
        self._sock = sock
        self._plan = plan
        self._reader = frames.Reader()
        self._filter = KeyFilter(plan.keys if plan.tty else b"")
        self._pending = bytearray()
        self._stdin = 0 if plan.stdin else -1
        self._terminal = 0 if plan.tty and os.isatty(0) else -1
        self._signals = -1
        self._detached = False
        self._ended: ExitRecord | None = None

    def run(self) -> ExitRecord | None:
        """EOFError when the other side vanished without saying how it ended."""
        watched = {_signal.SIGWINCH}
        if self._plan.sig_proxy:
            watched = processes.ALL_SIGNALS - _OWN - _UNBLOCKABLE
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, watched)
        try:
            self._signals = syscalls.signalfd(watched)
            with RawTerminal(self._terminal, typed=self._plan.stdin):
                self._pending += frames.pack_hello()
                self._send_size()
                while self._ended is None and not self._detached:
                    self._turn()
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
            if self._signals >= 0:
                os.close(self._signals)
        return self._ended

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        poll.register(self._sock.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        if self._stdin >= 0 and len(self._pending) < _HIGH:
            poll.register(self._stdin, select.POLLIN)
        for fd, events in poll.poll():
            if fd == self._signals:
                self._take_signals()
            elif fd == self._stdin:
                self._take_input()
            else:
                if events & select.POLLOUT:
                    self._send()
                if events & ~select.POLLOUT:
                    self._take_output()

    def _send(self) -> None:
        try:
            flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
            del self._pending[: self._sock.send(self._pending, flags)]
        except BlockingIOError:
            pass
        except OSError:
            self._pending.clear()  # what the other side still has to say is read, then its end

    def _take_signals(self) -> None:
        data = os.read(self._signals, 128 * 16)
        for start in range(0, len(data), 128):
            number = int.from_bytes(data[start : start + 4], "little")
            if number == _signal.SIGWINCH:
                self._send_size()
            elif number == _signal.SIGHUP and self._is_hung_up():
                self._detached = True  # a closed window is no signal for the container
            else:
                self._pending += frames.pack(frames.SIGNAL, bytes([number]))
        self._send()

    def _is_hung_up(self) -> bool:
        if self._terminal < 0:
            return False
        try:
            terminal.size(self._terminal)
        except OSError:
            return True
        return False

    def _send_size(self) -> None:
        if self._terminal >= 0 and not self._is_hung_up():
            rows, columns = terminal.size(self._terminal)
            self._pending += frames.pack_resize(rows, columns)

    def _take_input(self) -> None:
        try:
            data = os.read(self._stdin, _CHUNK)
        except OSError:
            data = b""
        if not data and self._is_hung_up():
            self._detached = True
        elif not data:
            self._stdin = -1
            self._pending += frames.pack(frames.STDIN_END)
        else:
            passed, self._detached = self._filter.feed(data)
            if passed:
                self._pending += frames.pack(frames.STDIN, passed)
        self._send()

    def _take_output(self) -> None:
        try:
            data = self._sock.recv(_CHUNK * 2)
        except ConnectionResetError:  # killed before it had read what we sent
            data = b""
        if not data:
            raise EOFError("the monitor is gone")
        for kind, payload in self._reader.feed(data):
            if kind == frames.STDOUT and self._plan.stdout:
                _write(1, payload)
            elif kind == frames.STDERR and self._plan.stderr:
                _write(2, payload)
            elif kind == frames.EXIT:
                self._ended = ExitRecord.from_json(jsontext.loads(payload.decode()))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()


def connect(folder: str) -> "_socket.socket":
    """The attach socket in a folder of any length; OSError when nobody listens."""
    from pyctr.storage import paths

    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        sock.connect(f"/proc/self/fd/{fd}/{paths.ATTACH_SOCKET}")
        return sock
    finally:
        os.close(fd)

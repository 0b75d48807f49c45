"""The streams of a container: from its pipes or terminal to the log and the attached clients, and back.

    container's stdout, stderr (or terminal)  ->  log file, every client
    every client's STDIN frames               ->  container's stdin (or terminal)

The command that launched the container exerts back-pressure: what it does not read, the container waits
with, so nothing of `pyctr run ... | less` is lost. A client that attached later is dropped when it is a
megabyte behind.
"""

import _socket
import errno
import os
import select

from pyctr.rootless import jsontext, terminal
from pyctr.runtime import frames
from pyctr.runtime.logfile import LogFile
from pyctr.runtime.pipes import Pipes
from pyctr.runtime.spec import Spec
from pyctr.runtime.state import ExitRecord
from pyctr.storage import paths

_CHUNK = 64 << 10  # bytes read at once from the container
_HIGH = 256 << 10  # bytes that may wait for the launching client, or for the container's stdin
_DROP = 1 << 20  # bytes that may wait for another client
_LEFT = 1 << 20  # bytes that a pipe may still hold (/proc/sys/fs/pipe-max-size) when the container has ended


class Client:
    """One attached command."""

    def __init__(self, sock: "_socket.socket", *, launching: bool) -> None:
        self.sock = sock
        self.launching = launching
        self.sized = False  # whether it has told its size
        self.reader = frames.Reader()
        self.pending = bytearray()

    def flush(self) -> None:
        """Sends what the socket takes now. OSError when the client is gone."""
        while self.pending:
            try:
                sent = self.sock.send(self.pending, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self.pending[:sent]


class Streams:
    """See the module's text. `pump` is the monitor's wait; all else happens in it."""

    def __init__(self, log: LogFile, pipes: Pipes, *, stdin_open: bool) -> None:
        self._log = log
        stdin, stdout, stderr = pipes.monitor_ends()
        self._sources = {stdout: frames.STDOUT, stderr: frames.STDERR}
        self._stdin = stdin
        self._terminal = -1
        self._stdin_buffer = bytearray()
        self._stdin_ended = False
        self._stdin_open = stdin_open
        self._clients: dict[int, Client] = {}
        self._listener: _socket.socket | None = None
        self._signals_fd = -1
        self._signals_asked: list[int] = []
        if not stdin_open:
            self._close_stdin()

    def take_terminal(self, master: int) -> None:
        """The container has a terminal: it replaces the pipes."""
        for fd in self._sources:
            os.close(fd)
        self._close_stdin()
        self._terminal = master
        self._sources = {master: frames.STDOUT}
        if self._stdin_open:
            self._stdin = master

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and self._stdin != self._terminal:
            os.close(self._stdin)
        self._stdin = -1
        self._stdin_buffer.clear()

    def listen(self, folder: str) -> None:
        """Binds the attach socket anew in `folder`, which is made when it has vanished (logout)."""
        self._unlisten()
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return  # without a socket the container runs on; nobody can attach until the next SIGUSR1
        try:
            path = f"/proc/self/fd/{fd}/{paths.ATTACH_SOCKET}"  # a socket's address ends at 108 bytes
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
            sock = _socket.socket(_socket.AF_UNIX, kind)
            sock.bind(path)
            sock.listen(16)
            self._listener = sock
        except OSError:
            return
        finally:
            os.close(fd)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def add_client(self, sock: "_socket.socket", *, launching: bool) -> None:
        sock.setblocking(False)
        self._clients[sock.fileno()] = Client(sock, launching=launching)

    def watch(self, signals: int) -> None:
        """`pump` returns when this descriptor is readable."""
        self._signals_fd = signals

    def signals_asked(self) -> "list[int]":
        """The signals that clients have asked to send since the last call."""
        asked, self._signals_asked = self._signals_asked, []
        return asked

    # One turn.

    def pump(self) -> bool:
        """Waits for something and handles it; True when the signal descriptor is readable or a signal was
        asked for.
        """
        poll = select.poll()
        poll.register(self._signals_fd, select.POLLIN)
        self._register(poll)
        woken = False
        for fd, events in poll.poll():
            if fd == self._signals_fd:
                woken = True
            else:
                self._handle(fd, events)
        return woken or bool(self._signals_asked)

    def _register(self, poll: "select.poll") -> None:
        if not self._is_congested():
            for fd in self._sources:
                poll.register(fd, select.POLLIN)
        if self._stdin_buffer:
            also = select.POLLIN if self._stdin in self._sources and not self._is_congested() else 0
            poll.register(self._stdin, select.POLLOUT | also)
        takes_input = len(self._stdin_buffer) < _HIGH
        for fd, client in self._clients.items():
            events = (select.POLLIN if takes_input else 0) | (select.POLLOUT if client.pending else 0)
            poll.register(fd, events)
        if self._listener is not None:
            poll.register(self._listener.fileno(), select.POLLIN)

    def _is_congested(self) -> bool:
        return any(c.launching and len(c.pending) > _HIGH for c in self._clients.values())

    def _handle(self, fd: int, events: int) -> None:
        if fd in self._clients:
            self._serve(self._clients[fd], events)
        elif self._listener is not None and fd == self._listener.fileno():
            self._accept(self._listener)
        else:
            if fd == self._stdin and events & select.POLLOUT:
                self._write_stdin()
            if fd in self._sources and events & ~select.POLLOUT:
                self._read_source(fd)

    def _accept(self, listener: "_socket.socket") -> None:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        os.set_inheritable(fd, False)
        self.add_client(_socket.socket(fileno=fd), launching=False)

    # Container to clients.

    def _read_source(self, fd: int) -> bool:
        """Reads once; False when there is nothing now or any more."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: no process has the terminal open
                raise
            data = b""
        if not data:
            self._forget_source(fd)
            return False
        kind = self._sources[fd]
        self._log.write("stderr" if kind == frames.STDERR else "stdout", data)
        frame = frames.pack(kind, data)
        for client in list(self._clients.values()):
            client.pending += frame
            self._push(client)
        return True

    def _forget_source(self, fd: int) -> None:
        del self._sources[fd]
        if fd == self._terminal:
            self._terminal = -1
            if self._stdin == fd:
                self._stdin = -1
                self._stdin_buffer.clear()
        os.close(fd)

    def _push(self, client: Client) -> None:
        try:
            client.flush()
        except OSError:
            self._drop(client)
            return
        if not client.launching and len(client.pending) > _DROP:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        self._clients.pop(client.sock.fileno(), None)
        client.sock.close()

    # Clients to container.

    def _serve(self, client: Client, events: int) -> None:
        if events & select.POLLOUT:
            self._push(client)
        if not events & ~select.POLLOUT or client.sock.fileno() < 0:
            return
        try:
            data = client.sock.recv(_CHUNK)
            received = client.reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, frames.ProtocolError):
            data = b""
        if not data:
            self._drop(client)
            return
        for kind, payload in received:
            self._obey(client, kind, payload)

    def _obey(self, client: Client, kind: int, payload: bytes) -> None:
        if kind == frames.HELLO:
            client.pending += frames.pack_hello(min(payload[0], frames.VERSION) if payload else 1)
            self._push(client)
        elif kind == frames.STDIN and self._stdin >= 0 and not self._stdin_ended:
            self._stdin_buffer += payload
            self._write_stdin()
        elif kind == frames.STDIN_END and self._stdin != self._terminal:
            self._stdin_ended = True
            self._write_stdin()
        elif kind == frames.RESIZE and self._terminal >= 0 and len(payload) == 4:
            self._resize(client, *frames.unpack_resize(payload))
        elif kind == frames.SIGNAL and payload and 0 < payload[0] < 65:
            self._signals_asked.append(payload[0])

    def _resize(self, client: Client, rows: int, columns: int) -> None:
        """A client that has just come gets the screen drawn again: programs do that when the size
        changes.
        """
        if not client.launching and not client.sized:
            terminal.set_size(self._terminal, rows + 1, columns)
        client.sized = True
        terminal.set_size(self._terminal, rows, columns)

    def _write_stdin(self) -> None:
        if self._stdin < 0:
            self._stdin_buffer.clear()
            return
        os.set_blocking(self._stdin, False)
        try:
            while self._stdin_buffer:
                del self._stdin_buffer[: os.write(self._stdin, self._stdin_buffer)]
        except BlockingIOError:
            return
        except OSError:  # nobody reads there any more
            self._close_stdin()
            return
        if self._stdin_ended:
            self._close_stdin()

    # The end.

    def drain(self) -> None:
        """Reads what the container has left behind, without waiting for more or for a slow client.

        That is at most what pipes hold: another process may have got hold of them and write on and on.
        """
        for fd in list(self._sources):
            os.set_blocking(fd, False)
            for _ in range(_LEFT // _CHUNK):
                if not self._read_source(fd):
                    break
        self._log.close()

    def tell_end(self, ended: ExitRecord) -> None:
        """Puts the news at the end of what clients still have to read: see `say_farewell`."""
        self._unlisten()
        frame = frames.pack(frames.EXIT, jsontext.dumps(ended.to_json()).encode())
        for client in self._clients.values():
            client.pending += frame

    def say_farewell(self, patience: int | None) -> bool:
        """Sends what is left, until every client has it and the launching one has hung up: that is when it
        has removed its --rm container, or died. False when nothing went on for `patience` milliseconds.
        """
        while self._clients:
            poll = select.poll()
            for fd, client in self._clients.items():
                poll.register(fd, select.POLLOUT if client.pending else 0)
            events = poll.poll(patience)
            if not events:
                return False
            for fd, event in events:
                self._see_off(self._clients[fd], event)
        return True

    def _see_off(self, client: Client, event: int) -> None:
        if event & (select.POLLHUP | select.POLLERR):
            self._drop(client)
            return
        self._push(client)
        if not client.pending and not client.launching:
            self._drop(client)

    def drop_late_clients(self) -> None:
        """Only the command that launched the container is waited for without end."""
        for client in [each for each in self._clients.values() if not each.launching]:
            self._drop(client)


def open_log(store: paths.Store, spec: Spec) -> LogFile:
    """The log that the spec asks for."""
    path = spec.log.path or f"{store.container(spec.id)}/{paths.LOG}"
    return LogFile(path if spec.log.driver != "none" else "", spec.log.max_size)

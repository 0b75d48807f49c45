"""What launch, monitor and init tell each other, as typed values. docs/internals.md draws the talk.

launch  -> monitor   Begin                         make these namespaces
launch  -> monitor   Launch                        start this container in them
monitor -> launch    Started, Failed
init    -> monitor   Serve, Prepared, Failed; end of file when the command has been executed
monitor -> init      Mapped, Prepare, Go; end of file when the monitor has died
"""

import _socket
import os
from sys import byteorder

from pyctr.net.model import Helper
from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.runtime.spec import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    V = TypeVar("V", bound=Value)

_LIMIT = 128 << 10  # bytes of one message
_SOL_SOCKET, _SCM_RIGHTS = 1, 1


class Begin(Value):
    """Make the namespaces that are coming to be the container's, with these id maps."""

    namespaces: tuple[Namespace, ...]
    maps: IdMaps


class Launch(Value):
    """Start container `id` of the store; `rows` and `columns` are the size of its terminal when it has
    one.
    """

    root: str
    runroot: str
    id: str
    helper: Helper | None = None
    rows: int = 0
    columns: int = 0
    attached: bool = (
        False  # the launching command stays, reads the output and removes an ephemeral container
    )
    event: str = "start"
    debug: bool = False  # init tells the steps of set-up on the command's standard error


class Started(Value):
    """The command runs; `pid` is the container's pid 1."""

    pid: int


class Failed(Value):
    """The container could not be started, for the user to read."""

    message: str
    hint: str = ""
    exit_code: int = 125

    def error(self) -> PyctrError:
        return PyctrError(self.message, self.hint or None, exit_code=self.exit_code)


class Mapped(Value):
    """The id maps are written."""


class Born(Value):
    """The process of an exec session exists; `pid` is its number in the pid namespace of its parent."""

    pid: int


class Prepare(Value):
    """Set up the root file system and everything else but the command."""

    root: str
    runroot: str
    id: str
    wait_for_routes: tuple[str, ...] = ()  # families whose default route the network helper sets
    rows: int = 0
    columns: int = 0
    debug: bool = False


class Serve(Value):
    """Start the process that serves the root file system: storage.drivers.Server. Its device comes along."""

    argv: tuple[str, ...]
    folder: str


class Prepared(Value):
    """All is set up; the master of the terminal comes along when the container has one."""


class Go(Value):
    """The record with the pid is written: execute the command."""


_KINDS: "dict[str, type[Value]]" = {
    kind.__name__: kind
    for kind in (Begin, Launch, Started, Failed, Mapped, Born, Prepare, Serve, Prepared, Go)
}


class Channel:
    """One end of a talk. Messages keep their boundaries (SOCK_SEQPACKET) and may carry descriptors."""

    def __init__(self, sock: "_socket.socket") -> None:
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def send(self, message: Value, fds: "tuple[int, ...]" = ()) -> None:
        """Sends a message; BrokenPipeError when the other end is gone."""
        data = jsontext.dumps([type(message).__name__, message.to_json()]).encode()
        rights = [(_SOL_SOCKET, _SCM_RIGHTS, b"".join([fd.to_bytes(4, byteorder) for fd in fds]))]
        self.sock.sendmsg([data], rights if fds else [], _socket.MSG_NOSIGNAL)

    def tell(self, message: Value) -> None:
        """Like `send`. Where the other end has gone, its last message tells why."""
        try:
            self.send(message)
        except BrokenPipeError:
            pass

    def receive(self) -> "tuple[Value | None, list[int]]":
        """The next message and its descriptors; (None, []) at the end of file."""
        try:
            data, rights, _flags, _ = self.sock.recvmsg(_LIMIT, 256, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # told once, before what the other end had still sent
            return self.receive()
        fds = [
            int.from_bytes(payload[start : start + 4], byteorder)
            for _level, _kind, payload in rights
            for start in range(0, len(payload), 4)
        ]
        if not data:
            return None, []
        name, fields = jsontext.loads(data.decode())
        return _KINDS[name].from_json(fields), fds

    def expect(self, kind: "type[V]") -> "V":
        """The next message, which must be of `kind`; a Failed is raised; EOFError when the other end is
        gone.
        """
        message, _fds = self.receive()
        if isinstance(message, kind):
            return message
        if isinstance(message, Failed):
            raise message.error()
        if message is None:
            raise EOFError(kind.__name__)
        raise PyctrError(f"expected {kind.__name__}, got {message!r}")


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends, close-on-exec."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    first, second = _socket.socketpair(_socket.AF_UNIX, kind)
    return Channel(first), Channel(second)


def report(channel: Channel, error: BaseException) -> None:
    """Tells the monitor what went wrong, in words for the user."""
    if isinstance(error, PyctrError):
        failed = Failed(error.message, error.hint or "", error.exit_code)
    elif isinstance(error, OSError):
        where = f" {os.fsdecode(error.filename)}" if error.filename else ""
        failed = Failed(f"setting up the container failed:{where}: {error.strerror or error}")
    elif isinstance(error, EOFError):
        return  # the monitor is gone
    else:
        failed = Failed(f"setting up the container failed: {type(error).__name__}: {error}")
    try:
        channel.send(failed)
    except OSError:
        pass

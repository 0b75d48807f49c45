"""The parent side of a start: forks the monitor early, then tells it which container to start.

launch = fork_monitor()                     before anything heavy is loaded: the monitor stays small
launch.begin(namespaces, maps)              the monitor makes the namespaces, on the other core
...                                         read the image, write the record
pid = launch.start(messages.Launch(...))    or launch.abort()
"""

import _signal
import _socket
import os

# What the command, the monitor and init all use is loaded once, before they part.
from pyctr.rootless import capabilities, processes, seccomp, terminal, userns  # noqa: F401
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.runtime import frames, messages, state  # noqa: F401
from pyctr.runtime.messages import Channel
from pyctr.runtime.spec import Namespace
from pyctr.storage import drivers, paths, records  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Launch:
    """A monitor that waits for its container. `stream` carries attach frames once it runs."""

    def __init__(self, monitor: int, control: Channel, stream: "_socket.socket") -> None:
        self.monitor = monitor
        self.control = control
        self.stream = stream

    def begin(self, namespaces: tuple[Namespace, ...], maps: IdMaps) -> None:
        """Lets the monitor make the namespaces. What fails there is told by `start`."""
        self.control.tell(messages.Begin(namespaces, maps))

    def start(self, request: messages.Launch) -> int:
        """Starts the container and returns its pid once its command is executed.

        Raises PyctrError with the monitor's reason; the record then tells the failure as well.
        """
        try:
            self.control.tell(request)
            return self.control.expect(messages.Started).pid
        except EOFError:
            raise PyctrError(
                f"the monitor of container {request.id[:12]} ended before it had started it",
                "Something killed it. Start the container again.",
            ) from None

    def abort(self) -> None:
        """Gives up: the monitor sees the end of file and ends with all it has made."""
        self.control.close()
        self.stream.close()


def fork_monitor() -> Launch:
    """Forks the monitor, which loads what it needs and waits for `begin`.

    All signals are blocked over the fork, so that none ends the child half-made; this process gets its mask
    back.
    """
    ours, theirs = messages.channel_pair()
    kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
    stream, their_stream = _socket.socketpair(_socket.AF_UNIX, kind)
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, processes.ALL_SIGNALS)
    try:
        child = os.fork()
        if not child:
            _monitor(theirs, their_stream)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    theirs.close()
    their_stream.close()
    return Launch(child, ours, stream)


def _monitor(control: Channel, stream: "_socket.socket") -> "NoReturn":
    """The forked child, to its end."""
    code = 1
    try:
        from pyctr.runtime import birth

        newborn = birth.bear(control, {control.fileno(), stream.fileno()})

        from pyctr.runtime import monitor

        monitor.run(control, stream, newborn)
        code = 0
    except (EOFError, BrokenPipeError):
        pass  # the command gave up before the container ran
    except BaseException as error:
        messages.report(control, error)
    finally:
        os._exit(code)

"""The network helper of a container as the monitor starts it. Loaded by the monitor while it launches."""

import _signal
import os
import select

from pyctr.net import drivers
from pyctr.net.model import Helper, Network
from pyctr.rootless import processes, syscalls
from pyctr.rootless.errors import PyctrError

_TIMEOUT = 10_000  # milliseconds until a helper must have said that it is ready


def start(helper: Helper, pid: int, log: str) -> tuple[int, int]:
    """Starts the helper for the namespaces of `pid`; its own pid, and the descriptor that tells readiness
    (-1: none).

    The helper dies with the monitor, has default signals (pasta of Debian 12 fails when SIGPIPE is ignored)
    and writes its messages to the file `log`.
    """
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC) if helper.ready == "fd" else (-1, -1)
    argv = [word.replace("{pid}", str(pid)).replace("{ready_fd}", str(ready_write)) for word in helper.argv]
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    monitor = os.getpid()
    child = os.fork()
    if not child:
        _execute(argv, errors, ready_write, monitor)
    os.close(errors)
    if ready_write >= 0:
        os.close(ready_write)
    return child, ready_read


def _execute(argv: "list[str]", errors: int, ready: int, monitor: int) -> None:
    try:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, 0)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        processes.close_all_but({ready} if ready >= 0 else set())
        if ready >= 0:
            os.set_inheritable(ready, True)
        processes.restore_signals()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != monitor:  # it died before that
            os._exit(137)
        os.execv(argv[0], argv)
    finally:
        os._exit(127)


def await_ready(helper: Helper, network: Network, pid: int, ready: int, log: str, *, container: int) -> None:
    """Waits until the helper `pid` is ready and the ports of the process `container` are published.

    PyctrError with the helper's words when it ends before.
    """
    driver = drivers.by_name(network.driver)
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if ready >= 0:
            poll.register(ready, select.POLLIN)
        events = [fd for fd, _ in poll.poll(_TIMEOUT if ready >= 0 else 0)]
        if pidfd in events or (ready >= 0 and not events):
            raise failure(network, log)
        if ready >= 0 and not os.read(ready, 1):
            poll.unregister(ready)
            poll.poll(_TIMEOUT)
            raise failure(network, log)
    finally:
        os.close(pidfd)
        if ready >= 0:
            os.close(ready)
    driver.after_ready(helper, network, container)


def failure(network: Network, log: str) -> PyctrError:
    """The error for a helper that has ended, with its own words."""
    return drivers.explain_failure(network, _text(log))


def _text(log: str) -> str:
    with open(log, "rb") as file:
        return file.read(4096).decode(errors="replace")

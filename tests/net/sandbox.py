"""A user and network namespace like that of a container, whose sockets the test holds in its own hands."""

import contextlib
import os
import pathlib
import select
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from pyctr.net import drivers, route
from pyctr.net.model import Helper, Network
from pyctr.rootless import syscalls
from pyctr.runtime import nethelper

SECONDS = 10  # the longest wait for an event


class Namespaces:
    """The user and network namespaces of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def call(self, function: Callable[[], object]) -> None:
        """Runs `function` in a child inside the namespaces."""
        child = self.start(function)
        assert os.waitpid(child, 0)[1] == 0, "a call inside the namespaces failed"

    def start(self, function: Callable[[], object]) -> int:
        """The pid of a child that runs `function` inside the namespaces."""
        child = os.fork()
        if not child:
            self._run(function)
        return child

    def _run(self, function: Callable[[], object]) -> NoReturn:
        try:
            with open(f"/proc/{self.pid}/ns/user") as user, open(f"/proc/{self.pid}/ns/net") as net:
                syscalls.setns(user.fileno(), syscalls.CLONE_NEWUSER)
                syscalls.setns(net.fileno(), syscalls.CLONE_NEWNET)
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def make_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of the network namespace, for use in this process."""
        ours, theirs = socket.socketpair()
        with ours, theirs:

            def make() -> None:
                with socket.socket(family, kind) as inner:
                    socket.send_fds(theirs, [b"s"], [inner.fileno()])

            self.call(make)
            fd = socket.recv_fds(ours, 1, 1)[1][0]
        made = socket.socket(family, kind, fileno=fd)
        made.settimeout(SECONDS)
        return made

    def listen(self, port: int, family: int = socket.AF_INET) -> socket.socket:
        """A TCP listener inside, on every address of the family."""
        made = self.make_socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", port))
        made.listen()
        return made

    def datagrams(self, port: int, family: int = socket.AF_INET) -> socket.socket:
        """A UDP socket inside, on every address of the family."""
        made = self.make_socket(family, socket.SOCK_DGRAM)
        made.bind(("", port))
        return made

    def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection from inside. OSError when there is nobody or no way."""
        made = self.make_socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            raise
        return made


class Sandbox(Namespaces):
    """Namespaces of a process of our own, which only waits."""

    def __init__(self) -> None:
        argv = ["unshare", "--user", "--map-auto", "--map-root-user", "--net", "sh", "-c", "echo; exec cat"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.read(1), "unshare failed"
        super().__init__(self.process.pid)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Connected(Sandbox):
    """A sandbox with a running network helper, started as the monitor starts it."""

    def __init__(self, network: Network, folder: pathlib.Path) -> None:
        super().__init__()
        self.log = str(folder / "network.log")
        self.helper = 0
        self.address = drivers.by_name(network.driver).address(network)
        try:
            plan = drivers.by_name(network.driver).helper(network, str(folder))
            assert plan is not None
            self._start(plan, network)
        except BaseException:
            self.close()
            raise

    def _start(self, plan: Helper, network: Network) -> None:
        self.helper, ready = nethelper.start(plan, self.pid, self.log)
        if plan.ready == "route":
            self.call(lambda: route.wait_default_routes(plan.families))
        nethelper.await_ready(plan, network, self.helper, ready, self.log, container=self.pid)

    def close(self) -> None:
        if self.helper:
            os.kill(self.helper, 9)
            os.waitpid(self.helper, 0)
            self.helper = 0
        super().close()


@contextlib.contextmanager
def connected(network: Network, folder: pathlib.Path) -> Iterator[Connected]:
    """A sandbox on this network, for the length of a block."""
    sandbox = Connected(network, folder)
    try:
        yield sandbox
    finally:
        sandbox.close()


def ended(pidfd: int) -> bool:
    """Whether a process ends in time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(SECONDS * 1000))


def listener(address: str) -> socket.socket:
    """A TCP listener on the host, on a free port."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.bind((address, 0))
    made.listen()
    made.settimeout(SECONDS)
    return made

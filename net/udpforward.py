"""Forwards UDP from the host's loopback into a container, in one small process that ends with its parent.

Its listening sockets belong to the host's network namespace; then it enters the container's, where it opens
a socket for each client. Only started for what slirp4netns cannot forward itself.
"""

import _signal
import _socket
import os
import select

from pyctr.net import ports
from pyctr.net.model import PortMapping
from pyctr.rootless import processes, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Client = tuple[int, "tuple[str, int]"]  # descriptor of the listener and the client's address

_LOOPBACK = "127.0.0.1"
_DATAGRAM = 65535  # bytes
_FLOWS = 512  # clients that are remembered; the one that was silent longest is forgotten


def start(mappings: "tuple[PortMapping, ...]", pid: int, address: str) -> int:
    """Starts the forwarder for the network namespace of process `pid`, where the container has `address`.

    Its pid. PyctrError when a port is taken.
    """
    listeners = []
    try:
        for mapping in mappings:
            for offset in range(mapping.length):
                listeners.append((_listen(mapping, offset), mapping.container_port + offset))
        parent = os.getpid()
        child = os.fork()
        if not child:
            _run(listeners, pid, address, parent)
    finally:
        for listener, _ in listeners:
            listener.close()
    return child


def _listen(mapping: PortMapping, offset: int) -> "_socket.socket":
    host = mapping.host_ip if mapping.host_ip.startswith("127.") else _LOOPBACK
    port = mapping.host_port + offset
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    sock = _socket.socket(_socket.AF_INET, kind)
    try:
        if (
            mapping.host_ip != host
        ):  # beside slirp4netns on every address; the closer match gets the datagrams
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ports.bind_error("udp", host, port, error.errno or 0) from None
    return sock


def _run(listeners: "list[tuple[_socket.socket, int]]", pid: int, address: str, parent: int) -> "NoReturn":
    try:
        processes.restore_signals()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number in range(3):
            os.dup2(null, number)
        processes.close_all_but({listener.fileno() for listener, _ in listeners})
        _enter(pid)
        if os.getppid() == parent:  # else it died before the last PDEATHSIG was set
            Forwarder(listeners, address).serve()
    finally:
        os._exit(1)


def _enter(pid: int) -> None:
    """The container's network namespace, without any power in it and out of its reach."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(user, syscalls.CLONE_NEWUSER)
    syscalls.setns(net, syscalls.CLONE_NEWNET)
    os.close(user)
    os.close(net)
    syscalls.capset(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)  # again: a change of credentials may clear it


class Forwarder:
    """What a client sends goes out of a socket of its own, what that receives back to the client."""

    def __init__(self, listeners: "list[tuple[_socket.socket, int]]", address: str) -> None:
        self.address = address
        self.listeners = {listener.fileno(): (listener, port) for listener, port in listeners}
        self.flows: dict[Client, _socket.socket] = {}  # by time of the last datagram
        self.clients: dict[int, Client] = {}  # by descriptor of the flow
        self.poll = select.poll()
        for fd in self.listeners:
            self.poll.register(fd, select.POLLIN)

    def serve(self) -> "NoReturn":
        """Never returns; the end of the parent ends the process."""
        while True:
            for fd, _ in self.poll.poll():
                try:
                    if fd in self.listeners:
                        self._inward(fd)
                    elif fd in self.clients:
                        self._outward(fd)
                except OSError:  # nobody listens inside, or the client has gone: UDP may lose datagrams
                    pass

    def _inward(self, fd: int) -> None:
        data, peer = self.listeners[fd][0].recvfrom(_DATAGRAM)
        client = (fd, peer)
        flow = self.flows.pop(client, None) or self._open(client)
        self.flows[client] = flow
        flow.send(data)

    def _open(self, client: "Client") -> "_socket.socket":
        if len(self.flows) >= _FLOWS:
            self._forget(next(iter(self.flows)))
        flow = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
        flow.connect((self.address, self.listeners[client[0]][1]))
        self.clients[flow.fileno()] = client
        self.poll.register(flow.fileno(), select.POLLIN)
        return flow

    def _forget(self, client: "Client") -> None:
        flow = self.flows.pop(client)
        self.poll.unregister(flow.fileno())
        del self.clients[flow.fileno()]
        flow.close()

    def _outward(self, fd: int) -> None:
        client = self.clients[fd]
        data = self.flows[client].recv(_DATAGRAM)
        self.listeners[client[0]][0].sendto(data, client[1])

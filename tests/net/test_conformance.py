"""What every driver of a network does, tried on real namespaces, helpers and sockets."""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import socket
import struct
from collections.abc import Iterator

import pytest

from pyctr.net import drivers, names, ports, uplink
from pyctr.net.model import Network, PortMapping
from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import nethelper
from tests.net.sandbox import SECONDS, Connected, Sandbox, connected, ended, listener

DRIVERS = ("pasta", "slirp4netns")
# With these the container does not have the host's own address, so the host's is another machine to it.
OWN_ADDRESS = {"pasta": ("-a", "10.0.2.100", "-n", "24", "-g", "10.0.2.2"), "slirp4netns": ()}
REACH_LOOPBACK = {"pasta": ("--map-gw",), "slirp4netns": ("allow_host_loopback=true",)}
PUBLISH_IPV6 = {"pasta": True, "slirp4netns": False}
MEGABYTES = 32

every_driver = pytest.mark.parametrize("driver", DRIVERS)


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["driver"]
    if processes.find_executable(name) is None:
        pytest.skip(f"{name} is not installed")


def free_ports(*asked: str) -> tuple[PortMapping, ...]:
    return ports.choose_ports(tuple([ports.parse_publish(text) for text in asked]))


def host_address() -> str:
    address = uplink.find_uplink().ipv4
    if not address:
        pytest.skip("this machine has no default route")
    return address


@contextlib.contextmanager
def accepted(waiting: socket.socket) -> Iterator[socket.socket]:
    connection, _ = waiting.accept()
    connection.settimeout(SECONDS)
    with connection:
        yield connection


@every_driver
def test_a_default_route_is_there_at_once(driver: str, tmp_path: pathlib.Path) -> None:
    with connected(Network(driver), tmp_path) as sandbox:
        routes = pathlib.Path(f"/proc/{sandbox.pid}/net/route").read_text().splitlines()[1:]
        assert any(line.split()[1] == "00000000" for line in routes)


@every_driver
def test_the_address_is_the_one_that_is_told(driver: str, tmp_path: pathlib.Path) -> None:
    with (
        connected(Network(driver), tmp_path) as sandbox,
        sandbox.make_socket(kind=socket.SOCK_DGRAM) as probe,
    ):
        probe.connect(("203.0.113.1", 9))
        assert probe.getsockname()[0] == sandbox.address.ipv4
        assert (
            f"\n{sandbox.address.interface}\t" in pathlib.Path(f"/proc/{sandbox.pid}/net/route").read_text()
        )


def query(sock: socket.socket, server: str) -> bytes:
    """Asks a name server for localhost; its answer."""
    sock.sendto(struct.pack(">6H", 4711, 0x100, 1, 0, 0, 0) + b"\x09localhost\0\0\1\0\1", (server, 53))
    return sock.recv(512)


@every_driver
def test_the_first_name_server_answers(driver: str, tmp_path: pathlib.Path) -> None:
    host_server = names.resolv_conf_text(Network("host")).split("nameserver ")[1].split()[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        try:
            query(sock, host_server)
        except OSError:
            pytest.skip(f"{host_server}, the name server of this machine, does not answer")
    server = names.resolv_conf_text(Network(driver)).split("nameserver ")[1].split()[0]
    with (
        connected(Network(driver), tmp_path) as sandbox,
        sandbox.make_socket(kind=socket.SOCK_DGRAM) as sock,
    ):
        assert query(sock, server)[:2] == struct.pack(">H", 4711)


def pour(connection: socket.socket, block: bytes) -> None:
    for _ in range(MEGABYTES):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)


def digest(connection: socket.socket) -> str:
    seen = hashlib.sha256()
    while chunk := connection.recv(1 << 16):
        seen.update(chunk)
    return seen.hexdigest()


def transfer(*ways: tuple[socket.socket, socket.socket]) -> None:
    """Megabytes each way (from, to) at once, each end closed when it is done; nothing is lost."""
    block = os.urandom(1 << 20)
    expected = hashlib.sha256(block * MEGABYTES).hexdigest()
    with concurrent.futures.ThreadPoolExecutor(2 * len(ways)) as pool:
        poured = [pool.submit(pour, source, block) for source, _ in ways]
        digests = [pool.submit(digest, target) for _, target in ways]
        for each in poured:
            each.result()
        assert [each.result() for each in digests] == [expected] * len(ways)


def is_old_pasta(driver: str) -> bool:
    """Whether this is the pasta that drivers.default_name avoids."""
    return driver == "pasta" and not drivers.has_option(drivers.executable(driver), "map-guest-addr")


def skip_old_pasta(driver: str) -> None:
    if is_old_pasta(driver):
        pytest.xfail("a pasta before August 2024 cuts and repeats streams that are closed one end at a time")


@every_driver
def test_large_transfers_to_the_outside_arrive_whole(driver: str, tmp_path: pathlib.Path) -> None:
    network = Network(driver, OWN_ADDRESS[driver])
    with connected(network, tmp_path) as sandbox, listener(host_address()) as waiting:
        with sandbox.connect(*waiting.getsockname()) as inner, accepted(waiting) as outer:
            transfer((inner, outer))
        with sandbox.connect(*waiting.getsockname()) as inner, accepted(waiting) as outer:
            transfer((outer, inner))
        skip_old_pasta(driver)
        with sandbox.connect(*waiting.getsockname()) as inner, accepted(waiting) as outer:
            transfer((inner, outer), (outer, inner))


@every_driver
def test_large_transfers_through_a_published_port_arrive_whole(driver: str, tmp_path: pathlib.Path) -> None:
    mapping = free_ports("127.0.0.1::8080")
    door = ("127.0.0.1", mapping[0].host_port)
    with connected(Network(driver, ports=mapping), tmp_path) as sandbox, sandbox.listen(8080) as waiting:
        with socket.create_connection(door, SECONDS) as outer, accepted(waiting) as inner:
            transfer((inner, outer))
        with socket.create_connection(door, SECONDS) as outer, accepted(waiting) as inner:
            transfer((outer, inner))
        skip_old_pasta(driver)
        with socket.create_connection(door, SECONDS) as outer, accepted(waiting) as inner:
            transfer((inner, outer), (outer, inner))


def speak(sandbox: Connected, waiting: socket.socket, address: str, port: int) -> str:
    """A word and an answer over a published port; the peer as the container sees it."""
    with socket.create_connection((address, port), SECONDS) as outer:
        outer.sendall(b"word")
        with accepted(waiting) as inner:
            assert inner.recv(4) == b"word"
            inner.sendall(b"answer")
            assert outer.recv(6) == b"answer"
            return str(inner.getpeername()[0])


@every_driver
def test_published_ports_and_ranges_are_reached(driver: str, tmp_path: pathlib.Path) -> None:
    single, several = free_ports("8080", "127.0.0.1::9000-9002")
    with connected(Network(driver, ports=(single, several)), tmp_path) as sandbox:
        with sandbox.listen(8080) as waiting:
            speak(sandbox, waiting, "127.0.0.1", single.host_port)
            speak(sandbox, waiting, host_address(), single.host_port)
        for offset in range(3):
            with sandbox.listen(9000 + offset) as waiting:
                speak(sandbox, waiting, "127.0.0.1", several.host_port + offset)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host_address(), several.host_port), SECONDS)


@every_driver
def test_a_server_that_speaks_first_is_heard(driver: str, tmp_path: pathlib.Path) -> None:
    mapping = free_ports("127.0.0.1::8080")
    with connected(Network(driver, ports=mapping), tmp_path) as sandbox, sandbox.listen(8080) as waiting:
        with socket.create_connection(("127.0.0.1", mapping[0].host_port), SECONDS) as outer:
            with accepted(waiting) as inner:
                inner.sendall(b"220 ready")
                assert outer.recv(9) == b"220 ready"


@every_driver
def test_ports_are_published_on_ipv6_where_the_driver_can(driver: str, tmp_path: pathlib.Path) -> None:
    if not PUBLISH_IPV6[driver]:
        with pytest.raises(PyctrError, match=r"\[::1\]:8080->8080/tcp"):
            Connected(Network(driver, ports=(ports.parse_publish("[::1]:8080:8080"),)), tmp_path)
        return
    everywhere, loopback = free_ports("8080", "[::1]::8081")
    with connected(Network(driver, ports=(everywhere, loopback)), tmp_path) as sandbox:
        for mapping in (everywhere, loopback):
            with sandbox.listen(mapping.container_port, socket.AF_INET6) as waiting:
                assert speak(sandbox, waiting, "::1", mapping.host_port) == "::1"


def echo(inner: socket.socket, port: int, word: bytes) -> None:
    """A datagram from a new client on the host's loopback and the answer to it."""
    with socket.socket(type=socket.SOCK_DGRAM) as outer:
        outer.settimeout(SECONDS)
        outer.connect(("127.0.0.1", port))
        for _ in range(2):
            outer.send(word)
            heard, peer = inner.recvfrom(99)
            inner.sendto(heard + b" back", peer)
            assert outer.recv(99) == word + b" back"


@every_driver
@pytest.mark.parametrize("host", ["", "127.0.0.1:"])
def test_published_udp_ports_are_reached(driver: str, host: str, tmp_path: pathlib.Path) -> None:
    number = free_ports("127.0.0.1::5353/udp")[
        0
    ].host_port  # one number on both sides: all pastas can do that
    mapping = ports.parse_publish(f"{host}{number}:{number}/udp")
    with (
        connected(Network(driver, ports=(mapping,)), tmp_path) as sandbox,
        sandbox.datagrams(number) as inner,
    ):
        echo(inner, number, b"one")
        echo(inner, number, b"other")


@every_driver
def test_a_range_of_udp_ports_can_have_other_numbers_inside(driver: str, tmp_path: pathlib.Path) -> None:
    if is_old_pasta(driver):
        with pytest.raises(PyctrError, match="udp"):
            Connected(Network(driver, ports=(ports.parse_publish("5353:53/udp"),)), tmp_path)
        return
    mapping = free_ports("5353-5354/udp")[0]
    with connected(Network(driver, ports=(mapping,)), tmp_path) as sandbox, sandbox.datagrams(5354) as inner:
        echo(inner, mapping.host_port + 1, b"word")


def names_of_the_host(sandbox: Connected) -> list[str]:
    address = sandbox.address
    every = ("127.0.0.1", "::1", "fd00::2", "fd00::3", "10.0.2.2", "10.0.2.3", address.host)
    return sorted({*every, address.ipv4_gateway, address.ipv6_gateway, *address.dns} - {""})


@every_driver
@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_listeners_on_the_hosts_loopback_are_not_reached(
    driver: str, loopback: str, tmp_path: pathlib.Path
) -> None:
    with listener(loopback) as waiting, connected(Network(driver), tmp_path) as sandbox:
        waiting.setblocking(False)
        for address in names_of_the_host(sandbox):
            with sandbox.make_socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as inner:
                inner.settimeout(0.5)  # an unanswered packet is as good as a refusal
                with contextlib.suppress(OSError):
                    inner.connect((address, waiting.getsockname()[1]))
                with pytest.raises(BlockingIOError):
                    waiting.accept()


@every_driver
def test_listeners_on_the_hosts_loopback_are_reached_when_asked_for(
    driver: str, tmp_path: pathlib.Path
) -> None:
    with listener("127.0.0.1") as waiting:
        with connected(Network(driver, REACH_LOOPBACK[driver]), tmp_path) as sandbox:
            gateway = sandbox.address.ipv4_gateway
            with sandbox.connect(gateway, waiting.getsockname()[1]), accepted(waiting):
                pass


@every_driver
def test_a_port_in_use_is_an_error_that_names_it(driver: str, tmp_path: pathlib.Path) -> None:
    with listener("127.0.0.1") as taken:
        number = taken.getsockname()[1]
        mapping = ports.parse_publish(f"{number}:80")
        with pytest.raises(PyctrError, match=f":{number}: bind: address already in use"):
            Connected(Network(driver, ports=(mapping,)), tmp_path)


@every_driver
def test_a_helper_that_cannot_start_says_why(driver: str, tmp_path: pathlib.Path) -> None:
    network = Network(driver)
    plan = drivers.by_name(driver).helper(network, str(tmp_path))
    assert plan is not None
    log = str(tmp_path / "log")
    gone = 2**22  # PID_MAX_LIMIT: no process has this number
    child, ready = nethelper.start(plan, gone, log)
    try:
        pidfd = os.pidfd_open(child)
        assert ended(pidfd)
        os.close(pidfd)
        with pytest.raises(PyctrError, match=rf"{driver} could not.*/proc/{gone}/ns/\w+: No such file"):
            nethelper.await_ready(plan, network, child, ready, log, container=gone)
    finally:
        os.waitpid(child, 0)


@every_driver
def test_the_helper_dies_with_its_parent(driver: str, tmp_path: pathlib.Path) -> None:
    sandbox = Sandbox()
    parent_end, child_end = os.pipe()
    parent = os.fork()
    if not parent:
        os.close(parent_end)
        inner = Connected.__new__(Connected)
        inner.process, inner.pid, inner.log, inner.helper = (
            sandbox.process,
            sandbox.pid,
            str(tmp_path / "log"),
            0,
        )
        plan = drivers.by_name(driver).helper(Network(driver), str(tmp_path))
        assert plan is not None
        inner._start(plan, Network(driver))
        os.write(child_end, str(inner.helper).encode())
        os.kill(os.getpid(), 9)
    os.close(child_end)
    with open(parent_end, "rb") as file:
        pidfd = os.pidfd_open(int(file.read()))
    os.waitpid(parent, 0)
    assert ended(pidfd)
    os.close(pidfd)
    sandbox.close()

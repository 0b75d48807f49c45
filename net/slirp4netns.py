"""The driver slirp4netns: a TCP/IP stack in a process, with addresses of its own. See slirp4netns(1)."""

import os

from pyctr.net import drivers, ports
from pyctr.net.model import Address, Helper, Network, PortMapping
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_INTERFACE = "tap0"
_CIDR = "10.0.2.0/24"
_MTU = 65520
_PRIVATE = "/tmp/.pyctr-"  # beginning of folders for sockets, when the runtime folder has a long name
_SOCKET_PATH_LIMIT = 107  # bytes (unix(7))
_API_TIMEOUT = 10  # seconds until slirp4netns must have answered
_ANSWER_LIMIT = 1 << 16
_GATEWAY, _DNS, _GUEST = 2, 3, 100  # offsets from the start of the network, fixed by slirp4netns
_KNOWN = "allow_host_loopback, mtu, cidr, enable_ipv6, outbound_addr, outbound_addr6, port_handler"


class Settings(Value):
    """The options of --network slirp4netns:..."""

    cidr: str = _CIDR
    mtu: int = _MTU
    allow_host_loopback: bool = False
    enable_ipv6: bool = True
    outbound_addr: str = ""
    outbound_addr6: str = ""


def parse_options(options: "tuple[str, ...]") -> Settings:
    """Settings of `name=value` words; PyctrError names the word that is unknown or wrong."""
    given: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name in ("allow_host_loopback", "enable_ipv6"):
            given[name] = _boolean(option, value)
        elif name == "mtu":
            given[name] = _mtu(option, value)
        elif name == "cidr":
            given[name] = _cidr(option, value)
        elif name in ("outbound_addr", "outbound_addr6") and value:
            given[name] = value
        elif name == "port_handler" and value in ("slirp4netns", "rootlesskit"):
            pass  # podman's choice of who forwards ports: here it is always slirp4netns
        else:
            _refuse(option)
    return Settings(**given)


def _boolean(option: str, value: str) -> bool:
    if value not in ("true", "false"):
        _refuse(option)
    return value == "true"


def _mtu(option: str, value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 65521:
        _refuse(option)
    return int(value)


def _cidr(option: str, value: str) -> str:
    import _socket

    network, _, prefix = value.partition("/")
    try:
        number = int.from_bytes(_socket.inet_aton(network), "big") if network.count(".") == 3 else -1
    except OSError:
        number = -1
    if number < 0 or not prefix.isdigit() or not 1 <= int(prefix) <= 25:
        _refuse(option)
    if number & ((1 << 32 - int(prefix)) - 1):
        raise PyctrError(f"{option!r}: {network} is not the first address of a /{prefix} network")
    return value


def _refuse(option: str) -> "NoReturn":
    raise PyctrError(f"unknown option for slirp4netns: {option!r}", f"Known are {_KNOWN}.")


def helper(network: Network, folder: str) -> Helper:
    """slirp4netns, which writes to {ready_fd} when the interface is up; ports follow in `after_ready`."""
    path = drivers.executable("slirp4netns")
    settings = parse_options(network.options)
    _refuse_ipv6_ports(network)
    ports.check_free(network.ports, ipv6=False)
    socket = _socket_path(folder) if network.ports else ""
    words = arguments(settings, seccomp=drivers.has_option(path, "enable-seccomp"))
    if socket:
        words += (f"--api-socket={socket}",)
    return Helper((path, *words, "--ready-fd={ready_fd}", "{pid}", _INTERFACE), "fd", socket)


def arguments(settings: Settings, *, seccomp: bool) -> tuple[str, ...]:
    """All words that do not depend on the container."""
    words = ["--configure", f"--mtu={settings.mtu}", "--enable-sandbox"]
    if seccomp:
        words.append("--enable-seccomp")
    if not settings.allow_host_loopback:
        words.append("--disable-host-loopback")
    if settings.cidr != _CIDR:
        words.append(f"--cidr={settings.cidr}")
    if settings.enable_ipv6:
        words.append("--enable-ipv6")
    if settings.outbound_addr:
        words.append(f"--outbound-addr={settings.outbound_addr}")
    if settings.outbound_addr6:
        words.append(f"--outbound-addr6={settings.outbound_addr6}")
    return tuple(words)


def _refuse_ipv6_ports(network: Network) -> None:
    for mapping in network.ports:
        if ":" in mapping.host_ip:
            raise PyctrError(
                f"slirp4netns cannot publish {ports.describe(mapping)}: it forwards no IPv6 ports",
                "Leave the address out, or use --network pasta.",
            )


def _socket_path(folder: str) -> str:
    """Where slirp4netns listens: in `folder`, or in a private one in /tmp when that is too long.

    It makes the socket with the user's umask, so the folder must keep others away.
    """
    path = f"{folder}/slirp4netns.sock"
    if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        private = f"{_PRIVATE}{os.urandom(16).hex()}"
        os.mkdir(private, 0o700)
        return f"{private}/api"
    try:
        os.unlink(path)  # of an earlier start: slirp4netns would find the address in use
    except FileNotFoundError:
        pass
    return path


def after_ready(helper: Helper, network: Network, pid: int) -> None:
    """Asks for each port over the api socket, then removes that socket: nothing else uses it.

    UDP from the host's loopback is forwarded by a process of our own: slirp4netns shows such datagrams as
    coming from the gateway, and drops the answers to it as an attempt to reach the host's loopback.
    """
    if not helper.api_socket:
        return
    try:
        for mapping in network.ports:
            if not _is_loopback_udp(mapping):
                for offset in range(mapping.length):
                    _forward(helper.api_socket, mapping, offset)
    finally:
        _remove_socket(helper.api_socket)
    local = tuple([mapping for mapping in network.ports if _needs_forwarder(mapping)])
    if local:
        from pyctr.net import udpforward

        udpforward.start(local, pid, address(network).ipv4)


def _remove_socket(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    if path.startswith(_PRIVATE):
        os.rmdir(os.path.dirname(path))


def _is_loopback_udp(mapping: PortMapping) -> bool:
    return mapping.protocol == "udp" and mapping.host_ip.startswith("127.")


def _needs_forwarder(mapping: PortMapping) -> bool:
    return mapping.protocol == "udp" and (
        mapping.host_ip in ("", "0.0.0.0") or mapping.host_ip.startswith("127.")
    )


def _forward(api_socket: str, mapping: PortMapping, offset: int) -> None:
    host_ip, port = mapping.host_ip or "0.0.0.0", mapping.host_port + offset
    arguments = (
        f'"proto":"{mapping.protocol}","host_addr":"{host_ip}","host_port":{port},'
        f'"guest_port":{mapping.container_port + offset}'
    )
    answer = ask(api_socket, f'{{"execute":"add_hostfwd","arguments":{{{arguments}}}}}')
    if '"return"' not in answer:
        ports.check_free((mapping,), ipv6=False)  # knows the reason, unless it has just gone
        where = ports.host_address(host_ip, port)
        raise PyctrError(f"slirp4netns cannot publish {where}/{mapping.protocol}: {answer or 'no answer'}")


def ask(api_socket: str, request: str) -> str:
    """The answer to one JSON request, both as text."""
    import _socket

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_API_TIMEOUT)
        sock.connect(api_socket)
        sock.sendall(request.encode())
        sock.shutdown(_socket.SHUT_WR)
        answer = b""
        while len(answer) < _ANSWER_LIMIT and (chunk := sock.recv(4096)):
            answer += chunk
    except OSError as error:
        return f"the api socket {api_socket} does not answer: {error.strerror or error}"
    finally:
        sock.close()
    return answer.decode(errors="replace").strip()


def address(network: Network) -> Address:
    """The same for every container. IPv6 comes by autoconfiguration, later: not told."""
    settings = parse_options(network.options)
    gateway = _offset(settings.cidr, _GATEWAY)
    return Address(
        _INTERFACE,
        _offset(settings.cidr, _GUEST),
        int(settings.cidr.partition("/")[2]),
        gateway,
        host=gateway if settings.allow_host_loopback else _host(),
        dns=(_offset(settings.cidr, _DNS),),
    )


def _host() -> str:
    from pyctr.net import uplink

    return uplink.local_address()


def _offset(cidr: str, offset: int) -> str:
    import _socket

    first = int.from_bytes(_socket.inet_aton(cidr.partition("/")[0]), "big")
    return str(_socket.inet_ntoa((first + offset).to_bytes(4, "big")))


def explain(words: str) -> PyctrError:
    """slirp4netns's own words, without its warnings and its account of what went well."""
    lines = [
        line.strip()
        for line in words.splitlines()
        if line.strip() and not line.startswith(("WARNING", "sent tapfd", "received tapfd", "child failed"))
    ]
    text = "; ".join(lines[-3:]) or "it said nothing"
    hint = (
        "Load the kernel module tun and let the user open /dev/net/tun."
        if "tun" in text
        else "Try --network pasta, or --network none."
    )
    return PyctrError(f"slirp4netns could not set up the container's network: {text}", hint)

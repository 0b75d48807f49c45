"""Published and exposed ports: from the user's words to values, and whether the host has room for them.

Grammar and defaults follow podman-run(1), --publish, --publish-all and --expose.
"""

import os

from pyctr.net.model import PortMapping
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import NoReturn

PROTOCOLS = ("tcp", "udp")
LAST_PORT = 65535
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
_FORMAT = (
    "The format is [[ip:][hostPort]:]containerPort[/protocol]; an IPv6 address is written in [brackets]."
)


def parse_publish(text: str) -> PortMapping:
    """The mapping that one --publish asks for; host port 0 stands for one that is free at the start."""
    rest, slash, protocol = text.partition("/")
    if slash:
        protocol = _protocol(protocol, text)
    host_ip, host_port, container_port = _split_publish(rest, text)
    first, length = _range(container_port, text, "container port")
    if not host_port:
        return PortMapping(host_ip, 0, first, protocol or "tcp", length)
    host_first, host_length = _range(host_port, text, "host port")
    if host_length != length:
        _refuse(text, f"host and container port ranges have different lengths: {host_length} vs {length}")
    return PortMapping(host_ip, host_first, first, protocol or "tcp", length)


def _split_publish(rest: str, text: str) -> tuple[str, str, str]:
    """Host address, host port (both may be empty) and container port as they were written."""
    if rest.startswith("["):
        address, bracket, ports = rest[1:].partition("]")
        fields = ports.split(":")
        if not bracket or len(fields) != 3 or fields[0]:
            _refuse(text, "an IPv6 address must be followed by a host and a container port")
        return check_address(address, text, ipv6=True), fields[1], fields[2]
    fields = rest.split(":")
    if len(fields) > 3:
        _refuse(text, "there are too many colons")
    if len(fields) == 3:
        return check_address(fields[0], text), fields[1], fields[2]
    return "", fields[0] if len(fields) == 2 else "", fields[-1]


def check_address(address: str, text: str, *, ipv6: bool = False) -> str:
    """`address` in its shortest spelling; PyctrError naming `text` when it is none."""
    import _socket

    family = _socket.AF_INET6 if ipv6 else _socket.AF_INET
    try:
        return str(_socket.inet_ntop(family, _socket.inet_pton(family, address)))
    except (OSError, ValueError):
        _refuse(text, f'cannot parse "{address}" as an IP address')


def _protocol(word: str, text: str) -> str:
    protocol = word.lower()
    if protocol == "sctp":
        _refuse(text, "sctp ports cannot be published by an ordinary user")
    if protocol not in PROTOCOLS:
        _refuse(text, f'unrecognized protocol "{word}" in port mapping')
    return protocol


def _range(words: str, text: str, what: str) -> tuple[int, int]:
    """First port and number of ports of `80` or `80-85`."""
    first, dash, last = words.partition("-")
    start = _port(first, text, what)
    end = _port(last, text, what) if dash else start
    if end < start:
        _refuse(text, f"parsing {what}: the end of the range, {end}, is below its start, {start}")
    return start, end - start + 1


def _port(word: str, text: str, what: str) -> int:
    if not word.isascii() or not word.isdigit():
        _refuse(text, f'parsing {what}: invalid port number: "{word}"')
    number = int(word[:9])
    if not 1 <= number <= LAST_PORT:
        _refuse(text, f"parsing {what}: port numbers must be between 1 and 65535 (inclusive), got {word}")
    return number


def _refuse(text: str, why: str) -> "NoReturn":
    raise PyctrError(f"invalid port {text!r}: {why}", _FORMAT)


def parse_network(text: str) -> tuple[str, tuple[str, ...]]:
    """Driver and options of one --network; "", "default" and "private" mean the default driver."""
    name, colon, options = text.partition(":")
    words = tuple([word for word in options.split(",") if word])
    if name in ("", "default", "private") and not colon:
        from pyctr.net import drivers

        return drivers.default_name(), ()
    if name == "pasta":
        return name, words
    if name == "slirp4netns":
        from pyctr.net import slirp4netns

        slirp4netns.parse_options(words)
        return name, words
    if name in ("host", "none") and not colon:
        return name, ()
    _refuse_network(text, name)


def _refuse_network(text: str, name: str) -> "NoReturn":
    hint = "Use pasta, slirp4netns, host or none."
    if name in ("host", "none", "default", "private"):
        raise PyctrError(f"invalid --network {text!r}: {name} takes no options", hint)
    if name in ("bridge", "container", "ns", "slirpnetstack"):
        raise PyctrError(f"--network {name} is not supported yet", hint)
    raise PyctrError(f"unable to find network with name or ID {name}: network not found", hint)


def parse_expose(text: str) -> tuple[str, ...]:
    """`80`, `80/udp` or `3000-3010/tcp` as a port each: ("3000/tcp", ...)."""
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        _refuse_expose(text, f'unrecognized protocol "{protocol}"')
    first, dash, last = ports.partition("-")
    numbers = (first, last if dash else first)
    if not all([word.isascii() and word.isdigit() and len(word) <= 5 for word in numbers]):
        _refuse_expose(text, "that is not a port or a range of ports")
    start, end = int(numbers[0]), int(numbers[1])
    if not 1 <= start <= end <= LAST_PORT:
        _refuse_expose(text, "port numbers must be between 1 and 65535 (inclusive)")
    return tuple([f"{number}/{protocol}" for number in range(start, end + 1)])


def _refuse_expose(text: str, why: str) -> "NoReturn":
    raise PyctrError(
        f"invalid range format for --expose: {text}: {why}", "The format is port[-port][/protocol]."
    )


def publish_all(exposed: "tuple[str, ...]", published: "tuple[PortMapping, ...]") -> tuple[PortMapping, ...]:
    """`published` and, for every exposed port ("80/tcp") that is not among them, a free port of the host."""
    taken = {(m.protocol, m.container_port + offset) for m in published for offset in range(m.length)}
    more = []
    for words in exposed:
        for single in parse_expose(words):
            number, _, protocol = single.partition("/")
            if (protocol, int(number)) not in taken:
                taken.add((protocol, int(number)))
                more.append(PortMapping("", 0, int(number), _protocol(protocol, single)))
    return published + tuple(more)


def describe(mapping: PortMapping) -> str:
    """As `podman ps` prints it: 0.0.0.0:8080->80/tcp, or ranges 0.0.0.0:8000-8003->80-83/tcp."""
    address = host_address(mapping.host_ip or "0.0.0.0", _span(mapping.host_port, mapping.length))
    return f"{address}->{_span(mapping.container_port, mapping.length)}/{mapping.protocol}"


def _span(first: int, length: int) -> str:
    return f"{first}-{first + length - 1}" if length > 1 else str(first)


def host_address(host_ip: str, port: object) -> str:
    """Address and port in one word."""
    return f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"


def check_free(mappings: "tuple[PortMapping, ...]", *, ipv6: bool = True) -> None:
    """PyctrError when a host port is asked for twice, in use, or not for ordinary users.

    `ipv6`: whether an empty host address means IPv6 too (pasta), or IPv4 alone (slirp4netns). Between this
    look and the helper's own bind another process can still take a port: the helper's error tells it then.
    """
    refuse_overlaps(mappings)
    for mapping in mappings:
        for offset in range(mapping.length if mapping.host_port else 0):
            for socket in _bind(mapping, mapping.host_port + offset, ipv6=ipv6):
                socket.close()


def refuse_overlaps(mappings: "tuple[PortMapping, ...]") -> None:
    """PyctrError when two mappings want the same port of the same address."""
    for index, mapping in enumerate(mappings):
        for other in mappings[:index]:
            if mapping.host_port and _overlap(mapping, other):
                raise PyctrError(
                    f"conflicting port mappings: {describe(other)} and {describe(mapping)} "
                    "use the same port of the host",
                    "Give each --publish a host port of its own, or leave it empty to get a free one.",
                )


def _overlap(one: PortMapping, other: PortMapping) -> bool:
    if one.protocol != other.protocol:
        return False
    if one.host_ip != other.host_ip and not {one.host_ip, other.host_ip} & set(_EVERY_ADDRESS):
        return False
    return one.host_port < other.host_port + other.length and other.host_port < one.host_port + one.length


def choose_ports(
    mappings: "tuple[PortMapping, ...]", *, ipv6: bool = True, attempts: int = 20
) -> tuple[PortMapping, ...]:
    """`mappings` with a free port of the kernel's choice in place of each host port 0. Checks the others."""
    check_free(mappings, ipv6=ipv6)
    chosen: list[PortMapping] = [mapping for mapping in mappings if mapping.host_port]
    result = []
    for mapping in mappings:
        if not mapping.host_port:
            mapping = _choose(mapping, chosen, ipv6=ipv6, attempts=attempts)
            chosen.append(mapping)
        result.append(mapping)
    return tuple(result)


def _choose(mapping: PortMapping, chosen: list[PortMapping], *, ipv6: bool, attempts: int) -> PortMapping:
    """The kernel names a free port; a range needs those behind it too, hence the attempts."""
    while True:
        attempts -= 1
        candidate = mapping.replace(host_port=_any_port(mapping))
        try:
            if candidate.host_port + candidate.length - 1 > LAST_PORT:
                raise PyctrError(f"no free ports for {describe(candidate)}")
            refuse_overlaps((*chosen, candidate))
            check_free((candidate,), ipv6=ipv6)
            return candidate
        except PyctrError:
            if not attempts:
                raise


def _any_port(mapping: PortMapping) -> int:
    socket = _bind_one(mapping, mapping.host_ip or "0.0.0.0", 0)
    try:
        return int(socket.getsockname()[1])
    finally:
        socket.close()


def _bind(mapping: PortMapping, port: int, *, ipv6: bool) -> "list[Socket]":
    """Sockets bound as the helper will bind them."""
    if mapping.host_ip or not ipv6:
        return [_bind_one(mapping, mapping.host_ip or "0.0.0.0", port)]
    sockets = [_bind_one(mapping, "0.0.0.0", port)]
    try:
        sockets.append(_bind_one(mapping, "::", port))
    except _NoIPv6:
        pass
    except PyctrError:
        sockets[0].close()
        raise
    return sockets


class _NoIPv6(Exception):
    """This machine has IPv6 switched off."""


def _bind_one(mapping: PortMapping, address: str, port: int) -> "Socket":
    import _socket

    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        socket = _socket.socket(
            family, _socket.SOCK_STREAM if mapping.protocol == "tcp" else _socket.SOCK_DGRAM
        )
    except OSError:
        raise _NoIPv6 from None
    try:
        if (
            mapping.protocol == "tcp"
        ):  # as the helpers do: connections that wait for their end are no obstacle
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        socket.bind((address, port))
    except OSError as error:
        socket.close()
        if address == "::" and error.errno == 99:  # EADDRNOTAVAIL: disable_ipv6
            raise _NoIPv6 from None
        raise bind_error(mapping.protocol, address, port, error.errno or 0) from None
    return socket


def bind_error(protocol: str, address: str, port: int, number: int) -> PyctrError:
    """The error for a port of the host that was not bound, as podman words it. `number`: its errno."""
    where = f"listen {protocol} {host_address(address, port)}: bind"
    if number == 98:  # EADDRINUSE
        return PyctrError(
            f"cannot publish port {port}/{protocol}: {where}: address already in use",
            f"Publish another port of the host, or end what listens on it: ss -lp 'sport = {port}'",
        )
    if number == 13:  # EACCES
        return _privileged(port, where)
    if number == 99:  # EADDRNOTAVAIL
        return PyctrError(
            f"cannot publish port {port}/{protocol}: {where}: cannot assign requested address",
            f"{address} is not an address of this machine: see 'ip address'.",
        )
    return PyctrError(f"cannot publish port {port}/{protocol}: {where}: {os.strerror(number).lower()}")


def _privileged(port: int, where: str) -> PyctrError:
    start = unprivileged_port_start()
    return PyctrError(
        f"cannot expose privileged port {port}: {where}: permission denied",
        f"Choose a port from {start} on, or let the administrator run: "
        f"sysctl net.ipv4.ip_unprivileged_port_start={port}",
    )


def unprivileged_port_start() -> int:
    """The lowest port that an ordinary user may listen on."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024

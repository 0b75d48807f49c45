"""How this machine is connected: what pasta copies into a container, and where containers find the host.

Read from /proc/net and with the ioctls of netdevice(7), without netlink.
"""

import _socket
import fcntl
import sys

from pyctr.rootless.values import Value

_SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFFLAGS = 0x8915, 0x891B, 0x8913
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_RTF_UP, _RTF_REJECT = 0x1, 0x200
_SCOPE_GLOBAL = "00"


class Uplink(Value):
    """The interface and addresses that lead to the outside; empty strings where there is none."""

    interface: str = ""
    ipv4: str = ""
    ipv4_prefix: int = 0
    ipv4_gateway: str = ""
    ipv6: str = ""
    ipv6_prefix: int = 0
    ipv6_gateway: str = ""


def find_uplink() -> Uplink:
    """The default routes of this network namespace with the addresses of their interfaces."""
    interface4, gateway4 = _default_ipv4()
    interface6, gateway6 = _default_ipv6()
    ipv4, prefix4 = interface_address(interface4) if interface4 else ("", 0)
    ipv6, prefix6 = _global_ipv6(interface6) if interface6 else ("", 0)
    return Uplink(
        interface4 or interface6,
        ipv4,
        prefix4,
        gateway4 if ipv4 else "",
        ipv6,
        prefix6,
        gateway6 if ipv6 else "",
    )


def _default_ipv4() -> tuple[str, str]:
    """Interface and gateway of the default route with the lowest metric; empty without one."""
    found = []
    for fields in _rows("/proc/net/route"):
        if len(fields) > 7 and fields[1] == fields[7] == "00000000" and int(fields[3], 16) & _RTF_UP:
            gateway = _socket.inet_ntoa(int(fields[2], 16).to_bytes(4, sys.byteorder))
            found.append((int(fields[6]), fields[0], gateway))
    return min(found)[1:] if found else ("", "")


def _default_ipv6() -> tuple[str, str]:
    found = []
    for fields in _rows("/proc/net/ipv6_route"):
        if len(fields) > 9 and fields[1] == "00" and fields[9] != "lo":
            flags = int(fields[8], 16)
            if fields[0] == "0" * 32 and flags & _RTF_UP and not flags & _RTF_REJECT:
                found.append((int(fields[5], 16), fields[9], _text6(fields[4])))
    return min(found)[1:] if found else ("", "")


def has_ipv6() -> bool:
    """Whether a default route of IPv6 leads out of an interface with a global address."""
    interface = _default_ipv6()[0]
    return bool(interface and _global_addresses(interface))


def _global_ipv6(interface: str) -> tuple[str, int]:
    """The only global address of an interface; of several none, as nobody can tell which one pasta takes."""
    found = _global_addresses(interface)
    return found[0] if len(found) == 1 else ("", 0)


def _global_addresses(interface: str) -> "list[tuple[str, int]]":
    return [
        (_text6(fields[0]), int(fields[2], 16))
        for fields in _rows("/proc/net/if_inet6")
        if len(fields) > 5 and fields[5] == interface and fields[3] == _SCOPE_GLOBAL
    ]


def _rows(path: str) -> "list[list[str]]":
    try:
        with open(path) as file:
            return [line.split() for line in file]
    except OSError:  # no IPv6 in this kernel
        return []


def _text6(digits: str) -> str:
    return str(_socket.inet_ntop(_socket.AF_INET6, bytes.fromhex(digits)))


def interface_address(interface: str) -> tuple[str, int]:
    """First IPv4 address of an interface and its prefix length; ("", 0) when it has none."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        address = _ask(sock, _SIOCGIFADDR, interface)[20:24]
        mask = _ask(sock, _SIOCGIFNETMASK, interface)[20:24]
        return str(_socket.inet_ntoa(address)), int.from_bytes(mask, "big").bit_count()
    except OSError:
        return "", 0
    finally:
        sock.close()


def _ask(sock: "_socket.socket", request: int, interface: str) -> bytes:
    return fcntl.ioctl(sock.fileno(), request, interface.encode()[:15].ljust(16, b"\0") + bytes(24))


def local_address(other_than: str = "") -> str:
    """An IPv4 address of this machine but `other_than`: the uplink's, else any that is up, else ""."""
    candidates = [_default_ipv4()[0]] + [name for _, name in _socket.if_nameindex()]
    for interface in candidates:
        if interface and _carries_traffic(interface):
            address = interface_address(interface)[0]
            if address and address != other_than:
                return address
    return ""


def _carries_traffic(interface: str) -> bool:
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        flags = int.from_bytes(_ask(sock, _SIOCGIFFLAGS, interface)[16:18], sys.byteorder)
    except OSError:
        return False
    finally:
        sock.close()
    return flags & (_IFF_UP | _IFF_LOOPBACK) == _IFF_UP

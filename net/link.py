"""What init itself does in a new network namespace, before any helper."""

import _socket
import fcntl

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1


def raise_loopback() -> None:
    """Brings the loopback interface up (netdevice(7))."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = bytearray(b"lo".ljust(16, b"\0") + bytes(24))
        fcntl.ioctl(sock.fileno(), _SIOCGIFFLAGS, request)
        flags = int.from_bytes(request[16:18], "little") | _IFF_UP
        request[16:18] = flags.to_bytes(2, "little")
        fcntl.ioctl(sock.fileno(), _SIOCSIFFLAGS, request)
    finally:
        sock.close()


def allow_ping() -> None:
    """Lets group 0 send ICMP echo without CAP_NET_RAW (podman's default sysctl
    net.ipv4.ping_group_range).
    """
    try:
        with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
            file.write("0 0")
    except OSError:  # no such kernel feature, or /proc is not writable here: ping then needs the capability
        pass

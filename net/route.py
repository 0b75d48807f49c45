"""Waiting for a default route, in the caller's network namespace. Called by init, before it executes."""

import _socket
import select
import sys
import time

from pyctr.rootless.errors import PyctrError

_NETLINK_ROUTE = 0
_GROUPS = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_NLM_F_REQUEST_DUMP = 0x1 | 0x300
_RTN_UNICAST = 1
_FAMILIES = {"inet": 2, "inet6": 10}
_GRACE = 0.5  # seconds
_HEADER, _ROUTE = 16, 12  # bytes of struct nlmsghdr and struct rtmsg


def wait_default_routes(families: "tuple[str, ...]", timeout: float = 10.0) -> None:
    """Returns once this network namespace has a default route of each family: inet, inet6.

    PyctrError when there is none of any family after `timeout` seconds. Once there is one, the others get
    half a second: a helper that cannot set up a family leaves it out. It sets addresses first and routes
    last, so a route means a configured interface; what is sent from then on waits until the helper reads it.
    """
    sock = _socket.socket(
        _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, _NETLINK_ROUTE
    )
    try:
        sock.bind((0, _GROUPS))  # before the question: a route that comes in between is then told twice
        sock.send(_dump_request())
        missing = {_FAMILIES[family] for family in families}
        missing -= _await_any(sock, time.monotonic() + timeout)
        _await_all(sock, missing, time.monotonic() + _GRACE)
    finally:
        sock.close()


def _dump_request() -> bytes:
    """RTM_GETROUTE for every route of every family (rtnetlink(7))."""
    header = (_HEADER + _ROUTE).to_bytes(4, sys.byteorder) + _RTM_GETROUTE.to_bytes(2, sys.byteorder)
    return header + _NLM_F_REQUEST_DUMP.to_bytes(2, sys.byteorder) + bytes(8) + bytes(_ROUTE)


def _await_any(sock: "_socket.socket", deadline: float) -> set[int]:
    """The families of the first message that tells of a default route."""
    while _await_message(sock, deadline):
        if found := families_with_default(sock.recv(1 << 16)):
            return found
    raise PyctrError(
        "the container has no default route: the network helper did not set it up",
        "Try --network slirp4netns, or --network none.",
    )


def _await_all(sock: "_socket.socket", missing: set[int], deadline: float) -> None:
    while missing and _await_message(sock, deadline):
        missing -= families_with_default(sock.recv(1 << 16))


def _await_message(sock: "_socket.socket", deadline: float) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    left = deadline - time.monotonic()
    return left > 0 and bool(poll.poll(left * 1000))


def families_with_default(messages: bytes) -> set[int]:
    """The families of which these netlink messages tell a default route that leads somewhere."""
    found = set()
    start = 0
    while start + _HEADER <= len(messages):
        length = int.from_bytes(messages[start : start + 4], sys.byteorder)
        kind = int.from_bytes(messages[start + 4 : start + 6], sys.byteorder)
        route = messages[
            start + _HEADER : start + _HEADER + _ROUTE
        ]  # family, length of the prefix, ..., type
        if kind == _RTM_NEWROUTE and len(route) == _ROUTE and route[1] == 0 and route[7] == _RTN_UNICAST:
            found.add(route[0])
        start += max((length + 3) & ~3, _HEADER)
    return found

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
_HEADER, _ROUTE = 16, 12  # bytes of struct nlmsghdr and struct rtmsg


def wait_default_route(timeout: float = 10.0) -> None:
    """Returns once this network namespace has a default route, of any family; PyctrError after `timeout` s.

    The helper sets addresses first and routes last, so a route means a configured interface. What is sent
    from then on waits in the queue of the interface until the helper reads it.
    """
    sock = _socket.socket(
        _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, _NETLINK_ROUTE
    )
    try:
        sock.bind((0, _GROUPS))  # before the question: a route that comes in between is then told twice
        sock.send(_dump_request())
        _await_default(sock, time.monotonic() + timeout)
    finally:
        sock.close()


def _dump_request() -> bytes:
    """RTM_GETROUTE for every route of every family (rtnetlink(7))."""
    header = (_HEADER + _ROUTE).to_bytes(4, sys.byteorder) + _RTM_GETROUTE.to_bytes(2, sys.byteorder)
    return header + _NLM_F_REQUEST_DUMP.to_bytes(2, sys.byteorder) + bytes(8) + bytes(_ROUTE)


def _await_default(sock: "_socket.socket", deadline: float) -> None:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise PyctrError(
                "the container has no default route: the network helper did not set it up",
                "Try --network slirp4netns, or --network none.",
            )
        if _tells_default(sock.recv(1 << 16)):
            return


def _tells_default(messages: bytes) -> bool:
    """Whether one of these netlink messages is a default route that leads somewhere."""
    start = 0
    while start + _HEADER <= len(messages):
        length = int.from_bytes(messages[start : start + 4], sys.byteorder)
        kind = int.from_bytes(messages[start + 4 : start + 6], sys.byteorder)
        route = messages[start + _HEADER : start + _HEADER + _ROUTE]
        if kind == _RTM_NEWROUTE and len(route) == _ROUTE and route[1] == 0 and route[7] == _RTN_UNICAST:
            return True
        start += max((length + 3) & ~3, _HEADER)
    return False

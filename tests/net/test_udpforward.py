"""The forwarder of UDP: its life. What it forwards is in test_conformance."""

import os
import select
from typing import NoReturn

from pyctr.net import ports, udpforward
from pyctr.rootless import syscalls


def test_a_forwarder_whose_parent_dies_while_it_starts_ends() -> None:
    """A change of the user namespace clears PDEATHSIG: a parent may die unnoticed just then."""
    told, go = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        _start_and_die(told[1], go[0])
    forwarder = os.pidfd_open(int(os.read(told[0], 20)))
    os.write(go[1], b"g")
    os.waitpid(parent, 0)
    try:
        assert select.select([forwarder], [], [], 30)[0]
    finally:
        for fd in (*told, *go, forwarder):
            os.close(fd)


def _start_and_die(told: int, go: int) -> NoReturn:
    """The life of the parent. Its child enters no namespace, and sees it die before the last `prctl`."""
    me, prctl = os.getpid(), syscalls.prctl
    seen: list[int] = []

    def late_prctl(option: int, *arguments: int) -> None:
        seen.append(option)
        if seen.count(syscalls.PR_SET_PDEATHSIG) == 2:
            select.select([os.pidfd_open(me)], [], [])
            prctl(option, *arguments)

    try:
        syscalls.prctl = late_prctl  # type: ignore[assignment]
        syscalls.setns = syscalls.capset = lambda *_arguments: None  # type: ignore[assignment]
        mapping = ports.choose_ports((ports.parse_publish("127.0.0.1::53/udp"),))
        os.write(told, str(udpforward.start(mapping, me, "127.0.0.1")).encode())
        os.read(go, 1)
    finally:
        os._exit(0)

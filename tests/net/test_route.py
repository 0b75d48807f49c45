import os
import subprocess
from collections.abc import Iterator

import pytest

from pyctr.net import route
from pyctr.rootless.errors import PyctrError
from tests.net.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    ip(made, "link", "set", "lo", "up")
    yield made
    made.close()


def ip(sandbox: Sandbox, *words: str) -> None:
    argv = ["nsenter", "--user", "--net", "-t", str(sandbox.pid), "ip", *words]
    subprocess.run(argv, check=True)


def test_without_a_route_the_wait_ends_with_an_error(sandbox: Sandbox) -> None:
    def wait() -> None:
        with pytest.raises(PyctrError, match="no default route"):
            route.wait_default_routes(("inet",), timeout=0.05)

    sandbox.call(wait)


def test_routes_that_are_there_end_the_wait(sandbox: Sandbox) -> None:
    ip(sandbox, "route", "add", "default", "dev", "lo")
    ip(sandbox, "-6", "route", "add", "default", "dev", "lo")
    sandbox.call(lambda: route.wait_default_routes(("inet", "inet6"), timeout=1))


def test_other_routes_do_not_end_the_wait(sandbox: Sandbox) -> None:
    ip(sandbox, "route", "add", "203.0.113.0/24", "dev", "lo")
    ip(sandbox, "route", "add", "unreachable", "default")
    test_without_a_route_the_wait_ends_with_an_error(sandbox)


def test_routes_that_come_end_the_wait(sandbox: Sandbox) -> None:
    going_read, going_write = os.pipe()

    def wait() -> None:
        os.write(going_write, b"w")
        route.wait_default_routes(("inet", "inet6"))

    child = sandbox.start(wait)
    assert os.read(going_read, 1) == b"w"
    ip(sandbox, "route", "add", "default", "dev", "lo")
    ip(sandbox, "-6", "route", "add", "default", "dev", "lo")
    assert os.waitpid(child, 0)[1] == 0
    os.close(going_read)
    os.close(going_write)


def test_a_family_that_never_comes_does_not_hinder(sandbox: Sandbox) -> None:
    ip(sandbox, "route", "add", "default", "dev", "lo")
    sandbox.call(lambda: route.wait_default_routes(("inet", "inet6"), timeout=5))


def test_the_kernels_messages_are_read() -> None:
    assert route.families_with_default(b"") == set()
    assert route.families_with_default(b"\0" * 40) == set()

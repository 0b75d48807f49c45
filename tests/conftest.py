"""Fixtures that all tests share. Tests run as an ordinary user and leave nothing behind."""

import os
import pathlib
import shutil
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest

from pyctr.storage.paths import Store
from tests import commands, images, registries
from tests.peers import Podman

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
STRICT = bool(os.environ.get("PYCTR_TEST_STRICT"))


def pytest_configure(config: pytest.Config) -> None:
    if os.getuid() == 0:
        raise pytest.UsageError("the tests run as an ordinary user: packaging/test makes one")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With PYCTR_TEST_STRICT a skip is a failure: the machine was to have everything."""
    return _strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _strict((yield))


def _strict(report: R) -> R:
    if STRICT and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although PYCTR_TEST_STRICT is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def pyctr_program() -> list[str]:
    """The words that start this checkout's pyctr."""
    return commands.program()


@pytest.fixture
def cli(pyctr_program: list[str]) -> Iterator[commands.Cli]:
    """`cli("run", ...)`: pyctr on a store of this test, which fails when a process or file stays behind."""
    command = commands.Cli(pyctr_program)
    yield command
    complaints = command.cleanup()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def store(cli: commands.Cli) -> Store:
    """The store that `cli` works on."""
    return cli.store


@pytest.fixture(scope="session")
def busybox_archive() -> pathlib.Path:
    """A docker-archive of localhost/busybox:latest."""
    try:
        return images.busybox_archive()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def busybox(cli: commands.Cli, busybox_archive: pathlib.Path) -> str:
    """The name of a small image in the store of this test."""
    cli("load", "-q", "-i", busybox_archive)
    return images.BUSYBOX


@pytest.fixture(scope="session")
def debian_archive() -> pathlib.Path:
    """A docker-archive of localhost/debian:latest; made once, in half a minute."""
    needs("mmdebstrap")
    return images.debian_archive()


@pytest.fixture
def debian(cli: commands.Cli, debian_archive: pathlib.Path) -> str:
    """The name of a Debian image in the store of this test. Mark such tests `slow`."""
    cli("load", "-q", "-i", debian_archive)
    return images.DEBIAN


@pytest.fixture
def registry() -> Iterator[str]:
    """host:port of an empty registry that speaks HTTP."""
    needs("docker-registry")
    with registries.serve() as address:
        yield address


@pytest.fixture
def locked_registry() -> Iterator[str]:
    """host:port of an empty registry that speaks HTTP and wants me:secret."""
    needs("docker-registry")
    with registries.serve_with_password() as address:
        yield address


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """`podman("load", ...)`: Debian's podman on a store of this session."""
    needs("podman")
    peer = Podman()
    yield peer
    peer.cleanup()


def needs(*programs: str) -> None:
    """Skips when a program is missing."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")

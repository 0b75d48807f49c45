"""Fixtures of the security tests."""

import pathlib

import pytest

from tests.commands import Cli
from tests.peers import Podman
from tests.security import hostile


@pytest.fixture
def userland(cli: Cli, tmp_path: pathlib.Path) -> str:
    """An image that runs the programs of this machine with `*hostile.BORROWED`."""
    return hostile.load_userland(cli, tmp_path)


@pytest.fixture
def outside(tmp_path: pathlib.Path) -> hostile.Outside:
    """A folder of the host that no container may touch."""
    return hostile.Outside(tmp_path / "outside")


@pytest.fixture(scope="module")
def peer(podman: Podman, busybox_archive: pathlib.Path) -> Podman:
    """Podman with the busybox image."""
    podman("load", "-q", "-i", busybox_archive)
    return podman

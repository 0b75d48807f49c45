"""Fixtures of the storage tests."""

import tempfile
from collections.abc import Iterator

import pytest

from pyctr.rootless import userns
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import trees
from pyctr.storage.paths import Store


@pytest.fixture
def disk() -> Iterator[str]:
    """A folder on a disk, since memory file systems of older kernels lack user xattrs.

    Removed with foreign ids.
    """
    folder = tempfile.mkdtemp(prefix="ps-", dir="/var/tmp")
    yield folder
    trees.remove(folder)


@pytest.fixture
def own_store(disk: str) -> Store:
    """An empty store that no pyctr command works on."""
    return Store(root=f"{disk}/root", runroot=f"{disk}/run")


@pytest.fixture(scope="session")
def maps() -> IdMaps:
    """The full id maps of the user."""
    return userns.default_maps()

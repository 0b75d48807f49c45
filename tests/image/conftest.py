"""Fixtures of the image tests."""

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from pyctr.storage import trees
from pyctr.storage.paths import Store
from tests.image.servers import Scripted, serve


@pytest.fixture
def own_store() -> Iterator[Store]:
    """An empty store on a disk that no pyctr command works on; removed with foreign ids."""
    folder = tempfile.mkdtemp(prefix="pi-", dir="/var/tmp")
    yield Store(root=f"{folder}/root", runroot=f"{folder}/run")
    trees.remove(folder)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that answers as the test says."""
    with serve() as server:
        yield server


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own: no credentials, no proxies."""
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "nothing"))
    for name in ("REGISTRY_AUTH_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

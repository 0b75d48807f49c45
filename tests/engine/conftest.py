"""A store and a configuration that belong to one test."""

import pathlib

import pytest

from pyctr.storage.paths import Store


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, without a containers.conf and without proxies."""
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "absent.conf"))
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("PODMAN_USERNS", raising=False)
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))

"""Importing root file systems."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import pathlib

import pytest

from pyctr.image import importing, lookup
from pyctr.image.importing import ImportOptions
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, images
from pyctr.storage.paths import Store
from pyctr.storage.unpack import Limits
from tests.image.servers import Scripted, send, status
from tests.images import Layer

ROOT = Layer().folder("etc").file("etc/os-release", "ID=test").tar()
DIFF_ID = f"sha256:{hashlib.sha256(ROOT).hexdigest()}"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_a_root_tar_becomes_an_image_of_one_layer(
    own_store: Store, tmp_path: pathlib.Path, compress: object
) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(compress(ROOT))  # type: ignore[operator]
    options = ImportOptions(changes=("CMD sh", "ENV A=b"), message="made by hand", arch="arm64")
    image_id = importing.import_image(own_store, str(path), "mine:1", options)
    image = lookup.lookup(own_store, "localhost/mine:1")
    assert image.id == image_id
    assert [layer.diff_id for layer in image.layers] == [DIFF_ID]
    assert image.config == {"Cmd": ["/bin/sh", "-c", "sh"], "Env": ["A=b"]}
    assert (image.architecture, image.history[0]["comment"]) == ("arm64", "made by hand")
    assert json.loads(blobs.read_blob(own_store, image.config_digest))["os"] == "linux"


def test_without_a_name_the_image_has_none(own_store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(ROOT)
    image_id = importing.import_image(own_store, str(path), "", ImportOptions())
    assert images.names_of(own_store, image_id) == ()


def test_a_url_is_downloaded(own_store: Store, scripted: Scripted) -> None:
    scripted.answers["/root.tar"] = send(gzip.compress(ROOT))
    importing.import_image(own_store, f"http://{scripted.address}/root.tar", "x", ImportOptions())
    assert lookup.lookup(own_store, "x").layers[0].diff_id == DIFF_ID


@pytest.mark.parametrize("content", [b"", b"text" * 1000, gzip.compress(ROOT)[:-20], ROOT[:700]])
def test_what_is_no_tar_is_refused(own_store: Store, tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(content)
    refuse(own_store, str(path))


def test_what_cannot_be_had_is_refused(own_store: Store, tmp_path: pathlib.Path, scripted: Scripted) -> None:
    scripted.answers["/broken.tar"] = status(500)
    for path in (str(tmp_path / "absent"), f"http://{scripted.address}/absent", str(tmp_path)):
        refuse(own_store, path)


def refuse(store: Store, path: str) -> None:
    with pytest.raises(PyctrError) as caught:
        importing.import_image(store, path, "x", ImportOptions())
    assert path in caught.value.message
    assert images.image_ids(store) == []


@pytest.mark.parametrize(("name", "change"), [("Upper", ""), ("x", "RUN true")])
def test_what_is_wrong_is_refused_before_anything_is_read(own_store: Store, name: str, change: str) -> None:
    with pytest.raises(PyctrError):
        importing.import_image(
            own_store, "/dev/full", name, ImportOptions(changes=(change,) if change else ())
        )
    assert not os.path.exists(own_store.root)


def test_standard_input_is_read(own_store: Store) -> None:
    reading, writing = os.pipe()
    os.write(writing, ROOT)
    os.close(writing)
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        importing.import_image(own_store, "-", "x", ImportOptions())
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reading)
    assert lookup.lookup(own_store, "x").layers[0].diff_id == DIFF_ID


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_a_tar_that_unpacks_without_end_is_cut(
    own_store: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, compress: object
) -> None:
    monkeypatch.setattr(importing, "DEFAULT_LIMITS", Limits(unpacked=1 << 20, ratio=1))
    (tmp_path / "root.tar").write_bytes(compress(bytes(1 << 23)))  # type: ignore[operator]
    with pytest.raises(PyctrError, match="unpacks to more than 1048576 bytes"):
        importing.import_image(own_store, str(tmp_path / "root.tar"), "x", ImportOptions())
    assert images.image_ids(own_store) == []

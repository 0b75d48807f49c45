"""Loading archives: those of the real tools, and hostile ones."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import subprocess
import sys

import pytest

from pyctr.image import load, lookup, manifest
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, images
from pyctr.storage.paths import Store
from pyctr.storage.unpack import Limits
from tests.images import Layer, image_config
from tests.peers import Podman

LAYER = Layer().folder("etc").file("etc/data", "content").tar()
DIGEST = hashlib.sha256(LAYER).hexdigest()


def docker_archive(path: pathlib.Path, **changes: object) -> pathlib.Path:
    """A docker-archive of one layer; `changes` replace files by name, None leaves one out."""
    config = json.dumps(image_config([DIGEST], {"Cmd": ["sh"]}))
    entry = {"Config": "config.json", "RepoTags": ["example.com/a:1"], "Layers": ["l/layer.tar"]}
    files = {"l/layer.tar": LAYER, "config.json": config, "manifest.json": json.dumps([entry]), **changes}
    archive = Layer()
    for name, content in files.items():
        if content is not None:
            archive.file(name, content)  # type: ignore[arg-type]
    path.write_bytes(archive.tar())
    return path


def archive_entry(**changes: object) -> str:
    entry = {"Config": "config.json", "RepoTags": ["example.com/a:1"], "Layers": ["l/layer.tar"], **changes}
    return json.dumps([entry])


def refused(store: Store, path: pathlib.Path) -> str:
    """The message of a failed load, which names the archive and leaves no image."""
    with pytest.raises(PyctrError) as caught:
        load.load(store, str(path))
    assert str(path) in caught.value.message
    assert (images.image_ids(store), images.image_names(store)) == ([], [])
    left = os.listdir(store.root) if os.path.isdir(store.root) else []
    assert [name for name in left if name.startswith("tmp.")] == []
    return caught.value.message


def test_a_docker_archive_becomes_an_image(own_store: Store, tmp_path: pathlib.Path) -> None:
    assert load.load(own_store, str(docker_archive(tmp_path / "a.tar"))) == ["example.com/a:1"]
    image = lookup.lookup(own_store, "example.com/a:1")
    assert image.config == {"Cmd": ["sh"]}
    assert [layer.diff_id for layer in image.layers] == [f"sha256:{DIGEST}"]


def test_podman_and_pyctr_agree_on_the_digest(
    own_store: Store, tmp_path: pathlib.Path, podman: Podman
) -> None:
    path = docker_archive(tmp_path / "a.tar")
    load.load(own_store, str(path))
    podman("load", "-q", "-i", path)
    seen = podman("image", "inspect", "--format", "{{.Id}} {{.Digest}}", "example.com/a:1").stdout.split()
    image = lookup.lookup(own_store, "example.com/a:1")
    assert [image.id, image.manifest_digest] == seen


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-dir"])
def test_what_podman_saves_is_loaded(
    own_store: Store, tmp_path: pathlib.Path, podman: Podman, kind: str
) -> None:
    podman("load", "-q", "-i", docker_archive(tmp_path / "a.tar"))
    podman("save", "-q", "--format", kind, "-o", tmp_path / "saved", "example.com/a:1")
    assert load.load(own_store, str(tmp_path / "saved")) == ["example.com/a:1"]
    image = lookup.lookup(own_store, "example.com/a:1")
    assert [layer.diff_id for layer in image.layers] == [f"sha256:{DIGEST}"]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_archives_may_be_compressed(own_store: Store, tmp_path: pathlib.Path, compress: object) -> None:
    path = docker_archive(tmp_path / "a.tar")
    path.write_bytes(compress(path.read_bytes()))  # type: ignore[operator]
    assert load.load(own_store, str(path)) == ["example.com/a:1"]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_layers_of_an_archive_may_be_compressed(
    own_store: Store, tmp_path: pathlib.Path, compress: object
) -> None:
    path = docker_archive(tmp_path / "a.tar", **{"l/layer.tar": compress(LAYER)})  # type: ignore[operator]
    load.load(own_store, str(path))
    assert lookup.lookup(own_store, "example.com/a:1").layers[0].diff_id == f"sha256:{DIGEST}"


@pytest.mark.parametrize("piped", [True, False])
def test_archives_come_through_standard_input(own_store: Store, tmp_path: pathlib.Path, piped: bool) -> None:
    path = docker_archive(tmp_path / "a.tar")
    code = "import sys; from pyctr.image import load; from pyctr.storage.paths import Store; "
    code += f"print(load.load(Store(root={own_store.root!r}, runroot={own_store.runroot!r}), '-'))"
    argv = [sys.executable, "-c", code]
    if piped:
        done = subprocess.run(argv, input=path.read_bytes(), check=True, capture_output=True)
    else:
        with path.open("rb") as file:
            done = subprocess.run(argv, stdin=file, check=True, capture_output=True)
    assert b"example.com/a:1" in done.stdout


def test_a_layer_may_be_a_link_to_another_member(own_store: Store, tmp_path: pathlib.Path) -> None:
    config = json.dumps(image_config([DIGEST, DIGEST], {}))
    archive = Layer().file("a/layer.tar", LAYER).symlink("b/layer.tar", "../a/layer.tar")
    archive.file("config.json", config)
    archive.file("manifest.json", archive_entry(Layers=["a/layer.tar", "b/layer.tar"]))
    path = tmp_path / "a.tar"
    path.write_bytes(archive.tar())
    load.load(own_store, str(path))
    assert len(lookup.lookup(own_store, "example.com/a:1").layers) == 2


@pytest.mark.parametrize("tags", [None, []])
def test_an_image_without_a_name_is_told_by_its_id(
    own_store: Store, tmp_path: pathlib.Path, tags: object
) -> None:
    path = docker_archive(tmp_path / "a.tar", **{"manifest.json": archive_entry(RepoTags=tags)})
    (told,) = load.load(own_store, str(path))
    assert told == f"sha256:{images.image_ids(own_store)[0]}"
    assert images.image_names(own_store) == []


def test_short_names_of_docker_are_those_of_docker_io(own_store: Store, tmp_path: pathlib.Path) -> None:
    path = docker_archive(tmp_path / "a.tar", **{"manifest.json": archive_entry(RepoTags=["busybox:1"])})
    assert load.load(own_store, str(path)) == ["docker.io/library/busybox:1"]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_archive_is_refused(own_store: Store, tmp_path: pathlib.Path, share: float) -> None:
    path = docker_archive(tmp_path / "a.tar")
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[: int(len(data) * share)])
    refused(own_store, path)


def test_a_truncated_compressed_archive_is_refused(own_store: Store, tmp_path: pathlib.Path) -> None:
    path = docker_archive(tmp_path / "a.tar")
    path.write_bytes(gzip.compress(path.read_bytes())[:-100])
    assert "ends too early" in refused(own_store, path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifest.json": "{"}, "not JSON"),
        ({"manifest.json": "{}"}, "not a list"),
        ({"manifest.json": "[]"}, "no image"),
        ({"manifest.json": None}, "neither a docker-archive nor"),
        ({"manifest.json": None, "repositories": "{}"}, "older than 1.10"),
        ({"config.json": "{"}, "not JSON"),
        ({"config.json": None}, "lacks the file 'config.json'"),
        ({"config.json": json.dumps(image_config([], {}))}, "0 layers"),
        ({"l/layer.tar": None}, "lacks the file 'l/layer.tar'"),
        ({"l/layer.tar": LAYER + b"x"}, DIGEST),
        ({"l/layer.tar": b""}, DIGEST),
        ({"manifest.json": archive_entry(RepoTags=["../../evil"])}, "../../evil"),
        ({"manifest.json": archive_entry(RepoTags=["UPPER"])}, "lower case"),
        ({"manifest.json": archive_entry(Config="/etc/passwd")}, "lacks the file"),
        ({"manifest.json": archive_entry(Layers=["../../../etc/passwd"])}, "lacks the file"),
        ({"manifest.json": archive_entry(Config="\0")}, "lacks the file"),
        ({"manifest.json": "[" + " " * manifest.MANIFEST_LIMIT + "]"}, "larger than 4 MiB"),
    ],
)
def test_a_broken_archive_is_refused(
    own_store: Store, tmp_path: pathlib.Path, changes: dict[str, object], words: str
) -> None:
    assert words in refused(own_store, docker_archive(tmp_path / "a.tar", **changes))


def test_a_link_out_of_the_archive_leads_nowhere(own_store: Store, tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(LAYER)
    for target in (str(secret), f"../../../..{secret}"):
        archive = Layer().file("config.json", json.dumps(image_config([DIGEST], {})))
        archive.symlink("l/layer.tar", target).file("manifest.json", archive_entry())
        path = tmp_path / "a.tar"
        path.write_bytes(archive.tar())
        assert "lacks the file" in refused(own_store, path)


def test_a_loop_of_links_ends(own_store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(Layer().symlink("manifest.json", "x").symlink("x", "manifest.json").tar())
    assert "neither" in refused(own_store, path)


def test_two_members_of_one_name_are_refused(own_store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(Layer().file("manifest.json", "[]").file("./manifest.json", archive_entry()).tar())
    assert "two files" in refused(own_store, path)


@pytest.mark.parametrize("content", [b"", b"text" * 1000, os.urandom(4096), b"\0" * 10240])
def test_what_is_no_archive_is_refused(own_store: Store, tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    refused(own_store, path)


def test_a_missing_archive_is_refused(own_store: Store, tmp_path: pathlib.Path) -> None:
    assert "does not exist" in refused(own_store, tmp_path / "absent.tar")


class Layout:
    """An OCI image layout in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.layer = self.blob(gzip.compress(LAYER), f"{manifest.OCI_LAYER}+gzip")
        self.config = self.blob(json.dumps(image_config([DIGEST], {})).encode(), manifest.OCI_CONFIG)
        document = {"schemaVersion": 2, "config": self.config, "layers": [self.layer]}
        self.manifest = self.blob(json.dumps(document).encode(), manifest.OCI_MANIFEST)
        self.index({**self.manifest, "annotations": {"org.opencontainers.image.ref.name": "quay.io/a/b:2"}})

    def blob(self, data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def index(self, *entries: dict[str, object]) -> None:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))

    def path(self, descriptor: dict[str, object]) -> pathlib.Path:
        return self.folder / "blobs" / str(descriptor["digest"]).replace(":", "/")


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout(tmp_path / "layout")


def test_a_layout_folder_is_loaded(own_store: Store, layout: Layout) -> None:
    assert load.load(own_store, str(layout.folder)) == ["quay.io/a/b:2"]
    image = lookup.lookup(own_store, "quay.io/a/b:2")
    assert image.manifest_digest == layout.manifest["digest"]
    assert blobs.has_blob(own_store, str(layout.layer["digest"]))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("1.0", "localhost/1.0:latest"),
        ("mine:2", "localhost/mine:2"),
        ("docker.io/x", "docker.io/library/x:latest"),
    ],
)
def test_a_layout_without_a_registry_is_local(
    own_store: Store, layout: Layout, name: str, full: str
) -> None:
    layout.index({**layout.manifest, "annotations": {"org.opencontainers.image.ref.name": name}})
    assert load.load(own_store, str(layout.folder)) == [full]


def test_an_index_in_a_layout_is_followed(own_store: Store, layout: Layout) -> None:
    inner = layout.blob(
        json.dumps(
            {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [layout.manifest]}
        ).encode(),
        manifest.OCI_INDEX,
    )
    layout.index({**inner, "annotations": {"io.containerd.image.name": "docker.io/library/x:1"}})
    assert load.load(own_store, str(layout.folder)) == ["docker.io/library/x:1"]


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
@pytest.mark.parametrize("damage", ["gone", "changed", "outside"])
def test_a_damaged_layout_is_refused(own_store: Store, layout: Layout, part: str, damage: str) -> None:
    path = layout.path(getattr(layout, part))
    data = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(data[:-1] + b"x")
    if damage == "outside":
        outside = layout.folder.parent / "outside"
        outside.write_bytes(data)
        path.symlink_to(outside)
    refused(own_store, layout.folder)


def test_a_fifo_in_a_layout_does_not_hang(own_store: Store, layout: Layout) -> None:
    path = layout.path(layout.layer)
    path.unlink()
    os.mkfifo(path)
    assert "not a file" in refused(own_store, layout.folder)


@pytest.mark.parametrize("compress", [lzma.compress, bz2.compress])
def test_a_layer_that_unpacks_without_end_is_cut(
    own_store: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, compress: object
) -> None:
    monkeypatch.setattr(load, "DEFAULT_LIMITS", Limits(unpacked=1 << 20, ratio=1))
    layer = {"l/layer.tar": compress(bytes(1 << 21))}  # type: ignore[operator]
    assert "larger than" in refused(own_store, docker_archive(tmp_path / "a.tar", **layer))


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_an_archive_that_unpacks_without_end_is_cut(
    own_store: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, compress: object
) -> None:
    """Before it has filled the disk."""
    monkeypatch.setattr("pyctr.image.archive.DEFAULT_LIMITS", Limits(unpacked=1 << 20, ratio=1))
    path = docker_archive(tmp_path / "a.tar", **{"l/layer.tar": bytes(1 << 23)})
    path.write_bytes(compress(path.read_bytes()))  # type: ignore[operator]
    assert "unpacks to more than 1048576 bytes" in refused(own_store, path)


def test_an_archive_of_endless_names_is_refused(own_store: Store, tmp_path: pathlib.Path) -> None:
    archive = Layer()
    for number in range(20):
        archive.file(f"{number}/" + "x/" * 500_000)
    (tmp_path / "a.tar").write_bytes(archive.tar())
    assert "bytes of names" in refused(own_store, tmp_path / "a.tar")


def test_an_archive_of_too_many_layers_is_refused_before_they_are_stored(
    own_store: Store, tmp_path: pathlib.Path
) -> None:
    count = manifest.LAYER_COUNT_LIMIT + 1
    config = json.dumps(image_config([DIGEST] * count, {}))
    entry = archive_entry(Layers=["l/layer.tar"] * count)
    path = docker_archive(tmp_path / "a.tar", **{"config.json": config, "manifest.json": entry})
    assert f"{count} layers" in refused(own_store, path)
    assert not os.path.exists(own_store.blobs())

"""The store as an OCI image layout, for tools that know nothing of pyctr."""

import gzip
import hashlib
import json
import pathlib
import subprocess

import pytest

from pyctr.storage import images
from pyctr.storage.paths import Store
from tests import images as images_of_tests
from tests import ocirules
from tests.commands import Cli
from tests.conftest import needs
from tests.images import BUSYBOX, PAGE, Layer

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(cli: Cli, store: Store, folder: pathlib.Path, expected: dict[str, str]) -> None:
    """Each name has an image that skopeo inspects and umoci unpacks; it holds www/index.html, if not ""."""
    entries = ocirules.check_layout(pathlib.Path(store.root))
    names = [entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in entries]
    assert sorted(filter(None, names)) == sorted(expected)
    for number, (name, page) in enumerate(expected.items()):
        seen = json.loads(skopeo("inspect", f"oci:{store.root}:{name}"))
        layers = cli("image", "inspect", "--format", "{{len .RootFS.Layers}}", name).stdout
        assert len(seen["Layers"]) == int(layers)
        config = skopeo("inspect", "--config", "--raw", f"oci:{store.root}:{name}")
        bundle = folder / f"{len(expected)}-{number}"
        words = ["umoci", "unpack", "--rootless", "--image", f"{store.root}:{name}", str(bundle)]
        subprocess.run(words, check=True, capture_output=True)
        found = bundle / "rootfs/www/index.html"
        assert (found.read_text() if found.exists() else "") == page
        assert json.loads(config)["rootfs"]["type"] == "layers"


@pytest.fixture
def remote(registry: str, busybox_archive: pathlib.Path) -> str:
    """An image of Docker's format in a registry."""
    needs("skopeo", "umoci")
    name = f"{registry}/remote:1"
    copy = ["copy", "-q", "--format", "v2s2", "--dest-tls-verify=false", f"docker-archive:{busybox_archive}"]
    skopeo(*copy, f"docker://{name}")
    return name


def test_others_read_the_store_whatever_was_done(
    cli: Cli, store: Store, remote: str, busybox_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    cli("load", "-q", "-i", busybox_archive)
    cli("pull", "-q", remote)
    script = "rm /www/index.html; echo x > /x"
    cli("run", "--name", "box", "--network", "none", BUSYBOX, "sh", "-c", script)
    cli("commit", "-q", "box", "localhost/oci:1")
    cli("commit", "-q", "-f", "docker", "-m", "again", "box", "localhost/docker:1")
    cli("tag", BUSYBOX, "quay.io/some/where:2")
    cli("export", "-o", tmp_path / "root.tar", "box")
    change = ("-c", "ENV A=b", "-c", "CMD sh", "-c", "LABEL c=d", "-c", "EXPOSE 80", "-c", "VOLUME /v")
    cli("import", "-q", *change, tmp_path / "root.tar", "localhost/imported:1")
    pages = {BUSYBOX: PAGE, remote: PAGE, "quay.io/some/where:2": PAGE, "localhost/imported:1": ""}
    check(cli, store, tmp_path, {**pages, "localhost/oci:1": "", "localhost/docker:1": ""})
    cli("rm", "box")
    cli("rmi", "localhost/docker:1", "localhost/imported:1", "quay.io/some/where:2", remote)
    check(cli, store, tmp_path, {BUSYBOX: PAGE, "localhost/oci:1": ""})
    cli("rmi", BUSYBOX)
    cli("image", "prune", "-f")
    check(cli, store, tmp_path, {"localhost/oci:1": ""})
    assert cli("system", "check").stdout == ""


def test_a_second_manifest_changes_nothing_for_pyctr(
    cli: Cli, store: Store, remote: str, registry: str
) -> None:
    """Digest, id and what is pushed are those of Docker's; the second goes with the image."""
    cli("pull", "-q", remote)
    (row,) = images.list_images(store)
    assert row.image and row.image.manifest_media_type == DOCKER and row.image.oci_digest
    assert cli("images", "--format", "{{.Digest}}").stdout.strip() == row.image.manifest_digest
    cli("push", "-q", remote, f"{registry}/again:1")
    raw = [skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry}/{name}:1") for name in
           ("remote", "again")]  # fmt: skip
    assert raw[0] == raw[1] and DOCKER in raw[0]
    cli("system", "prune", "-f")
    assert pathlib.Path(store.blob(row.image.oci_digest)).exists()
    cli("rmi", remote)
    assert list(pathlib.Path(store.blobs(), "sha256").iterdir()) == []


def test_layers_are_named_by_their_compression(cli: Cli, store: Store, tmp_path: pathlib.Path) -> None:
    """All of them are called gzip or zstd in Docker's manifest."""
    tars = [Layer().file(f"f{number}").tar() for number in range(3)]
    zstd = subprocess.run(["zstd", "-qc"], input=tars[2], check=True, capture_output=True).stdout
    config = json.dumps(images_of_tests.image_config([hashlib.sha256(tar).hexdigest() for tar in tars], {}))
    names = ["plain", "gzip", "zstd"]
    entry = [{"Config": "config.json", "RepoTags": ["localhost/mixed:1"], "Layers": names}]
    archive = Layer().file("manifest.json", json.dumps(entry)).file("config.json", config)
    for name, data in zip(names, (tars[0], gzip.compress(tars[1]), zstd), strict=True):
        archive.file(name, data)
    (tmp_path / "mixed.tar").write_bytes(archive.tar())
    cli("load", "-q", "-i", tmp_path / "mixed.tar")
    (found,) = ocirules.check_layout(pathlib.Path(store.root))
    made = json.loads(pathlib.Path(store.blob(found["digest"])).read_text())
    assert [each["mediaType"].rpartition(".")[2] for each in made["layers"]] == [
        "tar",
        "tar+gzip",
        "tar+zstd",
    ]

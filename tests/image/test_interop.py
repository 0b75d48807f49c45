"""Images go from pyctr to podman and skopeo and back: they run, and keep their digests on every way."""

import json
import pathlib
import subprocess

import pytest

from tests import ocirules
from tests.commands import Cli
from tests.conftest import needs
from tests.images import BUSYBOX, PAGE, Layer
from tests.peers import Podman

LOCAL = "--dest-tls-verify=false"
FORMATS = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")
TRANSPORTS = {"oci-dir": "oci", "docker-dir": "dir"}
every_format = pytest.mark.parametrize("kind", FORMATS)


def skopeo(*words: str) -> str:
    needs("skopeo")
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def digest_at(place: str) -> str:
    return skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", place)


def run_in_podman(podman: Podman, image: str) -> str:
    """The page of an image, as a container prints it; crun needs pure cgroups, else it is read."""
    if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        options = ("--rm", "--network=none", "--cgroups=disabled")
        return podman("run", *options, image, "cat", "/www/index.html").stdout
    return podman("unshare", "sh", "-c", f"cat $(podman image mount {image})/www/index.html").stdout


def run_in_pyctr(cli: Cli, image: str) -> str:
    return cli("run", "--rm", "--network", "none", image, "cat", "/www/index.html").stdout


@every_format
def test_podman_runs_what_pyctr_saved(
    cli: Cli, busybox: str, podman: Podman, tmp_path: pathlib.Path, kind: str
) -> None:
    cli("save", "-q", "--format", kind, "-o", tmp_path / "saved", busybox)
    loaded = podman("load", "-q", "-i", tmp_path / "saved").stdout.partition(": ")[2].strip()
    try:
        assert run_in_podman(podman, loaded) == PAGE
        ours = cli("image", "inspect", "--format", "{{.Id}} {{.RootFS.Layers}}", busybox).stdout
        assert podman("image", "inspect", "--format", "{{.Id}} {{.RootFS.Layers}}", loaded).stdout == ours
        if kind != "docker-archive":  # it has no manifest: readers make one up
            theirs = podman("image", "inspect", "--format", "{{.Digest}}", loaded).stdout.strip()
            assert theirs == digest_at(f"{TRANSPORTS.get(kind, kind)}:{tmp_path}/saved")
    finally:
        podman("rmi", "-f", loaded)


@every_format
def test_pyctr_runs_what_podman_saved(
    cli: Cli, podman: Podman, busybox_archive: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
    podman("load", "-q", "-i", busybox_archive)
    podman("save", "-q", "--format", kind, "-o", tmp_path / "saved", BUSYBOX)
    image_id = podman("image", "inspect", "--format", "{{.Id}}", BUSYBOX).stdout
    podman("rmi", "-f", BUSYBOX)
    name = cli("load", "-q", "-i", tmp_path / "saved").stdout.partition(": ")[2].strip()
    assert run_in_pyctr(cli, name) == PAGE
    if "docker" in kind:  # for the others podman has made another config
        assert cli("image", "inspect", "--format", "{{.Id}}", name).stdout == image_id
    if kind != "docker-archive":
        ours = cli("image", "inspect", "--format", "{{.Digest}}", name).stdout.strip()
        assert ours == digest_at(f"{TRANSPORTS.get(kind, kind)}:{tmp_path}/saved")


@pytest.mark.parametrize("kind", ["oci", "v2s2", "zstd"])
def test_a_registry_between_podman_and_pyctr(
    cli: Cli, busybox: str, podman: Podman, registry: str, kind: str
) -> None:
    """Pushed by pyctr, pulled, run and pushed by podman, pulled, run and pushed by pyctr: one digest."""
    words = ["--compression-format=zstd"] if kind == "zstd" else ["--format", kind]
    cli("push", "-q", *words, busybox, f"{registry}/one:1")
    podman("pull", "-q", "--tls-verify=false", f"{registry}/one:1")
    try:
        assert run_in_podman(podman, f"{registry}/one:1") == PAGE
    finally:
        podman("rmi", "-f", f"{registry}/one:1")
    skopeo(
        "copy",
        "-q",
        "--src-tls-verify=false",
        LOCAL,
        *[f"docker://{registry}/{n}:1" for n in ("one", "two")],
    )
    cli("rmi", "-af")
    cli("pull", "-q", f"{registry}/two:1")
    assert run_in_pyctr(cli, f"{registry}/two:1") == PAGE
    cli("push", "-q", f"{registry}/two:1", f"{registry}/three:1")
    digests = {digest_at(f"docker://{registry}/{name}:1") for name in ("one", "two", "three")}
    assert digests == {
        cli("image", "inspect", "--format", "{{.Digest}}", f"{registry}/two:1").stdout.strip()
    }


@pytest.mark.parametrize("kind", ["oci", "v2s2"])
def test_what_podman_pushed_runs(
    cli: Cli, podman: Podman, registry: str, busybox_archive: pathlib.Path, kind: str
) -> None:
    podman("load", "-q", "-i", busybox_archive)
    podman("push", "-q", "--tls-verify=false", "--format", kind, BUSYBOX, f"{registry}/theirs:1")
    podman("rmi", "-f", BUSYBOX)
    cli("pull", "-q", f"{registry}/theirs:1")
    assert run_in_pyctr(cli, f"{registry}/theirs:1") == PAGE
    ours = cli("image", "inspect", "--format", "{{.Digest}}", f"{registry}/theirs:1").stdout.strip()
    assert ours == digest_at(f"docker://{registry}/theirs:1")


def test_a_pushed_list_keeps_the_rules(cli: Cli, registry: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "root.tar").write_bytes(Layer().file("hello", "anybody").tar())
    cli("manifest", "create", "--annotation", "a=b", "list")
    for arch in ("amd64", "s390x"):
        cli("import", "-q", "--arch", arch, tmp_path / "root.tar", f"localhost/hello:{arch}")
        cli("manifest", "add", "--annotation", "c=d", "list", f"localhost/hello:{arch}")
    cli("manifest", "push", "-q", "--all", "list", f"{registry}/list:1")
    layout = tmp_path / "layout"
    copy = ("copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false")
    skopeo(*copy, f"docker://{registry}/list:1", f"oci:{layout}:1")
    (entry,) = ocirules.check_layout(layout)
    assert entry["digest"] == digest_at(f"docker://{registry}/list:1")
    index = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
    assert index["annotations"] == {"a": "b"} and len(index["manifests"]) == 2

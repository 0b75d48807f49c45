"""run and create of images in archives and folders."""

import json
import pathlib
import tarfile

import pytest

from tests.commands import Cli
from tests.images import busybox_layer, busybox_program, write_docker_archive

FORMATS = {
    "docker-archive": "docker-archive",
    "oci-archive": "oci-archive",
    "oci": "oci-dir",
    "dir": "docker-dir",
}


@pytest.mark.parametrize("transport", FORMATS)
def test_an_image_is_run_from_where_it_was_saved(
    cli: Cli, busybox: str, tmp_path: pathlib.Path, transport: str
) -> None:
    place = tmp_path / "saved"
    cli("save", "-q", "--format", FORMATS[transport], "-o", place, busybox)
    cli("rmi", busybox)
    done = cli("run", "--rm", "--pull=never", f"{transport}:{place}", "echo", "hi")
    assert done.stdout == "hi\n"
    cli("create", "-q", "--name", "c", f"{transport}:{place}", "true")
    if transport != "dir":  # which has no name in it
        assert cli("ps", "-a", "--format", "{{.Image}}").stdout == f"{busybox}\n"
        assert cli("run", "--rm", f"{transport}:{place}:{busybox}", "echo", "hi").stdout == "hi\n"
    if transport == "dir":
        return
    missing = cli("run", "--rm", f"{transport}:{place}:absent", "true", check=False)
    assert missing.returncode == 125 and "no image of the name absent" in missing.stderr


def test_which_of_several_is_meant_must_be_said(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other.tar"
    write_docker_archive(other, [busybox_layer(busybox_program())], "localhost/other:1", {"Cmd": ["true"]})
    cli("load", "-q", "-i", other)
    both = tmp_path / "both.tar"
    cli("save", "-q", "-m", "-o", both, busybox, "other:1")
    done = cli("run", "--rm", f"docker-archive:{both}", "true", check=False)
    assert done.returncode == 125
    assert "holds 2 images: " in done.stderr and "docker-archive:PATH:NAME" in done.stderr
    assert cli("run", "--rm", f"docker-archive:{both}:localhost/other:1", "echo", "x").stdout == "x\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("docker-archive:/absent.tar", "cannot load /absent.tar"),
        ("oci:", "names no file"),
        ("dir:/etc", "cannot load /etc"),
        ("containers-storage:absent", "absent: image not known"),
    ],
)
def test_what_cannot_be_loaded_is_told(cli: Cli, name: str, told: str) -> None:
    done = cli("run", "--rm", name, "true", check=False)
    assert done.returncode == 125 and told in done.stderr
    assert cli("ps", "-aq").stdout == ""


def test_the_store_is_named_too(cli: Cli, busybox: str) -> None:
    assert cli("run", "--rm", f"containers-storage:{busybox}", "echo", "hi").stdout == "hi\n"


def test_a_digest_is_no_tag_in_an_archive(
    cli: Cli, busybox: str, registry: str, tmp_path: pathlib.Path
) -> None:
    cli("push", "-q", "--digestfile", tmp_path / "digest", busybox, f"{registry}/x:1")
    cli("rmi", busybox)
    name = f"{registry}/x@{(tmp_path / 'digest').read_text()}"
    cli("pull", "-q", name)
    cli("save", "-q", "-o", tmp_path / "saved.tar", name)
    with tarfile.open(tmp_path / "saved.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest and json.load(manifest)[0]["RepoTags"] == []
    assert "sha256:" in cli("load", "-q", "-i", tmp_path / "saved.tar").stdout

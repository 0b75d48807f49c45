"""The fixtures themselves: what they promise to other tests."""

import json
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from tests import commands, images, processes
from tests.peers import Podman


def test_busybox_archive_is_one_that_podman_loads(podman: Podman, busybox_archive: Path) -> None:
    podman("load", "-q", "-i", busybox_archive)
    config = json.loads(podman("image", "inspect", images.BUSYBOX).stdout)[0]["Config"]
    assert config == {"Env": [images.PATH], "Cmd": ["sh"]}


def test_archive_is_the_same_whenever_it_is_made(busybox_archive: Path) -> None:
    with tarfile.open(busybox_archive) as archive:
        made = archive.extractfile(archive.getmembers()[0])
        assert made and made.read() == images.busybox_layer(images.busybox_program())


def test_registry_answers(registry: str) -> None:
    with urllib.request.urlopen(f"http://{registry}/v2/") as answer:
        assert answer.status == 200


def test_process_of_a_test_is_found_and_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    options = {"cwd": tmp_path, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **options) as child:  # type: ignore[call-overload]
        child.stdout.readline()
        [left] = processes.left_behind(str(tmp_path), seconds=0.1)
        assert left.startswith(str(child.pid))
        assert child.wait() == -9


def test_tree_with_files_of_subordinate_ids_is_removed(tmp_path: Path) -> None:
    script = (
        'mkdir -p "$0/theirs" && chown 33:33 "$0/theirs" && chmod 700 "$0/theirs" && touch "$0/theirs/file"'
    )
    namespace = ["unshare", "--user", "--map-root-user", "--map-auto"]
    subprocess.run([*namespace, "sh", "-c", script, tmp_path / "tree"], check=True)
    assert commands.remove_tree(str(tmp_path / "tree")) == []

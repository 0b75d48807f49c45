"""A disk that gets full at any point of an operation: nothing is lost, and with more room all is well."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import registries
from tests.commands import Cli
from tests.conftest import needs
from tests.images import BUSYBOX, Layer, write_docker_archive

SCRIPT = pathlib.Path(__file__).with_name("fulldisk.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--map-auto", "--mount"]
OPERATIONS: dict[str, tuple[str, str, int]] = {  # words, the next call, KiB that are enough
    "load": ("load -q -i ARCHIVE", "load -q -i ARCHIVE", 1300),
    "pull": ("pull -q --tls-verify=false REGISTRY/new:1", "pull -q --tls-verify=false REGISTRY/new:1", 700),
    "commit": ("commit -q changed new", "commit -q changed new", 48),
    "import": ("import -q ARCHIVE new", "import -q ARCHIVE new", 1900),
    "tag": (f"tag {BUSYBOX} new", f"tag {BUSYBOX} new", 16),
    "rmi": ("rmi old", "rmi -i old", 16),
    "prune": ("system prune -f", "system prune -f", 16),
    "volume create": ("volume create data", "volume create --ignore data", 24),
    "volume import": ("volume import old ARCHIVE", "volume import old ARCHIVE", 700),
    "create": ("create -v data:/etc -v /anonymous IMAGE", "create -v data:/etc IMAGE", 64),
    "run": ("run --rm --network none -v data:/etc IMAGE true", "run --rm IMAGE true", 64),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    one = Layer().file("big", bytes(range(256)) * 2000).folder("deep").file("deep/file", "content")
    two = Layer().hardlink("same", "big").whiteout("deep/file")
    path = tmp_path_factory.mktemp("full") / "new.tar"
    write_docker_archive(path, [one.tar(), two.tar()], "localhost/new:1", {"Cmd": ["true"]})
    return path


@pytest.fixture(scope="module")
def registry_with_new(archive: pathlib.Path) -> Iterator[str]:
    needs("docker-registry", "skopeo")
    with registries.serve() as address:
        argv = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}"]
        subprocess.run([*argv, f"docker://{address}/new:1"], check=True)
        yield address


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_full_disk_loses_nothing(
    cli: Cli,
    busybox_archive: pathlib.Path,
    archive: pathlib.Path,
    registry_with_new: str,
    pyctr_program: list[str],
    name: str,
) -> None:
    words, again, enough = OPERATIONS[name]
    folder = f"{cli.folder}/full"
    os.mkdir(folder)

    def filled(text: str) -> list[str]:
        text = text.replace("ARCHIVE", str(archive)).replace("IMAGE", BUSYBOX)
        return text.replace("REGISTRY", registry_with_new).split()

    load = ["load", "-q", "-i", str(busybox_archive)]
    warm = ["run", "--name", "changed", "--network", "none", BUSYBOX, "touch", "/file"]
    plan = {
        "pyctr": pyctr_program,
        "prepare": [load, ["tag", BUSYBOX, "old"], ["volume", "create", "old"], warm],
        "operation": filled(words),
        "again": filled(again),
        "kept": BUSYBOX,
        "rooms": sorted({enough * step // 10 // 4 * 4 for step in range(11)}),
    }
    done = subprocess.run(
        [*NAMESPACE, sys.executable, SCRIPT, folder, json.dumps(plan)],
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    wrong, full = json.loads(done.stdout)
    assert wrong == []
    least = (
        5 if name in ("load", "pull", "import", "volume import") else 0 if name in ("rmi", "prune") else 1
    )
    assert full >= least, "the disk was not full"

"""The same image, unpacked by podman and by pyctr, looks the same in a container."""

import ast
import pathlib
import subprocess
import sys
import tarfile

from pyctr.rootless.idmap import IdMaps
from pyctr.storage.paths import Store
from tests import images
from tests.images import Layer
from tests.peers import Podman
from tests.storage.building import merged, put_image

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
NAME = "localhost/peer:latest"
LOOK = """
import sys
sys.path[:0] = sys.argv[2:]
from tests.storage.building import walk
print(repr(walk(sys.argv[1])))
"""


def stack() -> list[bytes]:
    """Three layers with everything that podman keeps.

    Parents have entries: podman makes up those that lack one.
    """
    packed = {"SCHILY.xattr.security.capability": CAPABILITY.decode(), "SCHILY.xattr.user.k": "v"}
    lower = Layer().folder("./", 0o755).folder("etc").file("etc/passwd", "1", uid=65535, gid=1)
    lower.folder("bin", 0o2750, gid=50).file("bin/su", "su", 0o6755).file(
        "bin/ping", "p", 0o755, pax_headers=packed
    )
    lower.hardlink("bin/ping6", "bin/ping", mode=0o755, pax_headers=packed).symlink(
        "sbin", "bin", uid=7, gid=8
    ).folder("opt").file("opt/old")
    lower.add("pipe", type=tarfile.FIFOTYPE, mode=0o640, uid=3).folder("tmp", 0o1777).file("gone").folder(
        "var"
    ).folder("var/x")
    lower.add("null", type=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    middle = (
        Layer().whiteout("gone").folder("opt", uid=9).opaque("opt").file("opt/new", "n").folder("etc", 0o700)
    )
    upper = (
        Layer()
        .folder("opt", uid=9)
        .whiteout("opt/new")
        .folder("late")
        .folder("late/a")
        .folder("bin", 0o755)
        .file("bin/su", "again", 0o755)
        .folder("late/a/b", uid=1)
    )
    return [lower.tar(), middle.tar(), upper.tar()]


def test_podman_and_pyctr_show_the_same(
    podman: Podman, own_store: Store, maps: IdMaps, disk: str, tmp_path: pathlib.Path
) -> None:
    tars = stack()
    images.write_docker_archive(tmp_path / "image.tar", tars, NAME)
    podman("load", "-q", "-i", tmp_path / "image.tar")
    folders = [path for path in sys.path if path]
    look = subprocess.list2cmdline([sys.executable, "-c", LOOK])
    script = f'{look} "$(podman image mount {NAME})" {" ".join(folders)}'
    theirs = podman("unshare", "sh", "-c", script).stdout
    ours = merged(own_store, put_image(own_store, *tars), maps, disk)
    assert {name: tuple(row) for name, row in ours.items() if name != "."} == parsed(theirs)


def parsed(text: str) -> dict[str, tuple[object, ...]]:
    """Without the root, whose mode and time depend on who mounts."""
    rows: dict[str, tuple[object, ...]] = ast.literal_eval(text)
    return {name: row for name, row in rows.items() if name != "."}

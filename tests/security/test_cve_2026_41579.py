"""CVE-2026-41579: the image's own folders are links that lead set-up out of the root file system."""

import pathlib
import tarfile

import pytest

from tests import images
from tests.commands import Cli
from tests.security import hostile
from tests.security.hostile import Outside

UP = "../" * 12


def image_with_link(cli: Cli, folder: pathlib.Path, name: str, target: str) -> str:
    layer = images.Layer()
    for other in {"bin", "dev", "etc", "proc", "sys", "run", "tmp"} - {name}:
        layer.folder(other)
    layer.symlink(name, target)
    program = pathlib.Path(images.busybox_program()).read_bytes()
    return hostile.load_alone(cli, folder, layer.file("bin/busybox", program, 0o755))


def run(cli: Cli, image: str, *options: str) -> None:
    """It may run or be refused in words; it must not fail unexpectedly."""
    command = ("/bin/busybox", "sh", "-c", "busybox touch /dev/made /etc/made; busybox cat /dev/null")
    done = cli("run", "--rm", "--network", "none", *options, image, *command, check=False)
    assert done.returncode in (0, 125, 126, 127)
    assert "defect" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["dev", "etc", "proc", "sys", "run", "tmp"])
def test_an_absolute_link(cli: Cli, tmp_path: pathlib.Path, outside: Outside, name: str) -> None:
    run(cli, image_with_link(cli, tmp_path, name, str(outside.folder)))
    outside.assert_untouched()


@pytest.mark.parametrize("name", ["dev", "etc", "proc", "sys"])
def test_a_link_that_climbs(cli: Cli, tmp_path: pathlib.Path, outside: Outside, name: str) -> None:
    run(cli, image_with_link(cli, tmp_path, name, f"{UP}{outside.folder}"))
    outside.assert_untouched()


@pytest.mark.parametrize("target", ["/", "..", "/proc/self/root", "/proc/1/cwd", "/dev"])
def test_dev_is_a_link_to_something_of_the_container(
    cli: Cli, tmp_path: pathlib.Path, outside: Outside, target: str
) -> None:
    run(cli, image_with_link(cli, tmp_path, "dev", target))
    outside.assert_untouched()


@pytest.mark.parametrize("option", ["-v", "--tmpfs"])
def test_a_mount_point_below_a_link(cli: Cli, tmp_path: pathlib.Path, outside: Outside, option: str) -> None:
    image = image_with_link(cli, tmp_path, "data", str(outside.folder))
    source = tmp_path / "source"
    source.mkdir()
    (source / "null").touch()
    target = "/data/pts"
    run(cli, image, option, f"{source}:{target}" if option == "-v" else target)
    outside.assert_untouched()


def test_a_file_that_pyctr_writes_is_a_link(cli: Cli, tmp_path: pathlib.Path, outside: Outside) -> None:
    layer = images.Layer()
    for name in ("hosts", "resolv.conf", "hostname"):
        layer.symlink(f"etc/{name}", f"{UP}{outside.folder}/{name}")
    image = hostile.load(cli, tmp_path, layer)
    cli("run", "--rm", "--network", "none", image, "sh", "-c", "echo x >> /etc/hosts", check=False)
    outside.assert_untouched()


def test_passwd_is_a_link_to_the_hosts(cli: Cli, tmp_path: pathlib.Path) -> None:
    """The user is looked up in the container's files, never in the host's."""
    stolen = tmp_path / "stolen"
    stolen.write_text("intruder:x:0:0::/:/bin/sh\n")
    image = hostile.load(cli, tmp_path, images.Layer().symlink("etc/passwd", f"{UP}{stolen}"))
    done = cli("run", "--rm", "--network", "none", "-u", "intruder", image, "id", check=False)
    assert done.returncode in (125, 126)
    assert "intruder" in done.stderr


@pytest.mark.parametrize(
    ("kind", "target"), [(tarfile.FIFOTYPE, ""), (tarfile.SYMTYPE, "/dev/zero"), (tarfile.DIRTYPE, "")]
)
def test_passwd_is_no_file(cli: Cli, tmp_path: pathlib.Path, kind: bytes, target: str) -> None:
    """Neither a pipe that nobody writes nor a device that never ends holds set-up."""
    layer = images.Layer().add("etc/passwd", type=kind, linkname=target, mode=0o666)
    image = hostile.load(cli, tmp_path, layer)
    done = cli("run", "--rm", "--network", "none", "-u", "guest", image, "id", check=False)
    assert done.returncode in (125, 126)
    assert "guest" in done.stderr

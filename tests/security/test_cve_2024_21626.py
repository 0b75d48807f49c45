"""CVE-2024-21626: a working directory that is a leaked descriptor of the host."""

import pathlib
from typing import Any

import pytest

from tests import images
from tests.commands import Cli, Result
from tests.security import hostile

MARKER = "only-on-the-host"
LIST = ("sh", "-c", "ls -a . .. ../.. ../../.. ../../../.. ../../../../.. 2>/dev/null; pwd")
DESCRIPTORS = range(3, 16)


def assert_inside(done: Result) -> None:
    """Refused, or somewhere in the container."""
    assert MARKER not in done.stdout
    if done.returncode:
        assert done.returncode == 126
        assert "/proc/self/fd" in done.stderr or "/way/out" in done.stderr
        assert done.stdout == ""


@pytest.fixture
def host_folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / MARKER).touch()
    return tmp_path


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("number", [3, 7, 8])  # 7 and 8 were runc's
def test_the_working_directory_of_an_image(
    cli: Cli, host_folder: pathlib.Path, number: int, link: bool
) -> None:
    target = f"/proc/self/fd/{number}"
    layer = images.Layer().symlink("way", "/").symlink("out", target)
    image = hostile.load(cli, host_folder, layer, {"WorkingDir": "/way/out" if link else target})
    assert_inside(cli("run", "--rm", "--network", "none", image, *LIST, check=False, cwd=host_folder))


def test_the_working_directory_of_run(cli: Cli, busybox: str, host_folder: pathlib.Path) -> None:
    for number in DESCRIPTORS:
        options = ("--rm", "--network", "none", "-w", f"/proc/self/fd/{number}")
        assert_inside(cli("run", *options, busybox, *LIST, check=False, cwd=host_folder))


def test_the_working_directory_of_exec(cli: Cli, busybox: str, host_folder: pathlib.Path) -> None:
    cli("run", "-d", "--name", "box", "--network", "none", busybox, "sleep", "1000", cwd=host_folder)
    for number in DESCRIPTORS:
        folder = f"/proc/self/fd/{number}"
        assert_inside(cli("exec", "-w", folder, "box", *LIST, check=False, cwd=host_folder))


def test_no_descriptor_of_pyctr_or_its_caller_is_inherited(
    cli: Cli, busybox: str, host_folder: pathlib.Path
) -> None:
    """Three streams; the folder that ls itself had open is closed again."""
    listing = ("sh", "-c", "ls -l /proc/self/fd")
    with open(host_folder / MARKER) as file:
        options: dict[str, Any] = {"cwd": host_folder, "pass_fds": (file.fileno(),)}
        run = cli("run", "--rm", "--network", "none", busybox, *listing, **options)
        cli("run", "-d", "--name", "box", "--network", "none", busybox, "sleep", "1000", **options)
        executed = cli("exec", "box", *listing, **options)
        first = cli("exec", "box", "ls", "-l", "/proc/1/fd", **options)
    for done in (run, executed, first):
        lines = [line for line in done.stdout.splitlines() if "->" in line]
        assert len(lines) == 3, done.stdout
        assert MARKER not in done.stdout

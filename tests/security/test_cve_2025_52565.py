"""CVE-2025-52565: /dev/console and /dev/pts lead the terminal's mount somewhere else."""

import contextlib
import os
import pathlib
import pty
import subprocess

import pytest

from tests import images
from tests.commands import Cli
from tests.security import hostile

SHOW = """
stat -c '%n %F' /dev/console /dev/ptmx /dev/pts/0
grep -c ' /etc/victim ' /proc/self/mountinfo
cat /etc/victim
tty
"""


def in_terminal(cli: Cli, *args: object) -> str:
    """What pyctr prints on a terminal of its own."""
    master, slave = pty.openpty()
    child = cli.start(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    output = b""
    with open(master, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # EIO at the end
        while data := terminal.read(4096):
            output += data
    child.wait(timeout=30)
    return output.decode().replace("\r", "")


@pytest.mark.parametrize("name", ["console", "pts", "ptmx", "pts/0"])
def test_links_in_the_dev_of_the_image(cli: Cli, tmp_path: pathlib.Path, name: str) -> None:
    layer = images.Layer().file("etc/victim", "victim\n").symlink(f"dev/{name}", "/etc/victim")
    image = hostile.load(cli, tmp_path, layer)
    output = in_terminal(cli, "run", "--rm", "-it", "--network", "none", image, "sh", "-c", SHOW)
    lines = output.splitlines()
    assert lines[0] == "/dev/console character special file"
    assert lines[2:] == ["/dev/pts/0 character special file", "0", "victim", "/dev/pts/0"]


def test_a_volume_over_dev_with_a_link_as_console(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    """The user's volume hides /dev; what it holds must not be followed, nor changed."""
    dev = tmp_path / "dev"
    dev.mkdir()
    (dev / "console").symlink_to("/etc/passwd")
    (dev / "null").symlink_to("/etc/passwd")
    show = "grep -c ' /etc/passwd ' /proc/self/mountinfo; cat /proc/keys"
    options = ("--rm", "-it", "--network", "none", "-v", f"{dev}:/dev")
    output = in_terminal(cli, "run", *options, busybox, "sh", "-c", show)
    assert output == "0\n"
    assert [(dev / name).readlink() for name in ("console", "null")] == [pathlib.Path("/etc/passwd")] * 2


def test_exec_takes_no_terminal_from_what_a_process_mounted_at_dev_pts(cli: Cli, busybox: str) -> None:
    attack = """
        mount -t tmpfs tmpfs /dev/pts && mkdir -p /x && ln -s /x/victim /dev/pts/ptmx && echo ready
        sleep 1000
    """
    options = ("--name", "box", "--network", "none", "--cap-add", "sys_admin")
    started = cli.start("run", *options, busybox, "sh", "-c", attack, stdout=subprocess.PIPE)
    assert started.stdout and started.stdout.readline() == "ready\n"
    output = in_terminal(cli, "exec", "-it", "box", "echo", "executed")
    assert "executed" not in output
    assert output.startswith("Error: ")
    assert cli("exec", "box", "ls", "/x").stdout == ""

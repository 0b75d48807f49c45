"""Nothing of the host's process gets into the container: environment, umask, keys, mounts, signals."""

import ctypes
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.commands import CHECKOUT, Cli
from tests.peers import Podman
from tests.security import hostile

NONE = ("run", "--rm", "--network", "none")

KEYS = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
def keyctl(*arguments):
    result = libc.syscall(250, *[ctypes.c_long(argument) for argument in arguments])
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
GET_KEYRING_ID, READ, LINK, SESSION = 0, 11, 8, -3
ring, key = int(sys.argv[1]), int(sys.argv[2])
buffer = ctypes.create_string_buffer(100)
print(keyctl(GET_KEYRING_ID, SESSION, 0))
print(keyctl(LINK, ring, SESSION))
print(keyctl(READ, key, ctypes.addressof(buffer), 100))
"""


def test_the_environment_is_the_images_and_podmans(cli: Cli, busybox: str, peer: Podman) -> None:
    env = {"SECRET": "hunter2", "LD_PRELOAD": "", "PYTHONPATH": "/nowhere"}
    ours = cli(*NONE, "-h", "box", busybox, "env", env=env).stdout
    theirs = peer(*NONE, "-h", "box", busybox, "env").stdout
    names = [{line.partition("=")[0] for line in text.splitlines()} for text in (ours, theirs)]
    assert "hunter2" not in ours
    assert names[0] == names[1] - {"TERM"}  # podman 5 has it with a terminal only


def test_the_environment_of_pid_1_is_that_of_its_program(cli: Cli, busybox: str) -> None:
    options = ("-d", "--name", "box", "--network", "none")
    cli("run", *options, busybox, "sleep", "1000", env={"SECRET": "hunter2"})
    done = cli("exec", "box", "cat", "/proc/1/environ", "/proc/self/environ", env={"SECRET": "hunter2"})
    assert "hunter2" not in done.stdout
    assert "PATH=" in done.stdout


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_the_umask_is_the_containers(cli: Cli, busybox: str, mask: int) -> None:
    assert cli(*NONE, busybox, "sh", "-c", "umask", umask=mask).stdout == "0022\n"
    cli("run", "-d", "--name", "box", "--network", "none", busybox, "sleep", "1000", umask=mask)
    assert cli("exec", "box", "sh", "-c", "umask", umask=mask).stdout == "0022\n"


def test_files_that_setup_makes_have_ordinary_modes(cli: Cli, busybox: str) -> None:
    show = "stat -c '%a %n' / /dev /dev/pts /etc/hosts /etc/hostname /etc/resolv.conf"
    done = cli(*NONE, busybox, "sh", "-c", show, umask=0o077)
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {"755", "644"}


class HostKey:
    """A secret in the keyring of this user."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        self._syscall = libc.syscall
        user_keyring = ctypes.c_long(-4)
        add_key, keyctl = 248, 250
        self.key = libc.syscall(
            add_key, b"user", f"pyctr-{os.getpid()}".encode(), b"secret", 6, user_keyring
        )
        self.ring = libc.syscall(keyctl, ctypes.c_long(0), user_keyring, ctypes.c_long(0))
        assert self.key > 0 and self.ring > 0, os.strerror(ctypes.get_errno())

    def remove(self) -> None:
        self._syscall(250, ctypes.c_long(9), ctypes.c_long(self.key), ctypes.c_long(-4))  # KEYCTL_UNLINK


@pytest.fixture
def host_key() -> Iterator[HostKey]:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the calls are those of x86_64")
    key = HostKey()
    yield key
    key.remove()


def test_the_keys_of_the_user_cannot_be_read(cli: Cli, userland: str, host_key: HostKey) -> None:
    """Root of the container is the user outside, and could link its keyring."""
    command = ("python3", "-ISc", KEYS, host_key.ring, host_key.key)
    done = cli(*NONE, *hostile.BORROWED, userland, *command)
    assert done.stdout.split() == ["ENOSYS", "ENOSYS", "ENOSYS"]
    cli("run", "-d", "--name", "box", "--network", "none", *hostile.BORROWED, userland, "sleep", "1000")
    assert cli("exec", "box", *command).stdout.split() == ["ENOSYS", "ENOSYS", "ENOSYS"]


def test_without_a_filter_the_session_keyring_is_still_its_own(
    cli: Cli, userland: str, host_key: HostKey
) -> None:
    command = ("python3", "-ISc", KEYS, 0, 0)
    options = ("--network", "none", "--security-opt", "seccomp=unconfined", *hostile.BORROWED)
    run = cli("run", "--rm", *options, userland, *command).stdout.split()[0]
    cli("run", "-d", "--name", "box", *options, userland, "sleep", "1000")
    executed = cli("exec", "box", *command).stdout.split()[0]
    own = subprocess.run(
        [sys.executable, "-ISc", KEYS, "0", "0"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert len({run, executed, own}) == 3


def mounts_of(text: str) -> dict[str, str]:
    """Mount point to file system type, of mountinfo."""
    found = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        found[before.split()[4]] = after.split()[0]
    return found


def test_mounts_are_podmans(cli: Cli, busybox: str, peer: Podman) -> None:
    """What podman has beside them: files of its own, and masks of paths that only some kernels have."""
    show = ("cat", "/proc/self/mountinfo")
    ours = mounts_of(cli(*NONE, busybox, *show).stdout)
    theirs = mounts_of(peer(*NONE, busybox, *show).stdout)
    only_ours = {path for path in ours if path not in theirs}
    only_theirs = {path for path in theirs if path not in ours}
    assert {path for path in only_ours if not path.startswith(("/proc/", "/sys/"))} <= {"/etc/resolv.conf"}
    assert only_theirs <= {"/run/.containerenv", "/sys/fs/cgroup"}


def test_no_mount_of_the_host_is_left(cli: Cli, busybox: str) -> None:
    """The only files of the host are those that were made for the container."""
    done = cli(*NONE, busybox, "cat", "/proc/self/mountinfo")
    for line in done.stdout.splitlines():
        fields = line.split()
        source, target, kind = fields[3], fields[4], fields[fields.index("-") + 1]
        if kind not in ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "overlay", "cgroup2", "devtmpfs"):
            assert target.startswith(("/etc/", "/run/")) and cli.store.root in source, line
        assert "shared:" not in line


def test_what_is_mounted_inside_does_not_reach_the_host(
    cli: Cli, busybox: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "below").mkdir()
    options = ("--cap-add", "sys_admin", "-v", f"{tmp_path}:/data")
    done = cli(
        *NONE, *options, busybox, "sh", "-c", "mount -t tmpfs tmpfs /data/below && touch /data/below/x"
    )
    assert done.returncode == 0
    assert list((tmp_path / "below").iterdir()) == []


def test_signals_are_as_a_program_expects(cli: Cli, busybox: str) -> None:
    """Nothing blocked, nothing ignored: Python ignores SIGPIPE, and the monitor blocks all."""
    show = ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    cli("run", "-d", "--name", "box", "--network", "none", busybox, "sleep", "1000")
    for done in (cli(*NONE, busybox, *show), cli("exec", "box", *show)):
        assert done.stdout.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


def test_it_has_a_session_and_pid_namespace_of_its_own(cli: Cli, busybox: str) -> None:
    show = "awk '{print $1, $5, $6}' /proc/1/stat; ls -d /proc/[0-9]* | wc -l"
    lines = cli(*NONE, busybox, "sh", "-c", show).stdout.splitlines()
    assert lines[0] == "1 1 1"
    assert int(lines[1]) < 6


def test_the_checkout_cannot_be_seen(cli: Cli, busybox: str) -> None:
    done = cli(*NONE, busybox, "ls", CHECKOUT, check=False)
    assert done.returncode != 0

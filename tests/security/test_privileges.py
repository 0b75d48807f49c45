"""What a container's process may do, compared with podman on the same machine."""

import pathlib

import pytest

from tests.commands import Cli
from tests.peers import Podman

NONE = ("run", "--rm", "--network", "none")
STATUS = ("grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--user", "1000"),
        ("--user", "guest"),
        ("--user", "0:1000"),
        ("--cap-add", "net_raw"),
        ("--cap-add", "CAP_NET_RAW", "--cap-drop", "chown", "--user", "1000"),
        ("--cap-add", "all"),
        ("--cap-add", "all", "--user", "1000"),
        ("--cap-drop", "all"),
        ("--cap-drop", "all", "--cap-add", "setuid"),
        ("--cap-add", "chown", "--user", "guest"),
        ("--privileged",),
        ("--privileged", "--user", "1000"),
        ("--security-opt", "no-new-privileges"),
        ("--security-opt", "no-new-privileges", "--user", "1000"),
        ("--security-opt", "seccomp=unconfined"),
        ("--userns", "keep-id"),
        ("--userns", "keep-id", "--cap-add", "sys_admin"),
    ],
    ids=" ".join,
)
def test_capabilities_privileges_and_filter_are_podmans(
    cli: Cli, busybox: str, peer: Podman, options: tuple[str, ...]
) -> None:
    ours = cli(*NONE, *options, busybox, *STATUS).stdout
    assert ours == peer(*NONE, *options, busybox, *STATUS).stdout


@pytest.mark.parametrize("options", [(), ("--user", "1000"), ("--privileged",)], ids=" ".join)
def test_exec_has_podmans_capabilities(
    cli: Cli, busybox: str, peer: Podman, options: tuple[str, ...]
) -> None:
    outputs = []
    for command in (cli, peer):
        command(
            "run", "-d", "--name", "box", "--network", "none", "--cap-add", "kill", busybox, "sleep", "1000"
        )
        outputs.append(command("exec", *options, "box", *STATUS).stdout)
        command("rm", "-f", "-t", "0", "box")
    assert outputs[0] == outputs[1]


def test_no_new_privileges_only_on_request(cli: Cli, busybox: str) -> None:
    show = ("grep", "NoNewPrivs", "/proc/self/status")
    assert cli(*NONE, busybox, *show).stdout.split() == ["NoNewPrivs:", "0"]
    asked = ("--security-opt", "no-new-privileges")
    assert cli(*NONE, *asked, busybox, *show).stdout.split() == ["NoNewPrivs:", "1"]


MASKED = (
    *(
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
    ),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/firmware"),
    *("/sys/devices/virtual/powercap", "/sys/fs/selinux"),
)
SIZES = """
for path in "$@"; do
    if [ -d $path ]; then echo "$path $(ls -A $path | wc -l)"
    elif [ -e $path ]; then echo "$path $(head -c 100 $path | wc -c)"
    fi
done
"""
READ_ONLY = (
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches"),
    *(
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/fs/x",
        "/proc/bus/x",
        "/proc/asound/x",
    ),
    *(
        "/proc/acpi/x",
        "/proc/scsi/x",
        "/sys/kernel/mm/ksm/run",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/firmware/x",
    ),
)
WRITE = """
for path in "$@"; do
    { echo x > $path; } 2>/dev/null && echo $path
done
exit 0
"""


def test_masked_paths_are_empty(cli: Cli, busybox: str) -> None:
    lines = cli(*NONE, busybox, "sh", "-c", SIZES, "sh", *MASKED).stdout.splitlines()
    assert len(lines) > 4
    assert [line for line in lines if not line.endswith(" 0")] == []


def test_masked_paths_can_be_unmasked(cli: Cli, busybox: str) -> None:
    show = ("wc", "-c", "/proc/interrupts")
    asked = ("--security-opt", "unmask=/proc/interrupts")
    assert int(cli(*NONE, *asked, busybox, *show).stdout.split()[0]) > 0


@pytest.mark.parametrize("user", ["0", "1000"])
def test_kernel_settings_cannot_be_written(cli: Cli, busybox: str, user: str) -> None:
    assert cli(*NONE, "-u", user, busybox, "sh", "-c", WRITE, "sh", *READ_ONLY).stdout == ""


def test_masks_cannot_be_removed(cli: Cli, busybox: str) -> None:
    """Not without CAP_SYS_ADMIN, nor in a user namespace of the container's own, where mounts are locked."""
    attempt = "umount /proc/keys 2>&1; umount /proc/sys 2>&1; head -c 10 /proc/keys; "
    nested = (
        f"unshare -Urm sh -c '{attempt} mount -o remount,rw,bind /proc/sys 2>&1'; echo x > /proc/sys/vm/stat"
    )
    done = cli(*NONE, busybox, "sh", "-c", f"{attempt} {nested}", check=False)
    assert done.returncode != 0
    for line in done.stdout.splitlines():
        assert line.startswith(("umount: can't", "mount: permission denied")), done.stdout


@pytest.mark.parametrize("options", [(), ("-u", "1000"), ("--read-only",)], ids=" ".join)
def test_devices_are_podmans(cli: Cli, busybox: str, peer: Podman, options: tuple[str, ...]) -> None:
    show = "cd /dev; stat -c '%n %F %a %t:%T %N' * | grep -v '^core'; stat -c '%n %F %a' . pts shm mqueue"
    ours = cli(*NONE, *options, busybox, "sh", "-c", show).stdout.splitlines()
    theirs = peer(*NONE, *options, busybox, "sh", "-c", show).stdout.splitlines()
    assert sorted(ours) == sorted(theirs)


def test_devices_cannot_be_made(cli: Cli, busybox: str) -> None:
    done = cli(*NONE, "--cap-add", "mknod", busybox, "mknod", "/tmp/disk", "b", "8", "0", check=False)
    assert done.returncode != 0


def test_a_profile_of_the_user_is_loaded(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    profile = tmp_path / "no-mkdir.json"
    denied = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    profile.write_text(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{denied}]}}')
    option = f"seccomp={profile}"
    done = cli(*NONE, "--security-opt", option, busybox, "mkdir", "/tmp/x", check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr

"""CVE-2025-52881: set-up writes to files of /proc that are not the kernel's."""

import pathlib

import pytest

from tests import images
from tests.commands import Cli
from tests.security import hostile

# What set-up writes: attributes, sysctls, scores, id maps.
NAMES = (
    *(
        "self/attr/exec",
        "self/attr/keycreate",
        "self/oom_score_adj",
        "thread-self/attr/exec",
        "1/oom_score_adj",
    ),
    *(
        "sys/net/ipv4/ping_group_range",
        "sys/kernel/hostname",
        "self/uid_map",
        "self/gid_map",
        "self/setgroups",
    ),
)


def fake_proc(layer: images.Layer, folder: str) -> images.Layer:
    for name in NAMES:
        layer.file(f"{folder}/{name}", "untouched\n", 0o666)
    return layer


@pytest.mark.parametrize("target", ["/fake", "fake", "/etc/../fake", "/fake/self/.."])
def test_proc_of_the_image_is_a_link(cli: Cli, tmp_path: pathlib.Path, target: str) -> None:
    """Refused, or the kernel's own is mounted; never the other folder."""
    layer = fake_proc(images.Layer(), "fake").symlink("proc", target)
    for name in ("bin", "dev", "etc", "sys"):
        layer.folder(name)
    layer.file("bin/busybox", pathlib.Path(images.busybox_program()).read_bytes(), 0o755)
    image = hostile.load_alone(cli, tmp_path, layer)
    show = "busybox cat /fake/sys/kernel/hostname; busybox stat -f -c %T /proc"
    done = cli("run", "--rm", "--network", "none", image, "/bin/busybox", "sh", "-c", show, check=False)
    if done.returncode:
        assert "/proc" in done.stderr
    else:
        assert done.stdout.split() == ["untouched", "proc"]


def test_a_volume_in_place_of_proc(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    proc = tmp_path / "proc"
    for name in NAMES:
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text("untouched\n")
    options = ("--rm", "--network", "none", "-h", "changed", "-v", f"{proc}:/proc")
    cli("run", *options, busybox, "true", check=False)
    assert {(proc / name).read_text() for name in NAMES} == {"untouched\n"}


@pytest.mark.parametrize("name", ["sys", "self", "sys/net", "bus", "kcore"])
def test_a_folder_below_proc_in_the_image(cli: Cli, tmp_path: pathlib.Path, name: str) -> None:
    """What the image has there lies below the kernel's /proc and is not looked at."""
    image = hostile.load(
        cli, tmp_path, images.Layer().file("etc/victim", "v\n").symlink(f"proc/{name}", "/etc/victim")
    )
    show = "stat -f -c %T /proc/sys /proc/bus; grep -c ' /etc/victim ' /proc/self/mountinfo; cat /etc/victim"
    done = cli("run", "--rm", "--network", "none", image, "sh", "-c", show)
    assert done.stdout.split() == ["proc", "proc", "0", "v"]


def test_exec_into_a_container_that_hides_proc(cli: Cli, busybox: str) -> None:
    """A process with CAP_SYS_ADMIN mounts over /proc; the next exec neither writes there nor fails."""
    options = ("-d", "--name", "box", "--network", "none", "--cap-add", "sys_admin")
    cli("run", *options, busybox, "sleep", "1000")
    cli(
        "exec",
        "box",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /proc && mkdir -p /proc/self/attr /proc/thread-self/attr",
    )
    cli(
        "exec",
        "box",
        "sh",
        "-c",
        "echo untouched > /proc/self/attr/exec; echo untouched > /proc/self/oom_score_adj",
    )
    done = cli("exec", "box", "sh", "-c", "cat /proc/self/attr/exec /proc/self/oom_score_adj; ls /proc/self")
    assert done.stdout.split() == ["untouched", "untouched", "attr", "oom_score_adj"]

"""Containers on each storage driver, from the first start to the removal."""

import os
import pathlib
import select
import signal

import pytest

from pyctr.runtime import state
from pyctr.storage import drivers, paths, trial
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.images import Layer, busybox_program

NO_NETWORK = ("--network", "none", "localhost/busybox")
every_driver = pytest.mark.parametrize("driver", drivers.NAMES)


@pytest.fixture
def on(cli: Cli, busybox_archive: pathlib.Path, driver: str) -> Cli:
    """The command with --storage-driver, and an image in the store."""
    return with_driver(cli, busybox_archive, driver)


def with_driver(cli: Cli, archive: pathlib.Path, driver: str) -> Cli:
    """The same command, always with this driver, and busybox loaded. Skips when the machine lacks it."""
    problem = trial.attempt(cli.store, driver)
    if problem is not None:
        pytest.skip(f"{driver}: {problem.message}")
    cli._program = [*cli._program, "--storage-driver", driver]
    cli("load", "-q", "-i", archive)
    return cli


@pytest.fixture(params=[name for name in drivers.NAMES if drivers.is_served(name)])
def on_fuse(cli: Cli, busybox_archive: pathlib.Path, request: pytest.FixtureRequest) -> Cli:
    """The command with each driver whose file system a process serves, and an image in the store."""
    return with_driver(cli, busybox_archive, request.param)


def monitor_of(store: Store) -> int:
    """The pid of the monitor of the only container."""
    [container] = [name for name in os.listdir(store.containers()) if len(name) == 64]
    monitor = state.read_state(store.container(container)).monitor
    assert monitor is not None
    return monitor.pid


def server(cli: Cli) -> int:
    """The pid of the process that serves the root file system of the only container."""
    monitor = monitor_of(cli.store)
    children = pathlib.Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    init = cli("inspect", "-f", "{{.State.Pid}}", "c").stdout.strip()
    [pid] = set(children) - {init}
    return int(pid)


def ended(pidfd: int) -> bool:
    """Waits for the end of a process."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(10_000))


@every_driver
def test_a_container_keeps_what_it_writes(on: Cli, driver: str) -> None:
    on("run", "-d", "--name", "c", *NO_NETWORK, "sleep", "inf")
    assert on("inspect", "-f", "{{.Driver}}", "c").stdout.strip() == driver
    on("exec", "c", "sh", "-c", "echo again > /file; chown 7:8 /file; rm /bin/ls")
    on("restart", "-t", "0", "c")
    assert on("exec", "c", "stat", "-c", "%u %g %s", "/file").stdout == "7 8 6\n"
    assert on("exec", "c", "test", "-e", "/bin/ls", check=False).returncode == 1
    assert on("run", "--rm", *NO_NETWORK, "ls", "/bin/ls").stdout == "/bin/ls\n"


@every_driver
def test_a_read_only_container(on: Cli, driver: str) -> None:
    done = on(
        "run", "--rm", "--read-only", "--network", "none", "localhost/busybox", "touch", "/x", check=False
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


@every_driver
def test_a_container_with_the_users_own_id(on: Cli, driver: str) -> None:
    """Other id maps have layers of their own."""
    script = "touch /tmp/x; stat -c %u /tmp/x /bin/busybox"
    made = on("run", "--rm", "--userns", "keep-id", *NO_NETWORK, "sh", "-c", script).stdout
    assert made.split() == [str(os.getuid()), "0"]
    assert len(os.listdir(f"{on.store.root}/layers")) == 2


@every_driver
def test_set_uid_programs_work(on: Cli, driver: str) -> None:
    on("run", "-d", "--name", "c", *NO_NETWORK, "sleep", "inf")
    on("exec", "c", "sh", "-c", "sed -i s/root:x:/root::/ /etc/passwd; cp /bin/busybox /bin/own; rm /bin/su")
    on("exec", "c", "sh", "-c", "ln -s own /bin/su; chmod 4755 /bin/own")
    assert on("exec", "-u", "guest", "c", "su", "-c", "id -u").stdout == "0\n"


@every_driver
def test_the_size_of_a_container(on: Cli, driver: str) -> None:
    on(
        "run",
        "--name",
        "c",
        "--network",
        "none",
        "localhost/busybox",
        "sh",
        "-c",
        "echo 12345 > /file; rm /bin/ls",
    )
    assert on("ps", "-a", "--size", "--format", "{{.Size}}").stdout.startswith("6B ")


def test_a_shared_pid_namespace_shows_no_way_to_the_host(on_fuse: Cli) -> None:
    """With the host's pid namespace a container sees the processes that serve, but not their files."""
    on_fuse("run", "-d", "--name", "c", "--pid", "host", *NO_NETWORK, "sleep", "inf")
    pid = server(on_fuse)
    assert on_fuse("exec", "c", "cat", f"/proc/{pid}/comm").stdout
    for words in (
        ["ls", f"/proc/{pid}/root/"],
        ["readlink", f"/proc/{pid}/fd/3"],
        ["cat", f"/proc/{pid}/environ"],
    ):
        assert on_fuse("exec", "c", *words, check=False).returncode


def test_the_server_of_a_container(on_fuse: Cli) -> None:
    """It is apart from the container and ends with it, without losing what was written."""
    on_fuse("run", "-d", "--name", "c", *NO_NETWORK, "sleep", "inf")
    pid = server(on_fuse)
    pidfd = os.pidfd_open(pid)
    init = on_fuse("inspect", "-f", "{{.State.Pid}}", "c").stdout.strip()
    for kind in ("user", "mnt", "pid"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/{init}/ns/{kind}")
    group = pathlib.Path(f"/proc/{init}/cgroup").read_text()
    assert pathlib.Path(f"/proc/{pid}/cgroup").read_text() == group
    assert "lowerdir" not in on_fuse("exec", "c", "ps").stdout
    on_fuse("exec", "c", "sh", "-c", "echo kept > /file")
    on_fuse("stop", "-t", "0", "c")
    assert ended(pidfd)
    on_fuse("start", "c")
    assert on_fuse("exec", "c", "cat", "/file").stdout == "kept\n"


def test_a_killed_monitor_takes_the_server_along(on_fuse: Cli, store: Store) -> None:
    on_fuse("run", "-d", "--name", "c", *NO_NETWORK, "sleep", "inf")
    on_fuse("exec", "c", "sh", "-c", "echo kept > /file")
    pid = server(on_fuse)
    pidfd = os.pidfd_open(pid)
    os.kill(monitor_of(store), signal.SIGKILL)
    assert ended(pidfd)
    on_fuse("start", "c")
    assert on_fuse("exec", "c", "cat", "/file").stdout == "kept\n"


def test_a_killed_server_is_no_danger(on_fuse: Cli) -> None:
    """The container sees errors; it can be stopped and started again."""
    on_fuse("run", "-d", "--name", "c", *NO_NETWORK, "sleep", "inf")
    pid = server(on_fuse)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert ended(pidfd)
    assert on_fuse("exec", "c", "true", check=False).returncode
    on_fuse("restart", "-t", "0", "c")
    assert on_fuse("exec", "c", "echo", "back").stdout == "back\n"


def test_a_server_that_fails_says_why(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "fuse-overlayfs"
    program.write_text("#!/bin/sh\necho 'out of order' >&2\nexit 1\n")
    program.chmod(0o755)
    option = f"overlay.mount_program={program}"
    done = cli("--storage-opt", option, "run", "--rm", *NO_NETWORK, "true", check=False)
    assert done.returncode == 125
    assert "out of order" in done.stderr
    assert cli("ps", "-aq").stdout == ""


def test_without_the_program(cli: Cli, busybox: str) -> None:
    words = ["--storage-driver", "overlay", "--storage-opt", "overlay.mount_program=/nowhere/fuse-overlayfs"]
    done = cli(*words, "run", "--rm", busybox, "true", check=False)
    assert done.returncode == 125
    assert "/nowhere/fuse-overlayfs is not installed" in done.stderr
    assert "package fuse-overlayfs" in done.stderr


def test_drivers_do_not_share_what_only_one_can_read(cli: Cli, busybox: str) -> None:
    """The same image under two drivers: its layers are unpacked once for each format."""
    for driver in ("overlay", "vfs", "overlay"):
        cli("--storage-driver", driver, "run", "--rm", *NO_NETWORK, "true")
    formats = sorted([name.partition("-")[0] for name in os.listdir(f"{cli.store.root}/layers")])
    assert formats == ["marks", "overlay"]


def test_a_container_keeps_its_driver(cli: Cli, busybox: str) -> None:
    cli(
        "--storage-driver",
        "vfs",
        "create",
        "--name",
        "c",
        "--network",
        "none",
        busybox,
        "cat",
        "/proc/mounts",
    )
    shown = cli("--storage-driver", "overlay", "start", "-a", "c").stdout
    assert "overlay / " not in shown


def test_a_first_start_that_was_killed(cli: Cli, busybox: str) -> None:
    """What a killed copy of the layers left is no obstacle."""
    made = cli("--storage-driver", "vfs", "create", *NO_NETWORK, "test", "-e", "/half").stdout.strip()
    draft = pathlib.Path(cli.store.container(made), f".{paths.UPPER}")
    draft.mkdir()
    (draft / "half").write_text("")
    assert cli("start", "-a", made, check=False).returncode == 1


@pytest.mark.parametrize("word", ["zfs", "btrfs", "nonsense"])
def test_an_unknown_driver(cli: Cli, busybox: str, word: str) -> None:
    done = cli("--storage-driver", word, "run", "--rm", busybox, "true", check=False)
    assert done.returncode == 125
    assert f"storage driver '{word}' is not supported" in done.stderr
    assert "vfs" in done.stderr


@every_driver
def test_a_committed_image_is_sound(on: Cli, driver: str) -> None:
    """What one driver has seen deleted, `system check` finds as it was unpacked."""
    script = "rm /bin/ls; rm -r /www; mkdir /www; echo new > /file"
    on("run", "--name", "c", *NO_NETWORK, "sh", "-c", script)
    changes = sorted(on("diff", "c").stdout.splitlines())
    assert changes == ["A /file", "C /bin", "C /etc", "C /www", "D /bin/ls", "D /www/index.html"]
    on("commit", "-q", "c", "localhost/committed")
    look = "ls /bin/ls /www/index.html 2>/dev/null; cat /file"
    shown = on("run", "--rm", "--network", "none", "localhost/committed", "sh", "-c", look).stdout
    assert shown == "new\n"
    assert on("system", "check").stdout == ""


def test_layers_of_another_namespace_are_not_judged(cli: Cli, busybox_archive: pathlib.Path) -> None:
    """Inside `pyctr unshare` id maps are others, and nobody outside can make them."""
    cli("unshare", *cli.argv("load", "-q", "-i", busybox_archive))
    assert len(os.listdir(f"{cli.store.root}/layers")) == 1
    assert cli("system", "check").stdout == ""


@every_driver
def test_hostile_marks_in_an_image(on: Cli, driver: str, tmp_path: pathlib.Path) -> None:
    """An image cannot reach outside through what a driver takes for a mark."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "etc").write_text("ours")
    hostile = Layer().file("a", "a").symlink("l", str(outside)).file("l/.wh.etc").file("..wh.x")
    hostile.file("b/.wh..wh..opq").file(".wh.a").file(
        "bin/busybox", pathlib.Path(busybox_program()).read_bytes(), 0o755
    )
    tar = tmp_path / "layer.tar"
    tar.write_bytes(hostile.tar())
    on("import", "-q", tar, "localhost/hostile")
    on("run", "--rm", "--network", "none", "localhost/hostile", "/bin/busybox", "true")
    assert (outside / "etc").read_text() == "ours"
    assert os.listdir(outside) == ["etc"]

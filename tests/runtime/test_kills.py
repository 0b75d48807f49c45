"""SIGKILL of any process of a container at any time: the records tell the truth, and all can be removed.

Each case waits for an event (a file appears, a process is forked) and kills at once, so that over many runs
the kill falls before, into and after the step that the event belongs to.
"""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from pyctr.engine import containers
from tests import processes
from tests.commands import Cli

NONE = ("--network", "none")
DEADLINE = 30  # seconds that anything may take


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(pid: int) -> list[int]:
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


class Run:
    """A run that is being watched. Its processes by their role, as soon as they are there."""

    def __init__(self, cli: Cli, *args: str) -> None:
        self.cli = cli
        self.command = cli.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def monitor(self) -> int:
        """0 while there is none."""
        return next(iter(children(self.command.pid)), 0)

    def container(self) -> str:
        """The folder of the only container; empty while there is none."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.cli.store.containers()):
                if not name.startswith("tmp."):
                    return self.cli.store.container(name)
        return ""

    def record(self, name: str) -> bool:
        folder = self.container()
        return bool(folder) and os.path.exists(f"{folder}/{name}")

    def status(self) -> str:
        folder = self.container()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return str(json.loads(pathlib.Path(f"{folder}/state.json").read_text())["status"])
        return ""

    def is_there(self, folder: str) -> bool:
        """Whether a folder of the store has an entry."""
        return os.path.isdir(folder) and bool(os.listdir(folder))

    def wait_for(self, event: Callable[["Run"], object]) -> None:
        """Busy, so that the kill comes right after the event. Returns also when the command has ended."""
        deadline = time.monotonic() + DEADLINE
        while not event(self) and self.command.poll() is None:
            assert time.monotonic() < deadline


EVENTS: dict[str, Callable[[Run], object]] = {
    "monitor": lambda run: run.monitor(),
    "init": lambda run: children(run.monitor()),
    "mapping": lambda run: len(descendants(run.monitor())) > 1,
    "draft": lambda run: run.is_there(run.cli.store.containers()),
    "record": lambda run: run.container(),
    "hostname": lambda run: run.record("hostname"),
    "mounted": lambda run: run.record("merged"),
    "log": lambda run: run.record("ctr.log"),
    "running": lambda run: run.status() == "running",
    "socket": lambda run: run.container() and os.path.exists(
        f"{run.cli.store.runroot}/{os.path.basename(run.container())}/attach"
    ),
    "exit": lambda run: run.is_there(run.cli.store.exits()),
    "exited": lambda run: run.status() == "exited",
}  # fmt: skip


def victims(run: Run, name: str) -> list[int]:
    monitor = run.monitor()
    if name == "command":
        return [run.command.pid]
    if name == "monitor":
        return [monitor] if monitor else []
    if name == "children":
        return descendants(monitor) if monitor else []
    return [run.command.pid, monitor] if monitor else [run.command.pid]


def settle(cli: Cli, *, but: tuple[str, ...] = ("sleep",)) -> None:
    """Waits until nothing of the store runs but containers' commands that may."""
    deadline = time.monotonic() + DEADLINE
    while others := [each for each in processes.of_test(cli.folder) if not each.ended(0.05)]:
        names = [each.command.split(" ")[0] for each in others]
        for each in others:
            each.close()
        if not names or all(name in but for name in names):
            return
        assert time.monotonic() < deadline, names


def entries(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def rows(cli: Cli) -> list[dict[str, object]]:
    return list(json.loads(cli("ps", "-a", "--format", "json").stdout))


def await_the_dying(cli: Cli) -> None:
    """A process that is being killed keeps nothing that tells whose it is, but its pid is its own still."""
    for pid in [row["Pid"] for row in rows(cli) if row["State"] == "running"]:
        assert isinstance(pid, int)
        with contextlib.suppress(ProcessLookupError):
            process = processes.Process(pid, os.pidfd_open(pid))
            assert process.ended(DEADLINE)
            process.close()


def check_truth(cli: Cli) -> list[str]:
    """The states that ps shows, each of which is true; then everything is removed, and nothing is left."""
    await_the_dying(cli)
    states = [str(row["State"]) for row in rows(cli)]
    assert set(states) <= {"created", "exited"}, states
    cli("rm", "-fa", "-t", "0")
    assert rows(cli) == []
    for folder in (cli.store.containers(), cli.store.container_names()):
        assert entries(folder) == [], folder
    assert [name for name in entries(cli.store.runroot) if containers.is_id(name)] == []
    return states


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--rm",), ()], ids=("rm", "keep"))
@pytest.mark.parametrize("victim", ["command", "monitor", "children", "both"])
def test_killed_at_every_step(cli: Cli, busybox: str, victim: str, options: tuple[str, ...]) -> None:
    for name, event in EVENTS.items():
        run = Run(cli, "run", *NONE, *options, busybox, "true")
        run.wait_for(event)
        for pid in victims(run, victim):
            kill(pid)
        _, errors = run.command.communicate(timeout=DEADLINE)
        assert "Traceback" not in errors, name
        settle(cli, but=())
        check_truth(cli)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["command", "monitor", "children", "both"])
def test_killed_while_a_network_is_made(cli: Cli, busybox: str, victim: str) -> None:
    for steps in range(0, 12):
        run = Run(cli, "run", "--rm", busybox, "true")
        run.wait_for(EVENTS["hostname"])
        time.sleep(steps * 0.008)  # into the helper's start, which has no event
        for pid in victims(run, victim):
            kill(pid)
        _, errors = run.command.communicate(timeout=DEADLINE)
        assert "Traceback" not in errors
        settle(cli, but=())
        check_truth(cli)


@contextlib.contextmanager
def running(cli: Cli, *args: str) -> Iterator[Run]:
    """A container in the foreground whose command has printed `up`."""
    run = Run(cli, *args, "sh", "-c", "echo up; exec sleep 1000")
    assert run.command.stdout and run.command.stdout.readline() == "up\n"
    yield run


def state(cli: Cli, name: str = "box") -> dict[str, object]:
    return dict(json.loads(cli("inspect", name).stdout)[0]["State"])


def test_a_killed_command_leaves_the_container_running(cli: Cli, busybox: str) -> None:
    with running(cli, "run", *NONE, "--name", "box", busybox) as run:
        kill(run.command.pid)
        run.command.wait()
    assert state(cli)["Status"] == "running"
    assert cli("exec", "box", "echo", "hi").stdout == "hi\n"
    cli("stop", "-t", "0", "box")
    assert state(cli)["ExitCode"] == 137


def test_a_rm_container_vanishes_by_itself_when_its_command_was_killed(cli: Cli, busybox: str) -> None:
    with running(cli, "run", "--rm", *NONE, "--name", "box", busybox) as run:
        kill(run.command.pid)
        run.command.wait()
    cli("exec", "box", "kill", "1", check=False)
    cli("kill", "-s", "KILL", "box")
    settle(cli, but=())
    assert entries(cli.store.containers()) == []


@pytest.mark.parametrize("network", ["none", "pasta", "slirp4netns"])
def test_a_killed_monitor_takes_its_container_along(cli: Cli, busybox: str, network: str) -> None:
    with running(cli, "run", "--network", network, "--name", "box", busybox) as run:
        kill(run.monitor())
        assert run.command.wait(DEADLINE) == 137
    settle(cli, but=())
    assert state(cli)["Status"] == "exited"
    assert state(cli)["ExitCode"] == 137
    assert cli("wait", "box").stdout == "137\n"
    cli("start", "box")
    assert state(cli)["Status"] == "running"


def test_a_killed_init_is_recorded(cli: Cli, busybox: str) -> None:
    with running(cli, "run", *NONE, "--name", "box", busybox) as run:
        kill(int(str(state(cli)["Pid"])))
        assert run.command.wait(DEADLINE) == 137
    assert (state(cli)["Status"], state(cli)["ExitCode"]) == ("exited", 137)


def test_a_killed_helper_leaves_the_container_running(cli: Cli, busybox: str) -> None:
    with running(cli, "run", "--network", "pasta", "--name", "box", busybox) as run:
        init = int(str(state(cli)["Pid"]))
        for pid in children(run.monitor()):
            if pid != init:
                kill(pid)
        assert cli("exec", "box", "echo", "hi").stdout == "hi\n"
        cli("stop", "-t", "0", "box")
        assert run.command.wait(DEADLINE) == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals_of_the_command_are_the_containers(cli: Cli, busybox: str, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo up; while :; do sleep 0.1; done"
    run = Run(cli, "run", "--rm", *NONE, busybox, "sh", "-c", script)
    assert run.command.stdout and run.command.stdout.readline() == "up\n"
    run.command.send_signal(number)
    assert run.command.wait(DEADLINE) == 9
    assert run.command.stdout.read() == f"got {name}\n"


def test_without_sig_proxy_a_signal_ends_only_the_command(cli: Cli, busybox: str) -> None:
    with running(cli, "run", "--sig-proxy=false", *NONE, "--name", "box", busybox) as run:
        run.command.send_signal(signal.SIGTERM)
        assert run.command.wait(DEADLINE) != 0
    assert state(cli)["Status"] == "running"


def test_a_stopped_command_does_not_hold_up_its_container(cli: Cli, busybox: str) -> None:
    """ctrl-z in `run | less`: stop, rm and the records do not wait for it."""
    with running(cli, "run", *NONE, "--name", "box", busybox) as run:
        run.command.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        cli("stop", "-t", "0", "box")
        assert time.monotonic() - begun < 5
        assert state(cli)["Status"] == "exited"
        cli("rm", "box")
        run.command.send_signal(signal.SIGCONT)
        assert run.command.wait(DEADLINE) == 137


def test_a_container_that_was_removed_while_its_run_waits(cli: Cli, busybox: str) -> None:
    with running(cli, "run", "--rm", *NONE, "--name", "box", busybox) as run:
        cli("rm", "-f", "-t", "0", "box")
        _, errors = run.command.communicate(timeout=DEADLINE)
        assert (run.command.returncode, errors) == (137, "")


def test_two_starts_of_one_container(cli: Cli, busybox: str) -> None:
    cli("create", *NONE, "--name", "box", busybox, "sleep", "1000")
    starts = [cli.start("start", "box", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    ended = [(each.communicate(timeout=DEADLINE), each.returncode) for each in starts]
    assert (("box\n", ""), 0) in ended
    for (_, errors), code in ended:
        assert code == 0 or (code == 125 and "already running" in errors)
    assert state(cli)["Status"] == "running"
    assert cli("exec", "box", "sh", "-c", "ps | grep -c '[s]leep 1000'").stdout == "1\n"


def test_stop_and_start_in_turn(cli: Cli, busybox: str) -> None:
    """A start right after an end waits until that is on record."""
    cli("create", *NONE, "--name", "box", busybox, "true")
    for _ in range(5):
        starts = [cli.start("start", "box", stderr=subprocess.PIPE) for _ in range(2)]
        for each in starts:
            _, errors = each.communicate(timeout=DEADLINE)
            assert each.returncode == 0 or "already running" in errors
    assert cli("wait", "box").stdout == "0\n"
    settle(cli, but=())
    assert state(cli)["Status"] == "exited"


@pytest.mark.slow
def test_many_runs_at_once(cli: Cli, busybox: str) -> None:
    runs = [
        cli.start("run", "--rm", *NONE, busybox, "sh", "-c", f"echo {i}; exit {i}", stdout=subprocess.PIPE)
        for i in range(32)
    ]
    for number, each in enumerate(runs):
        output, _ = each.communicate(timeout=120)
        assert (output, each.returncode) == (f"{number}\n", number)
    assert check_truth(cli) == []


def test_the_exit_code_outlives_the_container(cli: Cli, busybox: str) -> None:
    container = cli("run", "-d", "--rm", *NONE, busybox, "sh", "-c", "exit 7").stdout.strip()
    assert [cli("wait", container).stdout for _ in range(3)] == ["7\n"] * 3
    settle(cli, but=())
    assert cli("wait", container).stdout == "7\n"
    assert entries(cli.store.containers()) == []


def test_what_waits_for_a_container_sees_its_monitor_killed(cli: Cli, busybox: str) -> None:
    with running(cli, "run", *NONE, "--name", "box", busybox) as run:
        waiting = cli.start("wait", "box", stdout=subprocess.PIPE)
        following = cli.start("logs", "-f", "box", stdout=subprocess.PIPE)
        assert following.stdout and following.stdout.readline() == "up\n"
        poll = select.poll()
        assert waiting.stdout
        poll.register(waiting.stdout, select.POLLIN)
        assert not poll.poll(0)
        kill(run.monitor())
        assert waiting.communicate(timeout=DEADLINE)[0] == "137\n"
        assert following.wait(DEADLINE) == 0

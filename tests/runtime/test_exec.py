"""exec, end to end."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from tests import processes
from tests.commands import Cli

DEADLINE = 30  # seconds that anything may take


@pytest.fixture
def box(cli: Cli, busybox: str) -> str:
    """The name of a running container."""
    options = ("--name", "box", "--network", "none", "-e", "A=image", "-w", "/www")
    cli("run", "-d", *options, busybox, "sleep", "1000")
    return "box"


def shown(value: object) -> str | None:
    """The id of a parameter."""
    return " ".join(value) if isinstance(value, tuple) else None


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "exit 32"), 32, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("sh", "-c", "kill -TERM $$"), 143, ""),
        (("no-such-command",), 127, "no-such-command"),
        (("/no/such/file",), 127, "/no/such/file"),
        (("/etc",), 126, "/etc"),
        (("/etc/passwd",), 126, "/etc/passwd"),
    ],
    ids=shown,
)
def test_exit_codes(cli: Cli, box: str, command: tuple[str, ...], code: int, words: str) -> None:
    done = cli("exec", box, *command, check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert (done.stderr == "") == (words == "")
    assert os.listdir(sessions(cli)) == []


def sessions(cli: Cli) -> str:
    container = json.loads(cli("inspect", "box").stdout)[0]["Id"]
    return f"{cli.store.container_run(container)}/exec"


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        ((), "pwd; echo $A $HOME; id -u; tty || true", "/www\nimage /root\n0\nnot a tty\n"),
        (("-w", "/etc"), "pwd", "/etc\n"),
        (("--workdir=/"), "pwd", "/\n"),
        (("-e", "A=mine", "-e", "B=2"), "echo $A $B", "mine 2\n"),
        (("-u", "guest"), "id -un; id -gn; echo $HOME", "guest\nguest\n/home\n"),
        (("-u", "7:8"), "id -u; id -g", "7\n8\n"),
        (("-t",), "tty", "/dev/pts/0\r\n"),
        (("--privileged",), "grep -c 'CapEff.*00000000a80425fb' /proc/self/status || true", "0\n"),
    ],
    ids=shown,
)
def test_options(cli: Cli, box: str, options: tuple[str, ...], command: str, expected: str) -> None:
    words = (options,) if isinstance(options, str) else options
    done = subprocess.run(
        cli.argv("exec", *words, box, "sh", "-c", command), capture_output=True, env=cli.environment()
    )
    assert done.stdout.decode() == expected
    assert (done.returncode, done.stderr) == (0, b"")


def test_streams(cli: Cli, box: str) -> None:
    done = cli("exec", box, "sh", "-c", "echo out; echo err >&2; cat", input="not for you")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    data = os.urandom(2 << 20)
    piped = subprocess.run(
        cli.argv("exec", "-i", box, "cat"), input=data, capture_output=True, env=cli.environment()
    )
    assert piped.stdout == data
    assert cli("logs", box).stdout == ""


def test_what_is_wrong_is_named(cli: Cli, box: str) -> None:
    done = cli("exec", "-u", "nobody-here", box, "true", check=False)
    assert done.returncode == 125
    assert "nobody-here" in done.stderr
    done = cli("exec", "-w", "/no/such", box, "true", check=False)
    assert done.returncode == 126
    assert "/no/such" in done.stderr
    assert cli("exec", "no-such-box", "true", check=False).returncode == 125
    cli("stop", "-t", "0", box)
    done = cli("exec", box, "true", check=False)
    assert done.returncode != 0 and "exited" in done.stderr


def test_a_detached_session(cli: Cli, box: str) -> None:
    script = "echo started > /www/started; until test -e /www/go; do sleep 0.1; done; echo done > /www/done"
    session = cli("exec", "-d", box, "sh", "-c", script).stdout.strip()
    assert [f"{session}.json"] == os.listdir(sessions(cli))
    record = json.loads(pathlib.Path(f"{sessions(cli)}/{session}.json").read_text())
    [parent] = [
        each for each in processes.of_test(cli.folder) if each.pid == parent_of(record["process"]["pid"])
    ]
    cli("exec", box, "touch", "/www/go")
    assert parent.ended(DEADLINE)
    parent.close()
    assert cli("exec", box, "cat", "/www/done").stdout == "done\n"
    assert os.listdir(sessions(cli)) == []


def parent_of(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_command_leaves_its_session_running(cli: Cli, box: str) -> None:
    running = cli.start("exec", "-i", box, "sh", "-c", "echo up; exec sleep 1000", stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == "up\n"
    running.kill()
    running.wait()
    assert len(os.listdir(sessions(cli))) == 1
    assert cli("exec", box, "sh", "-c", "ps | grep -c '[s]leep 1000'").stdout == "2\n"


def test_a_killed_session_parent_takes_its_program_along(cli: Cli, box: str) -> None:
    running = cli.start("exec", box, "sh", "-c", "echo up; exec sleep 999", stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == "up\n"
    [name] = os.listdir(sessions(cli))
    record = json.loads(pathlib.Path(f"{sessions(cli)}/{name}").read_text())
    os.kill(parent_of(record["process"]["pid"]), signal.SIGKILL)
    assert running.wait(DEADLINE) == 137
    assert cli("exec", box, "sh", "-c", "ps | grep -c '[s]leep 999'", check=False).stdout == "0\n"


def test_the_container_ends_while_a_session_runs(cli: Cli, box: str) -> None:
    running = cli.start("exec", box, "sh", "-c", "echo up; exec sleep 999", stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == "up\n"
    cli("stop", "-t", "0", box)
    assert running.wait(DEADLINE) == 137
    assert cli("inspect", "--format", "{{.State.Status}}", box).stdout == "exited\n"


def test_signals_of_the_command_are_the_sessions(cli: Cli, box: str) -> None:
    script = "trap 'echo got it; exit 9' TERM; echo up; while :; do sleep 0.1; done"
    running = cli.start("exec", box, "sh", "-c", script, stdout=subprocess.PIPE)
    assert running.stdout and running.stdout.readline() == "up\n"
    running.terminate()
    assert running.wait(DEADLINE) == 9
    assert running.stdout.read() == "got it\n"


def test_background_processes_do_not_hold_up_the_command(cli: Cli, box: str) -> None:
    done = cli("exec", box, "sh", "-c", "sleep 1000 & yes > /dev/null & yes & exit 4", check=False)
    assert done.returncode == 4


@pytest.mark.parametrize(
    "options",
    [
        ("--userns", "keep-id"),
        ("--pid", "host"),
        ("--network", "host"),
        ("--ipc", "host"),
        ("--uts", "host"),
        ("--read-only",),
        ("-u", "guest"),
        ("--init",),
        ("-t",),
    ],
    ids=shown,
)
def test_into_any_container(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    network = () if "--network" in options else ("--network", "none")
    cli("run", "-d", "--name", "box", *network, *options, busybox, "sleep", "1000")
    if options not in (("--userns", "keep-id"), ("-u", "guest")):
        assert_same_namespaces(cli, "1" if options != ("--pid", "host") else pid_of_box(cli))
    assert cli("exec", "-t", "box", "tty").stdout.startswith("/dev/pts/")
    expected = {"keep-id": str(os.getuid()), "guest": "1000"}.get(options[-1], "0")
    assert cli("exec", "box", "id", "-u").stdout.strip() == expected


def pid_of_box(cli: Cli) -> str:
    return cli("inspect", "--format", "{{.State.Pid}}", "box").stdout.strip()


def assert_same_namespaces(cli: Cli, pid: str) -> None:
    """A session is in all namespaces of the process that has number `pid` in there."""
    show = "for n in user mnt pid net ipc uts; do for p in self $1; do readlink /proc/$p/ns/$n; done; done"
    namespaces = cli("exec", "box", "sh", "-c", show, "sh", pid).stdout.split()
    assert namespaces[::2] == namespaces[1::2]
    assert len(namespaces) == 12


def test_many_sessions_at_once(cli: Cli, box: str) -> None:
    running = [
        cli.start("exec", box, "sh", "-c", f"echo {i}; exit {i}", stdout=subprocess.PIPE) for i in range(16)
    ]
    for number, each in enumerate(running):
        output, _ = each.communicate(timeout=60)
        assert (output, each.returncode) == (f"{number}\n", number)
    assert os.listdir(sessions(cli)) == []

"""attach: several clients of one container, slow ones, and a runtime folder that vanishes."""

import os
import pathlib
import select
import shutil
import signal
import subprocess

from tests.commands import Cli

NONE = ("--network", "none")
DEADLINE = 30  # seconds that anything may take
# Echoes each line of input twice; ends with 5 at the end of it.
ECHO = "echo up; while read line; do echo $line; echo $line >&2; done; exit 5"


def start(cli: Cli, *args: object) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return cli.start(*args, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=1)


def line_of(child: "subprocess.Popen[str]") -> str:
    assert child.stdout
    return child.stdout.readline()


def type_line(child: "subprocess.Popen[str]", line: str) -> None:
    assert child.stdin
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def run_folder(cli: Cli) -> str:
    return cli.store.container_run(cli("inspect", "--format", "{{.Id}}", "box").stdout.strip())


def attached(cli: Cli, *options: str) -> "subprocess.Popen[str]":
    """A client that takes part already: it has typed a line and seen it."""
    client = start(cli, "attach", *options, "box")
    type_line(client, "here")
    while line_of(client) != "here\n":
        assert client.poll() is None
    return client


def test_all_clients_see_all_output_and_may_type(cli: Cli, busybox: str) -> None:
    launching = start(cli, "run", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    assert line_of(launching) == "up\n"
    first = attached(cli)
    second = attached(cli)
    assert [line_of(launching) for _ in range(2)] == ["here\n"] * 2
    assert line_of(first) == "here\n"
    type_line(second, "from the second")
    for each in (launching, first, second):
        assert line_of(each) == "from the second\n"
    cli("kill", "box")
    for each in (launching, first, second):
        output, errors = each.communicate(timeout=DEADLINE)
        assert (output, each.returncode) == ("", 137)
        assert errors.endswith("from the second\n")


def test_the_exit_code_and_the_end_of_input(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    client = attached(cli)
    client.communicate("last", timeout=DEADLINE)
    assert client.returncode == 5
    assert cli("wait", "box").stdout == "5\n"


def test_a_client_without_input(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    silent = start(cli, "attach", "--no-stdin", "box")
    type_line(silent, "not passed on")
    talking = attached(cli)
    type_line(talking, "passed on")
    assert line_of(talking) == "passed on\n"
    cli("kill", "box")
    output, _ = silent.communicate(timeout=DEADLINE)
    assert "not passed on" not in output + talking.communicate(timeout=DEADLINE)[0]


def test_a_killed_client_is_nobodys_loss(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    first, second = attached(cli), attached(cli)
    first.kill()
    first.wait()
    type_line(second, "on")
    assert line_of(second) == "on\n"


def test_a_slow_client_is_dropped_and_the_launcher_gets_all(cli: Cli, busybox: str) -> None:
    size = 8 << 20
    script = f"read go; head -c {size} /dev/zero; echo end; sleep 1000"
    launching = start(cli, "run", "-i", *NONE, "--log-driver", "none", "--name", "box", busybox, "sh", "-c",
                      f"echo up; {script}")  # fmt: skip
    assert line_of(launching) == "up\n"
    slow = start(cli, "attach", "box")
    type_line(slow, "go")
    assert slow.stdout and launching.stdout
    fd = launching.stdout.fileno()
    read = b""
    while not read.endswith(b"end\n"):
        read = read[-8:] + os.read(fd, 65536)
    output, errors = slow.communicate(timeout=DEADLINE)
    assert slow.returncode == 125
    assert "reads too slowly" in errors
    assert len(output) < 8 << 20
    assert cli("inspect", "--format", "{{.State.Status}}", "box").stdout == "running\n"


def test_the_container_waits_for_a_slow_launcher(cli: Cli, busybox: str) -> None:
    script = "head -c 4194304 /dev/zero; echo done > /done; sleep 1000"
    launching = start(cli, "run", *NONE, "--name", "box", busybox, "sh", "-c", script)
    assert launching.stdout
    poll = select.poll()
    poll.register(launching.stdout, select.POLLIN)
    assert poll.poll(DEADLINE * 1000)
    assert cli("exec", "box", "test", "-e", "/done", check=False).returncode == 1
    left = 4 << 20
    while left:
        left -= len(os.read(launching.stdout.fileno(), 65536))
    assert cli("exec", "box", "sh", "-c", "until test -e /done; do sleep 0.1; done").returncode == 0


def test_detaching_frees_the_container_of_a_slow_launcher(cli: Cli, busybox: str) -> None:
    script = "head -c 4194304 /dev/zero; echo done > /done; sleep 1000"
    launching = start(cli, "run", *NONE, "--name", "box", busybox, "sh", "-c", script)
    assert launching.stdout
    poll = select.poll()
    poll.register(launching.stdout, select.POLLIN)
    assert poll.poll(DEADLINE * 1000)
    launching.kill()
    launching.wait()
    assert cli("exec", "box", "sh", "-c", "until test -e /done; do sleep 0.1; done").returncode == 0


def test_a_runtime_folder_that_vanished_is_made_again(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    shutil.rmtree(cli.store.runroot)
    client = attached(cli)
    assert cli("exec", "box", "echo", "hi").stdout == "hi\n"
    assert pathlib.Path(run_folder(cli), "attach").is_socket()
    client.communicate(timeout=DEADLINE)
    assert client.returncode == 5


def test_a_socket_that_is_somebody_elses_is_replaced(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    socket = pathlib.Path(run_folder(cli), "attach")
    socket.unlink()
    socket.write_text("")
    attached(cli)


def test_attach_to_what_does_not_run(cli: Cli, busybox: str) -> None:
    cli("run", *NONE, "--name", "box", busybox, "true")
    done = cli("attach", "box", check=False)
    assert done.returncode == 125
    assert "exited" in done.stderr
    done = cli("attach", "no-such-box", check=False)
    assert done.returncode == 125 and "no-such-box" in done.stderr


def test_start_attaches_to_a_container_that_runs(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "-i", *NONE, "--name", "box", busybox, "sh", "-c", ECHO)
    client = start(cli, "start", "-ai", "box")
    type_line(client, "hello")
    assert line_of(client) == "hello\n"
    client.send_signal(signal.SIGTERM)  # passed on; a shell that is pid 1 has no handler, so nothing happens
    type_line(client, "again")
    assert line_of(client) == "again\n"

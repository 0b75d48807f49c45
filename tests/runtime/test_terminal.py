"""Terminals: what a user of `run -it`, `exec -it` and `attach` sees and types."""

import os
import signal
import subprocess

import pytest

from tests.commands import Cli
from tests.runtime.terminals import DEADLINE, Terminal, terminal

SHELL = ("run", "-it", "--network", "none", "--name", "box", "-e", "PS1=$ ")
DETACH = "\x10\x11"  # ctrl-p ctrl-q


def state(cli: Cli) -> str:
    return cli("inspect", "--format", "{{.State.Status}}", "box").stdout.strip()


def test_a_terminal_of_its_own_with_our_size(cli: Cli, busybox: str) -> None:
    with terminal(33, 101) as term:
        before = term.mode()
        term.run(cli, *SHELL, "--rm", busybox, "sh")
        term.read("$ ")
        assert "/dev/pts/0" in term.ask("tty", "$ ")
        assert "33 101" in term.ask("stty size", "$ ")
        assert "xterm" in term.ask("echo $TERM", "$ ")
        assert "console" in term.ask("ls /dev/console", "$ ")
        assert term.mode() != before
        term.type("exit 3\n")
        assert term.end() == 3
        assert term.mode() == before


def test_the_size_follows(cli: Cli, busybox: str) -> None:
    with terminal() as term:
        term.run(
            cli,
            *SHELL,
            "--rm",
            busybox,
            "sh",
            "-c",
            "trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done",
        )
        term.read("up")
        term.resize(50, 132)
        term.command.send_signal(signal.SIGWINCH)
        term.read("50 132")
        term.resize(20, 60)  # the kernel tells the foreground process group
        term.read("20 60")


def test_control_characters_go_to_the_container(cli: Cli, busybox: str) -> None:
    with terminal() as term:
        term.run(cli, *SHELL, "--rm", busybox, "sh")
        term.read("$ ")
        term.type("sh -c 'echo run; exec sleep 1000'\n")
        term.read("\nrun")
        term.type("\x03")
        term.read("$ ")
        assert "130" in term.ask("echo $?", "$ ")
        term.type("sh -c 'echo run; exec cat'\n")
        term.read("\nrun")
        term.type("line\n")
        term.read("line\r\nline")
        term.type("\x1a")
        term.read("Stopped")
        term.read("$ ")  # else the echo of what is typed now comes before the prompt
        assert "exec cat" in term.ask("jobs", "$ ")
        term.ask("fg", "exec cat")
        term.type("again\n")
        term.read("again\r\nagain")
        term.type("\x04")
        term.read("$ ")
        term.type("exit 9\n")
        assert term.end() == 9


def test_detach_and_attach_again_from_two_terminals(cli: Cli, busybox: str) -> None:
    with terminal() as first, terminal() as second, terminal() as third:
        before = first.mode()
        first.run(cli, *SHELL, busybox, "sh")
        first.read("$ ")
        first.type("x=kept\n")
        first.read("$ ")
        first.type(DETACH)
        assert first.end() == 0
        assert first.mode() == before
        assert state(cli) == "running"
        second.run(cli, "attach", "box")
        third.run(cli, "attach", "box")
        second.type("\n")
        second.read("$ ")
        third.type("\n")
        third.read("$ ")
        second.type("echo $x-by-second\n")
        second.read("kept-by-second")
        third.read("kept-by-second")
        third.type("echo $x-by-third\n")
        second.read("kept-by-third")
        third.type(DETACH)
        assert third.end() == 0
        second.type("exit 5\n")
        assert second.end() == 5
    assert state(cli) == "exited"
    assert "kept-by-second" in cli("logs", "box").stdout


@pytest.mark.parametrize(
    ("option", "typed"),
    [("--detach-keys=ctrl-a,d", "\x01d"), ("--detach-keys=x,y,z", "xyz")],
    ids=("ctrl-a,d", "x,y,z"),
)
def test_detach_keys_can_be_chosen(cli: Cli, busybox: str, option: str, typed: str) -> None:
    with terminal() as term:
        term.run(cli, *SHELL, option, busybox, "cat")
        term.type("begin\n")
        term.read("begin\r\nbegin")
        term.type(typed)
        assert term.end() == 0
    assert state(cli) == "running"


def test_without_detach_keys_every_byte_passes(cli: Cli, busybox: str) -> None:
    with terminal() as term:
        term.run(
            cli,
            *SHELL,
            "--rm",
            "--detach-keys",
            "",
            busybox,
            "sh",
            "-c",
            "stty raw; echo up; head -c 2 | od -An -tx1",
        )
        term.read("up")
        term.type(DETACH)
        term.read("10 11")
        assert term.end() == 0


def test_a_wrong_detach_key_is_named_before_anything_is_made(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "-it", "--detach-keys", "ctrl-pp", busybox, "true", check=False)
    assert done.returncode == 125
    assert "ctrl-pp" in done.stderr
    assert not os.path.isdir(cli.store.containers()) or os.listdir(cli.store.containers()) == []


def test_a_terminal_that_closes_leaves_the_container_running(cli: Cli, busybox: str) -> None:
    """A closed window is SIGHUP for the command, and nothing for the container."""
    term = Terminal().run(cli, *SHELL, busybox, "sh")
    term.read("$ ")
    os.close(term.slave)
    os.close(term.master)
    term.end()
    assert state(cli) == "running"


def test_a_terminal_without_input(cli: Cli, busybox: str) -> None:
    with terminal() as term:
        term.run(
            cli, "run", "-t", "--rm", "--network", "none", busybox, "sh", "-c", "tty; test -t 1 && echo yes"
        )
        term.read("/dev/pts/0\r\nyes")
        assert term.end() == 0


def test_a_terminal_for_a_command_in_a_pipe(cli: Cli, busybox: str) -> None:
    """-t without a terminal of ours: the container has one, with line ends as terminals have them."""
    done = subprocess.run(
        cli.argv("run", "-t", "--rm", "--network", "none", busybox, "tty"),
        stdin=subprocess.DEVNULL, capture_output=True, env=cli.environment(), timeout=DEADLINE,
    )  # fmt: skip
    assert done.stdout == b"/dev/pts/0\r\n"


def test_input_from_a_pipe_into_a_terminal(cli: Cli, busybox: str) -> None:
    done = cli(
        "run",
        "-it",
        "--rm",
        "--network",
        "none",
        busybox,
        "sh",
        input="echo from-$((40 + 2))\nexit 4\n",
        check=False,
    )
    assert "from-42" in done.stdout
    assert done.returncode == 4


def test_start_attached_to_a_terminal(cli: Cli, busybox: str) -> None:
    cli("create", *SHELL[1:], busybox, "sh")
    with terminal(30, 90) as term:
        term.run(cli, "start", "-ai", "box")
        term.read("$ ")
        assert "30 90" in term.ask("stty size", "$ ")
        term.type("exit 6\n")
        assert term.end() == 6


def test_exec_has_a_terminal_of_its_own(cli: Cli, busybox: str) -> None:
    cli("run", "-d", *SHELL[2:], busybox, "sleep", "1000")
    with terminal(30, 90) as term:
        before = term.mode()
        term.run(cli, "exec", "-it", "box", "sh")
        term.read("$ ")
        assert "/dev/pts/0" in term.ask("tty", "$ ")
        assert "30 90" in term.ask("stty size", "$ ")
        term.type("sh -c 'echo run; exec sleep 1000'\n")
        term.read("\nrun")
        term.type("\x03")
        term.read("$ ")
        term.type("exit 8\n")
        assert term.end() == 8
        assert term.mode() == before


def test_a_detached_exec_goes_on(cli: Cli, busybox: str) -> None:
    cli("run", "-d", *SHELL[2:], busybox, "sleep", "1000")
    with terminal() as term:
        term.run(cli, "exec", "-it", "box", "sh", "-c", "echo up; read x; echo done > /done; sleep 1000")
        term.read("up")
        term.type(DETACH)
        assert term.end() == 0
    assert "read x" in cli("exec", "box", "ps").stdout


def test_more_output_than_a_terminal_takes_at_once(cli: Cli, busybox: str) -> None:
    with terminal() as term:
        term.run(cli, *SHELL, "--rm", busybox, "sh", "-c", "seq 20000; echo end")
        text = term.read("end\r\n")
        assert text.split() == [*map(str, range(1, 20001)), "end"]
        assert term.end() == 0

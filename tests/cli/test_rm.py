"""pyctr rm, stop, kill, restart, container prune, exists and cleanup: output and exit codes."""

import os
import pathlib
import select

import pytest

from pyctr.engine import containers
from pyctr.runtime import state as states
from pyctr.runtime.state import ProcessId, State
from pyctr.storage import paths
from pyctr.storage.paths import Store
from tests import samples
from tests.commands import Cli

ONE, TWO = samples.identifier(0xA1), samples.identifier(0xB2)
ENDED = State(status="exited", exit_code=3, started=1, finished=2)
NOPE = 'Error: no container with name or ID "nope" found: no such container\n'


@pytest.fixture
def two(store: Store) -> Store:
    """Two containers that have ended: one and two."""
    samples.make(store, ONE, "one", created=1, state=ENDED, labels={"a": "b"})
    samples.make(store, TWO, "two", created=2, state=ENDED)
    return store


def detached(cli: Cli, busybox: str, name: str, *options: str) -> str:
    words = ("run", "-d", "--name", name, "--network", "none", *options, busybox, "sleep", "1000")
    return cli(*words).stdout.strip()


@pytest.mark.parametrize(
    "args, code, printed",
    [
        (("one",), 0, "one\n"),
        (("one", "two"), 0, "one\ntwo\n"),
        (("a1",), 0, "a1\n"),
        (("nope",), 1, ""),
        (("one", "nope", "two"), 1, "one\ntwo\n"),
        (("--ignore", "nope"), 0, ""),
        (("-f", "nope"), 0, ""),
        (("-a",), 0, f"{ONE}\n{TWO}\n"),
        (("-l",), 0, f"{TWO}\n"),
        (("--filter", "label=a"), 0, f"{ONE}\n"),
        ((), 125, ""),
        (("-a", "one"), 125, ""),
        (("-t", "1", "one"), 125, ""),
        (("--cidfile", "/does/not/exist"), 125, ""),
        (("--ignore", "--cidfile", "/does/not/exist"), 0, ""),
    ],
    ids=str,
)
def test_exit_codes(cli: Cli, two: Store, args: tuple[str, ...], code: int, printed: str) -> None:
    done = cli("rm", *args, check=False)
    assert (done.returncode, done.stdout) == (code, printed)
    assert bool(done.stderr) == bool(code)
    if "nope" in args and code:
        assert done.stderr == NOPE


def test_a_cidfile_names_the_container(cli: Cli, two: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "cid").write_text(f"{ONE}\n")
    assert cli("rm", "--cidfile", tmp_path / "cid").stdout == f"{ONE}\n"
    assert cli("ps", "-aq").stdout == f"{TWO[:12]}\n"


def test_a_running_container_stays_and_the_others_go(cli: Cli, busybox: str, two: Store) -> None:
    detached(cli, busybox, "up")
    done = cli("rm", "up", "one", check=False)
    assert (done.returncode, done.stdout) == (2, "one\n")
    assert "cannot be removed without force: container state improper" in done.stderr
    assert cli("rm", "up", "nope", check=False).returncode == 2
    assert cli("rm", "-f", "-t", "0", "up").stdout == "up\n"
    assert cli("ps", "-a", "--format", "{{.Names}}").stdout == "two\n"


@pytest.mark.parametrize("name", [paths.SPEC, paths.STATE])
def test_a_broken_container_goes_by_force_only(cli: Cli, two: Store, name: str) -> None:
    pathlib.Path(two.container(ONE), name).write_text("{")
    done = cli("rm", "one", check=False)
    assert done.returncode == 125 and "cannot be read" in done.stderr and "rm -f" in done.stderr
    cli("container", "prune", "-f")
    assert containers.exists(two, ONE)
    assert cli("rm", "-f", "one").stdout == "one\n"
    assert not containers.exists(two, ONE)


def test_files_of_subordinate_ids_are_removed(cli: Cli, store: Store, busybox: str) -> None:
    script = "mkdir -p -m 0 /a/b && echo x > /a/c && chown -R 1000:1000 /a && chmod 0 /a"
    cli("run", "--name", "web", "--network", "none", busybox, "sh", "-c", script)
    cli("rm", "web")
    assert os.listdir(store.containers()) == []


def test_stop_kill_and_start_again(cli: Cli, busybox: str) -> None:
    container_id = detached(cli, busybox, "web")
    assert cli("stop", "-t", "0", "web").stdout == "web\n"
    assert cli("stop", "web").stdout == "web\n"
    found = cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}", "web").stdout
    assert found == "exited 137 0\n"
    assert cli("restart", "-t", "0", "web").stdout == "web\n"
    assert cli("restart", "-t", "0", "web").stdout == "web\n"
    assert cli("ps", "-q", "--no-trunc").stdout == f"{container_id}\n"
    assert cli("kill", "web").stdout == "web\n"
    done = cli("kill", "web", check=False)
    assert done.returncode == 125 and f"{container_id} is in state exited" in done.stderr


def test_stop_all_stops_what_runs(cli: Cli, busybox: str, two: Store) -> None:
    names = {detached(cli, busybox, name) for name in ("up", "too")}
    assert set(cli("stop", "-a", "-t", "0").stdout.split()) >= names
    assert cli("ps", "-q").stdout == ""


@pytest.mark.parametrize("verb", ["stop", "kill", "restart"])
def test_verbs_name_what_does_not_exist(cli: Cli, verb: str) -> None:
    done = cli(verb, "nope", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (125, "", NOPE)
    assert cli(verb, check=False).stderr == "Error: you must provide at least one name or id\n"


def test_kill_sends_the_signal_that_is_named(cli: Cli, busybox: str) -> None:
    script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sh", "-c", script)
    follower = cli.start("logs", "-f", "web", stdout=-1)
    assert follower.stdout is not None and follower.stdout.readline() == "ready\n"
    cli("kill", "-s", "usr1", "web")
    assert cli("wait", "web").stdout == "9\n"
    assert cli("kill", "-s", "FOO", "web", check=False).stderr.startswith("Error: invalid signal: FOO\n")


def test_rm_containers_survive_a_restart_and_go_after_it(cli: Cli, store: Store, busybox: str) -> None:
    container_id = detached(cli, busybox, "web", "--rm")
    cli("restart", "-t", "0", "web")
    assert cli("ps", "-q", "--no-trunc").stdout == f"{container_id}\n"
    cli("stop", "-t", "0", "web")
    cli("wait", "--condition", "removing", "--ignore", container_id)
    assert cli("wait", container_id).stdout == "137\n"
    assert not containers.exists(store, container_id)


def test_prune_asks_and_removes_what_does_not_run(cli: Cli, busybox: str, two: Store) -> None:
    detached(cli, busybox, "up")
    assert "Are you sure" in cli("container", "prune", input="n\n").stdout
    assert cli("container", "prune", "-f", "--filter", "label=a").stdout == f"{ONE}\n"
    assert cli("container", "prune", input="y\n").stdout.endswith(f"{TWO}\n")
    assert cli("ps", "-a", "--format", "{{.Names}}").stdout == "up\n"
    assert cli("container", "prune", "--filter", "name=x", check=False).returncode == 125


@pytest.mark.parametrize("word, code", [("one", 0), (ONE, 0), ("a1", 0), ("nope", 1)])
def test_exists_tells_by_its_code(cli: Cli, two: Store, word: str, code: int) -> None:
    done = cli("container", "exists", word, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_cleanup_writes_down_what_a_killed_monitor_did_not(cli: Cli, store: Store) -> None:
    gone = ProcessId(1 << 22, 1, states.boot_id(), states.pid_namespace())
    lost = State(status="running", process=gone, monitor=gone, started=1)
    samples.make(store, ONE, "one", state=lost)
    samples.make(store, TWO, "two", state=lost, ephemeral=True)
    assert cli("ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}").stdout.count("exited 137") == 2
    cli("container", "cleanup", "--all")
    assert samples.state_of(store, ONE).status == "exited"
    assert not containers.exists(store, TWO)
    assert cli("wait", ONE, TWO).stdout == "137\n137\n"


def test_an_attached_run_learns_the_code_of_what_another_removed(
    cli: Cli, store: Store, busybox: str
) -> None:
    script = "echo ready; sleep 1000"
    words = ("run", "--rm", "--name", "web", "--network", "none", busybox, "sh", "-c", script)
    attached = cli.start(*words, stdout=-1, stderr=-1)
    assert attached.stdout is not None and attached.stdout.readline() == "ready\n"
    cli("rm", "-f", "-t", "0", "web")
    assert attached.communicate(timeout=20) == ("", "")
    assert attached.returncode == 137
    assert os.listdir(store.containers()) == []


def test_a_killed_monitor_is_told_and_cleaned_up(cli: Cli, busybox: str) -> None:
    detached(cli, busybox, "web")
    pid, monitor = cli("inspect", "-f", "{{.State.Pid}} {{.State.ConmonPid}}", "web").stdout.split()
    container = os.pidfd_open(int(pid))
    os.kill(int(monitor), 9)
    assert select.select([container], [], [], 20)[0], "the container outlived its monitor"
    os.close(container)
    shown = cli("ps", "-a", "--format", "{{.State}} {{.ExitCode}}").stdout
    assert shown == "exited 137\n"
    assert cli("inspect", "-f", "{{.State.Error}}", "web").stdout == "its monitor was killed\n"
    assert cli("wait", "web").stdout == "137\n"
    assert cli("restart", "web").stdout == "web\n"
    cli("rm", "-f", "-t", "0", "web")

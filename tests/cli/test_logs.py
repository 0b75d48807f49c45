"""pyctr logs and wait on real containers."""

import re

import pytest

from tests.commands import Cli

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "


def run(cli: Cli, busybox: str, name: str, script: str, *options: str) -> None:
    cli("run", "--name", name, "--network", "none", *options, busybox, "sh", "-c", script, check=False)


def test_each_stream_goes_to_its_own(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "web", "echo out; echo err >&2")
    done = cli("logs", "web")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_an_unfinished_line_stays_unfinished(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "web", "printf 'a b'; printf '\\tc'")
    assert cli("logs", "web").stdout == "a b\tc"


def test_long_lines_come_out_whole(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "web", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end")
    assert cli("logs", "web").stdout == "x" * 300_000 + "\nend\n"
    assert cli("logs", "--tail", "1", "web").stdout == "end\n"
    assert len(cli("logs", "--tail", "2", "-t", "web").stdout.splitlines()) == 2


def test_times_and_names(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "one", "echo 1")
    run(cli, busybox, "two", "echo 2")
    assert re.fullmatch(f"{TIME}1\n", cli("logs", "-t", "one").stdout)
    assert cli("logs", "-n", "one", "two").stdout == "one 1\ntwo 2\n"
    short = cli("ps", "-aq", "--filter", "name=two").stdout.strip()
    assert cli("logs", "one", "two").stdout.endswith(f"{short} 2\n")
    assert cli("logs", "-l").stdout == "2\n"


def test_since_and_until(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "web", "echo hi")
    assert cli("logs", "--since", "1h", "web").stdout == "hi\n"
    assert cli("logs", "--until", "1h", "web").stdout == ""
    assert cli("logs", "--since", "0.0001s", "web").stdout == ""
    done = cli("logs", "--since", "foo", "web", check=False)
    assert 'Error: parsing --since "foo": unable to interpret time value' in done.stderr


def test_following_ends_with_the_container(cli: Cli, busybox: str) -> None:
    script = "echo first; trap 'echo last; exit 4' TERM; while :; do sleep 0.1; done"
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sh", "-c", script)
    follower = cli.start("logs", "-f", "web", stdout=-1)
    assert follower.stdout is not None and follower.stdout.readline() == "first\n"
    waiter = cli.start("wait", "web", stdout=-1)
    cli("stop", "web")
    assert follower.communicate(timeout=20)[0] == "last\n"
    assert waiter.communicate(timeout=20)[0] == "4\n"


def test_no_log_no_container(cli: Cli, busybox: str) -> None:
    run(cli, busybox, "web", "echo hi", "--log-driver", "none")
    done = cli("logs", "web", check=False)
    assert done.returncode == 125 and "--log-driver none" in done.stderr
    done = cli("logs", "nope", check=False)
    assert (done.returncode, done.stderr.count("no such container")) == (125, 1)


def test_wait_after_rm_still_has_the_code(cli: Cli, busybox: str) -> None:
    options = ("run", "-d", "--rm", "--network", "none")
    container_id = cli(*options, busybox, "sh", "-c", "exit 5").stdout.strip()
    assert cli("wait", container_id).stdout == "5\n"
    assert cli("wait", container_id).stdout == "5\n"


@pytest.mark.parametrize(
    "args, code, printed",
    [
        (("nope",), 125, ""),
        (("--ignore", "nope"), 0, "-1\n"),
        ((), 125, ""),
        (("--condition", "foo", "nope"), 125, ""),
        (("-i", "x", "nope"), 125, ""),
    ],
    ids=str,
)
def test_wait_with_wrong_words(cli: Cli, args: tuple[str, ...], code: int, printed: str) -> None:
    done = cli("wait", *args, check=False)
    assert (done.returncode, done.stdout) == (code, printed)

"""run, end to end: exit codes, streams, and what the options make of the container."""

import hashlib
import json
import os
import pathlib
import select
import socket
import subprocess

import pytest

from tests import images
from tests.commands import Cli

NONE = ("--network", "none")
RUN = ("run", "--rm", *NONE)


def shown(value: object) -> str | None:
    """The id of a parameter."""
    return " ".join(value) if isinstance(value, tuple) else None


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "exit 32"), 32, ""),
        (("sh", "-c", "exit 255"), 255, ""),
        (("no-such-command",), 127, "no-such-command"),
        (("/no/such/file",), 127, "/no/such/file"),
        (("/etc/passwd/file",), 127, "/etc/passwd/file"),
        (("/etc",), 126, "/etc"),
        (("/etc/passwd",), 126, "/etc/passwd"),
        (("sh", "-c", "kill -9 $$ & wait"), 0, ""),  # as in every pid namespace, pid 1 ignores its own
        (("sh", "-c", "trap 'exit 3' TERM; kill -TERM $$"), 3, ""),
    ],
    ids=shown,
)
def test_exit_codes(cli: Cli, busybox: str, command: tuple[str, ...], code: int, words: str) -> None:
    done = cli(*RUN, busybox, *command, check=False)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert (done.stderr == "") == (words == "")
    assert cli("ps", "-aq").stdout == ""


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143), ("USR1", 138)])
def test_the_exit_code_of_a_signal_is_128_and_its_number(
    cli: Cli, busybox: str, signal: str, code: int
) -> None:
    """With --init: a program that is pid 1 itself does not die by signals from inside."""
    script = f"(kill -{signal} $$) ; sleep 1000"
    done = cli(*RUN, "--init", busybox, "sh", "-c", script, check=False)
    assert done.returncode == code


def test_a_killed_container_is_137(cli: Cli, busybox: str) -> None:
    running = cli.start(
        "run",
        *NONE,
        "--name",
        "box",
        busybox,
        "sh",
        "-c",
        "echo up; exec sleep 1000",
        stdout=subprocess.PIPE,
    )
    assert running.stdout and running.stdout.readline() == "up\n"
    cli("kill", "box")
    assert running.wait(20) == 137
    state = json.loads(cli("inspect", "box").stdout)[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 137)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--no-such-flag", "IMAGE"), 125, "--no-such-flag"),
        (("localhost/no-such-image",), 125, "localhost/no-such-image"),
        (("--pull", "never", "no-such-image"), 125, "no-such-image"),
        (("-v", "/no/such/folder:/x", "IMAGE"), 125, "/no/such/folder"),
        (("--user", "nobody-here", "IMAGE"), 125, "nobody-here"),
        (("--network", "no-such-network", "IMAGE"), 125, "no-such-network"),
        (("--memory", "1g", "IMAGE"), 125, "--memory"),
        (("--rootfs", "/no/such/folder", "true"), 125, "/no/such/folder"),
        (("-w", "/etc/passwd", "IMAGE"), 126, "/etc/passwd"),
        (("--cidfile", "/no/such/folder/id", "IMAGE"), 125, "/no/such/folder"),
        (("--entrypoint", "no-such-command", "IMAGE"), 127, "no-such-command"),
    ],
    ids=shown,
)
def test_what_is_wrong_is_named_and_leaves_nothing(
    cli: Cli, busybox: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = cli("run", "--rm", *[busybox if word == "IMAGE" else word for word in arguments], check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert entries(cli.store.containers()) == []
    assert entries(cli.store.container_names()) == []


def entries(folder: str) -> list[str]:
    """The names in a folder that may not exist."""
    return os.listdir(folder) if os.path.exists(folder) else []


def test_a_failed_start_keeps_the_container_with_its_error(cli: Cli, busybox: str) -> None:
    assert cli("run", *NONE, "--name", "box", busybox, "no-such", check=False).returncode == 127
    shown = json.loads(cli("inspect", "box").stdout)[0]["State"]
    assert shown["ExitCode"] == 127
    assert "no-such" in shown["Error"]
    assert cli("start", "box", check=False).returncode != 0
    cli("rm", "box")


# Streams.


def pipe(cli: Cli, *args: str, data: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    """pyctr with bytes in and out."""
    return subprocess.run(
        cli.argv(*args), input=data, capture_output=True, env=cli.environment(), timeout=60, check=True
    )


def test_streams_are_apart_and_no_terminal(cli: Cli, busybox: str) -> None:
    script = "echo out; echo err >&2; tty; test ! -t 1"
    done = cli(*RUN, busybox, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("out\nnot a tty\n", "err\n")


def test_stdin_is_empty_without_i(cli: Cli, busybox: str) -> None:
    done = cli(*RUN, busybox, "cat", input="not for you")
    assert done.stdout == ""


def test_megabytes_pass_both_ways_unchanged(cli: Cli, busybox: str) -> None:
    data = os.urandom(3 << 20)
    done = pipe(cli, *RUN, "-i", "--log-driver", "none", busybox, "cat", data=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_loses_nothing(cli: Cli, busybox: str) -> None:
    """The container is long done when the reader begins: the launching command exerts back-pressure."""
    size = 5 << 20
    script = f"head -c {size} /dev/zero; echo end >&2"
    running = subprocess.Popen(
        cli.argv(*RUN, busybox, "sh", "-c", script), stdout=subprocess.PIPE, env=cli.environment()
    )
    assert running.stdout
    poll = select.poll()
    poll.register(running.stdout, select.POLLIN)
    assert poll.poll(20_000)
    read = 0
    while data := os.read(running.stdout.fileno(), 4096):
        read += len(data)
    running.stdout.close()
    assert running.wait(20) == 0
    assert read == size


def test_a_reader_that_leaves_ends_the_run(cli: Cli, busybox: str) -> None:
    """`run ... | head -1`: the command sees EPIPE as every program does."""
    line = " ".join(map(_quoted, cli.argv(*RUN, busybox, "yes")))
    done = subprocess.run(
        ["sh", "-c", f"{line} | head -1"], capture_output=True, text=True, env=cli.environment(), timeout=60
    )
    assert done.stdout == "y\n"
    assert "Traceback" not in done.stderr
    cli("rm", "-fa", "-t", "0")


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_input_ends_when_the_callers_does(cli: Cli, busybox: str) -> None:
    assert cli(*RUN, "-i", busybox, "sh", "-c", "wc -c; echo after", input="12345").stdout == "5\nafter\n"


def test_closed_standard_streams(cli: Cli, busybox: str) -> None:
    line = " ".join(
        map(_quoted, cli.argv("run", *NONE, "--name", "box", busybox, "sh", "-c", "echo hi; exit 4"))
    )
    done = subprocess.run(["sh", "-c", f"{line} <&- >&- 2>&-"], env=cli.environment(), timeout=60)
    assert done.returncode == 4
    assert cli("logs", "box").stdout == "hi\n"


def test_attach_chooses_streams(cli: Cli, busybox: str) -> None:
    done = cli(*RUN, "-a", "stderr", busybox, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("", "err\n")


# Options.


def output(cli: Cli, *args: object) -> str:
    return cli(*RUN, *args).stdout.strip()


def test_environment(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "env"
    file.write_text("# a comment\nFROM_FILE=a b\nFROM_HOST\n")
    options = ("-e", "A=1", "-e", "EMPTY=", "-e", "FROM_HOST2", "--env-file", file, "-h", "host")
    done = cli(*RUN, *options, busybox, "env", env={"FROM_HOST": "x", "FROM_HOST2": "y", "NOT_PASSED": "z"})
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    wanted = {
        "A": "1", "EMPTY": "", "FROM_FILE": "a b", "FROM_HOST": "x", "FROM_HOST2": "y", "HOME": "/root",
        "HOSTNAME": "host", "PATH": images.PATH.removeprefix("PATH="),
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    assert "NOT_PASSED" not in found
    assert "TERM" not in found


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        (("-w", "/www"), "pwd", "/www"),
        (("-w", "/made/for/it"), "pwd", "/made/for/it"),
        (("-u", "guest"), "id -u; id -g; echo $HOME", "1000\n1000\n/home"),
        (("-u", "1000"), "id -u; id -g", "1000\n1000"),
        (("-u", "4242"), "id -u; id -g", "4242\n0"),
        (("-u", "4242:4343"), "id -u; id -g", "4242\n4343"),
        (("-u", "guest:wheel"), "id -u; id -g", "1000\n10"),
        (("-u", "guest", "--group-add", "wheel"), "id -G", "1000 10"),
        (("-h", "myname"), "hostname; cat /etc/hostname", "myname\nmyname"),
        (("--init",), "grep -c init /proc/1/comm; test $$ -gt 1 && echo child", "1\nchild"),
        (("--read-only",), "touch /x 2>/dev/null || echo ro; touch /tmp/x /run/x && echo tmp", "ro\ntmp"),
        (("--read-only", "--read-only-tmpfs=false"), "touch /tmp/x 2>/dev/null || echo ro", "ro"),
        (("--tmpfs", "/t:size=64k,mode=0700"), "stat -f -c %T /t; stat -c %a /t", "tmpfs\n700"),
        (("--tmpfs", "/www"), "cat /www/index.html", images.PAGE.strip()),
        (("--shm-size", "1m"), "df -k /dev/shm | awk 'END {print $2}'", "1024"),
        (("--ulimit", "nofile=100:200"), "ulimit -Sn; ulimit -Hn", "100\n200"),
        (("--ulimit", "core=0"), "ulimit -c", "0"),
        (("--umask", "0077"), "umask", "0077"),
        (("--add-host", "db:10.1.2.3"), "grep -w db /etc/hosts", "10.1.2.3\tdb"),
        (("--no-hosts",), "grep -c . /etc/hosts 2>/dev/null || echo none", "none"),
        (("--pid", "host"), "test $$ -gt 1 && echo host", "host"),
        (("--ipc", "host"), "readlink /proc/self/ns/ipc", os.readlink("/proc/self/ns/ipc")),
        (("--uts", "host"), "hostname", socket.gethostname()),
        (("--userns", "keep-id"), "id -u; id -g", f"{os.getuid()}\n{os.getgid()}"),
        (("--userns", "keep-id:uid=7,gid=8"), "id -u; id -g", "7\n8"),
        (("--tz", "Asia/Tokyo"), "date +%Z", "JST"),
        (("--entrypoint", "echo"), None, "sh"),
        (("--entrypoint", '["echo","a b"]'), None, "a b sh"),
    ],
    ids=shown,
)
def test_option(
    cli: Cli, busybox: str, options: tuple[str, ...], command: str | None, expected: str
) -> None:
    words = ("sh", "-c", command) if command is not None else ("sh",)
    assert output(cli, *options, busybox, *words) == expected


def test_name_servers(cli: Cli, busybox: str) -> None:
    options = ("--dns", "10.9.8.7", "--dns-search", "example.com", "--dns-option", "ndots:3")
    text = cli("run", "--rm", *options, busybox, "cat", "/etc/resolv.conf").stdout
    assert "nameserver 10.9.8.7" in text.splitlines()
    assert "search example.com" in text.splitlines()
    assert "options ndots:3" in text.splitlines()


def test_bind_mounts(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    assert output(cli, "-v", f"{tmp_path}:/m", busybox, "sh", "-c", "cat /m/file; echo in > /m/new") == (
        "from the host"
    )
    assert (tmp_path / "new").read_text() == "in\n"
    assert (tmp_path / "new").stat().st_uid == os.getuid()
    script = "cat /m/file; touch /m/x 2>&1 | grep -o Read-only"
    for option in (("-v", f"{tmp_path}:/m:ro"), ("--mount", f"type=bind,src={tmp_path},dst=/m,ro")):
        assert output(cli, *option, busybox, "sh", "-c", script) == "from the host\nRead-only"
    assert output(cli, "-v", f"{tmp_path}/file:/etc/issue", busybox, "cat", "/etc/issue") == "from the host"
    assert not (tmp_path / "x").exists()


def test_named_volumes_get_what_the_image_has_once(cli: Cli, busybox: str) -> None:
    assert output(cli, "-v", "site:/www", busybox, "cat", "/www/index.html") == images.PAGE.strip()
    output(cli, "-v", "site:/www", busybox, "sh", "-c", "rm /www/index.html; echo new > /www/new")
    assert output(cli, "-v", "site:/www", busybox, "ls", "/www") == "new"
    assert output(cli, "-v", "raw:/www:nocopy", busybox, "ls", "/www") == ""
    assert output(cli, "--mount", "type=volume,src=site,dst=/s,ro", busybox, "ls", "/s") == "new"


def test_anonymous_volumes_go_with_a_rm_container(cli: Cli, busybox: str) -> None:
    assert output(cli, "-v", "/www", busybox, "cat", "/www/index.html") == images.PAGE.strip()
    assert entries(cli.store.volumes()) == []
    cli("run", *NONE, "--name", "box", "-v", "/www", busybox, "true")
    assert len(os.listdir(cli.store.volumes())) == 1
    cli("rm", "-v", "box")
    assert entries(cli.store.volumes()) == []


@pytest.mark.parametrize(
    ("options", "wanted"), [("", "5 6 2750"), (":uid=7", "7 0 2750"), (":mode=700", "0 0 700")]
)
def test_a_tmpfs_has_owner_and_mode_of_its_mount_point(
    cli: Cli, busybox: str, options: str, wanted: str
) -> None:
    script = "mkdir /owned; chown 5:6 /owned; chmod 2750 /owned"
    cli("run", "--name", "box", "--network", "none", busybox, "sh", "-c", script)
    cli("commit", "-q", "box", "owned:1")
    assert (
        output(cli, "--tmpfs", f"/owned{options}", "owned:1", "stat", "-c", "%u %g %a", "/owned") == wanted
    )


def test_tmpfs_mount(cli: Cli, busybox: str) -> None:
    shown = output(cli, "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m", busybox, "df", "-k", "/t")
    assert shown.splitlines()[-1].split()[:2] == ["tmpfs", "1024"]


def test_files_with_id_and_pid(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    files = ("--cidfile", tmp_path / "cid", "--pidfile", tmp_path / "pid")
    container = cli("run", "-d", *NONE, *files, busybox, "sleep", "1000").stdout.strip()
    assert (tmp_path / "cid").read_text() == container
    pid = (tmp_path / "pid").read_text().strip()
    assert pid == str(json.loads(cli("inspect", container).stdout)[0]["State"]["Pid"])
    assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    again = cli("run", "-d", *NONE, *files, busybox, "true", check=False)
    assert again.returncode == 125 and str(tmp_path / "cid") in again.stderr


def test_a_folder_as_root(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "busybox").write_bytes(pathlib.Path(images.busybox_program()).read_bytes())
    (tmp_path / "bin" / "busybox").chmod(0o755)
    command = ("/bin/busybox", "sh", "-c", "echo in > /file; echo $0", "hello")
    assert output(cli, "--rootfs", tmp_path, *command) == "hello"
    assert (tmp_path / "file").read_text() == "in\n"
    assert output(cli, "--read-only", "--rootfs", tmp_path, "/bin/busybox", "cat", "/file") == "in"


@pytest.mark.parametrize(
    ("options", "script", "code"),
    [
        (("--stop-signal", "USR1"), "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done", 5),
        (("--stop-timeout", "0"), "trap '' TERM; echo up; while :; do sleep 0.1; done", 137),
        ((), "trap 'exit 6' TERM; echo up; while :; do sleep 0.1; done", 6),
    ],
    ids=("stop-signal", "stop-timeout", "default"),
)
def test_stop(cli: Cli, busybox: str, options: tuple[str, ...], script: str, code: int) -> None:
    running = cli.start(
        "run", *NONE, "--name", "box", *options, busybox, "sh", "-c", script, stdout=subprocess.PIPE
    )
    assert running.stdout and running.stdout.readline() == "up\n"
    cli("stop", "box")
    assert running.wait(20) == code
    assert cli("wait", "box").stdout == f"{code}\n"


def test_logs_can_be_left_out_moved_and_bounded(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    cli("run", *NONE, "--name", "none", "--log-driver", "none", busybox, "echo", "hi")
    assert cli("logs", "none", check=False).returncode == 125
    cli("run", *NONE, "--name", "moved", "--log-opt", f"path={tmp_path}/log", busybox, "echo", "hi")
    assert (tmp_path / "log").read_text().endswith(" stdout F hi\n")
    assert cli("logs", "moved").stdout == "hi\n"
    cli("run", *NONE, "--name", "bounded", "--log-opt", "max-size=8k", busybox, "seq", "5000")
    assert cli("logs", "--tail", "2", "bounded").stdout == "4999\n5000\n"
    container = json.loads(cli("inspect", "bounded").stdout)[0]["Id"]
    sizes = [
        os.stat(f"{cli.store.container(container)}/{name}").st_size
        for name in os.listdir(cli.store.container(container))
        if name.startswith("ctr.log")
    ]
    assert len(sizes) == 2
    assert max(sizes) <= 8 << 10


def test_replace_takes_the_name(cli: Cli, busybox: str) -> None:
    options = ("-d", *NONE, "--stop-timeout", "0", "--name", "box")
    first = cli("run", *options, busybox, "sleep", "1000").stdout.strip()
    refused = cli("run", "-d", *NONE, "--name", "box", busybox, "true", check=False)
    assert refused.returncode == 125 and "box" in refused.stderr
    second = cli("run", "-d", *NONE, "--replace", "--name", "box", busybox, "sleep", "1000").stdout.strip()
    assert cli("ps", "-q", "--no-trunc").stdout.split() == [second]
    assert first != second


def test_rm_removes_also_a_detached_container(cli: Cli, busybox: str) -> None:
    container = cli("run", "-d", *RUN[1:], busybox, "sh", "-c", "exit 7").stdout.strip()
    assert cli("wait", container).stdout == "7\n"
    cli("wait", "--condition", "removing", container)
    assert cli("wait", container).stdout == "7\n"
    assert cli("ps", "-aq").stdout == ""


def test_create_start_wait_start_again(cli: Cli, busybox: str) -> None:
    cli("create", *NONE, "--name", "box", busybox, "sh", "-c", "echo x >> /count; wc -l < /count")
    assert cli("start", "box").stdout == "box\n"
    assert cli("wait", "box").stdout == "0\n"
    assert cli("start", "-a", "box").stdout == "2\n"
    assert cli("logs", "box").stdout == "1\n2\n"
    cli("restart", "box")
    assert cli("wait", "box").stdout == "0\n"
    assert cli("logs", "box").stdout == "1\n2\n3\n"


def test_start_takes_input(cli: Cli, busybox: str) -> None:
    cli("create", "-i", *NONE, "--name", "box", busybox, "cat")
    assert cli("start", "-ai", "box", input="through\n").stdout == "through\n"

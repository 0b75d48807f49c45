"""Full disks, records that cannot be read, missing helpers: a clear error, and nothing lost or left.

What an ordinary user cannot do to a machine is done in a mount namespace of `pyctr unshare`, where pyctr
runs again as root, or as an ordinary user of that namespace.
"""

import json
import os
import pathlib

import pytest

from tests.commands import Cli, Result

NONE = ("--network", "none")


class Machine:
    """A machine of our own, in a mount namespace: commands of a shell script with `pyctr` as a function.

    Its store is on a tmpfs at $DIR of `size`; busybox is loaded.
    """

    def __init__(self, cli: Cli, archive: pathlib.Path, size: str = "64m") -> None:
        self.cli = cli
        program = cli.argv()[:-4]
        self.prologue = f"""
            DIR=/mnt
            mount -t tmpfs -o size={size},mode=777 tmpfs $DIR
            pyctr() {{ {" ".join(program)} --root $DIR/data --runroot $DIR/run "$@"; }}
            pyctr load -q -i {archive} > /dev/null
            """

    def run(self, script: str) -> Result:
        """What the script prints; it is given the store's state at its end."""
        epilogue = "pyctr rm -fa -t 0 >&2; echo left: $(ls $DIR/data/containers $DIR/data/names/containers)"
        return self.cli("unshare", "sh", "-c", f"{self.prologue}\n{script}\n{epilogue}", check=False)


@pytest.fixture
def machine(cli: Cli, busybox_archive: pathlib.Path) -> Machine:
    return Machine(cli, busybox_archive)


def hide(*programs: str) -> str:
    """Lines that make programs disappear."""
    return "\n".join(f"test ! -e {each} || mount --bind /dev/null {each}" for each in programs)


PASTA = ("/usr/bin/pasta", "/usr/bin/passt", "/usr/bin/pasta.avx2")


@pytest.mark.parametrize(
    ("hidden", "network", "words"),
    [
        (PASTA, "pasta", ("pasta", "nstall")),
        (("/usr/bin/slirp4netns",), "slirp4netns", ("slirp4netns", "nstall")),
        ((*PASTA, "/usr/bin/slirp4netns"), "", ("passt", "slirp4netns", "nstall")),
    ],
    ids=("pasta", "slirp4netns", "both"),
)
def test_no_network_helper(
    machine: Machine, hidden: tuple[str, ...], network: str, words: tuple[str, ...]
) -> None:
    option = f"--network {network}" if network else ""
    done = machine.run(f"""
        {hide(*hidden)}
        pyctr run --rm {option} busybox true
        echo code $?
        pyctr run {option} --name box busybox true
        echo code $?
        pyctr run --rm --network none busybox echo works
        """)
    assert done.stdout.splitlines()[:3] == ["code 125", "code 125", "works"]
    for word in words:
        assert word in done.stderr
    assert is_empty(done)


def is_empty(done: Result) -> bool:
    """Whether both folders of containers were empty at the end: only their own names are listed."""
    left = done.stdout[done.stdout.rindex("left:") :].split()[1:]
    return all(word.endswith(":") for word in left)


AS_USER = "setpriv --reuid=1000 --regid=1000 --clear-groups"


@pytest.mark.parametrize(
    ("preparation", "words"),
    [
        (
            "echo 1000:2000:1000 > $DIR/sub; mount --bind /dev/null /usr/bin/newuidmap",
            "newuidmap is not installed",
        ),
        (": > $DIR/sub", "has no subordinate ids in /etc/subuid"),
        ("echo 1000:2000:1000 > $DIR/sub", "newuidmap failed"),
    ],
    ids=("no newuidmap", "no ids", "newuidmap without set-uid"),
)
def test_no_id_maps(machine: Machine, preparation: str, words: str) -> None:
    """As uid 1000 of the namespace, where newuidmap is set-uid for nobody."""
    program = " ".join(machine.cli.argv()[:-4])
    done = machine.run(f"""
        {preparation}
        mount --bind $DIR/sub /etc/subuid; mount --bind $DIR/sub /etc/subgid
        mkdir -m 777 $DIR/user $DIR/user/rootfs
        HOME=$DIR/user {AS_USER} {program} --root $DIR/user/data --runroot $DIR/user/run \\
            run --rm --network none --rootfs $DIR/user/rootfs true
        echo code $?
        ls $DIR/user/data/containers 2> /dev/null
        """)
    assert done.stdout.splitlines()[0] == "code 125", done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") >= 2  # the hint
    assert "Traceback" not in done.stderr
    assert is_empty(done)


def test_a_full_disk(cli: Cli, busybox_archive: pathlib.Path) -> None:
    done = Machine(cli, busybox_archive, "16m").run("""
        pyctr run -d --network none --name box busybox sh -c 'while :; do echo y; done' > /dev/null
        pyctr run -d --network none --name other busybox sleep 1000 > /dev/null
        pyctr create --network none --name third busybox true > /dev/null
        dd if=/dev/zero of=$DIR/fill bs=1k 2> /dev/null
        pyctr run --rm --network none busybox true; echo run $?
        pyctr run -d --network none --name more busybox true; echo run -d $?
        pyctr start third; echo start $?
        pyctr ps -a --format '{{.Names}} {{.State}}' | sort
        pyctr exec box true; echo exec $?
        pyctr stop -t 0 other; echo stop $?
        pyctr ps --format '{{.Names}} {{.State}}' | sort
        pyctr rm -f -t 0 box; echo rm $?
        pyctr rm other third; echo rm $?
        pyctr ps -aq
        rm $DIR/fill
        pyctr run --rm --network none busybox echo works again
        """)
    lines = done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert [line for line in lines if line.startswith(("run", "start"))] == [
        "run 125",
        "run -d 125",
        "start 125",
    ]
    assert "box running" in lines and "other running" in lines and "third created" in lines
    assert "stop 0" in lines, done
    assert lines.count("rm 0") == 2
    assert "works again" in lines
    assert is_empty(done)


def test_a_full_disk_while_a_container_ends(cli: Cli, busybox_archive: pathlib.Path) -> None:
    done = Machine(cli, busybox_archive, "16m").run("""
        fill() { dd if=/dev/zero of=$DIR/fill bs=1k 2> /dev/null; }
        mkfifo $DIR/go
        pyctr run -i --network none --name box busybox sh -c 'read x; exit 7' < $DIR/go & exec 3> $DIR/go
        until pyctr exec box true 2> /dev/null; do sleep 0.05; done
        fill
        echo >&3
        wait %1; echo code $?
        pyctr ps -a --format '{{.Names}} {{.State}}'
        pyctr rm box; echo rm $?
        """)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["code 7", "box exited"]
    assert is_empty(done), done


@pytest.mark.parametrize(
    "damage",
    [
        ("state.json", '{"version": 99}'),
        ("state.json", "{"),
        ("state.json", ""),
        ("spec.json", '{"version": 99}'),
        ("spec.json", "[]"),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_record_that_cannot_be_read(cli: Cli, busybox: str, damage: tuple[str, str]) -> None:
    """Shown as broken, kept, and removed by rm -f alone."""
    cli("create", *NONE, "--rm", "--name", "box", busybox, "true")
    container = cli("ps", "-aq", "--no-trunc").stdout.strip()
    record = pathlib.Path(cli.store.container(container), damage[0])
    record.write_text(damage[1])
    cli("run", "--rm", *NONE, busybox, "true")
    [row] = json.loads(cli("ps", "-a", "--format", "json").stdout)
    assert row["Id"] == container
    assert row["State"] == "broken"
    for command in ("start", "inspect", "rm"):
        done = cli(command, container, check=False)
        assert done.returncode != 0
        assert damage[0] in done.stderr
    for command in ("start", "inspect", "rm", "logs", "exec", "attach", "stop", "kill", "restart"):
        words = (command, container, "true") if command == "exec" else (command, container)
        assert "Traceback" not in cli(*words, check=False).stderr
    cli("container", "prune", "-f")
    assert record.read_text() == damage[1]
    cli("rm", "-f", "box")
    assert os.listdir(cli.store.containers()) == []
    assert os.listdir(cli.store.container_names()) == []


def test_a_store_that_cannot_be_written(cli: Cli, busybox: str) -> None:
    os.chmod(cli.store.containers().rsplit("/", 1)[0], 0o500)
    try:
        done = cli("run", "--rm", *NONE, busybox, "true", check=False)
    finally:
        os.chmod(cli.store.containers().rsplit("/", 1)[0], 0o700)
    assert done.returncode == 125
    assert cli.store.root in done.stderr and "ermission denied" in done.stderr
    assert "Traceback" not in done.stderr

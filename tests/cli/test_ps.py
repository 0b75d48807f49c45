"""pyctr ps: columns, options, and the same words as podman."""

import json
import pathlib

import pytest

from pyctr.runtime.state import State
from pyctr.storage import paths
from pyctr.storage.paths import Store
from tests import samples
from tests.commands import Cli
from tests.peers import Podman

ID = samples.identifier(0xA1)
HEADINGS = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
CREATE = (
    *(
        "create",
        "--name",
        "web",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:9000-9002:9000-9002/udp",
        "--label",
        "a=b",
    ),
    *("localhost/busybox:latest", "sh", "-c", "echo one; echo two"),
)


def test_an_empty_store_shows_headings_only(cli: Cli) -> None:
    assert cli("ps").stdout.split("  ")[0] == "CONTAINER ID"
    assert cli("ps", "--noheading").stdout == cli("ps", "-q").stdout == ""
    assert cli("ps", "--format", "json").stdout == "[]\n"


def test_running_containers_without_all_the_others(cli: Cli, busybox: str) -> None:
    running = cli("run", "-d", "--name", "up", "--network", "none", busybox, "sleep", "1000").stdout.strip()
    cli("run", "--name", "down", "--network", "none", busybox, "sh", "-c", "exit 3", check=False)
    assert cli("ps", "-q").stdout == f"{running[:12]}\n"
    assert (
        cli("ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}").stdout
        == "up running 0\ndown exited 3\n"
    )
    status = cli("ps", "-a", "--format", "{{.Names}}: {{.Status}}").stdout.splitlines()
    assert status[0].startswith("up: Up ") and status[1].startswith("down: Exited (3) ")
    assert status[1].endswith(" ago")


def test_the_same_container_looks_the_same_in_podman(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, podman: Podman
) -> None:
    podman("load", "-q", "-i", busybox_archive)
    podman(*CREATE)
    cli(*CREATE)
    fields = (
        "{{.Image}}|{{.Command}}|{{.Status}}|{{.Ports}}|{{.Names}}|{{.ImageID}}|{{.AutoRemove}}|{{.Exited}}"
    )
    try:
        for options in ((), ("--no-trunc",)):
            command = ("ps", "-a", "--format", fields, *options)
            assert in_order(cli(*command).stdout) == in_order(podman(*command).stdout)
        ours, theirs = (run("ps", "-a").stdout.splitlines() for run in (cli, podman))
        assert ours[0] == theirs[0]
        assert ours[1][12:].split("  ")[1:4] == theirs[1][12:].split("  ")[1:4]
    finally:
        podman("rm", "-a")


def in_order(line: str) -> list[list[str]]:
    """The fields with their parts sorted: podman takes protocols as they come out of a Go map."""
    return [sorted(field.split(", ")) for field in line.rstrip("\n").split("|")]


def test_json_has_podmans_keys(cli: Cli, busybox: str) -> None:
    cli(*CREATE)
    (found,) = json.loads(cli("ps", "-a", "--format", "json").stdout)
    assert found["Names"] == ["web"] and found["Labels"] == {"a": "b"} and found["State"] == "created"
    assert found["Ports"][0] == {
        "host_ip": "",
        "container_port": 80,
        "host_port": 8080,
        "range": 1,
        "protocol": "tcp",
    }
    keys = (
        "AutoRemove Command CreatedAt Exited ExitedAt ExitCode Id Image ImageID IsInfra Labels Mounts Names"
    )
    keys += " Namespaces Networks Pid Pod PodName Ports Size StartedAt State Status Created"
    assert set(keys.split()) <= set(found)


@pytest.mark.parametrize("name", [paths.SPEC, paths.STATE])
def test_a_broken_container_is_shown_and_hides_nobody(cli: Cli, store: Store, name: str) -> None:
    samples.make(store, ID, "web", state=State(status="exited"))
    samples.make(store, samples.identifier(0xB2), "db", state=State(status="exited"))
    pathlib.Path(store.container(ID), name).write_text('{"version":99}')
    lines = cli("ps", "-a", "--format", "{{.ID}} {{.Status}}").stdout.splitlines()
    assert f"{ID[:12]} broken" in lines and len(lines) == 2
    assert cli("ps").stdout.count("\n") == 1


def test_the_last_ones(cli: Cli, store: Store) -> None:
    for number in range(1, 4):
        samples.make(store, samples.identifier(number), f"c{number}", created=number)
    assert cli("ps", "-l", "--format", "{{.Names}}").stdout == "c3\n"
    assert cli("ps", "-n", "2", "--format", "{{.Names}}").stdout == "c2\nc3\n"
    assert cli("ps", "-a", "--sort", "id", "--format", "{{.Names}}").stdout == "c1\nc2\nc3\n"


def test_sizes_count_what_the_container_wrote(cli: Cli, busybox: str) -> None:
    script = "dd if=/dev/zero of=/file bs=1000 count=5; mkdir -m 700 /mine; chown 5:5 /mine"
    cli("run", "--name", "web", "--network", "none", busybox, "sh", "-c", script)
    assert cli("ps", "-a", "-s", "--format", "{{.Size}}").stdout.startswith("5kB (virtual ")


def test_namespaces_are_those_of_the_process(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "1000")
    pid, net = cli("ps", "--ns", "--format", "{{.Pid}} {{.NET}}").stdout.split()
    assert pathlib.Path(f"/proc/{pid}/ns/net").readlink() == pathlib.Path(f"net:[{net}]")


@pytest.mark.parametrize(
    "args, message",
    [
        (("--filter", "foo=bar"), "foo is an invalid filter"),
        (("--sort", "foo"), "invalid argument for --sort"),
        (("--pod",), "--pod is not supported yet"),
        (("-q", "-s"), "--quiet"),
        (("--format", "{{.Foo}}", "-a"), "there is no field .Foo"),
        (("extra",), "takes no arguments"),
    ],
)
def test_wrong_options_are_named(cli: Cli, store: Store, args: tuple[str, ...], message: str) -> None:
    samples.make(store, ID, "web")
    done = cli("ps", *args, check=False)
    assert done.returncode == 125 and message in done.stderr and not done.stdout


def test_container_ls_is_the_same(cli: Cli, store: Store) -> None:
    samples.make(store, ID, "web")
    for words in (("container", "ls"), ("container", "list"), ("container", "ps")):
        assert cli(*words, "-aq").stdout == f"{ID[:12]}\n"


def test_one_label_is_asked_for_by_its_key(cli: Cli, store: Store) -> None:
    samples.make(store, ID, "web", labels={"a.b": "c"})
    assert cli("ps", "-a", "--format", '{{.Label "a.b"}}|{{.Label "x"}}|').stdout == "c||\n"
    assert cli("ps", "-a", "--format", 'table {{.Names}} {{.Label "a.b"}}').stdout.splitlines()[
        1
    ].split() == ["web", "c"]

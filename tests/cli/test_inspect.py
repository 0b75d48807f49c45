"""pyctr inspect and port: podman's shape."""

import json
import pathlib
from typing import Any

import pytest

from tests.commands import Cli
from tests.peers import Podman

CREATE = (
    *(
        "create",
        "--name",
        "web",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:9000-9001:9000-9001/udp",
        "--expose",
        "443",
    ),
    *(
        "-v",
        "data:/data",
        "-v",
        "/etc:/mnt:ro",
        "--label",
        "a=b",
        "-e",
        "A=1",
        "-w",
        "/www",
        "--cap-drop",
        "chown",
    ),
    *("localhost/busybox:latest", "sleep", "1000"),
)
OWN = {  # what podman has and pyctr not: files and annotations of its own machinery
    *("OCIConfigPath", "SizeRootFs", "GraphDriver.Data.MergedDir"),
    *("Config.Annotations", "NetworkSettings.Networks", "HostConfig.PortBindings.443/tcp"),
}


def missing(theirs: dict[str, Any], ours: dict[str, Any], place: str = "") -> list[str]:
    """The keys that podman has and pyctr lacks."""
    found = []
    for key, value in theirs.items():
        if key not in ours:
            found.append(place + key)
        elif isinstance(value, dict) and isinstance(ours[key], dict):
            found += missing(value, ours[key], f"{place}{key}.")
    return [key for key in found if not any(key.startswith(own) for own in OWN)]


def test_every_key_of_podman_is_there(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, podman: Podman
) -> None:
    podman("load", "-q", "-i", busybox_archive)
    podman(*CREATE)
    cli(*CREATE)
    try:
        (theirs,), (ours,) = (json.loads(run("inspect", "web").stdout) for run in (podman, cli))
    finally:
        podman("rm", "-a", "-v")
        podman("volume", "rm", "data")
    assert missing(theirs, ours) == []
    for path in ("Path", "Args", "Image", "ImageName", "Name", "BoundingCaps", "EffectiveCaps"):
        assert ours[path] == theirs[path], path
    for key in ("Cmd", "WorkingDir", "Labels", "User", "Tty", "StopTimeout", "Image", "Umask"):
        assert ours["Config"][key] == theirs["Config"][key], key
    # podman's own default list of dropped ones is an artefact of Docker's longer list: not compared.
    for key in ("CapAdd", "Privileged", "AutoRemove", "ReadonlyRootfs", "PidMode", "UTSMode"):
        assert ours["HostConfig"][key] == theirs["HostConfig"][key], key
    assert set(ours["NetworkSettings"]["Ports"]) == set(theirs["NetworkSettings"]["Ports"])
    mounts = [
        {(each["Type"], each["Destination"], each["RW"]) for each in found["Mounts"]}
        for found in (ours, theirs)
    ]
    assert mounts[0] == mounts[1] == {("volume", "/data", True), ("bind", "/mnt", False)}


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{.State.Status}}", "created"),
        ("{{.State.Running}}", "false"),
        ("{{.HostConfig.AutoRemove}}", "false"),
        ("{{.Config.StopSignal}} {{.Config.StopTimeout}}", "SIGTERM 10"),
        ('{{index .Config.Labels "a"}}', "b"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range .Mounts}}{{.Destination}} {{end}}", "/mnt /data "),
        ("{{json .Config.Cmd}}", '["sleep","1000"]'),
        ("{{.State.StartedAt}}", "0001-01-01T00:00:00Z"),
    ],
)
def test_what_scripts_ask_for(cli: Cli, busybox: str, template: str, text: str) -> None:
    cli(*CREATE)
    found = cli("inspect", "--format", template, "web").stdout.rstrip("\n")
    assert sorted(found.split(" ")) == sorted(text.split(" "))


def test_a_running_container(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "1000")
    (found,) = json.loads(cli("inspect", "-l").stdout)
    state = found["State"]
    assert state["Running"] and state["Status"] == "running"
    assert pathlib.Path(f"/proc/{state['Pid']}/cmdline").read_text().split("\0")[:2] == ["sleep", "1000"]
    status = pathlib.Path(f"/proc/{state['Pid']}/status").read_text()
    assert f"PPid:\t{state['ConmonPid']}\n" in status
    assert cli("inspect", "-s", "-f", "{{.SizeRw}}", "web").stdout == "0\n"


def test_an_image_is_found_after_containers(cli: Cli, busybox: str) -> None:
    assert cli("inspect", "-f", "{{.RepoTags}}", busybox).stdout == f"[{busybox}]\n"
    cli("create", "--name", "busybox", busybox, "true")
    assert cli("inspect", "-f", "{{.Name}}", "busybox").stdout == "busybox\n"
    assert cli("inspect", "--type", "image", "-f", "{{.RepoTags}}", "busybox").stdout == f"[{busybox}]\n"


@pytest.mark.parametrize(
    "args, printed, message",
    [
        (("inspect", "nope"), "[]\n", 'inspecting object: no such object: "nope"'),
        (("container", "inspect", "nope"), "[]\n", "inspecting object: no such container nope"),
        (("inspect", "-f", "{{.Id}}", "nope"), "", 'no such object: "nope"'),
        (("inspect", "--type", "pod", "x"), "", "pod is not supported yet"),
        (("inspect", "--type", "foo", "x"), "", "--type"),
        (("inspect",), "", "you must provide at least one name or id"),
    ],
)
def test_wrong_words(cli: Cli, args: tuple[str, ...], printed: str, message: str) -> None:
    done = cli(*args, check=False)
    assert (done.returncode, done.stdout) == (125, printed) and message in done.stderr


@pytest.mark.parametrize(
    "args, printed, code",
    [
        (("web",), "80/tcp -> 0.0.0.0:8080\n9000/udp -> 127.0.0.1:9000\n9001/udp -> 127.0.0.1:9001\n", 0),
        (("web", "80"), "0.0.0.0:8080\n", 0),
        (("web", "9001/udp"), "127.0.0.1:9001\n", 0),
        (("web", "99"), "", 125),
        (("-l", "80/tcp"), "0.0.0.0:8080\n", 0),
        (("-a",), "", 0),
        ((), "", 125),
        (("nope",), "", 125),
    ],
    ids=str,
)
def test_ports(cli: Cli, busybox: str, args: tuple[str, ...], printed: str, code: int) -> None:
    cli(*CREATE)
    done = cli("port", *args, check=False)
    assert (done.stdout, done.returncode) == (printed, code)

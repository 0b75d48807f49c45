"""pyctr info, version, unshare and doctor."""

import json
import os
import pathlib
import platform
from typing import Any

import pytest
import yaml

from pyctr import __version__
from pyctr.cli import info
from tests.commands import Cli
from tests.peers import Podman


def test_info_has_podmans_keys(cli: Cli, podman: Podman) -> None:
    theirs, ours = (json.loads(run("info", "-f", "json").stdout) for run in (podman, cli))
    missing = [f"{part}.{key}" for part in theirs for key in theirs[part] if key not in ours[part]]
    assert set(missing) <= {"host.networkBackendInfo", "store.configFile", "host.buildahVersion"}
    for key in ("arch", "cpus", "distribution", "hostname", "kernel", "memTotal", "idMappings", "os"):
        assert ours["host"][key] == theirs["host"][key], key


def test_info_is_yaml(cli: Cli) -> None:
    printed, exact = cli("info").stdout, json.loads(cli("info", "-f", "json").stdout)
    found = yaml.safe_load(printed)
    for changing in ("cpuUtilization", "memFree", "uptime"):
        assert changing in found["host"]
        found["host"][changing] = exact["host"][changing] = None
    found["store"]["graphRootUsed"] = exact["store"]["graphRootUsed"]
    assert found == exact


def test_info_counts_and_answers_templates(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--network", "none", busybox, "sleep", "1000")
    cli("create", busybox, "true")
    template = (
        "{{.Store.ContainerStore.Number}} {{.Store.ContainerStore.Running}} {{.Store.ImageStore.Number}}"
    )
    assert cli("info", "-f", f"{template} {{{{.Store.GraphRoot}}}}").stdout == f"2 1 1 {cli.store.root}\n"


@pytest.mark.parametrize(
    "value",
    [
        {"b": [1, {"x": None, "y": [True]}], "a": {}, "c": []},
        ["yes", "1.5", "", "a: b", "# no", "it's", "x\ny", "tab\tx", "-", "ä", "[x]", "2026-01-01", "a:"],
        {"deep": {"deeper": [["a", "b"], []]}, "text": "one\ntwo"},
    ],
)
def test_yaml_text_says_what_the_value_is(value: Any) -> None:
    assert yaml.safe_load("\n".join(info.yaml_lines(value))) == value


def test_version(cli: Cli) -> None:
    assert cli("version", "--format", "{{.Client.Version}}").stdout == f"{__version__}\n"
    assert f"Version:        {__version__}\n" in cli("version").stdout
    assert json.loads(cli("version", "-f", "json").stdout)["Client"]["Os"] == "linux"
    assert cli("--version").stdout == f"pyctr version {__version__}\n"
    assert platform.python_version().rpartition(".")[0] in cli("version").stdout


def test_unshare_maps_the_whole_range(cli: Cli, podman: Podman) -> None:
    words = ("unshare", "cat", "/proc/self/uid_map", "/proc/self/gid_map")
    assert cli(*words).stdout == podman(*words).stdout


def test_unshare_gives_files_to_subordinate_ids(cli: Cli) -> None:
    path = pathlib.Path(cli.folder, "file")
    cli("unshare", "sh", "-c", f"id -u; touch {path}; chown 5:6 {path}")
    assert path.stat().st_uid not in (0, 5, os.getuid())
    assert cli("unshare", "stat", "-c", "%u:%g", path).stdout == "5:6\n"
    cli("unshare", "rm", path)


def test_unshare_knows_the_store_and_passes_everything_on(cli: Cli) -> None:
    script = "echo $CONTAINERS_GRAPHROOT $CONTAINERS_RUNROOT; cat"
    done = cli("unshare", "sh", "-c", script, input="in\n")
    assert done.stdout == f"{cli.store.root} {cli.store.runroot}\nin\n"
    assert cli("unshare", "echo", "-n", "--help").stdout == "--help"
    assert cli("unshare", env={"SHELL": "/bin/echo"}).stdout == "\n"


@pytest.mark.parametrize(
    "args, code",
    [
        (("sh", "-c", "exit 3"), 3),
        (("nope",), 127),
        (("/etc",), 126),
        (("/etc/passwd",), 126),
        (("--foo",), 125),
    ],
)
def test_unshare_has_podmans_exit_codes(cli: Cli, args: tuple[str, ...], code: int) -> None:
    assert cli("unshare", *args, check=False).returncode == code


def test_mounts_of_unshare_stay_inside(cli: Cli) -> None:
    folder = pathlib.Path(cli.folder, "mnt")
    folder.mkdir()
    cli("unshare", "sh", "-c", f"mount -t tmpfs none {folder} && touch {folder}/file")
    assert list(folder.iterdir()) == []


def test_doctor_says_what_works(cli: Cli) -> None:
    done = cli("doctor")
    assert "OK    user namespaces: can be made\n" in done.stdout
    found = json.loads(cli("doctor", "--format", "json").stdout)
    assert {each["Status"] for each in found} <= {"OK", "warn"}


def test_doctor_fails_where_containers_cannot_work(cli: Cli) -> None:
    """Inside a namespace of one id: no ids to map."""
    words = cli.argv("doctor")
    done = cli("unshare", "unshare", "--user", "--map-current-user", "--", *words, check=False)
    assert done.returncode == 1
    assert "FAIL  id maps" in done.stdout or "FAIL  subordinate ids" in done.stdout

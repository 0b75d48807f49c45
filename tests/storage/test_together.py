"""Pulls, a prune and a run of the same image at the same time: each does what it was asked for."""

import pathlib
import subprocess

import pytest

from tests.commands import Cli
from tests.conftest import needs
from tests.images import BUSYBOX


@pytest.fixture
def remote(cli: Cli, registry: str, busybox_archive: pathlib.Path) -> str:
    """The name of an image that the registry has and the store lacks."""
    needs("skopeo")
    name = f"{registry}/busybox:1"
    argv = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{busybox_archive}"]
    subprocess.run([*argv, f"docker://{name}"], check=True)
    return name


def run_together(cli: Cli, *lines: str) -> None:
    """Starts all commands at once; each has to end well."""
    pipe = subprocess.PIPE
    running = [
        cli.start(*line.split(), stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL) for line in lines
    ]
    for line, command in zip(lines, running, strict=True):
        _output, errors = command.communicate(timeout=60)
        assert command.returncode == 0, f"{line}: {errors}"


@pytest.mark.parametrize("round", range(3))
def test_pulls_a_prune_and_a_run_of_one_image(cli: Cli, remote: str, round: int) -> None:
    pull = f"pull -q --tls-verify=false {remote}"
    run = f"run --rm --network none --tls-verify=false {remote} true"
    run_together(cli, pull, run, "system prune -f", pull, "image prune -f", run, "volume prune -f")
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split() == [remote]
    cli("run", "--rm", "--network", "none", remote, "true")
    cli("system", "prune", "-f")
    assert cli("system", "check").stdout == ""


@pytest.mark.parametrize("round", range(3))
def test_removals_while_the_image_is_loaded_and_run(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, round: int
) -> None:
    """Whoever comes second may find no image, which is the truth; nothing is half there."""
    pipe = subprocess.PIPE
    lines = (f"run --rm --network none {busybox} true", f"rmi -i {busybox}", f"load -q -i {busybox_archive}")
    running = [cli.start(*line.split(), stdout=pipe, stderr=pipe) for line in (*lines, *lines)]
    for command in running:
        _output, errors = command.communicate(timeout=60)
        told = ("in use", "removed just now", "cannot connect", "image not known", "initializing source")
        assert command.returncode == 0 or any(words in errors for words in told), errors
    cli("load", "-q", "-i", busybox_archive)
    cli("run", "--rm", "--network", "none", BUSYBOX, "true")
    cli("system", "prune", "-f")
    assert cli("system", "check").stdout == ""


def test_containers_and_removals_of_their_volume(cli: Cli, busybox: str) -> None:
    """A container never starts without its volume, whoever removes that meanwhile."""
    run = f"run --rm --network none -v data:/etc {busybox} cat /etc/passwd"
    run_together(
        cli, run, "volume rm -f none", "volume prune -af", run, "volume prune -af", run, "volume prune -af"
    )
    assert cli("system", "check").stdout == ""

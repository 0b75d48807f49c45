"""--platform, --arch, --os and --variant of pull, run and create, beside podman."""

import pathlib
import platform

import pytest

from tests.cli.test_manifest import MACHINE, other
from tests.cli.test_push import INSECURE
from tests.commands import Cli
from tests.images import Layer
from tests.peers import Podman

__all__ = ["other"]  # a fixture

WARNING = f"image platform (linux/s390x) does not match the expected platform (linux/{MACHINE}"


@pytest.fixture
def variants(cli: Cli, tmp_path: pathlib.Path, registry: str) -> str:
    """A list in a registry of two images for arm: v6 and v7."""
    for variant in ("v6", "v7"):
        (tmp_path / variant).write_bytes(Layer().file("hello", variant).tar())
        cli("import", "-q", "--arch", "arm", "--variant", variant, tmp_path / variant, f"arm:{variant}")
    cli("manifest", "create", "arm:all", "arm:v6", "arm:v7")
    cli("manifest", "push", "-q", "arm:all", f"{registry}/arm:all")
    cli("rmi", "-a")
    return f"{registry}/arm:all"


def test_the_variant_counts(cli: Cli, variants: str) -> None:
    """A newer machine runs the code of an older one, not the other way."""
    cli("pull", "-q", "--platform", "linux/arm/v7", variants)
    assert "Trying to pull" not in cli("create", "--platform", "linux/arm/v7", variants, "x").stderr
    first = cli("images", "-q", variants).stdout
    assert "Trying to pull" in cli("create", "--arch=arm", "--variant=v6", variants, "x").stderr
    assert cli("images", "-q", variants).stdout != first
    assert "Trying to pull" not in cli("create", "--platform", "linux/arm/v7", variants, "x").stderr
    assert "Trying to pull" not in cli("create", "--arch", "arm", variants, "x").stderr


def test_an_image_for_another_machine_is_warned_of_as_in_podman(
    cli: Cli, other: str, registry: str, podman: Podman
) -> None:
    name = f"{registry}/other:1"
    cli("push", "-q", other, name)
    cli("rmi", other)
    told = podman("pull", INSECURE, name).stderr
    podman("rmi", name)
    assert "WARNING: image platform (" in told and "s390x" in told
    assert f"WARNING: {WARNING}" in cli("pull", name).stderr
    assert WARNING not in cli("pull", "--arch", "s390x", name).stderr
    assert WARNING in cli("create", name, "x").stderr
    assert WARNING not in cli("create", "--platform=linux/s390x", name, "x").stderr
    assert cli("create", "-q", name, "x").stderr == ""
    done = cli("run", "--rm", name, "/hello", check=False)
    assert done.returncode in (126, 127) and WARNING in done.stderr


def test_an_id_means_its_image_whatever_that_is_for(cli: Cli, other: str) -> None:
    image_id = cli("images", "-q", other).stdout.strip()
    done = cli("create", "--platform", f"linux/{MACHINE}", image_id, "x")
    assert "Trying to pull" not in done.stderr and WARNING in done.stderr


@pytest.mark.parametrize("command", ["pull", "run", "create"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--platform", "linux/arm64", "--arch", "arm64"], "--platform"),
        (["--platform", "linux/arm64", "--os", "linux"], "--platform"),
        (["--platform", "a/b/c/d"], "invalid platform 'a/b/c/d'"),
        (["--platform", "linux//v7"], "invalid platform 'linux//v7'"),
        (["--all-platforms"], "--all-platforms"),
    ],
)
def test_what_is_no_platform_is_told(cli: Cli, command: str, words: list[str], told: str) -> None:
    done = cli(command, *words, "127.0.0.1:1/x", check=False)
    assert done.returncode == 125 and told in done.stderr


def test_other_names_of_a_machine_are_known(cli: Cli, busybox: str) -> None:
    name = {"x86_64": "x86_64", "aarch64": "aarch64"}.get(platform.machine(), MACHINE)
    assert cli("create", "--arch", name, busybox, "x").stderr == ""

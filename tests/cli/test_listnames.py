"""Manifest lists among the images: images, tag, untag, rmi, run, as far as podman makes sense of them."""

import json
import pathlib
import re

import pytest

from tests.cli.test_manifest import app, blobs, inspect, other
from tests.commands import Cli
from tests.peers import Podman

__all__ = ["app", "other"]  # fixtures


def names(cli: Cli, *words: str) -> list[str]:
    """Repository:tag of each row of `images`, in its order."""
    return cli("images", "--format", "{{.Repository}}:{{.Tag}}", *words).stdout.split()


@pytest.fixture
def list_id(cli: Cli, app: str) -> str:
    """The id of the list."""
    return cli("images", "-q", "--no-trunc", app).stdout.strip().removeprefix("sha256:")


def test_a_list_is_shown_as_podman_does(cli: Cli, app: str, busybox: str, podman: Podman) -> None:
    """Headings, name, id, age and size; digest and the keys of the JSON."""
    line = next(each for each in cli("images").stdout.splitlines() if "localhost/app" in each)
    shape = r"localhost/app      latest      [0-9a-f]{12}  (Less than a second|\d+ seconds?) ago  \d+ B"
    assert re.fullmatch(shape, line)
    assert re.search(r"sha256:[0-9a-f]{64}", cli("images", "--digests", app).stdout)
    podman("manifest", "create", "listname:1")
    keys = {*json.loads(podman("images", "--format", "json", "listname:1").stdout)[0]}
    podman("rmi", "localhost/listname:1")
    (row,) = json.loads(cli("images", "--format", "json", app).stdout)
    assert keys <= row.keys() and row["IsManifestList"] and row["Labels"] is None
    assert row["RepoDigests"] == [f"localhost/app@{row['Digest']}"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--filter", "manifest=true"], ["app"]),
        (["--filter", "manifest=false"], ["busybox", "other"]),
        (["--filter", "reference=a*"], ["app"]),
        (["app"], ["app"]),
        (["--filter", "dangling=true"], []),
        (["--filter", "label=x"], []),
        (["--filter", "since=localhost/busybox"], ["app", "other"]),
        (["--filter", "containers=true"], []),
    ],
)
def test_filters_look_at_lists_too(cli: Cli, app: str, words: list[str], shown: list[str]) -> None:
    found = sorted([each.partition("/")[2].partition(":")[0] for each in names(cli, *words)])
    assert found == shown


def test_a_list_runs_as_its_image_for_this_machine(cli: Cli, app: str, busybox: str) -> None:
    assert cli("run", "--rm", app, "echo", "hi").stdout == "hi\n"
    cli("create", "--name", "c", app)
    assert cli("ps", "-a", "--format", "{{.Image}}").stdout == "localhost/app:latest\n"
    done = cli("rmi", busybox, check=False)
    assert done.returncode == 2  # the container is made from it
    assert cli("image", "inspect", "--format", "{{.RepoTags}}", app).stdout == f"[{busybox}]\n"
    assert cli("history", "-q", app).stdout == cli("history", "-q", busybox).stdout


def test_the_image_for_another_platform_is_chosen_by_it(cli: Cli, app: str, other: str) -> None:
    made = cli("create", "--platform", "linux/s390x", app, "x").stdout.strip()
    image = cli("inspect", "--format", "{{.Image}}", made).stdout.strip()
    assert image == cli("image", "inspect", "--format", "{{.Id}}", other).stdout.strip()


def test_a_list_without_an_image_for_this_machine_is_not_pulled_instead(cli: Cli, other: str) -> None:
    """What docker.io has under that name is something else."""
    cli("manifest", "create", "app", other)
    for words in (["run", "--rm", "app"], ["create", "--pull=missing", "app"], ["history", "app"]):
        done = cli(*words, check=False)
        assert done.returncode == 125
        assert "the manifest list localhost/app:latest has no image for linux/" in done.stderr
        assert "It names" not in done.stdout and "linux/s390x" in done.stderr
    assert cli("image", "exists", "app", check=False).returncode == 1
    cli("manifest", "create", "empty")
    assert "no image" in cli("run", "empty", check=False).stderr


def test_a_list_exists_when_it_has_an_image(cli: Cli, app: str) -> None:
    assert cli("image", "exists", app, check=False).returncode == 0


def test_a_list_has_several_names(cli: Cli, app: str, busybox: str) -> None:
    cli("tag", app, "second", "quay.io/me/third:1")
    assert names(cli, "--sort=repository")[0] == "localhost/app:latest"
    cli("manifest", "annotate", "--index", "--annotation", "a=b", "second")
    assert inspect(cli, "third:1")["annotations"] == {"a": "b"}
    cli("untag", "second", "app")
    assert cli("manifest", "exists", "app", check=False).returncode == 1
    assert cli("rmi", "second").stdout == "Untagged: localhost/second:latest\n"
    assert cli("run", "--rm", "quay.io/me/third:1", "echo", "hi").stdout == "hi\n"


def test_a_list_without_a_name_is_used_by_its_id(cli: Cli, app: str, list_id: str) -> None:
    cli("untag", app)
    assert names(cli, "--filter", "dangling=true") == ["<none>:<none>"]
    assert cli("run", "--rm", list_id[:12], "echo", "hi").stdout == "hi\n"
    assert len(inspect(cli, list_id[:12])["manifests"]) == 2
    done = cli("manifest", "push", list_id, check=False)
    assert done.returncode == 125 and "Name a destination" in done.stderr
    assert cli("image", "prune", "-f").stdout == f"{list_id}\n"


def test_a_removed_list_leaves_its_images(cli: Cli, app: str, busybox: str, list_id: str) -> None:
    """podman 4.3.1 removes the image for this machine, and keeps the list."""
    done = cli("rmi", app)
    assert done.stdout == f"Untagged: localhost/app:latest\nDeleted: {list_id}\n"
    assert sorted(names(cli)) == ["localhost/busybox:latest", "localhost/other:1"]
    assert cli("rmi", app, check=False).returncode == 1


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_an_id_of_many_names_is_removed_by_force_only(
    cli: Cli, app: str, list_id: str, force: list[str]
) -> None:
    cli("tag", app, "second")
    done = cli("rmi", *force, list_id[:12], check=False)
    assert (done.returncode, "more than one tag" in done.stderr) == ((0, False) if force else (125, True))
    assert bool(names(cli, "--filter", "manifest=true")) == (not force)


@pytest.mark.parametrize("words", [["rmi", "-a"], ["image", "prune", "-a", "-f"]])
def test_all_is_all(cli: Cli, app: str, words: list[str]) -> None:
    cli(*words)
    assert names(cli) == [] and blobs(cli.store) == []


@pytest.mark.parametrize("way", ["tag", "load"])
def test_a_name_means_one_thing(
    cli: Cli, app: str, busybox: str, list_id: str, busybox_archive: pathlib.Path, way: str
) -> None:
    if way == "tag":
        cli("tag", busybox, app)
        cli("tag", list_id, busybox)
        assert names(cli, "--filter", "manifest=true") == [busybox]
        assert cli("manifest", "exists", busybox, check=False).returncode == 0
        assert cli("manifest", "exists", app, check=False).returncode == 1
    else:
        cli("tag", list_id, busybox)
        cli("load", "-q", "-i", busybox_archive)
        assert sorted(names(cli, "busybox")) == [busybox]
        assert names(cli, "--filter", "manifest=true") == ["localhost/app:latest"]


def test_disk_usage_counts_lists(cli: Cli, app: str, list_id: str) -> None:
    assert list_id[:12] in cli("system", "df", "-v").stdout
    assert cli("info", "--format", "{{.Store.ImageStore.Number}}").stdout == "3\n"


def test_a_list_is_saved_as_its_image(cli: Cli, app: str, tmp_path: pathlib.Path) -> None:
    cli("save", "-q", "-o", tmp_path / "x.tar", app)
    cli("rmi", "-a")
    assert cli("load", "-q", "-i", tmp_path / "x.tar").stdout == "Loaded image: localhost/app:latest\n"

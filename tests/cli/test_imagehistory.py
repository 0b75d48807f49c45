"""history, image tree, image mount and unmount, with podman's words."""

import json
import os
import pathlib

import pytest

from tests.commands import Cli
from tests.images import BUSYBOX
from tests.peers import Podman


@pytest.fixture
def mine(cli: Cli, busybox: str) -> str:
    """An image with a layer on that of busybox."""
    cli("run", "--name", "box", "--network", "none", busybox, "sh", "-c", "echo text > /etc/new")
    cli("commit", "-q", "-m", "a comment", "box", "mine:1")
    return "mine:1"


def test_history_is_podmans(cli: Cli, busybox: str, podman: Podman, busybox_archive: pathlib.Path) -> None:
    podman("load", "-q", "-i", busybox_archive)
    assert json.loads(cli("history", "--format", "json", busybox).stdout)[0].items() >= (
        json.loads(podman("history", "--format", "json", BUSYBOX).stdout)[0].items()
    )
    ours, theirs = cli("history", busybox).stdout, podman("history", BUSYBOX).stdout
    assert [line.split() for line in ours.splitlines()] == [line.split() for line in theirs.splitlines()]
    assert cli("history", "-q", busybox).stdout == podman("history", "-q", BUSYBOX).stdout


def test_history_tells_every_step(cli: Cli, mine: str) -> None:
    first, second = json.loads(cli("history", "--format", "json", mine).stdout)
    assert first["comment"] == "a comment"
    assert first["CreatedBy"] == "sh -c echo text > /etc/new"
    assert (first["tags"], second["tags"]) == (["localhost/mine:1"], [BUSYBOX])
    assert cli("history", "--format", "{{.CreatedBy}}", mine).stdout.splitlines()[1] == "tests"
    cli("rm", "box")
    cli("tag", mine, "kept")
    cli("rmi", BUSYBOX)
    assert cli("history", "-q", mine).stdout.splitlines()[1] == "<missing>"


def test_history_without_the_help_for_people(cli: Cli, mine: str) -> None:
    lines = cli("history", "--human=false", "--no-trunc", mine).stdout.splitlines()
    image_id = cli("image", "inspect", "-f", "{{.Id}}", mine).stdout.strip()
    assert lines[1].startswith(image_id)
    assert "Z " in lines[1]
    assert lines[2].split()[-1].isdigit()


def test_a_history_cannot_drive_the_terminal(cli: Cli, busybox: str) -> None:
    cli("create", "--name", "box", busybox, "true")
    cli("commit", "-q", "-m", "\x1b[31mred\x07", "box", "evil")
    assert "\x1b" not in cli("history", "evil").stdout


def test_tree_is_podmans(cli: Cli, busybox: str, podman: Podman, busybox_archive: pathlib.Path) -> None:
    podman("load", "-q", "-i", busybox_archive)
    ours = cli("image", "tree", busybox).stdout.splitlines()
    theirs = podman("image", "tree", BUSYBOX).stdout.splitlines()
    assert [ours[0], ours[1], ours[3], ours[4]] == [theirs[0], theirs[1], theirs[3], theirs[4]]


def test_tree_shows_what_is_built_on_an_image(cli: Cli, mine: str, busybox: str) -> None:
    down = cli("image", "tree", mine).stdout.splitlines()
    assert down[4].startswith("├── ID: ") and down[4].endswith(f"[{BUSYBOX}]")
    assert down[5].startswith("└── ID: ") and down[5].endswith("[localhost/mine:1]")
    up = cli("image", "tree", "--whatrequires", busybox).stdout.splitlines()
    assert up[5].startswith("    └── ID: ") and up[5].endswith("[localhost/mine:1]")


def test_images_are_mounted_in_unshare_only(cli: Cli, busybox: str) -> None:
    for verb in ("mount", "unmount", "umount"):
        done = cli("image", verb, busybox, check=False)
        assert done.returncode == 125
        assert "pyctr unshare" in done.stderr


def test_an_image_is_mounted_and_unmounted(cli: Cli, mine: str) -> None:
    program = " ".join(cli.argv())
    script = f"""set -e
        at=$({program} image mount {mine}); cat $at/etc/new; test "$at" = "$({program} image mount {mine})"
        ! touch $at/x 2>/dev/null; {program} image mount --format json
        {program} image unmount {mine} >/dev/null; test -z "$({program} image mount)"; test ! -e $at/etc/new
        {program} image mount -a >/dev/null
        (cd $at; {program} image unmount -a 2>&1 || {program} image unmount -f -a >/dev/null)
        test -z "$({program} image mount)" """
    out = cli("unshare", "sh", "-c", script).stdout
    text, _, rest = out.partition("\n")
    assert text == "text"
    rows, end = json.JSONDecoder().raw_decode(rest)
    assert [row["Repositories"] for row in rows] == [["localhost/mine:1"]]
    assert "cannot be unmounted" in rest[end:]
    assert len(os.listdir(f"{cli.store.root}/layers")) == 1  # nothing was unpacked anew


def test_images_are_mounted_from_layers_of_the_overlay_format(
    cli: Cli, busybox_archive: pathlib.Path
) -> None:
    vfs = ("--storage-driver", "vfs")
    cli(*vfs, "load", "-q", "-i", busybox_archive)
    done = cli(*vfs, "unshare", *cli.argv(*vfs, "image", "mount", BUSYBOX), check=False)
    assert done.returncode == 125
    assert "vfs" in done.stderr and "--storage-driver overlay" in done.stderr
    assert "overlay format" in cli("image", "mount", "--help").stdout


@pytest.mark.parametrize(
    "words", ["history nothing", "image tree nothing", "image diff nothing", "save nothing"]
)
def test_missing_images_are_named(cli: Cli, words: str) -> None:
    done = cli(*words.split(), check=False)
    assert done.returncode == 125
    assert "nothing: image not known" in done.stderr

"""The commands for images, as a user types them, against real registries and podman's own words."""

import json
import pathlib
import shutil
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from pyctr.cli import rmi
from pyctr.storage import blobs, paths
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.peers import Podman

SHORT = 12


@pytest.fixture
def filled(registry: str, busybox_archive: pathlib.Path) -> str:
    """host:port of a registry that has busybox:docker and busybox:oci."""
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    for kind, tag in (("v2s2", "docker"), ("oci", "oci")):
        target = f"docker://{registry}/busybox:{tag}"
        source = f"docker-archive:{busybox_archive}"
        argv = ["skopeo", "copy", "-q", "-f", kind, "--dest-tls-verify=false", source, target]
        subprocess.run(argv, check=True)
    return registry


def skopeo_digest(name: str) -> str:
    argv = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def only(podman: Podman, archive: pathlib.Path) -> None:
    """Makes the image of an archive the only one that podman has."""
    podman("rmi", "-a", "-f")
    podman("load", "-q", "-i", archive)


def inspect(cli: Cli, name: str, template: str) -> str:
    return cli("image", "inspect", "--format", template, name).stdout.strip()


@pytest.mark.parametrize("tag", ["docker", "oci"])
def test_pull_agrees_with_skopeo_and_podman(cli: Cli, filled: str, podman: Podman, tag: str) -> None:
    name = f"{filled}/busybox:{tag}"
    image_id = cli("pull", "-q", name).stdout.strip()
    podman("pull", "-q", "--tls-verify=false", name)
    seen = podman("image", "inspect", "--format", "{{.Id}} {{.RepoDigests}}", name).stdout
    digest = inspect(cli, name, "{{.Digest}}")
    assert seen.startswith(image_id)
    assert f"@{digest}" in seen  # podman's Digest is that of the image's first name
    assert skopeo_digest(name) == digest


def test_pull_by_digest_keeps_the_digest_as_its_name(cli: Cli, filled: str) -> None:
    digest = skopeo_digest(f"{filled}/busybox:oci")
    cli("pull", "-q", f"{filled}/busybox@{digest}")
    row = "{{.Repository}} {{.Tag}} {{.Digest}}"
    assert cli("images", "--format", row).stdout.split() == [f"{filled}/busybox", "<none>", digest]
    assert inspect(cli, f"{filled}/busybox@{digest}", "{{.RepoDigests}}") == f"[{filled}/busybox@{digest}]"


def test_pull_tells_its_steps_on_standard_error(cli: Cli, filled: str) -> None:
    done = cli("pull", f"{filled}/busybox:oci")
    lines = done.stderr.splitlines()
    assert lines[:2] == [f"Trying to pull {filled}/busybox:oci...", "Getting image source signatures"]
    assert lines[2].startswith("Copying blob sha256:") and lines[3].startswith("Copying config sha256:")
    assert lines[4:] == ["Writing manifest to image destination"]
    assert len(done.stdout) == 65


def test_pull_of_several_names_prints_several_ids(cli: Cli, filled: str) -> None:
    done = cli("pull", "-q", f"{filled}/busybox:oci", f"docker://{filled}/busybox:docker")
    assert len(set(done.stdout.split())) == 2
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["busybox:absent", "absent", "absent@sha256:" + "0" * 64])
def test_pull_of_what_is_not_there_fails_by_name(cli: Cli, filled: str, name: str) -> None:
    done = cli("pull", "-q", f"{filled}/{name}", check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{filled}/{name}" in done.stderr
    assert cli("images", "-q").stdout == ""


@pytest.mark.parametrize("name", ["UPPER", "a:b:c", "", "-x", "x@sha256:12"])
def test_pull_of_a_wrong_name_fails(cli: Cli, name: str) -> None:
    done = cli("pull", "--", name, check=False)
    assert done.returncode == 125 and repr(name) in done.stderr


def test_load_says_what_podman_says(cli: Cli, podman: Podman, busybox_archive: pathlib.Path) -> None:
    said = [program("load", "-q", "-i", busybox_archive).stdout for program in (cli, podman)]
    assert said[0] == said[1] == "Loaded image: localhost/busybox:latest\n"


def test_load_of_a_broken_archive_fails_by_name(cli: Cli, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "broken.tar"
    path.write_bytes(b"x" * 3000)
    done = cli("load", "-i", path, check=False)
    assert done.returncode == 125 and str(path) in done.stderr


def test_images_looks_like_podmans(
    cli: Cli, busybox: str, podman: Podman, busybox_archive: pathlib.Path
) -> None:
    only(podman, busybox_archive)
    cli("tag", busybox, "localhost/other:1")
    podman("tag", busybox, "localhost/other:1")
    for argv in (
        ["images", "--digests", "--no-trunc"],
        ["image", "ls", "-n", "--sort", "tag"],
        ["images", "-q"],
    ):
        ours, theirs = cli(*argv).stdout, podman(*argv).stdout
        assert [line.split()[:4] for line in ours.splitlines()] == [
            line.split()[:4] for line in theirs.splitlines()
        ]


def test_images_as_json_has_podmans_keys(
    cli: Cli, busybox: str, podman: Podman, busybox_archive: pathlib.Path
) -> None:
    only(podman, busybox_archive)
    argv = ["images", "--format", "json", "--filter", "reference=localhost/busybox"]
    (ours,), (theirs,) = json.loads(cli(*argv).stdout), json.loads(podman(*argv).stdout)
    assert set(ours) == set(theirs)
    assert [ours[key] for key in ("Id", "Digest", "Created")] == [
        theirs[key] for key in ("Id", "Digest", "Created")
    ]


def test_image_inspect_has_podmans_keys(
    cli: Cli, busybox: str, podman: Podman, busybox_archive: pathlib.Path
) -> None:
    only(podman, busybox_archive)
    argv = ["image", "inspect", busybox]
    (ours,), (theirs,) = json.loads(cli(*argv).stdout), json.loads(podman(*argv).stdout)
    assert set(ours) == set(theirs)
    same = (
        "Id",
        "Digest",
        "Created",
        "Config",
        "Architecture",
        "Os",
        "RootFS",
        "ManifestType",
        "History",
        "Labels",
    )
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}


def test_image_inspect_of_an_unknown_image_fails(cli: Cli, busybox: str) -> None:
    done = cli("image", "inspect", "absent", busybox, check=False)
    assert done.returncode == 125
    assert len(json.loads(done.stdout)) == 1
    assert done.stderr.startswith("Error: absent: image not known")


FILTERED: list[tuple[list[str], list[str]]] = [
    ([], ["1", "2", "latest"]),
    (["other"], ["1", "2"]),
    (["other:1"], ["1"]),
    (["localhost/other"], ["1", "2"]),
    (["absent"], []),
    (["--filter", "reference=*other"], ["1", "2"]),
    (["--filter", "reference=*/busy*"], ["latest"]),
    (["--filter", "dangling=true"], []),
    (["--filter", "dangling=false"], ["1", "2", "latest"]),
    (["--filter", "label=nothing"], []),
    (["--filter", "label!=nothing"], ["1", "2", "latest"]),
    (["--filter", "until=1h"], ["1", "2", "latest"]),
    (["--filter", "until=2000-01-01T00:00:00Z"], []),
    (["--filter", "before=busybox"], []),
    (["--filter", "containers=true"], []),
]


def test_images_are_filtered(cli: Cli, busybox: str) -> None:
    cli("tag", busybox, "other:1", "other:2")
    for argv, tags in FILTERED:
        found = cli("images", "--format", "{{.Tag}}", "--sort", "tag", *argv).stdout.split()
        assert found == tags, argv


@pytest.mark.parametrize("text", ["nonsense=1", "dangling", "dangling=maybe", "until=x", "label"])
def test_a_wrong_filter_is_refused(cli: Cli, text: str) -> None:
    done = cli("images", "--filter", text, check=False)
    assert done.returncode == 125 and text.partition("=")[0] in done.stderr


def test_a_name_that_moves_leaves_an_image_without_a_name(
    cli: Cli, busybox: str, tmp_path: pathlib.Path
) -> None:
    root = tmp_path / "root.tar"
    subprocess.run(["tar", "-cf", root, "-C", tmp_path, "--exclude=root.tar", "."], check=True)
    old = inspect(cli, busybox, "{{.Id}}")
    new = cli("import", "-q", root, busybox).stdout.strip().removeprefix("sha256:")
    assert inspect(cli, busybox, "{{.Id}}") == new
    assert cli("images", "-q", "--filter", "dangling=true").stdout.split() == [old[:SHORT]]
    assert cli("image", "prune", "-f").stdout.split() == [old]
    assert cli("images", "-q", "--no-trunc").stdout.split() == [f"sha256:{new}"]


def test_prune_asks_first(cli: Cli, busybox: str) -> None:
    cli("untag", busybox)
    assert "[y/N]" in cli("image", "prune", input="n\n").stdout
    assert len(cli("images", "-q").stdout.split()) == 1
    cli("image", "prune", input="y\n")
    assert cli("images", "-q").stdout == ""


def test_rmi_takes_one_of_several_names(cli: Cli, busybox: str) -> None:
    cli("tag", busybox, "other")
    assert cli("rmi", "other").stdout == "Untagged: localhost/other:latest\n"
    image_id = inspect(cli, busybox, "{{.Id}}")
    assert cli("rmi", busybox).stdout == f"Untagged: {busybox}\nDeleted: {image_id}\n"


def test_rmi_leaves_nothing_on_disk(cli: Cli, busybox: str, store: Store) -> None:
    digest = inspect(cli, busybox, "{{.Digest}}")
    cli("image", "rm", busybox)
    assert not blobs.has_blob(store, digest)
    left = [str(path) for path in pathlib.Path(store.root).rglob("*") if path.is_file()]
    assert {path.removeprefix(store.root) for path in left} <= {
        paths_of(store, path) for path in (store.store_lock(), store.oci_layout(), store.oci_index())
    } | {paths_of(store, f"{store.oci_index()}.lock"), paths_of(store, store.events())}


def paths_of(store: Store, path: str) -> str:
    return path.removeprefix(store.root)


def test_rmi_by_id_with_several_names_wants_force(cli: Cli, busybox: str) -> None:
    cli("tag", busybox, "other")
    image_id = inspect(cli, busybox, "{{.Id}}")
    done = cli("rmi", image_id[:SHORT], check=False)
    assert done.returncode == 125 and "--force" in done.stderr
    printed = cli("rmi", "-f", image_id[:SHORT]).stdout.splitlines()
    assert sorted(printed) == [
        f"Deleted: {image_id}",
        f"Untagged: {busybox}",
        "Untagged: localhost/other:latest",
    ]


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["absent"], 1), (["-i", "absent"], 0), (["UPPER"], 125), ([], 125), (["-a", "x"], 125), (["-a"], 0)],
)
def test_exit_codes_of_rmi(cli: Cli, argv: list[str], code: int) -> None:
    assert cli("rmi", *argv, check=False).returncode == code


def test_an_image_that_goes_while_all_are_removed_is_no_failure(
    cli: Cli, busybox: str, store: Store
) -> None:
    image_id = inspect(cli, busybox, "{{.Id}}")
    options: Any = SimpleNamespace(store=store, force=False, ignore=False, all=True)
    (way,) = rmi.everything(options)
    assert [rmi.remove_one(options, way) for _ in range(2)] == [0, 0]
    options.all = False
    assert image_id and rmi.remove_one(options, way) == 1


def test_rmi_goes_on_after_a_failure(cli: Cli, busybox: str) -> None:
    done = cli("rmi", "absent", busybox, check=False)
    assert done.returncode == 1
    assert "Deleted" in done.stdout
    assert "Error: absent: image not known" in done.stderr


def test_untag_takes_all_names_or_those_that_are_named(cli: Cli, busybox: str) -> None:
    cli("tag", busybox, "one", "two")
    cli("untag", busybox, "one")
    assert inspect(cli, busybox, "{{.RepoTags}}") == f"[{busybox} localhost/two:latest]"
    image_id = inspect(cli, busybox, "{{.Id}}")
    assert cli("untag", busybox, "absent", check=False).returncode == 125
    cli("untag", busybox)
    assert inspect(cli, image_id, "{{.RepoTags}}") == "[]"


@pytest.mark.parametrize("target", ["UPPER", "x@sha256:" + "0" * 64, "a:b:c"])
def test_tag_refuses_wrong_names(cli: Cli, busybox: str, target: str) -> None:
    assert cli("tag", busybox, target, check=False).returncode == 125


def test_tag_of_an_unknown_image_fails(cli: Cli) -> None:
    done = cli("tag", "absent", "x", check=False)
    assert (done.returncode, done.stderr) == (125, "Error: absent: image not known\n")


@pytest.mark.parametrize(("name", "code"), [("busybox", 0), ("localhost/busybox:latest", 0), ("absent", 1)])
def test_exists_answers_with_its_exit_code(cli: Cli, busybox: str, name: str, code: int) -> None:
    done = cli("image", "exists", name, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_broken_record_is_shown_and_can_be_removed(cli: Cli, busybox: str, store: Store) -> None:
    image_id = inspect(cli, busybox, "{{.Id}}")
    pathlib.Path(store.image(image_id)).write_text('{"version": 99}')
    assert "broken" in cli("images").stdout
    done = cli("image", "inspect", busybox, check=False)
    assert done.returncode == 125 and "newer" in done.stderr
    pruned = cli("image", "prune", "-f").stderr
    assert "no space was freed" in pruned and store.image(image_id) in pruned
    assert cli("images", "-q").stdout.split() == [image_id[:SHORT]]
    cli("rmi", busybox)
    assert cli("images", "-q").stdout == ""
    assert paths.TEMPORARY not in " ".join(map(str, pathlib.Path(store.root).rglob("*")))

"""pyctr manifest: lists that podman and skopeo read from a real registry."""

import json
import os
import pathlib
import platform
import urllib.request
from typing import Any

import pytest

from pyctr.storage import manifestlists
from pyctr.storage.paths import Store
from tests import registries
from tests.cli.test_push import INSECURE, digest_at, raw, skopeo
from tests.commands import Cli
from tests.images import Layer
from tests.peers import Podman

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def inspect(cli: Cli, name: str) -> Any:
    return json.loads(cli("manifest", "inspect", name).stdout)


@pytest.fixture
def other(cli: Cli, tmp_path: pathlib.Path) -> str:
    """An image for s390x in the store."""
    root = tmp_path / "root.tar"
    root.write_bytes(Layer().file("hello", "s390x").tar())
    cli("import", "-q", "--arch", "s390x", root, "localhost/other:1")
    return "localhost/other:1"


@pytest.fixture
def app(cli: Cli, busybox: str, other: str) -> str:
    """The list localhost/app:latest of a local image for this machine and one for s390x."""
    cli("manifest", "create", "app", busybox, other)
    return "app"


def test_a_list_is_made_shown_and_removed(cli: Cli, app: str) -> None:
    shown = inspect(cli, "localhost/app:latest")
    assert shown["mediaType"] == "application/vnd.oci.image.index.v1+json"
    platforms = [entry["platform"]["architecture"] for entry in shown["manifests"]]
    assert platforms == [MACHINE, "s390x"]
    assert cli("manifest", "exists", app, check=False).returncode == 0
    assert cli("manifest", "rm", app).stdout.startswith("Untagged: localhost/app:latest\nDeleted: ")
    assert cli("manifest", "exists", app, check=False).returncode == 1
    assert cli("manifest", "rm", "-i", app).stdout == ""
    done = cli("manifest", "rm", app, check=False)
    assert done.returncode == 1 and "no such manifest list" in done.stderr


def test_what_cannot_be_removed_does_not_keep_the_rest(cli: Cli) -> None:
    for name in ("one", "two"):
        cli("manifest", "create", name)
    done = cli("manifest", "rm", "one", "absent", "two", "sha256:x/y", check=False)
    assert [line for line in done.stdout.splitlines() if line.startswith("Untagged")] == [
        "Untagged: localhost/one:latest",
        "Untagged: localhost/two:latest",
    ]
    assert "no such manifest list: localhost/absent" in done.stderr and "invalid image name" in done.stderr
    assert done.returncode == 125
    assert cli("manifest", "rm", "absent", check=False).returncode == 1
    assert cli("manifest", "rm", "--ignore", "absent").stderr == ""


def test_the_id_stays_and_finds_the_list(cli: Cli, busybox: str) -> None:
    made = cli("manifest", "create", "app").stdout.strip()
    assert len(made) == 64
    assert cli("manifest", "add", made[:12], busybox).stdout.strip() == made
    digest = inspect(cli, made)["manifests"][0]["digest"]
    assert cli("manifest", "annotate", "--variant", "v9", "app", digest).stdout.strip() == made
    assert cli("manifest", "remove", "app", digest).stdout.strip() == made
    assert inspect(cli, "app")["manifests"] == []


def test_a_name_is_given_once(cli: Cli, busybox: str) -> None:
    first = cli("manifest", "create", "app").stdout
    assert "--amend" in cli("manifest", "create", "app", check=False).stderr
    assert cli("manifest", "create", "--amend", "app", busybox).stdout == first
    assert len(inspect(cli, "app")["manifests"]) == 1
    done = cli("manifest", "create", busybox, check=False)
    assert done.returncode == 125 and "is the name of an image" in done.stderr


def test_a_list_that_cannot_be_filled_is_not_made(cli: Cli, busybox: str) -> None:
    done = cli("manifest", "create", "app", busybox, "docker://127.0.0.1:1/x", check=False)
    assert done.returncode == 125 and "127.0.0.1:1" in done.stderr
    assert cli("manifest", "exists", "app", check=False).returncode == 1


def test_what_is_recorded_can_be_changed(cli: Cli, app: str, other: str) -> None:
    options = ("--arch", "arm", "--variant", "v7", "--os-version", "1.2", "--annotation", "a=b=c")
    cli("manifest", "annotate", *options, "--os-features", "f1", "--os-features=f2", app, other)
    cli("manifest", "annotate", "--index", "--annotation", "of=all", app)
    entry = inspect(cli, app)["manifests"][1]
    assert entry["platform"] == {
        "architecture": "arm",
        "os": "linux",
        "os.version": "1.2",
        "os.features": ["f1", "f2"],
        "variant": "v7",
    }
    assert entry["annotations"] == {"a": "b=c"}
    assert inspect(cli, app)["annotations"] == {"of": "all"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "absent", "localhost/busybox"], "no such manifest list: localhost/absent:latest"),
        (["add", "app", "containers-storage:absent"], "absent: image not known"),
        (["add", "app", "docker://127.0.0.1:1/x"], "127.0.0.1:1"),
        (["annotate", "app"], "which image"),
        (["annotate", "app", f"sha256:{'0' * 64}"], "is not in the manifest list"),
        (["annotate", "--annotation", "x", "app", "localhost/other:1"], "NAME=VALUE"),
        (["remove", "app", "absent"], "is not in the manifest list"),
        (["create", "Upper"], "must be lower case"),
        (["create", f"x@sha256:{'0' * 64}"], "digest"),
        (["push", "app", "127.0.0.1:1/x"], "127.0.0.1:1"),
        (["push", "app", "oci:/tmp/x"], "not supported"),
        (["add", "--artifact", "app", "x"], "not supported"),
    ],
)
def test_what_cannot_be_is_told(cli: Cli, app: str, words: list[str], told: str) -> None:
    done = cli("manifest", *words, check=False)
    assert done.returncode == 125 and told in done.stderr


def test_a_pushed_list_is_read_by_others(cli: Cli, app: str, registry: str, podman: Podman) -> None:
    name = f"{registry}/app:1"
    cli("manifest", "push", "-q", "--digestfile", f"{cli.folder}/digest", app, name)
    assert pathlib.Path(cli.folder, "digest").read_text() == digest_at(name)
    assert [entry["platform"]["architecture"] for entry in json.loads(raw(name))["manifests"]] == [
        MACHINE,
        "s390x",
    ]
    podman("pull", "-q", INSECURE, name)
    assert podman("image", "inspect", "--format", "{{.Architecture}}", name).stdout.strip() == MACHINE
    podman("rmi", "-f", name)
    podman("pull", "-q", INSECURE, "--arch", "s390x", name)
    podman("rmi", "-f", name)
    cli("pull", "-q", "--arch", "s390x", name)
    assert cli("image", "inspect", "--format", "{{.Architecture}}", name).stdout == "s390x\n"


def test_dockers_list_has_dockers_manifests(cli: Cli, app: str, registry: str, podman: Podman) -> None:
    name = f"{registry}/app:docker"
    cli("push", "-q", "--format", "v2s2", app, name)  # push finds a list as well
    shown = json.loads(raw(name))
    assert shown["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert {entry["mediaType"] for entry in shown["manifests"]} == {
        "application/vnd.docker.distribution.manifest.v2+json"
    }
    podman("pull", "-q", INSECURE, name)
    podman("rmi", "-f", name)


@pytest.mark.parametrize("name", ["list", "cafe"])  # which could be the beginning of an id
def test_the_exact_name_of_a_list_comes_before_an_image_that_ends_alike(
    cli: Cli, busybox: str, registry: str, name: str
) -> None:
    cli("manifest", "create", name, busybox)
    cli("tag", busybox, f"example.com/team/{name}:latest")
    cli("push", "-q", name, f"{registry}/list")
    assert len(json.loads(raw(f"{registry}/list"))["manifests"]) == 1
    cli("push", "-q", f"team/{name}", f"{registry}/image")
    cli("push", "-q", cli("images", "-q", busybox).stdout.strip(), f"{registry}/image")
    assert "manifests" not in json.loads(raw(f"{registry}/image"))


@pytest.mark.parametrize(("kind", "name"), [("list", "localhost/app"), ("image", "docker.io/library/app")])
def test_localhost_comes_before_a_registry(
    cli: Cli, app: str, busybox: str, registry: str, kind: str, name: str
) -> None:
    """A name in localhost that is an image's, and one in docker.io that is a list's; or the other way."""
    if kind == "image":
        cli("manifest", "rm", app)
        cli("manifest", "create", name, busybox)
    cli("tag", busybox, "localhost/app" if kind == "image" else "docker.io/library/app")
    cli("push", "-q", "app", f"{registry}/app")
    assert ("manifests" in json.loads(raw(f"{registry}/app"))) == (kind == "list")


def test_a_list_of_what_the_registry_has_moves_no_bytes(
    cli: Cli, app: str, registry: str, tmp_path: pathlib.Path
) -> None:
    cli("manifest", "push", "-q", app, f"{registry}/app:1")
    cli("manifest", "create", "--all", "again", f"docker://{registry}/app:1")
    cli("manifest", "create", "one", f"docker://{registry}/app:1")
    assert inspect(cli, "again")["manifests"] == json.loads(raw(f"{registry}/app:1"))["manifests"]
    platforms = [entry["platform"]["architecture"] for entry in inspect(cli, "one")["manifests"]]
    assert platforms == [MACHINE]
    cli("manifest", "push", "-q", "again", f"{registry}/other:1")
    assert raw(f"{registry}/other:1") == raw(f"{registry}/app:1")
    there = f"docker://{registry}/other:1"
    skopeo("copy", "-q", "--all", "--src-tls-verify=false", there, f"dir:{tmp_path}/copy")


def test_a_list_goes_from_one_registry_to_another(cli: Cli, app: str, registry: str) -> None:
    """Byte by byte, and nothing of it stays in the store."""
    cli("manifest", "push", "-q", app, f"{registry}/app:1")
    cli("rmi", "-f", "-a")
    cli("manifest", "create", "--all", "copy", f"docker://{registry}/app:1")
    before = blobs(cli.store)
    with registries.serve() as elsewhere:
        cli("manifest", "push", "-q", "copy", f"{elsewhere}/app:1")
        assert raw(f"{elsewhere}/app:1") == raw(f"{registry}/app:1")
        cli("pull", "-q", f"{elsewhere}/app:1")
        cli("rmi", f"{elsewhere}/app:1")
    assert blobs(cli.store) == before
    cli("manifest", "rm", "copy")
    assert blobs(cli.store) == []


def blobs(store: Store) -> list[str]:
    folder = f"{store.blobs()}/sha256"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def test_what_a_list_needs_outlives_its_image(cli: Cli, app: str, busybox: str, registry: str) -> None:
    cli("rmi", "-f", busybox)
    cli("image", "prune", "-f")
    cli("manifest", "push", "-q", "--rm", app, f"{registry}/app:1")
    cli("pull", "-q", f"{registry}/app:1")
    assert cli("manifest", "exists", app, check=False).returncode == 1


def test_the_list_alone_is_pushed_when_its_images_are_there(cli: Cli, app: str, registry: str) -> None:
    cli("manifest", "push", "-q", app, f"{registry}/app:1")
    cli("manifest", "create", "--all", "again", f"docker://{registry}/app:1")
    cli("manifest", "annotate", "--index", "--annotation", "x=y", "again")
    cli("manifest", "push", "-q", "--all=false", "again", f"{registry}/app:2")
    assert json.loads(raw(f"{registry}/app:2"))["annotations"] == {"x": "y"}
    done = cli("manifest", "push", "-q", "--all=false", app, f"{registry}/app:3", check=False)
    assert done.returncode == 125  # its local images are not there as they are here


def test_what_a_registry_has_is_shown(cli: Cli, app: str, registry: str) -> None:
    cli("manifest", "push", "-q", app, f"{registry}/app:1")
    assert inspect(cli, f"docker://{registry}/app:1") == json.loads(raw(f"{registry}/app:1"))
    done = cli("manifest", "inspect", f"{registry}/absent", check=False)
    assert done.returncode == 125 and "absent" in done.stderr


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"version": 1, "id": 7}'])
def test_a_broken_list_keeps_everything_until_it_is_removed(cli: Cli, busybox: str, text: str) -> None:
    cli("manifest", "create", "app")
    (list_id,) = manifestlists.ids(cli.store)
    path = pathlib.Path(cli.store.manifest_list(list_id))
    path.write_text(text)
    assert str(path) in cli("manifest", "inspect", "app", check=False).stderr
    cli("rmi", "-f", busybox)
    assert blobs(cli.store)  # perhaps the list needs them
    assert "broken" in cli("images", "app").stdout
    assert cli("manifest", "rm", "app").stdout.startswith("Untagged: localhost/app:latest\nDeleted: ")
    assert blobs(cli.store) == []


def test_an_index_in_an_index_is_refused(cli: Cli, app: str, registry: str, tmp_path: pathlib.Path) -> None:
    cli("manifest", "push", "-q", app, f"{registry}/app:1")
    inner = raw(f"{registry}/app:1")
    kind = "application/vnd.oci.image.index.v1+json"
    described = {"mediaType": kind, "digest": digest_at(f"{registry}/app:1"), "size": len(inner)}
    outer = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [described]})
    address = f"http://{registry}/v2/app/manifests/outer"
    put = urllib.request.Request(address, outer.encode(), {"Content-Type": kind}, method="PUT")
    urllib.request.urlopen(put).close()
    done = cli("manifest", "create", "--all", "x", f"docker://{registry}/app:outer", check=False)
    assert done.returncode == 125 and "index in an index" in done.stderr

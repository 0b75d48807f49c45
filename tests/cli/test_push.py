"""pyctr push to a real registry; podman and skopeo say what arrived."""

import json
import pathlib
import subprocess
from typing import Any

import pytest

from tests import tokens
from tests.commands import Cli
from tests.conftest import needs
from tests.images import PAGE
from tests.peers import Podman

INSECURE = "--tls-verify=false"


def skopeo(*words: object) -> str:
    needs("skopeo")
    done = subprocess.run(["skopeo", *map(str, words)], check=True, capture_output=True, text=True)
    return done.stdout


def raw(name: str) -> str:
    """The manifest of a name in a registry, as it is."""
    return skopeo("inspect", "--raw", INSECURE, f"docker://{name}")


def digest_at(name: str) -> str:
    return skopeo("inspect", INSECURE, "--format", "{{.Digest}}", f"docker://{name}").strip()


def digest_of(cli: Cli, name: str) -> str:
    return cli("image", "inspect", "--format", "{{.Digest}}", name).stdout.strip()


def damage(cli: Cli, digest: str) -> None:
    """Changes a blob of the store, so that it cannot be sent."""
    with pathlib.Path(cli.store.blob(digest)).open("r+b") as file:
        file.seek(100_000)
        file.write(b"damaged")


@pytest.fixture
def pushed(cli: Cli, busybox: str, registry: str) -> str:
    """What pyctr has pushed: a name in the registry."""
    cli("push", "-q", busybox, f"{registry}/app:1")
    return f"{registry}/app:1"


def test_podman_pulls_and_runs_what_was_pushed(pushed: str, podman: Podman) -> None:
    podman("pull", "-q", INSECURE, pushed)
    seen = podman("image", "inspect", "--format", "{{.RepoDigests}}", pushed).stdout
    assert digest_at(pushed) in seen  # podman's Digest is that of the image's first name
    page = f"cat $(podman image mount {pushed})/www/index.html"
    assert podman("unshare", "sh", "-c", page).stdout == PAGE
    if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():  # crun refuses hybrid ones
        options = ("--rm", "--network=none", "--cgroups=disabled")
        assert podman("run", *options, pushed, "echo", "hello").stdout == "hello\n"
    podman("rmi", "-f", pushed)


def test_what_podman_pushed_is_pushed_again_bit_by_bit(
    cli: Cli, podman: Podman, registry: str, busybox_archive: pathlib.Path
) -> None:
    podman("load", "-q", "-i", busybox_archive)
    for kind in ("oci", "v2s2"):
        name = f"{registry}/theirs:{kind}"
        podman("push", "-q", INSECURE, "--format", kind, "localhost/busybox", name)
        cli("pull", "-q", name)
        cli("push", "-q", name, f"{registry}/ours:{kind}")
        assert raw(f"{registry}/ours:{kind}") == raw(name)
        assert digest_at(f"{registry}/ours:{kind}") == digest_at(name) == digest_of(cli, name)
    podman("rmi", "-f", "localhost/busybox")


def test_skopeo_copies_what_was_pushed(pushed: str, tmp_path: pathlib.Path) -> None:
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{tmp_path}/layout:x")
    assert json.loads((tmp_path / "layout/index.json").read_text())["manifests"]


@pytest.mark.parametrize(
    ("options", "media_type", "layer"),
    [
        ([], "docker.distribution.manifest.v2", "diff.tar.gzip"),
        (["--format", "oci"], "oci.image.manifest.v1", "tar+gzip"),
        (["-f", "v2s2"], "docker.distribution.manifest.v2", "diff.tar.gzip"),
        (["--compression-format", "zstd"], "oci.image.manifest.v1", "tar+zstd"),
        (["--compression-format=zstd", "--compression-level=9", "-foci"], "oci.image.manifest", "tar+zstd"),
        (["--compression-level", "9"], "docker.distribution.manifest.v2", "diff.tar.gzip"),
        (["--remove-signatures"], "docker.distribution.manifest.v2", "diff.tar.gzip"),
    ],
)
def test_format_and_compression_are_chosen(
    cli: Cli,
    busybox: str,
    registry: str,
    podman: Podman,
    options: list[str],
    media_type: str,
    layer: str,
) -> None:
    name = f"{registry}/app:1"
    cli("push", "-q", *options, busybox, name)
    document = json.loads(raw(name))
    assert media_type in document["mediaType"]
    assert document["layers"][0]["mediaType"].endswith(layer)
    assert document["config"]["digest"].endswith(cli("images", "-q", "--no-trunc", busybox).stdout[-33:-1])
    podman("pull", "-q", INSECURE, name)
    podman("rmi", "-f", name)
    cli("pull", "-q", name)


def test_a_layer_of_another_compression_is_made_anew_or_not(cli: Cli, pushed: str, registry: str) -> None:
    cli("rmi", "-f", "-a")
    cli("pull", "-q", pushed)
    cli("push", "-q", "--compression-format=zstd", pushed, f"{registry}/zstd")
    cli("push", "-q", "--compression-format=zstd", "--force-compression=false", pushed, f"{registry}/same")
    assert raw(f"{registry}/same") == raw(pushed)
    assert "tar+zstd" in raw(f"{registry}/zstd")
    cli("pull", "-q", f"{registry}/zstd")
    cli("push", "-q", f"{registry}/zstd", f"{registry}/again")
    assert raw(f"{registry}/again") == raw(f"{registry}/zstd")
    done = cli("push", "-q", "-f", "v2s2", f"{registry}/zstd", f"{registry}/never", check=False)
    assert done.returncode == 125 and "v2s2" in done.stderr
    cli("push", "-q", "-f", "v2s2", "--compression-format=gzip", f"{registry}/zstd", f"{registry}/back")
    assert "diff.tar.gzip" in raw(f"{registry}/back")


def test_containers_conf_says_how_plain_layers_are_compressed(
    cli: Cli, busybox: str, registry: str, tmp_path: pathlib.Path
) -> None:
    cli("push", "-q", busybox, f"{registry}/gzip")
    path = tmp_path / "containers.conf"
    env = {"CONTAINERS_CONF": str(path)}
    path.write_text('[engine]\ncompression_format = "zstd:chunked"\ncompression_level = 7\n')
    cli("push", "-q", busybox, f"{registry}/zstd", env=env)
    assert "tar+zstd" in raw(f"{registry}/zstd")
    cli("pull", "-q", f"{registry}/gzip")
    cli("push", "-q", f"{registry}/gzip", f"{registry}/same", env=env)
    assert raw(f"{registry}/same") == raw(f"{registry}/gzip")
    path.write_text('[engine]\ncompression_format = "lz4"\n')
    done = cli("push", busybox, f"{registry}/x", env=env, check=False)
    assert done.returncode == 125 and "'lz4'" in done.stderr
    cli("push", "-q", "--compression-format=gzip", busybox, f"{registry}/x", env=env)


def test_the_same_image_has_the_same_digest_every_time(cli: Cli, busybox: str, registry: str) -> None:
    for name in ("one", "two"):
        cli("push", "-q", busybox, f"{registry}/{name}")
    assert raw(f"{registry}/one") == raw(f"{registry}/two")


def test_the_digest_is_written_to_a_file(
    cli: Cli, busybox: str, registry: str, tmp_path: pathlib.Path
) -> None:
    cli("push", "-q", "--digestfile", tmp_path / "digest", busybox, f"{registry}/app")
    assert (tmp_path / "digest").read_text() == digest_at(f"{registry}/app")


def test_without_a_destination_the_name_is_one(cli: Cli, busybox: str, registry: str) -> None:
    cli("tag", busybox, f"{registry}/team/app:2")
    done = cli("push", f"{registry}/team/app:2")
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "Getting image source signatures"
    assert lines[1].startswith("Copying blob sha256:")
    assert lines[-1] == "Writing manifest to image destination"
    assert digest_at(f"{registry}/team/app:2").startswith("sha256:")


@pytest.mark.parametrize("prefix", ["", "docker://"])
def test_an_id_goes_to_a_destination_only(cli: Cli, busybox: str, registry: str, prefix: str) -> None:
    image_id = cli("images", "-q", busybox).stdout.strip()
    done = cli("push", image_id, check=False)
    assert done.returncode == 125 and "Give the destination" in done.stderr
    cli("push", "-q", image_id, f"{prefix}{registry}/app:{image_id}")


def test_quiet_says_nothing(cli: Cli, busybox: str, registry: str) -> None:
    done = cli("push", "--quiet", busybox, f"{registry}/app")
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["absent", "127.0.0.1:1/x"], "absent: image not known"),
        (["localhost/busybox", "127.0.0.1:1/x"], "pushing to docker://127.0.0.1:1/x:latest: "),
        (["localhost/busybox", "127.0.0.1:1/X"], "must be lower case"),
        (["--format", "v2s1", "localhost/busybox", "127.0.0.1:1/x"], "oci, v2s2"),
        (["--compression-level", "20", "localhost/busybox", "127.0.0.1:1/x"], "--compression-level 20"),
        (["--compression-format", "xz", "localhost/busybox", "127.0.0.1:1/x"], "gzip, zstd"),
        (["-f", "v2s2", "--compression-format", "zstd", "localhost/busybox", "127.0.0.1:1/x"], "v2s2"),
        (["--sign-by", "me", "localhost/busybox", "127.0.0.1:1/x"], "--sign-by is not supported"),
        ([], "requires"),
    ],
)
def test_what_cannot_be_is_told(cli: Cli, busybox: str, words: list[str], told: str) -> None:
    done = cli("push", *words, check=False)
    assert done.returncode == 125 and told in done.stderr


def test_a_login_is_used_and_nothing_of_it_shown(cli: Cli, busybox: str, locked_registry: str) -> None:
    name = f"{locked_registry}/app"
    done = cli("push", busybox, name, check=False)
    assert done.returncode == 125 and "denied" in done.stderr and "pyctr login" in done.stderr
    wrong: dict[str, Any] = {"check": False}
    done = cli("--log-level=debug", "push", "--creds", "me:wr0ng", busybox, name, **wrong)
    assert done.returncode == 125 and "wr0ng" not in done.stderr and "bWU6" not in done.stderr
    cli("push", "-q", "--creds", "me:secret", busybox, name)
    cli("login", "-u", "me", "-p", "secret", locked_registry)
    cli("push", "-q", busybox, f"{locked_registry}/other")


def test_a_registry_with_tokens_is_logged_into_and_pushed_to(cli: Cli, busybox: str) -> None:
    """Its token server gives what is asked for and no more, for a few seconds each time."""
    needs("docker-registry", "openssl")
    with tokens.serve() as (registry, asked):
        assert cli("push", "-q", busybox, f"{registry}/app", check=False).returncode == 125
        wrong = cli("login", "-u", "me", "-p", "wr0ng", registry, check=False)
        assert wrong.returncode == 125 and "invalid username/password" in wrong.stderr
        cli("login", "-u", "me", "-p", "secret", registry)
        cli("push", "-q", busybox, f"{registry}/app")
        cli("push", "-q", busybox, f"{registry}/next")
        cli("pull", "-q", f"{registry}/next")
        assert cli("search", "--list-tags", "--format", "{{.Tag}}", f"{registry}/app").stdout == "latest\n"
        assert ["repository:app:pull", "repository:next:pull,push"] in [sorted(each) for each in asked]
        cli("logout", registry)
        assert cli("pull", "-q", f"{registry}/next", check=False).returncode == 125


def test_what_was_pulled_is_shared_between_repositories(cli: Cli, pushed: str, registry: str) -> None:
    """A real registry gives a blob from one repository to the other; it could not be sent again."""
    cli("rmi", "-f", "-a")
    cli("pull", "-q", pushed)
    damage(cli, json.loads(raw(pushed))["layers"][0]["digest"])
    cli("push", pushed, f"{registry}/other:1")
    assert raw(f"{registry}/other:1") == raw(pushed)


def test_a_store_stays_as_it_was(cli: Cli, busybox: str, registry: str) -> None:
    """But for what may be deleted at any time."""

    def files() -> list[str]:
        found = [str(path) for path in pathlib.Path(cli.store.root).rglob("*")]
        return sorted(path for path in found if not path.startswith(cli.store.cache()))

    before = files()
    cli("push", "-q", "--compression-format=zstd", busybox, f"{registry}/app")
    assert files() == before


def test_what_was_compressed_before_is_not_compressed_again(cli: Cli, busybox: str, registry: str) -> None:
    """The registry has it, so the layer is not even read."""
    cli("push", "-q", busybox, f"{registry}/app:1")
    image = json.loads(cli("image", "inspect", busybox).stdout)[0]
    damage(cli, image["RootFS"]["Layers"][0])
    cli("push", "-q", busybox, f"{registry}/app:2")
    assert raw(f"{registry}/app:2") == raw(f"{registry}/app:1")
    cli("push", "-q", busybox, f"{registry}/shared")
    options = ("--compression-format", "zstd")
    done = cli("push", "-q", *options, busybox, f"{registry}/other", check=False)
    assert done.returncode == 125 and "is damaged on disk" in done.stderr

"""Pulls and pushes with nothing to do: seen at a glance, and never believed too early."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pyctr.image import glance, lookup, places, platform, pull, push, reference, unchanged
from pyctr.image.manifest import DOCKER_MANIFEST, OCI_INDEX, digest_of
from pyctr.image.progress import SILENT
from pyctr.image.pull import PullOptions
from pyctr.image.rendering import Wishes
from pyctr.image.transport import Access
from pyctr.rootless import userns
from pyctr.storage import images, layers
from pyctr.storage.images import Image
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.image.servers import Sample, Scripted, send, status

ANY = PullOptions(retries=0)


@pytest.fixture
def sample(scripted: Scripted, own_store: Store) -> Sample:
    """An image that was pulled from a scripted server, which has forgotten the requests."""
    made = Sample(scripted)
    pull.pull(own_store, made.reference, ANY)
    scripted.requests.clear()
    scripted.methods.clear()
    return made


def still(store: Store, name: str, options: PullOptions = ANY) -> Image | None:
    return unchanged.pulled(store, name, options, SILENT)


def test_what_was_pulled_and_is_the_same_there_takes_one_request(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    assert still(own_store, sample.reference) == lookup.lookup(own_store, sample.reference)
    assert scripted.methods == ["HEAD"]


def test_a_tag_that_has_moved_is_noticed(own_store: Store, sample: Sample) -> None:
    sample.manifest["annotations"] = {"new": "yes"}
    sample.serve_manifest()
    assert still(own_store, sample.reference) is None


@pytest.mark.parametrize("part", ["layer blob", "config", "manifest", "unpacked layer", "record", "name"])
def test_what_is_not_whole_here_is_pulled(own_store: Store, sample: Sample, part: str) -> None:
    image = lookup.lookup(own_store, sample.reference)
    folder = own_store.layers(layers.layer_key(own_store, userns.default_maps()))
    files = {
        "layer blob": own_store.blob(image.layers[0].digest),
        "config": own_store.blob(image.config_digest),
        "manifest": own_store.blob(image.manifest_digest),
        "unpacked layer": f"{folder}/{layers.layer_name(image.layers[0].chain_id)}",
        "record": own_store.image(image.id),
        "name": own_store.image_name(sample.reference),
    }
    os.rename(files[part], f"{own_store.root}/gone")
    assert still(own_store, sample.reference) is None
    pull.pull(own_store, sample.reference, ANY)
    assert os.path.exists(files[part])


def test_an_image_that_was_not_pulled_is_not_taken_for_it(own_store: Store, sample: Sample) -> None:
    image = lookup.lookup(own_store, sample.reference)
    images.put_image(own_store, image.replace(pulled=False))
    assert still(own_store, sample.reference) is None


@pytest.mark.parametrize(
    "options",
    [ANY.replace(arch="arm64"), ANY.replace(platform="linux/amd64"), ANY.replace(tls_verify=True)],
    ids=["arch", "platform", "tls"],
)
def test_other_options_go_the_whole_way(own_store: Store, sample: Sample, options: PullOptions) -> None:
    assert still(own_store, sample.reference, options) is None


def test_an_image_for_another_machine_goes_the_whole_way(own_store: Store, sample: Sample) -> None:
    image = lookup.lookup(own_store, sample.reference)
    images.put_image(own_store, image.replace(architecture="s390x"))
    assert still(own_store, sample.reference) is None


def test_an_image_of_an_index_is_taken_if_this_machine_would_choose_it(
    own_store: Store, scripted: Scripted
) -> None:
    """Two variants for one architecture, whose configs name none: only the index tells them apart."""
    sample = Sample(scripted)
    entries = [described(sample, ""), described(sample, "v9")]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    served = send(index, OCI_INDEX, Docker_Content_Digest=digest_of(index))
    sample.answer(f"{sample.path}/manifests/latest", served)
    other = f"linux/{platform.host().architecture}/v9"
    foreign = pull.pull(own_store, sample.reference, ANY.replace(platform=other))
    assert still(own_store, sample.reference) is None
    own = pull.pull(own_store, sample.reference, ANY)
    assert own.manifest_digest != foreign.manifest_digest
    assert still(own_store, sample.reference) == own


def described(sample: Sample, variant: str) -> dict[str, object]:
    """One more manifest of the sample, for a variant of this machine, as an index lists it."""
    sample.manifest["annotations"] = {"variant": variant}
    data = sample.serve_manifest()
    kind = {"os": "linux", "architecture": platform.host().architecture, "variant": variant}
    digest = {"mediaType": DOCKER_MANIFEST, "digest": digest_of(data), "size": len(data)}
    return {**digest, "platform": kind}


@pytest.mark.parametrize("named", ["location", "mirror"])
def test_a_registry_of_registries_conf_goes_the_whole_way(
    own_store: Store, sample: Sample, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    domain = sample.reference.partition("/")[0]
    nowhere = 'location = "127.0.0.1:1"'
    texts = {"location": nowhere, "mirror": f'location = "{domain}"\n[[registry.mirror]]\n{nowhere}'}
    (tmp_path / "registries.conf").write_text(f'[[registry]]\nprefix = "{domain}"\n{texts[named]}')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
    assert still(own_store, sample.reference) is None


@pytest.mark.parametrize("code", [301, 401, 403, 404, 429, 500])
def test_only_a_plain_answer_counts(own_store: Store, sample: Sample, code: int) -> None:
    sample.answer(f"{sample.path}/manifests/latest", status(code, Location="/elsewhere"))
    assert still(own_store, sample.reference) is None


def test_limits_are_told_by_the_whole_way(own_store: Store, sample: Sample) -> None:
    digest = lookup.lookup(own_store, sample.reference).manifest_digest
    answer = send(b"", Docker_Content_Digest=digest, ratelimit_limit="100;w=21600")
    sample.answer(f"{sample.path}/manifests/latest", answer)
    assert still(own_store, sample.reference) is None


@pytest.fixture
def rude() -> Iterator[socket.socket]:
    """A listener that answers nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17),
        b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
    ],
    ids=["nothing", "half", "old", "ssh", "endless", "tls"],
)
def test_what_is_no_answer_is_none(rude: socket.socket, said: bytes) -> None:
    def answer() -> None:
        connection = rude.accept()[0]
        with connection:
            connection.recv(1 << 16)
            connection.sendall(said)

    thread = threading.Thread(target=answer)
    thread.start()
    domain = f"127.0.0.1:{rude.getsockname()[1]}"
    assert glance.Glance(domain, [("/v2/app/manifests/1", "")]).answers() == []
    thread.join()


def test_a_registry_that_is_silent_is_left_to_the_whole_way(
    rude: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glance, "_SECONDS", 0.05)
    domain = f"127.0.0.1:{rude.getsockname()[1]}"
    assert glance.Glance(domain, [("/v2/app/manifests/1", "")]).answers() == []


def test_nobody_listens(rude: socket.socket) -> None:
    port = rude.getsockname()[1]
    rude.close()
    assert glance.Glance(f"127.0.0.1:{port}", [("/", "")]).answers() == []


@pytest.mark.parametrize(
    ("domain", "tls_verify", "fits"),
    [
        ("localhost", None, True),
        ("localhost:5000", False, True),
        ("127.0.0.1:5000", None, True),
        ("[::1]:5000", None, True),
        ("localhost:5000", True, False),
        ("registry.example.com", False, False),
        ("127.example.com", None, False),
        ("10.0.0.1:5000", None, False),
    ],
)
def test_only_registries_on_this_machine_are_glanced_at(
    domain: str, tls_verify: bool | None, fits: bool
) -> None:
    assert glance.fits(domain, tls_verify) is fits


class Pushed:
    """An image that was pushed to a registry; `again` is what a glance finds."""

    def __init__(self, store: Store, name: str, to: str) -> None:
        self.store = store
        self.image = lookup.find(store, name).image
        self.to = reference.parse(to)
        self.digest = self.push()

    def push(self, wishes: Wishes | None = None) -> str:
        return push.push(self.store, self.image, self.to, wishes or Wishes(), Access(retries=0), SILENT)

    def again(self, to: str = "", wishes: Wishes | None = None) -> str:
        target = reference.parse(to) if to else self.to
        return unchanged.pushed(self.store, self.image, target, wishes or Wishes(), None, SILENT)


@pytest.fixture(params=["pulled", "loaded"])
def pushed(request: pytest.FixtureRequest, cli: Cli, busybox: str, registry: str) -> Pushed:
    name = f"{registry}/app:1"
    if request.param == "loaded":
        return Pushed(cli.store, busybox, name)
    cli("push", "-q", busybox, name)
    cli("rmi", busybox)
    cli("pull", "-q", name)
    return Pushed(cli.store, name, name)


def test_what_the_registry_has_needs_no_push(pushed: Pushed) -> None:
    assert pushed.again() == pushed.digest
    assert pushed.again(f"{pushed.to.repository}@{pushed.digest}") == pushed.digest


def test_another_tag_or_repository_is_pushed_to(pushed: Pushed) -> None:
    assert pushed.again(f"{pushed.to.repository}:2") == ""
    assert pushed.again(f"{pushed.to.domain}/other:1") == ""


def test_other_layers_are_pushed(pushed: Pushed) -> None:
    assert pushed.again(wishes=Wishes(compression="zstd", force=True)) == ""
    digest = pushed.push(Wishes(compression="zstd", force=True, format="oci"))
    assert digest != pushed.digest
    assert pushed.again() == ""


def test_a_blob_that_the_registry_has_lost_is_pushed(pushed: Pushed) -> None:
    url = f"http://{pushed.to.domain}/v2/{pushed.to.path}/blobs/{pushed.image.config_digest}"
    subprocess.run(["curl", "-sf", "-X", "DELETE", url], check=True)
    assert pushed.again() == ""
    assert pushed.push() == pushed.digest
    assert pushed.again() == pushed.digest


def test_a_tag_that_has_moved_is_pushed(cli: Cli, pushed: Pushed, debian: str) -> None:
    other = lookup.find(cli.store, debian).image
    push.push(cli.store, other, pushed.to, Wishes(), Access(retries=0), SILENT)
    assert pushed.again() == ""


def test_an_unreadable_manifest_is_no_push(pushed: Pushed) -> None:
    os.truncate(pushed.store.blob(pushed.image.manifest_digest), 10)
    assert pushed.again() == ""


def test_a_registry_with_a_password_goes_the_whole_way(
    own_store: Store, cli: Cli, busybox: str, locked_registry: str
) -> None:
    name = f"{locked_registry}/app:1"
    cli("push", "-q", "--creds", "me:secret", busybox, name)
    cli("pull", "-q", "--creds", "me:secret", name)
    assert still(cli.store, name) is None
    assert cli("pull", "-q", "--creds", "me:secret", name).stdout
    assert cli("pull", "-q", name, check=False).returncode == 125


@pytest.mark.parametrize("command", ["pull", "push"])
def test_the_second_time_is_told_like_the_first_and_loads_no_client(
    cli: Cli, busybox: str, registry: str, command: str
) -> None:
    name = f"{registry}/app:1"
    first = cli("push", busybox, name)
    cli("rmi", busybox)
    if command == "pull":
        first = cli("pull", name)
    else:
        cli("pull", "-q", name)
    argv = [sys.executable, "-I", "-S", "-X", "importtime", *cli.argv(command, name)]
    again = subprocess.run(argv, env=cli.environment(), capture_output=True, text=True, check=True)
    lines = [line for line in again.stderr.splitlines() if not line.startswith("import time:")]
    assert [line for line in lines if "blob" not in line] == [
        line for line in first.stderr.splitlines() if "blob" not in line
    ]
    assert len([line for line in lines if line.startswith("Copying blob sha256:")]) == 1
    assert "urllib3" not in again.stderr
    assert again.stdout == first.stdout


def test_the_file_with_the_digest_is_written_again(cli: Cli, busybox: str, registry: str) -> None:
    paths = [pathlib.Path(cli.folder, name) for name in ("first", "second")]
    for path in paths:
        cli("push", "-q", "--digestfile", path, busybox, f"{registry}/app:1")
    assert paths[0].read_text() == paths[1].read_text() != ""


def test_destination_of_an_image_without_a_name(cli: Cli, busybox: str) -> None:
    found = lookup.find(cli.store, lookup.lookup(cli.store, busybox).id)
    with pytest.raises(Exception, match="says nothing of a registry"):
        places.destination(found, "")

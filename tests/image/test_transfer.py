"""Pulling from servers that fail, lie or stall: a clear error with the name, and nothing stays."""

import json
import os
import pathlib

import pytest

from pyctr.image import lookup, manifest, pull, reference, transfer
from pyctr.image.progress import SILENT, Progress
from pyctr.image.pull import PullOptions
from pyctr.image.transport import Access
from pyctr.rootless import userns
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.storage import blobs, images, layers, sweep
from pyctr.storage.images import Image
from pyctr.storage.paths import Store
from tests.image import servers
from tests.image.servers import Sample, Scripted, in_turn, ranged, send, silent, stalling, status, truncated

QUICK = PullOptions(retries=1, retry_delay=0.01)


@pytest.fixture
def sample(scripted: Scripted) -> Sample:
    return Sample(scripted)


def fetch(store: Store, name: str, options: PullOptions = QUICK, progress: Progress = SILENT) -> Image:
    return transfer.pull(store, reference.parse(name), options, progress)


def refused(store: Store, name: str, options: PullOptions = QUICK) -> PyctrError:
    """The error of a pull, after which there is no image and no name."""
    with pytest.raises(PyctrError) as caught:
        fetch(store, name, options)
    assert images.image_ids(store) == []
    assert images.image_names(store) == []
    return caught.value


def temporaries(store: Store) -> list[str]:
    folder = f"{store.blobs()}/sha256"
    return [name for name in os.listdir(folder) if name.startswith("tmp.")] if os.path.isdir(folder) else []


def test_a_pulled_image_has_its_blobs_layers_record_and_name(own_store: Store, sample: Sample) -> None:
    image = fetch(own_store, sample.reference)
    assert image.config_digest == sample.config_digest
    assert lookup.lookup(own_store, sample.reference) == image
    assert all(blobs.has_blob(own_store, each) for each in (sample.layer_digest, image.manifest_digest))
    assert layers.ensure_layers(own_store, image, userns.default_maps())[1]


def test_what_is_there_is_not_fetched_again(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    fetch(own_store, sample.reference)
    fetch(own_store, sample.reference)
    assert scripted.count(sample.blob(sample.layer_digest)) == 1


def test_an_unknown_tag_is_no_such_image(own_store: Store, sample: Sample) -> None:
    error = refused(own_store, sample.reference.replace("latest", "absent"))
    assert isinstance(error, NoSuchObject)
    assert error.message.startswith(f"initializing source docker://{sample.reference[:-6]}absent: reading ")


def test_a_wrong_layer_is_refused_and_does_not_stay(own_store: Store, sample: Sample) -> None:
    sample.answer(sample.blob(sample.layer_digest), send(b"x" * len(sample.layer)))
    assert sample.layer_digest in refused(own_store, sample.reference).message
    assert temporaries(own_store) == []
    assert not blobs.has_blob(own_store, sample.layer_digest)


def test_a_wrong_config_is_refused(own_store: Store, sample: Sample) -> None:
    sample.answer(sample.blob(sample.config_digest), send(b"{}"))
    assert sample.config_digest in refused(own_store, sample.reference).message


def test_a_manifest_that_is_not_what_was_asked_for_is_refused(own_store: Store, sample: Sample) -> None:
    digest = f"sha256:{'0' * 64}"
    sample.answer(f"{sample.path}/manifests/{digest}", send(b"{}", manifest.DOCKER_MANIFEST))
    name = f"{sample.reference.removesuffix(':latest')}@{digest}"
    assert digest in refused(own_store, name).message


def test_a_digest_header_that_lies_is_noticed(own_store: Store, sample: Sample) -> None:
    data = sample.serve_manifest()
    told = send(data, manifest.DOCKER_MANIFEST, Docker_Content_Digest=f"sha256:{'0' * 64}")
    sample.answer(f"{sample.path}/manifests/latest", told)
    assert "0000" in refused(own_store, sample.reference).message


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b"x" * (manifest.MANIFEST_LIMIT + 1)],
)
def test_a_broken_manifest_is_refused_by_name(own_store: Store, sample: Sample, body: bytes) -> None:
    sample.answer(f"{sample.path}/manifests/latest", send(body, manifest.DOCKER_MANIFEST))
    assert sample.reference in refused(own_store, sample.reference).message


def test_an_endless_layer_ends_at_its_announced_size(own_store: Store, sample: Sample) -> None:
    def endless(handler: servers.Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b"\0" * 65536)
        except OSError:
            pass

    sample.answer(sample.blob(sample.layer_digest), endless)
    assert "larger than" in refused(own_store, sample.reference).message


def test_a_wrong_content_length_is_refused_before_the_body(own_store: Store, sample: Sample) -> None:
    sample.answer(sample.blob(sample.layer_digest), send(sample.layer + b"more"))
    error = refused(own_store, sample.reference)
    assert f"{len(sample.layer) + 4} bytes" in error.message


def test_a_layer_that_is_shorter_than_announced_is_refused(own_store: Store, sample: Sample) -> None:
    """Whole by its Content-Length, and again from where it seemed to have broken off."""
    sample.answer(sample.blob(sample.layer_digest), send(sample.layer[:-1]))
    assert sample.layer_digest in refused(own_store, sample.reference).message
    assert not blobs.has_blob(own_store, sample.layer_digest)


@pytest.mark.parametrize("difference", [-1, 1, 1 << 30])
def test_a_manifest_that_lies_about_sizes_is_refused(
    own_store: Store, sample: Sample, difference: int
) -> None:
    for part in (sample.manifest["layers"][0], sample.manifest["config"]):
        part["size"] += difference
        sample.serve_manifest()
        assert "bytes" in refused(own_store, sample.reference).message
        part["size"] -= difference


def test_a_lie_about_what_is_here_already_is_noticed(own_store: Store, sample: Sample) -> None:
    fetch(own_store, sample.reference)
    for part in (sample.manifest["layers"][0], sample.manifest["config"]):
        part["size"] += 1
        sample.serve_manifest()
        with pytest.raises(PyctrError, match=f"{part['digest']} has .* bytes, but"):
            fetch(own_store, sample.reference)
        part["size"] -= 1


def test_a_broken_transfer_goes_on_where_it_ended(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    path = sample.blob(sample.layer_digest)
    sample.answer(path, in_turn(truncated(sample.layer, 100_000), ranged(sample.layer)))
    fetch(own_store, sample.reference)
    assert [headers.get("range") for headers in scripted.headers(path)] == [None, "bytes=100000-"]


def test_a_server_without_ranges_sends_all_again(own_store: Store, sample: Sample) -> None:
    sample.answer(
        sample.blob(sample.layer_digest), in_turn(truncated(sample.layer, 100_000), send(sample.layer))
    )
    fetch(own_store, sample.reference)


def test_a_later_pull_resumes_an_earlier_one(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    path = sample.blob(sample.layer_digest)
    sample.answer(path, truncated(sample.layer, 100_000))
    refused(own_store, sample.reference, PullOptions(retries=0))
    sample.answer(path, ranged(sample.layer))
    fetch(own_store, sample.reference)
    assert scripted.headers(path)[-1]["range"] == "bytes=100000-"


def test_the_wrong_part_is_refused(own_store: Store, sample: Sample) -> None:
    wrong = send(
        sample.layer[7:], code=206, Content_Range=f"bytes 7-{len(sample.layer) - 1}/{len(sample.layer)}"
    )
    sample.answer(sample.blob(sample.layer_digest), in_turn(truncated(sample.layer, 100_000), wrong))
    assert "another part" in refused(own_store, sample.reference).message


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(own_store: Store, sample: Sample, code: int) -> None:
    path = f"{sample.path}/manifests/latest"
    good = send(sample.serve_manifest(), manifest.DOCKER_MANIFEST)
    sample.answer(path, in_turn(status(code), good))
    fetch(own_store, sample.reference)


def test_a_lasting_failure_is_told_after_the_retries(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    path = f"{sample.path}/manifests/latest"
    sample.answer(path, status(503))
    error = refused(own_store, sample.reference, PullOptions(retries=2, retry_delay=0.01))
    assert "503" in error.message and sample.reference in error.message
    assert scripted.count(path) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(
    own_store: Store, sample: Sample, scripted: Scripted, code: int
) -> None:
    path = f"{sample.path}/manifests/latest"
    sample.answer(path, status(code))
    name = sample.reference.replace("127.0.0.1", "localhost")
    assert refused(own_store, name).hint is not None or code in (400, 410)
    assert scripted.count(path) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short patience with servers that stall."""

    def access(options: PullOptions) -> Access:
        return Access(retries=options.retries, retry_delay=0.01, connect=5, stall=0.2)

    monkeypatch.setattr(transfer, "access", access)


@pytest.mark.parametrize("at", [0, 50_000])
@pytest.mark.usefixtures("impatient")
def test_a_stalling_layer_is_an_error(own_store: Store, sample: Sample, scripted: Scripted, at: int) -> None:
    sample.answer(sample.blob(sample.layer_digest), stalling(scripted, sample.layer, at))
    error = refused(own_store, sample.reference, PullOptions(retries=0))
    assert "no answer in time" in error.message


@pytest.mark.usefixtures("impatient")
def test_a_stalling_registry_is_an_error(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    def silent(_handler: servers.Handler) -> None:
        scripted.over.wait()

    sample.answer(f"{sample.path}/manifests/latest", silent)
    assert "no answer in time" in refused(own_store, sample.reference, PullOptions(retries=0)).message


@pytest.mark.usefixtures("impatient")
def test_a_layer_that_stalls_once_goes_on_where_it_stalled(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    path = sample.blob(sample.layer_digest)
    sample.answer(path, in_turn(stalling(scripted, sample.layer, 50_000), ranged(sample.layer)))
    fetch(own_store, sample.reference)
    assert [headers.get("range") for headers in scripted.headers(path)] == [None, "bytes=50000-"]


@pytest.mark.parametrize("what", ["manifest", "config", "layer"])
@pytest.mark.usefixtures("impatient")
def test_what_is_not_answered_once_is_asked_for_again(
    own_store: Store, sample: Sample, scripted: Scripted, what: str
) -> None:
    """A registry that stalls before the headers."""
    manifest_path = f"{sample.path}/manifests/latest"
    paths = {"config": sample.blob(sample.config_digest), "layer": sample.blob(sample.layer_digest)}
    path = paths.get(what, manifest_path)
    sample.answer(path, in_turn(silent(scripted), scripted.answers[path]))
    fetch(own_store, sample.reference)
    assert scripted.count(path) == 2


@pytest.mark.parametrize("wait", ["9" * 400, "-1", "nan", "1e9", "Thu, 01 Jan 2099 00:00:00 GMT", "\u0664"])
def test_a_retry_after_of_years_is_not_obeyed(
    own_store: Store, sample: Sample, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    path = f"{sample.path}/manifests/latest"
    good = send(sample.serve_manifest(), manifest.DOCKER_MANIFEST)
    sample.answer(path, in_turn(status(429, Retry_After=wait.encode().decode("latin-1")), good))
    fetch(own_store, sample.reference)
    assert waited and max(waited) <= 60


def test_more_layers_than_the_config_knows_are_refused(own_store: Store, sample: Sample) -> None:
    sample.manifest["layers"] = sample.manifest["layers"] * 2
    sample.serve_manifest()
    assert "2 layers" in refused(own_store, sample.reference).message


def test_content_of_another_diff_id_is_refused(own_store: Store, sample: Sample) -> None:
    sample.config["rootfs"]["diff_ids"] = [f"sha256:{'1' * 64}"]
    sample.publish()
    assert sample.layer_digest in refused(own_store, sample.reference).message


def test_an_image_of_another_machine_is_told(own_store: Store, sample: Sample) -> None:
    warnings: list[str] = []

    class Told(Progress):
        def warn(self, text: str) -> None:
            warnings.append(text)

    sample.config["architecture"] = "s390x"
    sample.publish()
    fetch(own_store, sample.reference, progress=Told())
    assert len(warnings) == 1 and "s390x" in warnings[0]


def index_of(sample: Sample, *entries: dict[str, object]) -> None:
    data = json.dumps({"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries}).encode()
    sample.answer(f"{sample.path}/manifests/latest", send(data, manifest.OCI_INDEX))


def entry(data: bytes, architecture: str) -> dict[str, object]:
    return {
        "mediaType": manifest.DOCKER_MANIFEST,
        "digest": manifest.digest_of(data),
        "size": len(data),
        "platform": {"os": "linux", "architecture": architecture},
    }


def test_the_platform_chooses_in_an_index(own_store: Store, sample: Sample) -> None:
    index_of(sample, entry(b"other", "mips"), entry(sample.serve_manifest(), "ppc64le"))
    options = PullOptions(arch="ppc64le", retries=0)
    image = fetch(own_store, sample.reference, options)
    record = images.read_name(own_store, sample.reference)
    assert record is not None and record.manifest_digest != image.manifest_digest
    assert blobs.has_blob(own_store, record.manifest_digest)


def test_a_platform_that_is_missing_is_told_with_those_that_are(own_store: Store, sample: Sample) -> None:
    index_of(sample, entry(b"other", "mips"), entry(b"another", "m68k"))
    error = refused(own_store, sample.reference)
    assert error.hint is not None and "linux/mips, linux/m68k" in error.hint


def test_an_index_of_indexes_without_end_is_refused(own_store: Store, sample: Sample) -> None:
    data = b"{}"
    path = f"{sample.path}/manifests"
    for _ in range(6):
        inner = {"mediaType": manifest.OCI_INDEX, "digest": manifest.digest_of(data), "size": len(data)}
        data = json.dumps(
            {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [inner]}
        ).encode()
        for name in ("latest", manifest.digest_of(data)):
            sample.answer(f"{path}/{name}", send(data, manifest.OCI_INDEX))
    assert "index of indexes" in refused(own_store, sample.reference).message


def test_a_full_disk_is_told_with_the_folder(
    own_store: Store, sample: Sample, tmp_path: pathlib.Path
) -> None:
    """The store is on a tmpfs that is too small, in a mount namespace of a child."""
    code = (
        "from pyctr.image import pull; from pyctr.storage.paths import Store; import os, sys\n"
        "from pyctr.rootless.errors import PyctrError\n"
        f"store = Store(root={str(tmp_path / 'small' / 'root')!r}, runroot={str(tmp_path / 'run')!r})\n"
        "try:\n"
        f"    pull.pull(store, {sample.reference!r})\n"
        "except PyctrError as error:\n"
        "    print(error.message, os.listdir(store.blobs() + '/sha256'), os.path.exists(store.images()))\n"
    )
    printed = in_small_tmpfs(tmp_path / "small", code)
    assert "No space left on device" in printed
    assert str(tmp_path / "small") in printed
    assert printed.rstrip().endswith("False")


def in_small_tmpfs(folder: pathlib.Path, code: str) -> str:
    import subprocess
    import sys

    folder.mkdir()
    script = f'mount -t tmpfs -o size=200k none {folder} && exec "$0" -c "$1"'
    argv = ["unshare", "-r", "--map-auto", "-m", "sh", "-ec", script, sys.executable, code]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_only_the_lookup_is_done_for_an_image_that_is_there(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    fetch(own_store, sample.reference)
    before = len(scripted.requests)
    assert pull.pull_if_needed(own_store, sample.reference).name == sample.reference
    assert len(scripted.requests) == before


@pytest.mark.parametrize("policy", ["missing", "always", "newer"])
def test_a_missing_image_is_pulled_by_a_child(own_store: Store, sample: Sample, policy: str) -> None:
    assert (
        pull.pull_if_needed(own_store, sample.reference, policy).image.config_digest == sample.config_digest
    )


def test_never_pulls_nothing(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    with pytest.raises(NoSuchObject):
        pull.pull_if_needed(own_store, sample.reference, "never")
    assert scripted.requests == []


def test_newer_is_content_with_the_local_image(own_store: Store, sample: Sample) -> None:
    image = fetch(own_store, sample.reference)
    sample.answer(f"{sample.path}/manifests/latest", status(404))
    assert pull.pull_if_needed(own_store, sample.reference, "newer").image == image
    with pytest.raises(PyctrError):
        pull.pull_if_needed(own_store, sample.reference, "always")


def test_always_takes_what_the_name_means_now(own_store: Store, sample: Sample) -> None:
    old = fetch(own_store, sample.reference)
    sample.config["author"] = "somebody"
    sample.publish()
    new = pull.pull_if_needed(own_store, sample.reference, "always").image
    assert new.id != old.id
    assert images.names_of(own_store, old.id) == ()


def test_a_damaged_rest_of_an_earlier_pull_is_fetched_again(own_store: Store, sample: Sample) -> None:
    """A power cut leaves a temporary of the right size and of zeros: it was never synced."""
    folder = f"{own_store.blobs()}/sha256"
    os.makedirs(folder)
    for size in (100_000, len(sample.layer)):
        with open(f"{folder}/tmp.{sample.layer_digest.partition(':')[2]}", "wb") as file:
            file.write(bytes(size))
        sample.answer(sample.blob(sample.layer_digest), ranged(sample.layer))
        fetch(own_store, sample.reference)
        os.unlink(own_store.blob(sample.layer_digest))


@pytest.mark.parametrize("code", [302, 401])
def test_the_body_of_what_is_no_answer_is_not_read_to_its_end(
    own_store: Store, sample: Sample, code: int
) -> None:
    sent = 0

    def endless(handler: servers.Handler) -> None:
        nonlocal sent
        handler.send_response(code)
        handler.send_header("Content-Length", str(1 << 40))
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        handler.close_connection = True
        try:
            while sent < 1 << 26:
                handler.wfile.write(bytes(1 << 16))
                sent += 1 << 16
        except OSError:
            pass

    sample.answer(f"{sample.path}/manifests/latest", endless)
    refused(own_store, sample.reference)
    assert sent < 1 << 26


@pytest.mark.parametrize("target", ["http://[", "http://127.0.0.1:99999999/", "http://a:b/"])
def test_a_redirect_to_nonsense_is_an_error(own_store: Store, sample: Sample, target: str) -> None:
    sample.answer(f"{sample.path}/manifests/latest", status(302, Location=target))
    assert sample.reference in refused(own_store, sample.reference).message


@pytest.mark.parametrize("realm", ["http://[", "http://127.0.0.1:99999999/"])
def test_a_realm_of_nonsense_is_an_error(own_store: Store, sample: Sample, realm: str) -> None:
    answer = status(401, WWW_Authenticate=f'Bearer realm="{realm}"')
    sample.answer(f"{sample.path}/manifests/latest", answer)
    assert sample.reference in refused(own_store, sample.reference).message


@pytest.mark.usefixtures("impatient")
def test_a_stalling_token_server_is_an_error(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    realm = f'Bearer realm="http://{scripted.address}/token"'
    sample.answer(f"{sample.path}/manifests/latest", status(401, WWW_Authenticate=realm))
    sample.answer("/token", stalling(scripted, b'{"token": "t"}', 3))
    error = refused(own_store, sample.reference, PullOptions(retries=0))
    assert "no answer in time" in error.message


def test_newer_asks_for_the_digest_alone(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    image = fetch(own_store, sample.reference)
    before = len(scripted.requests)
    assert pull.pull_if_needed(own_store, sample.reference, "newer").image == image
    assert scripted.methods[before:] == ["HEAD"]


@pytest.mark.parametrize("digest", [True, False])
def test_newer_pulls_what_has_another_digest(own_store: Store, sample: Sample, digest: bool) -> None:
    old = fetch(own_store, sample.reference)
    sample.config["author"] = "somebody"
    sample.publish()
    if not digest:
        data = sample.serve_manifest()
        sample.answer(f"{sample.path}/manifests/latest", send(data, manifest.DOCKER_MANIFEST))
    assert pull.pull_if_needed(own_store, sample.reference, "newer").image.id != old.id


def test_an_error_names_the_image_as_podman_does(own_store: Store, sample: Sample) -> None:
    sample.answer(sample.blob(sample.layer_digest), status(404))
    for name, what in ((sample.reference, "copying"), (f"{sample.reference}x", "initializing source")):
        error = refused(own_store, name)
        assert error.message.startswith(f"{what} docker://{name}: ")


def test_a_config_that_cannot_be_written_down_is_refused(own_store: Store, sample: Sample) -> None:
    deep: list[object] = []
    for _ in range(400):
        deep = [deep]
    for value in ("\ud800", "a\0b"):
        sample.config["config"]["Env"] = [f"A={value}"]
        sample.publish()
        assert "config" in refused(own_store, sample.reference).message
    sample.config["config"] = {"OnBuild": [], "Strange": deep}
    sample.publish()
    assert "config" in refused(own_store, sample.reference).message


def test_a_blob_that_rotted_on_disk_is_told_and_can_be_had_again(own_store: Store, sample: Sample) -> None:
    os.makedirs(os.path.dirname(own_store.blob(sample.layer_digest)))
    with open(own_store.blob(sample.layer_digest), "wb") as file:
        file.write(sample.layer[: len(sample.layer) // 2])
    assert "image prune" in (refused(own_store, sample.reference).hint or "")
    sweep.sweep(own_store)
    fetch(own_store, sample.reference)


def test_a_failure_does_not_wait_for_a_blob_that_another_pull_brings(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    absent = {**sample.manifest["layers"][0], "digest": f"sha256:{'0' * 64}"}
    sample.manifest["layers"].append(absent)
    sample.config["rootfs"]["diff_ids"].append(f"sha256:{'1' * 64}")
    sample.publish()
    with blobs.writer(own_store, sample.layer_digest, resume=True) as other:
        assert absent["digest"] in refused(own_store, sample.reference).message
        other.write(sample.layer)

"""Manifest lists beside other commands: nobody waits for a registry, nothing is taken from a list."""

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyctr.image import manifest, manifestlist, platform
from pyctr.image.transport import Access
from pyctr.storage import blobs, manifestlists, sweep
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.image import takers
from tests.image.servers import Answer, Handler, Sample, Scripted, pausing, send
from tests.image.takers import Taker

INSECURE = "--tls-verify=false"
QUICK = Access(retries=0, connect=5, stall=30)
TOGETHER = 4  # calls at once


@pytest.fixture
def taker() -> Iterator[Taker]:
    with takers.serve() as server:
        yield server


def sample_of(scripted: Scripted, name: str) -> Sample:
    """An image like no other, its layer too: that has a size of its own."""
    return Sample(scripted, name, 900 + sum(name.encode()))


def digest_of(sample: Sample) -> str:
    return manifest.digest_of(sample.serve_manifest())


def config_of(sample: Sample) -> bytes:
    return json.dumps(sample.config).encode()


def start(cli: Cli, *words: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return cli.start("manifest", *words, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL)


def finish(command: "subprocess.Popen[str]") -> None:
    _output, errors = command.communicate(timeout=60)
    assert command.returncode == 0, errors


def digests_in(cli: Cli, name: str) -> list[str]:
    return [entry["digest"] for entry in json.loads(cli("manifest", "inspect", name).stdout)["manifests"]]


@pytest.mark.parametrize("words", ["rmi {}", "image prune -f", "system prune -f"])
def test_nobody_waits_for_an_addition_nor_takes_from_it(cli: Cli, scripted: Scripted, words: str) -> None:
    local, slow = sample_of(scripted, "local"), sample_of(scripted, "slow")
    cli("pull", "-q", INSECURE, local.reference)
    cli("manifest", "create", "app")
    slow.answer(slow.blob(slow.config_digest), pausing(scripted, config_of(slow), 10))
    adding = start(cli, "add", INSECURE, "app", f"docker://{slow.reference}")
    assert scripted.stalled.wait(60)
    assert blobs.has_blob(cli.store, digest_of(slow))
    cli(*words.format(local.reference).split())
    assert adding.poll() is None and not scripted.resumed.is_set()
    scripted.resumed.set()
    finish(adding)
    assert digests_in(cli, "app") == [digest_of(slow)]
    cli("image", "prune", "-f")
    assert blobs.read_blob(cli.store, digest_of(slow)) == slow.serve_manifest()
    assert cli("system", "check").stdout == ""


def test_what_was_added_during_an_addition_stays(cli: Cli, scripted: Scripted) -> None:
    quick, slow = sample_of(scripted, "quick"), sample_of(scripted, "slow")
    cli("manifest", "create", "app")
    slow.answer(slow.blob(slow.config_digest), pausing(scripted, config_of(slow), 10))
    adding = start(cli, "add", INSECURE, "app", f"docker://{slow.reference}")
    assert scripted.stalled.wait(60)
    cli("manifest", "add", INSECURE, "app", f"docker://{quick.reference}")
    scripted.resumed.set()
    finish(adding)
    assert digests_in(cli, "app") == [digest_of(quick), digest_of(slow)]


def test_additions_at_once_all_take_effect(own_store: Store, scripted: Scripted) -> None:
    """What they add arrives at one moment."""
    samples = [sample_of(scripted, f"s{number}") for number in range(TOGETHER)]
    gate = threading.Barrier(TOGETHER)
    for sample in samples:
        sample.answer(sample.blob(sample.config_digest), gated(gate, config_of(sample)))
    made = manifestlist.create(own_store, "app")

    def add(sample: Sample) -> None:
        name = f"{manifestlist.REMOTE}{sample.reference}"
        manifestlist.add(own_store, made, name, QUICK, wanted=platform.wanted())

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(add, samples))
    entries = manifestlists.read(own_store, made.id).entries
    assert {entry.digest for entry in entries} == {digest_of(sample) for sample in samples}


def gated(gate: threading.Barrier, data: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        gate.wait(60)
        send(data)(handler)

    return answer


@pytest.mark.parametrize("words", ["rmi -af", "image prune -af", "system prune -af"])
@pytest.mark.parametrize("options", [[], ["--force-compression"]], ids=["copied", "changed"])
def test_nobody_waits_for_a_push_nor_takes_from_it(
    cli: Cli, scripted: Scripted, taker: Taker, words: str, options: list[str]
) -> None:
    """Even if the list itself is removed."""
    slow, local = sample_of(scripted, "slow"), sample_of(scripted, "local")
    cli("pull", "-q", INSECURE, local.reference)
    cli("manifest", "create", "app")
    cli("manifest", "add", INSECURE, "app", f"docker://{slow.reference}")
    cli("manifest", "add", "app", local.reference)
    slow.answer(slow.blob(slow.layer_digest), pausing(scripted, slow.layer, 1000))
    to = f"{taker.address}/app:1"
    pushing = start(cli, "push", "-q", "--all", INSECURE, *options, "app", to)
    assert scripted.stalled.wait(60)
    cli(*words.split())
    assert cli("images", "-q").stdout == ""
    assert pushing.poll() is None and not scripted.resumed.is_set()
    scripted.resumed.set()
    finish(pushing)
    index = json.loads(taker.manifests["app", "1"][0])
    assert [whole(taker, entry["digest"]) for entry in index["manifests"]] == [True, True]
    cli("system", "prune", "-af")
    assert list(sweep.all_blobs(cli.store)) == []


def whole(taker: Taker, digest: str) -> bool:
    """Whether the registry has all blobs of an image."""
    found = json.loads(taker.manifests["app", digest][0])
    return all([("app", blob["digest"]) in taker.blobs for blob in (found["config"], *found["layers"])])

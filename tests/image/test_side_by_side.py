"""Pulls beside other commands: nobody waits for a stalling registry, and nothing is taken from a pull."""

import subprocess
import threading

import pytest

from pyctr.image import manifest
from pyctr.storage import blobs
from tests.commands import Cli
from tests.image.servers import Handler, Sample, Scripted, pausing, send, status
from tests.images import Layer

PULL = ("pull", "-q", "--tls-verify=false")
TOP = Layer().file("top", bytes(range(256)) * 1000).tar()


@pytest.fixture
def image(scripted: Scripted, cli: Cli) -> Sample:
    """An image of two layers: the lower one is here, as that of an image of its own; the upper one takes
    until the test says so.
    """
    below = Sample(scripted, "below")
    cli(*PULL, below.reference)
    made = Sample(scripted, "image")
    blob = made.add_layer(TOP)
    made.answer(made.blob(made.layer_digest), status(500))
    made.answer(made.blob(manifest.digest_of(blob)), pausing(scripted, blob, 100_000))
    return made


def pulling(cli: Cli, name: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return cli.start(*PULL, name, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL)


def finish(command: "subprocess.Popen[str]") -> None:
    _output, errors = command.communicate(timeout=60)
    assert command.returncode == 0, errors


@pytest.mark.parametrize(
    "words", ["rmi below", "image prune -af", "system prune -af", "system check --repair --quick"]
)
def test_nobody_waits_for_a_pull_nor_takes_from_it(
    cli: Cli, image: Sample, scripted: Scripted, words: str
) -> None:
    below = image.reference.replace("image", "below")
    pull = pulling(cli, image.reference)
    assert scripted.stalled.wait(60)
    cli(*words.replace("below", below).split())
    gone = not words.startswith("system check")
    assert cli("image", "exists", below, check=False).returncode == int(gone)
    assert pull.poll() is None and not scripted.resumed.is_set()
    scripted.resumed.set()
    finish(pull)
    assert cli("system", "check").stdout == ""
    assert cli("rmi", image.reference).returncode == 0
    cli("system", "prune", "-af")
    assert list(blobs_of(cli)) == []


def blobs_of(cli: Cli) -> list[str]:
    from pyctr.storage import sweep

    return list(sweep.all_blobs(cli.store))


def test_a_removed_image_comes_back_with_the_pull_of_it(cli: Cli, scripted: Scripted) -> None:
    sample = Sample(scripted)
    cli(*PULL, sample.reference)
    blob = sample.add_layer(TOP)
    sample.answer(sample.blob(manifest.digest_of(blob)), pausing(scripted, blob))
    pull = pulling(cli, sample.reference)
    assert scripted.stalled.wait(60)
    cli("rmi", "-a")
    scripted.resumed.set()
    finish(pull)
    assert scripted.count(sample.blob(sample.layer_digest)) == 1
    assert blobs.has_blob(cli.store, sample.layer_digest)
    assert cli("system", "check").stdout == ""


def test_two_pulls_of_one_image_fetch_each_blob_once(cli: Cli, scripted: Scripted) -> None:
    sample = Sample(scripted)
    data = sample.serve_manifest()
    twice = threading.Event()

    def counted(handler: Handler) -> None:
        if scripted.count(f"{sample.path}/manifests/latest") == 2:
            twice.set()
        send(data, manifest.DOCKER_MANIFEST)(handler)

    sample.answer(f"{sample.path}/manifests/latest", counted)
    sample.answer(sample.blob(sample.layer_digest), pausing(scripted, sample.layer, 1000))
    first = pulling(cli, sample.reference)
    assert scripted.stalled.wait(60)
    second = pulling(cli, sample.reference)
    assert twice.wait(60)
    scripted.resumed.set()
    finish(first)
    finish(second)
    assert scripted.count(sample.blob(sample.layer_digest)) == 1
    assert cli("system", "check").stdout == ""


def test_a_reset_waits_for_a_pull(cli: Cli, image: Sample, scripted: Scripted) -> None:
    pull = pulling(cli, image.reference)
    assert scripted.stalled.wait(60)
    reset = cli.start("system", "reset", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    scripted.resumed.set()
    finish(pull)
    finish(reset)

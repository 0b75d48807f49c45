"""Pulls beside other commands: nobody waits for a stalling registry, and nothing is taken from a pull.

And what one pull does side by side.
"""

import os
import signal
import subprocess
import threading

import pytest

from pyctr.image import manifest, reference, transfer
from pyctr.image.progress import SILENT, Progress
from pyctr.image.pull import PullOptions
from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, images, layers
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.image.servers import Handler, Sample, Scripted, pausing, send, status, trickling
from tests.images import Layer
from tests.storage import building

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


def test_ctrl_c_leaves_no_half_of_a_layer(cli: Cli, image: Sample, scripted: Scripted) -> None:
    """A terminal sends SIGINT to all processes of the pull at once."""
    pipe = subprocess.PIPE
    pull = cli.start(*PULL, image.reference, stdout=pipe, stderr=pipe, process_group=0)
    assert scripted.stalled.wait(60)
    os.killpg(pull.pid, signal.SIGINT)
    _output, errors = pull.communicate(timeout=60)
    assert (pull.returncode, errors) == (130, "")
    assert [
        name for _, names, _ in os.walk(f"{cli.store.root}/layers") for name in names if "tmp." in name
    ] == []


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


class Unpacked(Progress):
    """Lets the server go on once some layer is unpacked."""

    def __init__(self, scripted: Scripted, digest: str, size: int) -> None:
        self._scripted = scripted
        self._whole = (digest, size)

    def layer_moved(self, digest: str, there: int) -> None:
        if (digest, there) == self._whole:
            self._scripted.resumed.set()


@pytest.mark.parametrize("first", ["lower", "upper"])
def test_a_layer_is_unpacked_while_another_one_is_loaded(
    own_store: Store, scripted: Scripted, first: str
) -> None:
    sample = Sample(scripted)
    top = sample.add_layer(Layer().file("etc/top", "x").hardlink("etc/same", "etc/data").tar())
    rows = [(sample.layer_digest, sample.layer), (manifest.digest_of(top), top)]
    (quick, data), (slow, rest) = rows if first == "lower" else rows[::-1]
    sample.answer(sample.blob(quick), send(data))
    sample.answer(sample.blob(slow), pausing(scripted, rest))
    told = Unpacked(scripted, quick, len(data))
    image = transfer.pull(own_store, reference.parse(sample.reference), PullOptions(), told)
    maps = userns.default_maps()
    assert layers.ensure_layers(own_store, image, maps)[1]
    assert "etc/same" in building.look(building.layer_folder(own_store, image, maps), maps)


def test_a_layer_that_cannot_be_unpacked_ends_the_loading_of_the_others(
    own_store: Store, scripted: Scripted
) -> None:
    sample = Sample(scripted)
    top = sample.add_layer(b"this is no tar" * 100)
    sample.answer(sample.blob(manifest.digest_of(top)), send(top))
    sample.answer(sample.blob(sample.layer_digest), trickling(scripted, sample.layer))
    with pytest.raises(PyctrError, match="not a tar"):
        transfer.pull(own_store, reference.parse(sample.reference), PullOptions(), SILENT)
    assert not scripted.over.is_set()
    assert images.image_ids(own_store) == []


def test_a_reset_waits_for_a_pull(cli: Cli, image: Sample, scripted: Scripted) -> None:
    pull = pulling(cli, image.reference)
    assert scripted.stalled.wait(60)
    reset = cli.start("system", "reset", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    scripted.resumed.set()
    finish(pull)
    finish(reset)

"""Large blobs in several parts: at once where that helps, each byte once, whatever is killed in between."""

import os
import random
import signal
import threading
from collections.abc import Callable

import pytest

from pyctr.image import blobfetch, manifest, reference, transfer
from pyctr.image.progress import SILENT, Progress
from pyctr.image.pull import PullOptions
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, records, sweep
from pyctr.storage.paths import Store
from tests.image.servers import Answer, Handler, Sample, Scripted, send
from tests.images import Layer

QUICK = PullOptions(retries=1, retry_delay=0.01)
PART = 1 << 20
PARTS = 20


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a megabyte, and help from the first bytes on."""
    monkeypatch.setattr(blobfetch, "PART", PART)
    monkeypatch.setattr(blobfetch, "SOON", 0.0)
    monkeypatch.setattr(blobfetch, "FAST", 1 << 60)


class Large(Sample):
    """An image whose layer has `PARTS` parts."""

    def __init__(self, scripted: Scripted) -> None:
        super().__init__(scripted)
        self.manifest["layers"], self.config["rootfs"]["diff_ids"] = [], []
        self.data = self.add_layer(Layer().file("noise", random.Random(1).randbytes(PARTS * PART)).tar())
        self.digest = manifest.digest_of(self.data)
        self.served = 0  # bytes of the layer
        self.asked: list[str] = []  # ranges
        self.lock = threading.Lock()
        self.serve(lambda start: None)

    def serve(
        self, before: Callable[[int], None], most: int = 1 << 60, at_end: Callable[[], object] = print
    ) -> None:
        """Serves the layer by ranges. `before(start)` is called in the middle of each answer; after `most`
        bytes of all answers `at_end` is, instead of sending more.
        """

        def answer(handler: Handler) -> None:
            asked = handler.headers.get("Range", f"bytes=0-{len(self.data) - 1}")
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last or len(self.data) - 1) + 1
            with self.lock:
                self.asked.append(asked)
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(self.data)}")
            handler.send_header("Content-Length", str(end - start))
            handler.end_headers()
            for at in range(start, end, 1 << 16):
                if at >= start + 2 * (1 << 16):
                    before(start)
                piece = self.data[at : min(at + (1 << 16), end)]
                with self.lock:
                    over = self.served + len(piece) > most
                    self.served += 0 if over else len(piece)
                if over:
                    at_end()
                    return
                handler.wfile.write(piece)

        self.answer(self.blob(self.digest), answer)


@pytest.fixture
def large(scripted: Scripted) -> Large:
    return Large(scripted)


def fetch(store: Store, sample: Sample, progress: Progress = SILENT) -> None:
    transfer.pull(store, reference.parse(sample.reference), QUICK, progress)
    assert [name for name in os.listdir(f"{store.blobs()}/sha256") if name.startswith("tmp.")] == []


def test_a_large_blob_comes_through_several_connections(own_store: Store, large: Large) -> None:
    """No answer comes to its end before there are three."""
    together = threading.Event()

    def before(_start: int) -> None:
        with large.lock:
            if len(large.asked) >= 3:
                together.set()
        assert together.wait(30)

    large.serve(before)
    fetch(own_store, large)
    assert blobs.has_blob(own_store, large.digest)
    assert large.served == len(large.data)
    assert len(set(large.asked)) == len(large.asked) == PARTS


def test_one_connection_that_is_fast_stays_alone(
    own_store: Store, large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobfetch, "FAST", 0)
    fetch(own_store, large)
    assert len(large.asked) == 2 and large.served == len(large.data)


def test_what_a_killed_pull_has_is_not_loaded_again(
    own_store: Store, large: Large, scripted: Scripted
) -> None:
    """SIGKILL with 90 % on disk, in several parts: the next pull loads the missing 10 %, not a byte more."""
    most = len(large.data) * 9 // 10 >> 16 << 16
    reading, writing = os.pipe()

    class Told(Progress):
        def blob_moved(self, digest: str, there: int) -> None:
            if there >= most - 6 * (1 << 16):
                os.write(writing, b"x")

    large.serve(lambda start: None, most, scripted.over.wait)
    child = os.fork()
    if not child:
        try:
            fetch(own_store, large, Told())
        finally:
            os._exit(0)
    os.read(reading, 1)
    wait_for(own_store, large)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kept = on_disk(own_store)
    first, large.served = large.served, 0
    large.serve(lambda start: None)
    fetch(own_store, large)
    assert large.served == len(large.data) - kept
    assert kept == first > len(large.data) * 8 // 10
    os.close(reading)
    os.close(writing)


def on_disk(store: Store) -> int:
    folder = f"{store.blobs()}/sha256"
    found = [name for name in os.listdir(folder) if name.startswith("tmp.")]
    assert len(found) > 0
    return sum([os.stat(f"{folder}/{name}").st_size for name in found])


def wait_for(store: Store, large: Large) -> None:
    """Until all that was served has been written; a look after the other, at most half a minute."""
    for _ in range(300):
        if on_disk(store) == large.served:
            return
        threading.Event().wait(0.1)


def test_helpers_do_not_hold_up_a_pull_that_fails(
    own_store: Store, large: Large, scripted: Scripted
) -> None:
    """The first part breaks off again and again, while those of the helpers come slowly."""
    helped = threading.Event()
    slow: list[int] = []  # where the part of each slow piece starts

    def before(start: int) -> None:
        if start < PART:
            assert helped.wait(30)
            raise ConnectionError
        helped.set()
        slow.append(start)
        scripted.over.wait(0.3)

    large.serve(before)
    with pytest.raises(PyctrError, match="connection broke"):
        fetch(own_store, large)
    assert all([slow.count(start) < PART // (1 << 16) - 2 for start in slow])


def test_parts_of_a_killed_pull_are_garbage(own_store: Store, large: Large) -> None:
    folder = f"{own_store.blobs()}/sha256"
    records.make_folder(folder)
    for name in ("", f".{PART}", f".{5 * PART}"):
        with open(f"{folder}/tmp.{large.digest.partition(':')[2]}{name}", "wb") as file:
            file.write(bytes(1000))
    sweep.sweep(own_store)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("size", [1000, PART])
def test_wrong_parts_are_fetched_again(own_store: Store, large: Large, size: int) -> None:
    """A power cut leaves zeros in files that were never synced."""
    folder = f"{own_store.blobs()}/sha256"
    records.make_folder(folder)
    with open(f"{folder}/tmp.{large.digest.partition(':')[2]}.{3 * PART}", "wb") as file:
        file.write(bytes(size))
    fetch(own_store, large)
    assert blobs.has_blob(own_store, large.digest)


def test_a_registry_without_ranges_sends_all_at_once(own_store: Store, large: Large) -> None:
    large.answer(large.blob(large.digest), send(large.data))
    fetch(own_store, large)


def only_first(large: Large, other: Answer) -> Answer:
    """Serves the first part well."""
    head = send(large.data[:PART], code=206, Content_Range=f"bytes 0-{PART - 1}/{len(large.data)}")

    def answer(handler: Handler) -> None:
        (head if handler.headers.get("Range") == f"bytes=0-{PART - 1}" else other)(handler)

    return answer


def test_a_registry_that_forgets_ranges_sends_all_again(own_store: Store, large: Large) -> None:
    large.answer(large.blob(large.digest), only_first(large, send(large.data)))
    fetch(own_store, large)


@pytest.mark.parametrize("wrong", ["longer", "elsewhere", "status"])
def test_a_registry_that_sends_wrong_parts_is_refused(own_store: Store, large: Large, wrong: str) -> None:
    def longer(handler: Handler) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{start + PART - 1}/{len(large.data)}")
        handler.end_headers()
        handler.wfile.write(large.data[start : start + PART + 7])
        handler.close_connection = True

    answers = {
        "longer": longer,
        "elsewhere": send(large.data[:PART], code=206, Content_Range=f"bytes 7-{PART + 6}/9"),
        "status": send(b"", code=416),
    }
    large.answer(large.blob(large.digest), only_first(large, answers[wrong]))
    with pytest.raises(PyctrError, match=large.digest):
        fetch(own_store, large)
    assert not blobs.has_blob(own_store, large.digest)

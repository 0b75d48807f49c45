"""The windows of zstd frames: read as zstd reads them, never more at once than there is memory for."""

import array
import fcntl
import io
import os
import pathlib
import subprocess
import termios
import threading

import pytest
from backports import zstd

from pyctr.storage import windows
from pyctr.storage.compression import decompressed
from pyctr.storage.windows import Budget, TooLarge, window
from tests.conftest import needs

MIB = 1 << 20
SKIPPABLE = b"\x5e\x2a\x4d\x18\x04\x00\x00\x00four"


def free(budget: Budget) -> int:
    """Bytes that the budget still has."""
    found = array.array("i", [0])
    fcntl.ioctl(budget._reading, termios.FIONREAD, found)
    return found[0] * MIB


def packed(data: bytes, log: int) -> bytes:
    """A frame with a window of 1 << log bytes: it does not tell the size of its content."""
    made = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return made.compress(data) + made.flush()


@pytest.mark.parametrize("words", ["-1", "-3", "-19", "--ultra -22", "-3 --long=24", "-3 --long=27"])
@pytest.mark.parametrize("size", [100, 300, 70_000, 40 * MIB])
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_the_window_is_what_zstd_says(tmp_path: pathlib.Path, words: str, size: int, source: str) -> None:
    needs("zstd")
    plain, file = tmp_path / "plain", tmp_path / "packed.zst"
    plain.write_bytes(b"x" * size)
    argv = ["zstd", "-q", *words.split(), "-o", str(file)]
    with open(plain, "rb") as data:
        subprocess.run([*argv, str(plain)] if source == "file" else argv, stdin=data, check=True)
    told = subprocess.run(["zstd", "-lv", file], capture_output=True, text=True, check=True).stdout
    line = next(line for line in told.splitlines() if line.startswith("Window Size"))
    assert window(file.read_bytes()[: windows.HEADER]) == int(line.rpartition("(")[2].split()[0])


def test_a_window_beyond_the_limit_is_refused() -> None:
    frame = packed(b"x" * 1000, 28)
    for start in (b"", SKIPPABLE, packed(b"y", 20)):
        with pytest.raises(TooLarge, match="window of 256 MiB is larger than 128 MiB"):
            list(decompressed(io.BytesIO(start + frame)))


@pytest.mark.parametrize("frames", ["large", "small large", "skippable large", "large small"])
def test_a_decoder_has_the_memory_that_its_frame_needs(frames: str) -> None:
    data = os.urandom(MIB)
    parts = {"large": packed(data, 25), "small": packed(data, 20), "skippable": SKIPPABLE}
    budget = Budget()
    least = windows.TOTAL
    for _chunk in decompressed(io.BytesIO(b"".join([parts[name] for name in frames.split()])), budget):
        least = min(least, free(budget))
    assert least == windows.TOTAL - 32 * MIB
    assert free(budget) == windows.TOTAL


def test_decoders_wait_for_each_other() -> None:
    """Two have 48 of 128 MiB at a time, never three, whoever comes first."""
    budget = Budget()
    together, lock = [0, 0], threading.Lock()  # now, at most
    meeting = threading.Barrier(2, timeout=30)

    def work() -> None:
        with budget.taken(48 * MIB):
            with lock:
                together[0] += 1
                together[1] = max(together)
            meeting.wait()
            with lock:
                together[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == [0, 2]


def test_more_than_all_is_all() -> None:
    budget = Budget(4 * MIB)
    with budget.taken(100 * MIB):
        assert free(budget) == 0
    assert free(budget) == 4 * MIB

"""Every form of compression, whole and broken."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
from collections.abc import Callable

import pytest
from backports import zstd

from pyctr.storage import compression
from pyctr.storage.compression import BrokenStream, decompressed, kind_of

DATA = os.urandom(300_000) + bytes(700_000) + b"end"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
SKIPPABLE = b"\x5e\x2a\x4d\x18\x04\x00\x00\x00four"


def unpacked(data: bytes) -> bytes:
    return b"".join(decompressed(io.BytesIO(data)))


@pytest.fixture(params=("isal", "zlib"))
def gzip_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setitem(compression._MAKERS, "gzip", compression._ZlibDecompressor)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.usefixtures("gzip_library")
def test_what_was_packed_comes_back(kind: str) -> None:
    packed = PACKERS[kind](DATA)
    assert kind_of(packed) == kind
    assert unpacked(packed) == DATA


@pytest.mark.parametrize("data", (b"", b"x", b"plain tar" * 100_000))
def test_plain_data_passes_through(data: bytes) -> None:
    assert unpacked(data) == data


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.usefixtures("gzip_library")
def test_several_members_and_padding(kind: str) -> None:
    packed = PACKERS[kind](DATA)
    assert unpacked(packed + packed + bytes(1000)) == DATA + DATA


def test_frames_that_zstd_skips() -> None:
    packed = zstd.compress(DATA)
    assert unpacked(SKIPPABLE + packed + SKIPPABLE) == DATA
    assert kind_of(SKIPPABLE) == "zstd"


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("left", (7, 1000, -1))
@pytest.mark.usefixtures("gzip_library")
def test_truncated_data_is_refused(kind: str, left: int) -> None:
    with pytest.raises(BrokenStream, match="too early"):
        unpacked(PACKERS[kind](DATA)[:left])


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.usefixtures("gzip_library")
def test_garbage_after_the_end_is_refused(kind: str) -> None:
    with pytest.raises(BrokenStream, match="damaged"):
        unpacked(PACKERS[kind](DATA) + b"garbage that is long enough")


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.usefixtures("gzip_library")
def test_a_bomb_is_unpacked_in_small_pieces(kind: str) -> None:
    sizes = [len(chunk) for chunk in decompressed(io.BytesIO(PACKERS[kind](bytes(30 << 20))))]
    assert sum(sizes) == 30 << 20 and max(sizes) <= compression.CHUNK


def test_gzip_of_the_real_tool_from_a_pipe() -> None:
    packer = subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    packed = packer.communicate(DATA)[0]
    assert unpacked(packed) == DATA

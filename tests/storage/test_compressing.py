"""Compression of layers: read back by the programs that everybody has, the same bytes every time."""

import itertools
import random
import subprocess
from collections.abc import Iterator

import pytest

from pyctr.rootless.errors import PyctrError
from pyctr.storage.compressing import check_level, compressed

DATA = [b"a" * 100_000, random.Random(1).randbytes(300_000), b"", b"end"]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("level", [None, 1, 9])
def test_what_is_compressed_is_read_by_others(kind: str, level: int | None) -> None:
    made = b"".join(compressed(DATA, kind, level))
    done = subprocess.run([kind, "-dc"], input=made, check=True, capture_output=True)
    assert done.stdout == b"".join(DATA)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_bytes_do_not_depend_on_the_pieces(kind: str) -> None:
    whole = b"".join(compressed([b"".join(DATA)], kind))
    assert b"".join(compressed(DATA, kind)) == whole


def test_little_is_kept_in_memory() -> None:
    """Output comes while input is read."""
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for seed in range(64):
            read += 1
            yield random.Random(seed).randbytes(1 << 18)

    next(itertools.islice(compressed(chunks(), "gzip"), 8, None))
    assert read < 32


@pytest.mark.parametrize(("kind", "level"), [("gzip", 0), ("gzip", 10), ("zstd", 0), ("zstd", 21)])
def test_levels_have_bounds(kind: str, level: int) -> None:
    with pytest.raises(PyctrError, match=f"{level} is none of {kind}"):
        check_level(kind, level)

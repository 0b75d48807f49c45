"""Compression of layers: gzip or zstd, the same bytes for the same input on every run."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from pyctr.rootless.errors import PyctrError

LEVELS = {"gzip": (1, 9), "zstd": (1, 20)}  # podman-push(1), --compression-level
_ISAL_LEVEL = 2  # 10 times as fast as zlib's default, for 10 % more bytes
_ZLIB_LEVEL = 5  # podman's
_ZSTD_LEVEL = 3
_GZIP_FRAME = 31  # zlib's "wbits" for a gzip header without name and time


class Compressor(Protocol):
    """What zlib, isal and zstd have in common."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def compressed(chunks: Iterable[bytes], kind: str, level: int | None = None) -> Iterator[bytes]:
    """The chunks as one gzip or zstd stream."""
    compressor = _compressor(kind, level)
    for chunk in chunks:
        if out := compressor.compress(chunk):
            yield out
    yield compressor.flush()


def check_level(kind: str, level: int | None) -> None:
    """Raises PyctrError for a level that the format does not have."""
    least, most = LEVELS[kind]
    if level is not None and not least <= level <= most:
        raise PyctrError(f"--compression-level {level} is none of {kind}", f"It has {least} to {most}.")


def _compressor(kind: str, level: int | None) -> Compressor:
    if kind == "zstd":
        return _zstd(_ZSTD_LEVEL if level is None else level)
    if level is not None:
        return zlib.compressobj(level, wbits=_GZIP_FRAME)
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(_ZLIB_LEVEL, wbits=_GZIP_FRAME)
    made: Compressor = isal_zlib.compressobj(_ISAL_LEVEL, wbits=_GZIP_FRAME)
    return made


def _zstd(level: int) -> Compressor:
    from importlib import import_module

    for name in ("backports.zstd", "compression.zstd"):  # the latter from Python 3.14 on
        try:
            library: Any = import_module(name)
        except ImportError:
            continue
        made: Compressor = library.ZstdCompressor(level=level)
        return made
    raise PyctrError("zstd is not supported by this Python", "pip install backports.zstd")

"""Decompression of layers and archives: gzip, zstd, xz, bzip2 or none, told apart by their first bytes.

Output is bounded step by step, so that a small input cannot make a large buffer. Streams of several
members (pigz, estargz, zstd:chunked) are read to their end.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol

from pyctr.rootless.errors import PyctrError
from pyctr.storage import windows
from pyctr.storage.windows import Budget

CHUNK = 1 << 18  # bytes of output at once; more falls out of the cache between hash and write
_INPUT = 1 << 17
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after one byte 0x50 to 0x5f (RFC 8878, section 3.1.2)


class BrokenStream(PyctrError):
    """A layer or archive that is truncated, damaged or beyond a limit."""


class Decompressor(Protocol):
    """What bz2, lzma, zstd and isal have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class Readable(Protocol):
    """What is read here of a file."""

    def read(self, size: int, /) -> bytes: ...


class _ZlibDecompressor:
    """zlib's object in the shape of the others; where isal is not installed."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


def _gzip() -> Decompressor:
    try:
        from isal import igzip_lib
    except ImportError:
        return _ZlibDecompressor()
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _zstd() -> Decompressor:
    try:
        from backports import zstd
    except ImportError:
        return _library_zstd()
    return zstd.ZstdDecompressor()


def _library_zstd() -> Decompressor:
    from importlib import import_module

    try:
        zstd: Any = import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise PyctrError("zstd is not supported by this Python", "pip install backports.zstd") from None
    made: Decompressor = zstd.ZstdDecompressor()
    return made


def _xz() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(memlimit=windows.LIMIT)


def _bzip2() -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


_MAKERS: dict[str, Callable[[], Decompressor]] = {"gzip": _gzip, "zstd": _zstd, "xz": _xz, "bzip2": _bzip2}


def kind_of(start: bytes) -> str:
    """gzip, zstd, xz, bzip2, or "" for anything else, from the first six bytes."""
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    skippable = start[1:4] == _ZSTD_SKIPPABLE and 0x50 <= start[0] <= 0x5F
    return "zstd" if skippable else ""


def decompressed(file: Readable, budget: Budget | None = None) -> Iterator[bytes]:
    """The content of `file` in chunks of at most CHUNK bytes.

    BrokenStream when it is damaged or ends too early, TooLarge when its decoder would need too much memory.
    With a `budget` it waits until that has the memory.
    """
    start = _read(file, 6)
    kind = kind_of(start)
    if not kind:
        yield start
        yield from iter(lambda: file.read(CHUNK), b"")
        return
    try:
        yield from _members(file, start, _MAKERS[kind], budget if kind == "zstd" else None)
    except PyctrError:
        raise
    except Exception as error:  # each library has an error class of its own, some raise OSError or EOFError
        raise BrokenStream(f"the {kind} data is damaged: {error}") from None


def proportionate(file: Readable, most: Callable[[int], int]) -> Iterator[bytes]:
    """`decompressed`, for what comes from strangers: BrokenStream once it is more than `most` says for the
    bytes that were read.
    """
    source = Counted(file)
    unpacked = 0
    for chunk in decompressed(source):
        unpacked += len(chunk)
        if unpacked > most(source.count):
            raise BrokenStream(f"it unpacks to more than {most(source.count)} bytes, beyond all reason")
        yield chunk


class Counted:
    """A file that counts the bytes that were read of it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


def _read(file: Readable, size: int) -> bytes:
    """`size` bytes, fewer only at the end."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _members(
    file: Readable, start: bytes, make: Callable[[], Decompressor], budget: Budget | None
) -> Iterator[bytes]:
    data = start
    while data:
        data += _read(file, windows.HEADER - len(data)) if len(data) < windows.HEADER else b""
        size = windows.window(data)
        with budget.taken(size) if budget and size else nullcontext():
            decompressor = make()
            yield from _one_member(file, data, decompressor)
            data = _after_padding(file, decompressor.unused_data)
            del decompressor  # and its window


def _one_member(file: Readable, data: bytes, decompressor: Decompressor) -> Iterator[bytes]:
    while True:
        if out := decompressor.decompress(data, CHUNK):
            yield out
        if decompressor.eof:
            return
        data = b""
        if decompressor.needs_input:
            data = file.read(_INPUT)
            if not data and not out:
                raise BrokenStream("the compressed data ends too early")


def _after_padding(file: Readable, data: bytes) -> bytes:
    """The start of the next member: zero bytes between and after members are padding, as for gzip(1)."""
    while True:
        data = data.lstrip(b"\0")
        if data:
            return data + _read(file, 6 - len(data)) if len(data) < 6 else data
        data = file.read(_INPUT)
        if not data:
            return b""

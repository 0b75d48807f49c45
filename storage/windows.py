"""The memory of zstd decoders, which is their window: what a frame asks for, and what all may have at once.

Formats: RFC 8878, section 3.1.1.1 ("Frame Header").
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyctr.rootless.errors import PyctrError

LIMIT = 128 << 20  # bytes: what `zstd --ultra --long=27` asks for; zstd itself refuses more by default
TOTAL = 128 << 20  # bytes of all decoders of one pull
HEADER = 18  # bytes, at most
_TOKEN = 1 << 20
_MAGIC = b"\x28\xb5\x2f\xfd"
_SIZES = (0, 2, 4, 8)  # bytes of the content size, by its flag


class TooLarge(PyctrError):
    """A frame asks for a window beyond the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"its zstd window of {size >> 20} MiB is larger than {LIMIT >> 20} MiB",
            "Compress it again with a smaller window (zstd --long=27 or less).",
        )


def window(start: bytes) -> int:
    """The window in bytes that the frame with this start needs; 0 for one that is skipped. TooLarge."""
    if not start.startswith(_MAGIC) or len(start) < 6:
        return 0  # too short a frame is the decoder's to refuse
    descriptor = start[4]
    size = _content_size(start, descriptor) if descriptor & 0x20 else _window(start[5])
    if size > LIMIT:
        raise TooLarge(size)
    return size


def _window(byte: int) -> int:
    base = 1 << (10 + (byte >> 3))
    return base + base // 8 * (byte & 7)


def _content_size(start: bytes, descriptor: int) -> int:
    """Of a frame in a single segment, whose content is its window."""
    length = _SIZES[descriptor >> 6] or 1
    at = 5 + (0, 1, 2, 4)[descriptor & 3]  # behind the id of a dictionary
    size = int.from_bytes(start[at : at + length], "little")
    return size + 256 if length == 2 else size


class Budget:
    """What the decoders of several processes may have together, in tokens that lie in a pipe.

    Made before the processes are forked.
    """

    def __init__(self, total: int = TOTAL) -> None:
        self._count = total // _TOKEN
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        os.write(self._writing, bytes(self._count))

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes can be had; more than there are at all counts as all."""
        tokens = min(-(-size // _TOKEN), self._count)
        self._take(tokens)
        try:
            yield
        finally:
            os.write(self._writing, bytes(tokens))

    def _take(self, tokens: int) -> None:
        """One after another: two that have half of what they want would wait for each other."""
        # Opened anew: a lock belongs to the opening, and workers share the one that they were forked with.
        turn = os.open(f"/proc/self/fd/{self._reading}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            while tokens:
                tokens -= len(os.read(self._reading, tokens))
        finally:
            os.close(turn)

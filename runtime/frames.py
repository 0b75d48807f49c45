"""The attach stream between a client and a monitor (or the parent of an exec session): versioned frames.

A frame is one byte of type, four bytes of length (big endian) and the payload. The client says HELLO with
the highest version that it speaks, the server answers with the one to use; a newer client speaks every older
version. Unknown frame types are skipped, so a version may add types without breaking an older peer.
"""

VERSION = 1
HELLO, STDIN, STDOUT, STDERR, RESIZE, STDIN_END, SIGNAL, EXIT = range(8)
HEADER = 5  # bytes
PAYLOAD_LIMIT = 1 << 20  # bytes


class ProtocolError(Exception):
    """The peer sent something that is no frame."""


def pack(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return b"%c%b%b" % (kind, len(payload).to_bytes(4, "big"), payload)


def pack_hello(version: int = VERSION) -> bytes:
    return pack(HELLO, bytes([version]))


def pack_resize(rows: int, columns: int) -> bytes:
    return pack(RESIZE, rows.to_bytes(2, "big") + columns.to_bytes(2, "big"))


def unpack_resize(payload: bytes) -> tuple[int, int]:
    """(rows, columns)"""
    return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")


class Reader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "list[tuple[int, bytes]]":
        """The frames that `data` completes. ProtocolError for a payload beyond the limit."""
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER:
            length = int.from_bytes(buffer[start + 1 : start + HEADER], "big")
            if length > PAYLOAD_LIMIT:
                raise ProtocolError(f"a frame of {length} bytes")
            end = start + HEADER + length
            if len(buffer) < end:
                break
            frames.append((buffer[start], bytes(buffer[start + HEADER : end])))
            start = end
        del buffer[:start]
        return frames

"""Parts of a blob that have come before what is in front of them: tmp.<hex>.<start> beside tmp.<hex>.

Each holds what follows the byte `start`, without a gap, however far it has come: so a later pull sees from
the sizes what is missing. Whoever has the lock of tmp.<hex> may use them.
"""

import os

from pyctr.storage import records
from pyctr.storage.blobs import BlobWriter

_COPY = 1 << 20


class Parts:
    """The parts of one blob, which `blob` is the beginning of."""

    def __init__(self, blob: BlobWriter) -> None:
        self._blob = blob
        self._folder, self._prefix = os.path.split(f"{blob.path}.")

    def starts(self) -> list[int]:
        """Where the parts that are there begin."""
        found = [name.removeprefix(self._prefix) for name in records.names_in(self._folder)]
        return sorted([int(text) for text in found if text.isdecimal()])

    def size(self, start: int) -> int:
        """Bytes of a part; 0 when it is not there."""
        try:
            return os.stat(self._path(start)).st_size
        except FileNotFoundError:
            return 0

    def open(self, start: int) -> int:
        """A part to append to, made when it is missing. OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._path(start), flags, 0o600)

    def join(self, start: int, end: int) -> None:
        """Moves a part to the end of the blob, which is at `start`; nothing behind `end`."""
        try:
            fd = os.open(self._path(start), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        with open(fd, "rb", buffering=0) as file:
            while data := file.read(min(_COPY, end - self._blob.size)):
                self._blob.write(data)
        os.unlink(self._path(start))

    def drop(self) -> None:
        """Removes all parts."""
        for start in self.starts():
            os.unlink(self._path(start))

    def _path(self, start: int) -> str:
        return f"{self._folder}/{self._prefix}{start}"

"""Blobs: files named by the hash of their content, written so that a wrong one never gets its name.

With `oci-layout` and `index.json` beside it the folder is an OCI image layout (image-layout.md of the OCI
image-spec). Whoever adds blobs that a record will refer to keeps them by a pin (`pyctr.storage.pins`) until
the record exists, else a sweeper takes them for garbage.
"""

import fcntl
import os

from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable
    from typing import BinaryIO

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_COPY = 1 << 20  # bytes hashed at once
MANIFEST_LIMIT = 4 << 20  # bytes of a manifest or config, as registries limit them


class Digest(Value):
    """A content digest (OCI image-spec, descriptor.md).

    `algorithm` is sha256 or sha512, `hex` in lower case.
    """

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def parse_digest(text: str) -> Digest:
    """The digest that `text` spells, else PyctrError."""
    algorithm, _, value = text.partition(":")
    if len(value) != _HEX_LENGTH.get(algorithm, -1) or value.strip("0123456789abcdef"):
        raise PyctrError(f"{text!r} is not a digest (sha256: or sha512: and lower-case hexadecimal digits)")
    return Digest(algorithm, value)


def has_blob(store: paths.Store, digest: str) -> bool:
    """Whether the blob is there, whole. OSError when that cannot be told."""
    parse_digest(digest)
    try:
        os.stat(store.blob(digest))
    except FileNotFoundError:
        return False
    return True


def blob_size(store: paths.Store, digest: str) -> int:
    """Bytes of a blob. NoSuchObject."""
    parse_digest(digest)
    try:
        return os.stat(store.blob(digest)).st_size
    except FileNotFoundError:
        raise NoSuchObject("blob", digest, "Pull or load the image again.") from None


def open_blob(store: paths.Store, digest: str) -> "BinaryIO":
    """A blob, open for reading. NoSuchObject."""
    parse_digest(digest)
    try:
        return open(store.blob(digest), "rb")
    except FileNotFoundError:
        raise NoSuchObject("blob", digest, "Pull or load the image again.") from None


def read_blob(store: paths.Store, digest: str, limit: int = MANIFEST_LIMIT) -> bytes:
    """The content of a small blob, verified again: disks rot.

    NoSuchObject; PyctrError when it is not what it was.
    """
    import hashlib

    with open_blob(store, digest) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise PyctrError(f"blob {digest} is larger than {limit} bytes")
    wanted = parse_digest(digest)
    if hashlib.new(wanted.algorithm, data).hexdigest() != wanted.hex:
        raise PyctrError(f"blob {digest} is damaged on disk", "Remove the image and pull or load it again.")
    return data


def put_blob(store: paths.Store, data: bytes, digest: str | None = None) -> str:
    """Stores `data`; its digest. PyctrError when that is not the `digest` asked for."""
    with writer(store, digest) as blob:
        blob.write(data)
    return blob.digest


def writer(
    store: paths.Store,
    digest: str | None = None,
    *,
    limit: int | None = None,
    resume: bool = False,
    wait: bool = True,
    naming: "Callable[[str], object] | None" = None,
) -> "BlobWriter":
    """A context manager to write one blob: it gets its name at the end of the `with`, or is gone.

    `limit` bounds the bytes that are accepted. With `resume` (and a digest) what an earlier, interrupted
    writer left is kept: `size` says how much is there already, and a failure other than a wrong digest
    leaves it for the next one. Another process that writes the same blob is waited for; BlockingIOError
    with `wait=False`. `naming` is called with the digest before the blob gets its name.
    """
    return BlobWriter(store, digest, limit=limit, resume=resume, wait=wait, naming=naming)


class BlobWriter:
    """Writes one blob. `size` is what it holds so far, `path` its temporary file, `digest` the name that it
    got (set at the end).
    """

    def __init__(
        self,
        store: paths.Store,
        digest: str | None,
        *,
        limit: int | None,
        resume: bool,
        wait: bool,
        naming: "Callable[[str], object] | None",
    ) -> None:
        self._naming = naming
        self._wanted = parse_digest(digest) if digest else None
        self._algorithm = self._wanted.algorithm if self._wanted else "sha256"
        self._folder = os.path.dirname(store.blob(f"{self._algorithm}:x"))
        self._hash = _new_hash(self._algorithm)
        self._limit = limit
        self._resume = resume and self._wanted is not None
        self._wait = wait
        self._fd = -1
        self.size = 0
        self.digest = digest or ""

    def __enter__(self) -> "BlobWriter":
        records.make_folder(self._folder)
        self.path = f"{self._folder}/{paths.TEMPORARY}{self._temporary_name()}"
        self._fd = _open_locked(self.path, wait=self._wait)
        try:
            self._read_kept()
        except BaseException:
            self._close()
            raise
        return self

    def _temporary_name(self) -> str:
        if self._resume and self._wanted:
            return self._wanted.hex
        return f"{os.getpid()}.{os.urandom(8).hex()}"

    def _read_kept(self) -> None:
        while kept := os.read(self._fd, _COPY):
            self._hash.update(kept)
            self.size += len(kept)

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Appends `data`. PyctrError beyond the limit or on a full disk."""
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise PyctrError(f"blob {self._name()} is larger than the {self._limit} bytes that it may have")
        self._hash.update(data)
        try:
            records.write_all(self._fd, data)
        except OSError as error:
            raise self._failed(error) from None

    def is_right(self) -> bool:
        """Whether what is there so far has the digest that was asked for."""
        return self._wanted is None or self._hash.hexdigest() == self._wanted.hex

    def restart(self) -> None:
        """Drops what was written so far (a server that does not resume sends all of it again)."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = _new_hash(self._algorithm)
        self.size = 0

    def __exit__(self, kind: object, _value: object, _trace: object) -> None:
        try:
            if kind is None:
                self._commit()
            elif not self._resume or not self.size:
                os.unlink(self.path)
        finally:
            self._close()

    def _commit(self) -> None:
        found = Digest(self._algorithm, self._hash.hexdigest())
        try:
            if not self.is_right():
                raise PyctrError(
                    f"blob {self._wanted} is not what was sent: its content has the digest {found}",
                    "The source is damaged or was tampered with; try again or use another one.",
                )
            os.fsync(self._fd)
            if self._naming is not None:
                self._naming(str(found))
            os.rename(self.path, f"{self._folder}/{found.hex}")
        except OSError as error:
            os.unlink(self.path)
            raise self._failed(error) from None
        except PyctrError:
            os.unlink(self.path)
            raise
        records.sync_folder(self._folder)
        self.digest = str(found)

    def _failed(self, error: OSError) -> PyctrError:
        return PyctrError(f"blob {self._name()} cannot be written to {self._folder}: {error.strerror}")

    def _name(self) -> str:
        return str(self._wanted) if self._wanted else "of unknown digest"

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _new_hash(algorithm: str) -> "hashlib._Hash":
    import hashlib

    return hashlib.new(algorithm)


def _open_locked(path: str, *, wait: bool) -> int:
    """The file, made when missing, under its lock: a sweeper leaves it alone and a second writer waits."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held, named = os.fstat(fd), os.stat(path)
            if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
                return fd
        except FileNotFoundError:
            pass  # the other writer has finished it, or a sweeper came first
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)

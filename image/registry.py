"""One repository of a registry: its manifests and blobs.

Source: OCI distribution-spec ("Pulling manifests", "Pulling blobs"). All that comes back is untrusted: sizes
are bounded by what was announced, and digests are computed, never believed.
"""

import threading
from collections.abc import Callable, Iterator, Mapping

import urllib3

from pyctr.image import manifest, session, transport
from pyctr.image.blobfetch import BlobFetch
from pyctr.image.manifest import Descriptor, Invalid
from pyctr.image.parallel import CONNECTIONS
from pyctr.image.reference import Reference, is_digest
from pyctr.image.session import Session
from pyctr.image.transport import Access, retrying
from pyctr.rootless.errors import Stopped
from pyctr.storage import blobs, paths
from pyctr.storage.blobparts import Parts

_PATIENCE = 0.2  # seconds between looks at a blob that another pull brings


class _AlreadyThere(Exception):
    """A blob came into the store while another pull was waited for."""


class Repository:
    """A repository, read with the credentials of the user. Threads may share it."""

    def __init__(self, reference: Reference, access: Access) -> None:
        self.name = reference.repository
        self._access = access
        self._session = Session(reference, access)
        self._lanes = threading.Semaphore(CONNECTIONS)
        self.rate_limit = ""  # what the registry last told about how much may be pulled, in words

    def manifest(self, reference: str, accepted: tuple[str, ...] = manifest.ACCEPTED) -> tuple[bytes, str]:
        """A manifest by tag or digest (then verified): its bytes and the media type that was announced."""
        what = f"manifest {reference} in {self.name}"
        return retrying(self._access, lambda: self._manifest(reference, accepted, what))

    def _manifest(self, reference: str, accepted: tuple[str, ...], what: str) -> tuple[bytes, str]:
        with self._answer(f"manifests/{reference}", {"Accept": ", ".join(accepted)}, what) as answer:
            data = _body(answer, manifest.MANIFEST_LIMIT, what)
        self.rate_limit = _rate_limit(answer.headers)
        told = answer.headers.get("Docker-Content-Digest", "")
        for digest in (reference, told):
            if is_digest(digest) and digest != manifest.digest_like(data, digest):
                raise Invalid(f"{what} does not have the digest {digest}")
        return data, answer.headers.get("Content-Type", "").partition(";")[0].strip()

    def digest(self, reference: str) -> str:
        """The digest of a manifest, which costs no download; empty when the registry does not tell it."""
        what = f"manifest {reference} in {self.name}"
        return retrying(self._access, lambda: self._digest(reference, what))

    def _digest(self, reference: str, what: str) -> str:
        accepted = {"Accept": ", ".join(manifest.ACCEPTED)}
        with self._answer(f"manifests/{reference}", accepted, what, "HEAD") as answer:
            self.rate_limit = _rate_limit(answer.headers)
            told = answer.headers.get("Docker-Content-Digest", "")
        return told if is_digest(told) else ""

    def small_blob(self, descriptor: Descriptor, what: str) -> bytes:
        """A config, in memory. Raises Invalid when it is not what its descriptor says."""
        data = retrying(self._access, lambda: self._small_blob(descriptor, what))
        if (
            len(data) != descriptor.size
            or manifest.digest_like(data, descriptor.digest) != descriptor.digest
        ):
            raise Invalid(f"{what} is not the blob {descriptor.digest} that was announced")
        return data

    def _small_blob(self, descriptor: Descriptor, what: str) -> bytes:
        with self._answer(f"blobs/{descriptor.digest}", {}, what) as answer:
            return _body(answer, descriptor.size, what)

    def fetch_blob(
        self, store: paths.Store, descriptor: Descriptor, moved: Callable[[int], None], stop: threading.Event
    ) -> None:
        """Brings a layer into the store. `moved(size)` hears how many bytes are there.

        Broken connections are resumed where they ended, also by a later pull. Stopped when `stop` is set.
        """
        while not self._lanes.acquire(timeout=_PATIENCE):
            if stop.is_set():
                raise Stopped(f"blob {descriptor.digest} was not finished")
        try:
            self._fetch_alone(store, descriptor, moved, stop)
        finally:
            self._lanes.release()

    def _fetch_alone(
        self, store: paths.Store, descriptor: Descriptor, moved: Callable[[int], None], stop: threading.Event
    ) -> None:
        while True:
            try:
                return self._fetch(store, descriptor, moved, stop)
            except BlockingIOError:  # another pull brings it; flock(2) cannot wait for it and for `stop`
                if stop.wait(_PATIENCE):
                    raise Stopped(f"blob {descriptor.digest} was not finished") from None

    def _fetch(
        self, store: paths.Store, descriptor: Descriptor, moved: Callable[[int], None], stop: threading.Event
    ) -> None:
        size = descriptor.size
        try:
            with blobs.writer(store, descriptor.digest, limit=size, resume=True, wait=False) as blob:
                if blobs.has_blob(store, descriptor.digest):
                    raise _AlreadyThere
                resumed = bool(blob.size or Parts(blob).starts())
                BlobFetch(self, descriptor, blob, self._lanes).run(moved, stop)
                if resumed and not blob.is_right():  # a power cut, or a server that lied then
                    blob.restart()
                    BlobFetch(self, descriptor, blob, self._lanes).run(moved, stop)
        except _AlreadyThere:
            moved(size)

    def open_blob(self, descriptor: Descriptor, start: int, end: int) -> "Answer":
        """The answer with the bytes of a blob from `start` up to `end` (status 206), or with all of them.

        Invalid when it announces another length, or another part.
        """
        rest = "" if end == descriptor.size else end - 1
        headers = {"Range": f"bytes={start}-{rest}"} if start or rest else {}
        what = f"blob {descriptor.digest} in {self.name}"
        answer = self._answer(f"blobs/{descriptor.digest}", headers, what)
        try:
            _check_part(answer, start, end, descriptor, what)
        except BaseException:
            answer.close()
            raise
        return answer

    def retry(self, action: Callable[[], None], moved: Callable[[], int]) -> None:
        """Does something again after passing failures, as often as the user wants."""
        retrying(self._access, action, moved)

    def _answer(self, path: str, headers: dict[str, str], what: str, method: str = "GET") -> "Answer":
        """The successful answer to a request below the repository."""
        answer, url = self._session.ask(method, self._session.below(path), headers)
        if answer.status in (200, 206):
            return Answer(answer, url, insecure=self._session.transport.insecure)
        try:
            raise session.refusal(answer, url, f"reading {what}")
        finally:
            answer.close()


class Answer:
    """A successful answer: a context manager that gives the connection back, and iterates over the body."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, *, insecure: bool) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._url = url
        self._insecure = insecure

    def __enter__(self) -> "Answer":
        return self

    def close(self) -> None:
        """Gives up the connection with what is still in it."""
        self._response.close()

    def __exit__(self, kind: object, *_rest: object) -> None:
        self._response.release_conn() if kind is None else self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        return transport.chunks(self._response, self._url, insecure=self._insecure)


def _body(answer: Answer, limit: int, what: str) -> bytes:
    data = b""
    for piece in answer:
        data += piece
        if len(data) > limit:
            raise Invalid(f"{what}: the registry sends more than {limit} bytes")
    return data


def _rate_limit(headers: Mapping[str, str]) -> str:
    """The headers `ratelimit-limit: 100;w=21600` and `ratelimit-remaining`, in words (docs.docker.com)."""
    limit, window = _numbers(headers.get("ratelimit-limit", ""))
    left, _ = _numbers(headers.get("ratelimit-remaining", ""))
    if not limit or not left:
        return ""
    period = f" in {int(window) / 3600:g} hours" if window else ""
    return f"The registry allows {limit} pulls{period}, {left} are left"


def _numbers(text: str) -> tuple[str, str]:
    """Count and window in seconds, each empty when it is none."""
    count, _, window = [part.strip() for part in text.partition(";")]
    found = (count, window.removeprefix("w="))
    return tuple([each if each.isdecimal() and len(each) < 10 else "" for each in found])  # type: ignore[return-value]


def _check_part(answer: Answer, start: int, end: int, descriptor: Descriptor, what: str) -> None:
    """Invalid when the registry sends something else than it was asked for."""
    resumed = answer.status == 206
    if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise Invalid(f"{what}: asked to go on at byte {start}, the registry sends another part")
    length = answer.headers.get("Content-Length", "")
    wanted = end - start if resumed else descriptor.size
    if length.isdigit() and int(length) != wanted:
        raise Invalid(f"{what}: the registry sends {length} bytes, but the manifest announces {wanted}")

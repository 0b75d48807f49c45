"""One repository of a registry: its manifests and blobs.

Source: OCI distribution-spec ("Pulling manifests", "Pulling blobs"). All that comes back is untrusted: sizes
are bounded by what was announced, and digests are computed, never believed.
"""

import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator

import urllib3

from pyctr.image import credentials, manifest, transport
from pyctr.image.manifest import Descriptor, Invalid
from pyctr.image.reference import DEFAULT_DOMAIN, Reference, is_digest
from pyctr.image.tokens import Authorizer
from pyctr.image.transport import Access, Misunderstood, Transport, Unreachable, retrying
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.storage import blobs, paths

_PATIENCE = 0.2  # seconds between looks at a blob that another pull brings
_HOSTS = {DEFAULT_DOMAIN: "registry-1.docker.io"}


class Denied(PyctrError):
    """The registry wants other credentials, or none will do."""


class Stopped(PyctrError):
    """Another transfer of the same pull failed first."""


class Absent(NoSuchObject):
    """The registry does not have a manifest or blob."""

    def __init__(self, what: str, words: str) -> None:
        super().__init__("image", what, "Check the name and the tag.")
        self.message = f"reading {what}: the registry does not have it{words}"
        self.args = (self.message,)


class _AlreadyThere(Exception):
    """A blob came into the store while another pull was waited for."""


class Repository:
    """A repository, read with the credentials of the user. Threads may share it."""

    def __init__(self, reference: Reference, access: Access) -> None:
        self.name = reference.repository
        self._path = reference.path
        self._access = access
        self._transport = Transport(reference.domain, access)
        self._authorizer = _authorizer(self._transport, reference, access)
        host = _HOSTS.get(reference.domain, reference.domain)
        self._bases = [f"{scheme}://{host}" for scheme in _schemes(reference.domain, self._transport)]

    def manifest(self, reference: str, accepted: tuple[str, ...] = manifest.ACCEPTED) -> tuple[bytes, str]:
        """A manifest by tag or digest (then verified): its bytes and the media type that was announced."""
        what = f"manifest {reference} in {self.name}"
        return retrying(self._access, lambda: self._manifest(reference, accepted, what))

    def _manifest(self, reference: str, accepted: tuple[str, ...], what: str) -> tuple[bytes, str]:
        with self._answer(f"manifests/{reference}", {"Accept": ", ".join(accepted)}, what) as answer:
            data = _body(answer, manifest.MANIFEST_LIMIT, what)
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
                kept = blob.size
                self._fill(blob, descriptor, moved, stop)
                if kept and not blob.is_right():  # a power cut, or a server that lied then
                    blob.restart()
                    self._fill(blob, descriptor, moved, stop)
        except _AlreadyThere:
            moved(size)

    def _fill(
        self,
        blob: blobs.BlobWriter,
        descriptor: Descriptor,
        moved: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        if blob.size > descriptor.size:
            blob.restart()

        def write(piece: bytes) -> None:
            if stop.is_set():
                raise Stopped(f"blob {descriptor.digest} was not finished")
            blob.write(piece)
            moved(blob.size)

        retrying(self._access, lambda: self._append(blob, descriptor, write), lambda: blob.size)
        moved(blob.size)

    def _append(
        self, blob: blobs.BlobWriter, descriptor: Descriptor, write: Callable[[bytes], None]
    ) -> None:
        if blob.size == descriptor.size:
            return
        headers = {"Range": f"bytes={blob.size}-"} if blob.size else {}
        what = f"blob {descriptor.digest} in {self.name}"
        with self._answer(f"blobs/{descriptor.digest}", headers, what) as answer:
            if not _resumes(answer, blob.size, descriptor, what):
                blob.restart()
            for piece in answer:
                write(piece)
        if blob.size < descriptor.size:
            raise Unreachable(f"{what} ended after {blob.size} of {descriptor.size} bytes", transient=True)

    def _answer(self, path: str, headers: dict[str, str], what: str, method: str = "GET") -> "_Answer":
        """The successful answer to a request below the repository."""
        url, answer = self._authorized(f"/v2/{urllib.parse.quote(self._path)}/{path}", headers, method)
        if answer.status in (200, 206):
            return _Answer(answer, url, insecure=self._transport.insecure)
        try:
            raise _refusal(answer, url, what)
        finally:
            answer.close()

    def _authorized(
        self, path: str, headers: dict[str, str], method: str
    ) -> tuple[str, urllib3.BaseHTTPResponse]:
        for _ in range(3):  # anonymous, then with a token, then with a new one because the first has expired
            used = self._authorizer.header
            sent = {**headers, "Authorization": used} if used else headers
            url, answer = self._from_any_base(path, sent, method)
            if answer.status != 401:
                break
            challenges = answer.headers.getlist("WWW-Authenticate")
            if not self._authorizer.renew(challenges, used, url):
                break
            answer.close()
        return url, answer

    def _from_any_base(
        self, path: str, headers: dict[str, str], method: str
    ) -> tuple[str, urllib3.BaseHTTPResponse]:
        """The answer of the first scheme that the registry speaks; the others are then forgotten."""
        problem: Unreachable | None = None
        for base in self._bases:
            last = base == self._bases[-1]
            try:
                answer = self._transport.get(base + path, headers, method)
            except Unreachable as error:
                problem = problem or error
                if last or not isinstance(error, Misunderstood):
                    raise problem from None
                continue
            if answer.status == 400 and base.startswith("http:") and not last:
                answer.close()  # "client sent an HTTP request to an HTTPS server"
                continue
            self._bases = [base]
            return base + path, answer
        raise problem or Unreachable(f"{self.name}: the registry speaks neither http nor https")


class _Answer:
    """A successful answer: a context manager that gives the connection back, and iterates over the body."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, *, insecure: bool) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._url = url
        self._insecure = insecure

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        self._response.release_conn() if kind is None else self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        return transport.chunks(self._response, self._url, insecure=self._insecure)


def _schemes(domain: str, to: Transport) -> tuple[str, ...]:
    """Schemes to try in turn. On loopback http is more likely; elsewhere https is always asked first."""
    if not to.insecure:
        return ("https",)
    return ("http", "https") if transport.is_loopback(domain) else ("https", "http")


def _authorizer(to: Transport, reference: Reference, access: Access) -> Authorizer:
    found = access.credentials
    if found is None:
        found = credentials.find(reference.domain, reference.path, access.auth_file or None)
    return Authorizer(to, reference.path, found)


def _body(answer: _Answer, limit: int, what: str) -> bytes:
    data = b""
    for piece in answer:
        data += piece
        if len(data) > limit:
            raise Invalid(f"{what}: the registry sends more than {limit} bytes")
    return data


def _resumes(answer: _Answer, offset: int, descriptor: Descriptor, what: str) -> bool:
    """Whether the body goes on at `offset`; False when it starts anew. Invalid when its length is wrong."""
    resumed = answer.status == 206
    if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        raise Invalid(f"{what}: asked to go on at byte {offset}, the registry sends another part")
    length = answer.headers.get("Content-Length", "")
    left = descriptor.size - (offset if resumed else 0)
    if length.isdigit() and int(length) != left:
        raise Invalid(f"{what}: the registry sends {length} bytes, but the manifest announces {left}")
    return resumed or not offset


def _refusal(answer: urllib3.BaseHTTPResponse, url: str, what: str) -> PyctrError:
    words = _error_words(answer)
    if answer.status == 404:
        return Absent(what, words)
    if answer.status in (401, 403):
        hint = "Log in with --creds user:password or --authfile; or the repository does not exist."
        return Denied(f"reading {what}: access is denied{words}", hint)
    problem = transport.refused(answer, url)
    message = f"reading {what}: {problem.message}{words}"
    return Unreachable(message, problem.hint, transient=problem.transient, delay=problem.delay)


def _error_words(answer: urllib3.BaseHTTPResponse) -> str:
    """What the registry says about an error, cut and without control characters: it goes to a terminal."""
    try:
        document = json.loads(answer.read(1 << 16))
        text = str(document["errors"][0]["message"])
    except (ValueError, RecursionError, LookupError, TypeError, urllib3.exceptions.HTTPError):
        return ""
    return f" ({''.join([letter for letter in text[:200] if letter.isprintable()])})"

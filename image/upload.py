"""Writing to one repository of a registry: blobs and manifests.

Source: OCI distribution-spec ("Pushing blobs", "Pushing manifests"). A blob goes up in one PATCH, as docker
and podman send it; after a break it goes on where the registry says that it ended, in smaller pieces, or
anew. Where a registry points to another host for an upload, the blob goes there and the credentials do not.
"""

import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import BinaryIO

import urllib3

from pyctr.image import session, transport
from pyctr.image.manifest import Descriptor, Invalid, digest_of
from pyctr.image.reference import Reference
from pyctr.image.rendering import Content
from pyctr.image.session import Denied, Session
from pyctr.image.tokens import NoToken
from pyctr.image.transport import Access, Body, Unreachable, retrying
from pyctr.rootless.errors import PyctrError, Stopped

SMALL = 1 << 20  # bytes of a blob that goes up in the closing request: a round trip less
_PIECE = 1 << 16  # bytes between two looks at the clock: a slow line needs a time-out each
_AFTER_BREAK = 8 << 20  # bytes of a chunk once the connection has broken: less is lost by the next break
_LEAST_CHUNK = 1 << 16
_PACE = 8 << 20  # bytes a second that a registry may take to look through a blob before it answers
_OTHER_WAY = (405, 411, 415, 501)  # the registry does not know this way of sending a blob
_TOO_LARGE = 413


class Uploader:
    """A repository, written with the credentials of the user. Threads may share it."""

    def __init__(self, reference: Reference, access: Access) -> None:
        self.to = reference
        self.name = reference.repository
        self.access = access
        self.session = Session(reference, access, "pull,push")

    def has_blob(self, blob: Descriptor) -> bool:
        """Whether the repository holds this blob, of this size."""
        return retrying(self.access, lambda: self._has_blob(blob))

    def _has_blob(self, blob: Descriptor) -> bool:
        answer, url = self.session.ask("HEAD", self.session.below(f"blobs/{blob.digest}"), {})
        try:
            if answer.status == 404:
                return False
            if answer.status != 200:
                raise session.refusal(answer, url, f"looking for blob {blob.digest} in {self.name}")
            size = answer.headers.get("Content-Length", "")
            told = answer.headers.get("Docker-Content-Digest", blob.digest)
            return told == blob.digest and (not size.isdecimal() or int(size) == blob.size)
        finally:
            answer.close()

    def send_blob(
        self,
        content: Content,
        moved: Callable[[int], None],
        stop: threading.Event,
        sources: tuple[str, ...] = (),
    ) -> None:
        """Brings a blob into the repository. `moved(size)` hears how much of it has been sent.

        From one of `sources` (repositories of the same registry) it is taken without being sent.
        """
        upload = _Upload(self, content, moved, stop, sources)
        retrying(self.access, upload.attempt, lambda: upload.offset)

    def share_blob(self, blob: Descriptor, sources: tuple[str, ...], stop: threading.Event) -> bool:
        """Takes a blob from one of `sources` (repositories of the same registry), if that can be."""
        content = Content(blob, _no_bytes)
        upload = _Upload(self, content, lambda there: None, stop, sources)
        return retrying(self.access, upload.share)

    def put_manifest(self, data: bytes, media_type: str, reference: str) -> None:
        """Writes a manifest under a tag or its digest. Invalid when the registry takes it for another."""
        retrying(self.access, lambda: self._put_manifest(data, media_type, reference))

    def _put_manifest(self, data: bytes, media_type: str, reference: str) -> None:
        doing = f"writing manifest {reference} to {self.name}"
        target = self.session.below(f"manifests/{reference}")
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        answer, url = self.session.ask("PUT", target, headers, lambda: data)
        try:
            if answer.status not in (200, 201, 202):
                raise _with_format_hint(session.refusal(answer, url, doing), answer.status)
            check_digest(answer, digest_of(data), doing)
        finally:
            answer.close()


class _Upload:
    """One blob on its way. `location` is where the registry wants it, empty before it was asked."""

    def __init__(
        self,
        to: Uploader,
        content: Content,
        moved: Callable[[int], None],
        stop: threading.Event,
        sources: tuple[str, ...],
    ) -> None:
        self._to = to
        self._session = to.session
        self._blob = content.descriptor
        self._content = content
        self._moved = moved
        self._stop = stop
        self._sources = sources
        self._doing = f"writing blob {self._blob.digest} to {to.name}"
        self._in_one = self._blob.size <= SMALL
        self._switched = False
        self._chunk = max(self._blob.size, 1)
        self._least = _LEAST_CHUNK
        self.location = ""
        self.offset = 0

    def attempt(self) -> None:
        """Sends what is missing. Unreachable when that breaks off: the next attempt goes on."""
        if self.location and self._is_there():
            return
        if not self.location and not self._begin():
            return
        try:
            self._send()
        except Unreachable:
            self._chunk = min(self._chunk, max(_AFTER_BREAK, self._least))
            raise

    def share(self) -> bool:
        """Takes the blob from one of the sources; False when none gives it."""
        if self._mounted(self._sources):
            return True
        if self.location:
            self._ask("DELETE", self.location)[0].close()
            self.location = ""
        return False

    def _is_there(self) -> bool:
        """Asks how far a broken upload is; whether all of it has arrived, and only the answer was lost."""
        self._find_offset()
        return not self.location and self._to.has_blob(self._blob)

    def _send(self) -> None:
        while not self._in_one and self.offset < self._blob.size:
            self._send_chunk()
        self._finish()

    def _begin(self) -> bool:
        """Opens an upload; False when the blob was mounted instead."""
        self.offset = 0
        sources, self._sources = self._sources, ()
        if sources and self._mounted(sources):
            return False
        if not self.location:
            answer, url = self._ask("POST", self._session.below("blobs/uploads/"))
            with _closing(answer):
                self._expect(answer, url, 202)
                self._least = max(self._least, _number(answer.headers.get("OCI-Chunk-Min-Length", "")))
        return True

    def _mounted(self, sources: tuple[str, ...]) -> bool:
        """Whether another repository of the registry has given the blob. If not, an upload may be open."""
        for source in sources:
            query = urllib.parse.urlencode({"mount": self._blob.digest, "from": source})
            try:
                answer, url = self._ask("POST", self._session.below(f"blobs/uploads/?{query}"))
            except NoToken:
                continue  # for a repository that may be written, but not together with that source
            with _closing(answer):
                if answer.status == 201:
                    check_digest(answer, self._blob.digest, self._doing)
                    return True
                if answer.status == 202:
                    self._expect(answer, url, 202)
                    return False
        return False

    def _find_offset(self) -> None:
        """Asks how far the upload is; forgets an upload that the registry has forgotten."""
        answer, url = self._ask("GET", self.location)
        with _closing(answer):
            if answer.status in (200, 202, 204) and answer.headers.get("Range"):
                self._go_on(answer, url)
            else:
                self.location = ""

    def _send_chunk(self) -> None:
        start, end = self.offset, min(self.offset + self._chunk, self._blob.size)
        headers = {"Content-Length": str(end - start)}
        if (start, end) != (0, self._blob.size):
            headers["Content-Range"] = f"{start}-{end - 1}"
        answer, url = self._ask("PATCH", self.location, headers, self._body(start, end), end - start)
        with _closing(answer):
            if answer.status == _TOO_LARGE and end - start > self._least:
                self._chunk = max((end - start) // 4, self._least)
                return self._abandon()
            if self._may_switch(answer.status):
                return self._abandon()
            self._expect(answer, url, 202)
            self._go_on(answer, url, end)
        if self.offset <= start:
            raise Invalid(f"{self._doing}: the registry took nothing of {end - start} bytes")

    def _may_switch(self, status: int) -> bool:
        """Changes, once, between a body in the closing request and one before it, if the status says so."""
        if self._switched or status not in _OTHER_WAY:
            return False
        self._switched = True
        self._in_one = not self._in_one
        return True

    def _abandon(self) -> None:
        """Begins anew: nobody knows what the registry made of the refused part."""
        self.location = ""
        self._begin()

    def _finish(self) -> None:
        """Closes the upload, with all of the blob in the same request if it goes in one."""
        end = self._blob.size if self._in_one else 0
        mark = "&" if "?" in self.location else "?"
        target = f"{self.location}{mark}digest={urllib.parse.quote(self._blob.digest, safe='')}"
        headers = {"Content-Length": str(end)}
        answer, url = self._ask("PUT", target, headers, self._body(0, end), self._blob.size)
        with _closing(answer):
            if self._in_one and self._may_switch(answer.status):
                self._abandon()
                return self._send()
            if answer.status == 400:
                self._check_content()
            if answer.status not in (200, 201, 202, 204):
                self.location = self.location if answer.status >= 500 else ""
                raise session.refusal(answer, url, self._doing)
            check_digest(answer, self._blob.digest, self._doing)
        self._moved(self._blob.size)

    def _ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        sent: int = 0,
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        if self._stop.is_set():
            raise Stopped(f"{self._doing}: another blob failed")
        kind = {"Content-Type": "application/octet-stream"} if body else {}
        return self._session.ask(method, target, {**kind, **(headers or {})}, body, sent / _PACE)

    def _body(self, start: int, end: int) -> Body:
        return lambda: self._pieces(start, end)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        with self._content.open() as file:
            file.seek(start)
            while start < end:
                if self._stop.is_set():
                    raise Stopped(f"{self._doing}: another blob failed")
                piece = file.read(min(_PIECE, end - start))
                if not piece:
                    raise Invalid(f"{self._doing}: the blob ends after {start} of {self._blob.size} bytes")
                yield piece
                start += len(piece)
                self._moved(start)

    def _expect(self, answer: urllib3.BaseHTTPResponse, url: str, status: int) -> None:
        """Checks the status, and takes the place from the Location header where the upload goes on."""
        if answer.status != status:
            if answer.status in (404, 416):  # the upload has expired, or is at another place than we think
                self.location = ""
                problem = session.refusal(answer, url, self._doing)
                raise Unreachable(problem.message, problem.hint, transient=self.offset > 0)
            raise session.refusal(answer, url, self._doing)
        self._follow(answer, url)

    def _follow(self, answer: urllib3.BaseHTTPResponse, url: str) -> None:
        target = answer.headers.get("Location") or self.location
        if not target:
            raise Invalid(f"{self._doing}: the registry does not say where to")
        try:
            with transport.failures(url, insecure=self._session.transport.insecure):
                self.location = self._session.transport.following(url, target).partition("#")[0]
        except Unreachable as error:
            hint = "Behind a proxy that ends TLS a registry must be told its own address."
            raise Unreachable(f"{self._doing}: {error.message}", hint) from None

    def _go_on(self, answer: urllib3.BaseHTTPResponse, url: str, sent: int = 0) -> None:
        """Takes place and offset from an answer; without a Range header all that was sent has arrived."""
        told = answer.headers.get("Range", "")
        offset = _end(told) if told else sent
        if offset > self._blob.size:
            raise Invalid(f"{self._doing}: the registry has {offset} of {self._blob.size} bytes")
        self._follow(answer, url)
        self.offset = offset

    def _check_content(self) -> None:
        """A registry that refuses a blob may be right: raises Invalid when it has rotted here."""
        import hashlib

        algorithm, _, value = self._blob.digest.partition(":")
        found = hashlib.new(algorithm)
        with self._content.open() as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                found.update(piece)
        if found.hexdigest() != value:
            hint = "Remove the image and pull or load it again."
            raise Invalid(f"blob {self._blob.digest} is damaged on disk", hint)


def _no_bytes() -> BinaryIO:
    raise AssertionError("a blob that is only shared has no bytes")


class _closing:
    """A context manager that gives an answer back: for another request when nothing failed."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, *_rest: object) -> None:
        transport.discard(self._answer) if kind is None else self._answer.close()


def check_digest(answer: urllib3.BaseHTTPResponse, digest: str, doing: str) -> None:
    """Raises Invalid when the registry says that it has got something else."""
    told = answer.headers.get("Docker-Content-Digest", digest)
    if told.partition(":")[0] == digest.partition(":")[0] and told != digest:
        raise Invalid(f"{doing}: the registry has got {told!r:.100} instead of {digest}")


def _with_format_hint(error: PyctrError, status: int) -> PyctrError:
    if status in (400, 415) and not isinstance(error, Denied):
        error.hint = (
            error.hint or "Perhaps it does not know this kind of manifest: try --format v2s2 or oci."
        )
    return error


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def _end(text: str) -> int:
    """How many bytes `0-99` or `bytes=0-99` are. `0-0` is none: registries say so of an empty upload."""
    start, _, last = text.removeprefix("bytes=").partition("-")
    return _number(last) + 1 if start == "0" and _number(last) else 0

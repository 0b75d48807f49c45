"""A registry in memory that takes pushes, strict about ranges and digests; tests make it misbehave."""

import contextlib
import hashlib
import http.server
import itertools
import threading
import urllib.parse
from collections.abc import Callable, Iterator

Handler = http.server.BaseHTTPRequestHandler
# Called before a request is served: True when it has answered itself.
Hook = Callable[["Taking"], bool]


class Taker:
    """What was pushed, and `seen`: (method, path without query, headers) of all requests."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.blobs: dict[tuple[str, str], bytes] = {}  # (repository, digest)
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}  # (repository, tag): bytes, type
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.hook: Hook = lambda _request: False
        self._names = itertools.count()
        self.over = threading.Event()

    def open_upload(self) -> str:
        """The name of a new, empty upload."""
        name = str(next(self._names))
        self.uploads[name] = bytearray()
        return name

    def count(self, method: str, part: str = "") -> int:
        """How many requests of a method had `part` in their path."""
        return len([path for verb, path, _ in self.seen if verb == method and part in path])


class Taking(Handler):
    """One request."""

    protocol_version = "HTTP/1.1"
    taker: Taker

    def serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.taker.seen.append((self.command, self.path.partition("?")[0], headers))
        if self.taker.hook(self):
            return
        repository, _, rest = self.path.partition("?")[0].removeprefix("/v2/").partition("/")
        kind, _, name = rest.partition("/")
        if kind == "manifests" and self.command == "PUT":
            self.put_manifest(repository, name)
        elif kind == "blobs" and not name.startswith("uploads/"):
            data = self.taker.blobs.get((repository, name))
            self.answer(404 if data is None else 200, data or b"")
        else:
            self.upload(repository, name.removeprefix("uploads/"))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def query(self, name: str) -> str:
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get(name, [""])[0]

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def upload(self, repository: str, name: str) -> None:
        taken = self.taker.uploads.get(name)
        if self.command == "POST":
            shared = self.taker.blobs.get((self.query("from"), self.query("mount")))
            if shared is not None:
                self.taker.blobs[repository, self.query("mount")] = shared
                self.answer(201, Location=f"/v2/{repository}/blobs/{self.query('mount')}")
                return
            name = self.taker.open_upload()
            self.answer(202, Location=f"/v2/{repository}/blobs/uploads/{name}?state=0", Range="0-0")
        elif taken is None:
            self.body()
            self.answer(404)
        elif self.command == "DELETE":
            del self.taker.uploads[name]
            self.answer(204)
        elif self.command == "GET":
            self.progress(204, repository, name)
        elif self.command == "PATCH":
            self.patch(repository, name)
        else:
            self.close_upload(repository, name)

    def patch(self, repository: str, name: str) -> None:
        taken = self.taker.uploads[name]
        start = int(self.headers.get("Content-Range", "0-").partition("-")[0])
        if start != len(taken):
            self.body()
            self.progress(416, repository, name)
            return
        taken += self.body()
        self.progress(202, repository, name)

    def close_upload(self, repository: str, name: str) -> None:
        data = bytes(self.taker.uploads[name]) + self.body()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != self.query("digest"):
            message = b'{"errors": [{"message": "provided digest did not match"}]}'
            self.answer(400, message)
            return
        del self.taker.uploads[name]
        self.taker.blobs[repository, digest] = data
        self.answer(201, Docker_Content_Digest=digest)

    def progress(self, code: int, repository: str, name: str) -> None:
        size = len(self.taker.uploads[name])
        place = f"/v2/{repository}/blobs/uploads/{name}?state={size}"
        self.answer(code, Location=place, Range=f"0-{max(size - 1, 0)}")

    def put_manifest(self, repository: str, name: str) -> None:
        data = self.body()
        self.taker.manifests[repository, name] = (data, self.headers.get("Content-Type", ""))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.answer(201, Docker_Content_Digest=digest)

    def answer(self, code: int, data: bytes = b"", **headers: str) -> bool:
        """Answers; header names are written with _ for -. True, for hooks."""
        self.send_response(code)
        self.send_header("Content-Length", "0" if code == 204 else str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD" and code != 204:
            self.wfile.write(data)
        return True

    def hang_up(self) -> bool:
        """Breaks the connection without an answer."""
        self.close_connection = True
        return True

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def serve() -> Iterator[Taker]:
    """Runs the registry in a thread."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_args: object) -> None:
            """Broken connections are what many tests are about."""

    class Request(Taking):
        pass

    server = Server(("127.0.0.1", 0), Request)
    server.daemon_threads = True
    taker = Request.taker = Taker(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield taker
    finally:
        taker.over.set()
        server.shutdown()
        thread.join()
        server.server_close()

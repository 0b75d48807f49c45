"""A server that answers as a test says, for what a real registry never does; and an image to serve."""

import contextlib
import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pyctr.image import manifest, platform
from pyctr.image.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from tests.images import Layer

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


class Scripted:
    """`answers` maps a path (without its query) to what is done; `requests` are (path, headers)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.methods: list[str] = []  # of the requests
        self.stalled = threading.Event()  # set when a stalling answer has sent what it sends
        self.resumed = threading.Event()  # set by the test: what pauses goes on
        self.over = threading.Event()  # set at the end of the test: what stalls waits for it

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return len([asked for asked, _ in self.requests if asked.partition("?")[0] == path])

    def headers(self, path: str) -> list[dict[str, str]]:
        """The headers of every request for a path, names in lower case."""
        return [headers for asked, headers in self.requests if asked.partition("?")[0] == path]


@contextlib.contextmanager
def serve() -> Iterator[Scripted]:
    """Runs the server in a thread."""

    class Answering(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            scripted.methods.append(self.command)
            scripted.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            scripted.answers.get(self.path.partition("?")[0], status(404))(self)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_args: object) -> None:
            """A client that goes away in the middle is what many tests are about."""

    server = Server(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    scripted = Scripted(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield scripted
    finally:
        scripted.over.set()
        scripted.resumed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def send(
    data: bytes, media_type: str = "application/octet-stream", code: int = 200, **headers: str
) -> Answer:
    """Answers with `data`; header names are written with _ for -."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        fields = {"Content_Type": media_type, "Content_Length": str(len(data)), **headers}
        for name, value in fields.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Answer:
    """Answers with a status and no body."""
    return send(b"", code=code, **headers)


def begin(handler: Handler, data: bytes, at: int = 0) -> None:
    """Announces all of `data` and sends `at` bytes of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:at])
    handler.wfile.flush()


def truncated(data: bytes, at: int) -> Answer:
    """Announces all of `data` and closes the connection after `at` bytes."""

    def answer(handler: Handler) -> None:
        begin(handler, data, at)
        handler.close_connection = True

    return answer


def ranged(data: bytes) -> Answer:
    """Answers with what a Range header asks for."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if not asked:
            return send(data)(handler)
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        part = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return send(data[start:], code=206, Content_Range=part)(handler)

    return answer


def silent(scripted: Scripted) -> Answer:
    """Sends nothing at all, until the test is over."""

    def answer(handler: Handler) -> None:
        scripted.over.wait()

    return answer


def stalling(scripted: Scripted, data: bytes, at: int = 0) -> Answer:
    """Sends `at` bytes and then nothing, until the test is over."""

    def answer(handler: Handler) -> None:
        begin(handler, data, at)
        scripted.stalled.set()
        scripted.over.wait()

    return answer


def pausing(scripted: Scripted, data: bytes, at: int = 0) -> Answer:
    """Sends `at` bytes, and the others when the test says so."""

    def answer(handler: Handler) -> None:
        begin(handler, data, at)
        scripted.stalled.set()
        scripted.resumed.wait()
        handler.wfile.write(data[at:])

    return answer


def trickling(scripted: Scripted, data: bytes) -> Answer:
    """Sends a byte now and then, which is enough to be no stall, until the test is over."""

    def answer(handler: Handler) -> None:
        begin(handler, data)
        for number in range(len(data)):
            if scripted.over.wait(0.05):
                return
            handler.wfile.write(data[number : number + 1])

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first request, and so on; the last one stays."""
    left = list(answers)

    def answer(handler: Handler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


class Sample:
    """An image of one layer in a repository `name` of a scripted server, and its documents to play with."""

    def __init__(self, scripted: Scripted, name: str = "sample", size: int = 1000) -> None:
        self._scripted = scripted
        self.path = f"/v2/{name}"
        self.reference = f"{scripted.address}/{name}:latest"
        tar = Layer().folder("etc").file("etc/data", bytes(range(256)) * size).tar()
        self.layer = gzip.compress(tar, 0, mtime=0)
        self.layer_digest = manifest.digest_of(self.layer)
        here = platform.host()
        self.config: dict[str, Any] = {
            "architecture": here.architecture,
            "os": here.os,
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [manifest.digest_of(tar)]},
        }
        self.manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST}
        self.publish()

    def publish(self) -> None:
        """(Re)serves all documents; `manifest` keeps what a test put into it."""
        config = json.dumps(self.config).encode()
        self.config_digest = manifest.digest_of(config)
        described = {"mediaType": DOCKER_CONFIG, "digest": self.config_digest, "size": len(config)}
        self.manifest["config"] = described
        layer = {"mediaType": f"{DOCKER_LAYER}.gzip", "digest": self.layer_digest, "size": len(self.layer)}
        self.manifest.setdefault("layers", [layer])
        self.answer(self.blob(self.config_digest), send(config))
        self.answer(self.blob(self.layer_digest), send(self.layer))
        self.serve_manifest()

    def serve_manifest(self, media_type: str = DOCKER_MANIFEST) -> bytes:
        """Serves the manifest by tag and digest; its bytes."""
        data = json.dumps(self.manifest).encode()
        digest = manifest.digest_of(data)
        for name in ("latest", digest):
            answer = send(data, media_type, Docker_Content_Digest=digest)
            self.answer(f"{self.path}/manifests/{name}", answer)
        return data

    def add_layer(self, tar: bytes) -> bytes:
        """One more layer on top, which a test still has to serve; its blob."""
        blob = gzip.compress(tar, 0, mtime=0)
        described = {
            "mediaType": f"{DOCKER_LAYER}.gzip",
            "digest": manifest.digest_of(blob),
            "size": len(blob),
        }
        self.manifest["layers"].append(described)
        self.config["rootfs"]["diff_ids"].append(manifest.digest_of(tar))
        self.publish()
        return blob

    def blob(self, digest: str) -> str:
        """The path of a blob."""
        return f"{self.path}/blobs/{digest}"

    def answer(self, path: str, answer: Answer) -> None:
        self._scripted.answers[path] = answer

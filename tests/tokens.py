"""Debian's docker-registry with a token server beside it, as the distribution project describes them.

Source: "Token Authentication Specification" and its "JWT" page. openssl signs, the registry checks.
"""

import base64
import contextlib
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator

from tests import registries
from tests.commands import scratch_folder

LOGIN = f"Basic {base64.b64encode(b'me:secret').decode()}"
ISSUER, SERVICE = "tests", "registry"


@contextlib.contextmanager
def serve() -> Iterator[tuple[str, list[list[str]]]]:
    """Yields host:port of the registry, and the scopes of every token that is asked for."""
    asked: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        certificate = _certificate(folder)
        with _token_server(folder, certificate, asked) as realm:
            section: registries.Section = {
                "realm": realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(certificate),
            }
            with registries.serve({"auth": {"token": section}}) as address:
                yield address, asked


def _certificate(folder: str) -> pathlib.Path:
    """A self-signed certificate; its key is `key` beside it."""
    path = pathlib.Path(folder, "certificate")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"]
    subprocess.run([*argv, "-out", path, "-keyout", f"{folder}/key"], check=True, capture_output=True)
    return path


@contextlib.contextmanager
def _token_server(folder: str, certificate: pathlib.Path, asked: list[list[str]]) -> Iterator[str]:
    class Giving(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            scopes = query.get("scope", [])
            asked.append(scopes)
            known = self.headers.get("Authorization") == LOGIN
            token = _token(folder, certificate, scopes) if known else ""
            data = json.dumps({"token": token}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Giving)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _token(folder: str, certificate: pathlib.Path, scopes: list[str]) -> str:
    """A signed token that allows these scopes."""
    lines = certificate.read_text().splitlines()
    header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
    now = int(time.time())
    times = {"iat": now, "nbf": now - 10, "exp": now + 60}
    claims = {"iss": ISSUER, "sub": "me", "aud": SERVICE, **times, "jti": "1", "access": _access(scopes)}
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    sign = ["openssl", "dgst", "-sha256", "-sign", f"{folder}/key"]
    signature = subprocess.run(sign, input=text.encode(), check=True, capture_output=True).stdout
    return f"{text}.{_encoded(signature)}"


def _access(scopes: list[str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        found.append({"type": kind, "name": name, "actions": actions.split(",")})
    return found


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

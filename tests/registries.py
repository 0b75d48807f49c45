"""Debian's docker-registry on a loopback port."""

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import IO

from tests.commands import remove_tree, scratch_folder

Section = dict[str, object]


@contextlib.contextmanager
def serve(extra: Mapping[str, Section] | None = None) -> Iterator[str]:
    """Runs a registry with an empty store, yields its host:port.

    `extra` adds to the sections of its configuration: {"http": {"tls": {...}}, "auth": {"htpasswd": {...}}}.
    The kernel chooses the port and the registry's log tells it: no race for a free one.
    """
    folder = tempfile.mkdtemp(prefix="ptr-", dir=scratch_folder())
    path = pathlib.Path(folder, "config.yml")
    path.write_text(json.dumps(_configuration(folder, extra or {})))  # JSON is YAML
    try:
        with subprocess.Popen(
            ["docker-registry", "serve", path], stderr=subprocess.PIPE, text=True
        ) as server:
            assert server.stderr
            try:
                address = _address(server.stderr)
                drain = threading.Thread(
                    target=server.stderr.read
                )  # a full log pipe would stop the registry
                drain.start()
                yield address
            finally:
                server.kill()
            drain.join()
    finally:
        remove_tree(folder)


@contextlib.contextmanager
def serve_with_password(extra: Mapping[str, Section] | None = None) -> Iterator[str]:
    """Like `serve`, for a registry that wants the user me with the password secret."""
    hashed = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"  # bcrypt of "secret"
    with tempfile.NamedTemporaryFile("w", dir=scratch_folder()) as passwords:
        passwords.write(f"me:{hashed}\n")
        passwords.flush()
        auth: Section = {"htpasswd": {"realm": "test", "path": passwords.name}}
        with serve({**(extra or {}), "auth": auth}) as address:
            yield address


def _configuration(folder: str, extra: Mapping[str, Section]) -> dict[str, object]:
    sections: dict[str, Section] = {
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": f"{folder}/data"}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0"},
    }
    for name, section in extra.items():
        sections[name] = {**sections.get(name, {}), **section}
    return {"version": "0.1", **sections}


def _address(log: IO[str]) -> str:
    seen = ""
    for line in log:
        seen += line
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
            return found[1]
    raise RuntimeError(f"docker-registry did not start:\n{seen}")

"""User names and passwords for registries, from the files that podman and docker keep them in.

Source: containers-auth.json(5): REGISTRY_AUTH_FILE, else $XDG_RUNTIME_DIR/containers/auth.json,
$XDG_CONFIG_HOME/containers/auth.json, ~/.docker/config.json; the entry with the longest matching name wins.
"""

import base64
import binascii
import os
from typing import Any

from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import records

DOCKER_HUB = ("docker.io", "index.docker.io", "https://index.docker.io/v1", "registry-1.docker.io")


class Credentials(Value):
    """How to log in. An `identity_token` is exchanged for access tokens; then the password is not used."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"  # never the secret, which would end up in tracebacks


class NoFile(PyctrError):
    """A file of credentials that was named does not exist."""


ANONYMOUS = Credentials()


def from_option(text: str) -> Credentials:
    """The value of --creds: user:password."""
    user, colon, password = text.partition(":")
    if not user or not colon:
        raise PyctrError("--creds needs user:password")
    return Credentials(user, password)


def find(domain: str, path: str, auth_file: str | None = None) -> Credentials:
    """The credentials for a repository, ANONYMOUS when none of the files has any.

    A file that was named (`auth_file`, REGISTRY_AUTH_FILE) must be readable; the usual places may lack it.
    """
    named = auth_file or os.environ.get("REGISTRY_AUTH_FILE")
    for file in [named] if named else usual_files():
        try:
            document = records.read_json(file)
        except FileNotFoundError:
            if named:
                raise NoFile(f"the credentials file {file} does not exist") from None
            continue
        found = _in_document(document, file, domain, path)
        if found != ANONYMOUS:
            return found
    return ANONYMOUS


def usual_files() -> list[str]:
    """Where credentials are looked for when no file is named; the first is podman's, the last docker's."""
    env = os.environ
    home = env.get("HOME") or "/"
    runtime = env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    config = env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    docker = env.get("DOCKER_CONFIG") or f"{home}/.docker"
    return [f"{runtime}/containers/auth.json", f"{config}/containers/auth.json", f"{docker}/config.json"]


def _in_document(document: Any, file: str, domain: str, path: str) -> Credentials:
    if type(document) is not dict:
        raise BrokenRecord(f"{file} is not a JSON object")
    helpers, auths = _object(document, "credHelpers"), _object(document, "auths")
    for name in _names(domain, path):
        if helper := helpers.get(name):
            return _from_helper(str(helper), name)
        for key, entry in auths.items():
            if key_of(key) == name and type(entry) is dict:
                found = _from_entry(entry, f"{file} ({key})")
                if found != ANONYMOUS:  # docker leaves an empty entry beside what its helper keeps
                    return found
    if type(store := document.get("credsStore")) is str and store:
        return _from_helper(store, server_of(domain))
    return ANONYMOUS


def server_of(domain: str) -> str:
    """What docker calls a registry, in its file and to its helpers."""
    return "https://index.docker.io/v1/" if domain == "docker.io" else domain


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if type(value) is dict else {}


def _names(domain: str, path: str) -> list[str]:
    """The repository and every name space above it, longest first."""
    parts = [domain, *path.split("/")]
    names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [*names, *DOCKER_HUB] if domain == "docker.io" else names


def key_of(text: str) -> str:
    """What a key of `auths` stands for. Keys were once URLs: https://host/v1/ stands for the host."""
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare.removesuffix("/v1").removesuffix("/v2") if bare != text else text


def _from_entry(entry: dict[str, Any], where: str) -> Credentials:
    token = entry.get("identitytoken") or ""
    if type(text := entry.get("auth", "")) is not str or type(token) is not str:
        raise PyctrError(f"{where}: the credentials are not text")
    if not text:
        return Credentials(identity_token=token)
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise PyctrError(f"{where}: the credentials are not base64", "Log in again.") from None
    return Credentials(user, password.rstrip("\0"), token)


def _from_helper(helper: str, server: str) -> Credentials:
    from pyctr.image import credentialhelpers

    return credentialhelpers.get(helper, server)

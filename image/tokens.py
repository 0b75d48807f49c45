"""Logging in to registries: what the challenge of a 401 asks for becomes an Authorization header.

Sources: RFC 7235 (challenges), the distribution project's "Token Authentication" and "OAuth2 token" pages.
"""

import base64
import json
import threading
import urllib.parse
from typing import Any

from pyctr.image.credentials import Credentials
from pyctr.image.transport import Transport, discard, failures, is_loopback, refused
from pyctr.rootless.errors import PyctrError

TOKEN_LIMIT = 1 << 20  # bytes of a token server's answer


class NoToken(PyctrError):
    """The token server refuses the credentials, or access to the repository."""


class Authorizer:
    """The Authorization header for one repository, renewed when it is no longer taken. Thread-safe."""

    def __init__(
        self, transport: Transport, path: str, credentials: Credentials, actions: str = "pull"
    ) -> None:
        self._transport = transport
        self._scope = f"repository:{path}:{actions}" if actions else ""
        self._credentials = credentials
        self._lock = threading.Lock()
        self._good: set[str] = set()
        self.header = ""

    def taken(self, used: str) -> None:
        """Hears of a request that was not refused with 401."""
        self._good.add(used)

    def has_expired(self, used: str) -> bool:
        """Whether a header that was refused now was taken once, or has been replaced by another thread."""
        return self.header != used or (bool(used) and used in self._good)

    def renew(self, challenges: list[str], used: str, url: str) -> bool:
        """Answers the challenges of a 401 to a request that carried `used`; False when nothing is left."""
        with self._lock:
            if self.header != used:
                return True  # another thread was faster
            for challenge in challenges:
                scheme, parameters = parse_challenge(challenge)
                made = self._bearer(parameters, url) if scheme == "bearer" else self._basic(scheme)
                if made and made != used:
                    self.header = made
                    return True
        return False

    def _basic(self, scheme: str) -> str:
        if scheme != "basic" or not self._credentials.user:
            return ""
        return _basic_header(self._credentials)

    def _bearer(self, parameters: dict[str, str], url: str) -> str:
        realm = parameters.get("realm", "")
        self._check_realm(realm, url)
        scopes = self._scopes(parameters.get("scope", ""))
        query = {"service": parameters.get("service", ""), "scope": " ".join(scopes)}
        if self._credentials.identity_token:
            return self._exchange(realm, query)
        headers = {"Authorization": _basic_header(self._credentials)} if self._credentials.user else {}
        separator = "&" if "?" in realm else "?"
        given = {"service": query["service"], "scope": scopes}
        where = urllib.parse.urlencode({name: value for name, value in given.items() if value}, doseq=True)
        return self._token(self._transport.get(f"{realm}{separator}{where}", headers), realm)

    def _scopes(self, asked: str) -> list[str]:
        """What a token is wanted for: what the registry asks for, and all that is still to be done there."""
        own = self._scope.rpartition(":")[0] + ":"
        found = [self._scope if self._scope and each.startswith(own) else each for each in asked.split()]
        return found or [self._scope] * bool(self._scope)

    def _exchange(self, realm: str, query: dict[str, str]) -> str:
        fields = {"grant_type": "refresh_token", "client_id": "pyctr", **query}
        fields["refresh_token"] = self._credentials.identity_token
        return self._token(self._transport.post(realm, fields), realm)

    def _check_realm(self, realm: str, url: str) -> None:
        """Passwords go to the realm that the registry names: encrypted, unless the registry is not."""
        try:
            parts = urllib.parse.urlsplit(realm)
        except ValueError:
            parts = urllib.parse.urlsplit("")
        plain = parts.scheme == "http" and (url.startswith("http:") or is_loopback(parts.netloc))
        if not parts.hostname or not (parts.scheme == "https" or plain):
            raise PyctrError(f"{url} wants the password sent to {realm!r}, which is not safe")

    def _token(self, answer: Any, realm: str) -> str:
        if answer.status in (400, 401, 403):
            discard(answer)
            raise NoToken(
                f"{realm} gives no token for {self._scope or 'this user'}: status {answer.status}",
                "The repository does not exist, or needs (other) credentials: pyctr login, or --creds.",
            )
        if answer.status != 200:
            raise refused(answer, realm)
        with failures(realm, insecure=self._transport.insecure):
            data = answer.read(TOKEN_LIMIT)
        answer.close()
        try:
            document = json.loads(data)
            token = document.get("token") or document["access_token"]
        except (ValueError, RecursionError, KeyError, AttributeError):
            raise PyctrError(f"{realm} did not answer with a token") from None
        if type(token) is not str or not token.isascii() or not token.isprintable():
            raise PyctrError(f"{realm} answered with a token that is none")
        return f"Bearer {token}"


def _basic_header(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def parse_challenge(text: str) -> tuple[str, dict[str, str]]:
    """Scheme and parameters of a WWW-Authenticate header: `Bearer realm="...",service="..."`."""
    scheme, _, rest = text.strip().partition(" ")
    parameters = {}
    while rest := rest.lstrip(" ,"):
        name, equals, rest = rest.partition("=")
        if not equals:
            break
        rest = rest.lstrip()
        value, rest = _quoted(rest) if rest.startswith('"') else _token_value(rest)
        parameters[name.strip().lower()] = value
    return scheme.lower(), parameters


def _quoted(text: str) -> tuple[str, str]:
    value = ""
    at = 1
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\" and at + 1 < len(text)
        value += text[at]
        at += 1
    return value, text[at + 1 :]


def _token_value(text: str) -> tuple[str, str]:
    value, _, rest = text.partition(",")
    return value.strip(), rest

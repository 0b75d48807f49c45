"""Requests to one registry in the name of one repository: which scheme it speaks, and its credentials.

Credentials go to the registry itself and to nobody else, wherever it points to: an upload that it sends to
another host goes there without them.
"""

import json
import urllib.parse

import urllib3

from pyctr.image import credentials, transport
from pyctr.image.reference import DEFAULT_DOMAIN, Reference
from pyctr.image.tokens import Authorizer
from pyctr.image.transport import Access, Body, Misunderstood, Transport, Unreachable
from pyctr.rootless.errors import NoSuchObject, PyctrError

_HOSTS = {DEFAULT_DOMAIN: "registry-1.docker.io"}
_REFUSALS = 3  # anonymous, then with a token, then with a new one
_TRIES = 30  # of which most with tokens that others have used up meanwhile


class Denied(PyctrError):
    """The registry wants other credentials, or none will do."""


class Absent(NoSuchObject):
    """The registry does not have a manifest or blob."""

    def __init__(self, doing: str, words: str) -> None:
        super().__init__("image", doing, "Check the name and the tag.")
        self.message = f"{doing}: the registry does not have it{words}"
        self.args = (self.message,)


class Session:
    """Answers of a registry, asked with the credentials of the user. Threads may share it."""

    def __init__(self, reference: Reference, access: Access, actions: str = "pull") -> None:
        self.path = reference.path
        self.transport = Transport(reference.domain, access)
        self._authorizer = _authorizer(self.transport, reference, access, actions)
        host = _HOSTS.get(reference.domain, reference.domain)
        self._bases = [f"{scheme}://{host}" for scheme in _schemes(reference.domain, self.transport)]

    def below(self, path: str) -> str:
        """The target of something in the repository: `manifests/latest`."""
        return f"/v2/{urllib.parse.quote(self.path)}/{path}"

    def ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: Body | None = None,
        patience: float = 0,
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        """The answer, whatever its status, its body unread; and the URL that gave it. Raises Unreachable.

        `target` is a path at the registry or a URL. `patience` is added to the seconds that the answer may
        take. A token that was good once has expired when it is refused: that is none of the refusals after
        which a new one is asked for no more.
        """
        refusals = 0
        for _ in range(_TRIES):
            used = self._authorizer.header if self._is_own(target) else ""
            sent = {**headers, "Authorization": used} if used else headers
            answer, url = self._from_any_base(method, target, sent, body, patience)
            if answer.status != 401 or not (self._is_own(target) and self._is_own(url)):
                self._authorizer.taken(used)
                break  # whoever the registry points to may not ask for the password (CVE-2020-15157)
            refusals += not self._authorizer.has_expired(used)
            if refusals == _REFUSALS:
                break
            challenges = answer.headers.getlist("WWW-Authenticate")
            if not self._authorizer.renew(challenges, used, url):
                break
            answer.close()
        return answer, url

    def _is_own(self, target: str) -> bool:
        """Whether a target is at the registry itself."""
        return target.startswith("/") or transport.origin(target) == transport.origin(self._bases[0])

    def _from_any_base(
        self, method: str, target: str, headers: dict[str, str], body: Body | None, patience: float
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        """The answer of the first scheme that the registry speaks; the others are then forgotten."""
        if not target.startswith("/"):
            return self.transport.send(method, target, headers, body, patience)
        problem: Unreachable | None = None
        for base in self._bases:
            last = base == self._bases[-1]
            try:
                answer, url = self.transport.send(method, base + target, headers, body, patience)
            except Unreachable as error:
                problem = problem or error
                if last or not isinstance(error, Misunderstood):
                    raise problem from None
                continue
            if answer.status == 400 and base.startswith("http:") and not last:
                answer.close()  # "client sent an HTTP request to an HTTPS server"
                continue
            self._bases = [base]
            return answer, url
        raise problem or Unreachable(f"{self.path}: the registry speaks neither http nor https")


def refusal(answer: urllib3.BaseHTTPResponse, url: str, doing: str) -> PyctrError:
    """The error for an answer that is no success; `doing` says what was asked: "reading blob ..."."""
    words = _error_words(answer)
    if answer.status == 404:
        return Absent(doing, words)
    if answer.status in (401, 403):
        hint = "Log in with pyctr login, --creds or --authfile; or the repository does not exist."
        return Denied(f"{doing}: access is denied{words}", hint)
    problem = transport.refused(answer, url)
    message = f"{doing}: {problem.message}{words}"
    return Unreachable(message, problem.hint, transient=problem.transient, delay=problem.delay)


def _error_words(answer: urllib3.BaseHTTPResponse) -> str:
    """What the registry says about an error, cut and without control characters: it goes to a terminal."""
    try:
        document = json.loads(answer.read(1 << 16))
        text = str(document["errors"][0]["message"])
    except (ValueError, RecursionError, LookupError, TypeError, urllib3.exceptions.HTTPError):
        return ""
    return f" ({''.join([letter for letter in text[:200] if letter.isprintable()])})"


def _schemes(domain: str, to: Transport) -> tuple[str, ...]:
    """Schemes to try in turn. On loopback http is more likely; elsewhere https is always asked first."""
    if not to.insecure:
        return ("https",)
    return ("http", "https") if transport.is_loopback(domain) else ("https", "http")


def _authorizer(to: Transport, reference: Reference, access: Access, actions: str) -> Authorizer:
    found = access.credentials
    if found is None:
        found = credentials.find(reference.domain, reference.path, access.auth_file or None)
    return Authorizer(to, reference.path, found, actions)

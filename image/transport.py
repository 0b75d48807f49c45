"""HTTP for registries: TLS rules, time limits, redirects, proxies and retries.

Every wait has a limit: `connect` for a connection, `stall` for each read of one. A redirect never takes the
Authorization header to another host, and never leads from https to http unless TLS is not verified anyway.
"""

import os
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError, TimeoutError

from pyctr import __version__
from pyctr.image.credentials import Credentials
from pyctr.image.reference import is_loopback_host
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

R = TypeVar("R")
Body = Callable[[], bytes | Iterable[bytes]]  # what is sent, from its beginning

urllib3.disable_warnings(
    urllib3.exceptions.InsecureRequestWarning
)  # whoever is asked not to verify knows it

REDIRECTS = 5
_REDIRECTING = (301, 302, 303, 307, 308)
_REPEATING = (307, 308)  # the method and its body stay
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_SHORT = 1 << 16  # bytes of an unwanted body that are read to keep the connection
_AGENT = {"User-Agent": f"pyctr/{__version__}"}
_LONGEST_DELAY = 60.0  # seconds, also of a Retry-After
_CERTIFICATE_FOLDERS = ("~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")


class Access(Value):
    """How a registry is reached.

    With `tls_verify` None TLS is wanted and verified, but on loopback http or any certificate will do.
    """

    tls_verify: bool | None = None
    cert_dir: str = ""
    credentials: Credentials | None = None  # of --creds; None looks into the files
    auth_file: str = ""
    retries: int = 3
    retry_delay: float = 1.0  # seconds before the first retry, doubled for each further one
    connect: float = 15.0  # seconds
    stall: float = 60.0  # seconds without a byte


class Unreachable(PyctrError):
    """A request that got no usable answer. `transient` ones may be tried again after `delay` seconds."""

    def __init__(
        self, message: str, hint: str | None = None, *, transient: bool = False, delay: float = 0
    ) -> None:
        super().__init__(message, hint)
        self.transient = transient
        self.delay = delay


class Misunderstood(Unreachable):
    """The connection broke: perhaps the other end speaks http where https was tried, or vice versa."""


def retrying(access: Access, action: Callable[[], R], moved: Callable[[], int] = lambda: 0) -> R:
    """The result of `action`, tried again after transient failures with growing delays.

    As long as `moved()` (bytes got so far) grows by a megabyte between failures, the tries are not counted.
    """
    tries, mark = 0, moved()
    while True:
        try:
            return action()
        except Unreachable as error:
            if moved() - mark >= 1 << 20:
                tries, mark = 0, moved()
            if not error.transient or tries >= access.retries:
                raise
            time.sleep(min(max(access.retry_delay * 2**tries, error.delay), _LONGEST_DELAY))
            tries += 1


def host_of(domain: str) -> str:
    """The host of host:port or [v6]:port."""
    return urllib.parse.urlsplit(f"//{domain}").hostname or ""


def is_loopback(domain: str) -> bool:
    """Whether a domain is this machine by its name: localhost, 127.0.0.0/8, ::1."""
    return is_loopback_host(host_of(domain))


class Transport:
    """Connections to one registry and to where it redirects. Threads may share it."""

    def __init__(self, domain: str, access: Access) -> None:
        self._access = access
        self.insecure = is_loopback(domain) if access.tls_verify is None else not access.tls_verify
        self._domain = domain
        self._pools: dict[tuple[bool, str], urllib3.PoolManager] = {}

    def get(self, url: str, headers: dict[str, str], method: str = "GET") -> urllib3.BaseHTTPResponse:
        """The answer to GET (or HEAD), whatever its status, its body unread; to be released. Unreachable."""
        return self.send(method, url, headers)[0]

    def post(self, url: str, fields: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to a POST of form fields, which no redirect leads elsewhere. Raises Unreachable."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **_AGENT}
        body = urllib.parse.urlencode(fields).encode()
        return self._once("POST", url, headers, lambda: body, 0)

    def send(
        self, method: str, url: str, headers: dict[str, str], body: Body | None = None, patience: float = 0
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        """The answer to any request, behind redirects, and the URL that gave it. Raises Unreachable.

        What changes something is sent again only where the registry says so without doubt (307, 308): then
        `body` is called anew. `patience` is added to the seconds without a byte.
        """
        headers = {**_AGENT, "Accept-Encoding": "identity", **headers}
        followed = _REDIRECTING if method in ("GET", "HEAD") else _REPEATING
        for _ in range(REDIRECTS + 1):
            answer = self._once(method, url, headers, body, patience)
            target = answer.headers.get("Location")
            if answer.status not in followed or not target:
                return answer, url
            discard(answer)
            with failures(url, insecure=self.insecure):
                following = self.following(url, target)
                headers = headers if origin(url) == origin(following) else without_credentials(headers)
            url = following
        raise Unreachable(f"{shown(url)}: more than {REDIRECTS} redirects")

    def following(self, url: str, target: str) -> str:
        """Where a Location header leads from `url`. Unreachable when that is no place to go."""
        following = urllib.parse.urljoin(url, target)
        scheme = urllib.parse.urlsplit(following).scheme
        if scheme not in ("http", "https"):
            raise Unreachable(f"{shown(url)} redirects to the unknown scheme {scheme!r}")
        if scheme == "http" and url.startswith("https:") and not self.insecure:
            raise Unreachable(f"{shown(url)} redirects to {shown(following)}, which is not encrypted")
        return following

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, patience: float
    ) -> urllib3.BaseHTTPResponse:
        stall = self._access.stall
        timeout = urllib3.Timeout(connect=stall if body else self._access.connect, read=stall + patience)
        with failures(url, insecure=self.insecure):
            return self._pool(url).request(
                method, url, headers=headers, body=body() if body else None, redirect=False, retries=False,
                preload_content=False, decode_content=False, timeout=timeout,
            )  # fmt: skip

    def _pool(self, url: str) -> urllib3.PoolManager:
        tls, proxy = url.startswith("https:"), _proxy_for(url)
        if (tls, proxy) not in self._pools:
            options: dict[str, Any] = {"maxsize": 8}
            if tls:  # 20 ms for the certificates
                options["ssl_context"] = _tls_context(self._domain, self._access, insecure=self.insecure)
            made = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            self._pools[tls, proxy] = made
        return self._pools[tls, proxy]


class failures:
    """A context manager that turns urllib3's errors into Unreachable, naming the URL."""

    def __init__(self, url: str, *, insecure: bool) -> None:
        self._url = url
        self._insecure = insecure

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (HTTPError, OSError, ValueError)):
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> Unreachable:
        where = shown(self._url)
        if isinstance(error, SSLError):
            hint = None if self._insecure else _TLS_HINT
            return Misunderstood(f"{where}: no TLS connection: {_reason(error)}", hint)
        if isinstance(error, NewConnectionError):  # also a TimeoutError for urllib3
            hint = "Check the name and the network."
            return Unreachable(f"{where}: cannot connect: {_reason(error)}", hint)
        if isinstance(error, TimeoutError):
            hint = "The registry or the network stalls."
            return Unreachable(f"{where}: no answer in time", hint, transient=True)
        if isinstance(error, ProtocolError):
            return Misunderstood(f"{where}: the connection broke: {_reason(error)}", transient=True)
        return Unreachable(f"{where}: {_reason(error)}")


_TLS_HINT = "If the registry has no valid certificate, put its CA into --cert-dir or use --tls-verify=false."


def chunks(answer: urllib3.BaseHTTPResponse, url: str, *, insecure: bool) -> Iterator[bytes]:
    """The body in pieces. Raises Unreachable when it breaks off or stalls."""
    while True:
        with failures(url, insecure=insecure):
            piece = answer.read1(1 << 18, decode_content=False)  # what is there: `read` would hold it back
        if not piece:
            return
        yield piece


def discard(answer: urllib3.BaseHTTPResponse) -> None:
    """Gives back an answer whose body nobody wants; urllib3's `drain_conn` would read an endless one."""
    if answer.length_remaining is not None and answer.length_remaining <= _SHORT:
        answer.drain_conn()
    else:
        answer.close()


def refused(answer: urllib3.BaseHTTPResponse, url: str) -> Unreachable:
    """The error for a status that nobody handles."""
    transient = answer.status in _TRANSIENT
    wait = answer.headers.get("Retry-After", "")
    text = f"{shown(url)}: status {answer.status} {answer.reason or ''}".rstrip()
    hint = "The registry limits how much may be pulled: wait, or log in." if answer.status == 429 else None
    return Unreachable(text, hint, transient=transient, delay=float(wait) if wait.isdecimal() else 0)


def shown(url: str) -> str:
    """A URL without what is secret: a query may carry signatures, the part before the host a password."""
    scheme, slashes, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


def without_credentials(headers: dict[str, str]) -> dict[str, str]:
    """What may be told to another host than the registry."""
    return {name: value for name, value in headers.items() if name != "Authorization"}


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: who gets what is sent."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _reason(error: Exception) -> str:
    """The innermost text of an error that wraps others."""
    inner: Any = error
    while isinstance(inner, Exception):
        text = getattr(inner, "strerror", None) or str(inner)
        inner = next((arg for arg in inner.args if isinstance(arg, Exception)), inner.__cause__)
    return text.rpartition(": ")[2] if isinstance(error, NewConnectionError) else text


def _proxy_for(url: str) -> str:
    """The proxy from the environment for a URL, empty for none. Loopback is reached directly."""
    parts = urllib.parse.urlsplit(url)
    if is_loopback(parts.netloc):
        return ""
    from urllib.request import getproxies_environment, proxy_bypass  # 10 ms

    if proxy_bypass(parts.netloc):
        return ""
    return getproxies_environment().get(parts.scheme, "")


def _tls_context(domain: str, access: Access, *, insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    usual = [f"{os.path.expanduser(folder)}/{domain}" for folder in _CERTIFICATE_FOLDERS]
    folders = [access.cert_dir] if access.cert_dir else usual
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            if access.cert_dir:
                raise PyctrError(f"the certificate folder {folder} does not exist") from None
            continue
        _load_certificates(context, folder, names)
    return context


def _load_certificates(context: ssl.SSLContext, folder: str, names: list[str]) -> None:
    """containers-certs.d(5): *.crt are CAs, *.cert with *.key client certificates."""
    for name in names:
        path = f"{folder}/{name}"
        try:
            if name.endswith(".crt"):
                context.load_verify_locations(path)
            elif name.endswith(".cert"):
                context.load_cert_chain(path, f"{path.removesuffix('.cert')}.key")
        except (ssl.SSLError, OSError) as error:
            raise PyctrError(f"the certificate {path} cannot be used: {error}") from None

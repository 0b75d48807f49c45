"""A glance at a registry on this machine: does it still have what is known of it?

For a pull or push with nothing to do, a client is most of the cost: urllib3 with all that it loads takes
35 ms. Over a network round trips take longer than that; on loopback a plain socket answers in one. So this
knows http, loopback and HEAD, no credentials and no redirects. Whatever else comes is no answer: the client
(`pyctr.image.session`), which begins on loopback just as this does, then asks again.

Source: RFC 9112 (HTTP/1.1).
"""

import _socket

from pyctr import __version__
from pyctr.image.reference import is_loopback_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Headers = dict[str, str]  # names in lower case

_SECONDS = 2  # of a connection or a read: what takes longer is nothing that is done at a glance
_LIMIT = 1 << 16  # bytes of all headers of an answer
_HTTP = 80


def fits(domain: str, tls_verify: bool | None) -> bool:
    """Whether the client would begin with http for a registry on this machine."""
    return tls_verify is not True and is_loopback_host(_address(domain)[0])


def _address(domain: str) -> tuple[str, int]:
    """Host and port of the domain of a reference: host:port or [v6]:port."""
    host, _, port = domain[1:].partition("]") if domain[:1] == "[" else domain.partition(":")
    port = port.lstrip(":")
    return host, int(port) if port.isdecimal() else _HTTP


class Glance:
    """HEAD requests for (path, accepted types), all sent at once by the constructor.

    Meanwhile there is time for other things; `answers` waits.
    """

    def __init__(self, domain: str, targets: "Sequence[tuple[str, str]]") -> None:
        self._count = len(targets)
        self._connection: _socket.socket | None = None
        try:
            self._connection = _connected(*_address(domain))
            self._connection.sendall("".join([_request(domain, *target) for target in targets]).encode())
        except OSError:
            self.close()

    def answers(self) -> "list[Headers]":
        """The headers of the answers; none at all when one of them is not a plain "200 OK"."""
        try:
            return _answers(self._connection, self._count) if self._connection else []
        except (OSError, ValueError):
            return []
        finally:
            self.close()

    def close(self) -> None:
        """Whoever does not want the answers calls this."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _connected(host: str, port: int) -> "_socket.socket":
    """A connection to the first address that takes one. OSError."""
    found = _socket.getaddrinfo(
        host.encode(), port, 0, _socket.SOCK_STREAM
    )  # text would load encodings.idna
    for family, kind, protocol, _, address in found:
        connection = _socket.socket(family, kind, protocol)
        connection.settimeout(_SECONDS)
        try:
            connection.connect(address)
            return connection
        except OSError:
            connection.close()
    raise ConnectionError(f"no connection to {host}:{port}")


def _request(domain: str, path: str, accept: str) -> str:
    """The grammar of references leaves no room for anything but a path in a path."""
    accepted = f"Accept: {accept}\r\n" if accept else ""
    agent = f"User-Agent: pyctr/{__version__}\r\nAccept-Encoding: identity\r\n"
    return f"HEAD {path} HTTP/1.1\r\nHost: {domain}\r\n{agent}{accepted}\r\n"


def _answers(connection: "_socket.socket", count: int) -> "list[Headers]":
    answers: list[Headers] = []
    data = b""
    while len(answers) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            answers.append(_headers(head.decode("latin-1")))
            data = rest
            continue
        piece = connection.recv(_LIMIT)
        data += piece
        if not piece or len(data) > _LIMIT:
            return []
    return answers


def _headers(head: str) -> "Headers":
    """The headers of one answer. ValueError for anything but a 200."""
    status, *lines = head.split("\r\n")
    version, _, rest = status.partition(" ")
    if version != "HTTP/1.1" or rest.partition(" ")[0] != "200":
        raise ValueError(status)
    pairs = [line.partition(":") for line in lines]
    return {name.lower(): value.strip() for name, _, value in pairs}

"""Names of images: parsing and normalising after the distribution grammar.

Sources: the "reference" grammar of the distribution project; containers-registries.conf(5) for short names.
On the path of `run`, so without `re`.
"""

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

DEFAULT_DOMAIN = "docker.io"
_DOCKER_DOMAINS = (DEFAULT_DOMAIN, "index.docker.io")
DEFAULT_TAG = "latest"
LOCAL_DOMAIN = "localhost"
NAME_LIMIT = 255  # characters of domain and path together
TAG_LIMIT = 128

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_LETTERS = _LOWER + _UPPER
_HEX = "0123456789abcdef"
_SEPARATORS = "._-"
_WORD = _LETTERS + _DIGITS + "_"
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class Reference(Value):
    """A parsed name; `domain` is empty for a short name."""

    path: str
    domain: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """domain/path, or the path alone of a short name."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    def completed(self) -> "Reference":
        """As names are kept: with the tag `latest` unless it has one, and without a tag beside a digest."""
        return self.replace(tag="" if self.digest else self.tag or DEFAULT_TAG)

    def in_domain(self, domain: str) -> "Reference":
        """The same name in another registry; docker.io puts single words into library/."""
        return self.replace(domain=domain, path=_docker_path(domain, self.path))


def parse(text: str) -> Reference:
    """The parts of `[domain/]path[:tag][@digest]`. Raises PyctrError that tells which part is wrong.

    The first word is a domain when it has a dot, a colon or a capital, or is `localhost`.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _invalid(text, f"{digest!r} is not a digest such as sha256:<64 hexadecimal digits>")
    name, tag = _split_tag(rest)
    if tag is not None and not is_tag(tag):
        raise _invalid(text, f"{tag!r} is not a tag (letters, digits, '_', '.', '-', at most {TAG_LIMIT})")
    domain, path = _split_domain(name)
    _check_name(text, domain, path)
    reference = Reference(path, domain, tag or "", digest)
    return reference.in_domain(DEFAULT_DOMAIN) if domain in _DOCKER_DOMAINS else reference


def normalize(text: str, domain: str = DEFAULT_DOMAIN) -> Reference:
    """The full name of `text` with a tag: short names go to `domain`."""
    reference = parse(text)
    return (reference if reference.domain else reference.in_domain(domain)).completed()


def candidates(reference: Reference) -> tuple[Reference, ...]:
    """The full names that a name may mean, best first: a short one is in localhost, else in docker.io."""
    full = reference.completed()
    if full.domain:
        return (full,)
    return (full.in_domain(LOCAL_DOMAIN), full.in_domain(DEFAULT_DOMAIN))


def is_digest(text: str) -> bool:
    """Whether `text` is algorithm:hex with the right length for a known algorithm."""
    algorithm, colon, value = text.partition(":")
    return bool(colon) and len(value) == _HEX_LENGTHS.get(algorithm, -1) and _only(value, _HEX)


def is_tag(text: str) -> bool:
    """Whether `text` is a tag: a word character, then word characters, dots and dashes."""
    return 0 < len(text) <= TAG_LIMIT and text[0] in _WORD and _only(text, _WORD + ".-")


def is_hex(text: str) -> bool:
    """Whether `text` is lower-case hexadecimal and not empty."""
    return bool(text) and _only(text, _HEX)


def is_loopback_host(host: str) -> bool:
    """Whether a host is this machine by its name: localhost, 127.0.0.0/8, ::1."""
    numeric = host.replace(".", "").isdigit() and host.count(".") == 3
    return host in ("localhost", "::1") or (numeric and host.startswith("127."))


def _split_tag(text: str) -> tuple[str, str | None]:
    """Name and tag: the last colon counts when no slash follows it (else it belongs to a port)."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and (first == LOCAL_DOMAIN or "." in first or ":" in first or first != first.lower()):
        return first, rest
    return "", name


def _check_name(text: str, domain: str, path: str) -> None:
    if not path:
        raise _invalid(text, "it has no name")
    if domain and not is_domain(domain):
        raise _invalid(text, f"{domain!r} is not a host name or address with an optional port")
    if path != path.lower():
        raise _invalid(text, "the name must be lower case")
    for component in path.split("/"):
        if not _is_path_component(component):
            allowed = "lower-case letters and digits, with . _ __ - between"
            raise _invalid(text, f"{component!r} is not a part of a name ({allowed})")
    if len(domain) + len(path) + bool(domain) > NAME_LIMIT:
        raise _invalid(text, f"the name is longer than {NAME_LIMIT} characters")
    if not domain and len(path) == 64 and _only(path, _HEX):
        raise _invalid(text, "64 hexadecimal digits are an image id, not a name")


def is_domain(text: str) -> bool:
    """Whether `text` is a host name or an address, perhaps with a port."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        return bool(bracket) and _is_ipv6(host) and (not port or (port[0] == ":" and _is_port(port[1:])))
    host, colon, port = text.partition(":")
    return all([_is_domain_component(part) for part in host.split(".")]) and (not colon or _is_port(port))


def is_path(text: str) -> bool:
    """Whether `text` is the name of a repository or of a name space, without its registry."""
    return all([_is_path_component(component) for component in text.split("/")])


def _is_port(text: str) -> bool:
    return bool(text) and _only(text, _DIGITS)


def _is_ipv6(text: str) -> bool:
    return ":" in text and _only(text, _DIGITS + "abcdefABCDEF:")


def _is_domain_component(text: str) -> bool:
    return bool(text) and _only(text, _LETTERS + _DIGITS + "-") and text[0] != "-" and text[-1] != "-"


def _is_path_component(text: str) -> bool:
    """Letters and digits with single separators between: `.`, `_`, `__` or any number of `-`."""
    gap = ""
    for letter in text:
        if letter in _SEPARATORS:
            gap += letter
        elif letter not in _LOWER + _DIGITS or (gap.strip("-") and gap not in (".", "_", "__")):
            return False
        else:
            gap = ""
    return bool(text) and text[0] not in _SEPARATORS and not gap


def _docker_path(domain: str, path: str) -> str:
    return f"library/{path}" if domain == DEFAULT_DOMAIN and "/" not in path else path


def _only(text: str, allowed: str) -> bool:
    return not text.strip(allowed)


def _invalid(text: str, reason: str) -> PyctrError:
    hint = "Names look like registry.example.com/name:tag."
    return PyctrError(f"invalid image name {text!r}: {reason}", hint)

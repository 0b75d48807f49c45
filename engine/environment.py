"""Environment variables of a container: files and words of the command line, proxies, who goes first.

podman-run(1), "Environment". Only words of the command line may take a value from the host; an entry of
an image without a value is dropped, else an image could read the caller's secrets.
"""

import os

from pyctr.engine.request import Environment
from pyctr.rootless.errors import PyctrError
from pyctr.storage import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")


def resolve(words: "Iterable[str]", host: "Mapping[str, str]") -> tuple[str, ...]:
    """NAME=value for each word of --env: `NAME` takes the host's value, `PREFIX*` all that match."""
    resolved: list[str] = []
    for word in words:
        name, equals, _ = word.partition("=")
        if not name or "\0" in word:
            raise PyctrError(f"invalid environment variable: {word!r}", "Write NAME=value or NAME.")
        if equals:
            resolved.append(word)
        elif name.endswith("*"):
            resolved += [f"{key}={value}" for key, value in host.items() if key.startswith(name[:-1])]
        elif name in host:
            resolved.append(f"{name}={host[name]}")
    return tuple(resolved)


def read_file(path: str, host: "Mapping[str, str]") -> tuple[str, ...]:
    """The variables of an --env-file: one a line, blank lines and lines that begin with # are left out."""
    words = []
    for line in read_lines(path, "env file"):
        name = line.partition("=")[0]
        if name.strip() != name or " " in name or "\t" in name:
            raise PyctrError(
                f"env file {path}: variable {name!r} contains white space",
                "Write NAME=value without blanks before =",
            )
        words.append(line)
    return resolve(words, host)


def read_lines(path: str, kind: str) -> list[str]:
    """The lines of a file of the user's that say something."""
    try:
        text = records.read_text(path)
    except OSError as error:
        raise PyctrError(f"cannot read {kind} {path}: {error.strerror}") from None
    lines = [line.lstrip().rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def proxies(host: "Mapping[str, str]") -> tuple[str, ...]:
    """The proxy settings of the caller, in both spellings."""
    names = [*PROXIES, *[name.upper() for name in PROXIES]]
    return tuple([f"{name}={host[name]}" for name in names if name in host])


def compose(asked: Environment, image: "Iterable[str]", *, tty: bool, hostname: str) -> tuple[str, ...]:
    """The variables of the container's process. HOME is left to the start, which knows the user."""
    defaults = {"PATH": DEFAULT_PATH, "container": "podman"}  # the name that images and systemd test for
    if tty:
        defaults["TERM"] = "xterm"
    variables = {} if asked.unset_all else {**defaults, **_split(asked.configured), **_split(image)}
    for name in asked.unset:
        variables.pop(name, None)
    for word in asked.merged:
        name, _, template = word.partition("=")
        variables[name] = expand(template, variables)
    variables.update(_split(asked.host))
    variables.update(_split(asked.given))
    if not asked.unset_all and "HOSTNAME" not in asked.unset:
        variables.setdefault("HOSTNAME", hostname)
    return tuple([f"{name}={value}" for name, value in variables.items()])


def _split(entries: "Iterable[str]") -> "dict[str, str]":
    """Entries without a value, or with a name that execve(2) cannot carry, are dropped."""
    split = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if equals and name and "\0" not in entry:
            split[name] = value
    return split


def expand(template: str, variables: "Mapping[str, str]") -> str:
    """`template` with $NAME and ${NAME} replaced; unknown names become empty."""
    parts = template.split("$")
    text = parts[0]
    for part in parts[1:]:
        name, rest = _leading_name(part)
        text += variables.get(name, "") + rest if name else "$" + rest
    return text


def _leading_name(text: str) -> tuple[str, str]:
    if text.startswith("{") and "}" in text:
        name, _, rest = text[1:].partition("}")
        return name, rest
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[:end], text[end:]


def host_variables() -> "Mapping[str, str]":
    """The caller's own variables."""
    return os.environ

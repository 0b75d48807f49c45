"""--change of import and commit: single instructions of a Dockerfile that alter an image config.

Sources: podman-import(1), --change; Dockerfile(5). Written `CMD sleep 5`, `CMD=sleep 5` or
`CMD ["sleep", "5"]`.
"""

import json
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from pyctr.rootless.errors import PyctrError

Settings = dict[str, Any]


def apply(settings: Settings, changes: Iterable[str]) -> Settings:
    """The `config` object of an image config after some instructions. Raises PyctrError for a wrong one."""
    changed = {**settings}
    for change in changes:
        word, argument = _split(change)
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise PyctrError(
                f"--change {change!r}: unknown instruction {word!r}",
                f"Known are {', '.join(_INSTRUCTIONS)}.",
            )
        if not argument:
            raise PyctrError(f"--change {change!r}: {word} needs an argument")
        try:
            instruction(changed, argument)
        except ValueError as error:
            raise PyctrError(f"--change {change!r}: {error}") from None
    return changed


def _split(change: str) -> tuple[str, str]:
    """The instruction and its argument, which a blank or an equals sign parts."""
    text = change.strip()
    at = next((at for at, letter in enumerate(text) if letter in " \t="), len(text))
    return text[:at], text[at + 1 :].strip()


def _command(field: str) -> Callable[[Settings, str], None]:
    def set_command(settings: Settings, text: str) -> None:
        settings[field] = _words(text)

    return set_command


def _words(text: str) -> list[str]:
    """A JSON list of words, or a line for the shell."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if type(words) is list and all([type(word) is str for word in words]):
            return words
    return ["/bin/sh", "-c", text]


def _text(field: str) -> Callable[[Settings, str], None]:
    def set_text(settings: Settings, text: str) -> None:
        settings[field] = text

    return set_text


def _env(settings: Settings, text: str) -> None:
    """`NAME=value NAME2="a b"`, or the older `NAME value with blanks`."""
    variables = {entry.partition("=")[0]: entry for entry in settings.get("Env", [])}
    for name, value in _pairs(text):
        variables[name] = f"{name}={value}"
    settings["Env"] = list(variables.values())


def _label(settings: Settings, text: str) -> None:
    settings["Labels"] = {**settings.get("Labels", {}), **dict(_pairs(text))}


def _pairs(text: str) -> list[tuple[str, str]]:
    words = shlex.split(text)
    if words and "=" not in words[0]:
        name, _, value = text.partition(" ")
        return [(name, value.strip())]
    pairs = [word.partition("=") for word in words]
    if not pairs or not all([name and equals for name, equals, _ in pairs]):
        raise ValueError("needs NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _expose(settings: Settings, text: str) -> None:
    ports: dict[str, object] = {}
    for word in text.split():
        number, _, protocol = word.partition("/")
        ends = number.split("-")
        if len(ends) > 2 or not all([end.isdigit() and 0 < int(end) < 65536 for end in ends]):
            raise ValueError(f"{word!r} is not a port")
        if protocol not in ("", "tcp", "udp", "sctp"):
            raise ValueError(f"{protocol!r} is not a protocol")
        for port in range(int(ends[0]), int(ends[-1]) + 1):
            ports[f"{port}/{protocol or 'tcp'}"] = {}
    settings["ExposedPorts"] = {**settings.get("ExposedPorts", {}), **ports}


def _volume(settings: Settings, text: str) -> None:
    words = _words(text) if text.startswith("[") else text.split()
    settings["Volumes"] = {**settings.get("Volumes", {}), **{word: {} for word in words}}


def _on_build(settings: Settings, text: str) -> None:
    settings["OnBuild"] = [*settings.get("OnBuild", []), text]


_INSTRUCTIONS: dict[str, Callable[[Settings, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _text("StopSignal"),
    "USER": _text("User"),
    "VOLUME": _volume,
    "WORKDIR": _text("WorkingDir"),
}

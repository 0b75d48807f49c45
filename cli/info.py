"""pyctr info"""

from pyctr.cli import format
from pyctr.cli.tables import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options

_SPECIAL = frozenset(" \t#&*!|>'\"%@`{}[],?:-")  # what a plain YAML scalar may not begin with


def info(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import information

    facts = information.info(options.store)
    if not options.format:
        print("\n".join(yaml_lines(facts)))
    elif format.is_json(options.format):
        print(format.json_text(facts, 2))
    else:
        print(format.with_newline(format.render(options.format, capitalized(facts))), end="")
    return 0


def capitalized(value: "Any") -> "Any":
    """Names in templates begin with upper case, as podman's: podman-info(1)."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: capitalized(item) for key, item in value.items()}
    return [capitalized(item) for item in value] if isinstance(value, list) else value


def yaml_lines(value: "Any", indent: str = "") -> "list[str]":
    """Dicts (sorted by name), lists and scalars as the lines of a YAML text."""
    lines = []
    if isinstance(value, dict):
        for key in sorted(value):
            lines += entry(f"{indent}{scalar(key)}:", value[key], indent)
        return lines
    for item in value:
        inner = (
            yaml_lines(item, indent + "  ") if isinstance(item, (dict, list)) and item else [scalar(item)]
        )
        lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
    return lines


def entry(head: str, value: "Any", indent: str) -> "list[str]":
    """One key with its value."""
    if isinstance(value, dict) and value:
        return [head, *yaml_lines(value, indent + "  ")]
    if isinstance(value, list) and value:
        return [head, *yaml_lines(value, indent)]
    if isinstance(value, str) and "\n" in value:
        return [f"{head} |-", *[f"{indent}  {line}" for line in value.split("\n")]]
    return [f"{head} {scalar(value)}"]


def scalar(value: "Any") -> str:
    """A scalar as YAML writes it; a text that could be read as something else in quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text_scalar(value)
    return (
        str(value) if value or isinstance(value, (int, float)) else "[]" if isinstance(value, list) else "{}"
    )


def text_scalar(text: str) -> str:
    ambiguous = text.lower() in ("", "null", "~", "true", "false", "yes", "no", "on", "off")
    looks_like_a_date = text[:1].isdigit() and ("-" in text or ":" in text)
    if ambiguous or looks_like_a_date or is_number(text):
        return f'"{text}"'
    if text[0] in _SPECIAL or ": " in text or " #" in text or text.endswith(":") or not text.isprintable():
        return "'" + text.replace("'", "''") + "'" if text.isprintable() else format.json_text(text)
    return text


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


COMMAND = Command(
    name="info",
    summary="Show facts about this machine and the store",
    handler=info,
    options=(Option(("--format", "-f"), "json, or a Go template", "text", "TEMPLATE"),),
    examples=("pyctr info", "pyctr info --format '{{.Store.GraphRoot}}'"),
)

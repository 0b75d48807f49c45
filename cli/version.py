"""pyctr version"""

from pyctr.cli import format
from pyctr.cli.tables import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options

LINES = (
    ("Version:", "Version"),
    ("API Version:", "APIVersion"),
    ("Python Version:", "PythonVersion"),
    ("OS/Arch:", "OsArch"),
)


def version(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import information

    known = information.version()
    if not options.format:
        print("\n".join(lines(known)))
    elif format.is_json(options.format):
        print(format.json_text({"Client": known}))
    else:
        shown = {"Client": known, "Server": known, **known}
        print(format.with_newline(format.render(options.format, shown)), end="")
    return 0


def lines(known: "dict[str, Any]") -> "list[str]":
    return [f"{'Client:':<16}pyctr", *[f"{heading:<16}{known[key]}" for heading, key in LINES]]


COMMAND = Command(
    name="version",
    summary="Show the version",
    description="The API version is that of podman whose commands and output pyctr follows.",
    handler=version,
    options=(Option(("--format", "-f"), "json, or a Go template", "text", "TEMPLATE"),),
    examples=("pyctr version", "pyctr version --format '{{.Client.Version}}'"),
)

"""Writes what the manual pages say about options, from the tables of the commands.

    PYTHONPATH=src python packaging/man.py [--check]

A page is docs/man/pyctr-<command>.1.md. Between the markers stands what is made here; all else is
written by hand. A page that is missing is begun. With --check nothing is written and the exit code is 1
when a page is out of date.
"""

import pathlib
import sys

from pyctr.cli import clickbridge, commands
from pyctr.cli.globals import GLOBAL
from pyctr.cli.tables import Command, Option

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "man"
BEGIN, END = "<!-- made by packaging/man.py: {} -->", "<!-- end -->"
EXIT_STATUS = {
    "": "0 when all went well, 125 when pyctr itself failed.",
    "run": """\
The exit code of the container's command, or

- **125**: pyctr itself failed,
- **126**: the command cannot be run,
- **127**: the command does not exist,
- **128 + n**: signal n ended the container.""",
    "rm": "0 when all were removed, 1 when one does not exist, 2 when one is in use, 125 otherwise.",
}
LIKE = {"exec": "run", "start": "run", "rmi": "rm"}


def page_of(name: str) -> pathlib.Path:
    """The file of a command's page; the empty name is pyctr itself."""
    return FOLDER / f"{'-'.join(['pyctr', *name.split()])}.1.md"


def documented() -> list[str]:
    """The names of the commands that a user sees and that there are; the empty one is pyctr itself."""
    names = [name for group in commands.HEADINGS.values() for name in group]
    return ["", *[name for name in names if commands.exists(name)]]


def table_of(name: str) -> Command:
    return commands.load(name) if name else GLOBAL


def shown(command: Command) -> list[Option]:
    return [option for option in command.options if not option.hidden and not option.unsupported]


def synopsis(command: Command) -> str:
    """**pyctr run** [*options*] *image* [*argument* ...]"""
    words = [f"**{'pyctr ' + command.name if command.name else 'pyctr'}**"]
    if shown(command):
        words.append("[*options*]")
    for argument in command.arguments:
        word = f"*{argument.metavar.lower()}*" + (" ..." if argument.maximum != 1 else "")
        words.append(word if argument.minimum else f"[{word}]")
    return " ".join(words)


def options_text(command: Command) -> str:
    """One paragraph for each option, by heading."""
    text = ""
    for heading, options in clickbridge.grouped(command):
        if command.headings:
            text += f"### {heading}\n\n"
        for option in options:
            text += f"#### {spelling(option)}\n\n{sentence(clickbridge.explanation(option))}\n\n"
    return text + "#### **--help**\n\nShow the options and leave.\n"


def spelling(option: Option) -> str:
    """**--env**, **-e** *NAME=VALUE*"""
    names = ", ".join([f"**{name}**" for name in option.names])
    value = f"*{option.metavar or ('NUMBER' if option.kind == 'int' else 'VALUE')}*"
    if option.kind == "flag":
        return names
    return f"{names}[={value}]" if option.kind == "optional" else f"{names} {value}"


def sentence(text: str) -> str:
    return text if text.endswith((".", ")")) else text + "."


def command_list() -> str:
    """The commands with their summaries, for the page of pyctr itself."""
    text = ""
    for heading, names in commands.HEADINGS.items():
        lines = [f"- **pyctr {name}**: {commands.COMMANDS[name][1]}." for name in names]
        text += f"### {heading}\n\n" + "\n".join(lines) + "\n\n"
    return text.rstrip() + "\n"


def new_page(command: Command) -> str:
    """The page that one begins with."""
    name = "-".join(["pyctr", *command.name.split()])
    examples = "".join([f"    $ {example}\n" for example in command.examples])
    parts = [
        f"% {name} 1\n\n## NAME\n\n{name} - {command.summary[:1].lower()}{command.summary[1:]}",
        f"## SYNOPSIS\n\n{BEGIN.format('synopsis')}\n{END}",
        f"## DESCRIPTION\n\n{command.description or command.summary + '.'}",
        f"## OPTIONS\n\n{BEGIN.format('options')}\n{END}",
    ]
    if not command.name:
        parts.append(f"## COMMANDS\n\n{BEGIN.format('commands')}\n{END}")
    if examples:
        parts.append(f"## EXAMPLES\n\n{examples.rstrip()}")
    parts.append(
        f"## EXIT STATUS\n\n{EXIT_STATUS.get(LIKE.get(command.name, command.name), EXIT_STATUS[''])}"
    )
    return "\n\n".join(parts) + "\n"


def fill(page: str, section: str, text: str) -> str:
    """The page with `text` between the markers of `section`."""
    before, marker, rest = page.partition(BEGIN.format(section) + "\n")
    return before + marker + "\n" + text + "\n" + END + rest.partition(END)[2] if marker else page


def current(command: Command) -> str:
    """The page as it should be."""
    path = page_of(command.name)
    page = path.read_text() if path.exists() else new_page(command)
    page = fill(page, "synopsis", synopsis(command) + "\n")
    page = fill(page, "commands", command_list())
    return fill(page, "options", options_text(command))


def main() -> int:
    stale = 0
    for name in documented():
        command = table_of(name)
        path, text = page_of(command.name), current(command)
        if path.exists() and path.read_text() == text:
            continue
        stale = 1
        if "--check" in sys.argv:
            print(f"{path} is out of date: run packaging/man.py", file=sys.stderr)
        else:
            path.write_text(text)
    return stale if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

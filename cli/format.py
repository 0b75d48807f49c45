r"""How commands print what they found: tables for people, and `--format` as podman has it.

    print_rows(rows, options.format, (("CONTAINER ID", "ID"), ("NAMES", "Names")), noheading=...)
        A list. `rows` are dicts: field -> text, number, bool, list or dict; columns are (heading, field).
        Without a template: a table of the columns. "json": all rows (or `json_rows`, where that differs).
        "table {{.ID}}\t{{.Names}}": a table with headings. Else the template once a row, a line each.
    print_values(values, options.format)
        What `inspect` shows: without a template (or "json") a JSON array, else the template once a value.
    render(template, value)    the text of one Go template for one value, as it may be shown
    json_text(value)           indented JSON
    table(lines)               aligned text of a list of lines, the cells of each a list of strings

Rows may hold more fields than the columns show: a template finds them by name. Shorten ids before
(podman's hold 12 digits unless --no-trunc). Cells of tables are made harmless here: control characters
are shown as escapes, so that a hostile label cannot drive the terminal. What a template makes is changed so
on a terminal only: elsewhere a program gets what was asked for, as from podman. JSON has its own escapes.
"""

import sys

from pyctr.rootless import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pyctr.cli.gotemplate import Template

    Columns = Sequence[tuple[str, str]]

NARROWEST = 12  # columns of a table, as podman's
GAP = 2


def print_rows(
    rows: "Sequence[dict[str, Any]]",
    template: "str | None",
    columns: "Columns",
    *,
    noheading: bool = False,
    json_rows: "Sequence[Any] | None" = None,
    headings: "dict[str, str] | None" = None,
) -> None:
    """Prints a list; see the top of this file. `headings` are those of fields that are no column by default.

    Raises PyctrError when the template is wrong or names a field that the rows do not have.
    """
    if template is not None and is_json(template):
        print(json_text(list(rows if json_rows is None else json_rows)))
    elif not template or template.strip() == "table":
        heading = [] if noheading else [[heading for heading, _ in columns]]
        print(table([*heading, *[[plain(row.get(key)) for _, key in columns] for row in rows]]), end="")
    elif is_table(template):
        named = {**{key: heading for heading, key in columns}, **(headings or {})}
        print(template_table(rows, template, named, noheading=noheading), end="")
    else:
        compiled = parse(template)
        print("".join([with_newline(shown(compiled.render(row))) for row in rows]), end="")


def print_values(values: "Sequence[Any]", template: "str | None") -> None:
    """Prints values as inspect does. Raises PyctrError when the template is wrong."""
    if not template or is_json(template):
        print(json_text(list(values)))
        return
    compiled = parse(template)
    print("".join([with_newline(shown(compiled.render(value))) for value in values]), end="")


def render(template: str, value: "Any") -> str:
    """The text of a template for one value, without a newline of its own, as it may be shown."""
    return shown(parse(template).render(value))


def shown(text: str) -> str:
    """The text as it may go to standard output: on a terminal without what drives it, but lines and tabs."""
    if text.isprintable() or not sys.stdout.isatty():
        return text
    return "".join([letter if letter in "\n\t" else harmless(letter) for letter in text])


def parse(template: str) -> "Template":
    """The template, in which `\\t` and `\\n` outside of braces are a tab and a newline."""
    from pyctr.cli.gotemplate import Template

    return Template(outside_braces(template, lambda text: text.replace("\\t", "\t").replace("\\n", "\n")))


def is_json(template: str) -> bool:
    """json, and `{{json .}}` in its spellings."""
    return "".join(template.split()) in ("json", "{{json.}}", "{{json}}")


def is_table(template: str) -> bool:
    return template.startswith(("table ", "table\t", "table\\t"))


def template_table(
    rows: "Sequence[dict[str, Any]]", template: str, headings: "dict[str, str]", *, noheading: bool
) -> str:
    """The table of a `table ...` template: blanks between its actions separate columns."""
    from pyctr.cli.gofunctions import Heading

    body = template.removeprefix("table").removeprefix("\\t").lstrip()
    compiled = parse(outside_braces(body, lambda text: text.replace("\\t", "\t").replace(" ", "\t")))
    lines = [compiled.render(row) for row in rows]
    if not noheading:
        heading = Heading()
        heading.names = headings
        lines.insert(0, compiled.render(heading))
    return table([[plain(cell) for cell in line.split("\t")] for line in lines])


def outside_braces(template: str, change: "Any") -> str:
    """The template with `change` made to the text that is not within {{ }}."""
    parts = template.split("{{")
    text: str = change(parts[0])
    for part in parts[1:]:
        action, braces, rest = part.partition("}}")
        text += "{{" + action + braces + change(rest)
    return text


def table(lines: "Iterable[Sequence[str]]") -> str:
    """Aligned columns: each as wide as its widest cell and two blanks, at least 12; the last as it is."""
    lines = list(lines)
    widths: list[int] = []
    for line in lines:
        for at, cell in enumerate(line[:-1]):
            if at == len(widths):
                widths.append(NARROWEST)
            widths[at] = max(widths[at], len(cell) + GAP)
    return "".join(
        [
            "".join([cell.ljust(widths[at]) for at, cell in enumerate(line[:-1])] + [line[-1], "\n"])
            for line in lines
        ]
    )


def plain(value: "Any") -> str:
    """A value as the cell of a table: lists with commas, control characters as escapes."""
    if isinstance(value, str):
        text = value
    elif value is None:
        text = ""
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (list, tuple)):
        text = ",".join([plain(item) for item in value])
    elif isinstance(value, dict):
        text = ",".join([f"{key}={value[key]}" for key in sorted(value)])
    else:
        text = str(value)
    return text if text.isascii() and text.isprintable() else harmless(text)


def harmless(text: str) -> str:
    r"""What a terminal acts on (controls, changes of direction, halves of pairs) as `\x1b`, `\u202e`."""
    return "".join([letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text])


def with_newline(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def json_text(value: "Any", indent: int = 4, inside: str = "") -> str:
    """Indented JSON, without the cost of the library."""
    deeper = inside + " " * indent
    if isinstance(value, dict) and value:
        items = [f"{json_text(str(key))}: {json_text(value[key], indent, deeper)}" for key in value]
        return "{\n" + ",\n".join([deeper + item for item in items]) + f"\n{inside}}}"
    if isinstance(value, (list, tuple)) and value:
        return (
            "[\n" + ",\n".join([deeper + json_text(item, indent, deeper) for item in value]) + f"\n{inside}]"
        )
    return printable(jsontext.dumps(value))


def printable(text: str) -> str:
    """A JSON string in which what a terminal acts on is escaped too, not only what JSON demands."""
    if text.isprintable():
        return text
    import json

    return "".join([letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text])

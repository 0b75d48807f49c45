"""click commands made from the tables, for help, errors and completion.

Loaded only when the reader fails, for help and for completion: click takes 30 ms.
"""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from pyctr.cli import commands, reader
from pyctr.cli.globals import ANYWHERE, GLOBAL
from pyctr.cli.tables import Argument, Command, Option

try:
    from click.parser import _OptionParser as OptionParser
except ImportError:  # click before 8.2
    from click.parser import OptionParser  # type: ignore[assignment,no-redef,unused-ignore]

WIDEST = 120  # columns of help text


class Word(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The value of one option or argument, converted as the reader converts it."""

    def __init__(self, table: Option | Argument) -> None:
        self.table = table
        self.name = table.metavar.lower() or "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or isinstance(self.table, Argument):
            return value
        try:
            return reader.convert(self.table, value)
        except reader.Unreadable:
            self.fail(expected(self.table), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        from pyctr.cli import completing

        choices = self.table.choices if isinstance(self.table, Option) else ()
        return completing.candidates(ctx, self.table.complete, incomplete, choices)


def expected(option: Option) -> str:
    """What the value of an option has to be, in words."""
    if option.choices:
        return "must be one of " + ", ".join(option.choices)
    return {"int": "must be a number", "flag": "must be true or false"}.get(option.kind, "cannot be used")


class TableOption(click.Option):
    """A click option made from a table's. Its default stays with the table."""

    def __init__(self, table: Option, *, hidden: bool = False) -> None:
        self.table = table
        super().__init__(
            [*table.names, reader.dest(table)],
            type=Word(table),
            multiple=table.kind == "list",
            help=table.help,
            metavar=table.metavar or None,
            hidden=hidden or table.hidden or table.unsupported,
        )
        self.is_flag = table.kind in ("flag", "optional")  # completion: no word follows it

    def add_to_parser(self, parser: OptionParser, ctx: click.Context) -> None:
        """Registers the option as one that takes a value always; PflagParser knows what a flag's is."""
        action = "append" if self.multiple else "store"
        parser.add_option(obj=self, opts=self.opts, dest=self.name, action=action)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Short names first, and the default when there is one to tell."""
        return None if self.hidden else (spelling(self.table), explanation(self.table))


def grouped(table: Command) -> list[tuple[str, list[Option]]]:
    """The options that help shows, under their headings."""
    groups: list[tuple[str, list[Option]]] = [("Options", [])]
    headings = dict(table.headings)
    for option in table.options:
        if option.names[0] in headings:
            groups.append((headings[option.names[0]], []))
        if not option.hidden and not option.unsupported:
            groups[-1][1].append(option)
    return [group for group in groups if group[1]]


def spelling(option: Option) -> str:
    """`-e, --env NAME=VALUE`, `    --tty`, `    --x[=WHEN]`"""
    short = [name for name in option.names if not name.startswith("--")]
    long = [name for name in option.names if name.startswith("--")]
    names = ", ".join(short + long)
    indent = "" if short else "    "
    if option.kind == "flag":
        return indent + names
    metavar = option.metavar or ("NUMBER" if option.kind == "int" else "VALUE")
    return f"{indent}{names}[={metavar}]" if option.kind == "optional" else f"{indent}{names} {metavar}"


def explanation(option: Option) -> str:
    """The help of an option, with its choices (unless its words name them) and its default."""
    parts = [option.help]
    if any([choice not in option.help for choice in option.choices]):
        parts.append(f"({', '.join(option.choices)})")
    default = option.default
    if default is not None and default is not False and default != "" and default != ():
        words = "true" if default is True else default
        parts.append(f"(default {' '.join(words) if isinstance(words, tuple) else words})")
    return " ".join([part for part in parts if part])


class PflagParser(OptionParser):
    """click's parser with pflag's rules: `--flag=false`, `-p=80`, optional values only after `=`."""

    def _match_long_opt(self, opt: str, explicit_value: str | None, state: Any) -> None:
        known = self._long_opt.get(opt)
        if known is None or not isinstance(known.obj, TableOption):
            return super()._match_long_opt(opt, explicit_value, state)
        text = explicit_value
        if text is None:
            text = reader.implied(known.obj.table) or self.following(opt, state)
        self.store(known, text, state)

    def _match_short_opt(self, arg: str, state: Any) -> None:
        rest = arg[1:]
        while rest:
            name, rest = "-" + rest[0], rest[1:]
            known = self._short_opt.get(name)
            if known is None:
                message = f"unknown shorthand flag: {name[1:]!r} in {arg}"
                raise click.NoSuchOption(name, message, ctx=self.ctx)
            if not isinstance(known.obj, TableOption):  # -h
                known.process(True, state)
                continue
            text = reader.implied(known.obj.table)
            if rest[:1] == "=" and len(rest) > 1:
                text, rest = rest[1:], ""
            elif not text:
                text, rest = rest or self.following(name, state), ""
            self.store(known, text, state)

    def store(self, known: Any, text: str, state: Any) -> None:
        """Keeps a value. Checked at once: click looks only at the last one of an option that is repeated."""
        known.obj.type.convert(text, known.obj, self.ctx)
        known.process(text, state)

    def following(self, name: str, state: Any) -> str:
        """The next word as the value of the option `name`."""
        if not state.rargs:
            raise click.BadOptionUsage(name, f"flag needs an argument: {name}", ctx=self.ctx)
        word: str = state.rargs.pop(0)
        return word


class TableCommand(click.Command):
    """A click command made from a table."""

    def __init__(self, table: Command, *, anywhere: tuple[Option, ...] = ANYWHERE) -> None:
        self.table = table
        known = {name for option in table.options for name in option.names}
        params: list[click.Parameter] = [TableOption(option) for option in table.options]
        params += [TableOption(option, hidden=True) for option in anywhere if not known & set(option.names)]
        params += [argument_of(argument, at) for at, argument in enumerate(table.arguments)]
        super().__init__(table.name, params=params, help=table.description or table.summary)
        self.context_settings = {
            "allow_interspersed_args": table.interspersed,
            "allow_extra_args": True,
            "help_option_names": ["--help"] if "-h" in known else ["--help", "-h"],
            "max_content_width": WIDEST,
        }

    def make_parser(self, ctx: click.Context) -> OptionParser:
        parser = PflagParser(ctx)
        for param in self.get_params(ctx):
            param.add_to_parser(parser, ctx)
        return parser

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options under the headings of the table, in its order."""
        help_option = self.get_help_option(ctx)
        record = help_option.get_help_record(ctx) if help_option else None
        last = [record] if record else []
        sections = grouped(self.table) or [("Options", [])]
        for heading, options in sections:
            rows = [(spelling(option), explanation(option)) for option in options]
            with formatter.section(heading):
                formatter.write_dl(rows + (last if options is sections[-1][1] else []))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.table.examples:
            with formatter.section("Examples"):
                for example in self.table.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", *[usage_of(argument) for argument in self.table.arguments]]


def argument_of(argument: Argument, at: int) -> click.Argument:
    """The click argument; how many words there must be is counted by `read`."""
    nargs = 1 if argument.maximum == 1 else -1
    return click.Argument([f"argument{at}"], nargs=nargs, required=False, type=Word(argument))


def usage_of(argument: Argument) -> str:
    """`IMAGE`, `[NAME]`, `CONTAINER...`, `[ARG...]`"""
    name = argument.metavar + ("..." if argument.maximum != 1 else "")
    return name if argument.minimum else f"[{name}]"


class TableGroup(click.Group):
    """`pyctr` itself, or one of its nouns; loads a command's module when it is asked for that command."""

    def __init__(self, noun: str = "") -> None:
        self.noun = noun
        table = GLOBAL if not noun else GLOBAL.replace(name=noun, options=(), summary=f"Manage {noun}s")
        inner = TableCommand(table, anywhere=())
        params = [param for param in inner.params if isinstance(param, TableOption)]
        super().__init__(noun or "pyctr", params=list(params), help=table.summary)
        self.table = table
        self.context_settings = {"help_option_names": ["--help", "-h"], "max_content_width": WIDEST}

    make_parser = TableCommand.make_parser

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(children(self.noun))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if not self.noun and name in commands.NOUNS:
            return TableGroup(name)
        found = commands.resolve([self.noun, name] if self.noun else [name])
        return TableCommand(commands.load(found[0])) if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by heading, from the table of names alone."""
        if self.noun:
            with formatter.section("Commands"):
                formatter.write_dl(sorted(children(self.noun).items()))
            return
        for heading, names in commands.HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, commands.COMMANDS[name][1]) for name in names])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        TableCommand.format_options(self, ctx, formatter)  # type: ignore[arg-type]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """The commands, without loading their modules, and the options."""
        found = [
            CompletionItem(name, help=summary)
            for name, summary in sorted(children(self.noun).items())
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def children(noun: str) -> dict[str, str]:
    """The words that may follow `noun` (empty: pyctr itself), with their summaries."""
    if not noun:
        shown = {name for names in commands.HEADINGS.values() for name in names if " " not in name}
        return {
            **{name: commands.COMMANDS[name][1] for name in shown},
            **{each: f"Manage {each}s" for each in commands.NOUNS},
        }
    verbs = {verb: commands.COMMANDS[verb][1] for verb in commands.VERBS.get(noun, ())}
    for name, (_, summary) in commands.COMMANDS.items():
        if name.startswith(noun + " ") and any(name in names for names in commands.HEADINGS.values()):
            verbs[name.partition(" ")[2]] = summary
    for alias, words in commands.ALIASES.items():
        if alias.startswith(noun + " "):
            verbs[alias.partition(" ")[2]] = commands.COMMANDS[words[0]][1]
    return verbs

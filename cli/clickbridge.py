"""click commands made from the tables: help, errors, completion, and what the reader could not read.

Loaded only when the reader fails, for help and for completion: click takes 30 ms.
"""

import difflib
import os
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from pyctr.cli import commands, reader
from pyctr.cli.globals import ANYWHERE, GLOBAL
from pyctr.cli.reader import Options
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

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
    """The help of an option, with its choices and its default."""
    parts = [option.help]
    if option.choices:
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
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                heading = param.table.group if isinstance(param, TableOption) else ""
                groups.setdefault(heading or "Options", []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

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


def read(table: Command, words: list[str]) -> tuple[Options, tuple[str, ...]]:
    """What click makes of the words. Prints the help and exits for --help. PyctrError if they are wrong."""
    command = TableCommand(table)
    program = f"pyctr {table.name}".rstrip()
    ctx = parse(command, words, program)
    given = [param for param in command.params if is_given(ctx, param)]
    named = {reader.dest(param.table) for param in given if isinstance(param, TableOption)}
    refuse_unsupported(table, given)
    values = {}
    for param in command.params:
        if isinstance(param, TableOption):
            dest = reader.dest(param.table)
            values[dest] = ctx.params[dest] if dest in named else reader.default(param.table)
    arguments = positional(ctx, command)
    check_count(table, program, len(arguments))
    return Options(values, named), arguments


def is_given(ctx: click.Context, param: click.Parameter) -> bool:
    return ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE


def refuse_unsupported(table: Command, given: list[click.Parameter]) -> None:
    for param in given:
        if isinstance(param, TableOption) and param.table.unsupported:
            raise reader.refusal(table, param.table.names[0])


def positional(ctx: click.Context, command: click.Command) -> tuple[str, ...]:
    """The positional words of all arguments in order."""
    words: list[str] = []
    for param in command.params:
        value = ctx.params.get(param.name or "")
        if isinstance(param, click.Argument) and is_given(ctx, param):
            words += value if isinstance(value, tuple) else [str(value)]
    return tuple(words + ctx.args)


def check_count(table: Command, program: str, count: int) -> None:
    """PyctrError in podman's words when there are too few or too many positional words."""
    least, most = reader.limits(table)
    if least <= count and not 0 <= most < count:
        return
    if not most:
        message = f"`{program}` takes no arguments"
    elif least == most:
        message = f"accepts {least} arg(s), received {count}"
    elif count < least:
        message = f"requires at least {least} arg(s), only received {count}"
    else:
        message = f"accepts at most {most} arg(s), received {count}"
    usage = " ".join([program, "[OPTIONS]", *[usage_of(argument) for argument in table.arguments]])
    raise PyctrError(message, f"Usage: {usage}\nSee '{program} --help'")


def parse(command: click.Command, words: list[str], program: str) -> click.Context:
    """A click context of parsed words. SystemExit after the help, PyctrError when the words are wrong."""
    try:
        return command.make_context(program, list(words))
    except click.exceptions.Exit as error:
        raise SystemExit(error.exit_code) from None
    except click.UsageError as error:
        raise PyctrError(wording(error), advice(error, command, program)) from None


def wording(error: click.UsageError) -> str:
    """A usage error in the words that podman's users (and scripts) know."""
    if isinstance(error, click.NoSuchOption):
        return error.message if "shorthand" in error.message else f"unknown flag: {error.option_name}"
    if isinstance(error, click.BadParameter) and isinstance(error.param, TableOption):
        return f"invalid argument for {', '.join(error.param.table.names)}: {error.message}"
    return error.message


def advice(error: click.UsageError, command: click.Command, program: str) -> str:
    """What to do about a usage error."""
    see = f"See '{program} --help'"
    if not isinstance(error, click.NoSuchOption):
        return see
    shown = [param.table for param in command.params if isinstance(param, TableOption) and not param.hidden]
    known = [name for option in shown for name in option.names]
    close = difflib.get_close_matches(error.option_name, known, 2) if len(error.option_name) > 2 else []
    return f"Did you mean {' or '.join(close)}?\n{see}" if close else see


def explain_global(words: list[str]) -> NoReturn:
    """Help of pyctr itself, or what is wrong with the words before the command."""
    parse(TableGroup(), words, "pyctr")
    raise PyctrError(f"pyctr cannot read its options: {' '.join(words)}", "See 'pyctr --help'")


def explain_noun(noun: str, words: list[str]) -> NoReturn:
    """Help of `pyctr container` and the like; an error when its verb is missing or unknown."""
    program = f"pyctr {noun}"
    if any(word in ("--help", "-h") for word in words):
        parse(TableGroup(noun), ["--help"], program)
    verbs = [word for word in words if not word.startswith("-")]
    if not verbs:
        raise PyctrError(f"missing command '{program} COMMAND'", f"See '{program} --help'")
    close = difflib.get_close_matches(verbs[0], children(noun), 3)
    raise PyctrError(f"unrecognized command `{program} {verbs[0]}`", suggestion(close, program))


def explain_unknown(words: list[str]) -> NoReturn:
    """The error for words that are no command."""
    name = words[0]
    if name in commands.NOUNS:
        explain_noun(name, words[1:])
    if name in commands.UNSUPPORTED:
        raise PyctrError(f"pyctr {name} is not supported yet", "See 'pyctr --help' for what is.")
    close = difflib.get_close_matches(name, [*commands.COMMANDS, *commands.NOUNS], 3)
    raise PyctrError(f"unrecognized command `pyctr {name}`", suggestion(close, "pyctr"))


def suggestion(close: list[str], program: str) -> str:
    """podman's form: the likely commands one a line."""
    lines = ["Did you mean this?", *[f"\t{name}" for name in close], ""] if close else []
    return "\n".join([*lines, f"Try '{program} --help' for more information"])


def complete(instruction: str) -> int:
    """Answers the shell's completion script: `instruction` is bash_complete, zsh_complete, fish_complete."""
    from pyctr.cli import completing

    return completing.answer(TableGroup(), instruction, os.environ)

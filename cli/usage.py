"""Command lines that the reader could not read: help, and errors in words that podman's users know.

click judges them; its commands are made by `cli/clickbridge.py` from the same tables.
"""

import difflib
import os
from typing import NoReturn

import click

from pyctr.cli import commands, reader
from pyctr.cli.clickbridge import TableCommand, TableGroup, TableOption, children, usage_of
from pyctr.cli.reader import Options
from pyctr.cli.tables import Command
from pyctr.rootless.errors import PyctrError


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
    if verbs[0] in commands.UNSUPPORTED:
        raise PyctrError(
            f"{program} {verbs[0]} is not supported yet", f"See '{program} --help' for what is."
        )
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

"""Reads a command line straight from its table, with the rules of pflag that podman follows.

`--name value`, `--name=value`, `-nvalue`, `-n value`, `-n=value`, clusters (`-it`), flags also as
`--flag=false`, `--` as the end of the options. What it cannot read (an unknown option, a bad value,
--help) raises Unreadable, and click says what is wrong: `cli/usage.py`.
"""

from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.tables import Command, Option

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")


class Unreadable(Exception):
    """The words do not fit the table; the message is for developers, click words it for the user."""


class Options:
    """The values of a command's options, one attribute each: `options.env`.

    An option that was not named has its table's default; without one it is False (flag), () (list) or None.
    `named` holds the `dest` of every option on the line. `store` is where this user's containers are.
    """

    named: "frozenset[str]"

    def __init__(self, values: "dict[str, Any]", named: "set[str] | frozenset[str]") -> None:
        self.__dict__.update(values)
        self.named = frozenset(named)

    def __getattr__(self, name: str) -> "Any":
        if name != "store":
            raise AttributeError(f"no option has the dest {name!r}")
        from pyctr.storage.paths import default_store

        given = self.__dict__.get
        self.store = default_store(
            given("root"), given("runroot"), given("storage_driver"), given("storage_opt", ())
        )
        return self.store


def with_values(options: Options, values: "dict[str, Any]") -> Options:
    """The same options with some values changed. (A method would be hidden by an option of its name.)"""
    return Options({**options.__dict__, **values}, options.named | set(values))


def dest(option: "Option") -> str:
    """The attribute that an option's value has."""
    return option.dest or option.names[0].lstrip("-").replace("-", "_")


def default(option: "Option") -> object:
    """The value of an option that is not on the command line."""
    if option.default is None:
        return False if option.kind == "flag" else () if option.kind == "list" else None
    return option.default


def convert(option: "Option", text: str) -> object:
    """The value of one word. Unreadable when it is none of the option's kind."""
    if option.unsupported:
        return None
    if option.kind == "flag":
        if text in TRUE:
            return True
        if text in FALSE:
            return False
    elif option.kind == "int":
        try:
            return int(text, 0)
        except ValueError:
            pass
    elif not option.choices or text in option.choices:
        return text
    raise Unreadable(f"{text!r} for {option.names[0]}")


class _Line:
    """One command line while it is read."""

    def __init__(self, options: "tuple[Option, ...]", words: "list[str]") -> None:
        self.by_name = {name: option for option in options for name in option.names}
        self.words = words
        self.at = 0
        self.values = {dest(option): default(option) for option in options}
        self.named: set[str] = set()
        self.refused = ""

    def set(self, option: "Option", text: str, name: str) -> None:
        value, key = convert(option, text), dest(option)
        if option.unsupported:
            self.refused = self.refused or name
        elif option.kind == "list":
            before = self.values[key] if key in self.named else ()
            value = (*before, value)  # type: ignore[misc]
        self.values[key] = value
        self.named.add(key)

    def option(self, name: str) -> "Option":
        option = self.by_name.get(name)
        if option is None:
            raise Unreadable(name)
        return option

    def next(self, name: str) -> str:
        """The next word, as the value of an option."""
        if self.at >= len(self.words):
            raise Unreadable(f"{name} without a value")
        self.at += 1
        return self.words[self.at - 1]

    def long(self, word: str) -> None:
        name, equals, text = word.partition("=")
        option = self.option(name)
        if not equals:
            text = implied(option) or self.next(name)
        self.set(option, text, name)

    def cluster(self, word: str) -> None:
        """-it, -p80:80, -p=80:80, -p 80:80"""
        at = 1
        while at < len(word):
            name = "-" + word[at]
            option, rest = self.option(name), word[at + 1 :]
            if rest[:1] == "=" and len(rest) > 1:
                return self.set(option, rest[1:], name)
            text = implied(option)
            if not text:
                return self.set(option, rest or self.next(name), name)
            self.set(option, text, name)
            at += 1


def implied(option: "Option") -> str:
    """The value that an option has when none follows it; empty when one must follow."""
    if option.kind == "flag":
        return "true"
    return option.implied if option.kind == "optional" else ""


def read(
    command: "Command", words: "list[str]", anywhere: "tuple[Option, ...]" = ()
) -> "tuple[Options, tuple[str, ...]]":
    """The options and the positional words of a command line; `anywhere` are more options.

    Raises Unreadable, and PyctrError for an option that pyctr knows but does not support.
    """
    line = _Line((*anywhere, *command.options), words)
    arguments: list[str] = []
    while line.at < len(words):
        word = line.next("")
        if word == "--":
            arguments += words[line.at :]
            break
        if word[:2] == "--":
            line.long(word)
        elif word[:1] == "-" and len(word) > 1:
            line.cluster(word)
        elif command.interspersed:
            arguments.append(word)
        else:
            arguments += words[line.at - 1 :]
            break
    if line.refused:
        raise refusal(command, line.refused)
    check_count(command, len(arguments))
    return Options(line.values, line.named), tuple(arguments)


def refusal(command: "Command", name: str) -> PyctrError:
    """The error for an option that podman has and pyctr does not."""
    program = f"pyctr {command.name}".rstrip()
    return PyctrError(f"{program}: {name} is not supported yet", f"See '{program} --help' for what is.")


def check_count(command: "Command", count: int) -> None:
    """Unreadable when there are too few or too many positional words."""
    least, most = limits(command)
    if count < least or 0 <= most < count:
        raise Unreadable(f"{count} arguments")


def limits(command: "Command") -> "tuple[int, int]":
    """The least and the greatest number of positional words; -1 is any number."""
    most = [argument.maximum for argument in command.arguments]
    return sum([argument.minimum for argument in command.arguments]), -1 if -1 in most else sum(most)

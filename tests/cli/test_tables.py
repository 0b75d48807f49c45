"""The tables of all commands hold together."""

import re
from collections import Counter

import pytest

from pyctr.cli import commands, reader

NAMES = [name for name in commands.COMMANDS if commands.exists(name)]
KINDS = ("flag", "text", "int", "list", "optional")
every_command = pytest.mark.parametrize("name", NAMES)


@every_command
def test_names_are_used_once(name: str) -> None:
    options = commands.load(name).options
    names = Counter(each for option in options for each in option.names)
    dests = Counter(reader.dest(option) for option in options)
    assert [each for each, count in (names + dests).items() if count > 1] == []


@every_command
def test_names_and_kinds_are_well_formed(name: str) -> None:
    for option in commands.load(name).options:
        assert option.kind in KINDS, option.names
        assert option.names[0].startswith("--"), option.names
        assert all(re.fullmatch(r"--[a-z0-9][\w-]+|-\w", each) for each in option.names), option.names
        assert reader.dest(option).isidentifier(), option.names
        assert option.kind != "optional" or option.implied, option.names


@every_command
def test_defaults_have_the_type_of_their_kind(name: str) -> None:
    types = {"flag": bool, "text": str, "int": int, "list": tuple, "optional": str}
    for option in commands.load(name).options:
        assert option.default is None or isinstance(option.default, types[option.kind]), option.names


@every_command
def test_a_table_agrees_with_the_list_of_commands(name: str) -> None:
    command = commands.load(name)
    assert (command.name, command.summary) == (name, commands.COMMANDS[name][1])
    assert callable(command.handler)


def test_every_heading_and_alias_leads_to_a_command() -> None:
    headed = [name for names in commands.HEADINGS.values() for name in names]
    assert len(headed) == len(set(headed))
    assert set(headed) <= set(commands.COMMANDS)
    assert {words[0] for words in commands.ALIASES.values()} <= set(commands.COMMANDS)
    assert {verb for verbs in commands.VERBS.values() for verb in verbs} <= set(commands.COMMANDS)
    assert not commands.UNSUPPORTED & set(commands.COMMANDS)

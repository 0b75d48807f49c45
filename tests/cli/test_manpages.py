"""Every command has a page, and the page tells the options that --help shows."""

import re

import pytest

from pyctr.cli import clickbridge
from pyctr.cli.tables import Command
from tests.commands import CHECKOUT, load_script

man = load_script(CHECKOUT / "packaging" / "man.py")
NAMES: list[str] = man.documented()
every_command = pytest.mark.parametrize("name", NAMES, ids=[name or "pyctr" for name in NAMES])


def names_in_help(command: Command) -> set[str]:
    """The long options that `--help` lists."""
    made = clickbridge.TableCommand(command) if command.name else clickbridge.TableGroup()
    context = made.make_context("pyctr", [], resilient_parsing=True)
    return set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", made.get_help(context), re.MULTILINE))


@every_command
def test_the_page_tells_every_option(name: str) -> None:
    command = man.table_of(name)
    page = man.page_of(command.name).read_text()
    told = {
        name
        for line in re.findall(r"^#### (.*)$", page, re.MULTILINE)
        for name in re.findall(r"--[\w-]+", line)
    }
    assert names_in_help(command) <= told
    assert page == man.current(command), "run packaging/man.py"


@every_command
def test_the_page_is_whole(name: str) -> None:
    page = man.page_of(name).read_text()
    sections = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert sections[:4] == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    assert sections[-1] == "EXIT STATUS"


@every_command
def test_every_option_has_words(name: str) -> None:
    for option in man.shown(man.table_of(name)):
        assert option.help, option.names

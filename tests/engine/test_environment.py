"""Environment variables: words, files, precedence."""

import pathlib

import pytest

from pyctr.engine import environment
from pyctr.engine.environment import DEFAULT_PATH
from pyctr.engine.request import Environment
from pyctr.rootless.errors import PyctrError

HOST = {"HOME": "/home/u", "LC_ALL": "C", "LC_TIME": "de", "EMPTY": ""}


@pytest.mark.parametrize(
    ("words", "resolved"),
    [
        (["A=1"], ["A=1"]),
        (["A="], ["A="]),
        (["A=b=c"], ["A=b=c"]),
        (["HOME"], ["HOME=/home/u"]),
        (["EMPTY"], ["EMPTY="]),
        (["ABSENT"], []),
        (["LC_*"], ["LC_ALL=C", "LC_TIME=de"]),
        (["LC_*=x"], ["LC_*=x"]),
        (["A=1", "A=2"], ["A=1", "A=2"]),
        (["A=a\nb"], ["A=a\nb"]),
    ],
)
def test_words_of_the_command_line(words: list[str], resolved: list[str]) -> None:
    assert environment.resolve(words, HOST) == tuple(resolved)


@pytest.mark.parametrize("word", ["", "=", "=3", "A\0=1"])
def test_words_without_a_name_are_refused(word: str) -> None:
    with pytest.raises(PyctrError, match="invalid environment variable"):
        environment.resolve([word], HOST)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("", []),
        ("A=1\n\n# B=2\nC=3", ["A=1", "C=3"]),
        ("A=1\r\nB=2\r\n", ["A=1", "B=2"]),
        ("  A= x y \n", ["A= x y "]),
        ('A="quoted"', ['A="quoted"']),
        ("HOME\nABSENT\n", ["HOME=/home/u"]),
        ("\ufeffA=1", ["A=1"]),
        ("A=ü#1", ["A=ü#1"]),
    ],
)
def test_env_files(tmp_path: pathlib.Path, text: str, resolved: list[str]) -> None:
    (tmp_path / "env").write_text(text, newline="")
    assert environment.read_file(str(tmp_path / "env"), HOST) == tuple(resolved)


@pytest.mark.parametrize("text", ["A B=1", "A =1", "=1", "A\t=1"])
def test_env_files_with_broken_names_are_refused(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "env").write_text(text)
    with pytest.raises(PyctrError):
        environment.read_file(str(tmp_path / "env"), HOST)


def test_an_absent_env_file_is_named() -> None:
    with pytest.raises(PyctrError, match="cannot read env file /absent: No such file"):
        environment.read_file("/absent", HOST)


DEFAULTS = [f"PATH={DEFAULT_PATH}", "container=podman", "HOSTNAME=h"]


@pytest.mark.parametrize(
    ("asked", "image", "composed"),
    [
        (Environment(), [], DEFAULTS),
        (Environment(), ["PATH=/bin"], ["PATH=/bin", "container=podman", "HOSTNAME=h"]),
        (Environment(), ["HOSTNAME=i"], [*DEFAULTS[:2], "HOSTNAME=i"]),
        (Environment(host=("A=h",)), ["A=i"], [*DEFAULTS[:2], "A=h", "HOSTNAME=h"]),
        (Environment(host=("A=h",), given=("A=g", "A=l")), ["A=i"], [*DEFAULTS[:2], "A=l", "HOSTNAME=h"]),
        (Environment(configured=("A=c",)), ["A=i"], [*DEFAULTS[:2], "A=i", "HOSTNAME=h"]),
        (Environment(unset=("PATH", "container", "HOSTNAME")), ["A=1"], ["A=1"]),
        (Environment(unset_all=True, given=("A=1",)), ["B=2"], ["A=1"]),
        (Environment(unset=("A",), given=("A=1",)), ["A=i"], [*DEFAULTS[:2], "A=1", "HOSTNAME=h"]),
        (Environment(merged=("A=${A}-x",)), ["A=i"], [*DEFAULTS[:2], "A=i-x", "HOSTNAME=h"]),
    ],
)
def test_precedence(asked: Environment, image: list[str], composed: list[str]) -> None:
    assert environment.compose(asked, image, tty=False, hostname="h") == tuple(composed)


def test_a_terminal_has_a_type() -> None:
    assert "TERM=xterm" in environment.compose(Environment(), [], tty=True, hostname="h")
    assert "TERM=vt100" in environment.compose(Environment(), ["TERM=vt100"], tty=True, hostname="h")


@pytest.mark.parametrize("entry", ["HOME", "PATH", "AWS_SECRET_ACCESS_KEY", "*", "LC_*", "=x", ""])
def test_an_image_cannot_ask_for_variables_of_the_host(entry: str) -> None:
    composed = environment.compose(Environment(), [entry], tty=False, hostname="h")
    assert list(composed) == DEFAULTS


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}", "1"),
        ("x$A-y", "x1-y"),
        ("${A}${B}$C", "12"),
        ("$", "$"),
        ("${A", "${A"),
        ("a$ b", "a$ b"),
    ],
)
def test_merged_values_refer_to_other_variables(template: str, text: str) -> None:
    assert environment.expand(template, {"A": "1", "B": "2"}) == text


def test_proxies_of_both_spellings_are_passed_on() -> None:
    host = {"http_proxy": "a", "NO_PROXY": "b", "proxy": "c"}
    assert environment.proxies(host) == ("http_proxy=a", "NO_PROXY=b")

"""The program from outside: global options, unknown commands, failures and exit codes."""

import subprocess

import pytest

from pyctr import __version__
from pyctr.cli import failure
from pyctr.rootless.errors import NoSuchObject, PyctrError
from tests.commands import Cli

WRONG = [  # words, message, what the hint says
    (["frobnicate"], "unrecognized command `pyctr frobnicate`", "Try 'pyctr --help'"),
    (["stpo"], "unrecognized command `pyctr stpo`", "Did you mean this?\n\tstop"),
    (["container"], "missing command 'pyctr container COMMAND'", "pyctr container --help"),
    (["container", "stpo"], "unrecognized command `pyctr container stpo`", "stop"),
    (["container", "rename"], "pyctr container rename is not supported yet", "pyctr container --help"),
    (["--frobnicate", "ps"], "unknown flag: --frobnicate", "pyctr --help"),
    (["--log-level", "loud", "ps"], "must be one of debug, info", "pyctr --help"),
    (["--remote", "ps"], "--remote is not supported yet", "pyctr --help"),
    (["completion"], "accepts 1 arg(s), received 0", "pyctr completion --help"),
    (["completion", "--frobnicate"], "unknown flag: --frobnicate", "pyctr completion --help"),
    (["completion", "tcsh"], "there is no completion for tcsh", "bash"),
    (["artifact"], "pyctr artifact is not supported yet", "pyctr --help"),
]


@pytest.mark.parametrize(("words", "message", "hint"), WRONG)
def test_wrong_words_exit_with_125(cli: Cli, words: list[str], message: str, hint: str) -> None:
    done = cli(*words, check=False)
    assert done.returncode == 125
    assert done.stdout == ""
    first, _, rest = done.stderr.partition("\n")
    assert first.startswith("Error: ") and message in first
    assert hint in rest


def test_version(cli: Cli) -> None:
    for word in ("--version", "-v"):
        assert cli(word).stdout == f"pyctr version {__version__}\n"


def test_help_lists_commands_by_kind(cli: Cli) -> None:
    for words in (["--help"], ["-h"], ["help"], []):
        text = cli(*words).stdout
        assert (
            text.index("Containers:") < text.index("  run ") < text.index("Images:") < text.index("System:")
        )
        assert "--remote" not in text


def test_help_of_one_command(cli: Cli) -> None:
    for words in (["completion", "--help"], ["help", "completion"], ["completion", "-h"]):
        text = cli(*words).stdout
        assert "Usage: pyctr completion [OPTIONS] SHELL" in text
        assert "  -f, --file FILE" in text
        assert "--no-desc" not in text


def test_help_of_a_noun(cli: Cli) -> None:
    text = cli("container", "--help").stdout
    assert "  stop " in text and "  ls " in text


def test_a_full_disk_under_the_output_is_told(cli: Cli) -> None:
    with open("/dev/full", "w") as full:
        done = cli("completion", "zsh", check=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 125
    assert done.stderr.startswith("Error: ") and "No space left on device" in done.stderr


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    script = '"$@" | true; echo ${PIPESTATUS[0]}'
    argv = ["bash", "-c", script, "bash", *cli.argv("completion", "zsh")]
    done = subprocess.run(argv, env=cli.environment(), capture_output=True, text=True)
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_closed_standard_streams(cli: Cli) -> None:
    argv = cli.argv("--version")
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *argv], env=cli.environment())
    assert done.returncode == 0


FAILURES = [
    (PyctrError("cannot", "do this"), 125, "Error: cannot\ndo this\n"),
    (PyctrError("cannot", exit_code=126), 126, "Error: cannot\n"),
    (PyctrError("a \x1b[31m\tb\x9b", "c"), 125, "Error: a \\x1b[31m\tb\\x9b\nc\n"),
    (NoSuchObject("image", "x"), 125, "Error: no such image: x\n"),
    (OSError(28, "No space left on device", "/x/y"), 125, "Error: /x/y: No space left on device\nMake room"),
    (OSError(30, "Read-only file system", "/x"), 125, "Error: /x: Read-only file system\nThe file system"),
    (OSError(2, "No such file or directory", "/a", None, "/b"), 125, "Error: /a -> /b: No such file"),
    (OSError("a message alone"), 125, "Error: a message alone\n"),
    (MemoryError(), 125, "Error: not enough memory\n"),
    (KeyError("x"), 125, "Error: pyctr failed unexpectedly: KeyError: 'x'\nThis is a defect"),
    (KeyboardInterrupt(), 130, ""),
]


@pytest.mark.parametrize(("error", "code", "text"), FAILURES)
def test_failures(error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure.report(error) == code
    shown = capsys.readouterr().err
    assert shown.startswith(text) if text else shown == ""


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        failure.report(error, debug=True)
    assert "test_debug_shows_where" in capsys.readouterr().err

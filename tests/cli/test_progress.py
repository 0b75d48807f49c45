"""How transfers are told: nothing from an image drives the terminal, and no lost reader ends a pull."""

import pathlib
import subprocess
import sys

import pytest

from pyctr.cli import progress
from tests.commands import Cli

EVIL = "\x1b]0;owned\x07arm\x1b[31m"


@pytest.mark.parametrize("how", ["line", "warn"])
def test_no_escape_reaches_the_terminal(capsys: pytest.CaptureFixture[str], how: str) -> None:
    getattr(progress.Lines(), how)(f"image platform (linux/{EVIL})")
    shown = capsys.readouterr().err
    assert shown.endswith("\n") and shown.removesuffix("\n").isprintable() and "\\x1b]0;owned" in shown


def test_a_stream_that_is_gone_is_no_failure(cli: Cli, busybox_archive: pathlib.Path) -> None:
    with open("/dev/full", "w") as full:
        words = ("load", "-i", busybox_archive)
        assert cli.start(*words, stdout=subprocess.DEVNULL, stderr=full).wait(60) == 0
    assert cli("image", "exists", "localhost/busybox").returncode == 0


def test_a_stream_that_was_closed_at_the_start_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    progress.choose(quiet=False).line("x")
    assert capsys.readouterr().out == ""

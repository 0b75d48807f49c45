"""How transfers are told: nothing from an image drives the terminal, and no lost reader ends a pull."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyctr.cli import progress
from tests.commands import Cli
from tests.image.servers import Answer, Handler, Sample, Scripted, serve
from tests.runtime.terminals import terminal

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


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with serve() as server:
        yield server


@pytest.fixture
def sample(scripted: Scripted) -> Sample:
    """An image of 5 MB, from a slow registry."""
    made = Sample(scripted, size=20_000)
    made.answer(made.blob(made.layer_digest), slow(scripted, made.layer))
    return made


def slow(scripted: Scripted, data: bytes) -> Answer:
    """Takes a second, unless the test says that it is enough."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        step = len(data) // 8
        for at in range(0, len(data), step):
            handler.wfile.write(data[at : at + step])
            scripted.resumed.wait(0.12)

    return answer


def test_a_terminal_shows_bytes_and_rate_of_loading_and_unpacking(cli: Cli, sample: Sample) -> None:
    short = sample.layer_digest.partition(":")[2][:12]
    with terminal(columns=120) as term:
        term.run(cli, "pull", "--tls-verify=false", sample.reference)
        term.read(f"Copying blob {short}")
        loading = term.read(f"Copying blob {short} done")
        unpacking = term.read(f"Unpacked blob {short}") + term.read("Writing manifest")
        term.read(sample.config_digest.partition(":")[2])
        assert term.end() == 0
    rate = r"[0-9.]+ [kM]?B/s"
    assert re.search(r"[1-4]\.\d/5\.1 MB", loading) and re.search(rate, loading)
    assert "5.1/5.1 MB" in unpacking and re.search(rate, unpacking)


def test_quiet_prints_the_id_only_on_a_terminal_too(cli: Cli, scripted: Scripted, sample: Sample) -> None:
    scripted.resumed.set()
    identifier = sample.config_digest.partition(":")[2]
    with terminal() as term:
        term.run(cli, "pull", "-q", "--tls-verify=false", sample.reference)
        assert term.read("\r\n") == f"{identifier}\r\n"
        assert term.end() == 0 and term.seen == ""


def test_no_terminal_gets_plain_lines(cli: Cli, scripted: Scripted, sample: Sample) -> None:
    scripted.resumed.set()
    done = cli("pull", "--tls-verify=false", sample.reference)
    assert done.stdout == sample.config_digest.partition(":")[2] + "\n"
    assert done.stderr.splitlines() == [
        f"Trying to pull {sample.reference}...",
        "Getting image source signatures",
        f"Copying blob {sample.layer_digest}",
        f"Copying config {sample.config_digest}",
        "Writing manifest to image destination",
    ]

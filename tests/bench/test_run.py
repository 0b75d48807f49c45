"""The benchmarks run and print their tables; how fast anything is, is not a test's to say."""

import subprocess
import sys

import pytest

from tests.bench import relay
from tests.commands import CHECKOUT, Cli


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "only", "names"),
    [
        ("run.py", ["exec", "ps,"], ["exec", "ps, no container", "ps, 50 containers"]),
        ("images.py", ["h, small", "image exists"], ["push, small", "image exists"]),
    ],
)
def test_table_has_a_row_for_every_case_asked_for(script: str, only: list[str], names: list[str]) -> None:
    command = [sys.executable, str(CHECKOUT / "tests/bench" / script), "--runs", "1", "--only", *only]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line[:24].strip() for line in done.stdout.splitlines()[-len(names) :]] == names


def test_a_relay_counts_what_comes_through_and_holds_it_up(cli: Cli, busybox: str, registry: str) -> None:
    cli("push", "-q", busybox, f"{registry}/app:1")
    cli("rmi", busybox)
    with relay.before(registry) as between:
        between.restart(hold_at=500_000)
        child = cli.start("pull", "-q", f"{between.address}/app:1")
        assert between.held.wait(30)
        child.kill()
        child.wait()
        assert between.count <= 500_000
        between.restart()
        cli("pull", "-q", f"{between.address}/app:1")
        assert 500_000 < between.count < 2_000_000

"""The benchmark runs and prints its table; how fast anything is, is not a test's to say."""

import subprocess
import sys

import pytest

from tests.commands import CHECKOUT


@pytest.mark.slow
def test_table_has_a_row_for_every_case_asked_for() -> None:
    command = [sys.executable, str(CHECKOUT / "tests/bench/run.py"), "--runs", "1", "--only", "exec", "ps,"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [line[:24].strip() for line in done.stdout.splitlines()[-3:]]
    assert names == ["exec", "ps, no container", "ps, 50 containers"]

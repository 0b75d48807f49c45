"""Signals by name and number."""

import signal

import pytest

from pyctr.engine.signals import parse_signal
from pyctr.rootless.errors import PyctrError


@pytest.mark.parametrize(
    "text, number",
    [
        ("TERM", signal.SIGTERM),
        ("SIGTERM", signal.SIGTERM),
        ("sigusr1", signal.SIGUSR1),
        ("9", 9),
        ("RTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
        ("RTMIN", signal.SIGRTMIN),
    ],
)
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text", ["", "FOO", "0", "65", "-9", "_DFL", "SIG_IGN", "TERM+1", "RTMIN+x", "RTMAX+9", "S"]
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(PyctrError, match="invalid signal"):
        parse_signal(text)

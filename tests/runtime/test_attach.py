"""Detach keys."""

import pytest

from pyctr.rootless.errors import PyctrError
from pyctr.runtime.attach import KeyFilter, parse_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-a", b"\x01"),
        ("a,b,c", b"abc"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("", b""),
    ],
)
def test_parse(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "ctrl-pp", ",", "é"])
def test_wrong_keys_are_named(text: str) -> None:
    with pytest.raises(PyctrError):
        parse_keys(text)


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        ([b"hello"], b"hello", False),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10", b"\x10", b"\x11"], b"\x10", True),
        ([b"ls\n\x10\x11rest"], b"ls\n", True),
        ([b"\x10"], b"", False),
    ],
)
def test_the_sequence_is_found_over_reads(pieces: list[bytes], passed: bytes, detached: bool) -> None:
    keys = KeyFilter(b"\x10\x11")
    out, found = b"", False
    for piece in pieces:
        more, found = keys.feed(piece)
        out += more
    assert (out, found) == (passed, detached)


def test_without_keys_everything_passes() -> None:
    assert KeyFilter(b"").feed(b"\x10\x11") == (b"\x10\x11", False)

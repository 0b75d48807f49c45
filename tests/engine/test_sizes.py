"""Numbers as users write them."""

import pytest

from pyctr.engine import sizes
from pyctr.rootless.errors import PyctrError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("65536", 65536),
        ("5b", 5),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64mb", 64 << 20),
        ("64MiB", 64 << 20),
        ("1 g", 1 << 30),
        ("1t", 1 << 40),
        ("0.5k", 512),
        ("1.5GB", 3 << 29),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert sizes.parse_size(text, "--x") == size


@pytest.mark.parametrize("text", ["", " ", "m", "x", "1x", "-1", "1..5m", "1,5m", "0x10", "1e3", "٣", "1m2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(PyctrError, match="for --x"):
        sizes.parse_size(text, "--x")


@pytest.mark.parametrize(("text", "umask"), [("0022", 0o022), ("22", 0o022), ("0", 0), ("777", 0o777)])
def test_umasks(text: str, umask: int) -> None:
    assert sizes.parse_umask(text) == umask


@pytest.mark.parametrize("text", ["", "8", "999", "1777", "00022", "-1", "0o22", "u=rwx"])
def test_what_is_no_umask_is_refused(text: str) -> None:
    with pytest.raises(PyctrError, match="invalid umask"):
        sizes.parse_umask(text)

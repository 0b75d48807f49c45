"""--ulimit."""

import resource

import pytest

from pyctr.engine import limits
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Limit


def own(name: int) -> tuple[int, int]:
    soft, hard = resource.getrlimit(name)
    return soft, hard


def test_current_limits_are_those_that_the_kernel_tells() -> None:
    found = limits.current()
    assert len(found) == 16
    for name in found:
        assert found[name] == own(getattr(resource, f"RLIMIT_{name.upper()}", 10)) or name == "locks"


def test_nofile_and_nproc_are_as_high_as_allowed_up_to_a_million() -> None:
    parsed = {limit.name: limit for limit in limits.parse([])}
    assert set(parsed) == {"NOFILE", "NPROC"}
    hard = own(resource.RLIMIT_NOFILE)[1]
    highest = 1 << 20 if hard == -1 else min(hard, 1 << 20)
    assert parsed["NOFILE"] == Limit("NOFILE", highest, highest)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["nofile=10:20"], Limit("NOFILE", 10, 20)),
        (["nofile=10"], Limit("NOFILE", 10, 10)),
        (["NOFILE=10"], Limit("NOFILE", 10, 10)),
        (["RLIMIT_CORE=0:0"], Limit("CORE", 0, 0)),
        (["core=1:2", "core=0"], Limit("CORE", 0, 0)),
        (["cpu=-1"], Limit("CPU", own(resource.RLIMIT_CPU)[1], own(resource.RLIMIT_CPU)[1])),
    ],
)
def test_limits(words: list[str], limit: Limit) -> None:
    assert limit in limits.parse(words)


def test_host_keeps_the_limits_of_the_caller() -> None:
    assert Limit("NOFILE", *own(resource.RLIMIT_NOFILE)) in limits.parse(["host"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "invalid --ulimit"),
        ("nofile", "invalid --ulimit"),
        ("nofile=", "invalid --ulimit"),
        ("nofile=a", "invalid --ulimit"),
        ("nofile=1:b", "invalid --ulimit"),
        ("nofile=1:2:3", "invalid --ulimit"),
        ("nofile=-2", "invalid --ulimit"),
        ("files=1", "unknown limit 'files'"),
        ("nofile=20:10", "soft limit is above"),
        ("core=-1:5", "soft limit is above"),
        (f"nice={1 << 40}", "the hard limit of this user is"),
    ],
)
def test_wrong_limits_are_refused(word: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message):
        limits.parse([word])

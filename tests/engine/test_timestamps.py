"""Times as users type and read them."""

import subprocess

import pytest

from pyctr.engine import timestamps
from pyctr.rootless.errors import PyctrError

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    "text, moment",
    [
        ("1700000000", NOW),
        ("1700000000.5", NOW + SECOND // 2),
        ("10m", NOW - 600 * SECOND),
        ("1h30m", NOW - 5400 * SECOND),
        ("1.5s", NOW - 1_500_000_000),
        ("20ms", NOW - 20_000_000),
        ("0", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20.25Z", NOW + SECOND // 4),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T17:43:20-04:30", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW + 123_456_789),
        ("2023-11-14Z", NOW - (22 * 3600 + 13 * 60 + 20) * SECOND),
    ],
)
def test_what_podman_understands_is_understood(text: str, moment: int) -> None:
    assert timestamps.parse(text, "--since", NOW) == moment


@pytest.mark.parametrize("text", ["2023-11-14", "2023-11-14T22:13:20"])
def test_without_a_zone_it_is_local_time(text: str) -> None:
    done = subprocess.run(["date", "+%s", "-d", text], capture_output=True, text=True, check=True)
    assert timestamps.parse(text, "--since", NOW) == int(done.stdout) * SECOND


@pytest.mark.parametrize(
    "text", ["", "soon", "10x", "m", "1..5s", "2023-13-01", "2023-11-14T25:00:00Z", "-"]
)
def test_what_it_does_not_understand_names_the_option(text: str) -> None:
    with pytest.raises(PyctrError, match="parsing --since"):
        timestamps.parse(text, "--since", NOW)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (45 * 60, "45 minutes"),
        (3600, "About an hour"),
        (90 * 60, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (731 * 86400, "2 years"),
    ],
)
def test_spans_are_worded_as_in_podman(seconds: float, text: str) -> None:
    assert timestamps.human(seconds) == text


def test_moments_have_the_forms_of_go() -> None:
    assert timestamps.rfc3339(NOW + 120_000_000) == "2023-11-14T22:13:20.12Z"
    assert timestamps.rfc3339(NOW) == "2023-11-14T22:13:20Z"
    assert timestamps.rfc3339(0) == "0001-01-01T00:00:00Z"

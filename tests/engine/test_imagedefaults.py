"""What an image's config says about its containers."""

import pytest

from pyctr.engine import imagedefaults
from pyctr.engine.imagedefaults import ImageDefaults
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Healthcheck
from tests.engine.images import make_image


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        ({}, ImageDefaults()),
        (
            {"Entrypoint": ["a"], "Cmd": ["b", "c"], "Env": ["X=1"]},
            ImageDefaults(entrypoint=("a",), command=("b", "c"), env=("X=1",)),
        ),
        ({"WorkingDir": "/w", "User": "u:g"}, ImageDefaults(working_dir="/w", user="u:g")),
        (
            {"Volumes": {"/a": {}, "/b": {}}, "ExposedPorts": {"80/tcp": {}}},
            ImageDefaults(volumes=("/a", "/b"), exposed=("80/tcp",)),
        ),
        (
            {"StopSignal": "SIGINT", "Labels": {"a": "b"}},
            ImageDefaults(stop_signal="SIGINT", labels={"a": "b"}),
        ),
        ({"Entrypoint": None, "Volumes": None, "Labels": None, "Healthcheck": None}, ImageDefaults()),
        ({"Entrypoint": "sh", "Labels": [], "Env": [1, "A=1"], "User": 7}, ImageDefaults(env=("A=1",))),
    ],
)
def test_defaults(config: dict[str, object], defaults: ImageDefaults) -> None:
    assert imagedefaults.of(make_image(config)) == defaults


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({}, None),
        ({"Test": []}, None),
        ({"Test": ["NONE"]}, None),
        ({"Test": ["CMD", "true"]}, Healthcheck(("CMD", "true"))),
        (
            {"Test": ["CMD-SHELL", "x"], "Interval": 5, "Timeout": 6, "StartPeriod": 7, "Retries": 8},
            Healthcheck(("CMD-SHELL", "x"), 5, 6, 7, 8),
        ),
        ({"Test": ["CMD", "true"], "Retries": 0, "Interval": -1}, Healthcheck(("CMD", "true"))),
        ({"Test": ["CMD", "true"], "Retries": "x", "Interval": 1 << 70}, Healthcheck(("CMD", "true"))),
    ],
)
def test_healthchecks(check: dict[str, object], expected: Healthcheck | None) -> None:
    assert imagedefaults.of(make_image({"Healthcheck": check})).healthcheck == expected


def test_an_unknown_healthcheck_is_refused() -> None:
    with pytest.raises(PyctrError, match="unknown kind 'sh'"):
        imagedefaults.of(make_image({"Healthcheck": {"Test": ["sh", "-c"]}}))

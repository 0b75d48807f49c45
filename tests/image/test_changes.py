"""Instructions that alter an image config."""

from typing import Any

import pytest

from pyctr.image import changes
from pyctr.rootless.errors import PyctrError


@pytest.mark.parametrize(
    ("instructions", "settings"),
    [
        (["CMD sleep 5"], {"Cmd": ["/bin/sh", "-c", "sleep 5"]}),
        (["CMD=sleep 5"], {"Cmd": ["/bin/sh", "-c", "sleep 5"]}),
        (["cmd sleep 5"], {"Cmd": ["/bin/sh", "-c", "sleep 5"]}),
        (['CMD ["sleep", "5"]'], {"Cmd": ["sleep", "5"]}),
        (['CMD=["sleep", "5"]'], {"Cmd": ["sleep", "5"]}),
        (["CMD [ -f x ]"], {"Cmd": ["/bin/sh", "-c", "[ -f x ]"]}),
        (['ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"]}),
        (["ENV A=b"], {"Env": ["A=b"]}),
        (["ENV=A=b"], {"Env": ["A=b"]}),
        (["ENV A b c"], {"Env": ["A=b c"]}),
        (['ENV A=b C="d e"', "ENV A=f"], {"Env": ["A=f", "C=d e"]}),
        (["LABEL a=b c=d", "LABEL a=x"], {"Labels": {"a": "x", "c": "d"}}),
        (["LABEL=blue=image"], {"Labels": {"blue": "image"}}),
        (["USER 1000:1000"], {"User": "1000:1000"}),
        (["WORKDIR /srv"], {"WorkingDir": "/srv"}),
        (["STOPSIGNAL SIGINT"], {"StopSignal": "SIGINT"}),
        (["EXPOSE 80 53/udp"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        (["EXPOSE 8000-8002"], {"ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}}),
        (["VOLUME /a /b"], {"Volumes": {"/a": {}, "/b": {}}}),
        (['VOLUME ["/a b"]'], {"Volumes": {"/a b": {}}}),
        (["ONBUILD RUN x", "ONBUILD RUN y"], {"OnBuild": ["RUN x", "RUN y"]}),
        ([], {}),
    ],
)
def test_an_instruction_alters_the_config(instructions: list[str], settings: dict[str, Any]) -> None:
    assert changes.apply({}, instructions) == settings


def test_the_given_config_is_not_altered() -> None:
    before: dict[str, Any] = {"Env": ["A=b"], "Labels": {"a": "b"}}
    assert changes.apply(before, ["ENV C=d", "LABEL c=d"])["Env"] == ["A=b", "C=d"]
    assert before == {"Env": ["A=b"], "Labels": {"a": "b"}}


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "RUN true",
        "FROM x",
        "CMD",
        "CMD=",
        "ENV =x",
        'ENV A="b',
        "EXPOSE x",
        "EXPOSE 0",
        "EXPOSE 80/x",
        "EXPOSE 1-2-3",
    ],
)
def test_a_wrong_instruction_is_refused_by_name(instruction: str) -> None:
    with pytest.raises(PyctrError) as caught:
        changes.apply({}, [instruction])
    assert repr(instruction) in caught.value.message

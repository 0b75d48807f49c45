"""containers.conf."""

import os
import pathlib
import subprocess
import sys

import pytest

from pyctr.engine import config
from pyctr.engine.config import Config
from pyctr.rootless.errors import PyctrError
from pyctr.storage.paths import Store

TEXT = """
[containers]
env = ["A=1", "B=2"]
http_proxy = false
dns_servers = ["1.1.1.1"]
default_ulimits = ["nofile=10:20"]
log_size_max = 4096
shm_size = "1m"
unknown = { nested = true }
[network]
default_rootless_network_cmd = "slirp4netns"
pasta_options = ["--map-gw"]
[engine]
detach_keys = ""
runtime = "crun"
[elsewhere]
x = 1
"""


def write(path: pathlib.Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_known_keys_are_read_and_others_ignored(tmp_path: pathlib.Path) -> None:
    assert config.parse([write(tmp_path / "a.conf", TEXT)]) == Config(
        env=("A=1", "B=2"),
        http_proxy=False,
        dns_servers=("1.1.1.1",),
        default_ulimits=("nofile=10:20",),
        log_size_max=4096,
        shm_size="1m",
        default_rootless_network_cmd="slirp4netns",
        pasta_options=("--map-gw",),
        detach_keys="",
    )


@pytest.mark.parametrize(
    ("second", "env"),
    [
        ("", ("A=1",)),
        ("[containers]\nenv = ['B=2']", ("B=2",)),
        ("[containers]\nenv = ['B=2', {append=true}]", ("A=1", "B=2")),
        ("[containers]\nenv = [{append=true}]", ("A=1",)),
        ("[containers]\nenv = ['B=2', {append=false}]", ("B=2",)),
        ("[containers]\nenv = []", ()),
    ],
)
def test_later_files_win_or_append(tmp_path: pathlib.Path, second: str, env: tuple[str, ...]) -> None:
    first = write(tmp_path / "a.conf", "[containers]\nenv = ['A=1']")
    assert config.parse([first, write(tmp_path / "b.conf", second), "/absent"]).env == env


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[containers", "cannot read .*a.conf"),
        ("[containers]\nenv = 'A=1'", "a.conf: env has a value of the wrong type"),
        ("[containers]\nenv = [1]", "a.conf: env has a value of the wrong type"),
        ("[containers]\nhttp_proxy = 'yes'", "a.conf: http_proxy has a value of the wrong type"),
        ("[containers]\nlog_size_max = '1m'", "a.conf: log_size_max has a value of the wrong type"),
        ("[containers]\nlog_size_max = true", "a.conf: log_size_max has a value of the wrong type"),
    ],
)
def test_a_broken_file_is_named(tmp_path: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message):
        config.parse([write(tmp_path / "a.conf", text)])


def test_the_files_of_the_manual_page(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.delenv("CONTAINERS_CONF_OVERRIDE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = str(tmp_path / "containers" / "containers.conf")
    for name in ("b.conf", "a.conf", "c.txt"):
        write(pathlib.Path(f"{own}.d", name), "")
    assert config.files()[0] == "/usr/share/containers/containers.conf"
    assert config.files()[-3:] == [own, f"{own}.d/a.conf", f"{own}.d/b.conf"]
    monkeypatch.setenv("CONTAINERS_CONF_OVERRIDE", "/last.conf")
    assert config.files()[-1] == "/last.conf"
    monkeypatch.setenv("CONTAINERS_CONF", "/only.conf")
    assert config.files() == ["/only.conf", "/last.conf"]


def test_a_change_is_seen_although_the_result_is_cached(
    place: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "own.conf", "[containers]\ntz = 'a'")
    monkeypatch.setenv("CONTAINERS_CONF", path)
    assert config.load(place).tz == config.load(place).tz == "a"
    write(tmp_path / "own.conf", "[containers]\ntz = 'bc'")
    assert config.load(place).tz == "bc"
    os.unlink(path)
    assert config.load(place) == Config()


@pytest.mark.parametrize("garbage", ["", "{", '{"version":1}', '{"version":99,"stamps":"","config":{}}'])
def test_a_broken_cache_is_made_again(
    place: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, garbage: str
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", write(tmp_path / "own.conf", "[containers]\ntz = 'a'"))
    config.load(place)
    write(pathlib.Path(place.runroot, config.CACHE), garbage)
    assert config.load(place).tz == "a"


def test_a_cached_result_needs_no_toml_reader(place: Store, tmp_path: pathlib.Path) -> None:
    conf = write(tmp_path / "own.conf", "[containers]\ntz = 'a'")
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pyctr.engine import config\nfrom pyctr.storage.paths import Store\n"
        f"assert config.load(Store({place.root!r}, {place.runroot!r})).tz == 'a'\n"
        "print('tomllib' in sys.modules)"
    )
    for expected in ("True", "False"):
        found = subprocess.run(
            [sys.executable, "-I", "-S", "-c", script],
            env={"CONTAINERS_CONF": conf}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.strip() == expected

"""pyctr search in a real registry."""

import json
import pathlib

import pytest

from tests import registries
from tests.commands import Cli


@pytest.fixture
def filled(cli: Cli, busybox: str, registry: str) -> str:
    """host:port of a registry with three repositories."""
    for name in ("team/app:1", "team/app:2", "team/app:edge", "team/other:1", "base:1"):
        cli("push", "-q", busybox, f"{registry}/{name}")
    return registry


def test_what_fits_is_listed(cli: Cli, filled: str) -> None:
    lines = cli("search", f"{filled}/app").stdout.splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION"]
    assert [line.strip() for line in lines[1:]] == [f"{filled}/team/app"]
    template = ("--format", "{{.Index}} {{.Name}}")
    assert cli("search", *template, f"{filled}/").stdout.splitlines() == [
        f"{filled} {filled}/{name}" for name in ("base", "team/app", "team/other")
    ]
    assert len(cli("search", "--limit", "2", *template, f"{filled}/").stdout.splitlines()) == 2


def test_all_that_is_known_is_shown(cli: Cli, filled: str) -> None:
    found = json.loads(cli("search", "--format", "json", f"{filled}/base").stdout)
    assert found[0] == {
        "Index": filled,
        "Name": f"{filled}/base",
        "Description": "",
        "Stars": 0,
        "Official": "",
        "Automated": "",
        "Tag": "",
    }
    heading = cli("search", "--compatible", f"{filled}/base").stdout.splitlines()[0]
    assert heading.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL", "AUTOMATED"]


def test_filters_choose(cli: Cli, filled: str) -> None:
    def count(*options: str) -> int:
        return len(cli("search", *options, "--format", "{{.Name}}", f"{filled}/").stdout.splitlines())

    assert count("--filter", "stars=1") == 0
    assert count("--filter", "is-official=false", "-f", "stars=0") == 3


def test_tags_are_listed(cli: Cli, filled: str) -> None:
    name = f"{filled}/team/app"
    lines = [line.split() for line in cli("search", "--list-tags", name).stdout.splitlines()]
    assert lines[0] == ["NAME", "TAG"]
    assert sorted(lines[1:]) == [[name, "1"], [name, "2"], [name, "edge"]]
    limited = cli("search", "--list-tags", "--limit=1", "--format", "{{.Tag}}", f"docker://{name}")
    assert limited.stdout.strip() in ("1", "2", "edge")
    shown = json.loads(cli("search", "--list-tags", "--format=json", name).stdout)
    assert shown[0]["Name"] == name and sorted(shown[0]["Tags"]) == ["1", "2", "edge"]


def test_credentials_are_used(cli: Cli, busybox: str, locked_registry: str) -> None:
    assert "denied" in cli("search", f"{locked_registry}/", check=False).stderr
    cli("login", "-u", "me", "-p", "secret", locked_registry)
    cli("push", "-q", busybox, f"{locked_registry}/app")
    assert f"{locked_registry}/app" in cli("search", f"{locked_registry}/").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["127.0.0.1:1/x"], "searching 127.0.0.1:1 for 'x': "),
        (["--list-tags", "127.0.0.1:1/x"], "listing the tags of 127.0.0.1:1/x: "),
        (["--list-tags", "127.0.0.1:1/X"], "must be lower case"),
        (["--filter", "x=y", "127.0.0.1:1/"], "invalid filter"),
        (["--filter", "stars=many", "127.0.0.1:1/"], "invalid filter"),
        (["--limit", "-1", "127.0.0.1:1/"], "--limit -1"),
        (["--list-tags", "-f", "stars=1", "127.0.0.1:1/x"], "--list-tags"),
        (["a b.c/x"], "is not a registry"),
    ],
)
def test_what_cannot_be_is_told(cli: Cli, words: list[str], told: str) -> None:
    done = cli("search", *words, check=False)
    assert done.returncode == 125 and told in done.stderr


def test_a_term_alone_is_searched_everywhere(
    cli: Cli, filled: str, busybox: str, tmp_path: pathlib.Path
) -> None:
    conf = tmp_path / "registries.conf"
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    words = ("search", "--format", "{{.Name}}", "app")
    with registries.serve() as other:
        cli("push", "-q", busybox, f"{other}/my/app")
        conf.write_text(f'unqualified-search-registries = ["{filled}", "127.0.0.1:1", "{other}"]')
        done = cli(*words, env=env)
    assert done.stdout.splitlines() == [f"{filled}/team/app", f"{other}/my/app"]
    assert done.stderr.startswith("WARNING: searching 127.0.0.1:1 for 'app': ")


@pytest.mark.parametrize(
    ("searched", "told"),
    [("", "no registry is searched"), ('"127.0.0.1:1"', "127.0.0.1:1"), ('"localhost:1", "[::1]:1"', "; ")],
)
def test_a_search_that_fails_everywhere_is_an_error(
    cli: Cli, tmp_path: pathlib.Path, searched: str, told: str
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f"unqualified-search-registries = [{searched}]")
    done = cli("search", "app", env={"CONTAINERS_REGISTRIES_CONF": str(conf)}, check=False)
    assert done.returncode == 125 and done.stderr.startswith("Error: ") and told in done.stderr

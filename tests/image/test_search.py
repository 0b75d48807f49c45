"""Searching registries that answer in pages, in nonsense, or without end."""

import json

import pytest

from pyctr.cli import search as cli
from pyctr.cli.format import plain
from pyctr.image import reference, search
from pyctr.image.credentials import Credentials
from pyctr.image.search import Match
from pyctr.image.transport import Access
from pyctr.rootless.errors import PyctrError
from pyctr.storage.paths import Store
from tests.image.servers import Answer, Scripted, in_turn, send, serve, stalling, status

QUICK = Access(retries=0, connect=5, stall=5)
CATALOGUE = "/v2/_catalog"
TAGS = "/v2/team/app/tags/list"


def page(field: str, *names: object, link: str = "") -> Answer:
    return send(json.dumps({field: names}).encode(), "application/json", Link=link)


def found(scripted: Scripted, term: str = "", limit: int = 25) -> list[str]:
    return [match.name.partition("/")[2] for match in search.search(scripted.address, term, QUICK, limit)]


def tags(scripted: Scripted, limit: int = 0, access: Access = QUICK) -> list[str]:
    return search.tags(reference.parse(f"{scripted.address}/team/app"), access, limit)


def test_pages_are_followed(scripted: Scripted) -> None:
    first = page("tags", "1", "2", link=f'<{TAGS}?last=2&n=100>; rel="next"')
    scripted.answers[TAGS] = in_turn(first, page("tags", "3"))
    assert tags(scripted) == ["1", "2", "3"]
    assert [asked for asked, _ in scripted.requests] == [f"{TAGS}?n=100", f"{TAGS}?last=2&n=100"]


def test_no_page_is_read_beyond_the_limit(scripted: Scripted) -> None:
    link = f'<{CATALOGUE}?last=b>; rel="next"'
    scripted.answers[CATALOGUE] = page("repositories", "a", "b", link=link)
    assert found(scripted, limit=2) == ["a", "b"]
    assert scripted.count(CATALOGUE) == 1


def test_pages_in_a_circle_are_an_error(scripted: Scripted) -> None:
    scripted.answers[TAGS] = page("tags", "1", link=f'<{TAGS}?x>; rel="next"')
    with pytest.raises(PyctrError, match="no end"):
        tags(scripted)


def test_a_next_page_elsewhere_gets_no_credentials(scripted: Scripted) -> None:
    with serve() as other:
        link = f'<http://{other.address}{TAGS}>; rel="next"'
        other.answers[TAGS] = status(401, WWW_Authenticate='Basic realm="x"')
        basic = status(401, WWW_Authenticate='Basic realm="x"')
        scripted.answers[TAGS] = in_turn(basic, page("tags", "1", link=link))
        with pytest.raises(PyctrError, match="denied"):
            tags(scripted, access=QUICK.replace(credentials=Credentials("me", "s3cret")))
        assert len(other.requests) == 1 and "authorization" not in other.headers(TAGS)[0]


@pytest.mark.parametrize("link", ['<ftp://x/y>; rel="next"', '<http://[>; rel="next"'])
def test_a_next_page_of_nonsense_is_an_error(scripted: Scripted, link: str) -> None:
    scripted.answers[TAGS] = page("tags", "1", link=link)
    with pytest.raises(PyctrError, match="listing the tags of"):
        tags(scripted)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"tags": 7}', b"x" * (5 << 20)])
def test_nonsense_is_an_error(scripted: Scripted, body: bytes) -> None:
    scripted.answers[TAGS] = send(body)
    with pytest.raises(PyctrError, match="listing the tags of"):
        tags(scripted)


@pytest.mark.parametrize("body", [b"{}", b'{"tags": null}', b'{"tags": []}'])
def test_nothing_is_no_error(scripted: Scripted, body: bytes) -> None:
    scripted.answers[TAGS] = send(body)
    assert tags(scripted) == []


def test_names_that_are_none_are_passed_over(scripted: Scripted) -> None:
    names = ["good", 7, "\x1b[31mred", "../up", "Upper", None]
    scripted.answers[CATALOGUE] = page("repositories", *names)
    scripted.answers[TAGS] = page("tags", *names)
    assert found(scripted) == ["good"]
    assert tags(scripted) == ["good", "Upper"]


def test_a_registry_that_stalls_is_an_error(scripted: Scripted) -> None:
    scripted.answers[CATALOGUE] = stalling(scripted, b"{}", 1)
    with pytest.raises(PyctrError, match="no answer in time"):
        search.search(scripted.address, "x", QUICK.replace(stall=0.2))


@pytest.mark.parametrize("code", [404, 405, 500])
def test_a_registry_without_a_catalogue_is_told(scripted: Scripted, code: int) -> None:
    scripted.answers[CATALOGUE] = status(code)
    with pytest.raises(PyctrError, match=f"searching {scripted.address} for 'x'"):
        search.search(scripted.address, "x", QUICK)


def test_what_docker_io_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [
        {"name": "alpine", "description": "A\nsmall\x1b[31m one", "star_count": 7, "is_official": True},
        {"name": "me/alpine", "description": None, "star_count": "x"},
        "nonsense",
    ]
    monkeypatch.setattr(search, "_hub_page", lambda url, access: {"results": results})
    first, second = search.search("docker.io", "alpine", QUICK)
    assert first == Match("docker.io", "docker.io/library/alpine", "A\nsmall\x1b[31m one", 7, True, False)
    assert second == Match("docker.io", "docker.io/me/alpine")
    with pytest.raises(PyctrError, match="needs a word"):
        search.search("docker.io", "", QUICK)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("alpine", ("", "alpine")),
        ("me/alpine", ("", "me/alpine")),
        ("library/alpine", ("", "alpine")),
        ("docker.io/alpine", ("docker.io", "alpine")),
        ("quay.io/", ("quay.io", "")),
        ("quay.io/a/b", ("quay.io", "a/b")),
        ("localhost:5000/a", ("localhost:5000", "a")),
        ("docker://quay.io/a", ("quay.io", "a")),
    ],
)
def test_a_term_may_name_its_registry(text: str, parts: tuple[str, str]) -> None:
    assert cli.split(text) == parts


def test_without_a_file_a_term_alone_is_searched_in_docker_io(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyctr.image.registries.files", lambda: [])
    monkeypatch.setattr(cli, "found_in", lambda domain, term, _: [Match(domain, term)])
    options = type("Options", (), {"store": own_store})()
    assert cli.found("me/alpine", options) == [Match("docker.io", "me/alpine")]


def test_a_description_cannot_drive_the_terminal() -> None:
    options = type("Options", (), {"no_trunc": True})()
    row = cli.row(Match("x", "x/y", "\x1b[31mred\r\n next"), options)
    assert plain(row["Description"]) == r"\x1b[31mred next"

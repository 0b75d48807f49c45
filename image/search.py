"""Searching registries: docker.io's own search, the catalogue of others, and the tags of a repository.

Sources: OCI distribution-spec ("Listing tags"); the distribution project's "Listing repositories"; docker's
Registry API v1 for `search`. Answers come in pages, of which each names the next: bounded here in number and
size, and never followed to another host with credentials.
"""

import json
import urllib.parse
from collections.abc import Iterator
from functools import partial
from typing import Any

from pyctr.image import reference, session, transport
from pyctr.image.manifest import Invalid
from pyctr.image.reference import DEFAULT_DOMAIN, Reference
from pyctr.image.session import Session
from pyctr.image.transport import Access, Transport, retrying
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

DEFAULT_LIMIT = 25  # results of a registry; podman-search(1)
_PAGE = 100  # entries that a page is asked to have
_PAGES = 1000
_PAGE_LIMIT = 4 << 20  # bytes
_HUB = "index.docker.io"


class Match(Value):
    """One image that was found. What only docker.io tells is empty elsewhere."""

    index: str  # the registry
    name: str  # full, without a tag
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


def search(domain: str, term: str, access: Access, limit: int = DEFAULT_LIMIT) -> list[Match]:
    """The images of a registry whose names have `term` in them. Raises PyctrError."""
    try:
        if domain == DEFAULT_DOMAIN:
            return _search_hub(term, access, limit)
        return _search_catalogue(domain, term, access, limit)
    except PyctrError as error:
        error.message = f"searching {domain} for {term!r}: {error.message}"
        error.args = (error.message,)
        raise


def _search_hub(term: str, access: Access, limit: int) -> list[Match]:
    if not term:
        raise PyctrError("docker.io needs a word to search for", "Give a part of a name.")
    query = urllib.parse.urlencode({"q": term, "n": min(limit, _PAGE)})
    document = retrying(access, lambda: _hub_page(f"https://{_HUB}/v1/search?{query}", access))
    found = document.get("results") if type(document) is dict else None
    if type(found) is not list:
        raise Invalid(f"{_HUB} did not answer with results")
    return [_hub_match(each) for each in found[:limit] if type(each) is dict]


def _hub_page(url: str, access: Access) -> Any:
    to = Transport(_HUB, access)
    answer = to.get(url, {"Accept": "application/json"})
    try:
        if answer.status != 200:
            raise transport.refused(answer, url)
        return _json(answer, url, to)
    finally:
        answer.close()


def _hub_match(found: dict[str, Any]) -> Match:
    name = str(found.get("name", ""))
    path = f"library/{name}" if "/" not in name else name
    return Match(
        DEFAULT_DOMAIN,
        f"{DEFAULT_DOMAIN}/{path}",
        str(found.get("description") or ""),
        int(found["star_count"]) if type(found.get("star_count")) is int else 0,
        found.get("is_official") is True,
        found.get("is_automated") is True,
    )


def _search_catalogue(domain: str, term: str, access: Access, limit: int) -> list[Match]:
    asked = Session(Reference("", domain), access, actions="")
    found: list[Match] = []
    for name in _names(asked, access, f"/v2/_catalog?n={_PAGE}", "repositories"):
        if term in name and reference.is_path(name):
            found.append(Match(domain, f"{domain}/{name}"))
        if len(found) == limit:
            break
    return found


def tags(of: Reference, access: Access, limit: int = 0) -> list[str]:
    """The tags of a repository, at most `limit` of them unless that is 0. Raises PyctrError."""
    asked = Session(of, access)
    found: list[str] = []
    try:
        for tag in _names(asked, access, f"{asked.below('tags/list')}?n={_PAGE}", "tags"):
            if reference.is_tag(tag):
                found.append(tag)
            if len(found) == limit:
                break
    except PyctrError as error:
        error.message = f"listing the tags of {of.repository}: {error.message}"
        error.args = (error.message,)
        raise
    return found


def _names(asked: Session, access: Access, target: str, field: str) -> Iterator[str]:
    """The entries of all pages."""
    seen: set[str] = set()
    while target:
        if target in seen or len(seen) == _PAGES:
            raise Invalid(f"the pages of the registry have no end ({transport.shown(target)})")
        seen.add(target)
        entries, target = retrying(access, partial(_page, asked, target, field))
        yield from entries


def _page(asked: Session, target: str, field: str) -> tuple[list[str], str]:
    """The entries of one page, and where the next is."""
    answer, url = asked.ask("GET", target, {"Accept": "application/json"})
    try:
        if answer.status != 200:
            raise session.refusal(answer, url, f"reading the list of {field}")
        document = _json(answer, url, asked.transport)
        following = _next(answer.headers.get("Link", ""), url, asked.transport)
    finally:
        answer.close()
    entries = document.get(field) or [] if type(document) is dict else None
    if type(entries) is not list:
        raise Invalid(f"{transport.shown(url)} did not answer with {field}")
    return [each for each in entries if type(each) is str], following


def _next(link: str, url: str, to: Transport) -> str:
    """The target of a Link header (RFC 8288) with rel="next", empty without one."""
    target, closing, rest = link.strip().removeprefix("<").partition(">")
    if not closing or "next" not in rest:
        return ""
    with transport.failures(url, insecure=to.insecure):
        return to.following(url, target)


def _json(answer: Any, url: str, to: Transport) -> Any:
    data = b""
    for piece in transport.chunks(answer, url, insecure=to.insecure):
        data += piece
        if len(data) > _PAGE_LIMIT:
            raise Invalid(f"{transport.shown(url)} sends more than {_PAGE_LIMIT} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid(f"{transport.shown(url)} did not answer with JSON") from None

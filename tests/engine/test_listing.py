"""Lists of containers and their filters."""

import pathlib

import pytest

from pyctr.engine import filters, listing
from pyctr.net.model import Network
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Mount
from pyctr.runtime.state import State
from pyctr.storage import paths
from pyctr.storage.paths import Store
from tests import samples

WEB, DB, JOB = samples.identifier(0xA1), samples.identifier(0xB2), samples.identifier(0xC3)
MOUNTS = (Mount("volume", "/data", "vol1"), Mount("proc", "/proc", "proc"))


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    found = Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))
    samples.make(
        found, DB, "db-1", created=2, labels={"tier": "back"}, state=State(status="exited", exit_code=3)
    )
    samples.make(found, WEB, "web", created=1, labels={"tier": "front", "a": "b"}, mounts=MOUNTS)
    samples.make(found, JOB, "job", created=3, image="cd" * 32, image_name="docker.io/library/alpine:3.20")
    return found


def test_the_oldest_comes_first(store: Store) -> None:
    assert [each.summary.name for each in listing.list_containers(store)] == ["web", "db-1", "job"]


def test_an_empty_store_has_no_containers(tmp_path: pathlib.Path) -> None:
    assert listing.list_containers(Store(root=str(tmp_path / "no"), runroot=str(tmp_path))) == []


@pytest.mark.parametrize("name", [paths.SPEC, paths.STATE])
@pytest.mark.parametrize("text", ["{", "[]", '{"version":99}', '{"version":1,"created":"x"}', None])
def test_what_cannot_be_read_is_broken_and_does_not_hide_the_others(
    store: Store, name: str, text: str | None
) -> None:
    path = pathlib.Path(store.container(WEB), name)
    path.unlink() if text is None else path.write_text(text)
    if text and "created" in text and name == paths.STATE:
        return  # a state has no such field
    found = {each.id: each for each in listing.list_containers(store)}
    assert {key: each.status for key, each in found.items()} == {WEB: "broken", DB: "exited", JOB: "created"}
    assert str(path) in found[WEB].why


def test_the_spec_of_another_container_is_broken(store: Store) -> None:
    text = pathlib.Path(store.container(DB), paths.SPEC).read_text()
    pathlib.Path(store.container(WEB), paths.SPEC).write_text(text)
    assert {each.id: each.status for each in listing.list_containers(store)}[WEB] == "broken"


@pytest.mark.parametrize(
    "given, names",
    [
        (["name=web"], ["web"]),
        (["name=b-"], ["db-1"]),
        (["name=e"], ["web"]),
        (["name=^db"], ["db-1"]),
        (["name=web", "name=job"], ["web", "job"]),
        (["id=a1"], ["web"]),
        (["id=^c3"], ["job"]),
        (["label=tier"], ["web", "db-1"]),
        (["label=tier=front"], ["web"]),
        (["label=tier", "label=a=b"], ["web"]),
        (["label!=tier"], ["job"]),
        (["label!=tier=front"], ["db-1", "job"]),
        (["status=exited"], ["db-1"]),
        (["status=stopped"], ["db-1"]),
        (["status=created", "name=job"], ["job"]),
        (["exited=3"], ["db-1"]),
        (["exited=0"], []),
        (["ancestor=cdcd"], ["job"]),
        (["ancestor=alpine"], ["job"]),
        (["ancestor=localhost/busybox:latest"], ["web", "db-1"]),
        (["before=db-1"], ["web"]),
        (["since=web"], ["db-1", "job"]),
        (["volume=vol1"], ["web"]),
        (["volume=/data"], ["web"]),
        (["network=none"], ["web", "db-1", "job"]),
        (["network=pasta"], []),
        (["until=1h"], ["web", "db-1", "job"]),
        (["command=sleep"], ["web", "db-1", "job"]),
        ([], ["web", "db-1", "job"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and "=" in value[0] else None,
)
def test_filters(store: Store, given: list[str], names: list[str]) -> None:
    found = filters.select(store, listing.list_containers(store), tuple(given))
    assert [each.summary.name for each in found] == names


@pytest.mark.parametrize(
    "given, message",
    [
        ("foo=bar", "foo is an invalid filter"),
        ("name!=web", "name! is an invalid filter"),
        ("name", 'invalid filter "name"'),
        ("status=bar", "unknown container state: bar"),
        ("exited=x", "needs a number"),
        ("name=(", "no regular expression"),
        ("health=healthy", "health is not supported yet"),
        ("before=nope", "no such container"),
        ("until=soon", "--filter until"),
    ],
)
def test_wrong_filters_are_named(store: Store, given: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message.replace("(", r"\(")):
        filters.select(store, listing.list_containers(store), (given,))


def test_network_filter_knows_the_driver(store: Store) -> None:
    samples.make(store, samples.identifier(0xD4), "net", network=Network("pasta"))
    found = filters.select(store, listing.list_containers(store), ("network=pasta",))
    assert [each.summary.name for each in found] == ["net"]

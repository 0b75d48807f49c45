"""A container is written: what is on disk afterwards, and what is not after a failure."""

import os
import pathlib
import re

import pytest

from pyctr.engine import create, names
from pyctr.engine.request import Request
from pyctr.net.model import Network, PortMapping
from pyctr.rootless import userns
from pyctr.rootless.errors import InUse, NoSuchObject, PyctrError
from pyctr.runtime import state as states
from pyctr.runtime.spec import SPEC_VERSION, Mount, Namespace, Settings, Spec
from pyctr.storage import paths, records, volumes
from pyctr.storage.paths import Store
from tests.engine.images import make_image, put_image

CONFIG: dict[str, object] = {
    "Cmd": ["sh"],
    "Volumes": {"/data": {}},
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Labels": {"a": "image", "b": "image"},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "true"]},
}


def read_spec(place: Store, container_id: str) -> Spec:
    return records.read_record(f"{place.container(container_id)}/{paths.SPEC}", Spec, SPEC_VERSION)


@pytest.mark.parametrize("ephemeral", [True, False])
def test_a_container_on_disk(place: Store, ephemeral: bool) -> None:
    image = put_image(place, CONFIG)
    spec = create.create(place, Request(image_name="i", ephemeral=ephemeral), image)
    folder = place.container(spec.id)
    assert read_spec(place, spec.id) == spec
    assert re.fullmatch("[0-9a-f]{64}", spec.id) and re.fullmatch("[a-z]+_[a-z]+", spec.name)
    assert states.read_state(folder).status == "created"
    assert records.read_record(f"{folder}/{paths.SETTINGS}", Settings, 1).restart == "no"
    assert (
        os.path.exists(f"{folder}/{paths.EPHEMERAL}") == spec.ephemeral == spec.rootfs.volatile == ephemeral
    )
    assert os.listdir(place.containers()) == [spec.id]
    assert names.owner_of(place, spec.name) == spec.id
    assert volumes.names(place) == list(spec.anonymous_volumes)
    assert '"create"' in records.read_text(place.events())


def test_what_the_image_says(place: Store) -> None:
    spec = create.create(place, Request(image_name="i"), put_image(place, CONFIG))
    assert (spec.image, spec.image_name, spec.stop_signal) == ("ab" * 32, "i", 2)
    assert spec.labels == {"a": "image", "b": "image"} and spec.healthcheck is not None
    assert spec.network.exposed == ("80/tcp", "53/udp")
    assert [mount.target for mount in spec.mounts if mount.kind == "volume"] == ["/data"]
    assert spec.id_maps == userns.default_maps()
    assert spec.rootfs.kind == "image" and spec.rootfs.key.startswith("overlay-")


def test_what_the_user_says_goes_before(place: Store) -> None:
    request = Request(image_name="i", labels={"b": "user"}, no_healthcheck=True, stop_signal=9, name="web")
    spec = create.create(place, request, put_image(place, CONFIG))
    assert spec.labels == {"a": "image", "b": "user"}
    assert spec.healthcheck is None and spec.stop_signal == 9 and spec.name == "web"


@pytest.mark.parametrize(
    ("request_", "hostname"),
    [
        (Request(), None),
        (Request(hostname="h"), "h"),
        (Request(namespaces=(Namespace("uts", "host"),)), os.uname().nodename),
        (Request(namespaces=(Namespace("net", "host"),)), os.uname().nodename),
        (Request(namespaces=(Namespace("net", "host"),), hostname="h"), "h"),
    ],
)
def test_host_names(request_: Request, hostname: str | None) -> None:
    assert create.host_name(request_, "0123456789abcdef") == (hostname or "0123456789ab")


def test_keep_id_maps_the_user_to_itself(place: Store) -> None:
    request = Request(image_name="i", keep_id=(os.getuid(), os.getgid()))
    spec = create.create(place, request, put_image(place, CONFIG))
    assert spec.id_maps == userns.keep_id_maps()
    assert spec.process.user == f"{os.getuid()}:{os.getgid()}"


def test_a_folder_as_root_file_system(place: Store, tmp_path: pathlib.Path) -> None:
    spec = create.create(place, Request(rootfs=str(tmp_path), command=("sh",), read_only=True), None)
    assert (spec.rootfs.kind, spec.rootfs.path, spec.rootfs.read_only) == ("path", str(tmp_path), True)
    assert spec.image == ""


def test_a_taken_name_leaves_nothing_behind(place: Store) -> None:
    image = put_image(place, CONFIG)
    first = create.create(place, Request(image_name="i", name="web"), image)
    with pytest.raises(InUse, match=f"'web' is already in use by {first.id}"):
        create.create(place, Request(image_name="i", name="web"), image)
    assert os.listdir(place.containers()) == [first.id]
    assert names.owner_of(place, "web") == first.id


def test_replace_removes_the_namesake(place: Store) -> None:
    image = put_image(place, CONFIG)
    create.create(place, Request(image_name="i", name="web"), image)
    second = create.create(place, Request(image_name="i", name="web", replaces=True), image)
    assert os.listdir(place.containers()) == [second.id]
    assert names.owner_of(place, "web") == second.id


@pytest.mark.parametrize(
    ("request_", "config"),
    [
        (Request(name="web"), {}),
        (Request(name="web", command=("sh",)), {"StopSignal": "SIGFOO"}),
        (Request(name="web", cid_file="/etc/passwd"), CONFIG),
        (Request(name="web", cid_file="/absent/cid"), CONFIG),
        (Request(name="web", mounts=(Mount("volume", "/a", "data", ("nocreate",)),)), CONFIG),
    ],
)
def test_a_failure_leaves_nothing_behind(place: Store, request_: Request, config: dict[str, object]) -> None:
    image = put_image(place, config)
    with pytest.raises(PyctrError):
        create.create(place, request_, image)
    assert not os.path.exists(place.containers()) or os.listdir(place.containers()) == []
    assert names.owner_of(place, "web") is None
    assert volumes.names(place) == []


def test_an_image_that_was_removed_meanwhile_is_named(place: Store) -> None:
    with pytest.raises(NoSuchObject, match="no such image: busybox"):
        create.create(place, Request(image_name="busybox"), make_image(CONFIG))


def test_the_id_goes_into_a_file(place: Store, tmp_path: pathlib.Path) -> None:
    request = Request(image_name="i", cid_file=str(tmp_path / "cid"))
    spec = create.create(place, request, put_image(place, CONFIG))
    assert (tmp_path / "cid").read_text() == spec.id
    assert spec.annotations[create.CID_FILE] == str(tmp_path / "cid")


PUBLISHED = PortMapping("", 8080, 80)


def test_published_ports(place: Store) -> None:
    image = put_image(place, CONFIG)
    network = Network(driver="slirp4netns", ports=(PUBLISHED, PortMapping("127.0.0.1", 0, 7)))
    found = create.create(place, Request(image_name="i", network=network), image).network.ports
    assert found[0] == PUBLISHED
    assert found[1].container_port == 7 and found[1].host_port > 0
    found = create.create(
        place, Request(image_name="i", network=network, publish_all=True), image
    ).network.ports
    assert [(port.container_port, port.protocol) for port in found] == [(80, "tcp"), (7, "tcp"), (53, "udp")]
    assert all(port.host_port for port in found)


def test_a_port_is_published_once(place: Store) -> None:
    network = Network(driver="pasta", ports=(PUBLISHED, PortMapping("", 8080, 81)))
    with pytest.raises(PyctrError, match="conflicting port mappings"):
        create.create(place, Request(image_name="i", network=network), put_image(place, CONFIG))


@pytest.mark.parametrize("driver", ["none", "host"])
def test_without_a_network_nothing_is_published(place: Store, driver: str) -> None:
    request = Request(image_name="i", network=Network(driver=driver), publish_all=True)
    assert create.create(place, request, put_image(place, CONFIG)).network.ports == ()

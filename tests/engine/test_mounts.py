"""Which mounts a container has, in which order."""

import os

import pytest

from pyctr.engine import mounts
from pyctr.engine.request import Request, Security
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.runtime.spec import Mount
from pyctr.storage import volumes
from pyctr.storage.paths import Store

KERNEL = ["/proc", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]


def targets(request: Request, image: tuple[str, ...] = (), shared: tuple[str, ...] = ()) -> list[str]:
    return [mount.target for mount in mounts.plan(request, image, shared=frozenset(shared))]


def find(request: Request, target: str, shared: tuple[str, ...] = ()) -> Mount:
    plan = mounts.plan(request, (), shared=frozenset(shared))
    return next(mount for mount in plan if mount.target == target)


def bind(target: str) -> Mount:
    return Mount("bind", target, "/tmp", ("rbind",))


@pytest.mark.parametrize(
    ("request_", "image", "extra"),
    [
        (Request(), (), []),
        (Request(mounts=(bind("/a/b"), bind("/a"))), (), ["/a", "/a/b"]),
        (Request(), ("/data", "cache/"), ["/cache", "/data"]),
        (Request(image_volumes="ignore"), ("/data",), []),
        (Request(mounts=(bind("/data"),)), ("/data", "/"), ["/data"]),
        (Request(read_only=True), (), ["/run", "/tmp", "/var/tmp"]),
        (Request(read_only=True, read_only_tmpfs=False), (), []),
        (Request(read_only=True, mounts=(bind("/tmp"),)), (), ["/run", "/tmp", "/var/tmp"]),
        (Request(init_binary="/bin/init"), (), ["/run/podman-init"]),
    ],
)
def test_targets(request_: Request, image: tuple[str, ...], extra: list[str]) -> None:
    assert targets(request_, image) == [*KERNEL, *extra]


def test_a_mount_of_the_user_replaces_ours() -> None:
    assert targets(Request(mounts=(bind("/dev/shm"),)))[-1] == "/dev/shm"
    assert targets(Request(mounts=(bind("/dev/shm"),))).count("/dev/shm") == 1


def test_without_shared_memory() -> None:
    assert "/dev/shm" not in targets(Request(no_shm=True))


@pytest.mark.parametrize(
    ("shared", "target", "kind"),
    [
        ((), "/proc", "proc"),
        (("pid",), "/proc", "bind"),
        ((), "/sys", "sysfs"),
        (("net",), "/sys", "bind"),
        (("ipc",), "/dev/shm", "bind"),
    ],
)
def test_what_belongs_to_a_shared_namespace_is_bound_from_the_host(
    shared: tuple[str, ...], target: str, kind: str
) -> None:
    assert find(Request(), target, shared).kind == kind


@pytest.mark.parametrize(("privileged", "word"), [(False, "ro"), (True, "rw")])
def test_sys_is_read_only_unless_privileged(privileged: bool, word: str) -> None:
    assert word in find(Request(security=Security(privileged=privileged)), "/sys").options


@pytest.mark.parametrize(("size", "words"), [(1024, ["size=1024"]), (0, [])])
def test_the_size_of_shared_memory(size: int, words: list[str]) -> None:
    options = find(Request(shm_size=size), "/dev/shm").options
    assert [word for word in options if word.startswith("size")] == words


def test_image_volumes_may_be_tmpfs() -> None:
    plan = mounts.plan(Request(image_volumes="tmpfs"), ["/data"], shared=frozenset())
    assert plan[-1].kind == "tmpfs" and plan[-1].target == "/data"


def test_anonymous_volumes_get_names_and_named_ones_keep_theirs() -> None:
    given = (Mount("volume", "/a"), Mount("volume", "/b", "data", ("nocreate", "ro")), bind("/c"))
    named, fresh = mounts.name_volumes(given)
    assert named == (Mount("volume", "/a", fresh[0]), Mount("volume", "/b", "data", ("ro",)), bind("/c"))
    assert len(fresh) == 1 and len(fresh[0]) == 64


def test_volumes_are_made_when_they_are_missing(place: Store) -> None:
    volumes.create(place, "old")
    mounts.make_volumes(
        place, [Mount("volume", "/a", "0" * 64), Mount("volume", "/b", "new"), Mount("volume", "/c", "old")],
        ["0" * 64], durable=False,
    )  # fmt: skip
    assert volumes.names(place) == ["0" * 64, "new", "old"]
    assert [volumes.read(place, name).anonymous for name in volumes.names(place)] == [True, False, False]


def test_nocreate_wants_the_volume_to_exist(place: Store) -> None:
    mount = Mount("volume", "/a", "data", ("nocreate",))
    with pytest.raises(NoSuchObject, match="no such volume: data"):
        mounts.check_volumes(place, [mount])
    volumes.create(place, "data")
    mounts.check_volumes(place, [mount])


@pytest.mark.skipif(not os.path.exists("/usr/share/zoneinfo/UTC"), reason="no time zones on this machine")
def test_a_time_zone_is_a_file_of_the_host() -> None:
    assert mounts.zone_file("UTC") == "/usr/share/zoneinfo/UTC"
    assert find(Request(time_zone="UTC"), "/etc/localtime").source == "/usr/share/zoneinfo/UTC"


@pytest.mark.parametrize("zone", ["Foo/Bar", "../../../etc/passwd", "/etc/passwd", ".", "Europe"])
def test_other_time_zones_are_refused(zone: str) -> None:
    with pytest.raises(PyctrError, match="unknown time zone"):
        mounts.zone_file(zone)

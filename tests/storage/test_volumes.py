"""Volumes on disk."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyctr.rootless import userns
from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.mounts import Root
from pyctr.runtime import copyup
from pyctr.storage import paths, records, volumes


@pytest.fixture
def place(tmp_path: pathlib.Path) -> paths.Store:
    return paths.Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def write_spec(place: paths.Store, container: str, text: str) -> None:
    os.makedirs(place.container(container))
    pathlib.Path(place.container(container), paths.SPEC).write_text(text)


@pytest.mark.parametrize("name", ["a", "web-data", "A.b_c-1", "0" * 64, "x" * 255])
def test_names_of_podman_are_accepted(name: str) -> None:
    assert volumes.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-a", "_a", "a b", "a\n", "é", "x" * 256, "tmp.x", "a\0"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(PyctrError, match="invalid volume name"):
        volumes.check_name(name)


@pytest.mark.parametrize("durable", [True, False])
def test_a_volume_has_a_record_and_a_folder_that_every_container_user_may_enter(
    place: paths.Store, durable: bool
) -> None:
    before = os.umask(0o077)
    try:
        made = volumes.create(place, "data", labels={"a": "b"}, durable=durable)
    finally:
        os.umask(before)
    assert volumes.read(place, "data") == made
    assert made.labels == {"a": "b"} and not made.copied
    assert os.stat(volumes.data_folder(place, "data")).st_mode & 0o7777 == 0o755
    assert os.listdir(place.volumes()) == ["data"]


def test_a_name_is_given_once(place: paths.Store) -> None:
    made = volumes.create(place, "data")
    with pytest.raises(InUse, match="volume with name data already exists"):
        volumes.create(place, "data")
    volumes.ensure(place, "data")
    assert volumes.read(place, "data") == made
    assert os.listdir(place.volumes()) == ["data"]


def test_names_lists_finished_volumes_only(place: paths.Store) -> None:
    assert volumes.names(place) == []
    volumes.create(place, "b")
    volumes.create(place, "a")
    os.mkdir(f"{place.volumes()}/tmp.1")
    assert volumes.names(place) == ["a", "b"]


def test_missing_and_broken_volumes_are_told_apart(place: paths.Store) -> None:
    with pytest.raises(NoSuchObject, match="no such volume: data"):
        volumes.read(place, "data")
    volumes.create(place, "data")
    os.unlink(f"{place.volume('data')}/{paths.VOLUME_RECORD}")
    with pytest.raises(BrokenRecord):
        volumes.read(place, "data")


def test_mark_copied_lasts(place: paths.Store) -> None:
    volumes.create(place, "data")
    with volumes.lock(place, "data"):
        volumes.mark_copied(place, "data", durable=True)
        volumes.mark_copied(place, "data", durable=False)
    assert volumes.read(place, "data").copied


def test_options_and_the_owner_of_the_data_are_kept(place: paths.Store) -> None:
    volumes.create(place, "data", options={"o": "uid=33"}, uid=33, gid=34)
    assert volumes.read(place, "data").options == {"o": "uid=33"}
    owner = userns.call_mapped(userns.default_maps(), owner_of, volumes.data_folder(place, "data"))
    assert owner == (33, 34)


def owner_of(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_uid, status.st_gid


def test_drafts_are_swept_unless_somebody_is_at_work_on_them(place: paths.Store) -> None:
    volumes.create(place, "data")
    for name in ("tmp.1", "tmp.2"):
        os.mkdir(f"{place.volumes()}/{name}")
    with records.lock(f"{place.volumes()}/tmp.1"):
        volumes.sweep(place)
    assert sorted(os.listdir(place.volumes())) == ["data", "tmp.1"]


def test_ensure_waits_for_a_removal_and_makes_the_volume_anew(place: paths.Store) -> None:
    volumes.create(place, "data", labels={"old": "1"})
    held = volumes.lock(place, "data")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(volumes.ensure, place, "data")
        os.rename(place.volume("data"), f"{place.volumes()}/tmp.1")
        held.release()
        waiting.result()
    assert volumes.read(place, "data").labels == {}


def test_users_are_the_containers_that_mount_it_and_those_whose_spec_cannot_be_read(
    place: paths.Store,
) -> None:
    write_spec(place, "one", '{"mounts":[{"kind":"volume","source":"data","target":"/d"}]}')
    write_spec(place, "two", '{"mounts":[{"kind":"bind","source":"data","target":"/d"}]}')
    write_spec(place, "three", "{")
    write_spec(place, "four", '{"mounts":[]}')
    os.mkdir(place.container("five"))
    assert volumes.users(place, "data") == ["one", "three"]


def test_a_used_volume_stays(place: paths.Store) -> None:
    volumes.create(place, "data")
    write_spec(place, "one", '{"mounts":[{"kind":"volume","source":"data","target":"/d"}]}')
    with pytest.raises(InUse, match="is being used by the following container.*one") as raised:
        volumes.remove(place, "data")
    assert raised.value.exit_code == 2
    volumes.remove(place, "data", but_for=("one",))
    assert volumes.names(place) == []


def test_removal_takes_files_of_subordinate_ids_and_deep_folders(place: paths.Store) -> None:
    volumes.create(place, "data")
    userns.call_mapped(userns.default_maps(), fill, volumes.data_folder(place, "data"))
    volumes.remove(place, "data")
    assert os.listdir(place.volumes()) == []
    with pytest.raises(NoSuchObject):
        volumes.remove(place, "data")


def fill(folder: str) -> None:
    """Files as containers leave them: of another owner, unreadable, in folders below folders."""
    os.chdir(folder)
    for name in ("owned", "locked"):
        os.mkdir(name, 0o700)
        pathlib.Path(name, "file").write_text("")
    os.chown("owned/file", 33, 33)
    os.chown("owned", 33, 33)
    os.chmod("locked", 0)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")


@pytest.mark.parametrize("durable", [True, False])
def test_a_filling_is_on_disk_before_it_is_noted(
    place: paths.Store, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """A power cut keeps what was synced: once the mark or the loss of fill/ is, the moved entries are."""
    volumes.create(place, "data", anonymous=not durable)
    data, fill = pathlib.Path(volumes.data_folder(place, "data")), f"{place.volume('data')}/fill"
    os.mkdir(fill)
    pathlib.Path(fill, "file").write_text("content")
    synced, real = [], os.fsync

    def sync(fd: int) -> None:
        if os.path.samestat(os.fstat(fd), data.stat()):
            synced.append((os.listdir(data), os.path.exists(fill)))
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    copyup.fill_volume(place, "data", Root(-1), "/")
    assert synced == ([(["file"], True)] if durable else [])
    assert volumes.read(place, "data").copied


def test_a_filling_copies_what_layers_keep(disk: str) -> None:
    """Holes and attributes as they are, but none that an overlay would obey."""
    place = paths.Store(root=f"{disk}/root", runroot=f"{disk}/run")
    image = pathlib.Path(disk, "image")
    (image / "www" / "sub").mkdir(parents=True)
    with (image / "www" / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    for name in ("user.color", "user.containers.override_stat", "user.fuseoverlayfs.opaque"):
        os.setxattr(image / "www" / "sparse", name, b"y")
    (image / "www" / "link").symlink_to("sparse")
    os.mkfifo(image / "www" / "sub" / "pipe")
    for leaf in ("link", "sub", "sparse"):
        os.utime(image / "www" / leaf, ns=(1, 10**9), follow_symlinks=False)
    volumes.create(place, "data")
    root = os.open(image, os.O_PATH)
    copyup.fill_volume(place, "data", Root(root), "/www")
    os.close(root)
    data = pathlib.Path(volumes.data_folder(place, "data"))
    assert sorted(os.listdir(data)) == ["link", "sparse", "sub"] and os.listdir(data / "sub") == []
    assert os.listxattr(data / "sparse") == ["user.color"]
    assert (data / "sparse").read_bytes() == (image / "www" / "sparse").read_bytes()
    assert (data / "sparse").stat().st_blocks < 1000
    assert [os.lstat(data / leaf).st_mtime_ns for leaf in os.listdir(data)] == [10**9] * 3

"""storage.conf, the environment and the options of the command line: which driver, and where."""

import os
import pathlib

import pytest

from pyctr.rootless.errors import PyctrError
from pyctr.storage import choice, configuration, drivers, fuseoverlayfs, paths, trial
from pyctr.storage.paths import Store
from tests.commands import Cli

Place = pathlib.Path


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A home whose storage.conf is `place / "config/containers/storage.conf"`; no file of the system."""
    for name in ("STORAGE_DRIVER", "STORAGE_OPTS", "CONTAINERS_STORAGE_CONF", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path}/config")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(paths, "SYSTEM_STORAGE_CONF", (f"{tmp_path}/etc.conf", f"{tmp_path}/usr.conf"))
    (tmp_path / "config/containers").mkdir(parents=True)
    return tmp_path


def own(place: Place, text: str) -> None:
    (place / "config/containers/storage.conf").write_text(text)


def test_nothing_said(place: Place) -> None:
    assert paths.default_store() == Store(f"{place}/.local/share/pyctr", f"{place}/pyctr")
    assert not os.path.exists(f"{place}/pyctr")


def test_the_users_file(place: Place) -> None:
    own(
        place,
        '[storage]\ndriver = "vfs"\ngraphroot = "$HOME/g"\nrunroot = "/run/${UID}"\n'
        '[storage.options.pull_options]\nenable_partial_images = "true"\n',
    )
    assert paths.default_store() == Store(f"{place}/g/pyctr", f"/run/{os.getuid()}/pyctr", ("vfs",))
    assert paths.default_store("/r", "/rr", "overlay") == Store("/r", "/rr", ("overlay",))


def test_the_systems_file(place: Place) -> None:
    """Its own folders are those of root."""
    (place / "usr.conf").write_text('[storage]\ndriver = "vfs"\n')
    (place / "etc.conf").write_text(
        '[storage]\ndriver = "overlay"\ngraphroot = "/var/lib/x"\nrootless_storage_path = "/big/$UID"\n'
    )
    found = paths.default_store()
    assert (found.root, found.runroot) == (f"/big/{os.getuid()}/pyctr", f"{place}/pyctr")
    assert found.drivers == ("overlay", "fuse-overlayfs")
    own(place, '[storage]\ngraphroot = "/mine"\n')
    assert paths.default_store().root == "/mine/pyctr"


def test_one_file_instead_of_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    own(place, '[storage]\ndriver = "vfs"\n')
    (place / "other.conf").write_text('[storage]\ngraphroot = "/other"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{place}/other.conf")
    assert paths.default_store() == Store("/other/pyctr", f"{place}/pyctr")


def test_a_changed_file_is_read_again(place: Place) -> None:
    for driver in ("vfs", "fuse-overlayfs", "vfs"):
        own(place, f'[storage]\ndriver = "{driver}" # {driver}\n')
        assert paths.default_store().drivers == (driver,)
        assert paths.default_store().drivers == (driver,)  # from the cache


@pytest.mark.parametrize(
    ("text", "names", "options"),
    [
        ('driver = "overlay2"', ("overlay", "fuse-overlayfs"), ()),
        ('[storage.options]\nmount_program = "/x"', ("fuse-overlayfs",), ("mount_program=/x",)),
        ('[storage.options.overlay]\nmountopt = "nodev"', (), ("mountopt=nodev",)),
        (
            'driver = "overlay"\n[storage.options.overlay]\nmount_program = "/x"\nmountopt = "nodev,x=0"',
            ("fuse-overlayfs",),
            ("mount_program=/x", "mountopt=nodev,x=0"),
        ),
        ('driver = "vfs"\n[storage.options.overlay]\nmountopt = "nodev"', ("vfs",), ()),
    ],
)
def test_drivers_and_options(
    place: Place, text: str, names: tuple[str, ...], options: tuple[str, ...]
) -> None:
    own(place, f"[storage]\n{text}\n")
    found = paths.default_store()
    assert (found.drivers, found.options) == (names, options)


def test_environment_and_options(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    own(place, '[storage]\ndriver = "vfs"\n[storage.options.overlay]\nmountopt = "nodev"\n')
    monkeypatch.setenv("STORAGE_DRIVER", "overlay")
    monkeypatch.setenv("STORAGE_OPTS", "overlay.mountopt=nosuid,mount_program=/x")
    found = paths.default_store()
    assert found.drivers == ("fuse-overlayfs",)
    assert found.options == ("mountopt=nosuid", "mount_program=/x")
    assert paths.default_store(driver="vfs", options=("vfs.mountopt=noexec",)).options == (
        "mountopt=noexec",
    )


@pytest.mark.parametrize(
    "text", ["storage = 1", "[storage]\ndriver = 1", "[storage", '[storage]\ngraphroot = "relative"']
)
def test_a_wrong_file_is_named(place: Place, text: str) -> None:
    own(place, text)
    with pytest.raises(PyctrError, match="config/containers/storage.conf"):
        paths.default_store()


@pytest.mark.parametrize("option", ["size", "overlay.size=1", "mountopt"])
def test_an_unknown_option(place: Place, option: str) -> None:
    with pytest.raises(PyctrError, match="unknown storage option"):
        paths.default_store(options=(option,))


def test_words_of_mountopt() -> None:
    flags, words = drivers.mount_words(("mountopt=nodev,metacopy=on,xino=off,nosuid",))
    assert (flags, words) == (6, ["xino=off"])
    assert configuration.Configuration(mountopt="nodev").options() == ("mountopt=nodev",)


# The choice.


def test_the_first_that_works(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once, and remembered until the next boot."""
    tried: list[str] = []
    real = trial.attempt

    def attempt(store: Store, name: str) -> PyctrError | None:
        tried.append(name)
        return PyctrError("not here") if name == "overlay" else real(store, name)

    monkeypatch.setattr(trial, "attempt", attempt)
    assert drivers.chosen(own_store.replace(drivers=("overlay", "vfs"))) == "vfs"
    assert tried == ["overlay", "vfs"]
    choice._known.clear()
    assert drivers.chosen(own_store.replace(drivers=("overlay", "vfs"))) == "vfs"
    assert tried == ["overlay", "vfs"]
    monkeypatch.setattr(choice, "_boot", lambda: "another")
    choice._known.clear()
    assert drivers.chosen(own_store.replace(drivers=("overlay", "vfs"))) == "vfs"
    assert tried == ["overlay", "vfs"] * 2
    assert os.listdir(own_store.root) == []


def test_a_better_driver_that_is_installed_later(
    own_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    store = own_store.replace(drivers=("fuse-overlayfs", "vfs"))
    monkeypatch.setattr(fuseoverlayfs, "_PROGRAM", str(tmp_path / "fuse-overlayfs"))
    assert drivers.chosen(store) == "vfs"
    choice._known.clear()
    (tmp_path / "fuse-overlayfs").symlink_to("/usr/bin/fuse-overlayfs")
    assert drivers.chosen(store) == "fuse-overlayfs"


def test_none_works(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "attempt", lambda store, name: PyctrError(f"{name} is broken"))
    with pytest.raises(PyctrError, match="overlay is broken; vfs: vfs is broken"):
        drivers.chosen(own_store.replace(drivers=("overlay", "vfs")))


def test_options_that_a_driver_refuses(own_store: Store) -> None:
    """They do not lead to another driver."""
    store = own_store.replace(options=("mountopt=nonsense=1",))
    with pytest.raises(PyctrError, match="overlay works, but not with mountopt=nonsense=1"):
        drivers.chosen(store)


def test_every_driver_can_be_tried(own_store: Store) -> None:
    for name in drivers.NAMES:
        assert trial.attempt(own_store, name) is None


def test_info_shows_the_driver(cli: Cli) -> None:
    assert cli("info", "-f", "{{.Store.GraphDriverName}}").stdout == "overlay\n"
    shown = cli("--storage-driver", "vfs", "info", "-f", "{{.Store.GraphDriverName}}").stdout
    assert shown == "vfs\n"


def test_a_store_where_storage_conf_says(cli: Cli, busybox_archive: pathlib.Path) -> None:
    """The whole way, without --root and --runroot."""
    folder = pathlib.Path(cli.folder, "home/.config/containers")
    folder.mkdir(parents=True)
    roots = f'graphroot = "{cli.folder}/data"\nrunroot = "{cli.folder}/run"\n'
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{roots}')
    cli.argv = lambda *args: [*cli._program, *map(str, args)]  # type: ignore[method-assign]
    cli("load", "-q", "-i", busybox_archive)
    assert cli("run", "--rm", "--network", "none", "localhost/busybox", "echo", "hi").stdout == "hi\n"
    assert os.listdir(f"{cli.folder}/data") == ["pyctr"]
    assert cli("info", "-f", "{{.Store.GraphRoot}}").stdout == f"{cli.folder}/data/pyctr\n"

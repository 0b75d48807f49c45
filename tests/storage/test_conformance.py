"""Every storage driver against the same checks of `tests.storage.filesystem` and `fileprograms`."""

import os
import tarfile
import traceback

import pytest

from pyctr.rootless import syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import drivers, layers, paths, serving, trial
from pyctr.storage.drivers import Tree
from pyctr.storage.paths import Store
from tests.images import Layer
from tests.storage import fileprograms, filesystem
from tests.storage.building import look, put_image

# What drivers that are not ours cannot do.
KNOWN = {
    ("overlay", "a_link_to_a_file_of_a_layer_is_the_same_file"): "the kernel numbers files by their origin",
    ("fuse-overlayfs", "deep_paths"): "it works with whole paths, which the kernel limits to 4096 bytes",
    ("fuse-overlayfs", "folders_hand_their_group_down"): "new folders lack the set-group-id bit",
    ("fuse-overlayfs", "holes_stay_holes"): "a copied file has no holes",
    ("fuse-overlayfs", "marks"): "user.overlay.opaque can be set, and counts at the next mount",
}
pytestmark = pytest.mark.parametrize("driver", drivers.NAMES)


@pytest.fixture
def driver_store(driver: str, own_store: Store) -> Store:
    """A store whose only driver is the one of this test."""
    store = own_store.replace(drivers=(driver,))
    problem = trial.attempt(store, driver)
    if problem is not None:
        pytest.skip(f"{driver} does not work here: {problem.message}")
    return store


def tree_for(store: Store, maps: IdMaps, disk: str, *tars: bytes) -> Tree:
    key, names = layers.ensure_layers(store, put_image(store, *tars), maps)
    os.makedirs(f"{disk}/c/{paths.MERGED}")
    return Tree(store.layers(key), names, f"{disk}/c", volatile=True)


def use(driver: str, tree: Tree, maps: IdMaps, check: "filesystem.Check") -> None:
    """Runs a check in the mounted tree, as root of a namespace of its own."""
    userns.call_mapped(maps, _use, driver, tree, check)


def _use(driver: str, tree: Tree, check: "filesystem.Check") -> None:
    target = f"{tree.folder}/{paths.MERGED}"
    child = serving.mount_here(driver, tree, target)
    os.umask(0o022)
    try:
        os.chdir(target)
        check(".")
    except (AssertionError, OSError):
        raise PyctrError(traceback.format_exc()) from None
    finally:
        os.chdir("/")
        syscalls.umount2(target, syscalls.MNT_DETACH)
        if child:
            serving.await_end(child)


assert fileprograms.random_reads_and_writes.__name__ in filesystem.CHECKS


@pytest.mark.parametrize("name", filesystem.CHECKS)
def test_conformance(
    driver: str, name: str, driver_store: Store, maps: IdMaps, disk: str, request: pytest.FixtureRequest
) -> None:
    if (driver, name) in KNOWN:
        request.applymarker(pytest.mark.xfail(reason=KNOWN[driver, name], strict=False))
    tree = tree_for(driver_store, maps, disk, *filesystem.layers(large="large" in name))
    before = [look(f"{tree.layers}/{layer}/{paths.LAYER_DIFF}", maps) for layer in tree.lower]
    use(driver, tree, maps, filesystem.CHECKS[name])
    assert [look(f"{tree.layers}/{layer}/{paths.LAYER_DIFF}", maps) for layer in tree.lower] == before


def test_changes_survive_the_mount(driver: str, driver_store: Store, maps: IdMaps, disk: str) -> None:
    tree = tree_for(driver_store, maps, disk, *filesystem.layers())
    use(driver, tree, maps, filesystem.names_can_become_something_else)
    use(driver, tree, maps, _look_again)


def _look_again(root: str) -> None:
    assert os.listdir(f"{root}/replaced") == ["x"]
    assert os.readlink(f"{root}/cleared") == "nowhere"
    assert os.listdir(f"{root}/gone") == []
    assert filesystem.read(f"{root}/hidden") == b"back"
    filesystem.write(f"{root}/replaced/y", b"")


def test_marks_that_a_container_sets_hide_nothing_later(
    driver: str, driver_store: Store, maps: IdMaps, disk: str, request: pytest.FixtureRequest
) -> None:
    """An overlay reads them when it finds a folder: while it is mounted it would not look again."""
    if (driver, "marks") in KNOWN:
        request.applymarker(pytest.mark.xfail(reason=KNOWN[driver, "marks"], strict=False))
    tree = tree_for(driver_store, maps, disk, *filesystem.layers())
    use(driver, tree, maps, filesystem.marks_of_overlays_are_not_for_containers)
    use(driver, tree, maps, filesystem.layers_are_one)


SMUGGLED = {
    **{
        f"user.overlay.{name}": "y"
        for name in ("opaque", "whiteout", "metacopy", "impure", "origin", "protattr")
    },
    **{f"trusted.overlay.{name}": "y" for name in ("opaque", "whiteout", "metacopy")},
    **{f"{prefix}.overlay.redirect": "/secret" for prefix in ("user", "trusted")},
    "user.fuseoverlayfs.opaque": "y",
    "user.fuseoverlayfs.origin": "/secret",
    "user.fuseoverlayfs.override_stat": "0:0:4777",
    "user.containers.override_stat": "0:0:4777",
    "security.fuseoverlayfs.opaque": "y",
}


def test_attributes_of_an_image_hide_and_lead_nowhere(
    driver: str, driver_store: Store, maps: IdMaps, disk: str
) -> None:
    """Only the marks of archives hide: what drivers keep for themselves cannot be smuggled in."""
    headers = {f"SCHILY.xattr.{name}": value for name, value in SMUGGLED.items()}
    second = Layer().folder("d", pax_headers=headers).file("d/three", "three", pax_headers=headers)
    second.file("replaced", "mine", uid=5, mode=0o600, pax_headers=headers).add(
        "hidden", type=tarfile.CHRTYPE, devmajor=0, devminor=0
    )
    tree = tree_for(driver_store, maps, disk, filesystem.layers()[0], second.tar())
    use(driver, tree, maps, _nothing_is_hidden)


def _nothing_is_hidden(root: str) -> None:
    assert sorted(os.listdir(f"{root}/d")) == ["one", "sub", "three", "two"]
    assert filesystem.read(f"{root}/replaced") == b"mine"
    assert os.path.exists(f"{root}/hidden")
    status = os.stat(f"{root}/replaced")
    assert (status.st_uid, status.st_mode & 0o7777) == (5, 0o600)
    for path in ("d", "d/three", "replaced"):
        assert not [name for name in os.listxattr(f"{root}/{path}") if "over" in name or "opaque" in name]


def test_127_layers(driver: str, driver_store: Store, maps: IdMaps, disk: str) -> None:
    tars = [Layer().file(f"f{number}").file("last", str(number)).tar() for number in range(127)]
    tree = tree_for(driver_store, maps, disk, *tars)
    use(driver, tree, maps, _has_127_layers)


def _has_127_layers(root: str) -> None:
    assert len(os.listdir(root)) == 128
    assert filesystem.read(f"{root}/last") == b"126"


def test_no_layers(driver: str, driver_store: Store, maps: IdMaps, disk: str) -> None:
    tree = tree_for(driver_store, maps, disk)
    use(driver, tree, maps, lambda root: filesystem.write(f"{root}/file", b"x"))
    assert os.listdir(f"{disk}/c/{paths.UPPER}") == ["file"]


def test_a_missing_layer_is_named(driver: str, driver_store: Store, maps: IdMaps, disk: str) -> None:
    tree = tree_for(driver_store, maps, disk, Layer().file("a").tar())
    gone = tree.replace(lower=(*tree.lower, "b" * 24))
    with pytest.raises(PyctrError, match=f"layer .*/{'b' * 24}.* is missing"):
        use(driver, gone, maps, lambda root: None)

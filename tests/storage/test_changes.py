"""What a container has changed, from its upper layer: each dialect against the same expectations."""

import os

import pytest

from pyctr.rootless import syscalls, userns
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import changes, drivers, layers, serving
from pyctr.storage.drivers import Tree
from pyctr.storage.paths import Store
from tests.images import Layer
from tests.storage.building import put_image

LOWER = Layer().folder("a").file("a/kept").file("a/gone").folder("b").file("b/x").file("c").symlink("l", "c")
SECOND = Layer().file("a/.wh.gone2").folder("d").file("d/one").file("d/two").folder("d/sub").file("d/sub/x")


pytestmark = pytest.mark.parametrize("driver", drivers.NAMES)


def changed(driver: str, store: Store, maps: IdMaps, disk: str, words: str) -> list[str]:
    """Runs shell words in the root file system of a new container; what `changes` makes of it."""
    store = store.replace(drivers=(driver,))
    image = put_image(store, LOWER.tar(), SECOND.tar())
    key, names = layers.ensure_layers(store, image, maps)
    os.makedirs(f"{disk}/c/merged")
    tree = Tree(store.layers(key), names, f"{disk}/c")
    found = userns.call_mapped(maps, _change, driver, tree, words)
    return [f"{kind} {path.decode()}" for kind, path in found]


def _change(driver: str, tree: Tree, words: str) -> list[tuple[str, bytes]]:
    target = f"{tree.folder}/merged"
    child = serving.mount_here(driver, tree, target)
    status = os.system(f"set -e; cd {target}; {words}")
    syscalls.umount2(target)
    if child:
        serving.await_end(child)
    assert not status
    return [(each.kind, each.path) for each in changes.changes(driver, tree)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("true", ""),
        ("echo x > new", "A new"),
        ("echo x > a/kept", "C a,C a/kept"),
        ("rm a/gone", "C a,D a/gone"),
        ("rm -r b", "D b"),
        ("rm -r d && mkdir d", "C d,D d/one,D d/sub,D d/two"),
        ("rm -r d && mkdir -p d/sub", "C d,D d/one,C d/sub,D d/sub/x,D d/two"),
        ("rm -r d && echo x > d", "C d"),
        ("rm c && mkdir -p c/new", "C c,A c/new"),
        ("chmod 700 b", "C b"),
        ("ln -s x s; mkdir -p e/f; echo x > e/f/g", "A e,A e/f,A e/f/g,A s"),
        ("mv a/kept b/moved", "C a,D a/kept,C b,A b/moved"),
    ],
)
def test_changes(driver: str, own_store: Store, maps: IdMaps, disk: str, words: str, expected: str) -> None:
    assert changed(driver, own_store, maps, disk, words) == (expected.split(",") if expected else [])


def test_a_container_that_never_ran_has_changed_nothing(
    driver: str, own_store: Store, maps: IdMaps, disk: str
) -> None:
    assert list(changes.changes(driver, Tree(f"{disk}/none", (), disk))) == []


def test_folders_deeper_than_the_stack(driver: str, own_store: Store, maps: IdMaps, disk: str) -> None:
    words = 'python3 -c \'import os\nfor i in range(1500): os.mkdir("d"); os.chdir("d")\''
    assert len(changed(driver, own_store, maps, disk, f"mkdir deep; cd deep; {words}")) == 1501

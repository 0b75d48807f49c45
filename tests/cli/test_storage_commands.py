"""pyctr system df, prune, reset and check, on stores that real commands have made and tests have damaged."""

import json
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyctr.engine import checking, diskusage
from pyctr.rootless import syscalls, userns
from pyctr.runtime import state as states
from pyctr.storage import images, layers, paths, records
from pyctr.storage.checks import layer_keys
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.images import Layer, write_docker_archive


def disk_usage(cli: Cli) -> dict[str, dict[str, Any]]:
    return {row["Type"]: row for row in json.loads(cli("system", "df", "--format", "json").stdout)}


def layer_folders(store: Store) -> list[pathlib.Path]:
    key = layers.layer_key(store, userns.default_maps())
    return [path for path in pathlib.Path(store.layers(key)).iterdir() if (path / "complete").exists()]


def blob_of_layer(store: Store) -> pathlib.Path:
    (row,) = images.list_images(store)
    assert row.image
    return pathlib.Path(store.blob(row.image.layers[0].digest))


def load(cli: Cli, folder: pathlib.Path, name: str, *tars: bytes) -> None:
    write_docker_archive(folder / "image.tar", list(tars), name, {"Cmd": ["true"]})
    cli("load", "-q", "-i", folder / "image.tar")


def test_shared_layers_are_counted_once(cli: Cli, tmp_path: pathlib.Path) -> None:
    base, one, two = [
        Layer().file(name, bytes(size)).tar() for name, size in (("a", 40000), ("b", 20000), ("c", 10000))
    ]
    load(cli, tmp_path, "localhost/one:1", base, one)
    alone = disk_usage(cli)["Images"]["RawSize"]
    load(cli, tmp_path, "localhost/two:1", base, two)
    both = disk_usage(cli)["Images"]
    assert 2 * len(two) <= both["RawSize"] - alone < 2 * len(base)  # as blob, and unpacked
    assert both["RawReclaimable"] == both["RawSize"] and both["Total"] == 2
    lines = cli("system", "df", "-v").stdout.splitlines()
    shared = {line.split()[-3] for line in lines if line.startswith("localhost/")}
    assert len(shared) == 1 and shared != {"0B"}


def bytes_on_disk(store: Store) -> int:
    """What du(1) counts of blobs and unpacked layers: files with several names once, no folders."""
    tops = [f"{store.blobs()}/sha256", *[f"{layer}/diff" for layer in layer_folders(store)]]
    files = subprocess.run(["find", *tops, "-type", "f", "-print0"], capture_output=True, check=True).stdout
    counted = subprocess.run(
        ["du", "--files0-from=-", "--apparent-size", "-bc"], input=files, capture_output=True, check=True
    ).stdout
    return int(counted.splitlines()[-1].split()[0]) if files else 0


def test_df_agrees_with_du_and_with_what_removals_free(
    cli: Cli, store: Store, tmp_path: pathlib.Path
) -> None:
    """A layer counts as much as its tar: headers and padding more than its files."""
    base = Layer().file("a", bytes(400_000)).hardlink("b", "a").symlink("c", "a").file("d", "x" * 1234)
    upper = [Layer().file(name, name * 100_000).whiteout("d").hardlink(f"{name}2", name) for name in "xy"]
    tars = {name: layer.tar() for name, layer in zip(("base", "one", "two"), (base, *upper), strict=True)}
    for name in tars:
        load(cli, tmp_path, f"localhost/{name}:1", *dict.fromkeys([tars["base"], tars[name]]))
    padding = sum(map(len, tars.values())) - 400_000 - 1234 - 2 * 100_000
    assert disk_usage(cli)["Images"]["RawSize"] == bytes_on_disk(store) + padding
    for name in ("one", "base", "two"):
        found = {each.names[0]: each for each in diskusage.measure(store).images}[f"localhost/{name}:1"]
        assert found.size == found.shared + found.unique
        before, raw = bytes_on_disk(store), disk_usage(cli)["Images"]["RawSize"]
        cli("rmi", f"localhost/{name}:1")
        assert raw - disk_usage(cli)["Images"]["RawSize"] == found.unique
        assert 0 <= found.unique - (before - bytes_on_disk(store)) <= padding
    assert bytes_on_disk(store) == 0


def test_what_df_says_is_free_is_what_prune_frees(cli: Cli, busybox: str) -> None:
    cli(
        "run",
        "--name",
        "c",
        "--network",
        "none",
        "-v",
        "data:/data",
        busybox,
        "sh",
        "-c",
        "echo 12345 > /data/x; echo 123 > /x",
    )
    found = disk_usage(cli)
    assert found["Images"]["Active"] == 1 and found["Images"]["RawReclaimable"] == 0
    assert (found["Containers"]["RawSize"], found["Local Volumes"]["RawSize"]) == (4, 6)
    cli("rm", "c")
    size = disk_usage(cli)["Images"]["Reclaimable"].split(" ")[0]
    pruned = cli("system", "prune", "-af").stdout
    assert pruned.splitlines()[-1] == f"Total reclaimed space: {size}"
    assert disk_usage(cli)["Images"]["RawSize"] == 0
    assert cli("volume", "ls", "-q").stdout == "data\n"


def test_prune_takes_what_is_not_needed(cli: Cli, busybox: str) -> None:
    ended = cli("create", "-l", "a=b", busybox).stdout.strip()
    other = cli("create", busybox).stdout.strip()
    cli("run", "-d", "--network", "none", "--name", "web", busybox, "sleep", "inf")
    cli("volume", "create", "data")
    assert "[y/N]" in cli("system", "prune", input="n\n").stdout
    assert cli("system", "prune", "-f", "--filter", "label=a").stdout.splitlines()[:2] == [
        "Deleted Containers",
        ended,
    ]
    printed = cli("system", "prune", "-f", "--volumes").stdout.splitlines()
    assert printed[:4] == ["Deleted Containers", other, "Deleted Volumes", "data"]
    assert cli("ps", "-q").stdout and cli("images", "-q").stdout


WRONG = ["df -v --format json", "prune --filter x=1 -f", "prune --external", "check --max x"]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_refused(cli: Cli, words: str) -> None:
    assert cli("system", *words.split(), check=False).returncode == 125


def test_a_sound_store_is_passed_in_silence(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "--rm", "--network", "none", "-v", "data:/etc", busybox, "true")
    cli("run", "--rm", "--network", "none", "--userns", "keep-id", busybox, "true")
    assert cli("system", "check").stdout == ""
    assert not [path for path in pathlib.Path(store.root).rglob("tmp.*")]


DAMAGE: dict[str, Callable[[pathlib.Path], object]] = {
    "content": lambda layer: (layer / "diff/etc/passwd").write_text("x" * 68),
    "mode": lambda layer: (layer / "diff/etc/passwd").chmod(0o600),
    "missing": lambda layer: (layer / "diff/etc/passwd").unlink(),
    "added": lambda layer: (layer / "diff/added").write_text(""),
    "attribute": lambda layer: os.setxattr(layer / "diff/etc/passwd", "user.x", b"y"),
    "mark": lambda layer: (layer / "complete").unlink(),
    "record": lambda layer: (layer / "layer.json").write_text("{"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_layer_is_found_and_unpacked_again(
    cli: Cli, busybox: str, store: Store, kind: str
) -> None:
    (layer,) = layer_folders(store)
    DAMAGE[kind](layer)
    done = cli("system", "check", check=False)
    assert done.returncode == 125 and layer.name in done.stdout
    assert "unpacked again" in cli("system", "check", "--repair").stdout
    assert cli("system", "check").stdout == ""
    cli("run", "--rm", "--network", "none", busybox, "true")


def test_holes_are_compared_without_reading_them(cli: Cli, store: Store, tmp_path: pathlib.Path) -> None:
    """Terabytes that take no disk take no time either; what is written into the hole is found."""
    with (tmp_path / "giant").open("wb") as giant:
        giant.truncate(10 << 40)
    pack = ["tar", "--sparse", "--format=posix", "--owner=0", "--group=0", "-C", str(tmp_path)]
    subprocess.run([*pack, "-cf", str(tmp_path / "root.tar"), "giant"], check=True)
    cli("import", "-q", tmp_path / "root.tar", "localhost/giant")
    assert cli("system", "check").stdout == ""
    (layer,) = layer_folders(store)
    path = layer / "diff/giant"
    before = path.stat()
    with path.open("r+b") as giant:
        giant.seek(5 << 40)
        giant.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "giant" in cli("system", "check", check=False).stdout


def test_layers_of_other_id_maps_are_compared_too(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "--rm", "--network", "none", "--userns", "keep-id:uid=7,gid=8", busybox, "true")
    mine = {path.parent.name for path in layer_folders(store)}
    (other,) = set(os.listdir(f"{store.root}/layers")) - mine
    maps = dict(layer_keys(store))[other]
    assert maps.key() == other.partition("-")[2]
    script = f"for each in {store.layers(other)}/*/diff/etc/passwd; do echo x >> $each; done"
    cli("unshare", "sh", "-c", script)
    assert cli("system", "check", check=False).returncode == 125
    cli("system", "check", "--repair")
    assert cli("system", "check").stdout == ""


def test_a_layer_under_a_running_container_is_let_alone(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "inf")
    (layer,) = layer_folders(store)
    DAMAGE["added"](layer)
    done = cli("system", "check", "--repair", check=False)
    assert done.returncode == 125 and "stop" in done.stdout
    cli("rm", "-f", "-t", "0", "web")
    cli("system", "check", "--repair")


def elsewhere(state: dict[str, Any], _pid: int) -> dict[str, Any]:
    """The state as another pid namespace sees it."""
    moved = {name: {**state[name], "pidns": state[name]["pidns"] + 1} for name in ("process", "monitor")}
    return {**state, **moved}


def being_started(state: dict[str, Any], pid: int) -> dict[str, Any]:
    monitor = {**state["monitor"], "pid": pid, "start": states.start_time(pid)}
    return {**state, "status": "initialized", "process": None, "monitor": monitor}


@pytest.mark.parametrize("change", [elsewhere, being_started])
def test_a_layer_under_a_container_that_may_run_is_let_alone(
    cli: Cli, busybox: str, store: Store, change: Callable[[dict[str, Any], int], dict[str, Any]]
) -> None:
    container = cli("run", "-d", "--network", "none", busybox, "sleep", "inf").stdout.strip()
    (layer,) = layer_folders(store)
    DAMAGE["added"](layer)
    file = pathlib.Path(store.container(container), paths.STATE)
    kept = file.read_text()
    other = subprocess.Popen(["sleep", "60"])
    file.write_text(json.dumps(change(json.loads(kept), other.pid)))
    done = cli("system", "check", "--repair", check=False)
    file.write_text(kept)
    other.kill()
    other.wait()
    assert done.returncode == 125 and container[:12] in done.stdout and (layer / "diff/added").exists()


@pytest.mark.parametrize("name", [paths.SPEC, paths.STATE])
def test_a_layer_under_a_running_container_that_cannot_be_read_is_let_alone(
    cli: Cli, busybox: str, store: Store, name: str
) -> None:
    container = cli("run", "-d", "--network", "none", busybox, "sleep", "inf").stdout.strip()
    (layer,) = layer_folders(store)
    DAMAGE["added"](layer)
    file = pathlib.Path(store.container(container), name)
    kept = file.read_text()
    file.write_text("{")
    done = cli("system", "check", "--repair", check=False)
    file.write_text(kept)
    assert done.returncode == 125 and container[:12] in done.stdout and (layer / "diff/added").exists()


def test_a_layer_under_a_container_that_is_at_work_is_let_alone(
    cli: Cli, busybox: str, store: Store
) -> None:
    container = cli("create", busybox).stdout.strip()
    (layer,) = layer_folders(store)
    DAMAGE["added"](layer)
    with records.lock(store.container(container)):
        done = cli("system", "check", "--repair", check=False)
    assert done.returncode == 125 and container[:12] in done.stdout and (layer / "diff/added").exists()
    assert "unpacked again" in cli("system", "check", "--repair").stdout


def test_a_layer_that_gets_a_container_during_its_repair_is_let_alone(
    cli: Cli, busybox: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (layer,) = layer_folders(store)
    DAMAGE["added"](layer)
    argv = ("run", "-d", "--network", "none", busybox, "sleep", "inf")
    monkeypatch.setattr(syscalls, "syncfs", lambda _fd: cli(*argv))
    (found,) = checking.check(store, checking.Scope(repair=True))
    assert found.done.startswith("not repaired") and (layer / "diff/added").exists()


def test_an_image_with_a_damaged_blob_goes_and_can_be_loaded_again(
    cli: Cli, busybox: str, store: Store, busybox_archive: pathlib.Path
) -> None:
    with open(blob_of_layer(store), "r+b") as blob:
        blob.write(b"rotten")
    container = cli("create", busybox).stdout.strip()
    assert cli("system", "check", "--quick").stdout == ""
    kept = cli("system", "check", "--repair", check=False)
    assert kept.returncode == 125 and container in kept.stdout and cli("images", "-q").stdout
    assert "removed" in cli("system", "check", "--repair", "--force").stdout
    assert cli("images", "-q").stdout == cli("ps", "-aq").stdout == ""
    cli("load", "-q", "-i", busybox_archive)
    assert cli("system", "check").stdout == ""


@pytest.mark.parametrize("where", ["blobs/sha256", "blobs", "blob"])
def test_an_image_that_cannot_be_read_is_told_and_kept(
    cli: Cli, busybox: str, store: Store, where: str
) -> None:
    """Permissions, or a disk with errors: nobody knows that its blobs are damaged."""
    path = pathlib.Path(store.root, where) if where != "blob" else blob_of_layer(store)
    mode = path.stat().st_mode
    path.chmod(0)
    done = cli("system", "check", "--repair", "--force", check=False)
    path.chmod(mode)
    assert done.returncode == 125 and "Permission denied" in done.stdout, done.stderr
    assert cli("system", "check").stdout == ""
    cli("run", "--rm", "--network", "none", busybox, "true")


def test_records_that_cannot_be_read_are_told_and_kept(cli: Cli, busybox: str, store: Store) -> None:
    cli("volume", "create", "data")
    pathlib.Path(store.volume("data"), paths.VOLUME_RECORD).write_text("{")
    pathlib.Path(store.image_name(busybox)).write_text("{")
    done = cli("system", "check", "--repair", check=False)
    assert done.returncode == 125 and "volume data" in done.stdout and busybox in done.stdout
    assert os.path.exists(store.volume("data")) and os.path.exists(store.image_name(busybox))


def test_leftovers_are_told_and_removed(cli: Cli, busybox: str, store: Store) -> None:
    (key,) = os.listdir(f"{store.root}/layers")
    folders = (store.containers(), store.volumes(), store.layers(key), f"{store.blobs()}/sha256")
    for folder in folders:
        os.makedirs(f"{folder}/tmp.1", exist_ok=True)
    pathlib.Path(f"{store.blobs()}/sha256", "0" * 64).write_text("")
    found = cli("system", "check").stdout.splitlines()
    assert len(found) == 5 and all(line.startswith("leftover: ") for line in found)
    assert cli("system", "check", "--max", "1h").stdout == ""
    assert cli("system", "check", "--repair").stdout.count("(removed)") == 5
    assert cli("system", "check").stdout == ""


def test_a_repair_leaves_leftovers_that_are_younger_than_it_was_told(
    cli: Cli, busybox: str, store: Store
) -> None:
    (key,) = os.listdir(f"{store.root}/layers")
    folders = (store.containers(), store.volumes(), store.layers(key), f"{store.blobs()}/sha256")
    for name, age in (("1", 7200), ("2", 60)):
        made = [f"{folder}/tmp.{name}" for folder in folders]
        made.append(f"{store.layers(key)}/{name * paths.LAYER_NAME_LENGTH}")
        files = [store.blob(f"sha256:{name * 64}"), f"{store.root}/.index.json.{name}"]
        for path in made:
            os.makedirs(path)
        for path in files:
            pathlib.Path(path).touch()
        for path in (*made, *files):
            os.utime(path, (time.time() - age,) * 2)
    done = cli("system", "check", "--repair", "--max", "1h").stdout
    assert done.count("(removed)") == len(done.splitlines()) == 7
    assert all(os.path.exists(path) for path in (*made, *files))
    assert cli("system", "check", "--repair").stdout.count("(removed)") == 7


def test_reset_removes_everything(cli: Cli, busybox: str, store: Store) -> None:
    assert "[y/N]" in cli("system", "reset", input="n\n").stdout
    script = "mkdir -p /v/a/b /a/b; touch /v/a/b/c; chown -R 5:5 /v/a /a; chmod 0 /v/a/b /v/a /a/b /a"
    cli("run", "--network", "none", "-v", "data:/v", busybox, "sh", "-c", script)
    cli("run", "-d", "--network", "none", busybox, "sleep", "inf")
    cli("system", "reset", "-f")
    assert not os.path.exists(store.root) and not os.path.exists(store.runroot)
    assert cli("ps", "-aq").stdout == cli("images", "-q").stdout == ""


@pytest.mark.parametrize("broken", [(paths.SPEC,), (paths.STATE,), (paths.SPEC, paths.STATE)])
def test_reset_ends_containers_whose_records_cannot_be_read(
    cli: Cli, busybox: str, store: Store, broken: tuple[str, ...]
) -> None:
    container = cli("run", "-d", "--network", "none", busybox, "sleep", "inf").stdout.strip()
    for name in broken:
        pathlib.Path(store.container(container), name).write_text("{")
    cli("system", "reset", "-f")
    assert not os.path.exists(store.root)  # and the fixture finds no process that was left behind


def test_reset_leaves_what_is_not_its_own(cli: Cli, busybox: str, store: Store) -> None:
    precious = pathlib.Path(store.root, "thesis.txt")
    precious.write_text("")
    assert "thesis.txt" in cli("system", "reset", "-f").stdout
    assert os.listdir(store.root) == ["thesis.txt"]


@pytest.mark.parametrize("kept", ["images/holiday.jpg", "secrets/key", "blobs/sha256/" + "0" * 64])
def test_reset_refuses_a_folder_that_is_no_store(cli: Cli, store: Store, kept: str) -> None:
    precious = pathlib.Path(store.root, kept)
    precious.parent.mkdir(parents=True)
    precious.write_text("")
    pathlib.Path(store.root, "oci-layout").write_text("")  # as in a folder that skopeo has written
    done = cli("system", "reset", "-f", check=False)
    assert done.returncode == 125 and store.root in done.stderr and precious.exists()
    assert not os.path.exists(store.store_lock())


def test_reset_and_prune_leave_names_that_pyctr_does_not_make(cli: Cli, busybox: str, store: Store) -> None:
    kept = ["networks", "secrets", "tmp.mine"]
    for name in kept:
        os.makedirs(f"{store.root}/{name}/work")
    cli("image", "prune", "-f")
    assert cli("system", "check", "--repair").stdout == ""
    cli("system", "reset", "-f")
    assert sorted(os.listdir(store.root)) == kept
    assert all(os.path.isdir(f"{store.root}/{name}/work") for name in kept)


def test_reset_leaves_what_others_have_in_the_runtime_folder(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "-d", "--network", "none", busybox, "sleep", "inf")
    kept = [f"{'0' * 64}/attach", "auth.json", f"mounts/{'1' * 64}/root"]
    for name in kept:
        os.makedirs(f"{store.runroot}/{name}")
    cli("system", "reset", "-f")
    assert sorted(os.listdir(store.runroot)) == sorted({name.partition("/")[0] for name in kept})
    assert all(os.path.isdir(f"{store.runroot}/{name}") for name in kept)


def test_reset_takes_temporaries_and_a_store_of_volumes(cli: Cli, store: Store) -> None:
    cli("volume", "create", "data")
    made = ["tmp." + "0" * 32, "tmp.12." + "0" * 16, "tmp.doctor.abc_def1", "tmp.layers." + "0" * 16]
    for name in made:
        os.mkdir(f"{store.root}/{name}")
    pathlib.Path(store.root, ".index.json.12").write_text("")
    cli("system", "reset", "-f")
    assert not os.path.exists(store.root)


def test_reset_of_nothing(cli: Cli) -> None:
    cli("system", "reset", "-f")


def test_reset_knows_every_name_of_the_root_folder() -> None:
    text = pathlib.Path(paths.__file__).read_text()
    assert set(re.findall(r"\{self\.root\}/([a-z.-]+)", text)) <= set(paths.NAMES_IN_ROOT)

"""SIGKILL of a command and all its processes at any system call that changes files: nothing is lost.

After the kill a fresh process finds every image that was there whole, and the new one whole or absent; the
next call succeeds; `system check` finds nothing; and no byte is left once all that is known was removed.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pyctr.storage import records
from pyctr.storage.paths import Store
from tests import images, registries
from tests.commands import CHECKOUT, Cli, site_folders
from tests.conftest import needs
from tests.images import BUSYBOX, Layer, write_docker_archive

NEW = "localhost/new:1"
POINTS = int(os.environ.get("PYCTR_TEST_POINTS", "8"))  # of each operation, spread over all of it
VOLUMES = ("-v", "data:/etc", "-v", "/anonymous")
RESET = "system reset"
TRACER = CHECKOUT / "tests" / "tracer.py"


class Case:
    """A store as it was before the operation, in `cli`, and what the operation needs."""

    def __init__(
        self, cli: Cli, busybox_archive: pathlib.Path, archive: pathlib.Path, registry: str
    ) -> None:
        self.cli = cli
        self.busybox_archive = busybox_archive
        self.archive = archive  # of an image that shares a layer with BUSYBOX
        self.registry = registry

    def traced(self, point: int, *words: str) -> tuple[int, int]:
        """Runs a command until its call number `point`; calls made, exit code."""
        pyctr = [sys.executable, "-m", "pyctr", *self.cli.argv(*words)[1:]]
        paths = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT), *site_folders()])
        done = subprocess.run(
            [sys.executable, str(TRACER), str(point), *pyctr],
            env=self.cli.environment({"PYTHONPATH": paths}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        count, code = done.stdout.split()
        return int(count), int(code)


class Operation:
    """What is killed. `prepare` makes the store, `again` is the next call of the user. The command `shows`
    prints "content" in NEW, if that is there.
    """

    def __init__(
        self, words: Callable[[Case], list[str]], prepare: Callable[[Case], object] | None = None,
        again: Callable[[Case], list[str]] | None = None, shows: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.words = words
        self.prepare = prepare or (lambda case: None)
        self.again = again or words
        self.shows = shows


def load_new(case: Case) -> None:
    case.cli("load", "-q", "-i", case.archive)


def untagged(case: Case) -> None:
    load_new(case)
    case.cli("untag", NEW)


OPERATIONS = {
    "pull": Operation(lambda case: ["pull", "-q", "--tls-verify=false", f"{case.registry}/new:1"]),
    "load": Operation(lambda case: ["load", "-q", "-i", str(case.archive)], shows=[]),
    "import": Operation(lambda case: ["import", "-q", str(case.archive), NEW]),
    "tag": Operation(lambda case: ["tag", BUSYBOX, NEW]),
    "tag over": Operation(lambda case: ["tag", BUSYBOX, NEW], load_new),
    "untag": Operation(lambda case: ["untag", NEW], load_new, lambda case: ["tag", BUSYBOX, NEW], []),
    "rmi": Operation(lambda case: ["rmi", NEW], load_new, lambda case: ["rmi", "-i", NEW], []),
    "image prune": Operation(lambda case: ["image", "prune", "-f"], untagged),
    "system prune": Operation(lambda case: ["system", "prune", "-f"], untagged),
    "volume create": Operation(
        lambda case: ["volume", "create", "-l", "a=b", "data"],
        again=lambda case: ["volume", "create", "--ignore", "data"],
    ),
    "volume rm": Operation(
        lambda case: ["volume", "rm", "data"],
        lambda case: case.cli("volume", "create", "data"),
        lambda case: ["volume", "rm", "-f", "data"],
    ),
    "commit": Operation(
        lambda case: ["commit", "-q", "changed", NEW],
        lambda case: case.cli(
            *("run", "--name", "changed", "--network", "none", BUSYBOX),
            *("sh", "-c", "rm -r /www; mkdir /deep; echo -n content > /deep/file"),
        ),
        shows=["cat", "/deep/file"],
    ),
    "create": Operation(lambda case: ["create", *VOLUMES, BUSYBOX]),
    "run": Operation(lambda case: ["run", "--rm", "--network", "none", *VOLUMES, BUSYBOX, "true"]),
    "system reset": Operation(
        lambda case: ["system", "reset", "-f"], again=lambda case: ["load", "-q", "-i", str(case.archive)]
    ),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A docker-archive of NEW: the layer of BUSYBOX, and two that need what is below them."""
    try:
        base = images.busybox_layer(images.busybox_program())
    except FileNotFoundError as error:
        pytest.skip(str(error))
    middle = Layer().hardlink("etc/same", "etc/passwd").whiteout("www/index.html")
    middle.file("big", bytes(range(256)) * 4000)
    top = Layer().folder("deep/er").opaque("www").file("deep/er/file", "content").symlink("deep/link", "er")
    path = tmp_path_factory.mktemp("crashes") / "new.tar"
    write_docker_archive(path, [base, middle.tar(), top.tar()], NEW, {"Cmd": ["cat", "/deep/er/file"]})
    return path


@pytest.fixture(scope="module")
def registry_with_new(archive: pathlib.Path) -> Iterator[str]:
    needs("docker-registry", "skopeo")
    with registries.serve() as address:
        argv = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
        subprocess.run([*argv, f"docker-archive:{archive}", f"docker://{address}/new:1"], check=True)
        yield address


@pytest.fixture
def case(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, archive: pathlib.Path, registry_with_new: str
) -> Case:
    cli("run", "--rm", "--network", "none", busybox, "true")  # compiles the filter of system calls
    return Case(cli, busybox_archive, archive, registry_with_new)


COUNTS: dict[str, int] = {}  # state-changing calls of each operation, counted once


def calls_of(name: str, case: Case) -> int:
    """The calls of an operation on the store of the case, which is as it was before at the end."""
    if name not in COUNTS:
        operation = OPERATIONS[name]
        operation.prepare(case)
        count, code = case.traced(0, *operation.words(case))
        assert code == 0
        COUNTS[name] = count
        for words in ("rm -af", "volume rm -af", "rmi -afi"):
            case.cli(*words.split())
        case.cli("load", "-q", "-i", case.busybox_archive)
    return COUNTS[name]


def kill_and_check(case: Case, name: str, step: int) -> None:
    operation = OPERATIONS[name]
    point = max(1, (2 * step + 1) * calls_of(name, case) // (2 * POINTS))
    operation.prepare(case)
    _, code = case.traced(point, *operation.words(case))
    assert code == -9
    if name != RESET:
        check_store(case, BUSYBOX, operation.shows)
        check_volumes(case.cli)
    case.cli(*operation.again(case))
    check_store(case, BUSYBOX if name != RESET else NEW)
    case.cli("system", "prune", "-f")
    assert case.cli("system", "check").stdout == ""
    check_nothing_stays(case.cli, case.cli.store)


def check_store(case: Case, kept: str, shows: list[str] | None = None) -> None:
    """Nothing is damaged; what was there runs, and the new image, if it is there, does too."""
    found = case.cli("system", "check").stdout
    assert all(line.startswith("leftover: ") for line in found.splitlines()), found
    names = case.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert kept in names
    run = ("run", "--rm", "--network", "none")
    case.cli(*run, kept, "true")
    if shows is not None and NEW in names:
        assert case.cli(*run, NEW, *shows).stdout == "content"
    pulled = f"{case.registry}/new:1"
    if pulled in names:
        assert case.cli(*run, pulled).stdout == "content"


def check_volumes(cli: Cli) -> None:
    """No volume without a name outlives a container that never was."""
    if cli("ps", "-aq").stdout == "":
        cli("container", "prune", "-f")
        assert cli("volume", "ls", "-q").stdout in ("", "data\n")


def check_nothing_stays(cli: Cli, store: Store) -> None:
    """Once all that pyctr knows of is removed, no file is left but locks, logs and caches."""
    for words in ("rm -af", "rmi -af", "volume rm -af", "system prune -f"):
        cli(*words.split())
    allowed = ("store.lock", "oci-layout", "index.json", "events.log", "cache/", "exits/")
    root = pathlib.Path(store.root)
    found = [path for path in root.rglob("*") if not path.is_dir() or path.name.startswith("tmp.")]
    names = [str(path.relative_to(root)) for path in found]
    assert [name for name in names if not name.startswith(allowed)] == []
    assert records.names_in(store.volumes()) == records.names_in(store.containers()) == []


@pytest.mark.parametrize("step", range(POINTS))
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_loses_nothing(case: Case, name: str, step: int) -> None:
    kill_and_check(case, name, step)

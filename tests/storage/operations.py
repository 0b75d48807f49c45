"""Operations on a store that something happens to in the middle, and what must hold afterwards.

A fresh process finds every image that was there whole, and the new one whole or absent; the next call
succeeds; `system check` finds nothing; and no byte is left once all that is known was removed.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

from pyctr.storage import records
from pyctr.storage.paths import Store
from tests import images
from tests.commands import CHECKOUT, Cli, site_folders
from tests.images import BUSYBOX, Layer, write_docker_archive

NEW = "localhost/new:1"
VOLUMES = ("-v", "data:/etc", "-v", "/anonymous")
RESET = "system reset"
TRACER = CHECKOUT / "tests" / "tracer.py"


class Traced:
    """What became of a command: state-changing calls made, exit code (-9: killed), what it has said."""

    def __init__(self, count: int, code: int, told: str) -> None:
        self.count = count
        self.code = code
        self.told = told


class Case:
    """A store as it was before the operation, in `cli`, and what the operation needs."""

    def __init__(
        self, cli: Cli, busybox_archive: pathlib.Path, archive: pathlib.Path, registry: str
    ) -> None:
        self.cli = cli
        self.busybox_archive = busybox_archive
        self.archive = archive  # of an image that shares a layer with BUSYBOX
        self.registry = registry

    def traced(self, event: str, point: int, *words: str) -> Traced:
        """Runs a command; at its call number `point` it is killed, or the disk full, as `event` says."""
        pyctr = [sys.executable, "-m", "pyctr", *self.cli.argv(*words)[1:]]
        paths = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT), *site_folders()])
        done = subprocess.run(
            [sys.executable, str(TRACER), event, str(point), *pyctr],
            env=self.cli.environment({"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        count, code = done.stdout.split()
        return Traced(int(count), int(code), done.stderr)

    def names(self) -> list[str]:
        """The names of all images."""
        return self.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()


class Operation:
    """What is disturbed. `prepare` makes the store, `again` is the next call of the user.

    The command `shows` prints "content" in NEW, if that is there. `done`: whether all was done.
    """

    def __init__(
        self, words: Callable[[Case], list[str]], prepare: Callable[[Case], object] | None = None,
        again: Callable[[Case], list[str]] | None = None, shows: list[str] | None = None,
        done: Callable[[Case], bool] | None = None,
    ) -> None:  # fmt: skip
        self.words = words
        self.prepare = prepare or (lambda case: None)
        self.again = again or words
        self.shows = shows
        self.done = done or (lambda case: NEW in case.names())


def load_new(case: Case) -> None:
    case.cli("load", "-q", "-i", case.archive)


def untagged(case: Case) -> None:
    load_new(case)
    case.cli("untag", NEW)


def is_gone(case: Case) -> bool:
    return NEW not in case.names()


def is_single(case: Case) -> bool:
    """Whether there is one image only, with or without a name."""
    return len(case.names()) == 1


OPERATIONS = {
    "pull": Operation(
        lambda case: ["pull", "-q", "--tls-verify=false", f"{case.registry}/new:1"],
        done=lambda case: f"{case.registry}/new:1" in case.names(),
    ),
    "load": Operation(lambda case: ["load", "-q", "-i", str(case.archive)], shows=[]),
    "import": Operation(lambda case: ["import", "-q", str(case.archive), NEW]),
    "tag": Operation(lambda case: ["tag", BUSYBOX, NEW]),
    "tag over": Operation(lambda case: ["tag", BUSYBOX, NEW], load_new),
    "untag": Operation(
        lambda case: ["untag", NEW], load_new, lambda case: ["tag", BUSYBOX, NEW], [], is_gone
    ),
    "rmi": Operation(lambda case: ["rmi", NEW], load_new, lambda case: ["rmi", "-i", NEW], [], is_gone),
    "image prune": Operation(lambda case: ["image", "prune", "-f"], untagged, done=is_single),
    "system prune": Operation(lambda case: ["system", "prune", "-f"], untagged, done=is_single),
    "volume create": Operation(
        lambda case: ["volume", "create", "-l", "a=b", "data"],
        again=lambda case: ["volume", "create", "--ignore", "data"],
        done=lambda case: case.cli("volume", "ls", "-q").stdout == "data\n",
    ),
    "volume rm": Operation(
        lambda case: ["volume", "rm", "data"],
        lambda case: case.cli("volume", "create", "data"),
        lambda case: ["volume", "rm", "-f", "data"],
        done=lambda case: case.cli("volume", "ls", "-q").stdout == "",
    ),
    "commit": Operation(
        lambda case: ["commit", "-q", "changed", NEW],
        lambda case: case.cli(
            *("run", "--name", "changed", "--network", "none", BUSYBOX),
            *("sh", "-c", "rm -r /www; mkdir /deep; echo -n content > /deep/file"),
        ),
        shows=["cat", "/deep/file"],
    ),
    "create": Operation(
        lambda case: ["create", *VOLUMES, BUSYBOX], done=lambda case: case.cli("ps", "-aq").stdout != ""
    ),
    "run": Operation(
        lambda case: ["run", "--rm", "--network", "none", *VOLUMES, BUSYBOX, "true"],
        done=lambda case: case.cli("ps", "-aq").stdout == "",
    ),
    "system reset": Operation(
        lambda case: ["system", "reset", "-f"],
        again=lambda case: ["load", "-q", "-i", str(case.archive)],
        done=lambda case: case.names() == [],
    ),
}


def write_archive(path: pathlib.Path) -> None:
    """A docker-archive of NEW: the layer of BUSYBOX, and two that need what is below them."""
    base = images.busybox_layer(images.busybox_program())
    middle = Layer().hardlink("etc/same", "etc/passwd").whiteout("www/index.html")
    middle.file("big", bytes(range(256)) * 4000)
    top = Layer().folder("deep/er").opaque("www").file("deep/er/file", "content").symlink("deep/link", "er")
    write_docker_archive(path, [base, middle.tar(), top.tar()], NEW, {"Cmd": ["cat", "/deep/er/file"]})


COUNTS: dict[str, int] = {}  # state-changing calls of each operation, counted once


def calls_of(name: str, case: Case) -> int:
    """The calls of an operation on the store of the case, which is as it was before at the end."""
    if name not in COUNTS:
        operation = OPERATIONS[name]
        operation.prepare(case)
        undisturbed = case.traced("kill", 0, *operation.words(case))
        assert undisturbed.code == 0, undisturbed.told
        assert operation.done(case)
        COUNTS[name] = undisturbed.count
        for words in ("rm -af", "volume rm -af", "rmi -afi"):
            case.cli(*words.split())
        case.cli("load", "-q", "-i", case.busybox_archive)
    return COUNTS[name]


def disturb(event: str, case: Case, name: str, step: int, steps: int) -> Traced:
    """Prepares and runs an operation; `event` happens in the middle of one of `steps` parts of it."""
    operation = OPERATIONS[name]
    point = max(1, (2 * step + 1) * calls_of(name, case) // (2 * steps))
    operation.prepare(case)
    return case.traced(event, point, *operation.words(case))


def check_afterwards(case: Case, name: str) -> None:
    """Everything that must hold after an operation that was disturbed; removes all images."""
    operation = OPERATIONS[name]
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
    names = case.names()
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

"""What is measured of images: a command, what is done before (once, or before each run), and the aim."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.bench.content import SMALL, THREE, TWELVE, Kind
from tests.bench.contestants import Contestant
from tests.bench.supply import Supply
from tests.images import BUSYBOX

_TIMEOUT = 300  # seconds of a command that is not measured
_WRITE = "mkdir /new; i=0; while test $i -lt {}; do head -c 4000 /bin/busybox > /new/$i; i=$((i + 1)); done"
NO_TLS = "--tls-verify=false"


class Place(NamedTuple):
    """Where a case is played: a program with a store of its own, and what both are given."""

    rival: Contestant
    supply: Supply

    def run(self, *words: str, input: str | None = None) -> None:
        self.rival.run(*words, timeout=_TIMEOUT, input=input)


Step = Callable[[Place], object]


@dataclass(frozen=True)
class ImageCase:
    """`words` gives the command to measure. `once` is done first, `each` before every run."""

    name: str
    aim: float
    words: Callable[[Place], tuple[str, ...]]
    once: tuple[Step, ...] = ()
    each: tuple[Step, ...] = ()


def empty(place: Place) -> None:
    place.rival.forget()


def pull(kind: Kind) -> Callable[[Place], tuple[str, ...]]:
    return lambda place: ("pull", "-q", NO_TLS, place.supply.served(kind))


def load(kind: Kind) -> Callable[[Place], tuple[str, ...]]:
    return lambda place: ("load", "-q", "-i", place.supply.archive(kind))


def push(name: Callable[[Place], str]) -> Callable[[Place], tuple[str, ...]]:
    return lambda place: ("push", "-q", NO_TLS, name(place), place.supply.target(place.rival.name))


def save(kind: Kind) -> Callable[[Place], tuple[str, ...]]:
    return lambda place: ("save", "-q", "-o", place.supply.scratch("saved.tar"), kind.reference)


def words(*given: str) -> Callable[[Place], tuple[str, ...]]:
    return lambda _place: given


def do(command: Callable[[Place], tuple[str, ...]]) -> Step:
    """The step that runs a command."""
    return lambda place: place.run(*command(place))


def new_target(place: Place) -> None:
    place.supply.renew_target()


def change(count: int) -> Step:
    """A stopped container named "changed" that has made so many files."""

    def step(place: Place) -> None:
        base = ("run", "--name", "changed", "--network", "none", BUSYBOX)
        place.run(*base, "sh", "-c", _WRITE.format(count))

    return step


def import_many(count: int) -> Step:
    """So many images besides, each with a name."""

    def step(place: Place) -> None:
        empty_tar = io.BytesIO()
        tarfile.open(fileobj=empty_tar, mode="w").close()
        for number in range(count):
            label = ("-c", f"LABEL number={number}")
            name = f"localhost/many:{number}"
            place.run("import", "-q", *label, "-", name, input=empty_tar.getvalue().decode())

    return step


def served(kind: Kind) -> Callable[[Place], str]:
    return lambda place: place.supply.served(kind)


def named(kind: Kind) -> Callable[[Place], str]:
    return lambda _place: kind.reference


_TAG = words("tag", BUSYBOX, "localhost/other:1")

CASES = (
    ImageCase("pull, 3 layers", 0.7, pull(THREE), each=(empty,)),
    ImageCase("pull, 12 layers", 0.5, pull(TWELVE), each=(empty,)),
    ImageCase("pull again", 0.3, pull(THREE), once=(do(pull(THREE)),)),
    ImageCase("load, 3 layers", 0.7, load(THREE), each=(empty,)),
    ImageCase("push, pulled image", 1.0, push(served(THREE)), (empty, do(pull(THREE))), (new_target,)),
    ImageCase("push, loaded image", 1.0, push(named(THREE)), (empty, do(load(THREE))), (new_target,)),
    ImageCase(
        "push again",
        1.0,
        push(served(THREE)),
        (empty, do(pull(THREE)), new_target, do(push(served(THREE)))),
        (do(push(served(THREE))),),
    ),
    ImageCase("save, 3 layers", 1.0, save(THREE), once=(do(load(THREE)),)),
    ImageCase("commit, 1,000 files", 1.0, words("commit", "-q", "changed"), once=(change(1000),)),
    ImageCase("images, 200 images", 1.0, words("images"), once=(import_many(200),)),
    ImageCase("pull, small", 1.0, pull(SMALL), each=(empty,)),
    ImageCase("load, small", 1.0, load(SMALL), each=(empty,)),
    ImageCase("save, small", 1.0, save(SMALL), once=(do(load(SMALL)),)),
    ImageCase("push, small", 1.0, push(named(SMALL)), (do(load(SMALL)),), (new_target,)),
    ImageCase("commit, small", 1.0, words("commit", "-q", "changed"), once=(change(3),)),
    ImageCase("rmi, small", 1.0, words("rmi", SMALL.reference), each=(do(load(SMALL)),)),
    ImageCase("images, 1 image", 1.0, words("images")),
    ImageCase("image inspect", 1.0, words("image", "inspect", BUSYBOX)),
    ImageCase("image exists", 1.0, words("image", "exists", BUSYBOX)),
    ImageCase("history", 1.0, words("history", BUSYBOX)),
    ImageCase("tag", 1.0, _TAG),
    ImageCase("untag", 1.0, words("untag", BUSYBOX, "localhost/other:1"), each=(do(_TAG),)),
    ImageCase("rmi, one of two names", 1.0, words("rmi", "localhost/other:1"), each=(do(_TAG),)),
    # The last: what is made after many files were deleted takes long (`Contestant.forget`).
    ImageCase("rmi, 3 layers", 1.0, words("rmi", THREE.reference), each=(do(load(THREE)),)),
)

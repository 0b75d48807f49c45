"""What is measured of containers: a command of podman's, what has to be there before, and the aim."""

from typing import NamedTuple

from tests.bench.contestants import Contestant
from tests.images import BUSYBOX

IDLE = ("sleep", "1000000")


class Case(NamedTuple):
    """`command` is measured; `peer_command` replaces it for podman. `aim` is the ratio to stay below."""

    name: str
    command: tuple[str, ...]
    aim: float
    peer_command: tuple[str, ...] = ()
    created: int = 0  # containers that exist meanwhile
    running: str = ""  # network of a running container named "idle"

    def words(self, contestant: Contestant) -> tuple[str, ...]:
        return self.peer_command if self.peer_command and contestant.name == "podman" else self.command

    def prepare(self, contestant: Contestant) -> None:
        for _ in range(self.created):
            contestant.run("create", "--network", "none", BUSYBOX, "true")
        if self.running:
            contestant.run("run", "-d", "--name", "idle", "--network", self.running, BUSYBOX, *IDLE)

    def clear(self, contestant: Contestant) -> None:
        contestant.run("rm", "-f", "-a", "-t", "0")


def _run(*words: str) -> tuple[str, ...]:
    return ("run", *words, BUSYBOX, "true")


CASES = (
    Case("run --rm, no network", _run("--rm", "--network", "none"), 0.3),
    Case("run --rm, slirp4netns", _run("--rm", "--network", "slirp4netns"), 0.4),
    Case(
        "run --rm, pasta",  # podman 4.3 has no pasta
        _run("--rm", "--network", "pasta"),
        0.4,
        peer_command=_run("--rm", "--network", "slirp4netns"),
    ),
    Case("run -d", _run("-d", "--network", "none"), 0.3),
    Case("exec", ("exec", "idle", "true"), 0.33, running="none"),
    Case("ps, no container", ("ps", "-a"), 0.6),
    Case("ps, 50 containers", ("ps", "-a"), 0.6, created=50),
)

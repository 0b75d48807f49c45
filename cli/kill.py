"""pyctr kill"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target
    from pyctr.storage.paths import Store


def kill(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine.signals import parse_signal

    number = parse_signal(options.signal)
    found = targets.find_all(options, arguments)
    if options.all:
        found = [target for target in found if runs(options.store, target.id)]
    return targets.tell(outcomes(options.store, found, number))


def runs(store: "Store", container_id: str) -> bool:
    """Whether a container runs; one that cannot be read or is gone does not."""
    from pyctr.engine import truth
    from pyctr.rootless.errors import BrokenRecord

    try:
        return truth.current(store, container_id).status in truth.ALIVE
    except (FileNotFoundError, BrokenRecord):
        return False


def outcomes(store: "Store", found: "list[Target]", number: int) -> "Iterator[Outcome]":
    from pyctr.engine import stopping

    for target in found:
        error = target.error
        try:
            if error is None:
                stopping.kill(store, target.id, number)
        except Exception as failure:
            error = failure
        yield target, error


COMMAND = Command(
    name="kill",
    summary="Send a signal to containers",
    description="Sends SIGKILL, or another signal, to the main process of each container.",
    handler=kill,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--all", "-a"), "Signal all running containers"),
        targets.CIDFILE,
        targets.LATEST,
        Option(("--signal", "-s"), "Which signal, by name or number", "text", "SIGNAL", "KILL"),
    ),
    examples=("pyctr kill web", "pyctr kill --signal HUP web"),
)

"""pyctr stop"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target
    from pyctr.storage.paths import Store


def stop(options: "Options", arguments: "tuple[str, ...]") -> int:
    found = targets.find_all(options, arguments)
    return targets.tell(outcomes(options.store, found, options.time))


def outcomes(store: "Store", found: "list[Target]", timeout: int | None) -> "Iterator[Outcome]":
    """Stops side by side what was found; failures to find come first."""
    from pyctr.engine import stopping

    yield from [(target, target.error) for target in found if target.error]
    by_id = {target.id: target for target in found if not target.error}
    for container_id, error in stopping.stop_many(store, list(by_id), timeout):
        yield by_id[container_id], error


COMMAND = Command(
    name="stop",
    summary="Stop running containers",
    description="Asks the main process of each container to end (its stop signal, SIGTERM by default) and "
    "kills what is left after the time-out.",
    handler=stop,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--all", "-a"), "Stop all running containers"),
        targets.CIDFILE,
        targets.FILTER,
        targets.IGNORE,
        targets.LATEST,
        targets.TIME,
    ),
    examples=("pyctr stop web", "pyctr stop --time 2 web db", "pyctr stop --all"),
)

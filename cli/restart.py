"""pyctr restart"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target


def restart(options: "Options", arguments: "tuple[str, ...]") -> int:
    processes.execute_from_sealed_copy()
    return targets.tell(outcomes(options, chosen(options, arguments)))


def chosen(options: "Options", arguments: "tuple[str, ...]") -> "list[Target]":
    """The containers that are meant; --running is short for those that run."""
    if options.running:
        targets.check(arguments, whole=True, latest=options.latest, other=False)
        return [targets.whole_id(each) for each in targets.listed(options.store, ("status=running",))]
    return targets.find_all(options, arguments)


def outcomes(options: "Options", found: "list[Target]") -> "Iterator[Outcome]":
    from pyctr.engine import restarting

    yield from [(target, target.error) for target in found if target.error]
    by_id = {target.id: target for target in found if not target.error}
    for container_id, error in restarting.restart_many(options.store, list(by_id), options.time):
        yield by_id[container_id], error


COMMAND = Command(
    name="restart",
    summary="Stop containers and start them again",
    description="A container that does not run is only started.",
    handler=restart,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--all", "-a"), "Restart all containers, also those that do not run"),
        targets.CIDFILE,
        targets.FILTER,
        targets.LATEST,
        Option(("--running",), "Restart all containers that run"),
        targets.TIME,
    ),
    examples=("pyctr restart web", "pyctr restart --running --time 2"),
)

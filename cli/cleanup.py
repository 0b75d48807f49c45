"""pyctr container cleanup: what a monitor starts when a --rm container has ended and nobody waits for it."""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import removal
from pyctr.engine.containers import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target


def cleanup(options: "Options", arguments: "tuple[str, ...]") -> int:
    return targets.tell(outcomes(options, targets.find_all(options, arguments)))


def outcomes(options: "Options", found: "list[Target]") -> "Iterator[Outcome]":
    for target in found:
        error = target.error
        try:
            if error is None:
                removal.cleanup(options.store, target.id, remove_it=options.rm)
        except NoSuchContainer:
            pass  # it has been removed meanwhile, which is what was asked for
        except Exception as failure:
            error = failure
        yield target, error


COMMAND = Command(
    name="container cleanup",
    summary="Finish what a dead monitor left undone",
    description="Writes down the end of containers whose monitor was killed, and removes those made with "
    "--rm. A running container is left alone.",
    handler=cleanup,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--all", "-a"), "Clean up all containers"),
        Option(("--exec",), kind="text", unsupported=True),
        targets.LATEST,
        Option(("--rm",), "Also remove containers that have ended"),
        Option(("--rmi",), unsupported=True),
    ),
    examples=("pyctr container cleanup web", "pyctr container cleanup --all"),
)

"""pyctr rm"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import removal
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import InUse, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target
    from pyctr.storage.paths import Store


def rm(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.time is not None and not options.force:
        raise PyctrError("--force option must be specified to use the --time option")
    ignore = options.ignore or options.force  # with --force what is gone already is no failure, as in podman
    found = targets.find_all(options, arguments, ignore=ignore)
    if options.force and options.time != 0:
        found = stop_first(options.store, found, options.time)
    codes = [tell(outcome) for outcome in outcomes(options, found, ignore=ignore)]
    removal.sweep(options.store)
    return exit_code(codes)


def stop_first(store: "Store", found: "list[Target]", timeout: int | None) -> "list[Target]":
    """Stops side by side what runs, so that many containers take no longer than one; `remove` sees what
    fails.
    """
    running = [target.id for target in found if not target.error and runs(store, target.id)]
    if len(running) > 1:
        from pyctr.engine import stopping

        for _ in stopping.stop_many(store, running, timeout):
            pass
    return found


def runs(store: "Store", container_id: str) -> bool:
    from pyctr.cli.kill import runs

    return runs(store, container_id)


def outcomes(options: "Options", found: "list[Target]", *, ignore: bool) -> "Iterator[Outcome]":
    for target in found:
        error = target.error
        try:
            if error is None:
                removal.remove(
                    options.store,
                    target.id,
                    force=options.force,
                    volumes=options.volumes,
                    timeout=options.time,
                )
        except Exception as failure:
            error = failure
        if not (ignore and isinstance(error, NoSuchContainer)):
            yield target, error


def tell(outcome: "Outcome") -> int:
    """Prints one outcome; 0, or the exit code that it stands for by itself: podman-rm(1), "Exit Status"."""
    target, error = outcome
    if error is None:
        print(target.given, flush=True)
        return 0
    code = targets.complain(error)
    if isinstance(error, NoSuchContainer):
        return 1
    return 2 if isinstance(error, InUse) and code == 2 else 125


def exit_code(codes: "list[int]") -> int:
    """1 when all that failed did not exist, 2 when one runs, 125 for any other failure."""
    failures = set(codes) - {0}
    if failures <= {1}:
        return max(failures, default=0)
    return 125 if 125 in failures else 2


COMMAND = Command(
    name="rm",
    summary="Remove containers",
    description="Removes containers that do not run; with --force also those that do, and those whose "
    "record cannot be read. Images stay.",
    handler=rm,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--all", "-a"), "Remove all containers"),
        targets.CIDFILE,
        Option(("--depend",), "Also those that depend on it", unsupported=True),
        Option(("--filter",), "Remove the containers that pass these filters", "list", "KEY=VALUE"),
        Option(("--force", "-f"), "Stop a running container first; remove a broken one"),
        targets.IGNORE,
        targets.LATEST,
        targets.TIME,
        Option(("--volumes", "-v"), "Also its anonymous volumes"),
    ),
    examples=("pyctr rm web", "pyctr rm --force --time 0 web", "pyctr rm --all --volumes"),
)

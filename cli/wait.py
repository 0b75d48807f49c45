"""pyctr wait"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import waiting
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def wait(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import containers

    if bool(arguments) == bool(options.latest):
        raise PyctrError(
            "you must provide at least one name or id" if not arguments else "--latest needs no names"
        )
    wanted = waiting.statuses(options.condition or ("stopped",))
    pause = interval(options.interval)
    names = arguments or (containers.latest(options.store),)
    codes = [wait_one(options, name, wanted, pause) for name in names]
    return max(codes)


def wait_one(options: "Options", name: str, wanted: "frozenset[str]", pause: float) -> int:
    """Waits for one container and prints its code; the exit code of the command."""
    try:
        print(
            waiting.wait(options.store, waiting.find_or_remember(options.store, name), wanted, pause),
            flush=True,
        )
    except NoSuchContainer as error:
        if not options.ignore:
            return targets.complain(error)
        print(-1, flush=True)
    return 0


def interval(text: str) -> float:
    """Seconds of a Go duration; a bare number is milliseconds."""
    from pyctr.engine.timestamps import duration

    span = duration(f"{text}ms" if text.isdigit() else text)
    if span is None or span <= 0:
        raise PyctrError(f"invalid interval {text!r}", "Give a duration such as 250ms or 2s.")
    return span / 1e9


COMMAND = Command(
    name="wait",
    summary="Wait until containers stop, and print their exit codes",
    description="Prints -1 where something else than the end of the container was waited for. The code of a "
    "container that was removed meanwhile is still known by its id for a day.",
    handler=wait,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--condition",), "Which condition to wait for; any of several", "list", "CONDITION"),
        Option(("--exit-first-match",), unsupported=True),
        Option(("--ignore",), "Print -1 for a container that does not exist"),
        Option(("--interval", "-i"), "Time between two looks", "text", "DURATION", "250ms"),
        targets.LATEST,
    ),
    examples=("pyctr wait web", "pyctr wait --condition running web"),
)

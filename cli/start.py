"""pyctr start: start containers that exist."""

from pyctr.cli import staying
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers, starting, truth
from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.runtime.spec import Spec


def start(options: "Options", arguments: "tuple[str, ...]") -> int:
    processes.execute_from_sealed_copy()
    names = _names(options, arguments)
    attaching = options.attach or options.interactive
    if attaching and len(names) > 1:
        raise PyctrError("you cannot start and attach multiple containers at once", "Start them one by one.")
    code = 0
    for name in names:
        try:
            code = max(code, _start_one(options, name, attaching=attaching))
        except PyctrError as error:
            if len(names) == 1:
                raise
            from pyctr.cli.failure import say

            say(f"Error: {error.message}")
            code = 125
    return code


def _names(options: "Options", arguments: "tuple[str, ...]") -> "list[str]":
    if options.latest:
        return [containers.latest(options.store)]
    if options.all:
        return containers.all_ids(options.store)
    if not arguments:
        raise PyctrError("start requires at least one argument", "Give a container's name or id, or --all.")
    return list(arguments)


def _start_one(options: "Options", name: str, *, attaching: bool) -> int:
    store = options.store
    container_id = containers.find(store, name)
    spec = containers.read_spec(store, container_id)
    plan = staying.plan_of(options.interactive and spec.process.stdin_open, spec.process.tty, options)
    running = truth.current(store, container_id).status == "running"
    forked = None if running else _launch(options, spec, attached=attaching)
    if not attaching:
        print(name)
        return 0
    if forked is None:
        from pyctr.engine import attaching as attachment

        ended = attachment.attach(store, spec, plan)
    else:
        ended = starting.stay(store, forked, spec, plan)
    return 0 if ended is None else ended.exit_code


def _launch(options: "Options", spec: "Spec", *, attached: bool) -> launch.Launch:
    store = options.store
    forked = launch.fork_monitor()
    try:
        forked.begin(spec.namespaces, starting.maps_of(spec))
        starting.start(store, forked, spec, attached=attached, debug=options.log_level == "debug")
    except BaseException:
        forked.abort()
        starting.discard(store, spec)
        raise
    return forked


COMMAND = Command(
    name="start",
    summary="Start containers that exist",
    handler=start,
    options=(
        Option(("--all",), "Start every container that does not run"),
        Option(("--attach", "-a"), "Stay with the container and show its output", dest="attach"),
        Option(("--detach-keys",), "Keys that leave the container running", "text", "KEYS", "ctrl-p,ctrl-q"),
        Option(("--filter", "-f"), kind="list", unsupported=True),
        Option(("--interactive", "-i"), "Stay with the container and pass on standard input"),
        Option(("--latest", "-l"), "Start the container that was made last"),
        Option(("--sig-proxy",), "Pass signals on to the container", default=True),
    ),
    arguments=(Argument("CONTAINER", 0, -1, "container"),),
)

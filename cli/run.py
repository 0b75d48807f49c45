"""pyctr run: create a container, start it, and stay with it unless told to detach."""

from pyctr.cli import container_options
from pyctr.cli.tables import Argument, Command
from pyctr.rootless import processes
from pyctr.runtime import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def run(options: "Options", arguments: "tuple[str, ...]") -> int:
    processes.execute_from_sealed_copy()
    forked = launch.fork_monitor()
    try:
        return _launch(forked, options, arguments)
    except BaseException:
        forked.abort()
        raise


def _launch(forked: launch.Launch, options: "Options", arguments: "tuple[str, ...]") -> int:
    # Loaded after the fork, which spares the monitor's memory; what the monitor waits for comes first.
    from pyctr.cli import container_namespaces
    from pyctr.engine import config as configuration

    store = options.store
    config = configuration.load(store)
    maps = container_namespaces.maps(options, config)
    forked.begin(container_namespaces.parse(options, config), maps)

    from pyctr.cli import making, staying
    from pyctr.engine import starting

    request = container_options.create_request(options, arguments, store)
    plan = staying.plan_of(request.stdin_open, request.tty, options)
    state = starting.first_state(forked) if request.ephemeral else None
    spec = making.make(options, request, maps, state)
    try:
        starting.start(store, forked, spec, attached=not options.detach, debug=options.log_level == "debug")
    except BaseException:
        starting.discard(store, spec)
        raise
    if options.detach:
        print(spec.id)
        return 0
    ended = starting.stay(store, forked, spec, plan)
    return 0 if ended is None else ended.exit_code


COMMAND = Command(
    name="run",
    summary="Create and start a container, and stay with it",
    handler=run,
    options=container_options.RUN,
    arguments=(Argument("IMAGE", 1, 1, "image"), Argument("COMMAND", 0, -1)),
    interspersed=False,
    headings=container_options.HEADINGS,
)

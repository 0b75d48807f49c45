"""pyctr run: create a container, start it, and stay with it unless told to detach."""

from pyctr.cli import container_options, making, staying
from pyctr.cli.tables import Argument, Command
from pyctr.engine import create, starting
from pyctr.rootless import processes
from pyctr.runtime import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def run(options: "Options", arguments: "tuple[str, ...]") -> int:
    processes.execute_from_sealed_copy()
    store = options.store
    request = container_options.create_request(options, arguments, store)
    plan = staying.plan_of(request.stdin_open, request.tty, options)
    maps = create.maps_of(request)
    forked = launch.fork_monitor(request.namespaces, maps)
    try:
        spec = making.make(options, request, maps)
        try:
            starting.start(store, forked, spec, attached=not options.detach)
        except BaseException:
            starting.discard(store, spec)
            raise
    except BaseException:
        forked.abort()
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

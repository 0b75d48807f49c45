"""pyctr attach: connect the terminal to a running container."""

from pyctr.cli import staying
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import attaching, containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def attach(options: "Options", arguments: "tuple[str, ...]") -> int:
    store = options.store
    container_id = containers.latest(store) if options.latest else containers.find(store, arguments[0])
    spec = attaching.check_running(store, container_id)
    plan = staying.plan_of(spec.process.stdin_open and not options.no_stdin, spec.process.tty, options)
    ended = attaching.attach(store, spec, plan)
    return 0 if ended is None else ended.exit_code


COMMAND = Command(
    name="attach",
    summary="Attach to a running container",
    handler=attach,
    options=(
        Option(("--detach-keys",), "Keys that leave the container running", "text", "KEYS", "ctrl-p,ctrl-q"),
        Option(("--latest", "-l"), "Attach to the container that was made last"),
        Option(("--no-stdin",), "Do not pass on standard input"),
        Option(("--sig-proxy",), "Pass signals on to the container", default=True),
    ),
    arguments=(Argument("CONTAINER", 0, 1, "container"),),
)

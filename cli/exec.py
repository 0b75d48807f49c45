"""pyctr exec: run another command in a running container."""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers, environment, executing
from pyctr.engine.executing import ExecRequest
from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

_LOST = 137  # exit code of a session whose parent or container was killed


def execute(options: "Options", arguments: "tuple[str, ...]") -> int:
    processes.execute_from_sealed_copy()
    store = options.store
    name, argv = (containers.latest(store), arguments) if options.latest else (arguments[0], arguments[1:])
    if not argv:
        raise PyctrError(
            "must provide a non-empty command to start an exec session", "pyctr exec CONTAINER COMMAND"
        )
    container_id = containers.find(store, name)
    request = ExecRequest(
        argv=tuple(argv),
        env=_environment(options),
        cwd=options.workdir,
        user=options.user,
        tty=options.tty,
        stdin_open=options.interactive,
        privileged=options.privileged,
    )
    plan = attach.Plan(stdin=options.interactive, tty=options.tty, detach_keys=options.detach_keys or "")
    forked, session_id = executing.execute(store, container_id, request)
    if options.detach:
        print(session_id)
        return 0
    try:
        ended = attach.Session(forked.stream, plan).run()
    except EOFError:
        return _LOST
    return 0 if ended is None else ended.exit_code


def _environment(options: "Options") -> "tuple[str, ...]":
    host = environment.host_variables()
    read = [entry for path in options.env_file for entry in environment.read_file(path, host)]
    return (*read, *environment.resolve(options.env, host))


COMMAND = Command(
    name="exec",
    summary="Run a command in a running container",
    handler=execute,
    options=(
        Option(("--cidfile",), kind="text", unsupported=True),
        Option(("--detach", "-d"), "Leave the command running and print the id of its session"),
        Option(("--detach-keys",), "Keys that leave the command running", "text", "KEYS", "ctrl-p,ctrl-q"),
        Option(("--env", "-e"), "Set an environment variable", "list", "NAME[=VALUE]"),
        Option(("--env-file",), "Read environment variables from a file", "list", "FILE", complete="file"),
        Option(("--interactive", "-i"), "Keep standard input open and pass it on"),
        Option(("--latest", "-l"), "In the container that was made last"),
        Option(("--no-session",), unsupported=True),
        Option(("--preserve-fd",), kind="list", unsupported=True),
        Option(("--preserve-fds",), kind="int", unsupported=True),
        Option(("--privileged",), "With all capabilities that this user can give"),
        Option(("--tty", "-t"), "Give the command a terminal"),
        Option(("--user", "-u"), "Run as this user", "text", "USER[:GROUP]"),
        Option(("--wait",), kind="int", unsupported=True),
        Option(("--workdir", "-w"), "Run in this folder", "text", "FOLDER"),
    ),
    arguments=(Argument("CONTAINER", 0, 1, "container"), Argument("COMMAND", 0, -1)),
    interspersed=False,
)

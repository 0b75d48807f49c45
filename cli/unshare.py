"""pyctr unshare"""

import os

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless import processes, syscalls, userns
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def unshare(options: "Options", arguments: "tuple[str, ...]") -> int:
    argv = list(arguments) or [os.environ.get("SHELL") or "/bin/sh"]
    path = find(argv[0])
    environment = {
        **os.environ,
        "CONTAINERS_GRAPHROOT": options.store.root,
        "CONTAINERS_RUNROOT": options.store.runroot,
    }
    if not userns.is_root():
        userns.enter_mapped(userns.default_maps())
    else:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    # What the command mounts stays in its namespace; what the host mounts later is seen in it.
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
    processes.restore_signals()
    try:
        os.execve(path, argv, environment)
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        raise PyctrError(f"cannot execute {argv[0]}: {error.strerror}", exit_code=code) from None


def find(name: str) -> str:
    """The file of a command. PyctrError with exit code 127 when there is none, 126 when it cannot be
    executed.
    """
    path = processes.find_executable(name)
    if path is None and "/" in name and os.path.exists(name):
        raise PyctrError(f"cannot execute {name}: permission denied", exit_code=126)
    if path is None:
        raise PyctrError(f"executable file {name!r} not found in $PATH", exit_code=127)
    if os.path.isdir(path):
        raise PyctrError(f"cannot execute {name}: it is a folder", exit_code=126)
    return path


COMMAND = Command(
    name="unshare",
    summary="Run a command in the user namespace of the containers",
    description="The user is root there, and its subordinate ids are the other users: files of containers "
    "look as they do to the containers. Without a command $SHELL is started.",
    handler=unshare,
    arguments=(Argument("COMMAND", 0, 1), Argument("ARGUMENT", 0, -1)),
    interspersed=False,
    options=(Option(("--rootless-netns",), unsupported=True),),
    examples=("pyctr unshare cat /proc/self/uid_map", "pyctr unshare rm -r folder"),
)

"""Which namespaces `run` and `create` ask for. Apart from the rest of the request: the monitor starts
with it.
"""

import os

from pyctr.engine.config import Config
from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.runtime.spec import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def parse(options: "Options", config: Config) -> tuple[Namespace, ...]:
    """The namespaces that are not new. PyctrError names the option that is wrong."""
    asked = (
        ("pid", "--pid", options.pid or config.pidns, ("", "private")),
        ("ipc", "--ipc", options.ipc or config.ipcns, ("", "private", "shareable", "none")),
        ("uts", "--uts", options.uts or config.utsns, ("", "private")),
        ("cgroup", "--cgroupns", options.cgroupns or config.cgroupns, ("", "private")),
    )
    shared = []
    for kind, option, mode, new in asked:
        if mode == "host":
            shared.append(Namespace(kind, "host"))
        elif mode not in new:
            raise unsupported_mode(option, mode, (*new[1:], "host"))
    if (options.network or (config.netns,))[-1] == "host":
        shared.append(Namespace("net", "host"))
    return tuple(shared)


def maps(options: "Options", config: Config) -> IdMaps:
    """The id maps of the container's user namespace."""
    keep_id = parse_userns(options, config)
    return userns.default_maps() if keep_id is None else userns.keep_id_maps(*keep_id)


def unsupported_mode(option: str, mode: str, known: "tuple[str, ...]") -> PyctrError:
    """The error for a namespace that cannot be had."""
    verb = "is not supported yet" if mode.startswith(("container:", "ns:")) else "is not known"
    return PyctrError(f"{option} {mode} {verb}", f"Use one of {', '.join(known)}.")


def parse_userns(options: "Options", config: Config) -> "tuple[int, int] | None":
    """The ids that the user keeps inside, or None for the usual maps."""
    mode = options.userns
    if mode is None:
        mode = os.environ.get("PODMAN_USERNS") or config.userns
    if mode in ("", "host", "private"):
        return None
    name, _, settings = mode.partition(":")
    if name != "keep-id":
        raise PyctrError(f"--userns {mode} is not supported yet", "Use host or keep-id[:uid=N,gid=N].")
    ids = {"uid": os.getuid(), "gid": os.getgid()}
    for setting in settings.split(",") if settings else ():
        key, _, value = setting.partition("=")
        if key not in ids or not (value.isascii() and value.isdigit()):
            raise PyctrError(
                f"--userns {mode}: {setting!r} is not supported", "Use uid=NUMBER and gid=NUMBER."
            )
        ids[key] = int(value)
    return ids["uid"], ids["gid"]

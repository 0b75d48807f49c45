"""What a caller asks for when it creates a container: parsed, checked, not yet joined with the image."""

from pyctr.net.model import Network
from pyctr.rootless.values import Value
from pyctr.runtime.spec import Limit, Log, Mount, Namespace


class Security(Value):
    """What --security-opt, --cap-add, --cap-drop and --privileged ask for."""

    capabilities: tuple[str, ...] = ()  # to begin with; empty is podman's default
    capabilities_added: tuple[str, ...] = ()
    capabilities_dropped: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""  # empty is the default profile, "unconfined", or the path of a profile
    masked: tuple[str, ...] = ()  # more masked paths
    unmasked: tuple[str, ...] = ()  # paths and patterns that stay visible and writable; "ALL" is all
    words: tuple[str, ...] = ()  # the options as they were given


class Environment(Value):
    """Where the variables of a container come from, weakest first. Every entry is NAME=value."""

    configured: tuple[str, ...] = ()  # containers.conf; the image's variables go before
    host: tuple[str, ...] = ()  # proxies, and with --env-host all variables of the caller
    given: tuple[str, ...] = ()  # --env-file, then --env
    merged: tuple[str, ...] = ()  # --env-merge: values that refer to the image's variables
    unset: tuple[str, ...] = ()
    unset_all: bool = False


class Request(Value):
    """A container as asked for. None means that the image or a default decides."""

    image_name: str = ""  # as the user named it; empty with `rootfs`
    rootfs: str = ""  # absolute path of a folder that is the root file system
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None  # an empty tuple clears the image's
    create_command: tuple[str, ...] = ()
    name: str = ""
    replaces: bool = False  # --replace: a container of this name is removed first
    environment: Environment = Environment()
    working_dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    tty: bool = False
    stdin_open: bool = False
    mounts: tuple[Mount, ...] = ()  # a volume without source is anonymous; "nocreate": it must exist
    image_volumes: str = "bind"  # bind, tmpfs or ignore
    read_only: bool = False
    read_only_tmpfs: bool = True
    shm_size: int = 64 << 20  # bytes, 0 is no limit
    time_zone: str = ""
    namespaces: tuple[Namespace, ...] = ()
    no_shm: bool = False  # --ipc none
    keep_id: tuple[int, int] | None = None  # uid and gid inside that the user's own are mapped to
    network: Network = Network()
    publish_all: bool = False
    security: Security = Security()
    limits: tuple[Limit, ...] = ()
    umask: int = 0o022
    oom_score_adj: int | None = None
    init_binary: str = ""
    log: Log = Log()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    no_healthcheck: bool = False
    stop_signal: int | None = None
    stop_timeout: int = 10  # seconds
    restart: str = "no"
    ephemeral: bool = False
    cid_file: str = ""
    pid_file: str = ""
    detach_keys: str = "ctrl-p,ctrl-q"
    sig_proxy: bool = True

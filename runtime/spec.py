"""What a container is: values fixed at creation (`Spec`), values that may change (`Settings`).

`Spec` is written once as spec.json when a container is made; the launch, the monitor and init read it from
there. The shapes follow the OCI runtime specification where it has a word for a thing.
"""

from pyctr.net.model import Network
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value

SPEC_VERSION = 1
SETTINGS_VERSION = 1

NAMESPACE_KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


class Namespace(Value):
    """Which namespace of one kind a container lives in.

    `mode` is new, host, container (of the container whose id is `target`) or path (`target` is a namespace
    file).
    """

    kind: str
    mode: str = "new"
    target: str = ""


class Mount(Value):
    """One mount inside the container, made in list order.

    `kind`: bind (`source` is a host path), volume (`source` is the name of a named volume), tmpfs, devpts,
    mqueue, proc, sysfs. `target` is an absolute path inside the container, resolved without leaving the root
    file system. `options` are mount(8) words: ro, rw, nosuid, nodev, noexec, rbind, bind, rprivate, rslave,
    rshared, ...; for tmpfs also size=, mode=, uid=, gid=, tmpcopyup (the content of the image's folder is
    copied in).
    """

    kind: str
    target: str
    source: str = ""
    options: tuple[str, ...] = ()


class Limit(Value):
    """An rlimit: `name` as in setrlimit(2) without RLIMIT_, -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Process(Value):
    """What init executes, and as whom."""

    argv: tuple[str, ...]
    env: tuple[str, ...]  # NAME=value
    cwd: str = "/"
    user: str = ""  # user[:group], names or numbers, looked up inside the image at start; empty is 0:0
    groups: tuple[str, ...] = ()  # supplementary groups asked for (--group-add)
    tty: bool = False
    stdin_open: bool = False
    capabilities: tuple[str, ...] = ()  # bounding set; permitted and effective as well when the user is root
    ambient: tuple[str, ...] = ()  # capabilities asked for that a process of another user gets as well
    no_new_privileges: bool = False
    seccomp: str = ""  # file of the compiled filter (BPF program); empty is none
    limits: tuple[Limit, ...] = ()
    umask: int = 0o022
    oom_score_adj: int | None = None


class Rootfs(Value):
    """The root file system: layers of an image under an upper layer of the container's own, or a folder as
    it is.
    """

    kind: str  # image or path
    driver: str = "overlay"  # of storage.drivers
    options: tuple[str, ...] = ()  # of the driver
    key: str = ""  # folder of the layers under layers/: <format>-<map>
    layers: tuple[str, ...] = ()  # names of layer folders under that, lowest first
    path: str = ""  # with kind path
    read_only: bool = False
    volatile: bool = False  # nothing of the upper layer needs to survive a power cut


class Log(Value):
    """Where the output goes: driver k8s-file or none."""

    driver: str = "k8s-file"
    path: str = ""  # empty is ctr.log in the folder of the container
    max_size: int = 0  # bytes; 0 is no limit
    tag: str = ""


class Healthcheck(Value):
    """A health check as the image or the user asked for it; times in nanoseconds."""

    test: tuple[str, ...]
    interval: int = 30_000_000_000
    timeout: int = 30_000_000_000
    start_period: int = 0
    retries: int = 3


class Spec(Value):
    """A container, as fixed at creation. Written once."""

    version: int
    id: str  # 64 hex digits
    name: str
    created: int  # nanoseconds since 1970, UTC
    rootfs: Rootfs
    process: Process
    image: str = ""  # id of the image (64 hex), empty with --rootfs
    image_name: str = ""  # as the user named it, normalised
    create_command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    id_maps: IdMaps | None = None  # of the container's user namespace; outside ids are the host's
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    anonymous_volumes: tuple[str, ...] = ()  # removed with the container (--rm, rm -v)
    devices: tuple[str, ...] = ()
    masked_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()
    privileged: bool = False
    init_binary: str = ""  # with --init: a static init on the host, bound at /run/podman-init
    shm_size: int = 64 << 20  # bytes
    network: Network = Network()
    log: Log = Log()
    healthcheck: Healthcheck | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    stop_signal: int = 15
    stop_timeout: int = 10  # seconds
    ephemeral: bool = False  # --rm
    pid_file: str = ""
    detach_keys: str = "ctrl-p,ctrl-q"
    sig_proxy: bool = True
    security_options: tuple[str, ...] = ()
    read_only_tmpfs: bool = True

    def namespace(self, kind: str) -> Namespace:
        """The namespace of `kind`; new when the spec does not say."""
        for namespace in self.namespaces:
            if namespace.kind == kind:
                return namespace
        return Namespace(kind)


class Settings(Value):
    """What may change after creation. Replaced under the container's lock."""

    version: int
    restart: str = "no"  # no, always, on-failure[:n], unless-stopped
    networks: tuple[str, ...] = ()

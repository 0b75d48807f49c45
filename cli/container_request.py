"""The command line of `run` and `create` as a request to the engine.

Reads files and variables of the host; writes nothing.
"""

import os
import sys

from pyctr.cli import container_namespaces, container_network
from pyctr.engine import config as configuration
from pyctr.engine import environment, limits, mounts, names, security
from pyctr.engine.config import Config
from pyctr.engine.create import cid_file_exists
from pyctr.engine.request import Environment, Request
from pyctr.engine.signals import parse_signal
from pyctr.engine.sizes import parse_size, parse_umask
from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Log, Mount
from pyctr.storage.paths import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

_INITS = ("catatonit", "tini-static", "tini", "dumb-init", "docker-init")
_INIT_FOLDERS = (
    "/usr/libexec/podman",
    "/usr/local/libexec/podman",
    "/usr/lib/podman",
    "/usr/bin",
    "/usr/local/bin",
)
_LOG_DRIVERS = {"": "k8s-file", "k8s-file": "k8s-file", "json-file": "k8s-file", "none": "none"}
_DEFAULT_SHM = 64 << 20


def create_request(options: "Options", arguments: "tuple[str, ...]", store: Store) -> Request:
    """What the command line asks for. PyctrError names the option that is wrong."""
    config = configuration.load(store)
    image, *command = arguments
    network = container_network.parse(options, config)
    privileged = options.privileged or (config.privileged and "privileged" not in options.named)
    return Request(
        image_name="" if options.rootfs else image,
        rootfs=parse_rootfs(image) if options.rootfs else "",
        command=tuple(command),
        entrypoint=parse_entrypoint(options.entrypoint),
        create_command=("pyctr", *sys.argv[1:]),
        name=names.check(options.name, "container") if options.name else "",
        replaces=parse_replace(options),
        environment=parse_environment(options, config),
        working_dir=parse_working_dir(options.workdir),
        user=options.user or "",
        groups=parse_groups(words(options.group_add)),
        hostname=container_network.parse_hostname(options),
        tty=options.tty,
        stdin_open=options.interactive,
        mounts=parse_mounts(options, config),
        image_volumes=parse_image_volumes(options.image_volume or config.image_volume_mode),
        read_only=options.read_only or (config.read_only and "read_only" not in options.named),
        read_only_tmpfs=options.read_only_tmpfs,
        shm_size=parse_shm_size(options, config),
        time_zone=parse_time_zone(options.tz or config.tz),
        namespaces=container_namespaces.parse(options, config),
        no_shm=(options.ipc or config.ipcns) == "none",
        keep_id=container_namespaces.parse_userns(options, config),
        network=network,
        publish_all=options.publish_all,
        security=security.parse(
            options.security_opt,
            words(options.cap_add),
            words(options.cap_drop),
            privileged=privileged,
            base=config.default_capabilities or (),
            profile=config.seccomp_profile,
        ),
        limits=limits.parse((*config.default_ulimits, *words(options.ulimit))),
        umask=parse_umask(options.umask or config.umask or "0022"),
        oom_score_adj=parse_oom_score(options.oom_score_adj, config),
        init_binary=find_init(options, config),
        log=parse_log(options, config),
        labels=parse_labels(options),
        annotations=parse_annotations((*config.annotations, *options.annotation)),
        no_healthcheck=options.no_healthcheck,
        stop_signal=parse_signal(options.stop_signal) if options.stop_signal else None,
        stop_timeout=parse_stop_timeout(options, config),
        restart=parse_restart(options.restart),
        ephemeral=options.rm,
        cid_file=parse_cid_file(options.cidfile),
        pid_file=os.path.abspath(options.pidfile) if options.pidfile else "",
        detach_keys=parse_detach_keys(options, config),
        sig_proxy=getattr(options, "sig_proxy", True),
    )


def words(values: "tuple[str, ...]") -> "tuple[str, ...]":
    """The values of an option that may also be written with commas."""
    return tuple([word for value in values for word in value.split(",") if word])


def parse_rootfs(path: str) -> str:
    """The folder of --rootfs."""
    absolute = os.path.abspath(path)
    if not os.path.isdir(absolute):
        hint = (
            "The suffixes :O and :idmap are not supported yet."
            if ":" in path
            else "Give a folder with a root file system."
        )
        raise PyctrError(f"--rootfs: {path} is not a folder", hint)
    return absolute


def parse_entrypoint(text: str | None) -> "tuple[str, ...] | None":
    """One word, or a JSON array of words; empty clears the image's."""
    if text is None:
        return None
    if text.lstrip().startswith("["):
        try:
            value = jsontext.loads(text)
        except ValueError:
            value = None
        if type(value) is list and all([type(word) is str for word in value]):
            return tuple(value)
    return (text,) if text else ()


def parse_replace(options: "Options") -> bool:
    """--replace needs a name to replace."""
    if options.replaces and not options.name:
        raise PyctrError("cannot replace a container without a name", "Add --name NAME.")
    return bool(options.replaces)


def parse_environment(options: "Options", config: Config) -> Environment:
    """The variables, each with its value of now."""
    host = environment.host_variables()
    given: list[str] = []
    for path in options.env_file:
        given += environment.read_file(path, host)
    for word in options.env_merge:
        if "=" not in word[1:]:
            raise PyctrError(f"invalid --env-merge {word!r}", "Write NAME=VALUE.")
    if options.env_host or (config.env_host and "env_host" not in options.named):
        inherited = tuple([f"{name}={value}" for name, value in host.items()])
    elif options.http_proxy and (config.http_proxy or "http_proxy" in options.named):
        inherited = environment.proxies(host)
    else:
        inherited = ()
    return Environment(
        configured=config.env,
        host=inherited,
        given=(*given, *environment.resolve(options.env, host)),
        merged=options.env_merge,
        unset=options.unsetenv,
        unset_all=options.unsetenv_all,
    )


def parse_working_dir(path: str | None) -> str:
    """An absolute path in the container."""
    if path and not path.startswith("/"):
        raise PyctrError(f"the working directory {path!r} is not an absolute path", "Begin it with '/'.")
    return path or ""


def parse_groups(groups: "tuple[str, ...]") -> "tuple[str, ...]":
    """Further groups; those of the host cannot be kept yet."""
    if "keep-groups" in groups:
        raise PyctrError("--group-add keep-groups is not supported yet")
    return groups


def parse_mounts(options: "Options", config: Config) -> "tuple[Mount, ...]":
    """The user's mounts, and those of containers.conf at other places."""
    if not (options.volume or options.mount or options.tmpfs or config.volumes or config.mounts):
        return ()
    from pyctr.engine import mountwords

    asked = mountwords.parse(options.volume, options.mount, options.tmpfs)
    taken = {mount.target for mount in asked}
    configured = mountwords.parse(config.volumes, config.mounts, ())
    return (*[mount for mount in configured if mount.target not in taken], *asked)


def parse_image_volumes(how: str) -> str:
    """`anonymous` is containers.conf's word for bind."""
    how = "bind" if how in ("", "anonymous") else how
    if how not in ("bind", "tmpfs", "ignore"):
        raise PyctrError(f"invalid --image-volume {how!r}", "Use bind, tmpfs or ignore.")
    return how


def parse_shm_size(options: "Options", config: Config) -> int:
    """Bytes of /dev/shm."""
    if options.shm_size and options.ipc in ("host", "none"):
        raise PyctrError(f"--shm-size has no meaning with --ipc {options.ipc}", "Leave one of them out.")
    text = options.shm_size or config.shm_size
    return parse_size(text, "--shm-size") if text else _DEFAULT_SHM


def parse_time_zone(zone: str) -> str:
    """A time zone that the host has."""
    if zone:
        mounts.zone_file(zone)
    return zone


def parse_oom_score(score: int | None, config: Config) -> int | None:
    """-1000 to 1000; init keeps to what this user may set."""
    score = config.oom_score_adj if score is None else score
    if score is not None and not -1000 <= score <= 1000:
        raise PyctrError(f"invalid --oom-score-adj {score}", "Use a number from -1000 to 1000.")
    return score


def find_init(options: "Options", config: Config) -> str:
    """The program for --init; empty without it."""
    if not options.init and not (config.init and "init" not in options.named):
        return ""
    path = options.init_path or config.init_path
    candidates = [path] if path else [f"{folder}/{name}" for folder in _INIT_FOLDERS for name in _INITS]
    for candidate in candidates:
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.realpath(candidate)
    raise PyctrError(
        f"no init program at {path}" if path else "no init program for --init on this machine",
        "Install catatonit, or name a static one with --init-path.",
    )


def parse_log(options: "Options", config: Config) -> Log:
    """--log-driver and --log-opt. A driver of containers.conf that pyctr lacks gives way to the default."""
    driver = _LOG_DRIVERS.get(options.log_driver or "")
    if driver is None:
        raise PyctrError(
            f"--log-driver {options.log_driver} is not supported", "Use k8s-file, json-file or none."
        )
    if not options.log_driver:
        driver = _LOG_DRIVERS.get(config.log_driver, driver)
    log = Log(driver, max_size=max(config.log_size_max, 0), tag=config.log_tag)
    for word in options.log_opt:
        log = _apply_log_option(log, word)
    return log


def _apply_log_option(log: Log, word: str) -> Log:
    name, equals, value = word.partition("=")
    if equals and name == "path":
        return log.replace(path=os.path.abspath(value) if value else "")
    if equals and name == "max-size":
        return log.replace(max_size=parse_size(value, "--log-opt max-size"))
    if equals and name == "tag":
        return log.replace(tag=value)
    raise PyctrError(f"--log-opt {word} is not supported", "Use path=FILE, max-size=SIZE or tag=TEXT.")


def parse_labels(options: "Options") -> "dict[str, str]":
    """--label-file, then --label."""
    lines: list[str] = []
    for path in options.label_file:
        lines += environment.read_lines(path, "label file")
    labels = {}
    for word in (*lines, *options.label):
        key, _, value = word.partition("=")
        if not key:
            raise PyctrError(f"invalid label {word!r}", "Write KEY or KEY=VALUE.")
        labels[key] = value
    return labels


def parse_annotations(annotations: "tuple[str, ...]") -> "dict[str, str]":
    """KEY=VALUE words."""
    parsed = {}
    for word in annotations:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise PyctrError(f"invalid annotation {word!r}", "Write KEY=VALUE.")
        parsed[key] = value
    return parsed


def parse_stop_timeout(options: "Options", config: Config) -> int:
    """Seconds."""
    seconds = config.stop_timeout if options.stop_timeout is None else options.stop_timeout
    if seconds is not None and seconds < 0:
        raise PyctrError(f"invalid --stop-timeout {seconds}", "Use a number of seconds.")
    return 10 if seconds is None else int(seconds)


def parse_restart(policy: str | None) -> str:
    """Only `no` until the monitor can start containers again."""
    if policy not in (None, "", "no", "never"):
        raise PyctrError(f"--restart {policy} is not supported yet", "Leave it out, or use --restart no.")
    return "no"


def parse_cid_file(path: str | None) -> str:
    """The absolute path of a file that does not exist yet."""
    if not path:
        return ""
    if os.path.lexists(path):
        raise cid_file_exists(path)
    return os.path.abspath(path)


def parse_detach_keys(options: "Options", config: Config) -> str:
    """`create` has no such option: its containers get the configured keys."""
    if "detach_keys" in options.named:
        return str(options.detach_keys)
    return "ctrl-p,ctrl-q" if config.detach_keys is None else config.detach_keys

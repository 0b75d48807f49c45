"""containers.conf(5): the defaults that people already have, as far as they mean something here.

Files are read in the order of the manual page, later ones win; unknown keys are ignored, as podman does.
The result is cached under the runtime folder: `tomllib` and its `re` would take 10 ms of each start.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import confcache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.storage.paths import Store

CACHE_VERSION = 3
CACHE = "containers.conf.json"
_SYSTEM = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")


class Config(Value):
    """What containers.conf says, with podman's defaults. None is: not said."""

    annotations: tuple[str, ...] = ()
    cgroupns: str = ""
    default_capabilities: tuple[str, ...] | None = None
    default_ulimits: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    env_host: bool = False
    http_proxy: bool = True
    init: bool = False
    init_path: str = ""
    ipcns: str = ""
    log_driver: str = ""
    log_size_max: int = -1
    log_tag: str = ""
    mounts: tuple[str, ...] = ()
    netns: str = ""
    no_hosts: bool = False
    oom_score_adj: int | None = None
    pidns: str = ""
    privileged: bool = False
    read_only: bool = False
    seccomp_profile: str = ""
    shm_size: str = ""
    tz: str = ""
    umask: str = ""
    userns: str = ""
    utsns: str = ""
    volumes: tuple[str, ...] = ()
    default_rootless_network_cmd: str = ""
    pasta_options: tuple[str, ...] = ()
    network_cmd_options: tuple[str, ...] = ()
    detach_keys: str | None = None
    image_volume_mode: str = ""
    stop_timeout: int | None = None
    compression_format: str = ""
    compression_level: int | None = None


_TABLES = {
    "containers": (
        "annotations cgroupns default_capabilities default_ulimits dns_options dns_searches dns_servers "
        "env env_host http_proxy init init_path ipcns log_driver log_size_max log_tag mounts netns "
        "no_hosts oom_score_adj pidns privileged read_only seccomp_profile shm_size tz umask userns "
        "utsns volumes"
    ),
    "network": "default_rootless_network_cmd pasta_options",
    "engine": (
        "network_cmd_options detach_keys image_volume_mode stop_timeout compression_format compression_level"
    ),
}


def load(store: "Store") -> Config:
    """The configuration of this user. PyctrError names a file that is not TOML."""
    found = confcache.load(files(), f"{store.runroot}/{CACHE}", Config, CACHE_VERSION, parse)
    return found or Config()


def files() -> list[str]:
    """The files that may exist, the last word last.

    CONTAINERS_CONF replaces all but CONTAINERS_CONF_OVERRIDE.
    """
    only, override = os.environ.get("CONTAINERS_CONF"), os.environ.get("CONTAINERS_CONF_OVERRIDE")
    found = [only] if only else _standard_files()
    return [*found, override] if override else found


def _standard_files() -> list[str]:
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
    found: list[str] = []
    for path in (*_SYSTEM, f"{home}/containers/containers.conf"):
        found.append(path)
        try:
            names = sorted(os.listdir(f"{path}.d"))
        except OSError:
            continue
        found += [f"{path}.d/{name}" for name in names if name.endswith(".conf")]
    return found


def parse(paths: list[str]) -> Config:
    """The configuration in these files."""
    merged: dict[str, Any] = {}
    for path in paths:
        data = confcache.read_toml(path, "containers.conf(5)")
        for table, keys in _TABLES.items():
            _merge(merged, data.get(table), keys.split(" "), path)
    return Config(**merged)


def _merge(merged: "dict[str, Any]", table: "Any", keys: list[str], path: str) -> None:
    for key in keys if type(table) is dict else ():
        if key in table:
            merged[key] = _checked(merged.get(key), table[key], Config.fields()[key], f"{path}: {key}")


def _checked(before: "Any", value: "Any", kind: "Any", where: str) -> "Any":
    """`value` in the type of its field. An array with {append=true} goes behind what earlier files said."""
    text = str(kind)
    if "tuple" not in text:
        if type(value).__name__ in text:
            return value
    elif type(value) is list:
        appends = [item["append"] for item in value if type(item) is dict and "append" in item]
        words = tuple([item for item in value if type(item) is str])
        if len(words) + len(appends) == len(value):
            return (*(before or ()), *words) if appends and appends[-1] is True else words
    raise PyctrError(f"{where} has a value of the wrong type", "containers.conf(5) describes it.")

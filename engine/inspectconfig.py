"""The parts `Config` and `HostConfig` of what `inspect` shows, and the ports that both show."""

from pyctr.engine.mounts import INIT_TARGET
from pyctr.net.model import Network
from pyctr.rootless.capabilities import DEFAULT
from pyctr.runtime.spec import Healthcheck, Mount, Settings, Spec
from pyctr.storage import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.storage.paths import Store

_OURS = frozenset(
    ("/proc", "/sys", "/dev/mqueue", "/dev/shm")
)  # bound from the host when a namespace is shared


def user_mounts(mounts: "tuple[Mount, ...]") -> "list[Mount]":
    """The binds and volumes that the user or the image asked for."""
    return [
        mount
        for mount in mounts
        if mount.kind == "volume"
        or (
            mount.kind == "bind"
            and mount.target != INIT_TARGET
            and not (mount.target in _OURS and mount.source == mount.target)
        )
    ]


def config(spec: Spec) -> "dict[str, Any]":
    """The part `Config`: the container as its image and command describe it."""
    process = spec.process
    return {
        "Hostname": spec.hostname,
        "Domainname": "",
        "User": process.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": process.tty,
        "OpenStdin": process.stdin_open,
        "StdinOnce": False,
        "Env": list(process.env),
        "Cmd": list(spec.command),
        "Image": spec.image_name,
        "Volumes": None,
        "WorkingDir": process.cwd,
        "Entrypoint": list(spec.entrypoint),
        "OnBuild": None,
        "Labels": dict(spec.labels),
        "Annotations": dict(spec.annotations),
        "StopSignal": signal_name(spec.stop_signal),
        **({"Healthcheck": healthcheck(spec.healthcheck)} if spec.healthcheck else {}),
        "HealthcheckOnFailureAction": "none",
        "CreateCommand": list(spec.create_command),
        "Umask": f"{process.umask:04o}",
        "Timeout": 0,
        "StopTimeout": spec.stop_timeout,
        "Passwd": True,
        "sdNotifyMode": "container",
        "ExposedPorts": {text: {} for text in spec.network.exposed},
    }


def signal_name(number: int) -> str:
    """SIGTERM for 15; the number of a signal without a name."""
    import _signal

    for name in dir(_signal):
        if name[:3] == "SIG" and name[3].isalpha() and getattr(_signal, name) == number:
            return name
    return str(number)


def healthcheck(check: Healthcheck) -> "dict[str, Any]":
    return {
        "Test": list(check.test),
        "StartPeriod": check.start_period,
        "Interval": check.interval,
        "Timeout": check.timeout,
        "Retries": check.retries,
    }


def host_config(store: "Store", spec: Spec, settings: Settings) -> "dict[str, Any]":
    """The part `HostConfig`: what ties the container to this machine."""
    return {
        **_lifetime(store, spec, settings),
        **_capabilities(spec),
        **_network(spec),
        **_namespaces(spec),
        **_root(spec),
        **_resources(spec),
    }


def _lifetime(store: "Store", spec: Spec, settings: Settings) -> "dict[str, Any]":
    policy, _, count = settings.restart.partition(":")
    log = spec.log
    path = log.path or f"{store.container(spec.id)}/{paths.LOG}"
    return {
        "Binds": [bind(mount) for mount in user_mounts(spec.mounts)],
        "CgroupManager": "cgroupfs",
        "CgroupMode": mode_of(spec, "cgroup"),
        "ContainerIDFile": spec.annotations.get("io.podman.annotations.cid-file", ""),
        "LogConfig": {
            "Type": log.driver,
            "Config": None,
            "Path": path if log.driver != "none" else "",
            "Tag": log.tag,
            "Size": f"{log.max_size}B",
        },
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": int(count) if count.isdigit() else 0},
        "AutoRemove": spec.ephemeral,
        "AutoRemoveImage": False,
        "Annotations": dict(spec.annotations),
        "VolumeDriver": "",
        "VolumesFrom": None,
    }


def bind(mount: Mount) -> str:
    """`source:target:options`, the mode first."""
    words = [word for word in mount.options if word not in ("ro", "rw")]
    mode = "ro" if "ro" in mount.options else "rw"
    return f"{mount.source}:{mount.target}:{','.join([mode, *words])}"


def _capabilities(spec: Spec) -> "dict[str, Any]":
    held = set(spec.process.capabilities)
    return {
        "CapAdd": sorted(held - set(DEFAULT)),
        "CapDrop": sorted(set(DEFAULT) - held),
        "Privileged": spec.privileged,
        "SecurityOpt": list(spec.security_options),
        "GroupAdd": list(spec.process.groups),
    }


def _network(spec: Spec) -> "dict[str, Any]":
    network = spec.network
    return {
        "NetworkMode": network.driver,
        "PortBindings": {key: value for key, value in ports(network).items() if value},
        "PublishAllPorts": False,
        "Dns": list(network.dns),
        "DnsOptions": list(network.dns_options),
        "DnsSearch": list(network.dns_search),
        "ExtraHosts": list(network.extra_hosts),
        "HostsFile": "",
        "Links": None,
    }


def ports(network: Network) -> "dict[str, list[dict[str, str]] | None]":
    """`80/tcp` -> where it is published; null for a port that is only exposed."""
    found: dict[str, list[dict[str, str]] | None] = {}
    for mapping in network.ports:
        for offset in range(mapping.length):
            host = {"HostIp": mapping.host_ip or "0.0.0.0", "HostPort": str(mapping.host_port + offset)}
            key = f"{mapping.container_port + offset}/{mapping.protocol}"
            found[key] = [*(found.get(key) or ()), host]
    for text in network.exposed:
        for key in expand(text):
            found.setdefault(key, None)
    return {key: found[key] for key in sorted(found)}


def expand(text: str) -> "list[str]":
    """The ports of `80`, `53/udp` or `8000-8002/tcp`, each with its protocol."""
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdigit() or not (last.isdigit() or not last):
        return []
    return [f"{number}/{protocol or 'tcp'}" for number in range(int(first), int(last or first) + 1)]


def endpoint(spec: Spec) -> "dict[str, Any]":
    """The container on its network."""
    return {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
        "NetworkID": spec.network.driver,
        "DriverOpts": None,
        "IPAMConfig": None,
        "Links": None,
    }


def _namespaces(spec: Spec) -> "dict[str, Any]":
    return {
        "IpcMode": "shareable" if mode_of(spec, "ipc") == "private" else mode_of(spec, "ipc"),
        "Cgroup": "",
        "Cgroups": "default",
        "PidMode": mode_of(spec, "pid"),
        "UTSMode": mode_of(spec, "uts"),
        "UsernsMode": mode_of(spec, "user"),
        **({"IDMappings": id_mappings(spec)} if spec.id_maps else {}),
    }


def mode_of(spec: Spec, kind: str) -> str:
    """private, host, container:ID or ns:PATH."""
    namespace = spec.namespace(kind)
    if namespace.mode == "new":
        return "private"
    if namespace.mode == "path":
        return f"ns:{namespace.target}"
    return f"container:{namespace.target}" if namespace.mode == "container" else namespace.mode


def id_mappings(spec: Spec) -> "dict[str, list[str]]":
    """Each range as inside:outside:length."""
    maps = spec.id_maps
    if maps is None:
        return {"UidMap": [], "GidMap": []}
    return {
        "UidMap": [f"{each.inside}:{each.outside}:{each.length}" for each in maps.uid],
        "GidMap": [f"{each.inside}:{each.outside}:{each.length}" for each in maps.gid],
    }


def _root(spec: Spec) -> "dict[str, Any]":
    tmpfs = [mount for mount in spec.mounts if mount.kind == "tmpfs" and mount.target != "/dev/shm"]
    return {
        "ReadonlyRootfs": spec.rootfs.read_only,
        "Tmpfs": {mount.target: ",".join(mount.options) for mount in tmpfs},
        "ShmSize": spec.shm_size,
        "Runtime": "oci",
        "ConsoleSize": [0, 0],
        "Isolation": "",
        **({"Init": True} if spec.init_binary else {}),
    }


def _resources(spec: Spec) -> "dict[str, Any]":
    """Limits. Those of cgroups are all unset: no option sets them yet."""
    unset = (
        *("CpuShares", "Memory", "NanoCpus", "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod"),
        *("CpuRealtimeRuntime", "DiskQuota", "KernelMemory", "MemoryReservation", "MemorySwap"),
        *("MemorySwappiness", "PidsLimit", "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"),
    )
    blkio = ("WeightDevice", "DeviceReadBps", "DeviceWriteBps", "DeviceReadIOps", "DeviceWriteIOps")
    return {
        "OomScoreAdj": spec.process.oom_score_adj or 0,
        "OomKillDisable": False,
        "CgroupParent": "",
        "CpusetCpus": "",
        "CpusetMems": "",
        **{f"Blkio{name}": None for name in blkio},
        **dict.fromkeys(unset, 0),
        "Devices": [device(text) for text in spec.devices],
        "Ulimits": [
            {"Name": f"RLIMIT_{limit.name}", "Soft": limit.soft, "Hard": limit.hard}
            for limit in spec.process.limits
        ],
        "CgroupConf": None,
    }


def device(text: str) -> "dict[str, str]":
    """One device of --device: host[:container[:permissions]]."""
    host, _, rest = text.partition(":")
    inside, _, permissions = rest.partition(":")
    return {
        "PathOnHost": host,
        "PathInContainer": inside or host,
        "CgroupPermissions": permissions or "rwm",
    }

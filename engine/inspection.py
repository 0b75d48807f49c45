"""What `inspect` shows of a container, in the shape of podman's JSON (podman-container-inspect(1)).

Scripts and tools read these keys, so those that pyctr has no use for are there too, with the value of a
container that does not use them.
"""

import os

from pyctr.engine import containers, inspectconfig, truth
from pyctr.engine.inspectconfig import user_mounts
from pyctr.engine.timestamps import rfc3339
from pyctr.rootless.errors import BrokenRecord
from pyctr.runtime.spec import SETTINGS_VERSION, Mount, Settings, Spec
from pyctr.runtime.state import State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.storage.paths import Store

OCI_VERSION = "1.2.0"


def inspect(store: "Store", container_id: str, *, size: bool = False) -> "dict[str, Any]":
    """Everything known of a container. NoSuchContainer; BrokenRecord when it cannot be read."""
    spec = containers.read_spec(store, container_id)
    try:
        state = truth.current(store, container_id)
    except FileNotFoundError:
        raise BrokenRecord(
            f"container {container_id} has no state", "Remove it with 'pyctr rm -f'."
        ) from None
    settings = read_settings(store, container_id)
    return {
        **_identity(store, spec, state),
        **_files(store, spec),
        **_program(spec),
        "ExecIDs": exec_sessions(store, container_id),
        "GraphDriver": graph_driver(store, spec),
        **(_sizes(store, spec) if size else {}),
        "Mounts": [mount(store, each) for each in user_mounts(spec.mounts)],
        "Dependencies": sorted({each.target for each in spec.namespaces if each.mode == "container"}),
        "NetworkSettings": network_settings(spec),
        "Namespace": "",
        "IsInfra": False,
        "IsService": False,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": 0,
        "Config": inspectconfig.config(spec),
        "HostConfig": inspectconfig.host_config(store, spec, settings),
        "UseImageHosts": not spec.network.manage_hosts,
        "UseImageHostname": False,
    }


def read_settings(store: "Store", container_id: str) -> Settings:
    """What may change of a container; the defaults when nothing is on record."""
    try:
        path = f"{store.container(container_id)}/{paths.SETTINGS}"
        return records.read_record(path, Settings, SETTINGS_VERSION)
    except FileNotFoundError:
        return Settings(SETTINGS_VERSION)


def _identity(store: "Store", spec: Spec, state: State) -> "dict[str, Any]":
    argv = (*spec.entrypoint, *spec.command)
    return {
        "Id": spec.id,
        "Created": rfc3339(spec.created),
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "State": state_of(state),
        "Image": spec.image,
        "ImageDigest": image_digest(store, spec),
        "ImageName": spec.image_name,
        "Rootfs": spec.rootfs.path,
        "Pod": "",
    }


def image_digest(store: "Store", spec: Spec) -> str:
    """The digest of the manifest that the image came with; empty when the image is gone or there is none."""
    from pyctr.rootless.errors import PyctrError
    from pyctr.storage import images

    try:
        return images.read_image(store, spec.image).manifest_digest if spec.image else ""
    except (PyctrError, FileNotFoundError):
        return ""


def state_of(state: State) -> "dict[str, Any]":
    """The part `State`."""
    alive = state.status in truth.ALIVE
    return {
        "OciVersion": OCI_VERSION,
        "Status": state.status,
        "Running": alive,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.process.pid if alive and state.process else 0,
        "ConmonPid": state.monitor.pid if alive and state.monitor else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started),
        "FinishedAt": rfc3339(state.finished),
        "Health": {"Status": "", "FailingStreak": 0, "Log": None},
        "CgroupPath": state.cgroup,
        "CheckpointedAt": rfc3339(0),
        "RestoredAt": rfc3339(0),
        "StoppedByUser": state.stopped_by_user,
    }


def _files(store: "Store", spec: Spec) -> "dict[str, Any]":
    folder = store.container(spec.id)
    network = spec.network
    return {
        "ResolvConfPath": f"{folder}/{paths.RESOLV_CONF}" if network.manage_resolv_conf else "",
        "HostnamePath": f"{folder}/{paths.HOSTNAME}",
        "HostsPath": f"{folder}/{paths.HOSTS}" if network.manage_hosts else "",
        "StaticDir": folder,
        "OCIRuntime": "pyctr",
        "ConmonPidFile": "",
        "PidFile": spec.pid_file,
    }


def _program(spec: Spec) -> "dict[str, Any]":
    process = spec.process
    root = process.user.partition(":")[0] in ("", "0", "root")
    return {
        "Name": spec.name,
        "RestartCount": 0,
        "Driver": spec.rootfs.driver,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "EffectiveCaps": list(process.capabilities if root else process.ambient),
        "BoundingCaps": list(process.capabilities),
    }


def exec_sessions(store: "Store", container_id: str) -> "list[str]":
    """The ids of the exec sessions that have a record."""
    try:
        found = os.listdir(f"{store.container_run(container_id)}/{paths.EXEC_SESSIONS}")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({name.partition(".")[0] for name in found if not name.startswith(".")})


def graph_driver(store: "Store", spec: Spec) -> "dict[str, Any]":
    """Where the layers are. The merged tree exists in the container's mount namespace only."""
    if spec.rootfs.kind == "path":
        return {"Name": "path", "Data": {}}
    folder, layers = store.container(spec.id), store.layers(spec.rootfs.key)
    lower = [f"{layers}/{name}/{paths.LAYER_DIFF}" for name in reversed(spec.rootfs.layers)]
    return {
        "Name": spec.rootfs.driver,
        "Data": {
            "LowerDir": ":".join(lower),
            "UpperDir": f"{folder}/{paths.UPPER}",
            "WorkDir": f"{folder}/{paths.WORK}",
        },
    }


def _sizes(store: "Store", spec: Spec) -> "dict[str, Any]":
    from pyctr.engine import usage

    own, whole = usage.measure_one(store, spec.id, spec.image)
    return {"SizeRw": own, "SizeRootFs": whole}


def mount(store: "Store", each: Mount) -> "dict[str, Any]":
    """One element of `Mounts`."""
    words = [word for word in each.options if word not in ("ro", "rw") and "private" not in word]
    propagation = [word for word in each.options if word.endswith(("private", "shared", "slave"))]
    named = each.kind == "volume"
    source = f"{store.volume(each.source)}/{paths.VOLUME_DATA}" if named else each.source
    return {
        "Type": each.kind,
        **({"Name": each.source} if named else {}),
        "Source": source,
        "Destination": each.target,
        "Driver": "local" if named else "",
        "Mode": "",
        "Options": [word for word in words if word not in propagation],
        "RW": "ro" not in each.options,
        "Propagation": propagation[-1] if propagation else "rprivate",
    }


def network_settings(spec: Spec) -> "dict[str, Any]":
    """The part `NetworkSettings`. A user-mode network gives no address that others could use."""
    return {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": inspectconfig.ports(spec.network),
        "SandboxKey": "",
        "Networks": {spec.network.driver: inspectconfig.endpoint(spec)},
    }

"""What `info` and `version` tell, in the shape of podman's JSON (podman-info(1), podman-version(1))."""

import os
import platform
import sys
import time

from pyctr import __version__
from pyctr.engine import listing, truth
from pyctr.rootless import capabilities, cgroups, diagnose, processes, userns
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.rootless.idmap import IdRange
    from pyctr.storage.paths import Store

# The version of podman whose commands and output pyctr follows: scripts compare it with the features they
# need.
API_VERSION = "5.8.0"
HELPERS = ("pasta", "slirp4netns", "fuse-overlayfs")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_FILE_SYSTEMS = {  # statfs(2): magic number -> the words that podman uses
    0xEF53: "extfs",
    0x9123683E: "btrfs",
    0x58465342: "xfs",
    0x01021994: "tmpfs",
    0x794C7630: "overlayfs",
    0x2FC12FC1: "zfs",
    0x6969: "nfs",
    0xF2F52010: "f2fs",
    0xCA451A4E: "bcachefs",
}


def version() -> "dict[str, Any]":
    """The part `Client`. There is no server."""
    return {
        "APIVersion": API_VERSION,
        "Version": __version__,
        "GoVersion": "",
        "PythonVersion": platform.python_version(),
        "GitCommit": "",
        "BuiltTime": time.ctime(0),
        "Built": 0,
        "OsArch": f"linux/{architecture()}",
        "Os": "linux",
    }


def architecture() -> str:
    """The name that images have for this machine."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def info(store: "Store") -> "dict[str, Any]":
    """Facts about this machine and the store. Makes nothing but what trying the storage drivers leaves: a
    file in the runtime folder that remembers the one that works.
    """
    return {
        "host": host(store),
        "plugins": {
            "authorization": None,
            "log": ["k8s-file", "none"],
            "network": ["pasta", "slirp4netns", "host", "none"],
            "volume": ["local"],
        },
        "registries": {},
        "store": storage(store),
        "version": version(),
    }


def host(store: "Store") -> "dict[str, Any]":
    memory = meminfo()
    return {
        "arch": architecture(),
        "cgroupControllers": controllers(),
        "cgroupManager": "cgroupfs",
        "cgroupVersion": "v2" if cgroups.own_path() is not None else "v1",
        "conmon": {"package": "", "path": sys.executable, "version": f"pyctr {__version__}"},
        "cpus": os.cpu_count() or 1,
        "cpuUtilization": cpu_use(),
        "distribution": distribution(),
        "eventLogger": "file",
        "hostname": platform.node(),
        "idMappings": id_mappings(),
        "kernel": platform.release(),
        "linkmode": "dynamic",
        "logDriver": "k8s-file",
        "memFree": memory.get("MemFree", 0),
        "memTotal": memory.get("MemTotal", 0),
        "networkBackend": "pyctr",
        "ociRuntime": {
            "name": "pyctr",
            "package": "",
            "path": sys.executable,
            "version": f"pyctr {__version__}",
        },
        "os": "linux",
        **{name: helper(name) for name in HELPERS if processes.find_executable(name)},
        "remoteSocket": {"exists": False, "path": ""},
        "rootlessNetworkCmd": "pasta" if processes.find_executable("pasta") else "slirp4netns",
        "security": security(),
        "serviceIsRemote": False,
        "swapFree": memory.get("SwapFree", 0),
        "swapTotal": memory.get("SwapTotal", 0),
        "uptime": uptime(),
    }


def controllers() -> "list[str]":
    """The cgroup controllers that containers of this user can have."""
    path = cgroups.own_path()
    return diagnose.read(f"{path}/cgroup.controllers").split() if path else []


def cpu_use() -> "dict[str, float]":
    """Shares since boot, in per cent: proc_stat(5)."""
    ticks = [int(word) for word in diagnose.read("/proc/stat").partition("\n")[0].split()[1:8]] or [0] * 7
    total = sum(ticks) or 1
    shares = {"userPercent": ticks[0] + ticks[1], "systemPercent": ticks[2] + sum(ticks[5:7])}
    shares["idlePercent"] = ticks[3] + ticks[4]
    return {name: round(100 * value / total, 2) for name, value in shares.items()}


def distribution() -> "dict[str, str]":
    release = diagnose.os_release()
    found = {
        "codename": release.get("VERSION_CODENAME", ""),
        "distribution": release.get("ID", "unknown"),
        "variant": release.get("VARIANT_ID", ""),
        "version": release.get("VERSION_ID", "unknown"),
    }
    return {name: value for name, value in found.items() if value}


def id_mappings() -> "dict[str, Any]":
    """The maps of containers; null without subordinate ids."""
    try:
        maps = userns.default_maps()
    except PyctrError:
        return {"gidmap": None, "uidmap": None}
    return {"gidmap": ranges(maps.gid), "uidmap": ranges(maps.uid)}


def ranges(found: "tuple[IdRange, ...]") -> "list[dict[str, int]]":
    return [{"container_id": each.inside, "host_id": each.outside, "size": each.length} for each in found]


def helper(name: str) -> "dict[str, str]":
    path = processes.find_executable(name) or ""
    return {"executable": path, "package": "", "version": output(path, "--version")}


def output(*argv: str) -> str:
    """What a program prints; empty when it cannot be run."""
    import subprocess

    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def security() -> "dict[str, Any]":
    return {
        "apparmorEnabled": diagnose.read("/sys/module/apparmor/parameters/enabled") == "Y",
        "capabilities": ",".join(capabilities.DEFAULT),
        "rootless": not userns.is_root(),
        "seccompEnabled": "Seccomp:" in diagnose.read("/proc/self/status"),
        "seccompProfilePath": "",
        "selinuxEnabled": os.path.exists("/sys/fs/selinux/enforce"),
    }


def meminfo() -> "dict[str, int]":
    """Bytes, by the names of proc_meminfo(5)."""
    rows = [line.split() for line in diagnose.read("/proc/meminfo").split("\n")]
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3}


def uptime() -> str:
    """Hours, minutes and seconds since boot; the days too when there are any."""
    seconds = float(diagnose.read("/proc/uptime").partition(" ")[0] or 0)
    text = f"{int(seconds // 3600)}h {int(seconds % 3600 // 60)}m {seconds % 60:.2f}s"
    return text if seconds < 86400 else f"{text} (Approximately {seconds / 86400:.2f} days)"


def storage(store: "Store") -> "dict[str, Any]":
    total, used = space(store.root)
    return {
        "containerStore": counts(store),
        "graphDriverName": drivers.chosen(store),
        "graphOptions": dict([option.split("=", 1) for option in store.options]),
        "graphRoot": store.root,
        "graphRootAllocated": total,
        "graphRootUsed": used,
        "graphStatus": {
            "Backing Filesystem": file_system(store.root),
            "Native Overlay Diff": "true" if drivers.chosen(store) == "overlay" else "false",
            "Supports d_type": "true",
            "Using metacopy": "false",
        },
        "imageCopyTmpDir": os.environ.get("TMPDIR", "/var/tmp"),
        "imageStore": {"number": images(store)},
        "runRoot": store.runroot,
        "transientStore": False,
        "volumePath": store.volumes(),
    }


def counts(store: "Store") -> "dict[str, int]":
    found = listing.list_containers(store)
    running = len([each for each in found if each.status in truth.ALIVE])
    return {"number": len(found), "paused": 0, "running": running, "stopped": len(found) - running}


def images(store: "Store") -> int:
    from pyctr.storage import images as records
    from pyctr.storage import manifestlists

    return len(records.image_ids(store)) + len(manifestlists.ids(store))


def space(path: str) -> "tuple[int, int]":
    """Bytes of the file system that holds a folder (or will), and how many are used."""
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize


def file_system(path: str) -> str:
    """The kind of file system that holds a folder."""
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    text = output("stat", "--file-system", "--format=%t", path)
    try:
        return _FILE_SYSTEMS.get(int(text, 16), f"<unknown {text}>")
    except ValueError:
        return "<unknown>"

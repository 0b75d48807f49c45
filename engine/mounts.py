"""Everything that is mounted in a container: kernel file systems, the user's mounts, the image's volumes."""

import os

from pyctr.engine.request import Request
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.runtime.spec import Mount
from pyctr.storage import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

INIT_TARGET = "/run/podman-init"
_ZONES = "/usr/share/zoneinfo"
_KERNEL_WORDS = ("nosuid", "noexec", "nodev")
_HOST_BIND = ("rbind", "rprivate", *_KERNEL_WORDS)
_READ_ONLY_TMPFS = ("/run", "/tmp", "/var/tmp")
_VOLUME_OPTIONS = ("rbind", "rprivate", "nosuid", "nodev")
_TMPFS_OPTIONS = ("rw", "nosuid", "nodev", "tmpcopyup")


def plan(request: Request, image_volumes: "Iterable[str]", *, shared: "frozenset[str]") -> tuple[Mount, ...]:
    """All mounts in the order of making; `shared` are the kinds of namespaces that are the host's.

    A mount of the user's replaces ours at the same place. Volumes without a name: see `name_volumes`.
    """
    taken = {mount.target for mount in request.mounts}
    others = _conveniences(request) + _image_volumes(request, image_volumes, taken)
    if request.read_only and request.read_only_tmpfs:
        others += [Mount("tmpfs", target, "tmpfs", _TMPFS_OPTIONS) for target in _READ_ONLY_TMPFS]
    kernel = _untaken(_kernel(request, shared), taken)
    others = _untaken(others, taken)
    return (*kernel, *sorted((*others, *request.mounts), key=_depth))


def _untaken(mounts: "list[Mount]", taken: "set[str]") -> "list[Mount]":
    """The first mount for each place that is still free; their places are `taken` afterwards."""
    kept = []
    for mount in mounts:
        if mount.target not in taken:
            taken.add(mount.target)
            kept.append(mount)
    return kept


def _depth(mount: Mount) -> int:
    """Mounts go from the root to the leaves, else an outer one hides an inner one."""
    return mount.target.count("/")


def _kernel(request: Request, shared: "frozenset[str]") -> "list[Mount]":
    """The OCI runtime specification's default file systems; a shared namespace's are bound from the host."""
    writable = ("rw",) if request.security.privileged else ("ro",)
    mounts = [
        Mount("bind", "/proc", "/proc", _HOST_BIND)
        if "pid" in shared
        else Mount("proc", "/proc", "proc", _KERNEL_WORDS),
        Mount(
            "devpts",
            "/dev/pts",
            "devpts",
            ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        Mount("bind", "/sys", "/sys", (*_HOST_BIND, *writable))
        if "net" in shared
        else Mount("sysfs", "/sys", "sysfs", (*_KERNEL_WORDS, *writable)),
        Mount("cgroup", "/sys/fs/cgroup", "cgroup", (*_KERNEL_WORDS, *writable)),
    ]
    return mounts + _ipc(request, shared)


def _ipc(request: Request, shared: "frozenset[str]") -> "list[Mount]":
    if "ipc" in shared:
        targets = ("/dev/mqueue", "/dev/shm")
        return [Mount("bind", target, target, _HOST_BIND) for target in targets if os.path.isdir(target)]
    mounts = [Mount("mqueue", "/dev/mqueue", "mqueue", _KERNEL_WORDS)]
    if not request.no_shm:
        size = (f"size={request.shm_size}",) if request.shm_size else ()
        mounts.append(Mount("tmpfs", "/dev/shm", "shm", (*_KERNEL_WORDS, "mode=1777", *size)))
    return mounts


def _conveniences(request: Request) -> "list[Mount]":
    mounts = []
    if request.time_zone:
        zone = zone_file(request.time_zone)
        mounts.append(Mount("bind", "/etc/localtime", zone, ("bind", "rprivate", "ro", "nosuid", "nodev")))
    if request.init_binary:
        mounts.append(
            Mount("bind", INIT_TARGET, request.init_binary, ("bind", "rprivate", "ro", "nosuid", "nodev"))
        )
    return mounts


def zone_file(zone: str) -> str:
    """The file of a time zone on the host; `local` is the host's own. PyctrError when there is none."""
    if zone == "local":
        path = os.path.realpath("/etc/localtime")
    else:
        path = os.path.normpath(f"{_ZONES}/{zone}")
    if not os.path.isfile(path) or (zone != "local" and not path.startswith(f"{_ZONES}/")):
        raise PyctrError(
            f"unknown time zone {zone!r}", f"Name a file below {_ZONES}, such as Europe/Berlin, or local."
        )
    return path


def _image_volumes(request: Request, targets: "Iterable[str]", taken: "set[str]") -> "list[Mount]":
    mounts = []
    for target in sorted({os.path.normpath(f"/{target}").replace("//", "/") for target in targets}):
        if target == "/" or target in taken or request.image_volumes == "ignore":
            continue
        if request.image_volumes == "tmpfs":
            mounts.append(Mount("tmpfs", target, "tmpfs", _TMPFS_OPTIONS))
        else:
            mounts.append(Mount("volume", target, "", _VOLUME_OPTIONS))
    return mounts


def name_volumes(mounts: "Iterable[Mount]") -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    """The mounts with a name for each anonymous volume, and those names."""
    named, fresh = [], []
    for mount in mounts:
        if mount.kind == "volume" and not mount.source:
            from pyctr.storage import volumes

            mount = mount.replace(source=volumes.anonymous_name())
            fresh.append(mount.source)
        if "nocreate" in mount.options:
            mount = mount.replace(options=tuple([word for word in mount.options if word != "nocreate"]))
        named.append(mount)
    return tuple(named), tuple(fresh)


def check_volumes(store: paths.Store, mounts: "Iterable[Mount]") -> None:
    """NoSuchObject for a volume that the user forbade to make and that does not exist."""
    wanted = [mount.source for mount in mounts if mount.kind == "volume" and "nocreate" in mount.options]
    if not wanted:
        return
    from pyctr.storage import volumes

    for name in wanted:
        if not volumes.exists(store, name):
            raise NoSuchObject("volume", name, f"Make it with 'pyctr volume create {name}'.")


def make_volumes(
    store: paths.Store, mounts: "Iterable[Mount]", anonymous: "Iterable[str]", *, durable: bool
) -> None:
    """Makes the volumes that are missing. Named ones always outlive a power cut."""
    wanted = [mount.source for mount in mounts if mount.kind == "volume"]
    if not wanted:
        return
    from pyctr.storage import volumes

    for name in anonymous:
        volumes.create(store, name, anonymous=True, durable=durable)
    for name in wanted:
        volumes.ensure(store, name)

"""The root file system of a container as a list of steps, and what each step does.

`plan` is pure: it makes a list of frozen steps from a Spec, which `--log-level debug` prints and unit tests
compare. Each step has `apply(scene)` and `describe()`. All run in init, as root of the container's user
namespace, in its new mount, pid, network, ipc and uts namespaces, before pivot_root except where a step says
otherwise.
"""

import os

from pyctr.rootless import mounts, syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.mounts import Root
from pyctr.rootless.values import Value
from pyctr.runtime.spec import Mount, Spec
from pyctr.storage import drivers, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_DEV_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
_KERNEL = ("proc", "sysfs", "dev", "devpts", "mqueue", "cgroup")
_TMPFS_KEYS = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge")
_TMPFS_WORDS = ("ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime")


class Scene:
    """What the steps share: where the container is, and the descriptors that one step leaves to another.

    `serve` has the process started that a root file system of FUSE needs.
    """

    def __init__(self, store: paths.Store, spec: Spec, serve: "Callable[[drivers.Server], None]") -> None:
        self.serve = serve
        self.store = store
        self.spec = spec
        self.folder = store.container(spec.id)
        self.root = Root(-1)
        self.dev = Root(-1)  # the container's own /dev
        self.devpts = -1


class Step(Value):
    """One operation of set-up."""

    def describe(self) -> str:
        return repr(self)

    def apply(self, scene: Scene) -> None:
        raise NotImplementedError


class MountRoot(Step):
    """The image's layers under the container's upper layer, or a folder as it is."""

    def apply(self, scene: Scene) -> None:
        rootfs = scene.spec.rootfs
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        target = f"{scene.folder}/{paths.MERGED}"
        try:
            os.mkdir(target, 0o700)
        except FileExistsError:
            pass
        if rootfs.kind == "path":
            tree = mounts.clone_tree(rootfs.path)
            mounts.set_options(tree, ())
            scene.root.attach(tree, os.open(target, os.O_PATH | os.O_CLOEXEC))
        else:
            server = drivers.by_name(rootfs.driver).mount(tree_of(scene.store, scene.spec), target)
            if server is not None:
                scene.serve(server)
        scene.root = Root(os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def tree_of(store: paths.Store, spec: Spec) -> drivers.Tree:
    """What the storage driver of a container made from an image has to mount."""
    rootfs = spec.rootfs
    layers = store.layers(rootfs.key)
    return drivers.Tree(layers, rootfs.layers, store.container(spec.id), rootfs.volatile, rootfs.options)


class MountNew(Step):
    """A new instance of a kernel file system, or the host's where that belongs to a namespace that is
    shared.

    The image must not have a link at the mount point: masks would then look for the kernel's files in the
    wrong place.
    """

    fstype: str
    target: str
    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ("nosuid", "noexec", "nodev")
    host: str = ""  # what is bound instead when the namespace is the host's

    def apply(self, scene: Scene) -> None:
        try:
            tree = mounts.new_filesystem(self.fstype, self.options, 0)
        except PermissionError:
            if not self.host:
                raise
            tree = mounts.clone_tree(self.host)
        mounts.set_options(tree, self.words)
        scene.root.attach(tree, _open_plain(scene.root, self.target))


def _open_plain(root: Root, path: str) -> int:
    """A descriptor of a folder that is reached without any link, made where it is missing."""
    os.close(root.make_folder(path))
    try:
        return root.open_beneath(path)
    except OSError:
        raise PyctrError(
            f"the image has a symbolic link on the way to {path}, where the kernel's files must be mounted",
            "Rebuild the image with a folder there.",
        ) from None


class MakeDev(Step):
    """/dev from scratch: a tmpfs with the host's harmless devices, links, pts."""

    def apply(self, scene: Scene) -> None:
        tree = mounts.new_filesystem("tmpfs", ("mode=0755", "size=65536k"), syscalls.MOUNT_ATTR_NOSUID)
        scene.root.attach(os.dup(tree), scene.root.make_folder("/dev"))
        scene.dev = Root(tree)
        for name in DEVICES:
            self._bind_device(scene.dev, f"/dev/{name}", name)
        for name, target in _DEV_LINKS:
            os.symlink(target, name, dir_fd=tree)
        os.mkdir("pts", 0o755, dir_fd=tree)
        devpts = self._new_devpts(scene.spec)
        scene.dev.attach(os.dup(devpts), scene.dev.open_beneath("pts"))
        scene.devpts = devpts

    @staticmethod
    def _bind_device(dev: Root, source: str, name: str) -> None:
        fd = os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_mode & 0o170000 != 0o020000:
                raise PyctrError(f"{source} of the host is no character device")
            dev.attach(mounts.clone_tree(fd, recursive=False), dev.make_file(name, 0o666))
        finally:
            os.close(fd)

    @staticmethod
    def _new_devpts(spec: Spec) -> int:
        """gid 5 (tty) owns terminals where it is mapped (EINVAL where not)."""
        words = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC
        basic = ("ptmxmode=0666", "mode=0620")
        try:
            return mounts.new_filesystem("devpts", (*basic, "gid=5"), words)
        except OSError:
            return mounts.new_filesystem("devpts", basic, words)


class Tmpfs(Step):
    """A tmpfs of the user's or of ours."""

    target: str
    options: tuple[str, ...] = ()

    def apply(self, scene: Scene) -> None:
        data = tuple([o for o in self.options if o.partition("=")[0] in _TMPFS_KEYS and "=" in o])
        target = scene.root.make_folder(self.target)
        data = (*self._defaults(os.fstat(target), data), *data)
        tree = mounts.new_filesystem("tmpfs", data, 0)
        if "tmpcopyup" in self.options:
            from pyctr.runtime import copyup

            copyup.copy_folder(scene.root, self.target, tree, attributes=False)
        mounts.set_options(tree, tuple([o for o in self.options if o in _TMPFS_WORDS]))
        scene.root.attach(tree, target)

    def _defaults(self, status: os.stat_result, data: tuple[str, ...]) -> tuple[str, ...]:
        """The mode, and the owner unless one of them was chosen, as the image's folder has them."""
        if "tmpcopyup" not in self.options:
            return ("mode=1777",)
        mode = f"mode={status.st_mode & 0o7777:o}"
        if any(option.startswith(("mode=", "uid=", "gid=")) for option in data):
            return (mode,)
        return (mode, f"uid={status.st_uid}", f"gid={status.st_gid}")


class Bind(Step):
    """A file or folder of the host."""

    source: str
    target: str
    options: tuple[str, ...] = ()

    def apply(self, scene: Scene) -> None:
        recursive = "bind" not in self.options
        try:
            tree = mounts.clone_tree(self.source, recursive=recursive)
        except OSError as error:
            raise PyctrError(
                f"cannot mount {self.source} at {self.target}: {error.strerror}",
                "The path must exist on the host and be reachable for you.",
            ) from None
        target = self._open_target(scene.root, folder=mounts.is_folder(tree))
        if mounts.is_folder(tree) != mounts.is_folder(target):
            raise PyctrError(
                f"cannot mount {self.source} at {self.target}: one is a folder, the other a file",
                "Mount a folder on a folder, a file on a file.",
            )
        mounts.set_options(tree, self.options)
        scene.root.attach(tree, target)

    def _open_target(self, root: Root, *, folder: bool) -> int:
        if self.target in ("/proc", "/sys"):
            return _open_plain(root, self.target)
        return root.make_folder(self.target) if folder else root.make_file(self.target)


class MountVolume(Step):
    """A volume: a folder of the store, one of the host, or a tmpfs of this container.

    Which, its options tell: podman-volume-create(1), --opt. What the image has at the mount point is copied
    into a fresh one, once.
    """

    volume: str
    target: str
    options: tuple[str, ...] = ()

    def apply(self, scene: Scene) -> None:
        from pyctr.runtime import copyup
        from pyctr.storage import volumes

        chosen = volumes.read(scene.store, self.volume).options
        words = (*self.options, *[word for word in chosen.get("o", "").split(",") if word])
        copied = "nocopy" not in self.options and "nocopy" not in chosen
        if chosen.get("type") == "tmpfs":
            Tmpfs(self.target, (*words, "tmpcopyup") if copied else words).apply(scene)
        elif "device" in chosen:
            Bind(chosen["device"], self.target, words).apply(scene)
        else:
            if copied:
                copyup.fill_volume(scene.store, self.volume, scene.root, self.target)
            data = volumes.data_folder(scene.store, self.volume)
            Bind(data, self.target, self.options).apply(scene)


class Marker(Step):
    """The file by which programs know that they are in a container (podman-run(1), /run/.containerenv)."""

    def apply(self, scene: Scene) -> None:
        try:
            os.close(scene.root.make_file("/run/.containerenv"))
        except (OSError, PyctrError):  # an image with a strange /run goes without
            pass


class ReadOnlyRoot(Step):
    """The root itself, not what is mounted below it."""

    def apply(self, scene: Scene) -> None:
        mounts.set_read_only(scene.root.fd)


class Pivot(Step):
    """The container's root becomes the root of the mount namespace."""

    def apply(self, scene: Scene) -> None:
        mounts.pivot(scene.root)
        scene.root = Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


class Mask(Step):
    """Hides a path of /proc or /sys: an empty read-only folder or /dev/null over it. After the pivot.

    The device comes from the descriptor of our own /dev, verified when it was made, never from a path of the
    image (CVE-2025-31133).
    """

    target: str

    def apply(self, scene: Scene) -> None:
        try:
            target = scene.root.open_beneath(self.target)
        except FileNotFoundError:  # this kernel has no such path
            return
        if mounts.is_folder(target):
            tree = mounts.new_filesystem("tmpfs", ("size=0k", "mode=0755"), syscalls.MOUNT_ATTR_RDONLY)
        else:
            null = scene.dev.open_beneath("null")
            try:
                tree = mounts.clone_tree(null, recursive=False)
            finally:
                os.close(null)
        scene.root.attach(tree, target)


class Freeze(Step):
    """Makes a path of /proc or /sys read-only. After the pivot."""

    target: str

    def apply(self, scene: Scene) -> None:
        try:
            target = scene.root.open_beneath(self.target)
        except FileNotFoundError:
            return
        tree = mounts.clone_tree(target)
        mounts.set_read_only(tree, recursive=True)
        scene.root.attach(tree, target)


def plan(store: paths.Store, spec: Spec) -> "list[Step]":
    """Every step of a container's root file system, in order."""
    steps: list[Step] = [MountRoot(), MakeDev()]
    for mount in _in_depth_order(spec):
        steps += _steps_of(store, mount)
    steps += [
        Bind(f"{store.container(spec.id)}/{name}", f"/etc/{name}", ("bind", "nosuid", "nodev"))
        for name in _managed(spec)
    ]
    if spec.rootfs.kind == "image":
        steps.append(Marker())
    if spec.rootfs.read_only:
        steps.append(ReadOnlyRoot())
    steps.append(Pivot())
    steps += [Mask(path) for path in spec.masked_paths]
    steps += [Freeze(path) for path in spec.read_only_paths]
    return steps


def _in_depth_order(spec: Spec) -> "list[Mount]":
    """Kernel file systems first as listed, then the others with parents before children (a stable sort by
    depth).
    """
    kernel = [m for m in spec.mounts if m.kind in _KERNEL]
    others = [m for m in spec.mounts if m.kind not in _KERNEL]
    return kernel + sorted(others, key=lambda m: m.target.rstrip("/").count("/"))


def _steps_of(store: paths.Store, mount: Mount) -> "list[Step]":
    if mount.kind == "proc":
        return [MountNew("proc", mount.target, host="/proc")]
    if mount.kind == "sysfs":
        return [
            MountNew("sysfs", mount.target, words=(*mount.options, "nosuid", "noexec", "nodev"), host="/sys")
        ]
    if mount.kind == "mqueue":
        return [MountNew("mqueue", mount.target, host="/dev/mqueue")]
    if mount.kind == "cgroup":
        return [MountCgroup(mount.target, mount.options)]
    if mount.kind in ("dev", "devpts"):  # every container has them, made by MakeDev
        return []
    if mount.kind == "tmpfs":
        return [Tmpfs(mount.target, mount.options)]
    if mount.kind == "volume":
        return [MountVolume(mount.source, mount.target, mount.options)]
    if mount.kind == "bind":
        return [Bind(mount.source, mount.target, mount.options)]
    raise PyctrError(f"mount of kind {mount.kind} at {mount.target} is not known")


class MountCgroup(Step):
    """/sys/fs/cgroup, where this machine has version 2 and lets us; a container without it lacks nothing
    else.
    """

    target: str
    options: tuple[str, ...] = ()

    def apply(self, scene: Scene) -> None:
        try:
            tree = mounts.new_filesystem("cgroup2")
        except OSError:
            return
        mounts.set_options(tree, (*self.options, "nosuid", "noexec", "nodev"))
        try:
            scene.root.attach(tree, scene.root.open(self.target))
        except OSError:
            return


def _managed(spec: Spec) -> "list[str]":
    """Files of /etc that are ours, unless the user mounts something there."""
    taken = {mount.target for mount in spec.mounts}
    names = []
    if spec.network.manage_hosts:
        names.append(paths.HOSTS)
    if spec.network.manage_resolv_conf:
        names.append(paths.RESOLV_CONF)
    names.append(paths.HOSTNAME)
    return [name for name in names if f"/etc/{name}" not in taken and "/etc" not in taken]

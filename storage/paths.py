"""The one file that knows the names of files and folders on disk. `docs/internals.md` lists them for people.

A `Store` is the pair of folders that one set of containers and images lives in: `root` survives a reboot,
`runroot` (sockets, caches) may vanish at any time and nothing is lost.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

LAYER_NAME_LENGTH = 24  # 120 bits in base32: 127 lower layers still fit in one page of mount options
SYSTEM_STORAGE_CONF = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")
TEMPORARY = "tmp."  # prefix of an object that is being built or removed; swept when its lock can be taken


def check_component(name: str, kind: str) -> str:
    """`name` when it can be one path component, else PyctrError. The last guard: callers check their own
    grammar.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        raise PyctrError(f"{kind} {name!r} cannot be used as a name on disk")
    return name


def quote_component(name: str) -> str:
    """A reference as one path component: `/` and `%` are percent-quoted, a leading dot too."""
    quoted = name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def unquote_component(name: str) -> str:
    """The reference that `quote_component` was given."""
    return name.replace("%2E", ".").replace("%2F", "/").replace("%00", "\0").replace("%25", "%")


class Store(Value):
    """Where one user's containers and images are. Absolute paths."""

    root: str
    runroot: str
    drivers: tuple[str, ...] = ()  # the storage drivers to choose from; none is all
    options: tuple[str, ...] = ()  # of the driver

    def blobs(self) -> str:
        """blobs/<algorithm>/<hex>: content by digest. The root itself is an OCI image layout (see
        `oci_index`).
        """
        return f"{self.root}/blobs"

    def oci_layout(self) -> str:
        """The file that marks the root as an OCI image layout."""
        return f"{self.root}/oci-layout"

    def oci_index(self) -> str:
        """index.json of the OCI image layout: derived from names/ and images/, never read by pyctr."""
        return f"{self.root}/index.json"

    def blob(self, digest: str) -> str:
        """The file of a blob, for a checked digest `sha256:<64 hex>`."""
        algorithm, _, value = digest.partition(":")
        return f"{self.root}/blobs/{check_component(algorithm, 'digest')}/{check_component(value, 'digest')}"

    def images(self) -> str:
        return f"{self.root}/images"

    def image(self, image_id: str) -> str:
        """The record of an image: images/<64 hex of its config digest>.json"""
        return f"{self.root}/images/{check_component(image_id, 'image')}.json"

    def image_names(self) -> str:
        return f"{self.root}/names/images"

    def image_name(self, reference: str) -> str:
        """names/images/<quoted reference with its tag>: which image a name means."""
        return f"{self.root}/names/images/{check_component(quote_component(reference), 'image name')}"

    def manifest_lists(self) -> str:
        return f"{self.root}/manifests"

    def manifest_list(self, list_id: str) -> str:
        """manifests/<id>: a manifest list."""
        return f"{self.root}/manifests/{check_component(list_id, 'manifest list')}"

    def layers(self, key: str) -> str:
        """layers/<format>-<map>/: all layers of one driver format and one id map."""
        return f"{self.root}/layers/{check_component(key, 'layer key')}"

    def pins(self) -> str:
        """pins/tmp.<random>: what a pull, load or commit at work needs."""
        return f"{self.root}/pins"

    def containers(self) -> str:
        return f"{self.root}/containers"

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{check_component(container_id, 'container')}"

    def container_names(self) -> str:
        return f"{self.root}/names/containers"

    def container_name(self, name: str) -> str:
        """names/containers/<name>: a file that holds the id of the container; its existence is the claim."""
        return f"{self.root}/names/containers/{check_component(name, 'container name')}"

    def exits(self) -> str:
        return f"{self.root}/exits"

    def exit_record(self, container_id: str) -> str:
        return f"{self.root}/exits/{check_component(container_id, 'container')}"

    def volumes(self) -> str:
        return f"{self.root}/volumes"

    def volume(self, name: str) -> str:
        return f"{self.root}/volumes/{check_component(name, 'volume')}"

    def store_lock(self) -> str:
        """Held shared while anything is made that refers to layers, exclusively by sweepers."""
        return f"{self.root}/store.lock"

    def events(self) -> str:
        return f"{self.root}/events.log"

    def cache(self) -> str:
        """Derived files (compiled filters, parsed configuration): rebuilt when missing or older."""
        return f"{self.root}/cache"

    def variants(self) -> str:
        """Which blob a layer became when it was compressed anew."""
        return f"{self.root}/cache/variants"

    def image_mounts(self) -> str:
        """runroot/mounts/: where `image mount` mounts, seen in the namespace of one `unshare` only."""
        return f"{self.runroot}/mounts"

    def image_mount(self, image_id: str) -> str:
        return f"{self.image_mounts()}/{check_component(image_id, 'image')}"

    def container_run(self, container_id: str) -> str:
        """Sockets and exec sessions of a running container."""
        return f"{self.runroot}/{check_component(container_id, 'container')}"


# Everything that lies in the root folder, but for temporaries; records before what they refer to.
NAMES_IN_ROOT = (
    *(
        "names",
        "images",
        "manifests",
        "containers",
        "volumes",
        "exits",
        "cache",
        "pins",
        "layers",
        "blobs",
    ),
    *("index.json", "index.json.lock", "oci-layout", "events.log", "store.lock"),
)

# Inside the folder of a container.
SPEC = "spec.json"
SETTINGS = "settings.json"
STATE = "state.json"
UPPER = "upper"
WORK = "work"
MERGED = "merged"  # where the overlay is mounted, in the container's own mount namespace only
LOG = "ctr.log"
HOSTS = "hosts"
HOSTNAME = "hostname"
RESOLV_CONF = "resolv.conf"
EPHEMERAL = (
    "ephemeral"  # mark of a --rm container, made at creation: a sweeper may remove it once it is dead
)

DRAFT = "draft"  # mark of a container that is being made: what is removed of it takes its volumes along

# Inside the folder of a running container under runroot.
ATTACH_SOCKET = "attach"
EXEC_SESSIONS = "exec"
NETWORK_LOG = "network.log"  # what the network helper had to say
STORAGE_LOG = "storage.log"  # what the process that serves the root file system had to say

# Inside the folder of a mounted image.
IMAGE_ROOT = "root"

# Inside the folder of a layer.
LAYER_DIFF = "diff"
LAYER_RECORD = "layer.json"
LAYER_COMPLETE = "complete"

# Inside the folder of a volume.
VOLUME_RECORD = "volume.json"
VOLUME_DATA = "data"
VOLUME_COPIED = "copied"  # mark: the image's content is in data/, or never has to be
VOLUME_FILL_DRAFT = "fill.draft"  # a copy of the image's content that is being made
VOLUME_FILL = "fill"  # a whole one, on its way into data/


def default_store(
    root: str | None = None,
    runroot: str | None = None,
    driver: str | None = None,
    options: tuple[str, ...] = (),
) -> Store:
    """The store of this user: `root`, else what storage.conf says, else $XDG_DATA_HOME/pyctr; `runroot`
    likewise, else $XDG_RUNTIME_DIR/pyctr.

    `driver` and `options` are those of the command line; STORAGE_DRIVER and STORAGE_OPTS come before the
    file. Without XDG_RUNTIME_DIR (su, cron) the runtime folder is /run/user/UID when it exists, else
    /tmp/pyctr-UID, made with mode 0700 and refused when it belongs to somebody else. PyctrError names a
    storage.conf that is wrong.
    """
    asked, words = driver or os.environ.get("STORAGE_DRIVER", ""), options or _storage_opts()
    usual = os.path.abspath(runroot) if runroot else _usual_runroot()
    if not (asked or words or storage_conf_files()):
        return Store(os.path.abspath(root or _usual_root()), usual)
    from pyctr.storage import configuration

    said = configuration.load(usual)
    return Store(
        os.path.abspath(root or said.root or _usual_root()),
        usual if runroot else os.path.abspath(said.runroot or usual),
        *configuration.choice(said, asked, words),
    )


def storage_conf_files() -> "list[str]":
    """The files of containers-storage.conf(5) that there are, the last word last. CONTAINERS_STORAGE_CONF
    replaces all.
    """
    if only := os.environ.get("CONTAINERS_STORAGE_CONF"):
        return [only]
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
    system = [path for path in SYSTEM_STORAGE_CONF if os.path.exists(path)][:1]
    own = f"{home}/containers/storage.conf"
    return [*system, own] if os.path.exists(own) else system


def _storage_opts() -> tuple[str, ...]:
    return tuple([word for word in os.environ.get("STORAGE_OPTS", "").split(",") if word])


def _usual_root() -> str:
    home = os.environ.get("XDG_DATA_HOME") or f"{os.environ.get('HOME') or _home(os.getuid())}/.local/share"
    return os.path.abspath(f"{home}/pyctr")


def _usual_runroot() -> str:
    uid = os.getuid()
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    return os.path.abspath(f"{base}/pyctr" if os.access(base, os.W_OK) else _private_tmp(uid))


def _home(uid: int) -> str:
    import pwd

    return pwd.getpwuid(uid).pw_dir


def _private_tmp(uid: int) -> str:
    path = f"/tmp/pyctr-{uid}"
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        status = os.lstat(path)
        if status.st_uid != uid or status.st_mode & 0o170077 != 0o040000:
            raise PyctrError(
                f"{path} is not a private folder of uid {uid}", "Set XDG_RUNTIME_DIR or give --runroot."
            ) from None
    return path

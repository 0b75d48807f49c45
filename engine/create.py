"""A container comes to be: the request and the image become a Spec, which is written to disk.

The order of writing, and what a SIGKILL or power cut after each step leaves:
1. containers/tmp.<id>/ under its lock        garbage that the next sweep removes
2. the name                                   a claim without a container, which the next claimant takes
                                              over
3. the spec in tmp.<id>/                      as 1
4. the volumes                                as 1 with those that have no name (the mark `draft` says so);
                                              empty volumes, as was asked for
5. the other records, all made durable        as 1
6. --cidfile                                  a file with the id of a container that is not there
7. tmp.<id> becomes containers/<id>           the container, with the mark, which its removal disregards
8. the mark goes                              the container
The store lock is held shared throughout, so no sweeper takes the layers that are being chosen. The spec
keeps the volumes: see `pyctr.storage.volumes`.
"""

import os
import time

from pyctr.engine import imagedefaults, mounts, names, process, security
from pyctr.engine.imagedefaults import ImageDefaults
from pyctr.engine.request import Request
from pyctr.net.model import Network
from pyctr.rootless import jsontext, userns
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.runtime import state as states
from pyctr.runtime.spec import SETTINGS_VERSION, SPEC_VERSION, Rootfs, Settings, Spec
from pyctr.runtime.state import State
from pyctr.storage import drivers, layers, paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.images import Image

CID_FILE = "io.podman.annotations.cid-file"  # where podman notes the file that goes with the container


def create(
    store: paths.Store,
    request: Request,
    image: "Image | None",
    maps: IdMaps | None = None,
    state: State | None = None,
) -> Spec:
    """Makes a container and returns its spec. `image` is None with --rootfs; `maps` are those of `maps_of`;
    `state` is its first one when that is not `created`.

    PyctrError (InUse for a taken name) leaves nothing behind.
    """
    if request.replaces and request.name:
        _remove_namesake(store, request.name)
    with records.lock_file(store.store_lock(), shared=True):
        mounts.check_volumes(store, request.mounts)
        if image is not None and not os.path.exists(store.image(image.id)):
            raise NoSuchObject(
                "image", request.image_name, "It was removed just now; pull or load it again."
            )
        container_id = os.urandom(32).hex()
        with Draft(store, container_id, durable=not request.ephemeral) as draft:
            spec = plan(store, request, image, maps or maps_of(request), container_id, draft.claim(request))
            draft.write(spec, request, state or State())
            draft.publish(spec, request)
    return spec


def _remove_namesake(store: paths.Store, name: str) -> None:
    """Stops and removes the container that has a name, as --replace asks for."""
    from pyctr.engine import containers, removal

    container_id = containers.by_name(store, name)
    if container_id is not None:
        try:
            removal.remove(store, container_id, force=True)
        except containers.NoSuchContainer:
            pass  # somebody else was faster


def plan(
    store: paths.Store, request: Request, image: "Image | None", maps: IdMaps, container_id: str, name: str
) -> Spec:
    """The spec of a container; unpacks layers that its id map lacks, writes nothing else."""
    defaults = ImageDefaults() if image is None else imagedefaults.of(image)
    hostname = host_name(request, container_id)
    shared = frozenset([each.kind for each in request.namespaces if each.mode == "host"])
    entrypoint, command = process.entrypoint_and_command(request, defaults)
    all_mounts, anonymous = mounts.name_volumes(mounts.plan(request, defaults.volumes, shared=shared))
    return Spec(
        version=SPEC_VERSION,
        id=container_id,
        name=name,
        created=time.time_ns(),
        rootfs=root_file_system(store, request, image, maps),
        process=process.plan(store, request, defaults, hostname=hostname),
        image="" if image is None else image.id,
        image_name=request.image_name,
        create_command=request.create_command,
        entrypoint=entrypoint,
        command=command,
        namespaces=request.namespaces,
        id_maps=maps,
        hostname=hostname,
        mounts=all_mounts,
        anonymous_volumes=anonymous,
        masked_paths=security.masked_paths(request.security),
        read_only_paths=security.read_only_paths(request.security),
        privileged=request.security.privileged,
        init_binary=request.init_binary,
        shm_size=request.shm_size,
        network=network(request, defaults),
        log=request.log,
        healthcheck=None if request.no_healthcheck else defaults.healthcheck,
        labels={**defaults.labels, **request.labels},
        annotations={**request.annotations, **({CID_FILE: request.cid_file} if request.cid_file else {})},
        stop_signal=stop_signal(request, defaults),
        stop_timeout=request.stop_timeout,
        ephemeral=request.ephemeral,
        pid_file=request.pid_file,
        detach_keys=request.detach_keys,
        sig_proxy=request.sig_proxy,
        security_options=request.security.words,
        read_only_tmpfs=request.read_only_tmpfs,
    )


def maps_of(request: Request) -> IdMaps:
    """The maps of the container's user namespace."""
    return userns.default_maps() if request.keep_id is None else userns.keep_id_maps(*request.keep_id)


def root_file_system(store: paths.Store, request: Request, image: "Image | None", maps: IdMaps) -> Rootfs:
    """The image's layers as this id map needs them, or the user's own folder."""
    if image is None:
        return Rootfs("path", path=request.rootfs, read_only=request.read_only)
    key, layer_names = layers.ensure_layers(store, image, maps)
    driver = drivers.chosen(store)
    return Rootfs(
        "image",
        driver=driver,
        options=drivers.options_of(driver, store.options),
        key=key,
        layers=tuple(layer_names),
        read_only=request.read_only,
        volatile=request.ephemeral,
    )


def host_name(request: Request, container_id: str) -> str:
    """With the host's network or uts namespace a container has the host's name, as in podman."""
    shared = {each.kind for each in request.namespaces if each.mode == "host"}
    if "uts" in shared or ("net" in shared and not request.hostname):
        return os.uname().nodename
    return request.hostname or container_id[:12]


def network(request: Request, image: ImageDefaults) -> Network:
    """The network as asked for, with the image's ports and a free port of the host where any will do.

    -P publishes all that are exposed and not published yet.
    """
    asked = request.network.replace(exposed=tuple(dict.fromkeys((*request.network.exposed, *image.exposed))))
    if asked.driver in ("none", "host") or not (asked.ports or request.publish_all):
        return asked
    from pyctr.net import ports

    wanted = ports.publish_all(asked.exposed, asked.ports) if request.publish_all else asked.ports
    ports.refuse_overlaps(wanted)
    chosen = {port: port for port in wanted}
    unchosen = tuple([port for port in wanted if not port.host_port])
    if unchosen:
        chosen.update(zip(unchosen, ports.choose_ports(unchosen, ipv6=asked.driver == "pasta"), strict=True))
    return asked.replace(ports=tuple([chosen[port] for port in wanted]))


def stop_signal(request: Request, image: ImageDefaults) -> int:
    """The number of the signal that asks the container to end."""
    if request.stop_signal is not None:
        return request.stop_signal
    if not image.stop_signal:
        return 15
    from pyctr.engine.signals import parse_signal

    return parse_signal(image.stop_signal)


class Draft:
    """A container being built in containers/tmp.<id>/ under its lock; undone unless it is published."""

    def __init__(self, store: paths.Store, container_id: str, *, durable: bool) -> None:
        self.store = store
        self.id = container_id
        self.folder = f"{store.containers()}/{paths.TEMPORARY}{container_id}"
        self.durable = durable
        self.name = ""
        self.published = False
        self.volumes: tuple[str, ...] = ()
        self.lock = _make_locked(self.folder)

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            if not self.published:
                self._undo()
        finally:
            self.lock.release()

    def _undo(self) -> None:
        from pyctr.storage import trees

        if self.name:
            names.release(self.store, self.name, self.id)
        trees.remove(self.folder)
        for name in self.volumes:
            from pyctr.storage import volumes

            try:
                volumes.remove(self.store, name)
            except PyctrError:
                pass  # not made yet

    def claim(self, request: Request) -> str:
        """The name, which is this container's from now on."""
        if request.name:
            names.claim(self.store, request.name, self.id)
            self.name = request.name
        else:
            self.name = names.claim_random(self.store, self.id)
        return self.name

    def write(self, spec: Spec, request: Request, state: State) -> None:
        """The folders, volumes and records of the container."""
        for name in (paths.DRAFT, paths.EPHEMERAL)[: 2 if spec.ephemeral else 1]:
            os.close(os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._write_new(paths.SPEC, spec)
        self.volumes = spec.anonymous_volumes
        mounts.make_volumes(self.store, spec.mounts, spec.anonymous_volumes, durable=self.durable)
        self._write_new(paths.SETTINGS, Settings(SETTINGS_VERSION, request.restart))
        self._write_new(paths.STATE, state)
        if self.durable:
            written = [f"{self.folder}/{name}" for name in (paths.SPEC, paths.SETTINGS, paths.STATE)]
            make_durable([self.store.container_name(self.name), *written])

    def _write_new(self, name: str, record: Value) -> None:
        """A record in a folder that nobody reads yet, so without a temporary."""
        fd = os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            records.write_all(fd, jsontext.dumps(record.to_json()).encode() + b"\n")
        finally:
            os.close(fd)

    def publish(self, spec: Spec, request: Request) -> None:
        """The container exists from here on."""
        if request.cid_file:
            write_cid_file(request.cid_file, spec.id)
        os.rename(self.folder, self.store.container(self.id))
        self.published = True
        os.unlink(f"{self.store.container(self.id)}/{paths.DRAFT}")
        if self.durable:
            records.sync_folder(self.store.containers())
        states.append_event(
            self.store, "container", "create", spec.id, name=spec.name, image=spec.image_name
        )


def _make_locked(folder: str) -> records.Lock:
    """A new folder, locked; a sweeper that is faster than our lock takes it away, and it is made again."""
    while True:
        records.make_folder(folder)
        try:
            return records.lock(folder)
        except FileNotFoundError:
            continue


def make_durable(files: "list[str]") -> None:
    """Lets new files survive a power cut, with their names: fsync commits these too on every journal."""
    fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in files]
    try:
        for fd in fds:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # starts to write: one commit then serves all
        for fd in fds:
            os.fsync(fd)
    finally:
        for fd in fds:
            os.close(fd)


def write_cid_file(path: str, container_id: str) -> None:
    """The id in a new file of the user's. PyctrError when there is one already."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise cid_file_exists(path) from None
    except OSError as error:
        raise PyctrError(f"cannot write the container id file {path}: {error.strerror}") from None
    try:
        records.write_all(fd, container_id.encode())
    finally:
        os.close(fd)


def cid_file_exists(path: str) -> PyctrError:
    """The error for a --cidfile that is there."""
    return PyctrError(
        f"container id file exists: {path}", "Make sure that no other container uses it, then delete it."
    )

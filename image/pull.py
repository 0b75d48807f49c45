"""Pulling images, and the policy by which `run` and `create` pull them.

On the path of `run`: an image that is there costs no more than its lookup. The transfer itself (urllib3,
threads) is in `pyctr.image.transfer`; it runs in a process of its own when a container is to be started.
"""

import os

from pyctr.image import lookup, reference
from pyctr.image.lookup import Found, NoSuchImage
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pyctr.image.manifest import Platform
    from pyctr.image.progress import Progress
    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

    V = TypeVar("V")

_USUAL = {"x86_64": "amd64", "aarch64": "arm64"}  # machines that need no more than that to be compared
POLICIES = ("always", "missing", "never", "newer")


class PullOptions(Value):
    """What the command line says about pulling. The platform is OS/ARCH[/VARIANT] or its three parts."""

    platform: str = ""
    arch: str = ""
    os: str = ""
    variant: str = ""
    tls_verify: bool | None = None
    cert_dir: str = ""
    creds: str = ""  # user:password
    auth_file: str = ""
    retries: int = 3
    retry_delay: float = 1.0  # seconds

    def wants_platform(self) -> bool:
        """Whether a platform was asked for."""
        return bool(self.platform or self.arch or self.os or self.variant)


def pull_if_needed(
    store: "Store",
    name: str,
    policy: str = "missing",
    options: "PullOptions | None" = None,
    progress: "Callable[[], Progress] | None" = None,
) -> Found:
    """The local image that `name` means, pulled first if `policy` says so: always, missing, never or newer.

    The pull runs in a child process, where `progress()` is called; no thread is started in this one. Raises
    NoSuchImage with `never`, PyctrError for a failed pull; with `newer` a local image will then do.
    """
    options = options or PullOptions()
    found = _local(store, name, options)
    if policy not in POLICIES:
        raise PyctrError(f"unknown pull policy {policy!r}", f"It is one of {', '.join(POLICIES)}.")
    if policy == "never" or (found and policy == "missing"):
        found = found or lookup.find(store, name)
        _warn_of_foreign(found.image, options, progress)
        return found
    if found and not found.name:
        if policy == "newer":
            return found
        raise PyctrError(f"{name} is the id of an image, which cannot be pulled", "Give its name.")
    return _pulled(store, name, options, progress, found if policy == "newer" else None)


def _local(store: "Store", name: str, options: PullOptions) -> Found | None:
    """The local image, unless it is for another platform than the one asked for. An id is that of one image,
    whatever it is for.
    """
    wanted = _wanted(options) if options.wants_platform() else None
    try:
        found = lookup.find(store, name, wanted)
    except NoSuchImage:
        return None
    return None if wanted and found.name and _mismatch(wanted, found.image) else found


def _wanted(options: PullOptions) -> "Platform":
    from pyctr.image import platform

    return platform.wanted(options.platform, arch=options.arch, os_name=options.os, variant=options.variant)


def _mismatch(wanted: "Platform", image: "Image") -> str:
    """What is to be said of an image for another platform; empty for one that fits."""
    from pyctr.image import platform
    from pyctr.image.manifest import Platform

    its = Platform(image.os, image.architecture, image.variant)
    return platform.warning(wanted, its) if platform.mismatch(wanted, its) else ""


def _warn_of_foreign(
    image: "Image", options: PullOptions, progress: "Callable[[], Progress] | None"
) -> None:
    """Warns of an image that is not for this machine, or not for what was asked for."""
    usual = _USUAL.get(os.uname().machine) == image.architecture and image.os == "linux"
    if progress is None or (usual and not options.wants_platform()):
        return
    if text := _mismatch(_wanted(options), image):
        progress().warn(text)


def _pulled(
    store: "Store",
    name: str,
    options: PullOptions,
    progress: "Callable[[], Progress] | None",
    fallback: Found | None,
) -> Found:
    def bring(full: str) -> Found:
        def work() -> None:
            if not fallback or _is_newer(store, fallback, options):
                _pull_full(store, full, options, progress() if progress else None)

        in_child(work)
        return lookup.find(store, full)

    try:
        return _first((fallback.name,) if fallback else resolve(store, name), bring)
    except PyctrError:
        if fallback:
            return fallback
        raise


def _first(names: tuple[str, ...], action: "Callable[[str], V]") -> "V":
    """What `action` makes of the first name that it can do anything with. PyctrError with all reasons."""
    errors = []
    for name in names:
        try:
            return action(name)
        except PyctrError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise PyctrError("; ".join([error.message for error in errors]), "Give the whole name.")


def _is_newer(store: "Store", local: Found, options: PullOptions) -> bool:
    """Whether the registry has another image than the local one under its name."""
    from pyctr.image import transfer
    from pyctr.storage import images

    record = images.read_name(store, local.name)
    known = (local.image.manifest_digest, *([record.manifest_digest] if record else []))
    return transfer.is_newer(store, known, reference.parse(local.name), options)


def resolve(store: "Store", name: str) -> tuple[str, ...]:
    """The full names that are pulled for `name`, the first to try first. PyctrError for none."""
    from pyctr.image import registries

    parsed = reference.parse(name.removeprefix("docker://"))
    return tuple([str(each) for each in registries.candidates(registries.load(store), parsed)])


def pull(
    store: "Store", name: str, options: "PullOptions | None" = None, progress: "Progress | None" = None
) -> "Image":
    """Pulls `name` into the store, in this process (with threads). Raises PyctrError."""
    return _first(
        resolve(store, name), lambda full: _pull_full(store, full, options or PullOptions(), progress)
    )


def pull_tags(
    store: "Store", name: str, options: PullOptions, progress: "Progress | None" = None
) -> "list[Image]":
    """Pulls every tag of a repository, as `pull` does with one. Raises PyctrError."""
    from pyctr.image import registries, search, transfer

    parsed = reference.parse(name.removeprefix("docker://"))
    if parsed.tag or parsed.digest:
        raise PyctrError(f"--all-tags takes a name without tag and digest, not {parsed}")

    def bring(full: str) -> "list[Image]":
        place = registries.sources(registries.load(store), reference.parse(full))[-1]
        tags = search.tags(place.reference, place.reached(transfer.access(options)))
        if not tags:
            raise NoSuchImage(f"{parsed} (it has no tag)")
        every = [str(reference.parse(full).replace(tag=tag)) for tag in tags]
        return [_pull_full(store, each, options, progress) for each in every]

    return _first(resolve(store, name), bring)


def _pull_full(store: "Store", full: str, options: PullOptions, progress: "Progress | None") -> "Image":
    from pyctr.image import transfer
    from pyctr.image.progress import SILENT

    return transfer.pull(store, reference.parse(full), options, progress or SILENT)


def in_child(work: "Callable[[], object]") -> None:
    """Does `work` in a forked process and waits for it; its PyctrError or OSError is raised here again."""
    import marshal

    from pyctr.rootless import syscalls

    reading, writing = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(reading)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        _work_in_child(work, writing, parent)
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if answer:
        raise PyctrError(*marshal.loads(answer))
    if status:
        raise PyctrError(f"the process that pulls ended unexpectedly ({status})")


def _work_in_child(work: "Callable[[], object]", writing: int, parent: int) -> None:
    import marshal

    code = 1
    try:
        if os.getppid() == parent:  # else it died before PDEATHSIG was set
            work()
            code = 0
    except PyctrError as error:
        os.write(writing, marshal.dumps((error.message, error.hint)))
    except OSError as error:
        os.write(writing, marshal.dumps((f"{error.filename or 'pull'}: {error.strerror}",)))
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        os.write(writing, marshal.dumps((f"the pull failed unexpectedly: {type(error).__name__}: {error}",)))
    finally:
        os._exit(code)

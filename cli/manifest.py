"""pyctr manifest create, add, annotate, inspect, push, remove, rm, exists"""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.image.lookup import Meant
    from pyctr.image.manifest import Platform
    from pyctr.image.manifestlist import Changes
    from pyctr.image.reference import Reference
    from pyctr.storage.manifestlists import ManifestList


def create(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import images
    from pyctr.image import manifestlist

    found = pairs(options.annotation)
    made = manifestlist.create(options.store, arguments[0], amend=options.amend, annotations=found)
    try:
        for image in arguments[1:]:
            made = added(made, image, options)
    except BaseException:
        if not options.amend:
            images.remove_list(options.store, made.id)
        raise
    print(made.id)
    return 0


def add(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import manifestlist

    made = manifestlist.find(options.store, arguments[0])
    for image in arguments[1:]:
        made = added(made, image, options)
    print(made.id)
    return 0


def added(to: "ManifestList", image: str, options: "Options") -> "ManifestList":
    """A list with one more image; all of an index with --all."""
    from pyctr.cli.push import access_of
    from pyctr.image import manifestlist

    return manifestlist.add(
        options.store,
        to,
        image,
        access_of(options),
        wanted=platform_of(options),
        every=options.all,
        changes=changes_of(options),
    )


def platform_of(options: "Options") -> "Platform":
    """Which image of an index is meant."""
    from pyctr.image import platform

    given = {name: vars(options).get(name) or "" for name in ("arch", "os", "variant")}
    return platform.wanted(arch=given["arch"], os_name=given["os"], variant=given["variant"])


def changes_of(options: "Options") -> "Changes":
    """What the options say about an entry. The annotations of `create` are those of the list."""
    from pyctr.image.manifestlist import Changes

    given = vars(options)
    return Changes(
        architecture=given.get("arch") or "",
        os=given.get("os") or "",
        variant=given.get("variant") or "",
        os_version=given.get("os_version") or "",
        os_features=given.get("os_features") or (),
        features=given.get("features") or (),
        annotations={} if "amend" in given else pairs(given.get("annotation") or ()),
    )


def pairs(words: "tuple[str, ...]") -> dict[str, str]:
    """NAME=VALUE of --annotation."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise PyctrError(f"--annotation {word!r} is not NAME=VALUE")
        found[name] = value
    return found


def annotate(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import manifestlist

    made = manifestlist.find(options.store, arguments[0])
    changes = changes_of(options)
    if options.index:
        made = manifestlist.annotate_index(options.store, made, changes.annotations)
        print(made.id)
        return 0
    if len(arguments) < 2:
        raise PyctrError("which image of the list is meant?", "Give its digest, or --index for the list.")
    print(manifestlist.annotate(options.store, made, arguments[1], changes).id)
    return 0


def inspect(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli.format import json_text

    print(json_text(described(options, arguments[0])))
    return 0


def described(options: "Options", name: str) -> "dict[str, Any]":
    """The index of a local list, or what a registry has under the name."""
    import json

    from pyctr.cli.push import access_of
    from pyctr.image import manifestlist
    from pyctr.storage.manifestlists import NoSuchList

    try:
        found = manifestlist.find(options.store, name.removeprefix(manifestlist.REMOTE))
    except NoSuchList:
        from pyctr.image import manifest

        remote = name.removeprefix(manifestlist.REMOTE)
        _, full, data, told = manifestlist.read_remote(options.store, remote, access_of(options))
        manifest.parse(data, told, str(full))
        document: dict[str, Any] = json.loads(data)
        return document
    return manifestlist.index(found, found.entries)


def push(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import manifestlist

    found = manifestlist.meant(options.store, arguments[0])
    push_list(found, arguments[1] if len(arguments) > 1 else "", options, every=options.all)
    if options.rm:
        from pyctr.engine import images

        images.remove_list(options.store, found.id)
    return 0


def push_list(found: "Meant", to: str, options: "Options", *, every: bool = True) -> None:
    """Pushes a list to where its name says, or to a destination."""
    from pyctr.cli import progress
    from pyctr.cli.push import access_of, refuse_elsewhere, wishes_of, write_digest
    from pyctr.image import listpush, places
    from pyctr.storage import manifestlists

    refuse_elsewhere(to)
    if place := places.parse(to):
        raise PyctrError(
            f"a manifest list cannot be pushed to {place.transport}: this is not supported yet",
            "Push it to a registry, or its images one by one.",
        )
    digest = listpush.push_list(
        options.store,
        manifestlists.read(options.store, found.id),
        target_of(found, to),
        wishes_of(options),
        access_of(options),
        progress.choose(quiet=options.quiet),
        every=every,
    )
    write_digest(digest, options)


def target_of(found: "Meant", to: str) -> "Reference":
    """Where a list goes: to the destination, else to the name that it was found by."""
    from pyctr.image import reference

    if not (to or found.name):
        raise PyctrError(f"where is the manifest list {found.id[:12]} to go?", "Name a destination.")
    return reference.normalize(to.removeprefix("docker://") or found.name)


def remove(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import manifestlist

    made = manifestlist.find(options.store, arguments[0])
    print(manifestlist.remove_entry(options.store, made, arguments[1]).id)
    return 0


def rm(options: "Options", arguments: "tuple[str, ...]") -> int:
    return max([rm_one(name, options) for name in arguments])


def rm_one(name: str, options: "Options") -> int:
    """Removes a list, or tells why not; the exit code it stands for."""
    from pyctr.cli import targets
    from pyctr.cli.failure import warn_kept
    from pyctr.engine import images
    from pyctr.image import manifestlist
    from pyctr.storage.manifestlists import NoSuchList

    try:
        removed = images.remove_list(options.store, manifestlist.meant(options.store, name).id)
    except NoSuchList as error:
        error.exit_code = 1
        return 0 if options.ignore else targets.complain(error)
    except (PyctrError, OSError) as error:
        return targets.complain(error)
    print("".join([f"Untagged: {each}\n" for each in removed.untagged]), end="")
    print(f"Deleted: {removed.deleted}", flush=True)
    warn_kept(removed.kept)
    return 0


def exists(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import manifestlist
    from pyctr.storage.manifestlists import NoSuchList

    try:
        manifestlist.meant(options.store, arguments[0])
    except NoSuchList:
        return 1
    return 0


LIST = Argument("LIST", 1, 1)
ALL = Option(("--all",), "Add all images of an index, not only the one for this machine")
ANNOTATION = Option(("--annotation",), "Annotation of the entry", "list", "NAME=VALUE")
TLS = Option(("--tls-verify",), "Demand TLS and verify the registry's certificate", default=True)
AUTHFILE = Option(("--authfile",), "File with credentials for registries", "text", "PATH", complete="file")
ACCESS = (
    AUTHFILE,
    Option(("--cert-dir",), "Folder with certificates for the registry", "text", "PATH", complete="file"),
    Option(("--creds",), "Credentials; what is missing is asked for", "text", "USER[:PASSWORD]"),
    TLS,
)
RECORDED = (
    ANNOTATION,
    Option(("--arch",), "Architecture to record instead of the image's own", "text", "ARCH"),
    Option(("--features",), "Processor features to record", "list", "FEATURE"),
    Option(("--os",), "Operating system to record", "text", "OS"),
    Option(("--os-version",), "Version of the operating system to record", "text", "VERSION"),
    Option(("--variant",), "Variant of the architecture to record", "text", "VARIANT"),
)
ARTIFACTS = tuple(
    [
        Option((name,), kind="text" if name != "--artifact" else "flag", unsupported=True)
        for name in (
            *("--artifact", "--artifact-config", "--artifact-config-type", "--artifact-layer-type"),
            *("--artifact-subject", "--artifact-type"),
        )
    ]
)

CREATE = Command(
    name="manifest create",
    summary="Make a manifest list",
    handler=create,
    arguments=(LIST, Argument("IMAGE", 0, -1, complete="image")),
    options=(
        ALL,
        Option(("--amend", "-a"), "Change the list if there is one of that name"),
        ANNOTATION.replace(help="Annotation of the list"),
        TLS,
    ),
    description="""\
Makes a list of images for several platforms, and adds images to it: local ones, or those of a registry
(docker://). The list stays here until `manifest push` sends it.""",
    examples=(
        "pyctr manifest create app",
        "pyctr manifest create app app-amd64 docker://quay.io/me/app:arm64",
    ),
)
ADD = Command(
    name="manifest add",
    summary="Add images to a manifest list",
    handler=add,
    arguments=(LIST, Argument("IMAGE", 1, -1, complete="image")),
    options=(ALL, *ACCESS, *RECORDED, *ARTIFACTS),
    description="""\
Adds local images, or with docker:// those of a registry, which are not fetched. Of an index the image for
this machine is added, for --arch, --os and --variant, or with --all every one. An image that the list has
already is recorded anew.""",
    examples=("pyctr manifest add app docker://quay.io/me/app:arm64",),
)
ANNOTATE = Command(
    name="manifest annotate",
    summary="Change what a manifest list says about an image",
    handler=annotate,
    arguments=(LIST, Argument("DIGEST", 0, 1)),
    options=(
        *RECORDED,
        Option(("--index",), "Set the annotations of the list itself"),
        Option(("--os-features",), "Features of the operating system to record", "list", "FEATURE"),
        Option(("--subject",), kind="text", unsupported=True),
    ),
    examples=("pyctr manifest annotate --arch arm64 --variant v8 app sha256:59ee...",),
)
INSPECT = Command(
    name="manifest inspect",
    summary="Show a manifest list",
    handler=inspect,
    arguments=(LIST,),
    options=(AUTHFILE, TLS),
    description="Shows the index of a local list, else the manifest that a registry has under the name.",
    examples=("pyctr manifest inspect app", "pyctr manifest inspect docker.io/library/debian"),
)
PUSH = Command(
    name="manifest push",
    summary="Send a manifest list and its images to a registry",
    handler=push,
    arguments=(LIST, Argument("DESTINATION", 0, 1)),
    options=(
        Option(("--all",), "Send the images too, not only the list", default=True),
        *ACCESS,
        Option(
            ("--compression-format",),
            "Compress all layers with gzip or zstd",
            "text",
            "FORMAT",
            choices=("gzip", "zstd"),
        ),
        Option(("--compression-level",), "1 (fast) to 9 (small) for gzip, to 20 for zstd", "int", "LEVEL"),
        Option(("--digestfile",), "Write the digest of the list to a file", "text", "PATH", complete="file"),
        Option(
            ("--force-compression",),
            "Compress again what is compressed otherwise; implied by --compression-format",
        ),
        Option(
            ("--format", "-f"),
            "List to write: oci or v2s2 (default oci)",
            "text",
            "FORMAT",
            choices=("oci", "v2s2"),
        ),
        Option(("--quiet", "-q"), "No progress"),
        Option(("--remove-signatures",), "Push no signatures; pyctr never does"),
        Option(("--rm",), "Remove the list here once it is there"),
        Option(("--add-compression",), kind="list", unsupported=True),
        Option(("--sign-by",), kind="text", unsupported=True),
        Option(("--sign-by-sigstore",), kind="text", unsupported=True),
        Option(("--sign-by-sigstore-private-key",), kind="text", unsupported=True),
        Option(("--sign-by-sq-fingerprint",), kind="text", unsupported=True),
        Option(("--sign-passphrase-file",), kind="text", unsupported=True),
    ),
    description="""\
Sends the images of a list by their digests, then the list under its name or another one. What the registry
has is not sent again; images of other registries are fetched on the way.""",
    examples=("pyctr manifest push app registry.example.com/team/app:1",),
)
REMOVE = Command(
    name="manifest remove",
    summary="Take an image out of a manifest list",
    handler=remove,
    arguments=(LIST, Argument("DIGEST", 1, 1)),
    examples=("pyctr manifest remove app sha256:59ee...",),
)
RM = Command(
    name="manifest rm",
    summary="Remove manifest lists",
    handler=rm,
    arguments=(Argument("LIST", 1, -1),),
    options=(Option(("--ignore", "-i"), "A list that is not there is no error"),),
    description="Removes the lists alone: the images in them stay.",
    examples=("pyctr manifest rm app",),
)
EXISTS = Command(
    name="manifest exists",
    summary="Tell by the exit code whether there is such a manifest list",
    handler=exists,
    arguments=(LIST,),
    description="0 when there is, 1 when there is not, 125 when that cannot be told.",
    examples=("pyctr manifest exists app || pyctr manifest create app",),
)

"""pyctr volume ...: all its verbs."""

import sys

from pyctr.cli import format, targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import volumes
from pyctr.rootless.errors import InUse, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.engine.volumes import Listed
    from pyctr.storage.volumes import Volume

_NAME = Argument("VOLUME", complete="volume")
_NAMES = Argument("VOLUME", 0, -1, complete="volume")
_COLUMNS = (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))
_HEADINGS = {"Mountpoint": "MOUNTPOINT", "CreatedAt": "CREATED AT", "MountCount": "MOUNT COUNT"}
_FIELDS = {"UID": 0, "GID": 0, "Anonymous": False, "Status": {}, "Timeout": 0}


def pairs(words: "Iterable[str]") -> "dict[str, str]":
    """KEY=VALUE words; a key alone has an empty value."""
    return {key: value for key, _, value in [word.partition("=") for word in words]}


def create(options: "Options", arguments: "tuple[str, ...]") -> int:
    wish = volumes.Wish(
        name=arguments[0] if arguments else "",
        driver=options.driver,
        labels=pairs(options.label),
        options=pairs(options.opt),
        uid=options.uid,
        gid=options.gid,
    )
    print(volumes.create(options.store, wish, ignore=options.ignore))
    return 0


def list_(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import volumefilters

    found = volumefilters.select(
        options.store, volumes.list_volumes(options.store), options.filter, volumefilters.LIST
    )
    if options.quiet:
        if options.format:
            raise PyctrError("quiet and format flags cannot be used together")
        print("".join([f"{each.name}\n" for each in found]), end="")
        return 0
    mounted = volumes.mount_counts(options.store) if options.format else {}
    described = [volumes.describe(options.store, each, mounted) for each in found]
    rows = [{**_FIELDS, **row, **_broken(each)} for row, each in zip(described, found, strict=True)]
    format.print_rows(
        rows, options.format, _COLUMNS, noheading=options.noheading, json_rows=described, headings=_HEADINGS
    )
    return 0


def _broken(each: "Listed") -> "dict[str, Any]":
    return {} if each.volume else {"Driver": "broken"}


def inspect(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.all == bool(arguments):
        raise PyctrError("volume inspect needs the names of volumes or --all, and not both")
    known = {each.name: each for each in volumes.list_volumes(options.store)}
    mounted = volumes.mount_counts(options.store)
    code, found = 0, []
    for name in known if options.all else arguments:
        try:
            found.append(_described(options, known, name, mounted))
        except PyctrError as error:
            code = max(code, targets.complain(error))
    if found or not options.format:
        format.print_values(found, options.format)
    return code


def _described(
    options: "Options", known: "dict[str, Listed]", name: str, mounted: "dict[str, int]"
) -> "dict[str, Any]":
    listed = known[volumes.find(options.store, name)]
    if listed.error:
        raise PyctrError(listed.error, f"'pyctr volume rm {listed.name}' removes it with its data.")
    return volumes.describe(options.store, listed, mounted)


def rm(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.all == bool(arguments):
        raise PyctrError("volume rm needs the names of volumes or --all, and not both")
    if options.time is not None and not options.force:
        raise PyctrError("--force option must be specified to use the --time option")
    names = [each.name for each in volumes.list_volumes(options.store)] if options.all else arguments
    codes = {remove_one(options, name) for name in names}
    return next((code for code in (125, 2, 1) if code in codes), 0)


def remove_one(options: "Options", name: str) -> int:
    """Removes one volume and tells it; the exit code that it stands for: podman-volume-rm(1)."""
    try:
        print(volumes.remove(options.store, name, force=options.force, timeout=options.time), flush=True)
    except volumes.NoSuchVolume as error:
        if options.force or options.all:
            return 0
        targets.complain(error)
        return 1
    except InUse as error:
        targets.complain(error)
        return 2
    except (PyctrError, OSError) as error:
        return targets.complain(error)
    return 0


def prune(options: "Options", _arguments: "tuple[str, ...]") -> int:
    doomed = volumes.prunable(options.store, every=options.all, filters=options.filter)
    if options.dry_run:
        print("".join([f"{each.name}\n" for each in doomed]), end="")
        return 0
    if not options.force and not agreed(doomed):
        return 0
    for name, _size in volumes.prune(options.store, doomed):
        print(name, flush=True)
    return 0


def agreed(doomed: "list[Volume]") -> bool:
    """Whether the user wants these volumes to go."""
    if not doomed:
        print("No dangling volumes found")
        return False
    print("WARNING! This will remove the data of volumes that no container uses:")
    print("".join([f"{each.name}\n" for each in doomed]), end="")
    print("Are you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def exists(options: "Options", arguments: "tuple[str, ...]") -> int:
    """0 when the volume exists, 1 when not."""
    from pyctr.storage.volumes import names

    return 0 if arguments[0] in names(options.store) else 1


def export(options: "Options", arguments: "tuple[str, ...]") -> int:
    if not options.output and sys.stdout.isatty():
        raise PyctrError(
            "a tar archive is not for a terminal", "Redirect the output, or give --output FILE."
        )
    volumes.export(options.store, arguments[0], options.output)
    return 0


def import_(options: "Options", arguments: "tuple[str, ...]") -> int:
    name, source = arguments
    volumes.import_(options.store, name, source)
    return 0


def mount(options: "Options", arguments: "tuple[str, ...]") -> int:
    return _tell(options, arguments, "mount")


def unmount(options: "Options", arguments: "tuple[str, ...]") -> int:
    return _tell(options, arguments, "unmount")


def _tell(options: "Options", arguments: "tuple[str, ...]", verb: str) -> int:
    """Prints where each volume is, or what was given back: the data lies open, so nothing is to be done."""
    if not arguments:
        raise PyctrError(f"volume {verb} needs the names of volumes")
    code = 0
    for name in arguments:
        try:
            place = volumes.open_place(options.store, name)
            print(place if verb == "mount" else name, flush=True)
        except PyctrError as error:
            code = max(code, targets.complain(error))
    return code


def reload(_options: "Options", _arguments: "tuple[str, ...]") -> int:
    """There are no plugins, so there is nothing that could have been added or removed."""
    return 0


_ALL = Option(("--all", "-a"), "All volumes")
_FORMAT = Option(("--format", "-f"), "json, or a Go template", "text", "TEMPLATE")

CREATE = Command(
    name="volume create",
    summary="Make a volume",
    description="Makes an empty volume; without a name it gets 64 random digits. With --opt type=tmpfs each "
    "container that mounts it gets a tmpfs of its own; with type=none, o=bind and device=/FOLDER it is a "
    "folder of the host. What root alone can mount is refused.",
    handler=create,
    arguments=(Argument("NAME", 0, 1),),
    options=(
        Option(("--driver", "-d"), "The only driver is local", "text", "DRIVER", "local"),
        Option(("--gid",), "Group that the volume belongs to", "int", "GID"),
        Option(("--ignore",), "A volume that exists is no failure; it stays as it is"),
        Option(("--label", "-l"), "Note something about the volume", "list", "KEY=VALUE"),
        Option(("--opt", "-o"), "type=, device=, o=OPTION,..., copy, nocopy", "list", "KEY=VALUE"),
        Option(("--uid",), "User that the volume belongs to", "int", "UID"),
    ),
    examples=(
        "pyctr volume create data",
        "pyctr volume create --label stage=test -o o=uid=1000,gid=1000 data",
        "pyctr volume create -o type=tmpfs -o device=tmpfs -o o=size=64m,noexec scratch",
        "pyctr volume create -o type=none -o device=/srv/www -o o=bind www",
    ),
)
LIST = Command(
    name="volume ls",
    summary="List volumes",
    handler=list_,
    options=(
        Option(
            ("--filter", "-f"),
            "Only volumes that fit: dangling=, driver=, label=, name=, opt=, scope=, since=, until=, ...",
            "list",
            "FILTER",
        ),
        Option(("--format",), "json, or a Go template", "text", "FORMAT"),
        Option(("--noheading", "-n"), "No headings"),
        Option(("--quiet", "-q"), "Only names"),
    ),
    examples=("pyctr volume ls", "pyctr volume ls --filter dangling=true -q"),
)
INSPECT = Command(
    name="volume inspect",
    summary="Show everything that is known of volumes",
    handler=inspect,
    arguments=(_NAMES,),
    options=(_ALL, _FORMAT),
    examples=("pyctr volume inspect --format '{{.Mountpoint}}' data",),
)
RM = Command(
    name="volume rm",
    summary="Remove volumes with their data",
    description="Removes volumes that no container mounts; with --force the containers go first. A name may "
    "be shortened to what only one volume begins with.",
    handler=rm,
    arguments=(_NAMES,),
    options=(
        _ALL,
        Option(("--force", "-f"), "Remove the containers that mount it first"),
        Option(
            ("--time", "-t"), "Seconds until such a container is killed; -1 waits for ever", "int", "SECONDS"
        ),
    ),
    examples=("pyctr volume rm data", "pyctr volume rm --all --force"),
)
PRUNE = Command(
    name="volume prune",
    summary="Remove volumes that no container uses",
    description="Removes volumes without a name of their own that no container mounts; with --all also "
    "those with a name.",
    handler=prune,
    options=(
        Option(("--all", "-a"), "Also volumes with a name"),
        Option(("--dry-run",), "Only list them"),
        Option(
            ("--filter",),
            "Only volumes that fit: all=, anonymous=, label=, since=, until=",
            "list",
            "FILTER",
        ),
        Option(("--force", "-f"), "Do not ask"),
    ),
    examples=("pyctr volume prune -f", "pyctr volume prune --all --filter until=240h"),
)
EXISTS = Command(
    name="volume exists",
    summary="Tell by the exit code whether a volume exists",
    description="Ends with 0 when the volume exists and with 1 when it does not; prints nothing.",
    handler=exists,
    arguments=(_NAME,),
    examples=("pyctr volume exists data || pyctr volume create data",),
)
EXPORT = Command(
    name="volume export",
    summary="Write what is in a volume as a tar archive",
    handler=export,
    arguments=(_NAME,),
    options=(Option(("--output", "-o"), "File to write, instead of standard output", "text", "FILE"),),
    examples=("pyctr volume export data -o data.tar", "pyctr volume export old | pyctr volume import new -"),
)
IMPORT = Command(
    name="volume import",
    summary="Unpack a tar archive into a volume",
    description="Unpacks an archive (plain, gzip, zstd, xz or bzip2; - is standard input) into a volume "
    "that exists. What is there stays, unless the archive has something of the same name.",
    handler=import_,
    arguments=(_NAME, Argument("ARCHIVE", complete="file")),
    examples=("pyctr volume import data data.tar.gz",),
)
MOUNT = Command(
    name="volume mount",
    summary="Show where the data of volumes is",
    description="Prints the folder of each volume. Files of other users of a container are readable inside "
    "'pyctr unshare' only.",
    handler=mount,
    arguments=(_NAMES,),
    examples=("pyctr unshare ls -l $(pyctr volume mount data)",),
)
UNMOUNT = Command(
    name="volume unmount",
    summary="The end of volume mount",
    description="Prints the names of the volumes. Their data always lies open, so nothing else is to be "
    "done.",
    handler=unmount,
    arguments=(_NAMES,),
    examples=("pyctr volume unmount data",),
)
RELOAD = Command(
    name="volume reload",
    summary="Look for new volumes of plugins",
    description="There are no volume plugins, so nothing is found; for scripts that were written for "
    "podman.",
    handler=reload,
    examples=("pyctr volume reload",),
)

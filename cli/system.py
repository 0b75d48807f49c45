"""pyctr system df, prune, reset and check."""

import time

from pyctr.cli import format, targets
from pyctr.cli.failure import warn_kept
from pyctr.cli.image_prune import agreed
from pyctr.cli.tables import Command, Option
from pyctr.engine import diskusage, timestamps
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.engine.checking import Found
    from pyctr.engine.diskusage import Summary, Usage

_COLUMNS = (
    ("TYPE", "Type"),
    ("TOTAL", "Total"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
)
_HEADINGS = {"RawSize": "RAW SIZE", "RawReclaimable": "RAW RECLAIMABLE"}
_IMAGES = "REPOSITORY,TAG,IMAGE ID,CREATED,SIZE,SHARED SIZE,UNIQUE SIZE,CONTAINERS".split(",")
_CONTAINERS = "CONTAINER ID,IMAGE,COMMAND,LOCAL VOLUMES,SIZE,CREATED,STATUS,NAMES".split(",")
_VOLUMES = ["VOLUME NAME", "LINKS", "SIZE"]


def df(options: "Options", _arguments: "tuple[str, ...]") -> int:
    if options.verbose and options.format:
        raise PyctrError("cannot combine --format and --verbose flags")
    found = diskusage.measure(options.store)
    if options.verbose:
        print(verbose(found), end="")
        return 0
    rows = [row(each) for each in diskusage.summaries(found)]
    format.print_rows(rows, options.format, _COLUMNS, headings=_HEADINGS)
    return 0


def row(each: "Summary") -> "dict[str, Any]":
    """One line of `system df`, with podman's names."""
    percent = round(100 * each.reclaimable / each.size) if each.size else 0
    return {
        "Type": each.kind,
        "Total": each.total,
        "Active": each.active,
        "RawSize": each.size,
        "RawReclaimable": each.reclaimable,
        "TotalCount": each.total,
        "Size": size_text(each.size),
        "Reclaimable": f"{size_text(each.reclaimable)} ({percent}%)",
    }


def size_text(size: float) -> str:
    """A size in powers of 1000 with four digits: 12B, 1.984MB."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.4g}{units[0]}"


def verbose(found: "Usage") -> str:
    """The three tables of `system df -v`."""
    tables = (
        ("Images", _IMAGES, image_lines(found)),
        ("Containers", _CONTAINERS, container_lines(found)),
        ("Local Volumes", _VOLUMES, volume_lines(found)),
    )
    parts = [
        f"{what} space usage:\n\n{format.table([headings, *lines])}" for what, headings, lines in tables
    ]
    return "\n".join(parts)


def image_lines(found: "Usage") -> "list[list[str]]":
    from pyctr.engine.images import split_name

    lines = []
    for each in found.images:
        for name in each.names or ("",):
            repository, tag = split_name(name) if name else ("<none>", "<none>")
            sizes = [size_text(size) for size in (each.size, each.shared, each.unique)]
            cells = [repository, tag, each.id[:12], since(each.created), *sizes, str(each.containers)]
            lines.append([format.plain(cell) for cell in cells])
    return lines


def container_lines(found: "Usage") -> "list[list[str]]":
    lines = []
    for each in found.containers:
        age = timestamps.human(max(0, time.time_ns() - each.created) / 1e9)
        cells = [each.id[:12], each.image[:12], " ".join(each.command), str(each.volumes)]
        cells += [size_text(each.size), age, each.status, each.name]
        lines.append([format.plain(cell) for cell in cells])
    return lines


def volume_lines(found: "Usage") -> "list[list[str]]":
    return [[each.name, str(each.links), size_text(each.size)] for each in found.volumes]


def since(moment: str) -> str:
    """How long ago an image was made."""
    try:
        return timestamps.human(max(0, time.time_ns() - timestamps.parse(moment, "created")) / 1e9)
    except PyctrError:
        return ""


def prune(options: "Options", _arguments: "tuple[str, ...]") -> int:
    if not options.force and not agreed(warning(options)):
        return 0
    pruned = diskusage.prune(
        options.store, every=options.all, with_volumes=options.volumes, filters=options.filter
    )
    for what, names in (
        ("Containers", pruned.containers),
        ("Images", pruned.images),
        ("Volumes", pruned.volumes),
    ):
        if names:
            print("\n".join([f"Deleted {what}", *names]))
    print(f"Total reclaimed space: {size_text(pruned.bytes)}")
    warn_kept(pruned.kept)
    return 0


def warning(options: "Options") -> str:
    """What a prune will remove."""
    images = "all images without at least one container" if options.all else "all dangling images"
    volumes = ["all volumes not used by at least one container"] if options.volumes else []
    lines = ["all stopped containers", *volumes, images]
    return "WARNING! This command removes:\n" + "\n".join([f"\t- {line}" for line in lines]) + "\n"


def reset(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import resetting

    store = options.store
    lines = ["all containers", "all images", "all volumes", f"the folder {store.root}"]
    lines.append(f"the folder {store.runroot}")
    text = "WARNING! This will remove:\n" + "\n".join([f"        - {line}" for line in lines])
    if not options.force and not agreed(text):
        return 0
    if kept := resetting.reset(store):
        print(f"{store.root} stays, since it holds what is not pyctr's: {format.plain(list(kept))}")
    return 0


def check(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import checking

    scope = checking.Scope(options.quick, options.repair, options.force, seconds(options.max))
    unmended = 0
    for found in checking.check(options.store, scope):
        print(format.harmless(told(found)), flush=True)
        unmended += found.kind == "damage" and found.done[:3] in ("", "not", "kep")
    if unmended:
        error = PyctrError(
            f"damage was found in {options.store.root}: {unmended} of it is left",
            "'pyctr system check --repair' repairs what it can; what it cannot, pyctr rm and rmi remove.",
        )
        return targets.complain(error)
    return 0


def told(found: "Found") -> str:
    return f"{found.kind}: {found.what}" + (f" ({found.done})" if found.done else "")


def seconds(text: "str | None") -> int:
    """The seconds of a Go duration; none is 0."""
    if not text:
        return 0
    found = timestamps.duration(text)
    if found is None or found < 0:
        raise PyctrError(f"--max {text!r} is not a duration", "Write it as 30m, 24h, 1h30m.")
    return found // 10**9


DF = Command(
    name="system df",
    summary="Show how much disk space is used",
    description="Shows what images, containers and volumes take. An image takes its layers, unpacked and "
    "as they came, its config and its manifest; what several images share is counted once. RECLAIMABLE is "
    "what would be free if everything went that nothing uses.",
    handler=df,
    options=(
        Option(("--format",), "json, or a Go template", "text", "FORMAT"),
        Option(("--verbose", "-v"), "Every image, container and volume"),
    ),
    examples=("pyctr system df", "pyctr system df -v", "pyctr system df --format '{{.Type}} {{.Size}}'"),
)
PRUNE = Command(
    name="system prune",
    summary="Remove what is not needed",
    description="Removes containers that do not run, images without a name that no container uses, and what "
    "interrupted commands have left. Volumes stay, unless --volumes is given.",
    handler=prune,
    options=(
        Option(("--all", "-a"), "Also images with a name, when no container uses them"),
        Option(("--filter",), "Only what fits: label=, until=", "list", "FILTER"),
        Option(("--force", "-f"), "Do not ask"),
        Option(("--volumes",), "Also volumes that no container uses; with --filter those without a name"),
        Option(("--build",), unsupported=True),
        Option(("--external",), unsupported=True),
    ),
    examples=("pyctr system prune", "pyctr system prune --all --volumes --force"),
)
RESET = Command(
    name="system reset",
    summary="Remove everything: containers, images, volumes",
    description="Ends all containers and removes everything that pyctr has stored, also what it cannot read "
    "and files of other ids. What is not pyctr's in these folders stays.",
    handler=reset,
    options=(Option(("--force", "-f"), "Do not ask"),),
    examples=("pyctr system reset",),
)
CHECK = Command(
    name="system check",
    summary="Look for damage and leftovers",
    description="Hashes all blobs again, unpacks each layer anew and compares it with the one on disk, and "
    "looks for records that cannot be read, for missing parts, and for leftovers of interrupted commands. "
    "With --repair damaged layers are unpacked again, leftovers are removed, and images of which a blob is "
    "damaged too: pull or load them again. Prints nothing when all is well; ends with 125 when damage is "
    "left.",
    handler=check,
    options=(
        Option(("--force", "-f"), "Also remove the containers of images that cannot be repaired"),
        Option(("--max", "-m"), "Let leftovers alone that are younger than this", "text", "DURATION"),
        Option(("--quick", "-q"), "Neither hash nor compare"),
        Option(("--repair", "-r"), "Repair what can be repaired"),
    ),
    examples=("pyctr system check", "pyctr system check --quick", "pyctr system check --repair --max 1h"),
)

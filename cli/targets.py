"""Which containers a command is for: names, --latest, --all, --cidfile, --filter; and doing something to
each of them.
"""

from pyctr.cli.tables import Option
from pyctr.engine import containers
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyctr.cli.reader import Options
    from pyctr.storage.paths import Store

    Outcome = tuple["Target", BaseException | None]

LATEST = Option(("--latest", "-l"), "Act on the container that was created last")
CIDFILE = Option(
    ("--cidfile",), "Read the id of a container from this file", "list", "FILE", complete="file"
)
FILTER = Option(("--filter", "-f"), "Act on the containers that pass these filters", "list", "KEY=VALUE")
IGNORE = Option(("--ignore", "-i"), "No error for a container that does not exist")
TIME = Option(
    ("--time", "-t", "--timeout"), "Seconds until it is killed; -1 waits for ever", "int", "SECONDS"
)


class Target:
    """A container as the user named it; `id` is empty when there is none, then `error` says so."""

    def __init__(self, given: str, container_id: str, error: "BaseException | None" = None) -> None:
        self.given = given
        self.id = container_id
        self.error = error


def find_all(
    options: "Options", arguments: "tuple[str, ...]", *, ignore: bool | None = None
) -> list[Target]:
    """The containers that the options and words of a command mean, each once.

    With `ignore` (else --ignore) what does not exist is left out. PyctrError when nothing was named, or too
    much.
    """
    store, values = options.store, options.__dict__
    ignore = bool(values.get("ignore")) if ignore is None else ignore
    cidfiles, filters = values.get("cidfile", ()), values.get("filter", ())
    whole = bool(values.get("all"))
    check(arguments, whole=whole, latest=bool(values.get("latest")), other=bool(cidfiles or filters))
    targets = [find(store, name) for name in arguments]
    targets += [read_cidfile(store, path, ignore=ignore) for path in cidfiles]
    if values.get("latest"):
        targets.append(whole_id(containers.latest(store)))
    if whole or filters:
        targets += [whole_id(each) for each in listed(store, filters)]
    return unique(
        [each for each in targets if not (values.get("ignore") and isinstance(each.error, NoSuchContainer))]
    )


def check(arguments: "tuple[str, ...]", *, whole: bool, latest: bool, other: bool) -> None:
    """PyctrError when the ways to name containers do not fit together."""
    if (whole or latest) and arguments:
        raise PyctrError("no arguments are needed with " + ("--all" if whole else "--latest"))
    if whole and latest:
        raise PyctrError("--all and --latest cannot be used together")
    if not (arguments or whole or latest or other):
        raise PyctrError("you must provide at least one name or id")


def find(store: "Store", name: str) -> Target:
    try:
        return Target(name, containers.find(store, name))
    except PyctrError as error:
        return Target(name, "", error)


def whole_id(container_id: str) -> Target:
    return Target(container_id, container_id)


def read_cidfile(store: "Store", path: str, *, ignore: bool) -> Target:
    """The container whose id stands in a file."""
    try:
        with open(path) as file:
            return find(store, file.readline().strip())
    except FileNotFoundError as error:
        if ignore:
            return Target(path, "", NoSuchContainer(path))
        return Target(path, "", PyctrError(f"reading CIDFile: open {path}: {error.strerror}"))


def listed(store: "Store", filters: "tuple[str, ...]") -> list[str]:
    """The ids of all containers that pass the filters, oldest first."""
    from pyctr.engine import filters as tests
    from pyctr.engine import listing

    return [each.id for each in tests.select(store, listing.list_containers(store), filters)]


def unique(targets: list[Target]) -> list[Target]:
    """Each container once, as it was named first."""
    seen: set[str] = set()
    kept = []
    for target in targets:
        key = target.id or f"no {target.given}"
        if key not in seen:
            seen.add(key)
            kept.append(target)
    return kept


def tell(outcomes: "Iterable[Outcome]", *, quiet: bool = False) -> int:
    """Prints what was done as it is done, and each failure; the exit code of the worst."""
    code = 0
    for target, error in outcomes:
        if error is None:
            if not quiet:
                print(target.given, flush=True)
        else:
            code = max(code, complain(error))
    return code


def complain(error: BaseException) -> int:
    """Prints a failure that does not end the command; its exit code."""
    from pyctr.cli.failure import report

    return report(error)

"""pyctr container prune"""

import sys

from pyctr.cli import targets
from pyctr.cli.tables import Command, Option
from pyctr.engine import removal, truth
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import InUse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.cli.reader import Options
    from pyctr.cli.targets import Outcome, Target

KEPT = (*truth.ALIVE, "unknown", "broken", "initialized")


def prune(options: "Options", _arguments: "tuple[str, ...]") -> int:
    found = prunable(options)  # first, so that a wrong filter is told before the question
    if not options.force and not agreed():
        return 0
    code = targets.tell(outcomes(options, found))
    removal.sweep(options.store)
    return code


def prunable(options: "Options") -> "list[Target]":
    """What does not run. What cannot be read is kept: `rm -f` removes it."""
    from pyctr.engine import filters, listing

    found = filters.select(
        options.store, listing.list_containers(options.store), options.filter, filters.PRUNE
    )
    return [targets.whole_id(each.id) for each in found if each.status not in KEPT]


def agreed() -> bool:
    print("WARNING! This will remove all non running containers.")
    print("Are you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def outcomes(options: "Options", found: "list[Target]") -> "Iterator[Outcome]":
    for target in found:
        try:
            removal.remove(options.store, target.id)
        except (NoSuchContainer, InUse):
            continue  # removed or started meanwhile
        except Exception as failure:
            yield target, failure
            continue
        yield target, None


COMMAND = Command(
    name="container prune",
    summary="Remove all containers that do not run",
    handler=prune,
    options=(
        Option(("--filter",), "Only those that pass these filters (label, until)", "list", "KEY=VALUE"),
        Option(("--force", "-f"), "Do not ask"),
    ),
    examples=("pyctr container prune", "pyctr container prune --force --filter until=24h"),
)

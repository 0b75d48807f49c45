"""pyctr history"""

import time

from pyctr.cli.format import print_rows
from pyctr.cli.imagerows import size_text
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import timestamps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.engine.imagehistory import Step

_WIDTH = 45  # characters of a command, as in podman
_COLUMNS = (
    *(("ID", "ID"), ("CREATED", "Created"), ("CREATED BY", "CreatedBy")),
    *(("SIZE", "Size"), ("COMMENT", "Comment")),
)
_HEADINGS = {"CreatedAt": "CREATED AT", "CreatedSince": "CREATED", "Tags": "TAGS"}


def history(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import imagehistory

    steps = imagehistory.history(options.store, arguments[0])
    if options.quiet:
        print("".join([f"{shown(step.id, options)}\n" for step in steps]), end="")
        return 0
    print_rows(
        [row(step, options) for step in steps],
        options.format,
        _COLUMNS,
        json_rows=[json_row(step) for step in steps],
        headings=_HEADINGS,
    )
    return 0


def shown(image_id: str, options: "Options") -> str:
    return image_id if options.no_trunc or image_id.startswith("<") else image_id[:12]


def row(step: "Step", options: "Options") -> "dict[str, Any]":
    """The fields of tables and templates: podman-history(1), --format."""
    since = timestamps.ago(moment(step), time.time_ns()) if step.created else ""
    command = step.created_by
    if not options.no_trunc and len(command) > _WIDTH:
        command = command[: _WIDTH - 3] + "..."
    return {
        "ID": shown(step.id, options),
        "Created": since if options.human else step.created,
        "CreatedAt": step.created,
        "CreatedSince": since,
        "CreatedBy": command,
        "Size": size_text(step.size) if options.human else str(step.size),
        "Comment": step.comment,
        "Tags": list(step.tags),
    }


def moment(step: "Step") -> int:
    """When a step was made, in nanoseconds since 1970; now when it does not say so well."""
    from pyctr.rootless.errors import PyctrError

    try:
        return timestamps.parse(step.created, "created")
    except PyctrError:
        return time.time_ns()


def json_row(step: "Step") -> "dict[str, Any]":
    """The shape of podman's `--format json`."""
    return {
        "id": step.id,
        "created": step.created,
        "CreatedBy": step.created_by,
        "size": step.size,
        **({"comment": step.comment} if step.comment else {}),
        **({"tags": list(step.tags)} if step.tags else {}),
        "Created": step.created,
    }


COMMAND = Command(
    name="history",
    summary="Show the steps by which an image was made",
    handler=history,
    arguments=(Argument("IMAGE", complete="image"),),
    options=(
        Option(("--format",), "json, or a Go template", "text", "FORMAT"),
        Option(("--human", "-H"), "Sizes and times for people", default=True),
        Option(("--no-trunc",), "Do not shorten ids and commands"),
        Option(("--quiet", "-q"), "Only ids"),
    ),
    examples=("pyctr history debian", "pyctr history --human=false --no-trunc debian"),
)

"""pyctr doctor"""

import sys

from pyctr.cli import format
from pyctr.cli.tables import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.rootless.probes import Finding

COLORS = {"OK": "\033[32m", "warn": "\033[33m", "FAIL": "\033[31m"}
COLUMNS = (("CHECK", "Name"), ("RESULT", "Status"), ("DETAIL", "Detail"), ("FIX", "Fix"))


def doctor(options: "Options", _arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import diagnosis
    from pyctr.rootless import probes

    found = diagnosis.all_findings(options.store)
    if options.format:
        rows = [{key.capitalize(): value for key, value in each.to_json().items()} for each in found]
        format.print_rows(rows, options.format, COLUMNS)
    else:
        print("\n".join([text(each, colored=sys.stdout.isatty()) for each in found]))
    return 1 if any([each.status == probes.FAIL for each in found]) else 0


def text(finding: "Finding", *, colored: bool) -> str:
    """One line, and one with the fix below it."""
    status = f"{finding.status:<4}"
    if colored:
        status = f"{COLORS[finding.status]}{status}\033[0m"
    fix = f"\n        {finding.fix}" if finding.fix else ""
    return f"{status}  {finding.name}: {finding.detail}{fix}"


COMMAND = Command(
    name="doctor",
    summary="Try what containers need and say how to repair what fails",
    description="Performs each operation that a container needs. Ends with 1 when one fails that is needed.",
    handler=doctor,
    options=(Option(("--format",), "json, or a Go template", "text", "TEMPLATE"),),
    examples=("pyctr doctor",),
)

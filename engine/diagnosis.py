"""What `doctor` finds: the probes of the machine, and the storage drivers tried in the store."""

from pyctr.rootless import probes
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.probes import FAIL, OK, WARN, Finding
from pyctr.storage import drivers, trial
from pyctr.storage.paths import Store


def all_findings(store: Store) -> list[Finding]:
    """Every finding. The lack of the kernel's overlay is only worth a warning where another driver works."""
    found = probes.probe_all(store.root)
    problems = {name: trial.attempt(store, name) for name in drivers.NAMES}
    working = [name for name, problem in problems.items() if problem is None]
    rows = [
        each.replace(status=WARN, detail=f"{each.detail}; {working[0]} is used")
        if each.name == "overlay" and each.status == FAIL and working
        else each
        for each in found
    ]
    place = [each.name for each in rows].index("overlay") + 1
    return [*rows[:place], storage_drivers(problems), *rows[place:]]


def storage_drivers(problems: "dict[str, PyctrError | None]") -> Finding:
    """One line for all of them, from what each lacks; the first that works is taken by default."""
    working = [name for name, problem in problems.items() if problem is None]
    lacking = [f"{name}: {problem.message}" for name, problem in problems.items() if problem is not None]
    if not working:
        hints = [problem.hint for problem in problems.values() if problem is not None and problem.hint]
        return Finding("storage drivers", FAIL, "; ".join(lacking), hints[0] if hints else "")
    detail = f"{', '.join(working)} work" if working[1:] else f"{working[0]} works"
    return Finding("storage drivers", OK, "; ".join([detail, *lacking]))

"""The containers of a store as a list. Takes no lock, reads each record once."""

from pyctr.engine import containers, truth
from pyctr.engine.truth import Here
from pyctr.net.model import Network
from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.values import Value
from pyctr.runtime import state as states
from pyctr.runtime.spec import SPEC_VERSION, Healthcheck, Mount, Namespace
from pyctr.runtime.state import State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyctr.storage.paths import Store

BROKEN = "broken"


class Summary(Value):
    """The part of a spec that a list shows or filters by."""

    version: int = SPEC_VERSION
    id: str = ""
    name: str = ""
    created: int = 0  # nanoseconds since 1970
    image: str = ""
    image_name: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    namespaces: tuple[Namespace, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: Network = Network()
    healthcheck: Healthcheck | None = None
    ephemeral: bool = False


class Listed:
    """One container of a list. `status` is that of its judged state, or broken; `why` says what is broken
    about it.
    """

    def __init__(
        self, container_id: str, summary: Summary, state: State, status: str, why: str = ""
    ) -> None:
        self.id = container_id
        self.summary = summary
        self.state = state
        self.status = status
        self.why = why

    @property
    def pid(self) -> int:
        """The pid of the container's pid 1, 0 when it does not run."""
        return self.state.process.pid if self.status in truth.ALIVE and self.state.process else 0


def list_containers(store: "Store") -> list[Listed]:
    """Every container, oldest first. What cannot be read is there too, with the status broken."""
    here = Here()
    found = [each for each in (read(store, each, here) for each in containers.all_ids(store)) if each]
    found.sort(key=lambda each: (each.summary.created, each.id))
    return found


def read(store: "Store", container_id: str, here: Here) -> Listed | None:
    """One container; None when it was removed meanwhile."""
    folder = store.container(container_id)
    summary, state = Summary(id=container_id), State()
    try:
        summary = records.read_record(f"{folder}/{paths.SPEC}", Summary, SPEC_VERSION)
        if summary.id != container_id:
            raise BrokenRecord(f"{folder}/{paths.SPEC} is that of another container")
        state = truth.judge(store, container_id, states.read_state(folder), here)
    except (BrokenRecord, FileNotFoundError) as error:
        if not containers.exists(store, container_id):
            return None
        return Listed(container_id, summary, state, BROKEN, str(error))
    return Listed(container_id, summary, state, state.status)


def shown(found: "Iterable[Listed]", *, everything: bool) -> list[Listed]:
    """What `ps` shows: those that run, or with `everything` all of them."""
    return [each for each in found if everything or each.status in truth.ALIVE]

"""A stack of layers that is being unpacked beside this process, while their blobs still arrive."""

import select
import threading
from collections.abc import Iterator, Sequence

from pyctr.rootless import userns
from pyctr.rootless.errors import Stopped
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import workers
from pyctr.storage.unpack import Limits
from pyctr.storage.workers import Blob, Job, Line

_PATIENCE = 0.2  # seconds between looks at `stop`


class Unpacking:
    """The process. No thread may run when it is made; then threads may share it. Whoever made it ends it."""

    def __init__(self, jobs: Sequence[Job], maps: IdMaps, limits: Limits) -> None:
        self._line = Line()
        try:
            self._call = userns.start_mapped(maps, workers.unpack_all, jobs, maps, limits, self._line)
        except BaseException:
            self._line.close()
            raise
        finally:
            self._line.started()

    def end(self) -> None:
        """Kills what still runs. Safe to call twice."""
        self._call.end()
        self._line.close()

    def ready(self, blob: Blob) -> None:
        """The blob of a job is there."""
        try:
            self._line.send(blob)
        except OSError:
            pass  # it has ended, and `results` tells why

    def steps(self, stop: threading.Event | None = None) -> Iterator[tuple[int, int]]:
        """Waits for the end of the process; (number of a job, bytes of its blob) as it goes on.

        Stopped when `stop` is set.
        """
        while True:
            if select.select([self._line.fd], [], [], _PATIENCE)[0]:
                if (step := self._line.moved()) is None:
                    return
                yield step
            elif stop is not None and stop.is_set():
                raise Stopped("the unpacking was not finished")

    def results(self) -> list[tuple[int, int]]:
        """(size, entries) of each layer that was missing, after `steps`. PyctrError names what failed."""
        found: list[tuple[int, int]] = self._call.result()
        return found


def unpack(
    jobs: Sequence[Job], blobs: Sequence[Blob], maps: IdMaps, limits: Limits
) -> list[tuple[int, int]]:
    """(size, entries) of each layer that is missing in a stack whose blobs are all there."""
    unpacking = Unpacking(jobs, maps, limits)
    try:
        for blob in blobs:
            unpacking.ready(blob)
        for _step in unpacking.steps():
            pass
        return unpacking.results()
    finally:
        unpacking.end()

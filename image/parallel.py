"""Doing one thing with several items at once, in threads: the first failure ends all of it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from pyctr.rootless.errors import Stopped

T = TypeVar("T")
R = TypeVar("R")

CONNECTIONS = 6  # as podman has it


def each(
    items: Sequence[T], action: Callable[[T, threading.Event], R], at_once: int = CONNECTIONS
) -> list[R]:
    """The results of `action` for all items, in their order.

    It is called as action(item, stop) and gives up with Stopped when `stop` is set: another one failed, or
    the user wants to leave. The first error is raised here.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(at_once, len(items)) or 1)
    try:
        running = [pool.submit(action, item, stop) for item in items]
        wait(running, return_when=FIRST_EXCEPTION)
        if any([future.done() and not future.cancelled() and future.exception() for future in running]):
            stop.set()
        pool.shutdown(cancel_futures=True)
    except KeyboardInterrupt:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)  # a stalled read would hold up whoever pressed ctrl-c
        raise
    errors = [error for future in running if not future.cancelled() and (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in running]

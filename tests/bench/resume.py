"""What a pull loads again that was killed near its end."""

import os
import signal
import subprocess

from tests.bench import relay
from tests.bench.content import NOISE
from tests.bench.contestants import Contestant
from tests.bench.imagecases import NO_TLS
from tests.bench.supply import Supply

KILLED_AT = 0.9
_SECONDS = 120


def loaded_again(rival: Contestant, supply: Supply) -> float:
    """The part of a blob of 300 MB that the second pull loads, of which the first got 90 %."""
    address, _, path = supply.served(NOISE).partition("/")
    size = sum(NOISE.layers)
    with relay.before(address) as between:
        argv = [*rival.argv, "pull", "-q", NO_TLS, f"{between.address}/{path}"]
        between.restart(hold_at=int(KILLED_AT * size))
        _kill_when_held(argv, rival, between)
        between.restart()
        subprocess.run(argv, env=rival.environment, stdout=subprocess.DEVNULL, check=True)
        return between.count / size


def _kill_when_held(argv: list[str], rival: Contestant, between: relay.Relay) -> None:
    with subprocess.Popen(
        argv, env=rival.environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as command:
        held = between.held.wait(_SECONDS)
        os.killpg(command.pid, signal.SIGKILL)
    if not held:
        raise RuntimeError(f"{rival.name} did not come to load 90 % of the blob")

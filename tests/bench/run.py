#!/usr/bin/env python3
"""Compares pyctr with Debian's podman: medians of wall and CPU time and their ratios, private memory.

    packaging/test --shell python tests/bench/run.py [--runs 20] [--only WORD ...]

Runs alternate between the two, so that a busy moment of the machine hits both. CPU time is that of all
processes until the last has ended, from the cpu.stat of a cgroup made for each run, where one is delegated.
"""

import argparse
import contextlib
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / folder) for folder in ("src", "")]

from tests.bench import contestants, memory, table  # noqa: E402
from tests.bench.cases import CASES, Case  # noqa: E402
from tests.bench.contestants import Contestant  # noqa: E402
from tests.bench.measure import Meter  # noqa: E402


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        rivals = contestants.all_of(stack)
        meter = Meter()
        table.print_head(meter, rivals, options.runs)
        for case in CASES:
            if table.is_wanted(case.name, options.only):
                _measure(case, rivals, meter, options.runs)
        if table.is_wanted("memory", options.only):
            _print_memory(rivals)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="measured runs of each program (default: 20)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="cases with one of these words; also: memory"
    )
    return parser.parse_args()


def _measure(case: Case, rivals: list[Contestant], meter: Meter, runs: int) -> None:
    for rival in rivals:
        case.prepare(rival)
    table.print_row(case.name, case.aim, table.taken_in_turn(rivals, case.words, meter, runs))
    for rival in rivals:
        case.clear(rival)


def _print_memory(rivals: list[Contestant]) -> None:
    print("\nprivate memory beside a running container, of three, in kB")
    for rival in rivals:
        for network in ("none", "slirp4netns", "pasta")[: 2 if rival.name == "podman" else 3]:
            parts = memory.beside_container(rival, network)
            listed = ", ".join(f"{name} {size}" for name, size in sorted(parts.items()))
            print(f"{rival.name + ', ' + network:24}{sum(parts.values()):>10}  ({listed})")


if __name__ == "__main__":
    sys.exit(main())

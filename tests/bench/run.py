#!/usr/bin/env python3
"""Compares pyctr with Debian's podman: medians of wall and CPU time and their ratios, private memory.

    packaging/test --shell python tests/bench/run.py [--runs 20] [--only WORD ...]

Runs alternate between the two, so that a busy moment of the machine hits both. CPU time is that of all
processes until the last has ended, from the cpu.stat of a cgroup made for each run, where one is delegated.
"""

import argparse
import contextlib
import pathlib
import shutil
import statistics
import sys
from collections.abc import Sequence

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / folder) for folder in ("src", "")]

from tests.bench import contestants, memory  # noqa: E402
from tests.bench.cases import CASES, Case  # noqa: E402
from tests.bench.contestants import Contestant  # noqa: E402
from tests.bench.measure import Meter, Sample  # noqa: E402

WARM_UPS = 2
ROW = "{:24}{:>10}{:>10}{:>8}{:>12}{:>10}{:>8}{:>8}"


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        rivals = [stack.enter_context(contestants.pyctr())]
        if shutil.which("podman"):
            rivals.append(stack.enter_context(contestants.podman()))
        meter = Meter()
        _print_head(meter, rivals, options.runs)
        for case in CASES:
            if _wanted(case.name, options.only):
                print(_row(case, measure(case, rivals, meter, options.runs)), flush=True)
        if _wanted("memory", options.only):
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


def _wanted(name: str, words: list[str] | None) -> bool:
    return not words or any(word in name for word in words)


def measure(case: Case, rivals: list[Contestant], meter: Meter, runs: int) -> list[list[Sample]]:
    """The samples of each rival, taken in turn."""
    for rival in rivals:
        case.prepare(rival)
    samples: list[list[Sample]] = [[] for _ in rivals]
    for count in range(WARM_UPS + runs):
        for rival, taken in zip(rivals, samples, strict=True):
            sample = meter.run([*rival.argv, *case.words(rival)], rival.environment)
            if count >= WARM_UPS:
                taken.append(sample)
    for rival in rivals:
        case.clear(rival)
    return samples


def _print_head(meter: Meter, rivals: list[Contestant], runs: int) -> None:
    print(f"medians of {runs} runs each, in ms; {' against '.join(rival.name for rival in rivals)}")
    if not meter.reads_cgroups:
        print("no delegated cgroup: no CPU time; packaging/test --shell makes one")
    print(ROW.format("", "wall", "podman", "ratio", "CPU", "podman", "ratio", "aim"))


def _row(case: Case, samples: list[list[Sample]]) -> str:
    walls = [statistics.median(sample.wall for sample in taken) for taken in samples]
    cpus = [_median_cpu(taken) for taken in samples]
    return ROW.format(case.name, *_cells(walls), *_cells(cpus), f"{case.aim:.2f}").rstrip()


def _median_cpu(taken: list[Sample]) -> float | None:
    known = [sample.cpu for sample in taken if sample.cpu is not None]
    return statistics.median(known) if known else None


def _cells(values: Sequence[float | None]) -> tuple[str, str, str]:
    """Ours, theirs, the ratio; `-` for what is not known."""
    ours, theirs = values[0], values[1] if len(values) > 1 else None
    ratio = f"{ours / theirs:.2f}" if ours is not None and theirs else "-"
    return _milliseconds(ours), _milliseconds(theirs), ratio


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _print_memory(rivals: list[Contestant]) -> None:
    print("\nprivate memory beside a running container, of three, in kB")
    for rival in rivals:
        for network in ("none", "slirp4netns", "pasta")[: 2 if rival.name == "podman" else 3]:
            parts = memory.beside_container(rival, network)
            listed = ", ".join(f"{name} {size}" for name, size in sorted(parts.items()))
            print(f"{rival.name + ', ' + network:24}{sum(parts.values()):>10}  ({listed})")


if __name__ == "__main__":
    sys.exit(main())

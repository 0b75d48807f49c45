"""A table of medians: a row for each case, of all rivals' runs taken in turn."""

import statistics
from collections.abc import Callable, Sequence

from tests.bench.contestants import Contestant
from tests.bench.measure import Meter, Sample

ROW = "{:24}{:>10}{:>10}{:>8}{:>12}{:>10}{:>8}{:>8}"


def is_wanted(name: str, only: list[str] | None) -> bool:
    """Whether a case is among those that one of the words `only` names; all are without words."""
    return not only or any(word in name for word in only)


def taken_in_turn(
    rivals: list[Contestant],
    words: Callable[[Contestant], tuple[str, ...]],
    meter: Meter,
    runs: int,
    warm_ups: int = 2,
    before_each: Callable[[Contestant], object] = lambda rival: None,
) -> list[list[Sample]]:
    """The samples of each rival: a busy moment of the machine hits both. `words` is what is measured."""
    samples: list[list[Sample]] = [[] for _ in rivals]
    for count in range(warm_ups + runs):
        for rival, taken in zip(rivals, samples, strict=True):
            before_each(rival)
            sample = meter.run([*rival.argv, *words(rival)], rival.environment)
            if count >= warm_ups:
                taken.append(sample)
    return samples


def print_head(meter: Meter, rivals: list[Contestant], runs: int) -> None:
    print(f"medians of {runs} runs each, in ms; {' against '.join(rival.name for rival in rivals)}")
    if not meter.reads_cgroups:
        print("no delegated cgroup: no CPU time; packaging/test --shell makes one")
    print(ROW.format("", "wall", "podman", "ratio", "CPU", "podman", "ratio", "aim"))


def print_row(name: str, aim: float, samples: list[list[Sample]]) -> None:
    walls = [statistics.median(sample.wall for sample in taken) for taken in samples]
    cpus = [_median_cpu(taken) for taken in samples]
    print(ROW.format(name, *_cells(walls), *_cells(cpus), f"{aim:.2f}").rstrip(), flush=True)


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

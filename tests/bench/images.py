#!/usr/bin/env python3
"""Compares what pyctr and Debian's podman do with images: medians of wall and CPU time, memory, resumption.

    packaging/test --shell python tests/bench/images.py [--runs 7] [--only WORD ...]

Both have native overlay on the same file system, and Debian's docker-registry on loopback with images of
real Debian files. Runs alternate between the two; all is written out before each. The large ones take
minutes.
"""

import argparse
import contextlib
import os
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / folder) for folder in ("src", "")]

from tests.bench import contestants, imagecases, peak, resume, table  # noqa: E402
from tests.bench.content import TWELVE, WINDOWS  # noqa: E402
from tests.bench.contestants import Contestant  # noqa: E402
from tests.bench.imagecases import CASES, ImageCase, Place  # noqa: E402
from tests.bench.measure import Meter  # noqa: E402
from tests.bench.supply import Supply  # noqa: E402
from tests.images import busybox_archive  # noqa: E402

_PEAKS = {"memory, 12 layers": TWELVE, "memory, zstd windows": WINDOWS}
_RESUMED = "killed at 90 %"
_MOST_KILOBYTES = 150_000
_EXTRA = 0.02  # of the blob: what was on its way when the pull was killed
_SCORE = "{:24}{:>10}{:>10}{:>8}{:>30}"


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        rivals = contestants.all_of(stack)
        places = [Place(rival, supply) for supply in [stack.enter_context(Supply())] for rival in rivals]
        meter = Meter()
        table.print_head(meter, rivals, options.runs)
        for case in CASES:
            if table.is_wanted(case.name, options.only):
                _measure(case, places, meter, options.runs)
        _print_peaks(places, options.only)
        if table.is_wanted(_RESUMED, options.only):
            _print_resumed(places)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="measured runs of each program (default: 7)")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases with one of these words")
    return parser.parse_args()


def _measure(case: ImageCase, places: list[Place], meter: Meter, runs: int) -> None:
    by_rival = {place.rival.name: place for place in places}
    for place in places:
        for step in case.once:
            step(place)

    def words(rival: Contestant) -> tuple[str, ...]:
        return case.words(by_rival[rival.name])

    def before_each(rival: Contestant) -> None:
        for step in case.each:
            step(by_rival[rival.name])
        os.sync()

    rivals = [place.rival for place in places]
    samples = table.taken_in_turn(rivals, words, meter, runs, warm_ups=1, before_each=before_each)
    table.print_row(case.name, case.aim, samples)
    for place in places:
        _clear(place)


def _clear(place: Place) -> None:
    place.run("rm", "-f", "-a", "-t", "0")
    imagecases.empty(place)
    place.run("load", "-q", "-i", str(busybox_archive()))


def _print_peaks(places: list[Place], only: list[str] | None) -> None:
    for name, kind in _PEAKS.items():
        if not table.is_wanted(name, only):
            continue
        peaks = []
        for place in places:
            imagecases.empty(place)
            argv = [*place.rival.argv, *imagecases.pull(kind)(place)]
            peaks.append(peak.of_command(argv, place.rival.environment))
            _clear(place)
        sizes = [f"{each.kilobytes / 1000:.1f} MB" for each in peaks]
        looks = f"({', '.join(str(each.looks) for each in peaks)} looks)"
        print(_score(name, sizes, f"{_MOST_KILOBYTES // 1000} MB", looks), flush=True)


def _print_resumed(places: list[Place]) -> None:
    parts = []
    for place in places:
        imagecases.empty(place)
        parts.append(f"{resume.loaded_again(place.rival, place.supply):.1%}")
        _clear(place)
    print(_score(_RESUMED, parts, f"{1 - resume.KILLED_AT + _EXTRA:.1%}", "(loaded again)"), flush=True)


def _score(name: str, values: list[str], aim: str, note: str) -> str:
    ours, theirs = values[0], values[1] if len(values) > 1 else "-"
    return _SCORE.format(name, ours, theirs, "", f"{note}  aim {aim}")


if __name__ == "__main__":
    sys.exit(main())

"""The same cases under PyTorch and here, side by side, as ratios.

    python -m asv_benchmarks.compare [PATTERN] [--device D] [--rounds N] [--json FILE]

Runs alternate between the two, and the medians are compared, so that a busy machine
slows both. A ratio below 1 means that dispatchtorch is faster.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .cases import CASES, Case, synchronize

__all__ = ["main", "measure"]


def measure(case: Case, device: str, rounds: int) -> tuple[float, float]:
    """Median seconds of a case: (PyTorch, dispatchtorch)."""
    import torch

    import dispatchtorch

    sides = []
    for module, place in (
        (torch, "cpu" if device == "loopback" else device),
        (dispatchtorch, device),
    ):
        run = case.make(module, place)
        run()
        sides.append((module, place, run, _repeats(run), []))
    for _ in range(rounds):
        for module, place, run, count, times in sides:
            times.append(_time(module, place, run, count))
    return tuple(statistics.median(times) for *_, times in sides)  # type: ignore[return-value]


def _repeats(run: Callable[[], Any]) -> int:
    """How often to run for about 20 ms a round."""
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            run()
        taken = time.perf_counter() - start
        if taken > 0.02 or count > 100_000:
            return count
        count = max(count * 2, int(count * 0.02 / max(taken, 1e-9)))


def _time(module: Any, device: str, run: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    synchronize(module, device)
    return (time.perf_counter() - start) / count


def import_times(rounds: int) -> dict[str, float]:
    """Median seconds to import each package in a fresh interpreter, start-up deducted."""
    times: dict[str, list[float]] = {
        "": [],
        "numpy": [],
        "dispatchtorch": [],
        "torch": [],
    }
    for _ in range(rounds):
        for name, found in times.items():
            code = f"import {name}" if name else "pass"
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            found.append(time.perf_counter() - start)
    bare = statistics.median(times.pop(""))
    return {name: statistics.median(found) - bare for name, found in times.items()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m asv_benchmarks.compare", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "pattern", nargs="?", default="", help="regular expression on group.name"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    print(f"{'case':<28}{'PyTorch':>12}{'ours':>12}{'ratio':>8}  budget")
    for case in CASES:
        if not re.search(options.pattern, case.key):
            continue
        theirs, ours = measure(case, options.device, options.rounds)
        ratio = ours / theirs
        verdict = (
            ""
            if case.budget is None
            else (f"{case.budget:.2f} {'ok' if ratio <= case.budget else 'OVER'}")
        )
        results[case.key] = {"pytorch": theirs, "ours": ours, "ratio": ratio}
        print(
            f"{case.key:<28}{_show(theirs):>12}{_show(ours):>12}{ratio:>8.2f}  {verdict}"
        )
    if re.search(options.pattern, "import"):
        times = import_times(max(3, options.rounds // 3))
        ratio = times["dispatchtorch"] / times["torch"]
        extra = times["dispatchtorch"] - times["numpy"]
        results["import"] = {**times, "ratio": ratio}
        print(
            f"{'import':<28}{_show(times['torch']):>12}{_show(times['dispatchtorch']):>12}"
            f"{ratio:>8.2f}  0.15 {'ok' if ratio <= 0.15 else 'OVER'}; NumPy's "
            f"{_show(times['numpy'])} + {_show(extra)} (60 ms "
            f"{'ok' if extra <= 0.06 else 'OVER'})"
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)
    return 0


def _show(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


if __name__ == "__main__":
    sys.exit(main())

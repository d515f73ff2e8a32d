"""The same cases under PyTorch and here, side by side, as ratios.

    python -m asv_benchmarks.compare [PATTERN] [--device D] [--rounds N] [--json FILE]

Runs alternate between the two, and the medians are compared, so that a busy machine
slows both. A ratio below 1 means that dispatchtorch is faster.
"""

from __future__ import annotations

import argparse
import json
import os
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
        (torch, _its_device(torch, device)),
        (dispatchtorch, device),
    ):
        run = case.make(module, place)
        run()
        sides.append((module, place, run, _repeats(run), []))
    for _ in range(rounds):
        for module, place, run, count, times in sides:
            times.append(_time(module, place, run, count))
    return tuple(statistics.median(times) for *_, times in sides)  # type: ignore[return-value]


def _its_device(torch: Any, device: str) -> str:
    """The device of PyTorch's that a device is compared with: ``cpu`` where it has none."""
    kind = device.partition(":")[0]
    has = getattr(getattr(torch, kind, None), "is_available", lambda: kind == "meta")
    return device if has() else "cpu"


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
    if module is not None:
        synchronize(module, device)
    return (time.perf_counter() - start) / count


def import_times(rounds: int) -> dict[str, float]:
    """Median seconds to import each package in a fresh interpreter, start-up deducted.

    A first round, which isn't counted, leaves their bytecode on disk.
    """
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {
        "": [],
        "numpy": [],
        "dispatchtorch": [],
        "torch": [],
    }
    for i in range(rounds + 1):
        for name, found in times.items():
            code = f"import {name}" if name else "pass"
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if i:
                found.append(time.perf_counter() - start)
    bare = statistics.median(times.pop(""))
    return {name: statistics.median(found) - bare for name, found in times.items()}


def layer_costs(rounds: int) -> dict[str, float]:
    """Seconds of ``a + b`` under stacks of layers: none, a no-op one off, and on.

    The least of many short runs: the differences are smaller than a busy machine's noise.
    """
    from .bench_layers import Layers

    times: dict[str, list[float]] = {"none": [], "registered": [], "enabled": []}
    for _ in range(rounds):
        for stack, found in times.items():
            suite = Layers()
            suite.setup(stack)
            try:
                suite.time_add(stack)

                def run(suite: Layers = suite, stack: str = stack) -> None:
                    suite.time_add(stack)

                found.append(_time(None, "cpu", run, 300))
            finally:
                suite.teardown(stack)
    return {stack: min(found) for stack, found in times.items()}


def installed_sizes() -> dict[str, int]:
    """Bytes on disk of each package with its required dependencies, compiled files left
    out."""
    return {name: _closure_size(name, set()) for name in ("torch", "dispatchtorch")}


def _closure_size(name: str, seen: set[str]) -> int:
    from importlib import metadata
    from pathlib import Path

    import dispatchtorch

    name = name.lower().replace("_", "-")
    if name in seen:
        return 0
    seen.add(name)
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return 0
    files = [Path(str(f.locate())) for f in found.files or ()]
    if name == "dispatchtorch":  # maybe installed in place
        root = Path(dispatchtorch.__file__).parent
        files = [f for part in (root, _numpy_backend()) for f in part.rglob("*")]
    total = sum(f.stat().st_size for f in files if f.suffix != ".pyc" and f.is_file())
    for requirement in found.requires or ():
        if "extra ==" not in requirement:
            head = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            total += _closure_size(head, seen)
    return total


def _numpy_backend() -> Any:
    from pathlib import Path

    import dispatchtorch_numpy

    return Path(dispatchtorch_numpy.__file__).parent


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
    if re.search(options.pattern, "layers"):
        costs = layer_costs(options.rounds * 20)
        results["layers"] = costs
        off, on = (costs[k] - costs["none"] for k in ("registered", "enabled"))
        print(
            f"a no-op layer: off {off * 1e9:+.0f} ns, on {on * 1e9:+.0f} ns a call "
            f"(300 ns {'ok' if on <= 3e-7 else 'OVER'})"
        )
    if re.search(options.pattern, "size"):
        sizes = installed_sizes()
        results["size"] = sizes
        ratio = sizes["dispatchtorch"] / sizes["torch"]
        print(
            f"installed size: {sizes['torch'] / 1e6:.0f} MB, ours "
            f"{sizes['dispatchtorch'] / 1e6:.0f} MB, ratio {ratio:.2f} "
            f"(0.15 {'ok' if ratio <= 0.15 else 'OVER'})"
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

"""Measurements and tables look as PyTorch's do."""

from __future__ import annotations

import random

import pytest

from dispatchtorch.utils import benchmark as ours

oracle = pytest.importorskip("torch")
theirs = pytest.importorskip("torch.utils.benchmark")

pytestmark = pytest.mark.oracle


def measured(benchmark, times, number=1, **spec):
    spec = {"stmt": "x + y", "setup": "pass", **spec}
    return benchmark.Measurement(number, times, benchmark.TaskSpec(**spec))


SPECS = [
    {},
    {"label": "L", "sub_label": "S", "description": "D", "env": "E", "num_threads": 4},
    {"stmt": "a\nb", "setup": "import x\ny = 1"},
    {"stmt": "a\nb", "sub_label": "S"},
    {"setup": "y = 1", "description": "D"},
]
TIMES = [
    [1e-6],
    [2.0, 2.1],
    [1e-3, 1.1e-3, 1.2e-3, 5e-3],
    [1e-3] * 4 + [1.15e-3] * 3,
    [1e-7] * 50,
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("times", TIMES, ids=lambda t: str(t[:2]))
def test_measurements_look_alike(spec, times):
    mine, reference = (measured(b, times, 3, **spec) for b in (ours, theirs))
    assert repr(mine).split("\n")[1:] == repr(reference).split("\n")[1:]
    for name in ("title", "as_row_name", "significant_figures", "has_warnings", "env"):
        assert getattr(mine, name) == getattr(reference, name)
    for name in ("median", "mean", "iqr"):
        assert getattr(mine, name) == pytest.approx(getattr(reference, name))


def spread(rng):
    scale = 10 ** rng.uniform(-6, -1)
    wide = 10 ** rng.uniform(-5, 0)
    return [scale * (1 + rng.random() * wide) for _ in range(rng.choice([1, 3, 5, 9]))]


@pytest.mark.parametrize("seed", range(40))
def test_significant_figures_are_the_same(seed):
    times = spread(random.Random(seed))
    mine, reference = (measured(b, times) for b in (ours, theirs))
    assert mine.significant_figures == reference.significant_figures


def compare(benchmark, seed, settings):
    rng = random.Random(seed)
    results = []
    for i in range(rng.choice([1, 2, 3])):
        for j in range(rng.choice([1, 2, 3])):
            results.append(
                measured(
                    benchmark,
                    spread(rng),
                    label=rng.choice(["L", "Longer"]),
                    sub_label=f"row {i}" + "." * rng.randint(0, 6),
                    description=f"column {j}" + "." * rng.randint(0, 8),
                    num_threads=rng.choice([1, 1, 16]),
                    env=rng.choice(["one", "one", "another"]),
                )
            )
    table = benchmark.Compare(results)
    for setting, *args in settings:
        getattr(table, setting)(*args)
    return str(table)


SETTINGS = [
    [],
    [("trim_significant_figures",)],
    [("colorize",)],
    [("colorize", True), ("highlight_warnings",)],
    [("trim_significant_figures",), ("highlight_warnings",)],
]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_tables_look_alike(seed, settings):
    assert compare(ours, seed, settings) == compare(theirs, seed, settings)

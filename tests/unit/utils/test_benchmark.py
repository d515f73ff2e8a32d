"""Timing: blocks, medians, and tables."""

from __future__ import annotations

import pytest

import dispatchtorch as torch
from dispatchtorch.utils import benchmark
from dispatchtorch.utils.benchmark import (
    Compare,
    Language,
    Measurement,
    TaskSpec,
    Timer,
    select_unit,
    trim_sigfig,
)


class Clock:
    """Time that passes only when the timed statement lets it pass."""

    def __init__(self, cost):
        self.now = 0.0
        self.cost = cost

    def __call__(self):
        return self.now

    def tick(self):
        self.now += self.cost

    def timer(self, **kwargs):
        return Timer("tick()", timer=self, globals={"tick": self.tick}, **kwargs)


@pytest.mark.parametrize("cost", [1e-6, 1e-4, 1e-2, 0.5])
def test_blocks_are_long_enough_and_add_up(cost):
    result = Clock(cost).timer().blocked_autorange(min_run_time=0.1)
    assert result.median == pytest.approx(cost)
    assert sum(result.raw_times) >= 0.0999
    assert result.number_per_run * cost >= 0.99e-4


def test_adaptive_timing_stops_when_times_are_steady():
    result = Clock(1e-3).timer().adaptive_autorange(min_run_time=0.01)
    assert 0.0099 <= sum(result.raw_times) <= 0.02


def test_adaptive_timing_gives_up_on_times_that_are_not():
    clock = Clock(1e-3)
    original = clock.tick

    def erratic():
        clock.cost = 1e-3 if clock.cost > 1e-3 else 9e-3
        original()

    clock.tick = erratic
    result = clock.timer().adaptive_autorange(max_run_time=0.5)
    assert sum(result.raw_times) >= 0.499


def test_timeit_measures_once_after_a_warm_up():
    calls = []
    result = Timer("f()", globals={"f": lambda: calls.append(1)}).timeit(300)
    assert (result.number_per_run, len(result.raw_times)) == (300, 1)
    assert len(calls) > 300


def test_each_block_is_reported():
    seen = []
    Clock(1e-3).timer().blocked_autorange(lambda n, t: seen.append((n, t)), 0.01)
    assert all(n == 1 and t == pytest.approx(1e-3) for n, t in seen)


def test_the_statement_sees_the_package_and_runs_on_the_threads_asked_for():
    Timer("assert torch.get_num_threads() == 2", num_threads=2).timeit(1)
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        Timer("1 / 0", num_threads=2).timeit(1)
    assert torch.get_num_threads() == before


def test_statements_may_be_indented():
    timer = Timer(
        """
            a = 1
            b = a
        """
    )
    assert timer.timeit(1).task_spec.stmt == "a = 1\nb = a"


def test_what_is_not_supported_says_so():
    for call in (
        lambda: Timer("x;", language=Language.CPP),
        lambda: Timer().collect_callgrind(),
        lambda: Timer().repeat(),
        lambda: Timer().autorange(),
    ):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(ValueError, match="Invalid language `rust`"):
        Timer(language="rust")
    with pytest.raises(ValueError, match=r"global_setup is C\+\+ only"):
        Timer(global_setup="x")


def test_measurements_of_one_task_merge():
    one, two = TaskSpec("a", "pass"), TaskSpec("b", "pass")
    merged = Measurement.merge(
        [
            Measurement(10, [1.0], one),
            Measurement(1, [0.3], one),
            Measurement(1, [2.0], two),
        ]
    )
    assert [(m.stmt, m.times) for m in merged] == [("a", [0.1, 0.3]), ("b", [2.0])]


def test_units_and_digits():
    assert select_unit(3e-7) == ("ns", 1e-9)
    assert select_unit(1e-13)[0] == "ns"
    assert select_unit(99.0) == ("s", 1)
    assert trim_sigfig(123456, 2) == 120000.0
    assert trim_sigfig(0.00123456, 3) == 0.00123


def test_tables_take_measurements_only():
    with pytest.raises(ValueError, match="Expected an instance of `Measurement`"):
        Compare([3])
    assert str(Compare([])) == ""


def test_a_table_does_without_descriptions():
    table = str(Compare([Measurement(1, [1e-3], TaskSpec("f(x)", "pass"))]))
    assert "f(x)  |  1.0" in table
    assert "Times are in milliseconds (ms)." in table


class TestFuzzer:
    def _cases(self, seed: int = 0, n: int = 40) -> list:
        fuzzer = benchmark.Fuzzer(
            [
                benchmark.FuzzedParameter("k", 4, 64, "loguniform"),
                benchmark.FuzzedParameter("step", 1, 3, "uniform"),
                benchmark.FuzzedParameter("dim", distribution={1: 0.3, 2: 0.7}),
                benchmark.FuzzedParameter(
                    "other",
                    distribution={benchmark.ParameterAlias("k"): 0.5, 7: 0.5},
                ),
            ],
            [
                benchmark.FuzzedTensor(
                    "x",
                    size=("k", "other"),
                    steps=("step",),
                    dim_parameter="dim",
                    max_elements=600,
                )
            ],
            constraints=[lambda p: p["k"] != 5],
            seed=seed,
        )
        return list(fuzzer.take(n))

    def test_cases_keep_to_what_was_asked(self) -> None:
        cases = self._cases()
        for tensors, drawn, p in cases:
            x = tensors["x"]
            assert 4 <= p["k"] <= 64
            assert p["k"] != 5
            assert p["other"] in (7, p["k"])
            assert tuple(x.shape) == (p["k"], p["other"])[: p["dim"]]
            assert x.numel() == drawn["x"]["numel"] <= 600
            assert x.is_contiguous() == drawn["x"]["is_contiguous"]
            assert drawn["x"]["steps"][0] == p["step"]
        assert {c[2]["dim"] for c in cases} == {1, 2}
        assert {c[1]["x"]["is_contiguous"] for c in cases} == {True, False}

    def test_a_seed_repeats_them(self) -> None:
        first, again, other = ([c[2] for c in self._cases(seed)] for seed in (1, 1, 2))
        assert first == again != other

    def test_what_can_not_be_drawn_is_an_error(self) -> None:
        k = benchmark.FuzzedParameter("k", 1, 2, "uniform")
        with pytest.raises(ValueError, match="Failed to generate"):
            next(benchmark.Fuzzer([k], [], [lambda p: False], seed=0).take(1))
        with pytest.raises(ValueError, match="Duplicate names"):
            benchmark.Fuzzer([k], [benchmark.FuzzedTensor("k", (2,))])

"""Timing a statement."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from enum import Enum
from textwrap import dedent
from typing import Any, NoReturn

import dispatchtorch as torch

from .common import Measurement, TaskSpec, set_torch_threads

__all__ = ["Language", "Timer", "timer"]

_ADAPTIVE_RUN_TIME = 0.05  # what blocks are sized for that repeat until steady
_MIN_TIME = 1e-9  # a clock that stands still must not make a time zero


def timer() -> float:
    """Seconds on a clock, once the accelerator has done all that it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return timeit.default_timer()


class Language(Enum):
    """What a statement can be written in; only Python can be run."""

    PYTHON = 0
    CPP = 1


_LANGUAGES: dict[Any, Language] = {
    Language.PYTHON: Language.PYTHON,
    "py": Language.PYTHON,
    "python": Language.PYTHON,
    Language.CPP: Language.CPP,
    "cpp": Language.CPP,
    "c++": Language.CPP,
}


class Timer:
    """Measures how long a statement takes.

    Unlike ``timeit`` it warms up, runs on one thread unless told otherwise, waits for
    the accelerator, and repeats as often as is needed for a sound median.

    Args:
        stmt: the statement.
        setup: run before, not timed.
        global_setup: for C++ only, which isn't supported.
        timer: the clock.
        globals: names that both can use.
        label, sub_label, description, env: names for tables; see :class:`Compare`.
        num_threads: how many threads operators may use.
        language: what ``stmt`` is written in: Python.
    """

    _timer_cls: type[timeit.Timer] = timeit.Timer

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Language | str = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language not in _LANGUAGES:
            raise ValueError(f"Invalid language `{language}`.")
        if _LANGUAGES[language] is Language.CPP:
            raise NotImplementedError("Timer runs statements in Python, not in C++")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. Most likely this "
                "code can simply be moved to `setup`."
            )
        # Statements may name the package without importing it.
        self._globals = {"torch": torch, **(globals or {})}
        stmt, setup = (dedent(code).strip("\n").rstrip() for code in (stmt, setup))
        self._timer = self._timer_cls(stmt, setup, timer, self._globals)
        self._task_spec = TaskSpec(
            stmt=stmt,
            setup=setup,
            label=label,
            sub_label=sub_label,
            description=description,
            env=env,
            num_threads=num_threads,
        )

    def _timeit(self, number: int) -> float:
        return max(self._timer.timeit(number), _MIN_TIME)

    def _measurement(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._task_spec)

    def timeit(self, number: int = 1000000) -> Measurement:
        """Runs the statement ``number`` times and measures the whole."""
        with set_torch_threads(self._task_spec.num_threads):
            self._timeit(max(number // 100, 2))
            return self._measurement(number, [self._timeit(number)])

    def repeat(self, repeat: int = -1, number: int = -1) -> NoReturn:
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(
        self, callback: Callable[[int, float], NoReturn] | None = None
    ) -> NoReturn:
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _estimate_block_size(self, min_run_time: float) -> int:
        """A number of runs that takes long enough for the clock not to matter."""
        with set_torch_threads(self._task_spec.num_threads):
            overhead = sorted(self._timeit(0) for _ in range(5))[2]
            number = 1
            while True:
                seconds = self._timeit(number)
                if seconds > min_run_time or number >= 10**9:
                    return number
                negligible = overhead / seconds <= 1e-4
                if negligible and seconds >= min_run_time / 1000:
                    return number
                number *= 10

    def _repeat_until(
        self,
        enough: Callable[[Measurement], bool],
        number: int,
        callback: Callable[[int, float], Any] | None,
    ) -> Measurement:
        times: list[float] = []
        result = self._measurement(number, times)
        with set_torch_threads(self._task_spec.num_threads):
            while not times or not enough(result):
                times.append(self._timeit(number))
                if callback is not None:
                    callback(number, times[-1])
        return result

    def blocked_autorange(
        self,
        callback: Callable[[int, float], NoReturn] | None = None,
        min_run_time: float = 0.2,
    ) -> Measurement:
        """Measures blocks of runs until ``min_run_time`` seconds have passed.

        ``callback(number, seconds)`` is called after each block.
        """
        number = self._estimate_block_size(min_run_time)
        return self._repeat_until(
            lambda m: sum(m.raw_times) >= min_run_time, number, callback
        )

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], NoReturn] | None = None,
    ) -> Measurement:
        """Measures blocks of runs until the spread is small.

        That is until the quartiles are less than ``threshold`` of the median apart and
        at least ``min_run_time`` seconds have passed, or ``max_run_time`` have.
        """

        def enough(m: Measurement) -> bool:
            total = sum(m.raw_times)
            if total >= max_run_time:
                return True
            settled = len(m.raw_times) > 3 and m.meets_confidence(threshold)
            return settled and total >= min_run_time

        number = self._estimate_block_size(_ADAPTIVE_RUN_TIME)
        return self._repeat_until(enough, number, callback)

    def collect_callgrind(
        self,
        number: int = 100,
        *,
        repeats: int | None = None,
        collect_baseline: bool = True,
        retain_out_file: bool = False,
    ) -> NoReturn:
        raise NotImplementedError("Timer doesn't count instructions with Callgrind")

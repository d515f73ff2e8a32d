"""What was measured, and the statistics of a measurement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, pstdev
from textwrap import indent
from typing import Any

import dispatchtorch as torch

__all__ = [
    "Measurement",
    "TaskSpec",
    "ordered_unique",
    "select_unit",
    "set_torch_threads",
    "trim_sigfig",
    "unit_to_english",
]

_MAX_DIGITS = 4
# No clock tells times apart that are closer than this.
_RESOLUTION = 25e-9
# Relative spread from which on a measurement is doubtful, or no good.
_SUSPECT, _GROSS = 0.1, 0.25

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
_ENGLISH = {
    "ns": "nanosecond",
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
}


@dataclass(frozen=True, repr=False)
class TaskSpec:
    """The code that is timed and the names to show it by."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or else the statement; with the second label."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {self.sub_label}" if self.sub_label else "")
        head = f"stmt: ({self.sub_label})" if self.sub_label else "stmt:"
        return f"{head}\n{indent(self.stmt, '  ')}"

    def setup_str(self) -> str:
        """The preparation as it is shown; empty where there is none."""
        if self.setup in ("", "pass"):
            return ""
        if "\n" in self.setup:
            return f"setup:\n{indent(self.setup, '  ')}"
        return f"setup: {self.setup}"

    def summarize(self) -> str:
        """All that describes the task, in a few lines."""
        parts = [self.title, self.description or "", self.setup_str()]
        shown = [part for part in parts if part]
        return self._separator().join(shown)

    def _separator(self) -> str:
        parts = (self.title, self.description or "", self.setup_str())
        return "\n\n" if any("\n" in part for part in parts) else "\n"


def _quantile(ordered: list[float], q: float) -> float:
    """The quantile of sorted values, between neighbours by proportion."""
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(repr=False)
class Measurement:
    """Times of one task.

    Attributes of ``task_spec`` are attributes of the measurement.

    Args:
        number_per_run: how often the statement ran for each of the times.
        raw_times: seconds that each of the runs took.
        task_spec: what was measured.
        metadata: anything that is to be kept along.
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        spec = self.__dict__.get("task_spec")
        if spec is not None and hasattr(spec, name):
            return getattr(spec, name)
        raise AttributeError(
            f"'{type(self).__name__}' object has no attribute {name!r}"
        )

    @property
    def times(self) -> list[float]:
        """Seconds for the statement once, of each run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        return self._at(0.5)

    @property
    def mean(self) -> float:
        return fmean(self.times)

    @property
    def iqr(self) -> float:
        """The distance between the quartiles."""
        return self._at(0.75) - self._at(0.25)

    def _at(self, q: float) -> float:
        return _quantile(sorted(self.times), q)

    @property
    def significant_figures(self) -> int:
        """About how many digits of the median mean something.

        Estimated from the middle half of the times, with a 90 % confidence interval.
        """
        n = len(self.raw_times)
        middle = sorted(self.times)[n // 4 : math.ceil(3 * n / 4)]
        interval = max(1.645 * pstdev(middle) / math.sqrt(len(middle)), _RESOLUTION)
        digits = math.floor(math.log10(self.median) - math.log10(interval))
        return min(max(digits, 1), _MAX_DIGITS)

    @property
    def has_warnings(self) -> bool:
        """Whether the times are spread so far that they mean little."""
        return not self.meets_confidence()

    def meets_confidence(self, threshold: float = _SUSPECT) -> bool:
        """Whether the spread is less than this share of the median."""
        return self.iqr / self.median < threshold

    @property
    def title(self) -> str:
        return self.task_spec.title

    @property
    def env(self) -> str | None:
        return self.task_spec.env

    @property
    def as_row_name(self) -> str:
        """What a row of a table with this measurement is called."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def __repr__(self) -> str:
        n = len(self.raw_times)
        unit, scale = select_unit(self.median)
        value = f"{self.median / scale:.2f} {unit}"
        threads = self.task_spec.num_threads
        lines = [value if n == 1 else f"Median: {value}"]
        if n >= 4:
            low, high = self._at(0.25) / scale, self._at(0.75) / scale
            spread = self.iqr / scale
            lines.append(f"IQR:    {spread:.2f} {unit} ({low:.2f} to {high:.2f})")
        lines.append(
            f"{n} measurement{'s' * (n > 1)}, {self.number_per_run} runs "
            f"{'per measurement' if n > 1 else ''}, {threads} "
            f"thread{'s' * (threads > 1)}"
        )
        if self.has_warnings:
            share = self.iqr / self.median
            verdict = (
                "This suggests significant environmental influence."
                if share > _GROSS
                else "This could indicate system fluctuation."
            )
            lines += [
                f"WARNING: Interquartile range is {share:.1%} of the median "
                "measurement.",
                f"         {verdict}",
            ]
        summary = f"{object.__repr__(self)}\n{self.task_spec.summarize()}"
        separator = self.task_spec._separator()
        return summary + separator + indent("\n".join(lines), "  ")

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement for all those of the same task, with the times of all."""
        times: dict[TaskSpec, list[float]] = {}
        for measurement in measurements:
            times.setdefault(measurement.task_spec, []).extend(measurement.times)
        return [Measurement(1, found, task) for task, found in times.items()]


def select_unit(t: float) -> tuple[str, float]:
    """The unit to show a time in, and its length in seconds."""
    longest_first = reversed(_UNITS.items())
    return next(((u, s) for u, s in longest_first if t >= s), ("ns", _UNITS["ns"]))


def unit_to_english(u: str) -> str:
    """The full name of a unit of time."""
    return _ENGLISH[u]


def trim_sigfig(x: float, n: int) -> float:
    """``x`` rounded to ``n`` significant digits."""
    if x == 0:
        return 0.0
    return float(f"{x:.{n - 1}e}")


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """``elements`` without repetition, in the order of their first appearance."""
    return list(dict.fromkeys(elements))


@contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """Runs what is within on ``n`` threads."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n)
        yield
    finally:
        torch.set_num_threads(before)

"""Tables of measurements."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from .common import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

__all__ = ["Colorize", "Compare"]

_RESET = "\033[0m\033[0m"
# How a time is shown that is at least, or at most, this multiple of the best one.
_SLOW = ((5.0, "\033[31m\033[1m"), (2.0, "\033[2m\033[91m"))
_FAST = ((1.01, "\033[92m\033[1m"), (1.1, "\033[34m\033[1m"))
_MARK_WIDTH = 7
_WARNING_LEGEND = (
    "(! XX%) Measurement has high variance, where XX is the IQR / median * 100.\n"
)


class Colorize(Enum):
    """Within what the best times are looked for."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class _Row(NamedTuple):
    num_threads: int
    env: str
    name: str


class Compare:
    """Shows measurements side by side.

    There is a table for each ``label``, with a column for each ``description``, and a
    row for each ``sub_label`` (or statement) under each number of threads and ``env``.
    """

    def __init__(self, results: list[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)
        self._trim_significant_figures = False
        self._colorize = Colorize.NONE
        self._highlight_warnings = False

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Adds measurements."""
        results = list(results)
        for result in results:
            if not isinstance(result, Measurement):
                raise ValueError(
                    "Expected an instance of `Measurement`, "
                    f"got {type(result)} instead."
                )
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Shows only the digits that mean something."""
        self._trim_significant_figures = True

    def colorize(self, rowwise: bool = False) -> None:
        """Colours times by how they compare to the best in their column, or row."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Marks times that are spread too far."""
        self._highlight_warnings = True

    def print(self) -> None:
        """Prints the tables."""
        print(str(self))

    def __str__(self) -> str:
        results = Measurement.merge(self._results)
        labels = ordered_unique(r.task_spec.label for r in results)
        return "\n".join(
            self._table(label, [r for r in results if r.task_spec.label == label])
            for label in labels
        )

    def _table(self, label: str | None, results: list[Measurement]) -> str:
        cells = {
            (_row(r), r.task_spec.description or ""): r
            for r in reversed(results)  # the first of several wins
        }
        columns = ordered_unique(r.task_spec.description or "" for r in results)
        # Sorting is stable: names keep the order in which they came.
        rows = sorted(ordered_unique(_row(r) for r in results), key=lambda row: row[:2])
        unit, scale = select_unit(min(r.median for r in results))

        envs = {row.env for row in rows}
        env_width = max(len(f"({env})") for env in envs) if len(envs) > 1 else 2
        name_width = max(len(row.name) for row in rows)
        blank = " " * (4 + env_width + name_width)

        texts: dict[tuple[_Row, str], str] = {}
        for column in columns:
            found = [cells.get((row, column)) for row in rows]
            shown = self._column(found, scale)
            width = max(len(column), *map(len, shown))
            best: dict[int, float] = {}
            for row, r in zip(rows, found, strict=True):
                if r is not None:
                    known = best.get(row.num_threads, math.inf)
                    best[row.num_threads] = min(known, r.median)
            for row, text, r in zip(rows, shown, found, strict=True):
                against = best.get(row.num_threads, math.inf)
                if self._colorize is Colorize.ROWWISE:
                    others = (cells.get((row, other)) for other in columns)
                    against = min(o.median for o in others if o is not None)
                texts[row, column] = self._color(text.center(width), r, against)
            texts[rows[0]._replace(name=""), column] = column.center(width)

        head = rows[0]._replace(name="")
        lines = ["  |  ".join([blank, *(texts[head, column] for column in columns)])]
        total = len(lines[0])
        title = f" {label or ''} ".center(total - 2, "-")
        lines.insert(0, f"[{title}]")
        before: _Row | None = None
        for row in rows:
            if before is None or row.num_threads != before.num_threads:
                rule = f"{row.num_threads} threads: "
                lines.append(rule.ljust(total, "-"))
                before = None
            env = f"({row.env})" if row.env and len(envs) > 1 else ""
            if before is not None and before.env == row.env:
                env = ""
            start = f"  {env.ljust(env_width)}  {row.name.ljust(name_width)}"
            lines.append("  |  ".join([start, *(texts[row, c] for c in columns)]))
            before = row
        lines += ["", f"Times are in {unit_to_english(unit)}s ({unit}).", ""]
        marked = any(r.has_warnings for r in results)
        return "\n".join(lines) + (
            _WARNING_LEGEND if self._highlight_warnings and marked else ""
        )

    def _column(self, results: list[Measurement | None], scale: float) -> list[str]:
        """The cells of a column, of one length."""
        found = [r for r in results if r is not None]
        decimals = 1
        if self._trim_significant_figures:
            decimals = min(
                max(r.significant_figures - _whole_digits(r.median / scale), 0)
                for r in found
            )
        marked = self._highlight_warnings and any(r.has_warnings for r in found)

        def show(r: Measurement | None) -> str:
            if r is None:
                return ""
            value = r.median / scale
            if self._trim_significant_figures:
                value = trim_sigfig(value, r.significant_figures)
            return f"{value:.{decimals}f}"

        def mark(r: Measurement | None) -> str:
            if not marked or r is None or not r.has_warnings:
                return ""
            return f" (! {r.iqr / r.median:.0%})"

        width = max(map(len, map(show, results)))
        mark_width = _MARK_WIDTH if marked else 0
        return [
            show(r).rjust(width) + mark(r).rjust(mark_width) if r else ""
            for r in results
        ]

    def _color(self, text: str, result: Measurement | None, best: float) -> str:
        if self._colorize is Colorize.NONE or result is None:
            return text
        ratio = result.median / best
        fitting = [code for limit, code in _SLOW if ratio >= limit]
        fitting += [code for limit, code in _FAST if ratio <= limit]
        return f"{fitting[0]}{text}{_RESET}" if fitting else text


def _row(result: Measurement) -> _Row:
    spec = result.task_spec
    return _Row(spec.num_threads, spec.env or "", result.as_row_name)


def _whole_digits(x: float) -> int:
    """Digits before the point."""
    return math.ceil(math.log10(x))

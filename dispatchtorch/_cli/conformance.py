"""``dispatchtorch conformance``: runs the conformance kit and writes its report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["conformance"]


def conformance(
    device: str, ops: str, dtypes: str | None, reports: Sequence[str], every: bool
) -> int:
    """Prints the report and writes it to files; returns 1 where something fails."""
    from dispatchtorch.testing.conformance import render, run
    from dispatchtorch.testing.conformance._report import format_of

    forms = [(path, format_of(path)) for path in reports]

    def progress(result: Any) -> None:
        if every or result.failed:
            print(result, file=sys.stderr, flush=True)

    names = dtypes.split(",") if dtypes else None
    report = run(device, ops, dtypes=names, progress=progress)
    if not report.results:
        raise ValueError(f"no operator's name matches {ops!r}")
    print(render(report))
    for path, form in forms:
        Path(path).write_text(render(report, form), encoding="utf-8")
        print(f"Wrote {path}")
    return int(report.failed)

"""Reports of a run as text, Markdown, HTML or JSON, all made of the same tables."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ._result import FAILURES, OUTCOMES, Report, Result

__all__ = ["FORMATS", "format_of", "render"]

FORMATS = ("md", "html", "json", "txt")

#: The outcomes that are listed one by one, in this order.
_LISTED = ("fail", "unexpected pass", "known failure", "fallback", "unsupported")

Table = tuple[str, Sequence[str], list[Sequence[str]]]


def format_of(path: str) -> str:
    """The format that a file's name says; ValueError for another one."""
    found = Path(path).suffix.removeprefix(".")
    if found not in FORMATS:
        raise ValueError(f"a report is .md, .html, .json or .txt, not {path!r}")
    return found


def render(report: Report, form: str = "txt") -> str:
    """The report as text of one of ``FORMATS``."""
    if form == "json":
        return _json(report)
    title = f"Conformance of '{report.device}'"
    verdict = "FAILED" if report.failed else "passed"
    total = sum(report.counts().values())
    line = f"{verdict}: {total} checks in {report.seconds:.1f} s"
    tables = _tables(report)
    return {"md": _markdown, "html": _html, "txt": _text}[form](title, line, tables)


def _tables(report: Report) -> list[Table]:
    counts = report.counts()
    tables: list[Table] = [
        ("Device", ("", ""), [(k, v) for k, v in report.description.items()]),
        (
            "Summary",
            ("outcome", "checks", "meaning"),
            [(o, str(counts[o]), OUTCOMES[o]) for o in OUTCOMES if counts[o]],
        ),
    ]
    for outcome in _LISTED:
        rows = _rows(report.of(outcome))
        if rows:
            head = ("operator", "checks", "smallest sample", "what")
            tables.append((outcome.capitalize(), head, rows))
    if report.fallbacks:
        moved = sorted(report.fallbacks.items(), key=lambda each: -each[1][0])
        tables.append(
            (
                "Crossings to the host",
                ("primitive", "calls", "bytes"),
                [(name, str(calls), str(size)) for name, (calls, size) in moved],
            )
        )
    device = [r for r in report.results if r.subject == "device"]
    if device:
        tables.append(
            (
                "The device itself",
                ("check", "outcome", "what"),
                [(r.check, r.outcome, r.detail) for r in device],
            )
        )
    return tables


def _rows(results: Iterable[Result]) -> list[Sequence[str]]:
    """Results of one operator that say the same are one row."""
    merged: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        words = "" if result.outcome == "fallback" else result.detail
        merged.setdefault((result.subject, words), []).append(result)
    return [
        (
            subject,
            ", ".join(r.check for r in group),
            group[0].sample,
            words or f"{sum(r.fallbacks for r in group)} calls ran on the host",
        )
        for (subject, words), group in merged.items()
    ]


def _json(report: Report) -> str:
    return json.dumps(
        {
            "device": report.description,
            "failed": report.failed,
            "seconds": round(report.seconds, 3),
            "counts": dict(report.counts()),
            "fallbacks": report.fallbacks,
            "results": [result.as_dict() for result in report.results],
        },
        indent=1,
    )


def _text(title: str, line: str, tables: list[Table]) -> str:
    lines = [title]
    for name, _, rows in tables:
        lines += ["", f"{name}:"]
        lines += ["  " + "  ".join(cell for cell in row if cell) for row in rows]
    return "\n".join([*lines, "", line])


def _markdown(title: str, line: str, tables: list[Table]) -> str:
    lines = [f"# {title}", "", line]
    for name, head, rows in tables:
        lines += ["", f"## {name}", "", _cells(head), _cells(["---"] * len(head))]
        lines += [_cells(row) for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Iterable[str]) -> str:
    clean = (str(c).replace("|", "\\|").replace("\n", " ") for c in row)
    return "| " + " | ".join(clean) + " |"


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
.fail, .unexpected { color: #b00020; font-weight: 600 } .pass { color: #1b6e2c }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } th, td { border-color: #444 }
  .fail, .unexpected { color: #ff7a85 } .pass { color: #7bd88f } }
"""


def _html(title: str, line: str, tables: list[Table]) -> str:
    verdict = "fail" if line.startswith("FAILED") else "pass"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="{verdict}">{html.escape(line)}</p>',
    ]
    for name, head, rows in tables:
        parts.append(f"<h2>{html.escape(name)}</h2><table>")
        if any(head):
            cells = "".join(f"<th>{html.escape(c)}</th>" for c in head)
            parts.append(f"<thead><tr>{cells}</tr></thead>")
        parts.append("<tbody>")
        for row in rows:
            cells = "".join(
                f"<td{_class(cell)}>{html.escape(str(cell))}</td>" for cell in row
            )
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody></table>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _class(cell: str) -> str:
    if cell in FAILURES:
        return ' class="fail"'
    return ' class="pass"' if cell == "pass" else ""

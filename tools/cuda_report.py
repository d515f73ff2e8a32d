"""Tests, conformance and benchmarks of the device ``cuda`` in one go, with a report.

    python tools/cuda_report.py --out FOLDER [--minutes 9] [--sections tests,conformance]

Needs a machine with an NVIDIA GPU, a Python with NumPy, ml_dtypes, pluggy and pytest, and
CuPy; nothing is installed and nothing is downloaded. This repository is used as it lies,
from its folder. Packages that the Python lacks may be carried as wheels:

    python tools/cuda_report.py --out FOLDER --wheels WHEELS --venv VENV

makes a virtual environment over the Python's own packages and installs the wheels there,
without an index. With PyTorch (and its CUDA) installed, the benchmarks stand beside its
eager mode's; without, they stand alone.

Correctness comes first: the conformance kit, divided among processes, and at the same time
the tests marked ``cuda``. Then the benchmarks, each in a process of its own and nothing
beside it. Each section has a limit, so that the whole ends in time; what didn't end is
said to be so. Writes ``cuda_report.md`` and ``cuda_report.json`` after each section.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
SECTIONS = ("environment", "checks", "tests", "conformance", "benchmarks")
#: Benchmarks of ``asv_benchmarks.cuda`` in the order of their weight, and their limits.
CASES = {
    "tiny": 40,
    "bandwidth": 40,
    "matmul": 40,
    "rows": 45,
    "gpt": 60,
    "resnet": 60,
    "graphs": 60,
    "transfers": 30,
}
#: Parts of the whole time: correctness together, then benchmarks.
SHARES = {"correctness": 0.58, "benchmarks": 0.36}


# Where things are.


def environment(site: Path) -> dict[str, str]:
    """The environment of the processes: this repository's packages, as if installed."""
    folders = [REPOSITORY, REPOSITORY / "backends/numpy", REPOSITORY / "backends/cupy"]
    made = dict(os.environ)
    kept = made.get("PYTHONPATH")
    paths = [str(site), *map(str, folders), *([kept] if kept else [])]
    made.update(PYTHONPATH=os.pathsep.join(paths), PYTHONUNBUFFERED="1")
    made.setdefault("OMP_NUM_THREADS", "1")
    return made


def register(site: Path) -> None:
    """The plugin's entry point, as its installed distribution would have it."""
    folder = site / "dispatchtorch_cupy-0.1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dispatchtorch-cupy\nVersion: 0.1.0\n"
    )
    (folder / "entry_points.txt").write_text(
        "[dispatchtorch]\ncuda = dispatchtorch_cupy:plugin [api-1]\n"
    )


def virtual_environment(venv: Path, wheels: Path) -> str:
    """The Python of a new environment with the wheels, over this one's packages."""
    base = [sys.executable, "-m", "venv", "--system-site-packages", str(venv)]
    subprocess.run(base, check=True)
    python = str(venv / "bin/python")
    found = sorted(map(str, wheels.glob("*.whl")))
    install = [python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", *found]
    subprocess.run(install, check=True)
    return python


class Run:
    """The report in the making."""

    def __init__(self, arguments: argparse.Namespace, python: str, site: Path) -> None:
        self.out = Path(arguments.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.python = python
        self.site = site
        self.environment = environment(site)
        self.started = time.monotonic()
        self.seconds = 60.0 * arguments.minutes
        self.wanted = arguments.sections.split(",")
        self.cases = arguments.cases
        self.dtypes = arguments.dtypes
        self.processes = arguments.processes or max(2, min(12, os.cpu_count() or 2) - 2)
        self.report: dict[str, Any] = {"sections": {}}

    def left(self) -> float:
        """Seconds until the end."""
        return self.seconds - (time.monotonic() - self.started)

    def command(
        self, arguments: list[str], limit: float, **extra: str
    ) -> tuple[int | None, str]:
        """(exit status or None where it ran out of time, what it printed)."""
        process = self.start(arguments, **extra)
        return finish(process, limit)

    def start(self, arguments: list[str], **extra: str) -> subprocess.Popen[str]:
        # Closed by finish(), which reads it.
        file = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        process = subprocess.Popen(
            [self.python, *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
            env={**self.environment, **extra},
            start_new_session=True,
        )
        process.stdout = file  # type: ignore[assignment]
        return process

    def keep(self, section: str, found: dict[str, Any]) -> None:
        """Adds a section and writes the report as far as it goes."""
        self.report["sections"][section] = found
        self.report["seconds"] = round(time.monotonic() - self.started, 1)
        text = json.dumps(self.report, indent=1, default=str)
        (self.out / "cuda_report.json").write_text(text + "\n", encoding="utf-8")
        (self.out / "cuda_report.md").write_text(
            markdown(self.report), encoding="utf-8"
        )
        print(
            f"[{self.report['seconds']:6.1f} s] {section}: {found.get('summary', '')}"
        )


def finish(process: subprocess.Popen[str], limit: float) -> tuple[int | None, str]:
    status: int | None
    try:
        status = process.wait(max(1.0, limit))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        status = None
    process.stdout.seek(0)  # type: ignore[union-attr]
    text = process.stdout.read()  # type: ignore[union-attr]
    process.stdout.close()  # type: ignore[union-attr]
    return status, text


# Sections.

_VERSIONS = """
import importlib.metadata as m, json, platform
found = {}
for d in m.distributions():
    name = (d.metadata["Name"] or "").lower()
    if name in ("numpy", "torch", "scipy", "ml-dtypes", "pytest", "pluggy") or (
        name.startswith(("cupy", "nvidia-cudnn", "nvidia-cublas"))):
        found[name] = d.version
print(json.dumps({"python": platform.python_version(), **found}))
"""


def section_environment(run: Run) -> None:
    try:
        shown = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total,driver_version",
             "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=False,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        shown = f"nvidia-smi: {error}"
    _, versions = run.command(["-c", _VERSIONS], 60)
    try:
        found = json.loads(versions.strip().splitlines()[-1])
    except (ValueError, IndexError):
        found = {"error": versions[-400:]}
    run.report["machine"] = {"gpu": shown, "cpu": platform.machine(),
                             "cores": os.cpu_count(), "versions": found}  # fmt: skip
    run.keep("environment", {"summary": shown, "versions": found})


def section_checks(run: Run) -> None:
    status, text = run.command(["-m", "dispatchtorch", "doctor"], 90)
    lines = text.splitlines()
    start = next((i for i, x in enumerate(lines) if x.startswith("  cuda:")), 0)
    shown = "\n".join(lines[start : start + 24])
    run.keep("checks", {"summary": f"doctor: exit {status}", "text": shown})


def shards(names: list[str], count: int) -> list[str]:
    """Regular expressions that divide operators among processes."""
    import re

    made = []
    for k in range(count):
        own = "|".join(re.escape(n) for n in names[k::count])
        made.append(f"^(?:{own})$")
    return made


_NAMES = """
import json
from dispatchtorch.testing.samples import database
from dispatchtorch.testing.conformance._device import CHECKS
print(json.dumps([sorted(database()), sorted(CHECKS)]))
"""


def section_correctness(run: Run) -> None:
    """The conformance kit's shards, and the tests marked ``cuda``, at the same time."""
    limit = SHARES["correctness"] * run.seconds
    until = time.monotonic() + min(limit, run.left() - 10)
    blocking = {"CUDA_LAUNCH_BLOCKING": "1"}
    tests = None
    if "tests" in run.wanted:
        tests = run.start(
            ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=",
             "--import-mode=importlib", "--no-header", "-m", "cuda", "-rfEs",
             "tests/devices"],
        )  # fmt: skip
    if "conformance" in run.wanted:
        _, text = run.command(["-c", _NAMES], 60)
        try:
            names, checks = json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            run.keep("conformance", {"summary": "no samples", "text": text[-2000:]})
        else:
            # The kit wants an operator in each run, also in that of the device's checks.
            # More parts than processes: what doesn't end in time is little.
            patterns = shards(names[1:], 4 * run.processes)
            patterns.insert(0, shards([*checks, names[0]], 1)[0])
            gathered(run, patterns, blocking, until)
    if tests is not None:
        status, text = finish(tests, until - time.monotonic())
        lines = [x for x in text.splitlines() if x.strip()]
        summary = lines[-1] if lines else "nothing printed"
        if status is None:
            summary = f"ran out of time; {summary}"
        shown = [x for x in lines if x.startswith(("FAILED", "ERROR", "SKIPPED"))]
        run.keep(
            "tests",
            {"summary": summary, "status": status, "text": "\n".join(shown[:80]),
             "tail": "\n".join(lines[-160:]) if status else ""},
        )  # fmt: skip


def gathered(
    run: Run, patterns: list[str], extra: dict[str, str], until: float
) -> None:
    """Runs the shards, some at a time, and keeps their results as one."""
    waiting = list(enumerate(patterns))
    running: list[tuple[int, Any]] = []
    counts: dict[str, int] = {}
    failures: list[str] = []
    unfinished: list[str] = []

    def file_of(k: int) -> Path:
        return run.site / f"part{k}.json"

    def end(k: int, process: Any, limit: float) -> None:
        status, text = finish(process, limit)
        if not file_of(k).exists():
            why = "ran out of time" if status is None else f"exit {status}"
            unfinished.append(f"part {k}: {why}: {text.strip()[-600:]}")
            return
        found = json.loads(file_of(k).read_text(encoding="utf-8"))
        for name, value in outcomes(found).items():
            counts[name] = counts.get(name, 0) + value
        failures.extend(failed(found))

    options = ["--dtypes", run.dtypes] if run.dtypes else []
    while (waiting or running) and time.monotonic() < until:
        while waiting and len(running) < run.processes:
            k, pattern = waiting.pop(0)
            arguments = ["-m", "dispatchtorch", "conformance", "--device", "cuda",
                         "--ops", pattern, "--report", str(file_of(k)), *options]  # fmt: skip
            running.append((k, run.start(arguments, **extra)))
        for k, process in [each for each in running if each[1].poll() is not None]:
            running.remove((k, process))
            end(k, process, 5)
        time.sleep(0.1)
    for k, process in running:
        end(k, process, 1)
    unfinished += [f"part {k}: never started" for k, _ in waiting]
    summary = ", ".join(f"{v} {k}" for k, v in sorted(counts.items()))
    if unfinished:
        summary += f"; {len(unfinished)} of {len(patterns)} parts didn't end"
    run.keep(
        "conformance",
        {"summary": summary, "counts": counts, "failures": failures[:400],
         "unfinished": unfinished},
    )  # fmt: skip


def outcomes(found: dict[str, Any]) -> dict[str, int]:
    made: dict[str, int] = {}
    for each in found.get("results", ()):
        made[each["outcome"]] = made.get(each["outcome"], 0) + 1
    return made


def failed(found: dict[str, Any]) -> list[str]:
    return [
        json.dumps({k: v for k, v in each.items() if v not in (None, "", [])})[:500]
        for each in found.get("results", ())
        if each["outcome"] in ("fail", "error", "unexpected pass")
    ]


def section_benchmarks(run: Run) -> None:
    rows: list[dict[str, Any]] = []
    names = [n for n in CASES if not run.cases or n in run.cases.split(",")]
    for name in names:
        limit = min(run.left() - 5, CASES[name])
        if limit < 8:
            rows.append({"case": name, "error": "no time was left"})
            continue
        status, text = run.command(["-m", "asv_benchmarks.cuda", name], limit)
        lines = text.strip().splitlines()
        try:
            rows += json.loads(lines[-1])
        except (ValueError, IndexError):
            why = "ran out of time" if status is None else f"exit {status}"
            rows.append({"case": name, "error": f"{why}: {text.strip()[-700:]}"})
        run.keep("benchmarks", {"summary": f"{len(rows)} rows", "rows": rows})


# The report.


def markdown(report: dict[str, Any]) -> str:
    machine = report.get("machine", {})
    lines = ["# Device `cuda`: report of `tools/cuda_report.py`", ""]
    lines.append(f"{machine.get('gpu', 'no GPU')}; {machine.get('cores')} cores.")
    versions = machine.get("versions", {})
    lines += ["", ", ".join(f"{k} {v}" for k, v in versions.items()), ""]
    for name, found in report["sections"].items():
        lines += [f"## {name}", "", str(found.get("summary", "")), ""]
        if name == "benchmarks":
            lines += table(found["rows"])
        for key in ("text", "tail"):
            if found.get(key):
                lines += ["```", found[key], "```", ""]
        for each in found.get("failures", ()):
            lines.append(f"- `{each}`")
        for each in found.get("unfinished", ()):
            lines.append(f"- {each}")
    lines.append(f"\n{report.get('seconds')} s in all.\n")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| case | here | PyTorch | ratio | note |", "|---|---|---|---|---|"]
    for row in rows:
        if "error" in row:
            text = row["error"].replace("\n", " ").replace("|", "/")[-300:]
            lines.append(f"| {row['case']} | | | | {text} |")
            continue
        theirs = row.get("theirs")
        ratio = f"{row['ours'] / theirs:.2f}" if theirs else ""
        unit = row["unit"]
        shown = f"{theirs:.4g} {unit}" if theirs else ""
        lines.append(
            f"| {row['case']} | {row['ours']:.4g} {unit} | {shown} | {ratio} "
            f"| {row.get('note', '')} |"
        )
    return [*lines, ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", default="cuda_report", help="folder of the report")
    parser.add_argument("--minutes", type=float, default=9, help="the whole time (9)")
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument(
        "--processes", type=int, default=0, help="of the conformance kit"
    )
    parser.add_argument("--dtypes", default="", help="of the conformance kit; all")
    parser.add_argument(
        "--cases", default="", help="benchmarks, of: " + ", ".join(CASES)
    )
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install")
    parser.add_argument("--venv", type=Path, help="environment to make for them")
    arguments = parser.parse_args()
    python = sys.executable
    if arguments.wheels is not None:
        venv = arguments.venv or Path(tempfile.mkdtemp()) / "venv"
        python = virtual_environment(venv, arguments.wheels)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        register(site)
        run = Run(arguments, python, site)
        if "environment" in run.wanted:
            section_environment(run)
        if "checks" in run.wanted:
            section_checks(run)
        if {"tests", "conformance"} & set(run.wanted):
            section_correctness(run)
        if "benchmarks" in run.wanted:
            section_benchmarks(run)
    print(f"report: {run.out / 'cuda_report.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

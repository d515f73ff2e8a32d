"""The examples run unchanged, and print what they print under PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d+")


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs_under_dispatchtorch_run(path: Path, tmp_path: Path) -> None:
    out = run([sys.executable, "-m", "dispatchtorch", "run", str(path)], tmp_path)
    assert out.strip()


@pytest.mark.oracle
@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem != "pick_device"], ids=lambda p: p.stem
)
def test_example_prints_what_pytorch_prints(path: Path, tmp_path: Path) -> None:
    ours = run([sys.executable, "-m", "dispatchtorch", "run", str(path)], tmp_path)
    theirs = run([sys.executable, str(path)], tmp_path)
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True)
    for a, b in pairs:
        assert float(a) == pytest.approx(float(b), rel=2e-3, abs=2e-3)

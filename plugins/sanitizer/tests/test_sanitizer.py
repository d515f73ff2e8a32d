"""The sanitizer names the operator that made a NaN or Inf, and the line that called it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dispatchtorch_sanitizer as sanitizer
import pytest

import dispatchtorch as torch
from dispatchtorch.dispatch.layer import registered_layers
from dispatchtorch.plugins import manager

LAYER = sanitizer.enabled.__self__  # type: ignore[attr-defined]


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    """The plugin, whether it is installed or only on the path."""
    torch.ones(1) + 1
    if LAYER in registered_layers():
        yield
        return
    with manager.register(sanitizer.Plugin(), name="sanitizer"):
        yield


def found(call: Any) -> sanitizer.Finding:
    """What is found in a call."""
    with sanitizer.enabled(), pytest.raises(sanitizer.NonFiniteError) as caught:
        call()
    return caught.value.finding  # type: ignore[no-any-return]


def test_it_names_the_operator_and_the_line_of_the_call() -> None:
    def step() -> Any:
        x = torch.tensor([1.0, 0.0])
        y = x * 2
        z = y.log()
        return z + 1

    finding = found(step)
    lines, first = inspect.getsourcelines(step)
    assert finding.operator == "log"
    assert (finding.nans, finding.infs, finding.elements) == (0, 1, 2)
    assert Path(finding.file).name == Path(__file__).name
    assert lines[finding.line - first].strip() == "z = y.log()"
    assert "from 0.0 to 2.0" in str(finding)
    assert "z = y.log()" in str(finding)


def test_it_names_the_operator_inside_a_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softmax(dim=1))
    with torch.no_grad():
        model[0].weight.fill_(3e38)
    finding = found(lambda: model(torch.ones(1, 2)))
    assert finding.operator in ("addmm", "linear", "mm", "bmm", "matmul")
    assert finding.infs == 2


def test_in_a_backward_pass_it_names_the_forward_call() -> None:
    def step() -> None:
        x = torch.tensor([0.0, 4.0], requires_grad=True)
        y = x.sqrt()
        y.sum().backward()

    finding = found(step)
    assert finding.forward is not None
    operator, _, line = finding.forward
    lines, first = inspect.getsourcelines(step)
    assert operator == "sqrt"
    assert lines[line - first].strip() == "y = x.sqrt()"
    assert lines[finding.line - first].strip() == "y.sum().backward()"


def test_what_only_passes_them_on_is_not_reported() -> None:
    with sanitizer.enabled():
        x = torch.tensor([float("nan"), 1.0])
        y = torch.full((2,), float("inf"))
        assert torch.isnan((x * y).sum())
        mask = torch.tensor([True, False])
        z = torch.zeros(2).masked_fill(mask, float("-inf"))
        assert z.softmax(0).tolist() == [0.0, 1.0]


def test_writes_in_place_are_seen() -> None:
    x = torch.ones(3)
    assert found(lambda: x.div_(0)).operator == "div_"


def test_infinities_may_be_let_through() -> None:
    with sanitizer.enabled(inf=False):
        inf = torch.ones(2) / 0
    assert torch.isinf(inf).all()


def test_findings_can_be_warned_of_recorded_or_given_to_a_function() -> None:
    with sanitizer.enabled("warn"), pytest.warns(RuntimeWarning, match="'log'"):
        torch.zeros(1).log()
    with sanitizer.enabled("record") as layer:
        torch.zeros(1).log()
        torch.zeros(1).div(0)
        torch.zeros(1).log() + 1
    assert [each.operator for each in layer.findings] == ["log", "div", "log"]
    seen: list[sanitizer.Finding] = []
    with sanitizer.enabled(seen.append):
        torch.zeros(1).log()
    assert len(seen) == 1
    with pytest.raises(ValueError, match="raise, warn, record"):
        sanitizer.enabled("shout").__enter__()


def test_off_it_is_in_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[str] = []
    bind = sanitizer.Sanitizer.bind

    def noted(self: Any, op: Any, *args: Any) -> Any:
        bound.append(op.full_name)
        return bind(self, op, *args)

    monkeypatch.setattr(sanitizer.Sanitizer, "bind", noted)
    x = torch.ones(5, dtype=torch.float64)
    x * x
    assert not bound
    with sanitizer.enabled():
        x * x
    assert "mul" in bound
    bound.clear()
    x * x
    assert not bound


def test_a_model_trains_under_it() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten()
    )
    optimizer = torch.optim.Adam(model.parameters())
    with sanitizer.enabled():
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(2, 1, 5, 5)).pow(2).mean().backward()
            optimizer.step()


def program(tmp_path: Path, *words: str, **settings: str) -> Any:
    script = tmp_path / "script.py"
    script.write_text("import torch\nx = torch.zeros(2)\ny = 1 / x\nprint(y.sum())\n")
    # As an installed distribution, without installing one.
    info = tmp_path / "site" / "dispatchtorch_sanitizer-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dispatchtorch-sanitizer\nVersion: 0.1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[dispatchtorch]\nsanitizer = dispatchtorch_sanitizer:Plugin [api-1, extension]\n"
    )
    source = Path(sanitizer.__file__).parents[1]
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(map(str, (tmp_path / "site", source, before)))
    return subprocess.run(
        [sys.executable, "-m", "dispatchtorch", *words, str(script)],
        env={**os.environ, "PYTHONPATH": path, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_stops_at_the_first_one(tmp_path: Path) -> None:
    done = program(tmp_path, "sanitize")
    assert done.returncode != 0
    assert "made 2 Inf (of 2 elements)" in done.stderr
    assert "script.py:3" in done.stderr
    assert "y = 1 / x" in done.stderr


def test_the_environment_switches_it_on(tmp_path: Path) -> None:
    done = program(tmp_path, "run", DISPATCHTORCH_SANITIZER="warn")
    assert done.returncode == 0, done.stderr
    assert "made 2 Inf" in done.stderr
    assert "inf" in done.stdout

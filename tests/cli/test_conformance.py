"""The conformance kit: right devices pass, devices that are wrong on purpose don't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatchtorch import cli, device_layer
from dispatchtorch.backend import get_backend, register_backend
from dispatchtorch.plugins import manager
from dispatchtorch.testing.conformance import Kit, Report, Result, render, run
from dispatchtorch.testing.mirror import mirror_backend, primitives

QUICK = ["float32", "int64"]
ALTERED = dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]


@contextmanager
def device(
    name: str = "wrong", alter: ALTERED | None = None, without: str = ""
) -> Iterator[str]:
    """A device like cpu with primitives alone, some altered and some missing."""
    kernels = (primitives() | {"_view_dtype", *(alter or ())}) - set(without.split())
    backend = mirror_backend(name, kernels=kernels, alter=alter)
    handle = register_backend(backend)
    try:
        yield name
    finally:
        handle.remove()
        device_layer.set_fallback_policy(None)


def outcome(report: Report, subject: str, check: str) -> Result:
    return next(r for r in report.results if (r.subject, r.check) == (subject, check))


# Right devices.

SAFE = "^(add|mul|exp|sum|cat|matmul|sort|gather|Tensor.view|nn.functional.conv2d)$"


def test_a_device_with_primitives_alone_passes() -> None:
    with device("right") as name:
        report = run(name, SAFE, dtypes=QUICK)
    assert not report.failed, render(report)
    assert report.counts() == {"pass": len(report.results)}
    assert not report.fallbacks


@pytest.mark.slow
@pytest.mark.parametrize("check", Kit("loopback").checks())
def test_the_loopback_device_passes_each_check_of_a_device(check: str) -> None:
    result = Kit("loopback").check_device(check)
    assert result.outcome in ("pass", "not applicable"), result


def test_cpu_passes_the_checks_of_a_device() -> None:
    kit = Kit("cpu")
    results = [kit.check_device(name) for name in kit.checks("view|writ|seed|error")]
    assert not [r for r in results if r.failed]


# Devices that are wrong on purpose.


def test_wrong_values_are_caught_with_the_smallest_sample() -> None:
    with device(alter={"exp": lambda f: lambda x: f(x) * x.dtype.type(1.001)}) as name:
        report = run(name, "^(exp|sin)$", dtypes=["float32"])
    found = outcome(report, "exp", "float32")
    assert found.outcome == "fail"
    assert found.sample == "(<0-d float32>)"
    assert "expected" in found.detail
    assert outcome(report, "sin", "float32").outcome == "pass"


def test_a_wrong_dtype_is_caught() -> None:
    with device(alter={"lt": lambda f: lambda x, y: f(x, y).astype("uint8")}) as name:
        report = run(name, "^lt$", dtypes=["float32"])
    assert "dtype uint8, expected bool" in report.results[0].detail


def test_a_kernel_that_writes_to_its_operand_is_caught() -> None:
    def careless(native: Callable[..., Any]) -> Callable[..., Any]:
        def kernel(x: Any) -> Any:
            result = native(x)
            x[...] = result
            return result

        return kernel

    with device(alter={"sin": careless}) as name:
        report = run(name, "^sin$", dtypes=["float32"])
    assert report.results[0].detail == "changes one of its operands"


def test_a_result_that_aliases_its_operand_is_caught() -> None:
    def lazy(native: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: x if x.dtype.kind == "u" else native(x)

    with device(alter={"abs": lazy}) as name:
        report = run(name, "^abs$", dtypes=["uint8", "int64"])
    assert "shares memory with an operand" in outcome(report, "abs", "uint8").detail
    assert outcome(report, "abs", "int64").outcome == "pass"


def test_views_that_are_copies_are_caught() -> None:
    with device(alter={"as_strided": lambda f: lambda *args: f(*args).copy()}) as name:
        kit = Kit(name)
        assert kit.check_device("views share memory with their base").failed
        rows = {row.name: row for row, _ in kit.operators("^diagonal$")}
        result = kit.check_operator(rows["diagonal"], "float32")
    assert result.outcome == "fail"


def test_dropped_gradients_are_caught() -> None:
    def dropped(native: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: native(*args) * 0

    with device(alter={"gelu_backward": dropped}) as name:
        report = run(name, "^nn.functional.gelu$", dtypes=["float32"])
    assert report.results[0].outcome == "fail"
    assert report.results[0].detail.startswith("gradient 0: ")


def test_a_kernel_that_raises_is_caught() -> None:
    def broken(native: Callable[..., Any]) -> Callable[..., Any]:
        def kernel(*args: Any) -> Any:
            raise OSError("the board is gone")

        return kernel

    with device(alter={"sqrt": broken}) as name:
        report = run(name, "^sqrt$", dtypes=["float32"])
    assert "raises OSError: the board is gone" in report.results[0].detail


def test_kernels_that_share_scratch_memory_between_threads_are_caught() -> None:
    import time

    import numpy as np

    scratch: dict[Any, Any] = {}

    def shared(native: Callable[..., Any]) -> Callable[..., Any]:
        def kernel(x: Any) -> Any:
            place = scratch.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
            place[...] = native(x)
            time.sleep(1e-4)
            return place.copy()

        return kernel

    with device(alter={"tanh": shared}) as name:
        result = Kit(name).check_device("threads don't disturb each other")
    assert result.outcome == "fail"


# Devices that lack something.


def test_fallbacks_are_counted() -> None:
    with device(without="erf") as name:
        report = run(name, "^(erf|add)$", dtypes=["float32"])
    assert not report.failed
    assert outcome(report, "erf", "float32").outcome == "fallback"
    assert outcome(report, "add", "float32").outcome == "pass"
    calls, size = report.fallbacks["erf"]
    assert calls == outcome(report, "erf", "float32").fallbacks > 5
    assert size > 0


def test_where_falling_back_is_forbidden_the_operator_is_unsupported() -> None:
    with device(without="erf") as name:
        device_layer.set_fallback_policy("error")
        report = run(name, "^erf$", dtypes=["float32"])
    assert report.results[0].outcome == "unsupported"
    assert "@backend.kernel('erf')" in report.results[0].detail


def test_dtypes_that_the_device_hasnt_are_unsupported() -> None:
    import dispatchtorch as torch

    with device() as name:
        get_backend(name).dtypes = frozenset({torch.float32, torch.int64, torch.bool})
        report = run(name, "^neg$", dtypes=["float32", "float64"])
    assert [r.outcome for r in report.results] == ["pass", "unsupported"]


OUT_OF_MEMORY = "memory statistics and running out of memory"


@pytest.mark.parametrize("raises", [True, False])
def test_running_out_of_memory_is_tested_where_the_device_says_its_size(
    raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dispatchtorch as torch

    with device() as name:
        kit = Kit(name)
        assert kit.check_device(OUT_OF_MEMORY).outcome == "not applicable"
        backend = get_backend(name)
        plain = backend.empty

        def empty(shape: tuple[int, ...], dtype: Any, index: int) -> Any:
            if len(shape) == 1 and shape[0] * dtype.itemsize > 1 << 20:
                if raises:
                    raise torch.OutOfMemoryError("no megabyte is left")
                shape = (0,)
            return plain(shape, dtype, index)

        monkeypatch.setattr(backend, "memory_stats", lambda index: {"total": 1 << 20})
        monkeypatch.setattr(backend, "empty", empty)
        result = kit.check_device(OUT_OF_MEMORY)
    assert result.outcome == ("pass" if raises else "fail"), result


# What plugins expect.


class Plugin:
    def dispatchtorch_conformance_expectations(self, device: str) -> Any:
        if device != "wrong":
            return None
        return {
            "known_failures": {"exp": "an old chip", "log1p": "was wrong once"},
            "tolerances": {"cos:float32": (0.1, 0.1)},
        }


def test_a_plugins_expectations_count() -> None:
    def slightly(f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: f(x) * x.dtype.type(1.01)

    with (
        device(alter={"exp": slightly, "cos": slightly}) as name,
        manager.register(Plugin, name="expecting"),
    ):
        report = run(name, "^(exp|log1p|cos|tan)$", dtypes=["float32"])
    assert {r.subject: r.outcome for r in report.results} == {
        "cos": "pass",
        "exp": "known failure",
        "log1p": "unexpected pass",
        "tan": "fail",
    }
    assert "an old chip" in outcome(report, "exp", "float32").detail


# The command, the reports, pytest.


@pytest.mark.parametrize("form", ["md", "html", "json", "txt"])
def test_reports_say_what_fails(form: str, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / f"report.{form}"
    with device(alter={"exp": lambda f: lambda x: f(x) + 1}) as name:
        arguments = ["conformance", "--device", name, "--ops", "^(exp|cos)$"]
        code = cli.main([*arguments, "--dtypes", "float32", "--report", str(file)])
    assert code == 1
    text = file.read_text(encoding="utf-8")
    assert "exp" in text and "0-d float32" in text
    assert "FAILED: 2 checks" in capsys.readouterr().out
    if form == "json":
        found = json.loads(text)
        assert found["failed"] and found["counts"] == {"pass": 1, "fail": 1}
        assert {r["subject"] for r in found["results"]} == {"exp", "cos"}
    if form == "html":
        assert "&lt;0-d float32&gt;" in text and text.startswith("<!DOCTYPE html>")


def test_the_command_succeeds_where_all_is_well(capsys: Any) -> None:
    assert cli.main(["conformance", "--device", "loopback", "--ops", "^mul$"]) == 0
    assert "passed: 12 checks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ops", "nothing_of_the_kind"], "no operator's name matches"),
        (["--device", "warp"], "warp"),
        (["--device", "meta"], "no values to compare"),
        (["--dtypes", "float31"], "unknown dtype 'float31'"),
        (["--ops", "^mul$", "--report", "x.doc"], "'x.doc'"),
    ],
)
def test_mistakes_are_answered(arguments: list[str], words: str, capsys: Any) -> None:
    assert cli.main(["conformance", *arguments]) == 1
    assert words in capsys.readouterr().err


def _pytest(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A run of its own configuration, with the entry point's module as sole plugin."""
    (cwd / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def test_the_kit_runs_under_pytest(tmp_path: Path) -> None:
    done = _pytest(
        "-p",
        "dispatchtorch_pytest",
        "--pyargs",
        "dispatchtorch.testing",
        *("--device", "loopback", "--ops", "^(mul|neg)$", "--dtypes", "float32,bool"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conformance of 'loopback'" in done.stdout
    assert "3 passed, 1 skipped" in done.stdout


def test_other_pytest_runs_get_no_option_of_the_kit(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\ndef test_it(request):\n"
        "    assert request.config.getoption('--dtypes', None) is None\n"
        "    assert 'dispatchtorch' not in sys.modules\n"
    )
    done = _pytest("-p", "dispatchtorch_pytest", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


# Coverage.


def test_coverage_lists_the_primitives_of_the_programs(capsys: Any) -> None:
    assert cli.main(["coverage", "--programs"]) == 0
    out = capsys.readouterr().out
    counts = [int(line.split(": ")[1].split()[0]) for line in out.splitlines()[:3]]
    assert all(count <= 40 for count in counts), out
    assert counts[2] >= max(counts[:2])
    assert "bmm" in out.splitlines()[2] or "bmm" in out.splitlines()[0]


def test_coverage_says_what_trains_and_what_to_add_next(capsys: Any) -> None:
    with device("partial", without="erf scatter_add sort_") as name:
        assert cli.main(["coverage", "--device", name]) == 0
    out = capsys.readouterr().out
    assert "missing: erf, scatter_add, sort_" in out
    assert "trains a CNN: with 1 of" in out and "for lack of scatter_add" in out
    assert "for lack of erf, scatter_add" in out
    assert "fell back: erf, " in out
    first = next(line for line in out.splitlines() if line.startswith("  1. "))
    assert "sets" in first and "free" in first


def test_coverage_of_a_complete_device_has_nothing_to_add(capsys: Any) -> None:
    assert cli.main(["coverage", "--device", "loopback"]) == 0
    out = capsys.readouterr().out
    assert "trains a CNN: yes" in out and "trains a transformer: yes" in out
    assert "implement next" not in out and "fell back" not in out

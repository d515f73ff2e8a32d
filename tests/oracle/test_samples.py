"""Every operator of PyTorch's own sample database behaves here as it does there.

A few samples an operator, in one dtype of each kind; ``python -m tests.oracle.samples``
runs them all. What is known to differ stands in ``differences.txt`` with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.oracle

DIFFERENCES = Path(__file__).with_name("differences.txt")
DTYPES = ["float64", "int64"]
LIMIT = 2


def known() -> dict[str, str]:
    lines = DIFFERENCES.read_text(encoding="utf-8").splitlines()
    rows = [line.partition(": ") for line in lines if line and line[0] != "#"]
    return {name: reason for name, _, reason in rows}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    from tests.oracle.samples import full_name, infos

    if "info" in metafunc.fixturenames:
        rows = []
        counts: dict[str, int] = {}
        for info in infos():
            name = full_name(info)
            counts[name] = counts.get(name, 0) + 1
            mark = f"#{counts[name]}" if counts[name] > 1 else ""
            rows.append(pytest.param(info, id=name + mark))
        metafunc.parametrize("info", rows)


def test_samples(info: Any) -> None:
    from tests.oracle.samples import full_name, problems

    reason = known().get(full_name(info))
    found = list(problems(info, DTYPES, LIMIT, errors=False))
    if found and reason is not None:
        pytest.xfail(reason)
    assert not found, "\n".join(found)

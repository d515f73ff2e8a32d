"""Modules on PyTorch's own inputs; see ``modules.py``."""

from __future__ import annotations

import re

import pytest

oracle = pytest.importorskip("torch")
pytest.importorskip("torch.testing._internal.common_modules")

from tests.oracle import modules  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("info", modules.infos(), ids=lambda info: info.name)
def test_module_does_as_pytorchs(info: object) -> None:
    lines = list(modules.problems(info, ["float64"]))
    assert not lines, "\n".join(lines)


def test_runner_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatchtorch import nn

    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: -x)
    info = next(each for each in modules.infos() if each.name == "nn.ReLU")
    assert any(re.search("result", p) for p in modules.problems(info, ["float64"]))

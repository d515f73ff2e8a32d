"""Optimizers with PyTorch's own options; see ``optimizers.py``."""

from __future__ import annotations

import pytest

oracle = pytest.importorskip("torch")
pytest.importorskip("torch.testing._internal.common_optimizers")

from tests.oracle import optimizers  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("info", optimizers.infos(), ids=lambda info: info.name)
def test_optimizer_does_as_pytorchs(info: object) -> None:
    lines = list(optimizers.problems(info))
    assert not lines, "\n".join(lines)


def test_runner_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatchtorch import optim

    monkeypatch.setattr(optim.SGD, "step", lambda self, closure=None: closure())
    info = next(each for each in optimizers.infos() if each.name == "SGD")
    assert any("parameter 0" in p for p in optimizers.problems(info))

"""Random configurations of every module; see ``configurations.py``."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.oracle import configurations  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", configurations.FAMILIES)
def test_configurations_do_as_pytorchs(name: str) -> None:
    found = [configurations.problem(name, seed) for seed in range(4)]
    assert not any(found), "\n".join(filter(None, found))


def test_runner_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatchtorch import nn

    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: -x)
    assert any("result" in configurations.problem("ReLU", seed) for seed in range(9))


def test_every_module_has_a_family() -> None:
    from dispatchtorch import nn

    others = """Module Container Sequential ModuleList ModuleDict ParameterList
        ParameterDict DataParallel RNNBase RNNCellBase""".split()
    classes = {
        name
        for name, kind in vars(nn).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    assert classes - set(others) <= set(configurations.FAMILIES)

"""The device does what ``cpu`` does: a part of the conformance kit, and what is our own.

The whole kit: ``pytest --pyargs dispatchtorch.testing --device ccpu``.
"""

from __future__ import annotations

import pytest

import dispatchtorch as torch
from dispatchtorch.backend import get_backend
from dispatchtorch.testing.conformance import run

DEVICE = "ccpu"
if not get_backend(DEVICE).is_available():
    reason = get_backend(DEVICE).unavailable_reason()
    pytest.skip(f"no {DEVICE}: {reason}", allow_module_level=True)


def test_values_come_back_from_the_device() -> None:
    values = [[1.0, 2.0], [3.0, 4.0]]
    assert torch.tensor(values, device=DEVICE).tolist() == values


def test_a_view_shares_the_memory_of_its_base() -> None:
    base = torch.zeros(2, 3, device=DEVICE)
    base.t()[1] = 7
    assert base.tolist() == [[0.0, 7.0, 0.0], [0.0, 7.0, 0.0]]


def test_gradients_are_computed_on_the_device() -> None:
    x = torch.ones(3, device=DEVICE, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.device.type == DEVICE
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "operators", ["^neg$", "^add$", "^sum$", "^matmul$", "^Tensor.view"]
)
def test_operators_conform(operators: str) -> None:
    report = run(DEVICE, operators, dtypes=["float32", "int64"])
    assert [str(each) for each in report.results if each.failed] == []

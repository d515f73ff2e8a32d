"""The tests that a device's package begins with.

    from dispatchtorch.testing.device_tests import DeviceTests

    class TestNpu(DeviceTests):
        device = "npu"

They are skipped where the device isn't available. A package adds its own to the class, or
beside it; the whole conformance kit is ``pytest --pyargs dispatchtorch.testing``.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

import dispatchtorch as torch
from dispatchtorch.backend import get_backend
from dispatchtorch.testing.conformance import run

__all__ = ["DeviceTests"]


class DeviceTests:
    """Memory, views, gradients, and a part of the conformance kit."""

    #: The device type to test.
    device: ClassVar[str]
    #: The dtypes that operators are compared with.
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "int64")

    @classmethod
    def setup_class(cls) -> None:
        backend = get_backend(cls.device)
        if not backend.is_available():
            pytest.skip(f"no {cls.device}: {backend.unavailable_reason()}")

    def test_values_come_back_from_the_device(self) -> None:
        values = [[1.0, 2.0], [3.0, 4.0]]
        assert torch.tensor(values, device=self.device).tolist() == values

    def test_a_view_shares_the_memory_of_its_base(self) -> None:
        base = torch.zeros(2, 3, device=self.device)
        base.t()[1] = 7
        assert base.tolist() == [[0.0, 7.0, 0.0], [0.0, 7.0, 0.0]]

    def test_gradients_are_computed_on_the_device(self) -> None:
        x = torch.ones(3, device=self.device, requires_grad=True)
        (x * x).sum().backward()
        assert x.grad is not None
        assert x.grad.device.type == self.device
        assert x.grad.tolist() == [2.0, 2.0, 2.0]

    def test_a_model_moves_to_the_device(self) -> None:
        model, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
        expected = model(x)
        there = model.to(self.device)(x.to(self.device))
        assert there.device.type == self.device
        torch.testing.assert_close(there.cpu(), expected)

    @pytest.mark.parametrize(
        "operators", ["^neg$", "^add$", "^sum$", "^matmul$", "^Tensor.view"]
    )
    def test_operators_conform(self, operators: str) -> None:
        report = run(self.device, operators, dtypes=self.dtypes)
        assert report.results
        assert [str(each) for each in report.results if each.failed] == []

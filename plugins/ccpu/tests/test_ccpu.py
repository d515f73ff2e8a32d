"""The device does what ``cpu`` does: a part of the conformance kit, and what is our own.

The whole kit: ``pytest --pyargs dispatchtorch.testing --device ccpu``.
"""

from __future__ import annotations

import dispatchtorch as torch
from dispatchtorch.testing.device_tests import DeviceTests


class TestCcpu(DeviceTests):
    device = "ccpu"

    def test_a_model_moves_to_the_device_and_back(self) -> None:
        model = torch.nn.Linear(3, 2)
        x = torch.ones(4, 3)
        expected = model(x).tolist()
        there = model.to(self.device)(x.to(self.device))
        torch.testing.assert_close(there.cpu(), torch.tensor(expected))

"""What the asv suites share: parameters by device, and the skipping of absent ones."""

from __future__ import annotations

import os
from typing import Any

import dispatchtorch as torch

from .cases import CASES, Case, synchronize

__all__ = ["DEVICES", "CaseSuite"]

DEVICES = os.environ.get(
    "DISPATCHTORCH_BENCH_DEVICES", "cpu,loopback,cuda,opencl"
).split(",")


def available(device: str) -> bool:
    """Whether a device's plugin is installed and the device usable."""
    try:
        return bool(torch.empty(1, device=device) is not None)
    except RuntimeError:
        return False


class CaseSuite:
    """A suite over the cases of one group, parameterised by case and device."""

    group = ""
    params: tuple[list[str], list[str]]
    param_names = ["case", "device"]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = [c.name for c in CASES if c.group == cls.group]
        cls.params = (names, list(DEVICES))

    def setup(self, name: str, device: str) -> None:
        if not available(device):
            raise NotImplementedError(f"device {device} isn't available")
        found: Case = next(c for c in CASES if c.group == self.group and c.name == name)
        self.run = found.make(torch, device)
        self.run()
        synchronize(torch, device)

    def time_case(self, name: str, device: str) -> None:
        self.run()
        synchronize(torch, device)

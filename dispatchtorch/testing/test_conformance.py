"""The conformance kit as tests: ``pytest --pyargs dispatchtorch.testing --device D``."""

from __future__ import annotations

from typing import Any

from dispatchtorch.testing.pytest_plugin import settle


def test_operator(kit: Any, operator_and_dtype: Any) -> None:
    """An operator and dtype do on the device what they do on cpu."""
    settle(kit.check_operator(*operator_and_dtype))


def test_device(kit: Any, device_check: str) -> None:
    """What a device has to do beside operators."""
    settle(kit.check_device(device_check))

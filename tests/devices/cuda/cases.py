"""What the tests on a GPU share: whether there is one, and comparisons with ``cpu``."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.backend import get_backend

__all__ = ["D", "compare", "needs_cuda", "why_not"]

D = "cuda"


def why_not() -> str:
    """Why tests on the device can't run; empty where they can."""
    try:
        backend = get_backend(D)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return "" if backend.is_available() else backend.unavailable_reason()


def needs_cuda(function: Any) -> Any:
    """Marks tests for the GPU, and skips them where there is none."""
    reason = why_not()
    skip = pytest.mark.skipif(bool(reason), reason=reason or "there is a GPU")
    return skip(pytest.mark.cuda(function))


def compare(function: Any, *args: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """The function gives on the device what it gives on ``cpu``."""
    there = [a.to(D) if isinstance(a, torch.Tensor) else a for a in args]
    wanted, found = function(*args), function(*there)
    if not isinstance(wanted, (tuple, list)):
        wanted, found = [wanted], [found]
    for a, b in zip(wanted, found, strict=True):
        assert b.device.type == D
        assert a.dtype is b.dtype
        assert a.shape == b.shape
        torch.testing.assert_close(b.cpu(), a, rtol=rtol, atol=atol, equal_nan=True)

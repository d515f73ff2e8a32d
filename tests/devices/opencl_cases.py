"""What the OpenCL tests share: the skip, and comparison with ``cpu``."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch

D = "opencl"


def available() -> bool:
    """Whether the plugin, pyopencl and a device are there."""
    try:
        return bool(torch.opencl.is_available())
    except (AttributeError, RuntimeError):
        return False


needs_opencl = pytest.mark.skipif(not available(), reason="no OpenCL device")


def moved(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to(D).requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(map(moved, value))
    return value


def leaves(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for each in value for leaf in leaves(each)]


def compare(function: Any, *args: Any, **tolerances: float) -> None:
    """The same call on both devices gives the same values, dtypes and shapes."""
    expected = leaves(function(*args))
    found = leaves(function(*moved(args)))
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.device.type == D
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine.cpu(), theirs, equal_nan=True, **tolerances)


def with_gradients(function: Any) -> Any:
    """A function that also gives the gradients of the squares' sum."""

    def both(*args: Any) -> Any:
        own = [a.clone().requires_grad_() if _real(a) else a for a in args]
        made = function(*own)
        total = sum((m * m).sum() for m in leaves(made) if _real(m))
        total.backward()
        return [m.detach() for m in leaves(made)], [a.grad for a in own if _real(a)]

    return both


def _real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point

"""Lines of Python that must come to the same under PyTorch and under dispatchtorch.

A line is statements and a last expression, separated by semicolons. It sees ``t`` (the
module), ``L`` (``t.tensor``), ``np`` and the three tensors of :func:`names`.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

import dispatchtorch as dt

__all__ = ["agree", "outcome"]


def names(module: Any) -> dict[str, Any]:
    return {
        "t": module,
        "L": module.tensor,
        "np": np,
        "x": module.arange(15.0).reshape(3, 5).clone(),
        "y": module.arange(24).reshape(2, 3, 4).clone(),
        "g": module.arange(1.0, 7.0).reshape(2, 3).clone().requires_grad_(),
    }


def outcome(module: Any, line: str) -> str:
    """What a line gives, or raises, as text."""
    scope = names(module)
    *statements, last = line.split("; ")
    module.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in statements:
                exec(each, scope)
            return shown(eval(last, scope))
    except Exception as error:
        text = str(error).split("\nException raised from")[0].strip()
        return f"{type(error).__name__}: {text}"


def shown(value: Any) -> str:
    if hasattr(value, "grad_fn") and hasattr(value, "stride"):
        node = value.grad_fn.name() if value.grad_fn is not None else None
        # Where a dim has one element, its stride says nothing.
        pairs = zip(value.shape, value.stride(), strict=True)
        steps = [step for size, step in pairs if size > 1]
        return (
            f"{value!r} {tuple(value.shape)} {value.dtype} {value.requires_grad} {node} "
            f"view={value._base is not None} " + str(steps if value.numel() > 1 else "")
        )
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} [{', '.join(map(shown, value))}]"
    return re.sub(r" (object )?at 0x[0-9a-f]+", "", str(value))


def agree(line: str) -> None:
    """AssertionError where PyTorch and dispatchtorch come to different ends."""
    import torch

    assert outcome(dt, line) == outcome(torch, line)

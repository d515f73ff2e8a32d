"""Operators over lists do to each tensor what the operator of one does."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from tests.ops.oracle import compare, spec

CASES = [
    "add(l, 1)", "add(l, k)", "add(l, k, alpha=2)", "add(l, [1, 2])", "add(l, m.tensor(2.))",
    "sub(l, 1.5)", "mul(l, k)", "mul(l, m.tensor(3.))", "div(l, [2., 4.])", "sqrt(l)",
    "clamp_min(l, 1.5)", "clamp_max(l, k)", "maximum(l, [1., 2.])", "minimum(l, k)",
    "pow(l, 2)", "pow(l, k)", "pow(2, l)", "lerp(l, k, .25)", "lerp(l, k, k)",
    "lerp(l, k, [.1, .2])", "addcmul(l, k, k, value=.5)", "addcdiv(l, k, k, [1, 2])",
    "addcdiv(l, k, k, m.tensor([1., 2.]))", "norm(l)", "norm(l, 1)", "neg(l)", "erf(l)",
    "add(l, k[:1])", "max(l)", "reciprocal(l)", "sign(l)", "abs(l)",
]  # fmt: skip
INPLACE = [
    "add_(l, k, alpha=2)", "mul_(l, .5)", "addcmul_(l, k, k, value=.5)", "lerp_(l, k, .5)",
    "addcdiv_(l, k, k, [1, 2])", "sqrt_(l)", "zero_(l)", "copy_(l, k)", "maximum_(l, k)",
    "div_(l, [2, 4])", "pow_(l, 2)", "neg_(l)",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("text", CASES + INPLACE)
def test_as_pytorch(text: str) -> None:
    def run(m: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        made = eval(f"m._foreach_{text}", {"m": m, "l": [a, b], "k": [c, d]})
        return type(made).__name__, made

    grad = text in CASES and "tensor([1" not in text  # PyTorch has no derivative there
    values = [1.0, 2.0], [3.0, 4.0, 5.0], [0.5, 4.0], [2.0, 3.0, 7.0]
    compare(run, *[spec(v, "float64", grad) for v in values])


@pytest.mark.parametrize("text", INPLACE)
def test_lists_are_written_in_place(text: str, device: str) -> None:
    first = torch.ones(2).to(device)
    tensors = [first, torch.ones(3).to(device)]
    others = [torch.full((2,), 3.0).to(device), torch.full((3,), 4.0).to(device)]
    before = first._version
    made = eval(f"torch._foreach_{text}", {"torch": torch, "l": tensors, "k": others})
    assert made[0] is first
    assert first._version == before + 1

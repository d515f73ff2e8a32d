"""Reductions that leave out what a mask marks, as PyTorch's ``torch.masked``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

r = np.random.default_rng(0)
MASKS = [None, r.random((3, 4)) > 0.4, r.random(4) > 0.5, np.zeros((3, 1), bool)]
REDUCTIONS = [
    "sum(x, None, mask=k)", "sum(x, 0, mask=k)", "sum(x, (0, 1), keepdim=True, mask=k)",
    "prod(x, 1, mask=k)", "prod(x, mask=k)", "amax(x, 1, mask=k)", "amin(x, mask=k)",
    "argmax(x, 1, mask=k)", "argmin(x, mask=k)", "mean(x, 0, mask=k)", "mean(x, mask=k)",
    "median(x, 1, mask=k)", "logsumexp(x, 1, mask=k)", "norm(x, 2, 1, mask=k)",
    "norm(x, float('inf'), 0, mask=k)", "norm(x, -1., 0, mask=k)", "var(x, 1, mask=k)",
    "var(x, 0, unbiased=False, mask=k)", "std(x, None, correction=2, mask=k)",
    "cumsum(x, 1, mask=k)", "cumprod(x, 0, mask=k)", "softmax(x, 1, mask=k)",
    "log_softmax(x, 0, mask=k)", "softmin(x, 1, mask=k)", "normalize(x, 2., 1, mask=k)",
    "logaddexp(x, x + 1, input_mask=k)", "sum(x, (0, 0), mask=k)", "sum(x, 5, mask=k)",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("text", REDUCTIONS)
def test_masked_as_pytorch(text: str) -> None:
    pytest.importorskip("torch")
    for mask in MASKS:

        def run(m: Any, x: Any, k: Any = None) -> Any:
            return eval(f"m.masked.{text}", {"m": m, "x": x, "k": k})

        given = [spec(r.standard_normal((3, 4)), "float64", True)]
        if mask is not None:
            given.append(spec(mask))
        compare(run, *given)


@pytest.mark.oracle
def test_whole_numbers_as_pytorch() -> None:
    pytest.importorskip("torch")
    x = spec(r.integers(-5, 5, (3, 4)))
    k = spec(r.random((3, 4)) > 0.5)
    for name in ("sum", "prod", "amax", "amin", "cumsum"):
        compare(lambda m, x, k, n=name: getattr(m.masked, n)(x, 0, mask=k), x, k)


def test_what_is_masked_out_is_left_out(device: str) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).to(device)
    mask = torch.tensor([True, False]).to(device)
    assert torch.masked.sum(x, 1, mask=mask).tolist() == [1.0, 3.0]
    assert torch.masked.mean(x, mask=mask).item() == 2.0


def test_a_mask_of_more_dims_is_refused() -> None:
    with pytest.raises(IndexError, match="expected broadcastable mask"):
        torch.masked.sum(torch.ones(2), mask=torch.ones(2, 2))

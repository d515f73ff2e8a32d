"""Equal elements come in the order in which PyTorch's algorithms leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .oracle import compare, spec

pytestmark = pytest.mark.oracle
oracle = pytest.importorskip("torch")

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "sort": lambda m, x: m.sort(x),
    "sort descending": lambda m, x: m.sort(x, descending=True),
    "sort a stable way": lambda m, x: m.sort(x, stable=True),
    "sort columns": lambda m, x: m.sort(x, 0),
    "argsort": lambda m, x: m.argsort(x),
    "topk of few": lambda m, x: m.topk(x, 2),
    "topk of many": lambda m, x: m.topk(x, 30),
    "topk of the smallest": lambda m, x: m.topk(x, 7, largest=False),
    "topk, unsorted": lambda m, x: m.topk(x, 30, sorted=False),
    "kthvalue": lambda m, x: m.kthvalue(x, 11),
    "mode": lambda m, x: m.mode(x),
    "median": lambda m, x: m.median(x, -1),
}
DTYPES = ["int64", "float32", "bfloat16"]


def _repeated(seed: int, dtype: str, levels: int) -> Any:
    values = np.random.default_rng(seed).integers(0, levels, (3, 200))
    return spec(values, dtype)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("levels", [2, 9, 100])
def test_order_of_equal_elements(call: str, dtype: str, levels: int) -> None:
    compare(CALLS[call], _repeated(levels, dtype, levels))


@pytest.mark.parametrize("call", [c for c in CALLS if c != "mode"])
def test_equal_elements_among_nan_and_zeros_of_both_signs(call: str) -> None:
    values = np.random.default_rng(3).integers(-2, 3, (4, 64)).astype("float64")
    values[values == 2] = np.nan
    values[:, ::3] *= -1
    compare(CALLS[call], spec(values))


def test_rows_that_fall_back_to_a_heap() -> None:
    # An organ pipe of pairs: the median of three is a poor pivot again and again.
    half = np.repeat(np.arange(1024), 2)
    values = np.concatenate([half, half[::-1]]).astype("float64")
    for call in ("sort", "topk of few", "kthvalue"):
        compare(CALLS[call], spec(values))
    compare(lambda m, x: m.topk(x, 100), spec(values))


def test_gradients_follow_the_order() -> None:
    values = np.random.default_rng(5).integers(0, 4, 50).astype("float64")
    compare(lambda m, x: m.msort(x), spec(values, grad=True))
    compare(lambda m, x: m.topk(x, 20)[0], spec(values, grad=True))

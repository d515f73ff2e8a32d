"""What is said of calls whose arguments fit no signature."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch

CALLS = [
    "m.exp(3)", "m.exp('a')", "m.cumsum(3, 0)", "m.add(x, 'a')", "m.mul(x, [1])",
    "x.add('a')", "m.maximum(x, 1)", "m.dist(x, 1)", "m.addcmul(x, 1, 2)",
    "m.isclose(x, 1)", "m.heaviside(x, 1)", "m.atan2(1, x)",
    "m.eq(1, x)", "m.eq(x, 'a')", "x.eq('a')", "m.lt(1, x)", "m.copysign(1, x)",
    "m.pow(x, 's')", "m.pow(2, 2)", "x.pow('a')", "m.xlogy(1, 1)", "m.xlogy(x, 'a')",
    "m.float_power(1, 1)", "m.bitwise_and(1, 1)", "m.bitwise_and(x, 'a')",
    "m.remainder(1, 1)", "m.rsub(1, x)", "m.floor_divide(x, 'a')",
    "m.div(x, 'a')", "x.div('a')", "x.div('a', rounding_mode='floor')",
    "m.max(1, x)", "m.max(x, 1.5)", "x.sum('a')", "m.clamp(1, 2)", "x.clamp('a')",
    "x.clamp(min='a')", "m.lerp(x, x, 'a')", "m.lerp(x, 2, 3)", "m.round(x, decimals=1.5)",
    "m.sort(x, 'a')", "x.sort(1.5)", "m.quantile(x, 'a')", "m.where(x, x)",
    "m.where(1, 2, 3)", "m.special.zeta(1, 1)", "m.special.legendre_polynomial_p(1, 1)",
]  # fmt: skip


def outcome(m: Any, text: str) -> Any:
    try:
        return str(eval(text, {"m": m, "x": m.tensor([1.0, 2.0])}))
    except Exception as error:
        return type(error).__name__, str(error).partition("\nException")[0]


@pytest.mark.oracle
@pytest.mark.parametrize("text", CALLS)
def test_wrong_arguments_as_pytorch(text: str) -> None:
    oracle = pytest.importorskip("torch")
    assert outcome(torch, text) == outcome(oracle, text)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "text",
    ["m.add(1, x)", "m.sub(1, x)", "m.div(1, x)", "m.mul(2, 3)", "m.add(1, 2.5)",
     "m.floor_divide(5, x)", "m.remainder(5, x)", "m.bitwise_and(5, x.long())",
     "m.bitwise_left_shift(1, x.long())"],
)  # fmt: skip
def test_numbers_come_first_as_in_pytorch(text: str) -> None:
    oracle = pytest.importorskip("torch")
    assert outcome(torch, text) == outcome(oracle, text)

"""The softmax family against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

NAMES = ["softmax", "log_softmax"]
_RNG = np.random.default_rng(1)
X = _RNG.normal(size=(2, 3, 4))
INF = float("inf")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3, 3])
def test_dims(name: str, dim: int, device: str) -> None:
    compare(
        lambda t, x: getattr(t, name)(x, dim), spec(X, "float32", grad=True),
        device=device, gradgrad=True, grad_fn=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float64", "int64", "bool", "complex64"]
)
@pytest.mark.parametrize("dim", [0, -1])
def test_dtypes(name: str, dtype: str, dim: int, device: str) -> None:
    grad = "float" in dtype
    compare(
        lambda t, x: getattr(t, name)(x, dim), spec(X, dtype, grad=grad), device=device
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float64", "float16", "float32"])
def test_dtype_argument(name: str, dtype: str, device: str) -> None:
    loose = 5e-3 if dtype == "float16" else None
    compare(
        lambda t, x: getattr(x, name)(-1, dtype=getattr(t, dtype)),
        spec(X, "float32", grad=True), device=device, rtol=loose, atol=loose,
    )  # fmt: skip
    compare(
        lambda t, x: getattr(t, name)(x, dim=0, dtype=getattr(t, dtype)),
        spec(np.arange(4)), device=device,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str, device: str) -> None:
    run = lambda t, x: getattr(t, name)(x, -1)  # noqa: E731
    compare(run, spec(2.0, "float32", grad=True), device=device)
    compare(lambda t, x: getattr(t, name)(x, 1), spec(2.0), device=device)
    for shape in ((0,), (3, 0), (0, 3)):
        for dim in range(len(shape)):
            compare(
                lambda t, x, dim=dim: getattr(t, name)(x, dim),
                spec(np.ones(shape), "float32"), device=device,
            )  # fmt: skip
    compare(
        run, spec(X, "float32", grad=True, layout=lambda t: t.transpose(0, 2)),
        device=device, strides=device == "cpu",
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_infinite_values(name: str, device: str) -> None:
    rows = [[-INF, -INF], [INF, 1.0], [-INF, 1.0], [1e4, -1e4], [float("nan"), 0.0]]
    compare(lambda t, x: getattr(t, name)(x, 1), spec(rows, "float32"), device=device)


@pytest.mark.parametrize("name", NAMES)
def test_half_to_float_is_refused(name: str) -> None:
    compare(lambda t, x: getattr(t, f"_{name}")(x, 0, True), spec(X, "float16"))


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivative(name: str, device: str) -> None:
    x = dt.tensor(X.tolist(), dtype=dt.float64, device=device, requires_grad=True)
    assert gradcheck(lambda t: getattr(dt, name)(t, 1), (x,))
    assert gradgradcheck(lambda t: getattr(dt, name)(t, 1), (x,))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_functional_forms(name: str, device: str) -> None:
    for size in ((3,), (2, 3), (2, 3, 4), (2, 3, 2, 2)):
        x = spec(_RNG.normal(size=size), "float32", grad=True)
        compare(lambda t, x: getattr(t.nn.functional, name)(x), x, device=device)
        compare(lambda t, x: getattr(t.nn.functional, name)(x, 0), x, device=device)
    with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name}"):
        getattr(dt.nn.functional, name)(dt.ones(2))


def test_safe_softmax_gives_zeros_where_nothing_may_be_seen(device: str) -> None:
    rows = [[-INF, -INF], [0.5, 1.0]]
    compare(
        lambda t, x: t._safe_softmax(x, -1), spec(rows, "float32", grad=True),
        device=device,
    )  # fmt: skip


def test_results_are_row_major() -> None:
    def run(t: Any, x: Any) -> Any:
        return t.softmax(x.contiguous(memory_format=t.channels_last), 1)

    compare(run, spec(_RNG.normal(size=(2, 3, 4, 5)), "float32", grad=True))

"""Dropout: the oracle's numbers from the oracle's seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(6)
X = _RNG.normal(size=(4, 6, 3, 2))
FUNCTIONS = ["dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"]


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def _seeded(call: Any) -> Any:
    def run(t: Any, x: Any) -> Any:
        t.manual_seed(9)
        return call(t, x)

    return run


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operators(name: str, p: float, dtype: str) -> None:
    run = _seeded(lambda t, x: getattr(t, name)(x, p, True))
    compare(run, g(X, dtype), grad_fn=True)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_inplace(name: str, p: float) -> None:
    def call(t: Any, x: Any) -> Any:
        y = x.clone()
        assert getattr(t, f"{name}_")(y, p, True) is y
        return y

    compare(_seeded(call), g(X))


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "feature_alpha_dropout"])
@pytest.mark.parametrize("p", [0.3, 1.5, -0.1])
@pytest.mark.parametrize("inplace", [False, True])
def test_functions(name: str, p: float, inplace: bool) -> None:
    def call(t: Any, x: Any) -> Any:
        return getattr(t.nn.functional, name)(x.clone(), p, True, inplace)

    compare(_seeded(call), g(X))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("inplace", [False, True])
def test_channels(dims: int, rank: int, inplace: bool) -> None:
    def call(t: Any, x: Any) -> Any:
        return getattr(t.nn.functional, f"dropout{dims}d")(
            x.clone(), 0.4, True, inplace
        )

    compare(_seeded(call), g(_RNG.normal(size=(2, 3, 2, 2, 2)[:rank])))


@pytest.mark.parametrize(
    ("dims", "rank", "text"),
    [(2, 3, "assuming that channel-wise 1D"), (2, 5, "which is deprecated"),
     (3, 3, "which is deprecated")],
)  # fmt: skip
def test_doubtful_ranks_warn(dims: int, rank: int, text: str) -> None:
    with pytest.warns(UserWarning, match=text):
        getattr(F, f"dropout{dims}d")(dt.ones(*[2] * rank))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors(name: str) -> None:
    compare(lambda t, x: getattr(t, name)(x, 1.5, True), g(X))
    if "feature" in name:
        compare(lambda t, x: getattr(t, name)(x, 0.5, True), g(X[0, 0, 0]))


def test_integers_are_refused() -> None:
    compare(lambda t, x: t.dropout(x, 0.5, True), spec(np.ones(3), "int64"))


def test_evaluation_gives_the_input_itself(device: str) -> None:
    x = dt.ones(3, 4, device=device, requires_grad=True)
    for name in FUNCTIONS:
        assert getattr(dt, name)(x, 0.5, False) is x
        assert getattr(dt, name)(x, 0.0, True) is x
    assert F.dropout(x, training=False) is x


def test_expected_value_stays(device: str) -> None:
    x = dt.ones(20000, device=device)
    made = F.dropout(x, 0.25)
    assert abs(made.mean().item() - 1) < 0.03
    kept = made[made != 0]
    assert kept.numel() and (kept == kept[0]).all()


def test_native_dropout() -> None:
    for train in (True, None, False):
        run = _seeded(lambda t, x, train=train: t.native_dropout(x, 0.4, train))
        compare(run, g(X))

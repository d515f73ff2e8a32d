"""Activation functions against the oracle: values, gradients, dtypes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(4, 6)) * 2
SPECIAL = [
    float("nan"),
    float("inf"),
    -0.0,
    0.0,
    30.0,
    -30.0,
    3.0,
    -3.0,
    0.5,
    -0.5,
    6.0,
]


def _functional(name: str, *args: Any, **kwargs: Any) -> Any:
    return lambda t, x: getattr(t.nn.functional, name)(x, *args, **kwargs)


# Name, and the function of (module, input).
CASES = {
    "gelu": _functional("gelu"),
    "gelu_tanh": _functional("gelu", approximate="tanh"),
    "silu": _functional("silu"),
    "mish": _functional("mish"),
    "elu": _functional("elu"),
    "elu_alpha": _functional("elu", alpha=0.3),
    "selu": _functional("selu"),
    "celu": _functional("celu"),
    "celu_alpha": _functional("celu", alpha=0.7),
    "relu": _functional("relu"),
    "leaky_relu": _functional("leaky_relu"),
    "leaky_relu_slope": _functional("leaky_relu", 0.3),
    "rrelu": _functional("rrelu"),
    "hardtanh": _functional("hardtanh"),
    "hardtanh_range": _functional("hardtanh", -0.4, 1.7),
    "relu6": _functional("relu6"),
    "hardsigmoid": _functional("hardsigmoid"),
    "hardswish": _functional("hardswish"),
    "hardshrink": _functional("hardshrink"),
    "hardshrink_lambda": _functional("hardshrink", 1.1),
    "softshrink": _functional("softshrink"),
    "softshrink_lambda": _functional("softshrink", 1.1),
    "tanhshrink": _functional("tanhshrink"),
    "softplus": _functional("softplus"),
    "softplus_beta": _functional("softplus", beta=2.5, threshold=3),
    "softsign": _functional("softsign"),
    "logsigmoid": _functional("logsigmoid"),
    "threshold": _functional("threshold", 0.4, 2.5),
    "glu": _functional("glu"),
    "glu_first": _functional("glu", 0),
    "sigmoid": _functional("sigmoid"),
    "tanh": _functional("tanh"),
}
# In-place forms, whose node names and formulas are their own.
INPLACE = [
    "elu", "selu", "celu", "silu", "mish", "relu", "relu6", "leaky_relu", "hardtanh",
    "hardsigmoid", "hardswish", "rrelu",
]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, device: str) -> None:
    # PyTorch has no second derivative of hardsigmoid; we have one.
    again = name != "hardsigmoid"
    compare(CASES[name], spec(X, "float32", grad=True), device=device, gradgrad=again)


@pytest.mark.parametrize(
    "name", [n for n in CASES if n not in ("tanhshrink", "softsign")]
)
def test_node_name(name: str) -> None:
    compare(CASES[name], spec(X, "float32", grad=True), grad=False, grad_fn=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats(name: str, dtype: str, device: str) -> None:
    compare(CASES[name], spec(X, dtype, grad=True), device=device)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "uint8"])
def test_dtypes_that_are_refused_or_not(name: str, dtype: str, device: str) -> None:
    # The messages of operators that belong to other families aren't this file's.
    message = name not in ("tanhshrink", "softsign", "relu", "sigmoid", "tanh")
    compare(CASES[name], spec(np.ones((2, 4)), dtype), device=device, message=message)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("glu", "glu_first")])
def test_shapes(name: str, device: str) -> None:
    run = CASES[name]
    compare(run, spec(0.7, "float32", grad=True), device=device)
    compare(run, spec(np.ones((0, 3)), "float32"), device=device)
    compare(
        run, spec(X, "float32", grad=True, layout=lambda t: t.t()), device=device,
        strides=device == "cpu",
    )  # fmt: skip
    compare(run, spec([[0.7], [-0.3]], layout=lambda t: t.expand(2, 3)), device=device)


@pytest.mark.parametrize(
    "name", [n for n in CASES if n not in ("glu", "glu_first", "gelu", "gelu_tanh")]
)
def test_special_values(name: str, device: str) -> None:
    compare(CASES[name], spec(SPECIAL, "float64"), device=device)


@pytest.mark.parametrize("name", INPLACE)
def test_inplace(name: str, device: str) -> None:
    def run(t: Any, x: Any) -> Any:
        y = x.clone()
        made = getattr(t.nn.functional, name)(y, inplace=True)
        assert made is y
        return made

    compare(run, spec(X, "float32", grad=True), device=device, grad_fn=name != "relu")


@pytest.mark.parametrize("name", ["threshold"])
def test_threshold_inplace(name: str, device: str) -> None:
    def run(t: Any, x: Any) -> Any:
        return t.nn.functional.threshold(x.clone(), 0.2, 0.1, inplace=True)

    compare(run, spec(X, "float32", grad=True), device=device, grad_fn=True)


SMOOTH = ["gelu", "gelu_tanh", "silu", "mish", "elu", "celu_alpha", "selu",
          "softplus_beta", "logsigmoid", "glu", "leaky_relu", "hardswish"]  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_derivative(name: str) -> None:
    x = dt.tensor(X[:2].tolist(), dtype=dt.float64, requires_grad=True)
    assert gradcheck(lambda t: CASES[name](dt, t), (x,))
    assert gradgradcheck(lambda t: CASES[name](dt, t), (x,))


def test_prelu(device: str) -> None:
    def run(t: Any, x: Any, w: Any) -> Any:
        return t.nn.functional.prelu(x, w)

    images = _RNG.normal(size=(2, 3, 4))
    cases = [
        (X, [0.25]), (X, 0.5), (images, [0.1, 0.2, 0.3]), (images[0, 0], [0.3]),
        (images, [0.1, 0.2]), (images, [[0.1, 0.2, 0.3]]), (1.0, [0.1, 0.2]),
    ]  # fmt: skip
    for x, w in cases:
        compare(
            run, spec(np.array(x), "float32", grad=True),
            spec(np.array(w), "float32", grad=True), device=device,
        )  # fmt: skip
    compare(run, spec(X, "float32"), spec([0.1], "float64"), device=device)


ERRORS = {
    "celu of alpha 0": lambda t, x: t.nn.functional.celu(x, 0.0),
    "softshrink below 0": lambda t, x: t.nn.functional.softshrink(x, -1.0),
    "empty interval": lambda t, x: t.nn.functional.hardtanh(x, 2.0, 1.0),
    "unknown approximation": lambda t, x: t.nn.functional.gelu(x, approximate="x"),
    "glu of an odd dim": lambda t, x: t.nn.functional.glu(x[:3], 0),
    "glu of a 0-d tensor": lambda t, x: t.nn.functional.glu(x[0, 0]),
    "glu dim out of range": lambda t, x: t.nn.functional.glu(x, 5),
    "rrelu bounds": lambda t, x: t.nn.functional.rrelu(x, 1.0, 0.5),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    compare(ERRORS[case], spec(X, "float32"))


@pytest.mark.parametrize(
    ("name", "args"),
    [("elu_", (-1.0,)), ("leaky_relu_", (-0.1,))],
)
def test_inplace_with_negative_slope_fails_backward(name: str, args: Any) -> None:
    def run(t: Any, x: Any) -> Any:
        return getattr(t.nn.functional, name)(x.clone(), *args)

    compare(run, spec(X, "float32", grad=True))


def test_random_slopes_are_the_oracles() -> None:
    def run(t: Any, x: Any) -> Any:
        t.manual_seed(3)
        return t.nn.functional.rrelu(x, 0.1, 0.4, training=True)

    compare(run, spec(X, "float32", grad=True))
    compare(run, spec(X, "float64", grad=True))


def test_gumbel_softmax_draws_the_oracles_numbers() -> None:
    def run(t: Any, x: Any, hard: bool) -> Any:
        t.manual_seed(5)
        return t.nn.functional.gumbel_softmax(x, tau=0.7, hard=hard)

    for hard in (False, True):
        compare(run, spec(X, "float32", grad=True), hard, strides=False)


def test_gradients_reach_no_further_than_wanted() -> None:
    x = dt.ones(3, requires_grad=True)
    y = F.leaky_relu(x, inplace=False)
    assert y.grad_fn is not None
    with dt.no_grad():
        assert F.elu(x).grad_fn is None

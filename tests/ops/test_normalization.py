"""Normalisation against the oracle: values, gradients, running statistics, errors."""

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

_RNG = np.random.default_rng(3)
X = _RNG.normal(size=(4, 6, 3, 5)) * 2 + 1
W = _RNG.uniform(0.5, 1.5, size=6)
B = _RNG.normal(size=6)
TAIL = _RNG.uniform(0.5, 1.5, size=(3, 5))
MEAN = _RNG.normal(size=6)
VAR = _RNG.uniform(0.5, 2, size=6)


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def c(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype)


def _layer(t: Any, x: Any, w: Any = None, b: Any = None, shape: Any = (3, 5)) -> Any:
    return t.nn.functional.layer_norm(x, shape, w, b)


def _rms(t: Any, x: Any, w: Any = None, eps: Any = None) -> Any:
    return t.nn.functional.rms_norm(x, (3, 5), w, eps)


def _group(t: Any, x: Any, w: Any = None, b: Any = None, groups: int = 3) -> Any:
    return t.nn.functional.group_norm(x, groups, w, b)


def _batch(t: Any, x: Any, w: Any = None, b: Any = None) -> Any:
    return t.nn.functional.batch_norm(x, None, None, w, b, True)


def _batch_running(t: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    made = t.nn.functional.batch_norm(x, mean, var, w, b, True, 0.3)
    return made, mean, var


def _batch_eval(t: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    return t.nn.functional.batch_norm(x, mean, var, w, b), mean, var


def _instance(t: Any, x: Any, w: Any = None, b: Any = None) -> Any:
    return t.nn.functional.instance_norm(x, None, None, w, b)


def _instance_running(t: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    made = t.nn.functional.instance_norm(x, mean, var, w, b, True, 0.3)
    return made, mean, var


def _instance_eval(t: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    return t.nn.functional.instance_norm(x, mean, var, w, b, False)


def _response(t: Any, x: Any, size: int = 3) -> Any:
    return t.nn.functional.local_response_norm(x, size, 0.1, 0.6, 1.5)


AFFINE = {"layer": (_layer, TAIL, TAIL), "group": (_group, W, B),
          "batch": (_batch, W, B), "instance": (_instance, W, B)}  # fmt: skip
RUNNING = {"batch": _batch_running, "batch_eval": _batch_eval,
           "instance": _instance_running, "instance_eval": _instance_eval}  # fmt: skip


@pytest.mark.parametrize("name", AFFINE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_values_and_gradients(name: str, dtype: str, device: str) -> None:
    run, w, b = AFFINE[name]
    half = dtype in ("float16", "bfloat16")
    close: dict[str, Any] = {"rtol": 4e-2, "atol": 4e-2} if half else {"atol": 2e-5}
    close |= {"device": device, "grad_fn": True}
    x = X[:2]
    compare(run, g(x, dtype), g(w, dtype), g(b, dtype), **close)
    compare(run, g(x, dtype), **close)
    compare(run, c(x, dtype), g(w, dtype), g(b, dtype), **close)
    compare(run, g(x, dtype), g(w, dtype), **close)
    if half:
        compare(run, g(x, dtype), g(w), g(b), **close)


@pytest.mark.parametrize("name", RUNNING)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_running_statistics(name: str, dtype: str, device: str) -> None:
    half = dtype == "float16"
    compare(
        RUNNING[name], g(X, dtype), g(W, dtype), g(B, dtype), c(MEAN, dtype),
        c(VAR, dtype), device=device, rtol=2e-2 if half else None,
        atol=3e-2 if half else 2e-5,
    )  # fmt: skip


def test_running_statistics_may_move_between_forward_and_backward(device: str) -> None:
    x = dt.tensor(X.tolist(), device=device, requires_grad=True)
    mean, var = dt.zeros(6, device=device), dt.ones(6, device=device)
    first = F.batch_norm(x, mean, var, training=True)
    second = F.batch_norm(x, mean, var, training=True)
    (first * second).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", AFFINE)
def test_first_and_second_derivative(name: str, device: str) -> None:
    run, w, b = AFFINE[name]
    x, w, b = (
        dt.tensor(v.tolist(), dtype=dt.float64, device=device, requires_grad=True)
        for v in (X[:2, :, :2, :2], w[:2, :2] if w.ndim == 2 else w,
                  b[:2, :2] if b.ndim == 2 else b)
    )  # fmt: skip
    extra = {"shape": (2, 2)} if name == "layer" else {}
    f = lambda x, w, b: run(dt, x, w, b, **extra)  # noqa: E731
    assert gradcheck(f, (x, w, b), fast_mode=True)
    assert gradgradcheck(f, (x, w, b), fast_mode=True)


def test_eval_second_derivative(device: str) -> None:
    x, w, b = (
        dt.tensor(v.tolist(), dtype=dt.float64, device=device, requires_grad=True)
        for v in (X[:2, :, :1, :2], W, B)
    )
    mean, var = dt.tensor(MEAN.tolist(), dtype=dt.float64, device=device), dt.tensor(
        VAR.tolist(), dtype=dt.float64, device=device
    )  # fmt: skip
    f = lambda x, w, b: _batch_eval(dt, x, w, b, mean, var)[0]  # noqa: E731
    assert gradcheck(f, (x, w, b), fast_mode=True)
    assert gradgradcheck(f, (x, w, b), fast_mode=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_rms_norm(dtype: str, device: str) -> None:
    half = dtype in ("float16", "bfloat16")
    close = {"rtol": 3e-2, "atol": 3e-2} if half else {"atol": 2e-5}
    compare(_rms, g(X, dtype), g(TAIL, dtype), device=device, **close)
    compare(_rms, g(X, dtype), device=device, **close)
    compare(_rms, g(X, dtype), None, 0.3, device=device, **close)
    compare(_rms, g(X, dtype), g(TAIL, "float64"), device=device, **close)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 4, 3, 2), (2, 4, 2, 3, 2), (0, 3, 2)])
def test_local_response_norm(size: int, shape: Any, device: str) -> None:
    compare(_response, g(_RNG.normal(size=shape)), size, device=device, strides=False)


@pytest.mark.parametrize("p", [2.0, 1, 3, float("inf")])
@pytest.mark.parametrize("dim", [0, 1, (0, 1), -1])
def test_normalize(p: float, dim: Any, device: str) -> None:
    compare(
        lambda t, x: t.nn.functional.normalize(x, p=p, dim=dim),
        g(X[0, 0]), device=device,
    )  # fmt: skip


def test_normalize_of_zeros_and_out() -> None:
    compare(lambda t, x: t.nn.functional.normalize(x), g(np.zeros((2, 3))))

    def into(t: Any, x: Any) -> Any:
        out = t.empty(3, 5)
        assert t.nn.functional.normalize(x, out=out) is out
        return out

    compare(into, c(X[0, 0]))
    compare(into, g(X[0, 0]))


def test_shapes(device: str) -> None:
    compare(_layer, c(np.ones((0, 3, 5))), device=device)
    compare(lambda t, x: t.nn.functional.layer_norm(x, (0,)), c(np.ones((5, 0))),
            device=device)  # fmt: skip
    turned = spec(X, "float32", grad=True, layout=lambda t: t.transpose(0, 1))
    compare(_layer, turned, device=device, strides=device == "cpu")
    for shape in ((3, 6), (3, 6, 2), (2, 6, 2, 2, 2)):
        x = g(_RNG.normal(size=shape))
        compare(_batch, x, g(W), g(B), device=device, atol=2e-4)
        compare(_group, x, g(W), g(B), device=device, atol=2e-4)
        if len(shape) > 2:
            compare(_instance, x, g(W), g(B), device=device, atol=2e-4)
    compare(_batch_running, c(np.ones((0, 6, 2))), c(W), c(B), c(MEAN), c(VAR),
            device=device)  # fmt: skip
    compare(_batch_running, c(np.ones((2, 6, 0))), c(W), c(B), c(MEAN), c(VAR),
            device=device)  # fmt: skip


def test_channels_last() -> None:
    def run(t: Any, x: Any, w: Any, b: Any) -> Any:
        return _batch(t, x.contiguous(memory_format=t.channels_last), w, b)

    compare(run, g(X), g(W), g(B), atol=2e-5)


def test_native_operators_give_their_statistics(device: str) -> None:
    compare(lambda t, x: t.native_layer_norm(x, (3, 5), None, None, 1e-5), c(X),
            device=device)  # fmt: skip
    compare(lambda t, x: t.native_group_norm(x, None, None, 4, 6, 15, 2, 1e-5), c(X),
            device=device)  # fmt: skip
    compare(
        lambda t, x: t.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
        c(X), device=device,
    )  # fmt: skip
    compare(
        lambda t, x, m, v: t.native_batch_norm(x, None, None, m, v, False, 0.1, 1e-5),
        c(X), c(MEAN), c(VAR), device=device,
    )  # fmt: skip


def _short(values: Any) -> Any:
    return c(values[:2])


ERRORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "layer shape": (lambda t, x: t.nn.functional.layer_norm(x, (4,)), (c(X),)),
    "layer no shape": (lambda t, x: t.nn.functional.layer_norm(x, ()), (c(X),)),
    "layer weight": (_layer, (c(X), _short(TAIL))),
    "layer bias": (_layer, (c(X), c(TAIL), _short(TAIL))),
    "layer integers": (_layer, (c(np.ones((2, 3, 5)), "int64"),)),
    "layer mixed": (_layer, (c(X), c(TAIL, "float64"))),
    "layer half mixed": (_layer, (c(X, "float16"), c(TAIL, "float16"), c(TAIL))),
    "rms shape": (lambda t, x: t.nn.functional.rms_norm(x, (4,)), (c(X),)),
    "rms integers": (_rms, (c(np.ones((2, 3, 5)), "int64"),)),
    "group count": (lambda t, x: _group(t, x, groups=4), (c(X),)),
    "group weight": (_group, (c(X), _short(W))),
    "group bias": (_group, (c(X), c(W), _short(B))),
    "group rank": (_group, (c(W),)),
    "group values": (lambda t, x: _group(t, x, groups=6), (c(np.ones((1, 6, 1))),)),
    "group integers": (_group, (c(np.ones((2, 6)), "int64"),)),
    "batch values": (_batch, (c(np.ones((1, 6))),)),
    "batch rank": (_batch, (c(W),)),
    "batch weight": (_batch, (c(X), _short(W))),
    "batch bias": (_batch, (c(X), c(W), _short(B))),
    "batch mean": (_batch_running, (c(X), c(W), c(B), _short(MEAN), c(VAR))),
    "batch var": (_batch_running, (c(X), c(W), c(B), c(MEAN), _short(VAR))),
    "batch one": (_batch_running, (c(X), c(W), c(B), c(MEAN), None)),
    "eval no mean": (_batch_eval, (c(X), c(W), c(B), None, None)),
    "eval no var": (_batch_eval, (c(X), c(W), c(B), c(MEAN), None)),
    "batch mixed": (_batch, (c(X, "float64"), c(W), c(B))),
    "batch integers": (_batch, (c(np.ones((2, 6)), "int64"),)),
    "instance values": (_instance, (c(np.ones((2, 3, 1))),)),
    "instance rank": (_instance, (c(np.ones((2, 3))),)),
    "instance one": (_instance_running, (c(X), c(W), c(B), c(MEAN), None)),
    "instance eval": (_instance_eval, (c(X), c(W), c(B), None, None)),
    "response rank": (_response, (c(np.ones((2, 3))),)),
    "response size": (_response, (c(X), 0)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, device: str) -> None:
    run, tensors = ERRORS[case]
    compare(run, *tensors, device=device)

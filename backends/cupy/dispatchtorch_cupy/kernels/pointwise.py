"""Pointwise kernels: arithmetic, comparisons, functions, activations and their slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.expressions import rows
from dispatchtorch_cupy.kernels.elementwise import Elementwise, Expression
from dispatchtorch_cupy.kernels.types import CLASS

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_BOOL = np.dtype("bool")

# Functions that the expressions below call, over the type of arithmetic C.
_ACTIVATIONS = """
DEVICE C logistic(C v) { return K(1) / (K(1) + exp(-v)); }
DEVICE C normal(C v) { return K(0.5) * (K(1) + erf(v * K(0.70710678118654752440))); }
DEVICE C gelu_slope(C v) {
  return normal(v) + v * exp(v * v * K(-0.5)) * K(0.39894228040143267794);
}
DEVICE C gelu_inner(C v) {
  return K(0.79788456080286535588) * (v + K(0.044715) * v * v * v);
}
DEVICE C gelu_tanh(C v) { return K(0.5) * v * (K(1) + tanh(gelu_inner(v))); }
DEVICE C gelu_tanh_slope(C v) {
  const C t = tanh(gelu_inner(v));
  const C inner = K(0.79788456080286535588) * (K(1) + K(3 * 0.044715) * v * v);
  return K(0.5) * (K(1) + t) + K(0.5) * v * (K(1) - t * t) * inner;
}
DEVICE C silu_slope(C v) {
  const C s = logistic(v); return s * (K(1) + v * (K(1) - s));
}
DEVICE C squashed(C v) {  // tanh(softplus(v)), by one exponential
  const C n = exp(fmin(v, K(20))), m = n * (n + K(2)); return m / (m + K(2));
}
DEVICE C mish_slope(C v) {
  const C t = squashed(v); return t + v * logistic(v) * (K(1) - t * t);
}
"""

# name | arguments after the arrays | expression of floats. Arrays: x, y, z; numbers: a, b, c.
_FLOATS = """
gelu/none | x * normal(x)
gelu/tanh | gelu_tanh(x)
gelu_backward/none | x * gelu_slope(y)
gelu_backward/tanh | x * gelu_tanh_slope(y)
silu_backward | x * silu_slope(y)
mish | x * squashed(x)
mish_backward | x * mish_slope(y)
softplus | x * a > b ? x : log1p(exp(x * a)) / a
softplus_backward | y * a > b ? x : x * logistic(y * a)
elu | x < 0 ? expm1(x * c) * (a * b) : x * b
_elu_backward | y <= 0 ? x * exp(y * c) * (a * b * c) : x * b
leaky_relu | x > 0 ? x : x * a
_leaky_relu_backward | y > 0 ? x : x * a
hardswish | x * fmin(fmax(x + K(3), K(0)), K(6)) / K(6)
addcmul | x + a * y * z
addcdiv | x + a * y / z
"""


def kernels_for(elementwise: Elementwise) -> Kernels:
    """The pointwise kernels over a generator."""
    kernels: Kernels = {}
    for name, result, by_class in rows():
        expressions = {
            each: Expression(f"{name}:{each}", code)
            for each, (code, _) in by_class.items()
        }
        takes_out = name not in ("where.self", "threshold_backward")
        kernels[name] = (_kernel(elementwise, result, expressions), takes_out)
    floats = {}
    for line in _FLOATS.strip().splitlines():
        name, _, code = line.partition(" | ")
        floats[name] = Expression(name, code, _ACTIVATIONS)
    for name, expression in floats.items():
        if "/" not in name:
            kernels[name] = (_of_floats(elementwise, expression), False)
    for name in ("gelu", "gelu_backward"):
        forms = {form: floats[f"{name}/{form}"] for form in ("none", "tanh")}
        kernels[name] = (_with_form(elementwise, forms), False)
    kernels["threshold_backward"] = (_threshold(elementwise), False)
    kernels["clamp"] = (_clamp(elementwise), False)
    kernels["masked_fill.Scalar"] = (_masked_fill(elementwise, False), False)
    kernels["masked_fill_.Scalar"] = (_masked_fill(elementwise, True), False)
    return kernels


def _kernel(
    elementwise: Elementwise, result: str, expressions: dict[str, Expression]
) -> Callable[..., Any]:
    # What a dtype's kernel is: found once, then one look-up.
    found: dict[Any, tuple[Expression | None, Any]] = {}

    def resolve(host: Any) -> tuple[Expression | None, Any]:
        expression = expressions.get(CLASS.get(host, ""))
        made = host
        if result == "bool":
            made = _BOOL
        elif result == "real" and host.kind == "c":
            made = np.dtype(f"f{host.itemsize // 2}")
        pair = found[host] = expression, made
        return pair

    def kernel(*operands: Any, out: Any = None) -> Any:
        host = operands[-1].dtype
        expression, made = found.get(host) or resolve(host)
        if expression is None:
            return NotImplemented
        return elementwise(expression, operands, made, out)

    return kernel


def _arrays(values: tuple[Any, ...]) -> int:
    """How many of the arguments, from the first, are arrays."""
    count = 0
    for each in values:
        if not hasattr(each, "ndim"):
            break
        count += 1
    return count


def _of_floats(elementwise: Elementwise, expression: Expression) -> Callable[..., Any]:
    """A kernel of float arrays of one dtype, and of numbers after them."""

    def kernel(*args: Any) -> Any:
        host = args[0].dtype
        if CLASS.get(host) != "f":
            return NotImplemented
        count = _arrays(args)
        operands, numbers = args[:count], args[count:]
        for each in operands:
            if each.dtype != host:
                return NotImplemented
        return elementwise(expression, operands, host, None, numbers)

    return kernel


def _with_form(
    elementwise: Elementwise, forms: dict[str, Expression]
) -> Callable[..., Any]:
    kernels = {form: _of_floats(elementwise, e) for form, e in forms.items()}

    def kernel(*args: Any) -> Any:
        found = kernels.get(args[-1])
        return NotImplemented if found is None else found(*args[:-1])

    return kernel


def _threshold(elementwise: Elementwise) -> Callable[..., Any]:
    expressions = {
        each: Expression(f"threshold:{each}", "y <= a ? 0 : x") for each in "fui"
    }

    def threshold_backward(grad: Any, x: Any, threshold: Any) -> Any:
        expression = expressions.get(CLASS.get(x.dtype, ""))
        if expression is None or grad.dtype != x.dtype:
            return NotImplemented
        if CLASS[x.dtype] != "f":
            if threshold != int(threshold):
                return NotImplemented
            threshold = int(threshold)
        return elementwise(expression, (grad, x), x.dtype, None, (threshold,))

    return threshold_backward


def _clamp(elementwise: Elementwise) -> Callable[..., Any]:
    codes = {
        "both": "x != x ? x : x < a ? (x > b ? b : a < b ? a : b) : x > b ? b : x",
        "low": "x < a ? a : x",
        "high": "x > a ? a : x",
    }
    expressions = {
        (form, each): Expression(f"clamp {form}:{each}", code)
        for form, code in codes.items()
        for each in "fui"
    }

    def clamp(x: Any, low: Any, high: Any) -> Any:
        form = "both" if low is not None and high is not None else "low"
        form = "high" if low is None else form
        expression = expressions.get((form, CLASS.get(x.dtype, "")))
        numbers = tuple([n for n in (low, high) if n is not None])
        if expression is None or not numbers:
            return NotImplemented
        for n in numbers:
            if n != n or (CLASS[x.dtype] != "f" and not _held(n, x.dtype)):
                return NotImplemented
        return elementwise(expression, (x,), x.dtype, None, numbers)

    return clamp


def _held(number: Any, host: Any) -> bool:
    """Whether a dtype of integers holds a number, and a struct too."""
    info = np.iinfo(host)
    return type(number) is int and info.min <= number <= min(info.max, 2**63 - 1)


def _masked_fill(elementwise: Elementwise, inplace: bool) -> Callable[..., Any]:
    expressions = {
        each: Expression(f"masked_fill:{each}", "x ? a : y") for each in "fui"
    }

    def masked_fill(x: Any, mask: Any, value: Any) -> Any:
        expression = expressions.get(CLASS.get(x.dtype, ""))
        if expression is None or mask.dtype != _BOOL or type(value) is complex:
            return NotImplemented
        if CLASS[x.dtype] != "f" and not _held(value, x.dtype):
            return NotImplemented
        try:
            made = elementwise(
                expression, (mask, x), x.dtype, x if inplace else None, (value,)
            )
        except ValueError:  # a mask of another shape
            return NotImplemented
        return None if inplace else made

    return masked_fill

"""Activation functions and their gradients in one kernel each: rows of C expressions.

``x``, ``y`` are the arrays (a gradient comes first), and the numbers follow them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import NAMES, Expression, elementwise
from dispatchtorch_opencl.array import OpenCLArray, number

__all__ = ["kernels_for"]

_HELPERS = """
#define SIGMOID(v) (K(1) / (K(1) + exp(-(v))))
inline C normal_(C v) { return (C)0.5 * (1 + erf(v * (C)0.70710678118654752440)); }
// tanh(softplus(v)) by one exponential.
inline C mish_(C v) { C n = exp(fmin(v, (C)20)); n *= n + 2; return n / (n + 2); }
inline C gelu_(C v) {
  // tanh, exact at both ends.
  const C w = (C)1.59576912160573071176 * (v + (C)0.044715 * v * v * v);
  return 1 - 2 / (exp(w) + 1);
}
"""
# operator, or operator:option | arrays | C expression
ROWS = """
gelu:none | 1 | x * normal_(x)
gelu:tanh | 1 | (C)0.5 * x * (1 + gelu_(x))
gelu_backward:none | 2 | x * (normal_(y) + y * (C)0.39894228040143267794 * exp(-y * y / 2))
gelu_backward:tanh | 2 | x * gelu_slope(y)
silu_backward | 2 | x * SIGMOID(y) * (1 + y * (1 - SIGMOID(y)))
mish | 1 | x * mish_(x)
mish_backward | 2 | x * (mish_(y) + y * SIGMOID(y) * (1 - mish_(y) * mish_(y)))
softplus | 1 | x * y > z ? x : log1p(exp(x * y)) / y
softplus_backward | 2 | y * z > w ? x : x * SIGMOID(y * z)
elu | 1 | x < 0 ? expm1(x * w) * y * z : x * z
_elu_backward | 2 | y <= 0 ? x * exp(y * u) * z * w * u : x * w
leaky_relu | 1 | x > 0 ? x : x * y
_leaky_relu_backward | 2 | y > 0 ? x : x * z
hardswish | 1 | x * fmin(fmax(x + 3, (C)0), (C)6) / 6
"""
_SLOPE = """
inline C gelu_slope(C v) {
  const C t = gelu_(v);
  const C inner = (C)0.79788456080286535588 * (1 + 3 * (C)0.044715 * v * v);
  return (C)0.5 * (1 + t) + (C)0.5 * v * (1 - t * t) * inner;
}
"""


def _rows() -> dict[str, dict[str, tuple[Expression, int]]]:
    """operator -> option ("" without one) -> expression and how many arrays it takes."""
    made: dict[str, dict[str, tuple[Expression, int]]] = {}
    for line in ROWS.strip().splitlines():
        name, arrays, code = line.split(" | ", 2)
        operator, _, option = name.partition(":")
        row = Expression(name, code, helpers=_HELPERS + _SLOPE)
        made.setdefault(operator, {})[option] = (row, int(arrays))
    return made


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of activation functions."""

    def kernel_of(options: dict[str, tuple[Expression, int]]) -> Callable[..., Any]:
        def kernel(*args: Any) -> Any:
            chosen = ""
            if "" not in options:
                *args, chosen = args  # type: ignore[assignment]
            row, arrays = options.get(chosen, (None, 0))
            first = args[0]
            if row is None or types.CLASS[first.dtype] != "f":
                return NotImplemented
            if any(a.dtype is not first.dtype for a in args[:arrays]):
                return NotImplemented
            operands = [a if type(a) is OpenCLArray else number(first, a) for a in args]
            if len(operands) > len(NAMES):
                return NotImplemented
            return elementwise(row, operands, first.dtype)

        return kernel

    return {name: (kernel_of(options), False) for name, options in _rows().items()}

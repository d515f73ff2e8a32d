"""Products of matrices; NumPy itself also gets the decompositions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_numpy import decompositions

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(xp: Any) -> Kernels:
    """The linear-algebra kernels of an array module."""
    kernels: Kernels = {}

    dot, product, add = xp.dot, xp.matmul, xp.add

    def bmm(x: Any, y: Any) -> Any:
        kind = x.dtype
        if kind.itemsize == 2 and kind.kind in "fV":
            # Half types accumulate in float32.
            return product(x.astype("float32"), y.astype("float32")).astype(kind)
        return product(x, y)

    def mm(x: Any, y: Any) -> Any:
        # For two matrices of floats, dot does what matmul does and is sooner ready.
        kind = x.dtype
        return dot(x, y) if kind.kind in "fc" and kind.itemsize > 2 else bmm(x, y)

    def addmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        if beta != 1 or alpha != 1 or x.itemsize == 2 or x.dtype.kind not in "fc":
            return NotImplemented
        made = dot(a, b)
        return add(made, x, made)

    def left_grad(grad: Any, right: Any) -> Any:
        kind = grad.dtype
        if kind.kind != "f" or kind.itemsize == 2:
            return NotImplemented
        return dot(grad, right.T)

    def right_grad(grad: Any, left: Any, strides: tuple[int, int]) -> Any:
        kind = grad.dtype
        if kind.kind != "f" or kind.itemsize == 2:
            return NotImplemented
        if strides[0] == 1 and strides[1] != 1:
            return dot(grad.T, left).T
        return dot(left.T, grad)

    kernels["_mm_left_grad"] = (left_grad, False)
    kernels["_mm_right_grad"] = (right_grad, False)
    kernels["addmm"] = (addmm, False)
    kernels["bmm"] = (bmm, False)
    kernels["mm"] = (mm, False)
    if xp.__name__ == "numpy":
        kernels.update(decompositions.kernels())
    return kernels

"""The loss of cross-entropy after log_softmax, without asking the device for labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import size_of
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_NONE, _MEAN = 0, 1
_LONG = np.dtype("int64")


def kernels_for(runtime: Runtime) -> Kernels:
    """The kernels of nll_loss and nll_loss2d."""
    # A label's error is the same whatever the shape: one code for all.
    code = runtime.expect(lambda bad: IndexError(f"Target {bad} is out of bounds."))
    constants: dict[Any, Any] = {}

    def constant(*values: Any) -> Any:
        found = constants.get(values)
        if found is None:
            if len(constants) > 1000:
                constants.clear()
            found = constants[values] = runtime.constant("5q4i", *values)
        return found

    def sizes(x: Any) -> tuple[int, int, int]:
        if x.ndim == 1:
            return 1, x.shape[0], 1
        return x.shape[0], x.shape[1], size_of(x.shape[2:])

    def suits(x: Any, target: Any, *others: Any) -> bool:
        return (
            CLASS.get(x.dtype) == "f"
            and x.size > 0
            and target.dtype == _LONG
            and all(o is None or o.dtype == x.dtype for o in others)
        )

    def defined(x: Any) -> dict[str, Any]:
        return {"T": STORAGE[x.dtype], "A": COMPUTE[x.dtype]}

    def forward(
        x: Any, target: Any, weight: Any, reduction: int, ignored: int, shape: Any
    ) -> Any:
        if not suits(x, target, weight):
            return NotImplemented
        samples, classes, plane = sizes(x)
        count = samples * plane
        each = reduction == _NONE
        blocks = max(1, min(-(-count // 256), runtime.units * 4))
        g = constant(
            samples, classes, plane, ignored, code, reduction == _MEAN,
            weight is not None, blocks, each,
        )  # fmt: skip
        dense = runtime.contiguous
        weight = None if weight is None else dense(weight)
        made = runtime.empty((count,) if each else (), x.dtype)
        host = np.dtype("float64" if x.dtype.itemsize == 8 else "float32")
        partial = None if each else runtime.empty((blocks, 2), host)
        launch = runtime.function("loss.cu", "nll_parts", **defined(x))
        launch(
            (blocks,), (256,),
            (made, partial, dense(x), dense(target), weight, runtime.flag(), g),
        )  # fmt: skip
        if each:
            return made.reshape(shape), runtime.zeros((), x.dtype)
        total = runtime.empty((), x.dtype)
        launch = runtime.function("loss.cu", "nll_total", **defined(x))
        launch((1,), (256,), (made, total, partial, g))
        return made, total

    def backward(
        grad: Any, x: Any, target: Any, weight: Any, reduction: int, ignored: int,
        total: Any,
    ) -> Any:  # fmt: skip
        if not suits(x, target, weight, grad):
            return NotImplemented
        if reduction == _MEAN and total.dtype != x.dtype:
            return NotImplemented
        samples, classes, plane = sizes(x)
        g = constant(
            samples, classes, plane, ignored, code, reduction == _MEAN,
            weight is not None, 0, reduction == _NONE,
        )  # fmt: skip
        dense = runtime.contiguous
        weight = None if weight is None else dense(weight)
        made = runtime.zeros(x.shape, x.dtype)
        launch = runtime.function("loss.cu", "nll_gradient", **defined(x))
        launch(
            (-(-samples * plane // 256),), (256,),
            (made, dense(grad), dense(target), weight, total, runtime.flag(), g),
        )  # fmt: skip
        return made

    table: dict[str, Callable[..., Any]] = {
        "nll_loss_forward": forward,
        "nll_loss2d_forward": forward,
        "nll_loss_backward": backward,
        "nll_loss2d_backward": backward,
    }
    return {name: (function, False) for name, function in table.items()}

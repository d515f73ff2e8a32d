"""Maximum and average pooling, one thread for a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import size_of
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_LONG = np.dtype("int64")
_THREADS = 256


def _three(values: Sequence[int], fill: int) -> list[int]:
    return [fill] * (3 - len(values)) + list(values)


def kernels_for(runtime: Runtime) -> Kernels:
    """The kernels of pooling."""
    plans: dict[Any, Any] = {}

    def plan(
        name: str, host: Any, n: int, sizes: Any, out: Any, kernel: Any, stride: Any,
        padding: Any, dilation: Any, divisor: int, padded: bool,
    ) -> Any:  # fmt: skip
        key = (name, host, n, sizes, out, tuple(kernel), tuple(stride),
               tuple(padding), tuple(dilation), divisor, padded)  # fmt: skip
        found = plans.get(key)
        if found is None:
            if len(plans) > 5000:
                plans.clear()
            launch = runtime.function("pool.cu", name, T=STORAGE[host], A=COMPUTE[host])
            window = runtime.constant(
                "20qi", n, *_three(sizes, 1), *_three(out, 1), *_three(kernel, 1),
                *_three(stride, 1), *_three(padding, 0), *_three(dilation, 1), divisor,
                padded,
            )  # fmt: skip
            found = plans[key] = launch, (-(-n // _THREADS),), window
        return found

    def max_pool(
        x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any,
        last: bool,
    ) -> Any:  # fmt: skip
        if last or CLASS.get(x.dtype, "") not in ("u", "i", "f"):
            return NotImplemented
        dims = len(kernel)
        shape = (*x.shape[: x.ndim - dims], *out)
        made = runtime.empty(shape, x.dtype)
        places = runtime.empty(shape, _LONG)
        if made.size:
            launch, grid, window = plan(
                "max_pool", x.dtype, size_of(shape), x.shape[x.ndim - dims :],
                tuple(out), kernel, stride, padding, dilation, 0, False,
            )  # fmt: skip
            launch(grid, (_THREADS,), (made, places, runtime.contiguous(x), window))
        return made, places

    def avg_pool(
        x: Any, kernel: Any, stride: Any, padding: Any, out: Any, last: bool,
        include_pad: bool, divisor: Any,
    ) -> Any:  # fmt: skip
        if last or CLASS.get(x.dtype) != "f":
            return NotImplemented
        dims = len(kernel)
        shape = (*x.shape[: x.ndim - dims], *out)
        made = runtime.empty(shape, x.dtype)
        if made.size:
            launch, grid, window = plan(
                "avg_pool", x.dtype, size_of(shape), x.shape[x.ndim - dims :],
                tuple(out), kernel, stride, padding, (1,) * dims, divisor or 0,
                bool(include_pad),
            )  # fmt: skip
            launch(grid, (_THREADS,), (made, runtime.contiguous(x), window))
        return made

    table: dict[str, Callable[..., Any]] = {}
    for dims in (2, 3):
        table[f"_max_pool{dims}d"] = max_pool
        table[f"_avg_pool{dims}d"] = avg_pool
    return {name: (function, False) for name, function in table.items()}

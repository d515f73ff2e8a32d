"""Softmax and log_softmax along any dim, and their gradients, in one launch each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.kernelgen.geometry import size_of
from dispatchtorch_cupy.kernels.rows import row_plan
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

#: Name: what is summed, what follows, what an element becomes, whether there's an output.
_FORMS = {
    "_softmax": ("exp((v) - m)", "((A)1 / (t))", "(exp((v) - (m)) * (t))", 0),
    "_log_softmax": ("exp((v) - m)", "log(t)", "((v) - (m) - (t))", 0),
    "_softmax_backward_data": ("(v) * (y)", "(t)", "((y) * ((v) - (t)))", 1),
    "_log_softmax_backward_data": ("(v)", "(t)", "((v) - exp(y) * (t))", 1),
}


def kernels_for(runtime: Runtime) -> Kernels:
    """The kernels of the softmax family."""
    return {name: (_kernel(runtime, name), False) for name in _FORMS}


def _kernel(runtime: Runtime, name: str) -> Callable[..., Any]:
    term, finish, value, backward = _FORMS[name]
    plans: dict[Any, Any] = {}

    def plan(host: Any, shape: tuple[int, ...], dim: int) -> Any:
        length = shape[dim]
        inner = size_of(shape[dim + 1 :])
        rows = size_of(shape) // length
        defined = {
            "T": STORAGE[host],
            "A": COMPUTE[host],
            "TERM(v, y)": term,
            "FINISH(t)": finish,
            "VALUE(v, y, m, t)": value,
            "BACKWARD": backward,
        }
        constant = runtime.constant("3q", rows, length, inner)
        if inner > 1:
            defined.update(PACK=1, ITEMS=0)
            launch = runtime.function("softmax.cu", "softmax_columns", **defined)
            return launch, (-(-rows // 32),), (32, 8), constant
        pack, items, grid, block = row_plan(rows, length, host.itemsize)
        defined.update(PACK=pack, ITEMS=items)
        launch = runtime.function("softmax.cu", "softmax_rows", **defined)
        return launch, grid, block, constant

    def kernel(*args: Any) -> Any:
        *arrays, dim, shape = args
        first = arrays[0]
        host = first.dtype
        if CLASS.get(host) != "f":
            return NotImplemented
        for each in arrays[1:]:
            if each.dtype != host or each.shape != first.shape:
                return NotImplemented
        made = runtime.empty(first.shape, host)
        if first.size:
            key = (host, first.shape, dim)
            found = plans.get(key)
            if found is None:
                found = plans[key] = plan(host, first.shape, dim)
            launch, grid, block, constant = found
            arrays = [runtime.aligned(a) for a in arrays]
            launch(grid, block, (made, arrays[0], arrays[-1], constant))
        return made if made.shape == shape else made.reshape(shape)

    return kernel

"""Layer, group and batch normalisation, and their gradients.

Layer and group normalisation take rows that lie in one piece, one launch each. Batch
normalisation takes channels, in parts that a second launch joins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch_cupy.kernels.reduction import Reduction
from dispatchtorch_cupy.kernels.rows import row_plan
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_SHARE = 1 << 12
_HOSTS: dict[str, Any] = {"float": np.dtype("float32"), "double": np.dtype("float64")}


def kernels_for(runtime: Runtime, reduction: Reduction) -> Kernels:
    """The kernels of normalisation."""
    table = {**_rows(runtime, reduction), **_channels(runtime)}
    return {name: (function, False) for name, function in table.items()}


def _suits(x: Any, *others: Any) -> bool:
    """Whether dtypes go together: one of floats, and parameters of one."""
    if CLASS.get(x.dtype) != "f" or not x.size:
        return False
    kinds = {o.dtype for o in others if o is not None}
    return len(kinds) <= 1 and all(COMPUTE.get(k) == COMPUTE[x.dtype] for k in kinds)


def _first(*arrays: Any) -> Any:
    return next((a for a in arrays if a is not None), None)


class _Definitions:
    """The types of a call."""

    def __init__(self, x: Any, parameter: Any, statistic: Any = None) -> None:
        self.host = x.dtype
        self.weight = x.dtype if parameter is None else parameter.dtype
        self.statistic = self.weight if statistic is None else statistic.dtype
        self.exact = _HOSTS[COMPUTE[self.host]]
        self.real = "f" if self.exact.itemsize == 4 else "d"

    def names(self, pack: int, items: int = 0, **more: Any) -> dict[str, Any]:
        made = {
            "T": STORAGE[self.host],
            "W": STORAGE[self.weight],
            "S": STORAGE[self.statistic],
            "A": COMPUTE[self.host],
            "R": STORAGE[self.statistic],
            "Q": STORAGE[self.statistic],
            "FROM_VARIANCE": 0,
            "PACK": pack,
            "ITEMS": items,
        }
        return {**made, **more}


# Rows in one piece.


def _rows(runtime: Runtime, reduction: Reduction) -> dict[str, Callable[..., Any]]:
    plans: dict[Any, Any] = {}

    def plan(
        name: str, d: _Definitions, rows: int, length: int, plane: int, groups: int,
        eps: float, weight: bool, bias: bool,
    ) -> Any:  # fmt: skip
        key = (
            name, d.host, d.weight, d.statistic, rows, length, plane, groups, eps,
            weight, bias,
        )  # fmt: skip
        found = plans.get(key)
        if found is None:
            most = 1024 if d.exact.itemsize == 4 else 512
            pack, items, grid, block = row_plan(rows, length, d.host.itemsize, most)
            if name == "norm_rows_backward" and items > 2:
                items = 0  # two arrays are kept
            launch = runtime.function("norm.cu", name, **d.names(pack, items))
            constant = runtime.constant(
                f"4q{d.real}ii", rows, length, plane, groups, eps, weight, bias
            )
            found = plans[key] = launch, grid, block, constant
        return found

    def forward(
        x: Any, rows: int, length: int, plane: int, groups: int, weight: Any, bias: Any,
        eps: float,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        d = _Definitions(x, _first(weight, bias))
        statistic = x.dtype if weight is None else weight.dtype
        d.statistic = statistic
        launch, grid, block, constant = plan(
            "norm_rows", d, rows, length, plane, groups, eps, weight is not None,
            bias is not None,
        )  # fmt: skip
        made = runtime.empty(x.shape, x.dtype)
        mean, root = (runtime.empty((rows,), statistic) for _ in range(2))
        weight, bias = (
            None if t is None else runtime.contiguous(t) for t in (weight, bias)
        )
        launch(
            grid, block, (made, mean, root, runtime.aligned(x), weight, bias, constant)
        )
        return made, mean, root

    def by_input(
        grad: Any, x: Any, rows: int, length: int, plane: int, groups: int, mean: Any,
        root: Any, weight: Any,
    ) -> Any:  # fmt: skip
        d = _Definitions(x, weight, mean)
        launch, grid, block, constant = plan(
            "norm_rows_backward", d, rows, length, plane, groups, 0.0,
            weight is not None, False,
        )  # fmt: skip
        made = runtime.empty(x.shape, x.dtype)
        weight = None if weight is None else runtime.contiguous(weight)
        aligned = runtime.aligned
        launch(
            grid, block, (made, aligned(grad), aligned(x), mean, root, weight, constant)
        )
        return made

    def layer_norm(x: Any, count: int, weight: Any, bias: Any, eps: float) -> Any:
        if not _suits(x, weight, bias):
            return NotImplemented
        length = math.prod(x.shape[x.ndim - count :])
        made, mean, root = forward(x, x.size // length, length, 1, 1, weight, bias, eps)
        outer = (*x.shape[: x.ndim - count], *(1,) * count)
        return made, mean.reshape(outer), root.reshape(outer)

    def layer_norm_backward(
        grad: Any, x: Any, count: int, mean: Any, rstd: Any, weight: Any, bias: Any,
        mask: Any,
    ) -> Any:  # fmt: skip
        if not _suits(x, weight, bias) or grad.dtype != x.dtype:
            return NotImplemented
        length = math.prod(x.shape[x.ndim - count :])
        rows = x.size // length
        mean, rstd = runtime.contiguous(mean), runtime.contiguous(rstd)
        made = by_weight = by_bias = None
        if mask[0]:
            made = by_input(grad, x, rows, length, 1, 1, mean, rstd, weight)
        if mask[1] or mask[2]:
            d = _Definitions(x, weight, mean)
            columns = -(-length // 32)
            parts = max(1, min(-(-rows // 64), runtime.units * 4 // columns))
            sums = [runtime.empty((parts, length), d.exact) for _ in range(2)]
            launch = runtime.function("norm.cu", "weight_gradients", **d.names(1))
            constant = runtime.constant(
                f"4q{d.real}ii", rows, length, 1, 1, 0.0, False, False
            )
            arrays = [runtime.contiguous(t) for t in (grad, x)]
            launch((columns, parts), (32, 8), (*sums, *arrays, mean, rstd, constant))
            if mask[1]:
                by_weight = reduction("sum", sums[0], (0,), False, weight.dtype)
                by_weight = by_weight.reshape(weight.shape)
            if mask[2]:
                by_bias = reduction("sum", sums[1], (0,), False, bias.dtype)
                by_bias = by_bias.reshape(bias.shape)
        return made, by_weight, by_bias

    def group_norm(
        x: Any, weight: Any, bias: Any, n: int, c: int, hw: int, group: int, eps: float
    ) -> Any:
        if not _suits(x, weight, bias):
            return NotImplemented
        length = x.size // (n * group)
        made, mean, root = forward(x, n * group, length, hw, group, weight, bias, eps)
        return made, mean.reshape(n, group), root.reshape(n, group)

    def group_norm_backward(
        grad: Any, x: Any, mean: Any, rstd: Any, weight: Any, n: int, c: int, hw: int,
        group: int, mask: Any,
    ) -> Any:  # fmt: skip
        if not _suits(x, weight) or grad.dtype != x.dtype:
            return NotImplemented
        mean, rstd = runtime.contiguous(mean), runtime.contiguous(rstd)
        made = by_weight = by_bias = None
        if mask[0]:
            length = x.size // (n * group)
            made = by_input(grad, x, n * group, length, hw, group, mean, rstd, weight)
        if mask[1] or mask[2]:
            _, by_weight, by_bias = _channel_sums(
                runtime,
                grad,
                x,
                (n, c, hw),
                group,
                mean,
                rstd,
                weight,
                mask,
                0.0,
                False,
            )
        return made, by_weight, by_bias

    return {
        "native_layer_norm": layer_norm,
        "native_layer_norm_backward": layer_norm_backward,
        "native_group_norm": group_norm,
        "native_group_norm_backward": group_norm_backward,
    }


# Channels in the middle.


def _parts(runtime: Runtime, channels: int, count: int, pack: int) -> tuple[int, int]:
    """How many parts a channel's elements are divided into, and elements of each."""
    parts = max(1, min(count // _SHARE, runtime.units * 4 // channels))
    share = -(-count // parts)
    share = -(-share // pack) * pack
    return -(-count // share), share


def _pack(host: Any, plane: int) -> int:
    pack = 16 // int(host.itemsize)
    while plane % pack:
        pack //= 2
    return pack


def _channel_constant(
    runtime: Runtime, d: _Definitions, sizes: tuple[int, int, int], groups: int,
    parts: tuple[int, int], eps: float, momentum: float, given: Any,
) -> Any:  # fmt: skip
    return runtime.constant(
        f"6q2{d.real}4i", *sizes, groups, *parts, eps, momentum,
        *[bool(g) for g in given],
    )  # fmt: skip


def _channel_sums(
    runtime: Runtime, grad: Any, x: Any, sizes: tuple[int, int, int], groups: int,
    mean: Any, root: Any, weight: Any, mask: Any, eps: float, variance: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """(sums by channel, gradients of weight and bias); ``variance``: root is one."""
    d = _Definitions(x, weight, mean)
    samples, channels, plane = sizes
    pack = _pack(x.dtype, plane)
    parts, share = _parts(runtime, channels, samples * plane, pack)
    names = d.names(pack, FROM_VARIANCE=int(variance))
    constant = _channel_constant(
        runtime, d, sizes, groups, (parts, share), eps, 0.0, (mask[1], mask[2], 0, 0)
    )
    partial = runtime.empty((channels, parts, 2), d.exact)
    grad, x = runtime.contiguous(grad), runtime.contiguous(x)
    launch = runtime.function("norm.cu", "channel_sums", **names)
    launch((channels, parts), (256,), (partial, grad, x, mean, root, constant))
    exact = runtime.empty((2, channels), d.exact)
    by_weight = runtime.empty((channels,), d.weight) if mask[1] else None
    by_bias = runtime.empty((channels,), d.weight) if mask[2] else None
    launch = runtime.function("norm.cu", "channel_gradients", **names)
    blocks = (-(-channels // 128),)
    launch(blocks, (128,), (exact, by_weight, by_bias, partial, constant))
    return exact, by_weight, by_bias


def _channels(runtime: Runtime) -> dict[str, Callable[..., Any]]:
    def sizes_of(x: Any) -> tuple[int, int, int]:
        return x.shape[0], x.shape[1], math.prod(x.shape[2:])

    def apply(
        d: _Definitions, x: Any, sizes: Any, mean: Any, root: Any, weight: Any,
        bias: Any, eps: float, variance: bool,
    ) -> Any:  # fmt: skip
        pack = _pack(x.dtype, sizes[2])
        made = runtime.empty(x.shape, x.dtype)
        names = d.names(pack, Q=STORAGE[mean.dtype], FROM_VARIANCE=int(variance))
        launch = runtime.function("norm.cu", "channel_apply", **names)
        constant = _channel_constant(
            runtime, d, sizes, 0, (1, 1), eps, 0.0,
            (weight is not None, bias is not None, 0, 0),
        )  # fmt: skip
        blocks = (-(-x.size // (pack * 256)),)
        launch(blocks, (256,), (made, x, mean, root, weight, bias, constant))
        return made

    def batch_norm(
        x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
        momentum: float, eps: float,
    ) -> Any:  # fmt: skip
        if x.ndim < 2 or not _suits(x, weight, bias, mean, var):
            return NotImplemented
        if not runtime.is_dense(x):
            return NotImplemented
        running = (mean, var)
        if any(t is not None and not runtime.is_dense(t) for t in running):
            return NotImplemented
        weight, bias = (
            None if t is None else runtime.contiguous(t) for t in (weight, bias)
        )
        sizes = sizes_of(x)
        channels = sizes[1]
        d = _Definitions(x, _first(weight, bias, mean, var))
        # As what is saved has it: of the weight, or of the running statistics.
        parameter = mean if weight is None else weight
        d.statistic = x.dtype if parameter is None else parameter.dtype
        if not training:
            made = apply(d, x, sizes, mean, var, weight, bias, eps, True)
            return made, runtime.empty((0,), x.dtype), runtime.empty((0,), x.dtype)
        pack = _pack(x.dtype, sizes[2])
        parts, share = _parts(runtime, channels, sizes[0] * sizes[2], pack)
        kept = _first(mean, var)
        names = d.names(pack, R=STORAGE[x.dtype if kept is None else kept.dtype])
        constant = _channel_constant(
            runtime, d, sizes, 0, (parts, share), eps, momentum,
            (0, 0, mean is not None, var is not None),
        )  # fmt: skip
        partial = runtime.empty((channels, parts, 3), d.exact)
        launch = runtime.function("norm.cu", "channel_moments", **names)
        launch((channels, parts), (256,), (partial, x, constant))
        exact = runtime.empty((2, channels), d.exact)
        saved = [runtime.empty((channels,), d.statistic) for _ in range(2)]
        launch = runtime.function("norm.cu", "channel_statistics", **names)
        blocks = (-(-channels // 128),)
        launch(blocks, (128,), (exact, *saved, mean, var, partial, constant))
        made = apply(d, x, sizes, exact[0], exact[1], weight, bias, eps, False)
        return made, *saved

    def batch_norm_backward(
        grad: Any, x: Any, weight: Any, running_mean: Any, running_var: Any, mean: Any,
        invstd: Any, train: bool, eps: float, mask: Any,
    ) -> Any:  # fmt: skip
        if x.ndim < 2 or grad.dtype != x.dtype or not runtime.is_dense(x):
            return NotImplemented
        if not train:
            mean, invstd = running_mean, running_var
        if not _suits(x, weight) or not _suits(x, mean, invstd):
            return NotImplemented
        mean, invstd = runtime.contiguous(mean), runtime.contiguous(invstd)
        weight = None if weight is None else runtime.contiguous(weight)
        grad = runtime.contiguous(grad)
        sizes = sizes_of(x)
        exact = by_weight = by_bias = made = None
        if train or mask[1] or mask[2]:
            exact, by_weight, by_bias = _channel_sums(
                runtime, grad, x, sizes, 0, mean, invstd, weight, mask, eps, not train
            )
        if mask[0]:
            d = _Definitions(x, weight, mean)
            pack = _pack(x.dtype, sizes[2])
            names = d.names(pack, FROM_VARIANCE=int(not train))
            launch = runtime.function("norm.cu", "channel_backward", **names)
            constant = _channel_constant(
                runtime, d, sizes, 0, (1, 1), eps, 0.0, (weight is not None, 0, 0, 0)
            )
            made = runtime.empty(x.shape, x.dtype)
            blocks = (-(-x.size // (pack * 256)),)
            launch(
                blocks, (256,), (made, grad, x, mean, invstd, weight, exact, constant)
            )
        return made, by_weight, by_bias

    return {
        "native_batch_norm": batch_norm,
        "native_batch_norm_backward": batch_norm_backward,
    }

"""Kernels of convolution and pooling, laid over their decompositions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(xp: Any) -> Kernels:
    """The convolution and pooling kernels of an array module."""
    kernels: Kernels = {}

    def kernel(name: str) -> Callable[..., Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            kernels[name] = (function, False)
            return function

        return add

    strided = xp.lib.stride_tricks.as_strided

    def columns(
        x: Any, size: Any, stride: Any, padding: Any, dilation: Any, out: Any
    ) -> Any:
        """(C * kernel, N * out): each column is a window."""
        n, c, *spatial = x.shape
        if any(padding):
            wide = xp.zeros(
                (n, c, *[s + 2 * p for s, p in zip(spatial, padding, strict=True)]), x.dtype
            )
            wide[(slice(None), slice(None), *[
                slice(p, p + s) for s, p in zip(spatial, padding, strict=True)
            ])] = x
            x = wide
        steps = x.strides
        inner = [s * d for s, d in zip(steps[2:], dilation, strict=True)]
        outer = [s * t for s, t in zip(steps[2:], stride, strict=True)]
        view = strided(
            x, (c, *size, n, *out), (steps[1], *inner, steps[0], *outer), writeable=False
        )
        rows = c
        for k in size:
            rows *= k
        return view.reshape(rows, -1)

    def half(x: Any) -> bool:
        return x.dtype.itemsize == 2

    def sizes_out(x: Any, size: Any, stride: Any, padding: Any, dilation: Any) -> list[int]:
        return [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(x.shape[2:], size, stride, padding, dilation, strict=True)
        ]

    @kernel("_conv")
    def conv(
        x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Any:
        if half(x):
            wide = conv(x.astype("float32"), weight.astype("float32"), stride, padding,
                        dilation, groups)
            return wide.astype(x.dtype)
        size = weight.shape[2:]
        out = sizes_out(x, size, stride, padding, dilation)
        n, o = x.shape[0], weight.shape[0]
        if x.size == 0 or weight.size == 0:
            return xp.zeros((n, o, *out), x.dtype)
        flat = columns(x, size, stride, padding, dilation, out)
        if groups == 1:
            made = weight.reshape(o, -1) @ flat
        else:
            made = xp.matmul(
                weight.reshape(groups, o // groups, -1),
                flat.reshape(groups, flat.shape[0] // groups, -1),
            )
        made = made.reshape(o, n, *out)
        return xp.ascontiguousarray(xp.swapaxes(made, 0, 1))

    @kernel("_conv_weight")
    def conv_weight(
        grad: Any, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Any:
        if half(x):
            wide = conv_weight(grad.astype("float32"), x.astype("float32"), size, stride,
                               padding, dilation, groups)
            return wide.astype(x.dtype)
        o, c = grad.shape[1], x.shape[1]
        if grad.size == 0 or x.size == 0:
            return xp.zeros((o, c // groups, *size), x.dtype)
        flat = columns(x, size, stride, padding, dilation, grad.shape[2:])
        g = xp.swapaxes(grad, 0, 1).reshape(groups, o // groups, -1)
        made = xp.matmul(g, xp.swapaxes(flat.reshape(groups, flat.shape[0] // groups, -1), 1, 2))
        return made.reshape(o, c // groups, *size)

    @kernel("_conv_input")
    def conv_input(
        grad: Any, weight: Any, sizes: Any, stride: Any, padding: Any, dilation: Any,
        groups: int,
    ) -> Any:
        if half(grad):
            wide = conv_input(grad.astype("float32"), weight.astype("float32"), sizes,
                              stride, padding, dilation, groups)
            return wide.astype(grad.dtype)
        size = weight.shape[2:]
        n, o, *out = grad.shape
        c = weight.shape[1] * groups
        wide = xp.zeros(
            (c, n, *[s + 2 * p for s, p in zip(sizes, padding, strict=True)]), grad.dtype
        )
        if grad.size and weight.size:
            g = xp.swapaxes(grad, 0, 1).reshape(groups, o // groups, -1)
            w = xp.swapaxes(weight.reshape(groups, o // groups, -1), 1, 2)
            parts = xp.matmul(w, g).reshape(c, *size, n, *out)
            for place in itertools.product(*[range(k) for k in size]):
                window = tuple(
                    slice(i * d, i * d + (m - 1) * s + 1, s)
                    for i, d, m, s in zip(place, dilation, out, stride, strict=True)
                )
                wide[(slice(None), slice(None), *window)] += parts[(slice(None), *place)]
        inside = tuple(slice(p, p + s) for s, p in zip(sizes, padding, strict=True))
        made = wide[(slice(None), slice(None), *inside)]
        return xp.ascontiguousarray(xp.swapaxes(made, 0, 1))

    return kernels

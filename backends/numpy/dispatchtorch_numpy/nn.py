"""Kernels of convolution and pooling, laid over their decompositions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

#: Convolutions are done sample by sample where windows have so many elements each, and
#: all of a sample's together are worth a product of their own and stay in cache.
_ROWS, _LEAST, _CACHED = 128, 1 << 17, 1 << 19

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

    def regular(x: Any) -> Any:
        """A row-major array whose strides are regular in dims of size 1 too."""
        return xp.ascontiguousarray(x).reshape(-1).reshape(x.shape)

    def columns(
        x: Any, size: Any, stride: Any, padding: Any, dilation: Any, out: Any
    ) -> Any:
        """(C * kernel, N * out): each column is a window."""
        n, c, *spatial = x.shape
        if any(padding):
            wide = xp.zeros(
                (n, c, *[s + 2 * p for s, p in zip(spatial, padding, strict=True)]),
                x.dtype,
            )
            wide[
                (
                    slice(None),
                    slice(None),
                    *[slice(p, p + s) for s, p in zip(spatial, padding, strict=True)],
                )
            ] = x
            x = wide
        steps = x.strides
        inner = [s * d for s, d in zip(steps[2:], dilation, strict=True)]
        outer = [s * t for s, t in zip(steps[2:], stride, strict=True)]
        view = strided(
            x,
            (c, *size, n, *out),
            (steps[1], *inner, steps[0], *outer),
            writeable=False,
        )
        rows = c
        for k in size:
            rows *= k
        return view.reshape(rows, -1)

    def half(x: Any) -> bool:
        return x.dtype.itemsize == 2

    def sizes_out(
        x: Any, size: Any, stride: Any, padding: Any, dilation: Any
    ) -> list[int]:
        return [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                x.shape[2:], size, stride, padding, dilation, strict=True
            )
        ]

    def by_samples(
        x: Any,
        weight: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        out: Any,
    ) -> Any:
        """A convolution whose windows stay in cache: those of one sample at a time."""
        size = weight.shape[2:]
        n, c = x.shape[:2]
        o = weight.shape[0]
        wide = reaching(x, size, stride, padding, dilation, out, 0)
        matrix = weight.reshape(groups, o // groups, -1)
        made = xp.empty((n, o, *out), x.dtype)
        targets = made.reshape(n, groups, o // groups, -1)
        places = list(itertools.product(*[range(k) for k in size]))

        held = xp.empty((c, *size, *out), x.dtype)
        flat = held.reshape(groups, matrix.shape[2], -1)
        for i in range(n):
            sample = wide[i : i + 1]
            for place in places:
                held[(slice(None), *place)] = shifted(
                    sample, place, stride, dilation, out
                )[0]
            xp.matmul(matrix, flat, out=targets[i])
        return made

    @kernel("_conv")
    def conv(
        x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Any:
        if half(x):
            wide = conv(
                x.astype("float32"),
                weight.astype("float32"),
                stride,
                padding,
                dilation,
                groups,
            )
            return wide.astype(x.dtype)
        size = weight.shape[2:]
        out = sizes_out(x, size, stride, padding, dilation)
        n, o = x.shape[0], weight.shape[0]
        if x.size == 0 or weight.size == 0:
            return xp.zeros((n, o, *out), x.dtype)
        rows = x.shape[1] * math.prod(size)
        if rows >= _ROWS and _LEAST <= rows * math.prod(out) <= _CACHED:
            return by_samples(x, weight, stride, padding, dilation, groups, out)
        flat = columns(x, size, stride, padding, dilation, out)
        if groups == 1:
            made = weight.reshape(o, -1) @ flat
        else:
            made = xp.matmul(
                weight.reshape(groups, o // groups, -1),
                flat.reshape(groups, flat.shape[0] // groups, -1),
            )
        made = made.reshape(o, n, *out)
        return regular(xp.swapaxes(made, 0, 1))

    @kernel("_conv_weight")
    def conv_weight(
        grad: Any,
        x: Any,
        size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> Any:
        if half(x):
            wide = conv_weight(
                grad.astype("float32"),
                x.astype("float32"),
                size,
                stride,
                padding,
                dilation,
                groups,
            )
            return wide.astype(x.dtype)
        o, c = grad.shape[1], x.shape[1]
        if grad.size == 0 or x.size == 0:
            return xp.zeros((o, c // groups, *size), x.dtype)
        flat = columns(x, size, stride, padding, dilation, grad.shape[2:])
        g = xp.swapaxes(grad, 0, 1).reshape(groups, o // groups, -1)
        made = xp.matmul(
            g, xp.swapaxes(flat.reshape(groups, flat.shape[0] // groups, -1), 1, 2)
        )
        return made.reshape(o, c // groups, *size)

    @kernel("_conv_input")
    def conv_input(
        grad: Any,
        weight: Any,
        sizes: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> Any:
        if half(grad):
            wide = conv_input(
                grad.astype("float32"),
                weight.astype("float32"),
                sizes,
                stride,
                padding,
                dilation,
                groups,
            )
            return wide.astype(grad.dtype)
        size = weight.shape[2:]
        n, o, *out = grad.shape
        c = weight.shape[1] * groups
        wide = xp.zeros(
            (c, n, *[s + 2 * p for s, p in zip(sizes, padding, strict=True)]),
            grad.dtype,
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
                wide[(slice(None), slice(None), *window)] += parts[
                    (slice(None), *place)
                ]
        inside = tuple(slice(p, p + s) for s, p in zip(sizes, padding, strict=True))
        made = wide[(slice(None), slice(None), *inside)]
        return regular(xp.swapaxes(made, 0, 1))

    def shifted(x: Any, place: Any, stride: Any, dilation: Any, out: Any) -> Any:
        """The elements of a padded input at one place of every window."""
        window = tuple(
            slice(i * d, i * d + (m - 1) * s + 1, s)
            for i, d, m, s in zip(place, dilation, out, stride, strict=True)
        )
        return x[(slice(None), slice(None), *window)]

    def reaching(
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        out: Any,
        value: Any,
    ) -> Any:
        sizes = [
            max(n + 2 * p, (m - 1) * s + d * (k - 1) + 1)
            for n, p, m, s, d, k in zip(
                x.shape[2:], padding, out, stride, dilation, kernel, strict=True
            )
        ]
        if sizes == list(x.shape[2:]):
            return x
        wide = xp.full((*x.shape[:2], *sizes), value, x.dtype)
        inside = tuple(
            slice(p, p + n) for p, n in zip(padding, x.shape[2:], strict=True)
        )
        wide[(slice(None), slice(None), *inside)] = x
        return wide

    def formatted(made: Any, batched: bool, last: bool) -> Any:
        """A result without the batch that it was given, or with its channels last."""
        if not batched:
            return made[0]
        if last:
            return xp.moveaxis(regular(xp.moveaxis(made, 1, -1)), -1, 1)
        return made

    def max_pool(
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        out: Any,
        last: bool,
    ) -> Any:
        if x.dtype.kind not in "fiu":
            return NotImplemented
        batched = x.ndim == len(kernel) + 2
        x = x if batched else x[None]
        least = -xp.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
        wide = reaching(x, kernel, stride, padding, dilation, out, least)
        sizes = x.shape[2:]
        parts = []
        for place in itertools.product(*[range(k) for k in kernel]):
            # The place of this window element in the flat input, less the window's own.
            step = 0
            for i, d, n in zip(place, dilation, sizes, strict=True):
                step = step * n + i * d
            parts.append((shifted(wide, place, stride, dilation, out), step))
        values = parts[0][0].copy()
        for part, _ in parts[1:]:
            xp.maximum(values, part, out=values)
        at = xp.full(values.shape, parts[-1][1], "int64")
        # The first that is equal counts; of NaN, the last.
        for part, step in reversed(parts[:-1]):
            xp.copyto(at, step, where=part == values)
        if any(padding) and (values == least).any():
            # Padding isn't part of the input, though equal to its least number.
            inner = xp.ones((1, 1, *sizes), bool)
            inner = reaching(inner, kernel, stride, padding, dilation, out, False)
            places = itertools.product(*[range(k) for k in kernel])
            for (part, step), place in reversed(list(zip(parts, places, strict=True))):
                own = shifted(inner, place, stride, dilation, out)
                xp.copyto(at, step, where=(part == values) & own)
        nan = values != values if x.dtype.kind == "f" else None
        if nan is not None and nan.any():
            for part, step in parts:
                xp.copyto(at, step, where=part != part)
        flat = xp.zeros((1,) * len(out), "int64")
        for i, (m, s, p, n) in enumerate(zip(out, stride, padding, sizes, strict=True)):
            line = (xp.arange(m) * s - p).reshape((-1,) + (1,) * (len(out) - 1 - i))
            flat = flat * n + line
        at += flat
        return formatted(values, batched, last), formatted(at, batched, last)

    def avg_pool(
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        out: Any,
        last: bool,
        include_pad: bool,
        divisor: Any,
    ) -> Any:
        if divisor is None and any(padding):
            return NotImplemented
        batched = x.ndim == len(kernel) + 2
        x = x if batched else x[None]
        one = (1,) * len(kernel)
        if (
            any(
                (m - 1) * s + k > n
                for m, s, k, n in zip(out, stride, kernel, x.shape[2:], strict=True)
            )
            or x.dtype.kind != "f"
            or half(x)
        ):
            return NotImplemented
        wide = reaching(x, kernel, stride, padding, one, out, 0)
        made: Any = None
        count = 1
        for k in kernel:
            count *= k
        for place in itertools.product(*[range(k) for k in kernel]):
            part = shifted(wide, place, stride, one, out)
            made = part.copy() if made is None else xp.add(made, part, out=made)
        made /= x.dtype.type(count if divisor is None else divisor)
        return formatted(made, batched, last)

    for dims in (2, 3):
        kernels[f"_max_pool{dims}d"] = (max_pool, False)
        kernels[f"_avg_pool{dims}d"] = (avg_pool, False)
    return kernels

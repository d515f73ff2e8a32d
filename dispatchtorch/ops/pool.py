"""Pooling: windows of an input, and what is kept of each."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import as_ints, numel_of, torch
from dispatchtorch.ops.creation import from_host
from dispatchtorch.ops.conv import _places, _slice, padded, windows

_PLAIN = Plain(has_out=False)


def spread(value: Any, dims: int, name: str) -> tuple[int, ...]:
    """An int list argument of one entry or one for each spatial dim."""
    values = as_ints(value)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        words = {1: "a single int", 2: "a single int, or a tuple of two ints",
                 3: "a single int, or a tuple of three ints"}[dims]
        raise RuntimeError(f"{name} must either be {words}")
    return values


def pooled_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """The number of windows along a dim; the last must begin inside the input."""
    reach = n + 2 * p - d * (k - 1) - 1
    size = (-(-reach // s) if ceil_mode else reach // s) + 1
    if ceil_mode and (size - 1) * s >= n + p:
        size -= 1
    return size


class _Window:
    """The checked geometry of a pooling call."""

    __slots__ = ("dilation", "kernel", "out", "padding", "stride", "unbatched", "x")

    def __init__(self, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any,
                 ceil_mode: bool, dims: int, name: str) -> None:
        self.kernel = spread(kernel, dims, f"{name}: kernel_size")
        given = stride is not None and as_ints(stride) != ()
        self.stride = spread(stride, dims, f"{name}: stride") if given else self.kernel
        self.padding = spread(padding, dims, f"{name}: padding")
        self.dilation = spread(dilation, dims, f"{name}: dilation")
        if any(s <= 0 for s in self.stride):
            raise RuntimeError("stride should not be zero")
        if any(k <= 0 for k in self.kernel):
            raise RuntimeError("kernel size should be greater than zero")
        for k, p, d in zip(self.kernel, self.padding, self.dilation, strict=True):
            if p < 0:
                raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
            if p > (d * (k - 1) + 1) // 2:
                raise RuntimeError(
                    "pad should be at most half of effective kernel size, but got "
                    f"pad={p}, kernel_size={k} and dilation={d}"
                )
        if x.ndim not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor "
                f"with optional 0 dim batch size for input, but got: {list(x._shape)}"
                if dims == 1 else
                f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for "
                "input"
            )
        self.unbatched = x.ndim == dims + 1
        self.x = x.unsqueeze(0) if self.unbatched else x
        sizes = self.x._shape[2:]
        self.out = tuple(
            pooled_size(n, k, s, p, d, ceil_mode)
            for n, k, s, p, d in zip(sizes, self.kernel, self.stride, self.padding,
                                     self.dilation, strict=True)
        )
        if any(n <= 0 for n in self.out):
            given_sizes = "x".join(map(str, self.x._shape[1:]))
            found = "x".join(map(str, (self.x._shape[1], *self.out)))
            raise RuntimeError(
                f"Given input size: ({given_sizes}). Calculated output size: ({found}). "
                "Output size is too small"
            )


_POOL = ("int[] kernel, int[] stride, int[] padding, int[] dilation, int[] out")


def _max_pool(self, kernel, stride, padding, dilation, out):
    """Each window's maximum and its place in the flattened spatial dims."""
    sizes = self._shape[2:]
    least = _least(self.dtype)
    wide = _reaching(self, kernel, stride, padding, dilation, out, least)
    view = windows(wide, kernel, stride, dilation)
    for i, n in enumerate(out):
        view = view.narrow(2 + len(kernel) + i, 0, n)
    n, c = self._shape[:2]
    flat = view.reshape((n, c, numel_of(kernel), *out))
    at = flat.argmax(2)
    values = flat.gather(2, at.unsqueeze(2)).squeeze(2)
    place = torch.zeros_like(at)
    rest = at
    coordinates = []
    for k in reversed(kernel):
        coordinates.append(torch.remainder(rest, k))
        rest = torch.floor_divide(rest, k)
    for i, coordinate in enumerate(reversed(coordinates)):
        start = torch.arange(out[i], device=self.device) * stride[i] - padding[i]
        shape = [1] * place.ndim
        shape[2 + i] = out[i]
        place = place * sizes[i] + coordinate * dilation[i] + start.reshape(shape)
    return values, place


def _least(d: dtypes.dtype) -> Any:
    if d.is_floating_point:
        return float("-inf")
    return False if d is dtypes.bool else dtypes.iinfo(d).min


def _reaching(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any,
              value: Any) -> Any:
    """The padded input, made longer where windows reach past its end."""
    x = padded(x, padding, value)
    for i, n in enumerate(x._shape[2:]):
        need = (out[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
        if need > n:
            shape = list(x._shape)
            shape[2 + i] = need - n
            x = torch.cat([x, x.new_full(shape, value)], 2 + i)
    return x


def _max_pool_backward(grad, self, indices):
    n, c, *sizes = self._shape
    flat = grad.reshape((n, c, numel_of(grad._shape[2:])))
    made = grad.new_zeros((n, c, numel_of(sizes)))
    made = made.scatter_add(2, indices.reshape(flat._shape), flat)
    return made.reshape(self._shape)


def _declare_max(dims: int) -> None:
    name = f"max_pool{dims}d"
    native = operator(
        f"_{name}(Tensor self, {_POOL}) -> (Tensor values, Tensor indices)",
        lift=_PLAIN,
        variants="private",
    )(_max_pool)
    derive(
        native,
        name_=f"MaxPool{max(dims, 2)}DWithIndicesBackward0",
        outputs_=(0,),
        self=lambda grad, self, indices: _max_pool_backward(grad, self, indices),
    )

    def with_indices(self, kernel_size, stride=(), padding=0, dilation=1,  # type: ignore[no-untyped-def]
                     ceil_mode=False):
        w = _Window(self, kernel_size, stride, padding, dilation, ceil_mode, dims, name)
        values, indices = native(w.x, w.kernel, w.stride, w.padding, w.dilation, w.out)
        if w.unbatched:
            return values.squeeze(0), indices.squeeze(0)
        return values, indices

    def values_only(self, kernel_size, stride=(), padding=0, dilation=1,  # type: ignore[no-untyped-def]
                    ceil_mode=False):
        return with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)[0]

    with_indices.__doc__ = "Each window's maximum, and its place in the input."
    values_only.__doc__ = "Each window's maximum."
    arguments = (
        f"(Tensor self, int[{dims}] kernel_size, int[{dims}] stride=[], "
        f"int[{dims}] padding=0, int[{dims}] dilation=1, bool ceil_mode=False)"
    )
    operator(f"{name}_with_indices{arguments} -> (Tensor, Tensor)",
             variants="function")(with_indices)
    operator(f"{name}{arguments} -> Tensor", variants="function nn")(values_only)


# Means of windows.


def _counts(sizes: Any, kernel: Any, stride: Any, padding: Any, out: Any,
            include_pad: bool) -> list[list[int]]:
    """How many elements of each dim count in each window."""
    made = []
    for n, k, s, p, o in zip(sizes, kernel, stride, padding, out, strict=True):
        row = []
        for i in range(o):
            start = i * s - p
            end = min(start + k, n + p)
            row.append(
                end - start if include_pad else min(end, n) - max(start, 0)
            )
        made.append(row)
    return made


def _line(like: Any, row: list[int]) -> Any:
    import numpy as np

    return from_host(np.asarray(row), like.dtype, like.device, False)


def _divisors(self: Any, counts: list[list[int]], divisor: int | None) -> Any:
    """What each window's sum is divided by."""
    if divisor is not None:
        return divisor
    dims = len(counts)
    if all(len(set(row)) == 1 for row in counts):
        return numel_of([row[0] for row in counts])
    made = None
    for i, row in enumerate(counts):
        shape = [1] * dims
        shape[i] = len(row)
        line = _line(self, row).reshape(shape)
        made = line if made is None else made * line
    return made


def _sum_windows(x: Any, kernel: Any, stride: Any, out: Any) -> Any:
    """The sums of the windows of a padded input, one shifted slice at a time."""
    made = None
    for place in _places(kernel):
        part = x
        for i, at in enumerate(place):
            part = _slice(part, 2 + i, at, at + (out[i] - 1) * stride[i] + 1, stride[i])
        made = part.clone() if made is None else made.add_(part)
    return made


_AVG = _POOL.replace("int[] dilation, ", "")


def _avg_pool(self, kernel, stride, padding, out, include_pad, divisor):
    """The mean of each window."""
    one = (1,) * len(kernel)
    wide = _reaching(self, kernel, stride, padding, one, out, 0)
    counts = _counts(self._shape[2:], kernel, stride, padding, out, include_pad)
    return _sum_windows(wide, kernel, stride, out) / _divisors(self, counts, divisor)


def _avg_pool_backward(grad, self, kernel, stride, padding, out, include_pad, divisor):
    sizes = self._shape[2:]
    counts = _counts(sizes, kernel, stride, padding, out, include_pad)
    part = grad / _divisors(grad, counts, divisor)
    reach = [
        max(n + 2 * p, (o - 1) * s + k)
        for n, p, o, s, k in zip(sizes, padding, out, stride, kernel, strict=True)
    ]
    made = grad.new_zeros((*self._shape[:2], *reach))
    for place in _places(kernel):
        target = made
        for i, at in enumerate(place):
            target = _slice(target, 2 + i, at, at + (out[i] - 1) * stride[i] + 1,
                            stride[i])
        target.add_(part)
    for i, (n, p) in enumerate(zip(sizes, padding, strict=True)):
        made = made.narrow(2 + i, p, n)
    return made.contiguous()


def _declare_avg(dims: int) -> None:
    name = f"avg_pool{dims}d"
    native = operator(
        f"_{name}(Tensor self, {_AVG}, bool include_pad, int? divisor) -> Tensor",
        lift=_PLAIN,
        variants="private",
    )(_avg_pool)
    derive(
        native,
        name_=f"AvgPool{max(dims, 2)}DBackward0",
        self=lambda grad, self, kernel, stride, padding, out, include_pad, divisor: (
            _avg_pool_backward(
                grad, self, kernel, stride, padding, out, include_pad, divisor
            )
        ),
    )

    def body(self, kernel_size, stride=(), padding=0, ceil_mode=False,  # type: ignore[no-untyped-def]
             count_include_pad=True, divisor_override=None):
        w = _Window(self, kernel_size, stride, padding, 1, ceil_mode, dims, name)
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        made = native(w.x, w.kernel, w.stride, w.padding, w.out, count_include_pad,
                      divisor_override)
        return made.squeeze(0) if w.unbatched else made

    def body_one(self, kernel_size, stride=(), padding=0, ceil_mode=False,  # type: ignore[no-untyped-def]
                 count_include_pad=True):
        return body(self, kernel_size, stride, padding, ceil_mode, count_include_pad)

    body.__doc__ = body_one.__doc__ = "The mean of each window."
    extra = ", int? divisor_override=None" if dims > 1 else ""
    operator(
        f"{name}(Tensor self, int[{dims}] kernel_size, int[{dims}] stride=[], "
        f"int[{dims}] padding=0, bool ceil_mode=False, bool count_include_pad=True"
        f"{extra}) -> Tensor",
        variants="function nn",
    )(body if dims > 1 else body_one)


# Adaptive pooling: windows that tile a dim into a given number of pieces.


def adaptive_bounds(size: int, count: int) -> list[tuple[int, int]]:
    """The (start, end) of each of ``count`` windows of a dim."""
    return [
        (i * size // count, -(-(i + 1) * size // count)) for i in range(count)
    ]


def _adaptive_sizes(x: Any, output_size: Any, dims: int, name: str) -> tuple[int, ...]:
    values = output_size if isinstance(output_size, (tuple, list)) else (
        (output_size,) * dims
    )
    if len(values) != dims:
        raise RuntimeError(f"{name}: output_size must be {dims}")
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got "
            f"{list(x._shape)}"
        )
    sizes = x._shape[-dims:]
    return tuple(n if v is None else v for v, n in zip(values, sizes, strict=True))


def _declare_adaptive(dims: int) -> None:
    def avg(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, dims, f"adaptive_avg_pool{dims}d")
        made = self
        for i, count in enumerate(sizes):
            made = _adaptive_mean(made, made.ndim - dims + i, count)
        return made

    avg.__doc__ = "The means of windows that tile each spatial dim."
    operator(
        f"adaptive_avg_pool{dims}d(Tensor self, int[{dims}] output_size) -> Tensor",
        variants="function nn",
    )(avg)

    def pick(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, dims, f"adaptive_max_pool{dims}d")
        x = self.unsqueeze(0) if self.ndim == dims + 1 else self
        values, places = _adaptive_max(x, sizes)
        if self.ndim == dims + 1:
            return values.squeeze(0), places.squeeze(0)
        return values, places

    pick.__doc__ = "The maxima of windows that tile each spatial dim, and their places."
    operator(
        f"adaptive_max_pool{dims}d(Tensor self, int[{dims}] output_size) -> "
        "(Tensor, Tensor)",
        variants="function",
    )(pick)


def _adaptive_mean(x: Any, dim: int, count: int) -> Any:
    size = x._shape[dim]
    if count and size % count == 0:
        shape = x._shape
        split = x.reshape((*shape[:dim], count, size // count, *shape[dim + 1 :]))
        return split.mean(dim + 1)
    parts = [
        x.narrow(dim, a, b - a).mean(dim, keepdim=True)
        for a, b in adaptive_bounds(size, count)
    ]
    if not parts:
        return x.narrow(dim, 0, 0)
    return torch.cat(parts, dim)


def _adaptive_max(x: Any, counts: tuple[int, ...]) -> tuple[Any, Any]:
    """One dim after the other, carrying along where the maxima lie."""
    sizes = x._shape[2:]
    total = numel_of(sizes)
    places = torch.arange(total, device=x.device).reshape((1, 1, *sizes))
    places = places.expand(x._shape)
    values = x
    for i, count in enumerate(counts):
        dim = 2 + i
        found, kept = [], []
        for a, b in adaptive_bounds(values._shape[dim], count):
            part = values.narrow(dim, a, b - a)
            best = part.max(dim, keepdim=True)
            found.append(best[0])
            kept.append(places.narrow(dim, a, b - a).gather(dim, best[1]))
        values, places = torch.cat(found, dim), torch.cat(kept, dim)
    return values, places


for _dims in (1, 2, 3):
    _declare_max(_dims)
    _declare_avg(_dims)
    _declare_adaptive(_dims)

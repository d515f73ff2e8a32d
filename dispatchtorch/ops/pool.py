"""Pooling: windows of an input, and what is kept of each."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import as_ints, numel_of, scalar_type_name, torch
from dispatchtorch.ops._precision import half
from dispatchtorch.ops.conv import _places, _slice, padded, windows
from dispatchtorch.ops.padding import int_line, line

_PLAIN = Plain(has_out=False)


def spread(value: Any, dims: int, name: str) -> tuple[int, ...]:
    """An int list argument of one entry or one for each spatial dim."""
    values = as_ints(value)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        words = {
            1: "a single int",
            2: "a single int, or a tuple of two ints",
            3: "a single int, or a tuple of three ints",
        }[dims]
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

    def __init__(
        self,
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: bool,
        dims: int,
        name: str,
    ) -> None:
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
                if dims == 1
                else f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for "
                "input"
            )
        self.unbatched = x.ndim == dims + 1
        self.x = x.unsqueeze(0) if self.unbatched else x
        sizes = self.x._shape[2:]
        self.out = tuple(
            pooled_size(n, k, s, p, d, ceil_mode)
            for n, k, s, p, d in zip(
                sizes,
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        )
        if any(n <= 0 for n in self.out):
            given_sizes = "x".join(map(str, self.x._shape[1:]))
            found = "x".join(map(str, (self.x._shape[1], *self.out)))
            raise RuntimeError(
                f"Given input size: ({given_sizes}). Calculated output size: ({found}). "
                "Output size is too small"
            )


_POOL = "int[] kernel, int[] stride, int[] padding, int[] dilation, int[] out"


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


def _reaching(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any, value: Any
) -> Any:
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

    def with_indices(
        self,
        kernel_size,
        stride=(),
        padding=0,
        dilation=1,  # type: ignore[no-untyped-def]
        ceil_mode=False,
    ):
        w = _Window(self, kernel_size, stride, padding, dilation, ceil_mode, dims, name)
        values, indices = native(w.x, w.kernel, w.stride, w.padding, w.dilation, w.out)
        if w.unbatched:
            return values.squeeze(0), indices.squeeze(0)
        return values, indices

    def values_only(
        self,
        kernel_size,
        stride=(),
        padding=0,
        dilation=1,  # type: ignore[no-untyped-def]
        ceil_mode=False,
    ):
        return with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)[0]

    with_indices.__doc__ = "Each window's maximum, and its place in the input."
    values_only.__doc__ = "Each window's maximum."
    arguments = (
        f"(Tensor self, int[{dims}] kernel_size, int[{dims}] stride=[], "
        f"int[{dims}] padding=0, int[{dims}] dilation=1, bool ceil_mode=False)"
    )
    operator(
        f"{name}_with_indices{arguments} -> (Tensor, Tensor)", variants="function"
    )(with_indices)
    operator(f"{name}{arguments} -> Tensor", variants="function nn")(values_only)


# Means of windows.


def _counts(
    sizes: Any, kernel: Any, stride: Any, padding: Any, out: Any, include_pad: bool
) -> list[list[int]]:
    """How many elements of each dim count in each window."""
    made = []
    for n, k, s, p, o in zip(sizes, kernel, stride, padding, out, strict=True):
        row = []
        for i in range(o):
            start = i * s - p
            end = min(start + k, n + p)
            row.append(end - start if include_pad else min(end, n) - max(start, 0))
        made.append(row)
    return made


def _line(like: Any, row: list[int]) -> Any:
    return line(like, row, like.dtype)


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
            target = _slice(
                target, 2 + i, at, at + (out[i] - 1) * stride[i] + 1, stride[i]
            )
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

    def body(
        self,
        kernel_size,
        stride=(),
        padding=0,
        ceil_mode=False,  # type: ignore[no-untyped-def]
        count_include_pad=True,
        divisor_override=None,
    ):
        w = _Window(self, kernel_size, stride, padding, 1, ceil_mode, dims, name)
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        made = native(
            w.x,
            w.kernel,
            w.stride,
            w.padding,
            w.out,
            count_include_pad,
            divisor_override,
        )
        return made.squeeze(0) if w.unbatched else made

    def body_one(
        self,
        kernel_size,
        stride=(),
        padding=0,
        ceil_mode=False,  # type: ignore[no-untyped-def]
        count_include_pad=True,
    ):
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
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive_sizes(x: Any, output_size: Any, dims: int, way: str) -> tuple[int, ...]:
    name = f"adaptive_{way}_pool{dims}d"
    values = as_ints(output_size)
    values = values * dims if len(values) == 1 else values
    if len(values) != dims:
        raise RuntimeError(
            f"{name}: output_size must be {dims}"
            if way == "avg"
            else f"{name}(): internal error: output_size.size() must be {dims}"
        )
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got"
            f"{':' if way == 'max' else ''} {list(x._shape)}"
        )
    for i, n in enumerate(x._shape[-dims:], x.ndim - dims):
        if n == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch "
                f"dimensions, but input has sizes {list(x._shape)} with dimension {i} "
                "being empty"
            )
    if min(values) < 0 and way == "max":
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(values)}: "
            f"{[*x._shape[:-dims], *values]}"
        )
    if min(values) < 0:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but "
            f"received {{{', '.join(map(str, values))}}}"
        )
    return values


def _pooled(x: Any, sizes: Any) -> Any:
    for i, count in enumerate(sizes):
        x = _adaptive_mean(x, x.ndim - len(sizes) + i, count)
    return x


def _unpooled(grad: Any, sizes: Any, dims: int) -> Any:
    """The gradient of the means: each goes in equal parts to all of its window."""
    made = grad
    for dim in range(grad.ndim - dims, grad.ndim):
        bounds = adaptive_bounds(sizes[dim], grad._shape[dim])
        counts = [b - a for a, b in bounds]
        shape = [1] * grad.ndim
        shape[dim] = len(counts)
        part = made / _line(grad, counts).reshape(shape)
        source = [i for i, n in enumerate(counts) for _ in range(n)]
        place = [j for a, b in bounds for j in range(a, b)]
        wide = list(made._shape)
        wide[dim] = sizes[dim]
        made = made.new_zeros(wide).index_add(
            dim, int_line(grad, place), part.index_select(dim, int_line(grad, source))
        )
    return made


def _declare_adaptive(dims: int) -> None:
    means = operator(
        f"_adaptive_avg_pool{dims}d(Tensor self, int[] output_size) -> Tensor",
        variants="private",
    )(lambda self, output_size: _pooled(self, output_size))
    derive(
        means,
        name_=f"AdaptiveAvgPool{dims}DBackward0",
        self=lambda grad, self_sizes: _unpooled(grad, self_sizes, dims),
    )
    maxima = operator(
        f"_adaptive_max_pool{dims}d(Tensor self, int[] output_size) -> "
        "(Tensor values, Tensor indices)",
        variants="private",
        tags="tuple",
    )(lambda self, output_size: _adaptive_max(self, output_size))
    derive(
        maxima,
        name_=f"AdaptiveMaxPool{dims}DBackward0",
        outputs_=(0,),
        self=lambda grad, self_sizes, indices: _scattered(
            grad, self_sizes, indices, dims
        ),
    )

    def avg(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, dims, "avg")
        if all(n == 1 for n in sizes):
            return self.mean(tuple(range(-dims, 0)), True)
        return means(self, sizes)

    def pick(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, dims, "max")
        return maxima(self, sizes)

    avg.__doc__ = "The means of windows that tile each spatial dim."
    pick.__doc__ = "The maxima of windows that tile each spatial dim, and their places."
    _adaptive(dims, avg, pick)


def _declare_adaptive_lines() -> None:
    """One spatial dim is two, the first of size 1."""

    def avg(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, 1, "avg")
        return torch.adaptive_avg_pool2d(self.unsqueeze(-2), (1, *sizes)).squeeze(-2)

    def pick(self, output_size):  # type: ignore[no-untyped-def]
        sizes = _adaptive_sizes(self, output_size, 1, "max")
        values, places = torch.adaptive_max_pool2d(self.unsqueeze(-2), (1, *sizes))
        return values.squeeze(-2), places.squeeze(-2)

    avg.__doc__ = "The means of windows that tile the last dim."
    pick.__doc__ = "The maxima of windows that tile the last dim, and their places."
    _adaptive(1, avg, pick)


def _adaptive(dims: int, avg: Any, pick: Any) -> None:
    variants = "function" if dims == 1 else "nn"
    operator(
        f"adaptive_avg_pool{dims}d(Tensor self, int[{dims}] output_size) -> Tensor",
        variants=variants + " nn",
    )(avg)
    operator(
        f"adaptive_max_pool{dims}d(Tensor self, int[{dims}] output_size) -> "
        "(Tensor, Tensor)",
        variants=variants,
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
    lead = x.ndim - len(counts)
    sizes = x._shape[lead:]
    total = numel_of(sizes)
    places = torch.arange(total, device=x.device).reshape((*[1] * lead, *sizes))
    places = places.expand(x._shape)
    values = x
    for i, count in enumerate(counts):
        dim = lead + i
        found, kept = [], []
        for a, b in adaptive_bounds(values._shape[dim], count):
            part = values.narrow(dim, a, b - a)
            best = part.max(dim, keepdim=True)
            found.append(best[0])
            kept.append(places.narrow(dim, a, b - a).gather(dim, best[1]))
        values, places = torch.cat(found, dim), torch.cat(kept, dim)
    return values, places


# Undoing maxima: values put back where they were found.


def _check_unpool(x: Any, indices: Any, output_size: Any, dims: int) -> tuple[int, ...]:
    sizes = as_ints(output_size)
    if indices.dtype is not dtypes.int64:
        got = f" but got: {scalar_type_name(indices.dtype)}" if dims == 2 else ""
        raise RuntimeError(f"elements in indices should be type int64{got}")
    if len(sizes) != dims:
        count, words = (
            ("two", "height, width") if dims == 2 else ("three", "depth, height, width")
        )
        raise RuntimeError(
            f"There should be exactly {count} elements ({words}) in output_size, but got "
            f"{len(sizes)} elements."
        )
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d "
            f"Tensor, but got a tensor with {x.ndim} dimensions."
        )
    if x._shape != indices._shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(x._shape)}) but got indices tensor with shape: "
            f"{list(indices._shape)}"
        )
    return sizes


def _unpool(x: Any, indices: Any, sizes: tuple[int, ...]) -> Any:
    dims = len(sizes)
    lead, volume = x._shape[:-dims], numel_of(sizes)
    bad = (indices < 0) | (indices >= volume)
    if bool(bad.any()):
        first = int(indices.masked_select(bad)[0])
        raise RuntimeError(
            f"Found an invalid max index: {first} (output volumes are of size "
            f"{'x'.join(map(str, sizes))})"
        )
    flat = (*lead, numel_of(x._shape[-dims:]))
    made = x.new_zeros((*lead, volume))
    made = made.scatter(-1, indices.reshape(flat), x.reshape(flat))
    return made.reshape((*lead, *sizes))


def _repool(grad: Any, indices: Any, dims: int) -> Any:
    lead = indices._shape[:-dims]
    flat = indices.reshape((*lead, numel_of(indices._shape[-dims:])))
    volume = numel_of(grad._shape[-dims:])
    return grad.reshape((*lead, volume)).gather(-1, flat).reshape(indices._shape)


@operator(
    "max_unpool2d(Tensor self, Tensor indices, int[2] output_size) -> Tensor",
    variants="private",
)
def max_unpool2d(self, indices, output_size):
    """The values at their indices of planes of zeros."""
    return _unpool(self, indices, _check_unpool(self, indices, output_size, 2))


@operator(
    "max_unpool3d(Tensor self, Tensor indices, int[3] output_size, int[3] stride, "
    "int[3] padding) -> Tensor",
    variants="private",
)
def max_unpool3d(self, indices, output_size, stride, padding):
    """The values at their indices of volumes of zeros."""
    sizes = _check_unpool(self, indices, output_size, 3)
    for name, values in (("stride", stride), ("padding", padding)):
        if len(as_ints(values)) != 3:
            raise RuntimeError(
                f"There should be exactly three elements (depth, height, width) in "
                f"{name}, but got: {len(as_ints(values))} elements."
            )
    if min(stride) <= 0:
        raise RuntimeError(
            f"strides should be greater than zero, but got stride: {list(stride)}"
        )
    return _unpool(self, indices, sizes)


derive(
    max_unpool2d,
    name_="MaxUnpool2DBackward0",
    self=lambda grad, indices: _repool(grad, indices, 2),
)
derive(
    max_unpool3d,
    name_="MaxUnpool3DBackward0",
    self=lambda grad, indices: _repool(grad, indices, 3),
)


# Maxima of windows at random places (Graham, "Fractional Max-Pooling", 2014).


def _starts(samples: Any, size: int, out: int, kernel: int) -> Any:
    """Where the windows of a dim begin: (N, C, out)."""
    last = samples.new_full((*samples._shape, 1), size - kernel)
    if out > 1:
        step = (size - kernel) / (out - 1)
        u = samples.unsqueeze(-1)
        i = torch.arange(out - 1, dtype=samples.dtype, device=samples.device)
        starts = ((i + u) * step).trunc() - (u * step).trunc()
        last = torch.cat([starts, last], -1)
    return last.to(torch.int64)


def _fractional(x: Any, kernel: Any, outs: Any, samples: Any) -> Any:
    """(N, C, *spatial): maxima and their places in the flattened spatial dims."""
    n, c, *sizes = x._shape
    dims = len(sizes)
    wide = x.to(torch.float32) if half(x) else x
    samples = samples.narrow(0, 0, n).to(wide.dtype)
    place = None
    for i in range(dims):
        # Of two dims, the samples come in the order (width, height).
        sample = samples.select(2, i if dims == 3 else 1 - i)
        starts = _starts(sample, sizes[i], outs[i], kernel[i])
        reach = torch.arange(kernel[i], device=x.device)
        shape = [1] * (2 * dims)
        shape[i] = outs[i]
        at = starts.reshape((n, c, *shape))
        shape[i], shape[dims + i] = 1, kernel[i]
        at = (at + reach.reshape((1, 1, *shape))) * numel_of(sizes[i + 1 :])
        place = at if place is None else place + at
    count = numel_of(outs) * numel_of(kernel)
    flat = place.reshape((n, c, count))  # type: ignore[union-attr]
    seen = x.reshape((n, c, numel_of(sizes))).gather(2, flat)
    split = (n, c, numel_of(outs), numel_of(kernel))
    best = seen.reshape(split).argmax(-1, keepdim=True)
    values = seen.reshape(split).gather(-1, best)
    places = flat.reshape(split).gather(-1, best)
    return values.reshape((n, c, *outs)), places.reshape((n, c, *outs))


def _declare_fractional(dims: int) -> None:
    name = f"fractional_max_pool{dims}d"
    words = ("time", "height", "width")[3 - dims :]

    def body(self, kernel_size, output_size, random_samples):  # type: ignore[no-untyped-def]
        kernel = spread(kernel_size, dims, f"{name}: kernel_size")
        outs = spread(output_size, dims, f"{name}: output_size")
        shape = self._shape
        if self.ndim not in (dims + 1, dims + 2) or 0 in shape[-dims - 1 :]:
            raise RuntimeError(
                f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: "
                f"{list(shape)}"
            )
        x = self if self.ndim == dims + 2 else self.unsqueeze(0)
        samples = random_samples
        if samples.dtype is not self.dtype:
            raise RuntimeError("Expect _random_samples to have the same dtype as input")
        if samples.ndim != 3:
            raise RuntimeError(
                f"Expect _random_samples to have 3 dimensions got {samples.ndim}"
            )
        n, c, d = samples._shape
        if n < x._shape[0]:
            raise RuntimeError(
                "Expect _random_samples.size(0) no less then input batch size."
            )
        if c != x._shape[1]:
            raise RuntimeError(
                "Expect _random_samples.size(1) equals to input channel size."
            )
        if d != dims:
            raise RuntimeError(
                f"Expect _random_samples.size(2) equals to {dims}; got {d}."
            )
        for word, size, k, o in zip(words, x._shape[2:], kernel, outs, strict=True):
            # PyTorch wants room to spare in three dims.
            if o + k - 1 + (dims == 3) > size:
                raise RuntimeError(
                    f"{name}{'_out' if dims == 3 else ''}(): pool {word} {k} too large "
                    f"relative to input {word} {size}"
                )
        values, places = _fractional(x, kernel, outs, samples)
        if x is self:
            return values, places
        return values.squeeze(0), places.squeeze(0)

    body.__doc__ = "Maxima of windows at random places, and where they are."
    op = operator(
        f"{name}(Tensor self, int[{dims}] kernel_size, int[{dims}] output_size, Tensor "
        "random_samples) -> (Tensor values, Tensor indices)",
        variants="private",
        tags="tuple",
    )(body)
    derive(
        op,
        name_=f"FractionalMaxPool{dims}DBackward0",
        outputs_=(0,),
        self=lambda grad, self_sizes, indices: _scattered(
            grad, self_sizes, indices, dims
        ),
    )


def _scattered(grad: Any, sizes: Any, indices: Any, dims: int) -> Any:
    lead, count = indices._shape[:-dims], numel_of(indices._shape[-dims:])
    made = grad.new_zeros((*lead, numel_of(sizes[-dims:])))
    flat = indices.reshape((*lead, count))
    return made.scatter_add(-1, flat, grad.reshape((*lead, count))).reshape(sizes)


for _dims in (1, 2, 3):
    _declare_max(_dims)
    _declare_avg(_dims)
for _dims in (2, 3):
    _declare_adaptive(_dims)
    _declare_fractional(_dims)
_declare_adaptive_lines()

"""Adaptive pooling: windows that tile each dim into a given number of pieces."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.memory_format import channels_last_3d
from dispatchtorch.ops._common import as_ints, numel_of, torch
from dispatchtorch.ops._formats import has_channels_last, in_format_of, own
from dispatchtorch.ops._history import linked
from dispatchtorch.ops.padding import int_line, line
from dispatchtorch.ops.pool import (
    check_rank_of_line,
    one_int,
    refuse_dtype,
    scattered,
)


def adaptive_bounds(size: int, count: int) -> list[tuple[int, int]]:
    """The (start, end) of each of ``count`` windows of a dim."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _check_input(x: Any, values: tuple[int, ...], way: str) -> None:
    dims = len(values)
    name = f"adaptive_{way}_pool{dims}d"
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got"
            f"{':' if way == 'max' else ''} {list(x._shape)}"
        )
    _check_filled(x, dims, name)
    if min(values) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(values)}: "
            f"{[*x._shape[:-dims], *values]}"
        )
    refuse_dtype(x, name if dims == 2 else f"{name}_cpu")


def _check_filled(x: Any, dims: int, name: str) -> None:
    for i, n in enumerate(x._shape[-dims:], x.ndim - dims):
        if n == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch "
                f"dimensions, but input has sizes {list(x._shape)} with dimension {i} "
                "being empty"
            )


def _pooled(x: Any, sizes: Any) -> Any:
    for i, count in enumerate(sizes):
        x = _adaptive_mean(x, x.ndim - len(sizes) + i, count)
    return x


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


def _unpooled(grad: Any, sizes: Any, dims: int) -> Any:
    """The gradient of the means: each goes in equal parts to all of its window."""
    made = grad
    for dim in range(grad.ndim - dims, grad.ndim):
        bounds = adaptive_bounds(sizes[dim], grad._shape[dim])
        counts = [b - a for a, b in bounds]
        shape = [1] * grad.ndim
        shape[dim] = len(counts)
        part = made / line(grad, counts, grad.dtype).reshape(shape)
        source = [i for i, n in enumerate(counts) for _ in range(n)]
        place = [j for a, b in bounds for j in range(a, b)]
        wide = list(made._shape)
        wide[dim] = sizes[dim]
        made = made.new_zeros(wide).index_add(
            dim, int_line(grad, place), part.index_select(dim, int_line(grad, source))
        )
    return made


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
        if found:
            values, places = torch.cat(found, dim), torch.cat(kept, dim)
        else:
            values, places = values.narrow(dim, 0, 0), places.narrow(dim, 0, 0)
    return values, places


def _formatted(made: Any, x: Any, dims: int) -> Any:
    """As PyTorch, which keeps the memory format of images, not of volumes."""
    return in_format_of(own(made), x) if dims == 2 else own(made).contiguous()


def _declare(dims: int) -> None:
    means = operator(
        f"_adaptive_avg_pool{dims}d(Tensor self, int[] output_size) -> Tensor",
        variants="private",
    )(lambda self, output_size: _formatted(_pooled(self, output_size), self, dims))
    derive(
        means,
        name_=f"AdaptiveAvgPool{dims}DBackward0",
        self=lambda grad, self: linked(_unpooled(grad, self._shape, dims), self),
    )

    def picked(self, output_size):  # type: ignore[no-untyped-def]
        made = _adaptive_max(self, output_size)
        return tuple(_formatted(each, self, dims) for each in made)

    maxima = operator(
        f"_adaptive_max_pool{dims}d(Tensor self, int[] output_size) -> "
        "(Tensor values, Tensor indices)",
        variants="private",
        tags="tuple",
    )(picked)
    derive(
        maxima,
        name_=f"AdaptiveMaxPool{dims}DBackward0",
        outputs_=(0,),
        self=lambda grad, self, indices: linked(
            scattered(grad, self._shape, indices, dims), self
        ),
    )

    def avg(self, output_size):  # type: ignore[no-untyped-def]
        name = f"adaptive_avg_pool{dims}d"
        sizes = _sizes(output_size, dims, f"{name}: output_size must be {dims}")
        if min(sizes) < 0:
            shown = ", ".join(map(str, sizes[:2]))
            shown = f"{shown},{sizes[2]}" if dims == 3 else shown
            raise RuntimeError(
                f"{name}: elements of output_size must be greater than or equal to 0 "
                f"but received {{{shown}}}"
            )
        if all(n == 1 for n in sizes):
            return _mean(self, dims)
        _check_input(self, sizes, "avg")
        return means(self, sizes)

    def pick(self, output_size):  # type: ignore[no-untyped-def]
        wrong = f"internal error: output_size.size() must be {dims}"
        sizes = _sizes(output_size, dims, f"adaptive_max_pool{dims}d(): {wrong}")
        _check_input(self, sizes, "max")
        return maxima(self, sizes)

    avg.__doc__ = "The means of windows that tile each spatial dim."
    pick.__doc__ = "The maxima of windows that tile each spatial dim, and their places."
    _publish(dims, "nn", avg, pick)


def _sizes(output_size: Any, dims: int, wrong: str) -> tuple[int, ...]:
    if type(output_size) is int:
        return (output_size,) * dims
    if output_size is None:
        raise TypeError("object of type 'NoneType' has no len()")
    values = as_ints(output_size)
    if len(values) != dims:
        raise RuntimeError(wrong)
    return values


def _mean(x: Any, dims: int) -> Any:
    """The mean of whole images, with channels last where the input has them there."""
    made = x.mean(tuple(range(-dims, 0)), True)
    if x.ndim == dims + 2 and has_channels_last(x):
        if dims == 3:
            return made.clone(memory_format=channels_last_3d)
        c = x._shape[1]
        return made.as_strided(made._shape, (c, 1, *[c] * dims))
    return made


def _declare_line() -> None:
    """One spatial dim is two, the first of size 1."""

    def avg(self, output_size):  # type: ignore[no-untyped-def]
        check_rank_of_line(self, "adaptive_avg_pool1d")
        size = one_int(output_size, "adaptive_avg_pool1d", "output_size")
        return torch.adaptive_avg_pool2d(self.unsqueeze(-2), (1, size)).squeeze(-2)

    def pick(self, output_size):  # type: ignore[no-untyped-def]
        check_rank_of_line(self, "adaptive_max_pool1d")
        size = one_int(output_size, "adaptive_max_pool1d", "output_size")
        _check_filled(self, 1, "adaptive_max_pool1d")
        values, places = torch.adaptive_max_pool2d(self.unsqueeze(-2), (1, size))
        return values.squeeze(-2), places.squeeze(-2)

    avg.__doc__ = "The means of windows that tile the last dim."
    pick.__doc__ = "The maxima of windows that tile the last dim, and their places."
    _publish(1, "function nn", avg, pick)


def _publish(dims: int, variants: str, avg: Any, pick: Any) -> None:
    operator(
        f"adaptive_avg_pool{dims}d(Tensor self, int[{dims}] output_size) -> Tensor",
        variants=variants,
    )(avg)
    operator(
        f"adaptive_max_pool{dims}d(Tensor self, int[{dims}] output_size) -> "
        "(Tensor, Tensor)",
        variants=variants.split()[0],
    )(pick)


for _dims in (2, 3):
    _declare(_dims)
_declare_line()

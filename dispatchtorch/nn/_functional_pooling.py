"""Pooling functions of ``torch.nn.functional`` that PyTorch writes in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.ops._common import torch as operators

__all__ = [
    f"{name}{dims}d{ending}"
    for name, dims_of, endings in (
        ("adaptive_avg_pool", (2, 3), ("",)),
        ("adaptive_max_pool", (1, 2, 3), ("", "_with_indices")),
        ("fractional_max_pool", (2, 3), ("", "_with_indices")),
        ("lp_pool", (1, 2, 3), ("",)),
        ("max_pool", (1, 2, 3), ("", "_with_indices")),
        ("max_unpool", (1, 2, 3), ("",)),
    )
    for dims in dims_of
    for ending in endings
]


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    globals()[name] = function
    return function


def _chosen(
    name: str,
    position: int,
    pair: Callable[..., Any],
    values: Callable[..., Any] | None = None,
) -> None:
    """``name``: ``pair`` where ``return_indices`` is true, else its first result.

    ``return_indices`` stands at ``position`` among positional arguments; ``values``
    takes the others and gives that first result alone, where there is such a function.
    """

    def function(*args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.get("return_indices", False)
        if len(args) > position:
            wanted = args[position]
        if wanted or values is None:
            made = pair(*args, **kwargs)
            return made if wanted else made[0]
        kwargs.pop("return_indices", None)
        return values(*args[:position], **kwargs)

    _named(function, name, (pair.__doc__ or "").replace(", and their places", ""))


def _as_tuple(value: Any, dims: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def _sizes_of(output_size: Any, input: Any) -> Any:
    """An output size with the input's own for None."""
    if isinstance(output_size, int):
        return output_size
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,)
    have = tuple(input.size())
    if len(have) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    return [
        n if v is None else v
        for v, n in zip(output_size, have[-len(output_size) :], strict=False)
    ]


def _max_pool(dims: int) -> None:
    name = f"max_pool{dims}d"

    def pair(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Any, Any]:
        given = () if stride is None else stride
        pool = getattr(operators, f"{name}_with_indices")
        return pool(input, kernel_size, given, padding, dilation, ceil_mode)

    def values(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        given = () if stride is None else stride
        pool = getattr(operators, name)
        return pool(input, kernel_size, given, padding, dilation, ceil_mode)

    _named(pair, f"{name}_with_indices", "The maxima of windows, and their places.")
    _chosen(name, 6, pair, values)


def _adaptive(dims: int) -> None:
    name = f"adaptive_max_pool{dims}d"

    def pair(
        input: Any, output_size: Any, return_indices: bool = False
    ) -> tuple[Any, Any]:
        if dims > 1:
            output_size = _spread(_sizes_of(output_size, input), dims)
        return getattr(operators, name)(input, output_size)

    _named(
        pair,
        f"{name}_with_indices",
        "The maxima of windows that tile each spatial dim, and their places.",
    )
    _chosen(name, 2, pair)
    if dims == 1:
        return

    def average(input: Any, output_size: Any) -> Any:
        mean = getattr(operators, f"adaptive_avg_pool{dims}d")
        return mean(input, _spread(_sizes_of(output_size, input), dims))

    _named(
        average,
        f"adaptive_avg_pool{dims}d",
        "The means of windows that tile each spatial dim; None keeps a dim's size.",
    )


def _spread(sizes: Any, dims: int) -> Any:
    return (sizes,) * dims if isinstance(sizes, int) else sizes


def _fractional(dims: int) -> None:
    name = f"fractional_max_pool{dims}d"

    def pair(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> tuple[Any, Any]:
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output_size or an output_ratio"
            )
        if output_size is None:
            ratio = [output_ratio[i] for i in range(max(dims, len(output_ratio)))]
            output_size = [int(input.size(i - dims) * ratio[i]) for i in range(dims)]
        if _random_samples is None:
            batch = 1 if input.dim() == dims + 1 else input.size(0)
            channels = input.size(-dims - 1)
            _random_samples = operators.rand(
                (batch, channels, dims), dtype=input.dtype, device=input.device
            )
        return getattr(operators, name)(
            input, _as_tuple(kernel_size, dims), _as_tuple(output_size, dims),
            _random_samples,
        )  # fmt: skip

    _named(
        pair,
        f"{name}_with_indices",
        "The maxima of windows at random places, and their places (Graham, 2014).",
    )
    _chosen(name, 4, pair)


def _lp(dims: int) -> None:
    def norm(
        input: Any,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Any:
        kernel = _as_tuple(kernel_size, dims)
        count = 1
        for k in kernel:
            count *= k
        if stride is None:
            stride = ()
        pool = getattr(operators, f"avg_pool{dims}d")
        means = pool(input.pow(norm_type), kernel, stride, 0, ceil_mode)
        sums = operators.sign(means) * operators.relu(operators.abs(means))
        return (sums * count).pow(1.0 / norm_type)

    _named(
        norm,
        f"lp_pool{dims}d",
        "The sum of a window's powers of ``norm_type``, to the power of its inverse.",
    )


def _unpool_size(
    input: Any, kernel: Any, stride: Any, padding: Any, output_size: Any
) -> list[int]:
    dims = len(kernel)
    size = input.size()
    default = [
        (size[len(size) - dims + d] - 1) * stride[d] + kernel[d] - 2 * padding[d]
        for d in range(dims)
    ]
    if output_size is None:
        return default
    if len(output_size) == dims + 2:
        output_size = output_size[2:]
    if len(output_size) != dims:
        raise ValueError(
            "output_size should be a sequence containing "
            f"{dims} or {dims + 2} elements, but it has a length of '{len(output_size)}'"
        )
    for d in range(dims):
        least, most = default[d] - stride[d], default[d] + stride[d]
        if not least < output_size[d] < most:
            raise ValueError(
                f'invalid output_size "{output_size}" (dim {d} must be between {least} '
                f"and {most})"
            )
    return list(output_size)


def _unpool(dims: int) -> None:
    def undo(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        kernel = _as_tuple(kernel_size, dims)
        steps = kernel if stride is None else _as_tuple(stride, dims)
        pads = _as_tuple(padding, dims)
        sizes = _unpool_size(input, kernel, steps, pads, output_size)
        if dims == 3:
            return operators.max_unpool3d(input, indices, sizes, steps, pads)
        if dims == 2:
            return operators.max_unpool2d(input, indices, sizes)
        # One dim is two, the last of size 1.
        return operators.max_unpool2d(
            input.unsqueeze(-1), indices.unsqueeze(-1), [*sizes, 1]
        ).squeeze(-1)

    _named(
        undo,
        f"max_unpool{dims}d",
        f"Undoes ``max_pool{dims}d``: values at their places, zeros elsewhere.",
    )


for _dims in (1, 2, 3):
    _max_pool(_dims)
    _adaptive(_dims)
    _lp(_dims)
    _unpool(_dims)
for _dims in (2, 3):
    _fractional(_dims)

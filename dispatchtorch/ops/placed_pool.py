"""Pooling by places: maxima put back where they were, and windows at random places."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import (
    as_ints,
    numel_of,
    refuse,
    scalar_type_name,
    torch,
)
from dispatchtorch.ops._formats import in_format_of, own
from dispatchtorch.ops._history import linked
from dispatchtorch.ops._precision import half
from dispatchtorch.ops.pool import scattered

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
    kinds = (dtypes.BOOL, dtypes.INT, dtypes.COMPLEX)
    refuse(x, f"\"max_unpool{dims}d\" not implemented for '{{dtype}}'", *kinds)
    lead, volume = x._shape[:-dims], numel_of(sizes)
    bad = (indices < 0) | (indices >= volume)
    if bool(bad.any()):
        wrong = int(indices.masked_select(bad)[-1])
        raise RuntimeError(
            f"Found an invalid max index: {wrong} (output volumes are of size "
            f"{'x'.join(map(str, sizes))})"
        )
    flat = (*lead, numel_of(x._shape[-dims:]))
    made = x.new_zeros((*lead, volume))
    made = made.scatter(-1, indices.reshape(flat), x.reshape(flat))
    made = own(made.reshape((*lead, *sizes)))
    return in_format_of(made, x) if dims == 2 else made


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


def _fractional_sizes(value: Any, dims: int, name: str) -> tuple[int, ...]:
    values = as_ints(value)
    if len(values) != (1 if type(value) is int else dims):
        count = "three " if dims == 3 else ""
        raise RuntimeError(
            f"{name} must either be a single Int or tuple of {count}Ints"
        )
    return values * dims if len(values) == 1 else values


def _declare_fractional(dims: int) -> None:
    name = f"fractional_max_pool{dims}d"
    who = f"{name}_out" if dims == 3 else name
    words = ("time", "height", "width")[3 - dims :]

    def body(self, kernel_size, output_size, random_samples):  # type: ignore[no-untyped-def]
        kernel = _fractional_sizes(kernel_size, dims, f"{name}: kernel_size")
        outs = _fractional_sizes(output_size, dims, f"{name}: output_size")
        shape = self._shape
        if self.ndim not in (dims + 1, dims + 2) or 0 in shape[-dims - 1 :]:
            raise RuntimeError(
                f"{who}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: "
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
        rows = list(zip(words, x._shape[2:], kernel, outs, strict=True))
        if dims == 3:  # PyTorch's order, which also wants room to spare
            rows = [rows[0], rows[2], rows[1]]
        for word, size, k, o in rows:
            if o + k - 1 + (dims == 3) > size:
                raise RuntimeError(
                    f"{who}(): pool {word} {k} too large relative to input {word} {size}"
                )
        values, places = _fractional(x, kernel, outs, samples)
        if x is not self:
            values, places = values.squeeze(0), places.squeeze(0)
        return own(values), own(places)

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
        self=lambda grad, self, indices: linked(
            scattered(grad, self._shape, indices, dims), self
        ),
    )


for _dims in (2, 3):
    _declare_fractional(_dims)

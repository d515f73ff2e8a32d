"""Pooling: windows of an input, and the greatest or the mean of each.

One spatial dim is pooled as two, the first of size 1.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dispatch.state import grad_enabled
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import as_ints, numel_of, scalar_type_name, torch
from dispatchtorch.ops._formats import has_channels_last, in_format_of, own
from dispatchtorch.ops._history import linked
from dispatchtorch.ops.conv import _places, _slice, padded, windows
from dispatchtorch.ops.padding import line

__all__ = ["refuse_dtype", "scattered", "spread"]

_PLAIN = Plain(has_out=False)
_COUNTS = {2: "two", 3: "three"}


def spread(
    value: Any, dims: int, name: str, form: str = "either be"
) -> tuple[int, ...]:
    """An int list argument of one entry or one for each of two or three dims.

    ``form`` is how PyTorch's error goes on after "must".
    """
    values = as_ints(value)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        raise RuntimeError(
            f"{name} must {form} a single int, or a tuple of {_COUNTS[dims]} ints"
        )
    return values


def refuse_dtype(x: Any, kernel: str, *allowed: dtypes.dtype) -> None:
    """NotImplementedError unless of a floating-point dtype or an allowed one."""
    if not x.dtype.is_floating_point and x.dtype not in allowed:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_type_name(x.dtype)}'"
        )


def pooled_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """The number of windows along a dim; the last must begin inside the input."""
    reach = n + 2 * p - d * (k - 1) - 1
    size = (-(-reach // s) if ceil_mode else reach // s) + 1
    if ceil_mode and (size - 1) * s >= n + p:
        size -= 1
    return size


def _joined(*sizes: int) -> str:
    return "x".join(map(str, sizes))


def _empty_or_wide(shape: Any) -> RuntimeError:
    return RuntimeError(
        "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size "
        f"for input, but got:{list(shape)}"
    )


class _Window:
    """The checked geometry of a pooling call over two or three dims."""

    __slots__ = ("dilation", "kernel", "out", "padding", "stride")

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
        # PyTorch's wording differs from one function to the other.
        either = "be" if name == "avg_pool3d" else "either be"
        given = stride is not None and as_ints(stride) != ()
        self.kernel = spread(kernel, dims, f"{name}: kernel_size", either)
        self.stride = (
            spread(stride, dims, f"{name}: stride", f"{either} omitted,")
            if given
            else self.kernel
        )
        self.padding = spread(padding, dims, f"{name}: padding", either)
        self.dilation = spread(dilation, dims, f"{name}: dilation", "be either")
        if name == "avg_pool2d" and x.ndim < 3:
            x.size(-3)  # where PyTorch fails
        if name == "avg_pool2d" and x.ndim > 4:
            raise _empty_or_wide(x._shape)
        if x.ndim not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected "
                "for input"
            )
        self.out = self._sizes(x._shape[-dims:], ceil_mode)
        self._check_sizes(x, dims, name)

    def _sizes(self, sizes: tuple[int, ...], ceil_mode: bool) -> tuple[int, ...]:
        made = []
        for n, k, s, p, d in zip(
            sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True
        ):
            if s == 0:
                raise RuntimeError("stride should not be zero")
            if p < 0:
                raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
            if p > (d * (k - 1) + 1) // 2:
                raise RuntimeError(
                    "pad should be at most half of effective kernel size, but got "
                    f"pad={p}, kernel_size={k} and dilation={d}"
                )
            made.append(pooled_size(n, k, s, p, d, ceil_mode))
        return tuple(made)

    def _check_sizes(self, x: Any, dims: int, name: str) -> None:
        letters = "THW"[3 - dims :]
        for word, values in (
            ("kernel size", self.kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ):
            if min(values) <= 0:
                prefix = "dilation" if word == "dilation" else word[0].replace("s", "d")
                shown = (
                    f"{prefix}{a}: {v}" for a, v in zip(letters, values, strict=True)
                )
                raise RuntimeError(
                    f"{word} should be greater than zero, but got {' '.join(shown)}"
                )
        shape = x._shape
        if dims == 2 and 0 in shape[shape[:1] == (0,) and len(shape) == 4 :]:
            raise _empty_or_wide(shape)
        if dims == 3 and 0 in shape[len(shape) - 4 :]:
            where = "_with_indices_out_cpu_template" if name == "max_pool3d" else ""
            raise RuntimeError(
                f"{name}{where}(): Expected input's non-batch dimensions to have positive "
                f"length, but input has a shape of {list(shape)} and non-batch "
                "dimension 0 has length zero!"
            )
        sizes = shape[-dims:]
        if name == "avg_pool3d" and any(
            n < k for n, k in zip(sizes, self.kernel, strict=True)
        ):
            have = " ".join(f"{a}: {n}" for a, n in zip(letters, sizes, strict=True))
            want = " ".join(
                f"k{a}: {k}" for a, k in zip(letters, self.kernel, strict=True)
            )
            raise RuntimeError(
                f"input image ({have}) smaller than kernel size ({want})"
            )
        if min(self.out) <= 0:
            channels = shape[-dims - 1]
            raise RuntimeError(
                f"Given input size: ({_joined(channels, *sizes)}). Calculated output "
                f"size: ({_joined(channels, *self.out)}). Output size is too small"
            )


_POOL = (
    "int[] kernel, int[] stride, int[] padding, int[] dilation, int[] out, bool last"
)


def _max_pool(self, kernel, stride, padding, dilation, out, last):
    """Each window's maximum and its place in the flattened spatial dims."""
    sizes = self._shape[-len(kernel) :]
    batched = self.ndim == len(kernel) + 2
    x = self if batched else self.unsqueeze(0)
    wide = _reaching(x, kernel, stride, padding, dilation, out, _least(self.dtype))
    view = windows(wide, kernel, stride, dilation)
    for i, n in enumerate(out):
        view = view.narrow(2 + len(kernel) + i, 0, n)
    n, c = x._shape[:2]
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
    if not batched:
        values, place = values.squeeze(0), place.squeeze(0)
    return _formatted(values, self, last), _formatted(place, self, last)


def _formatted(made: Any, x: Any, last: bool) -> Any:
    return in_format_of(made, x) if last else own(made)


def _least(d: dtypes.dtype) -> Any:
    return float("-inf") if d.is_floating_point else dtypes.iinfo(d).min


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


@operator(
    "_picked_backward(Tensor grad, Tensor indices, int[] sizes, int dims) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _picked_backward(grad, indices, sizes, dims):
    """The gradient of picked elements: added up where they were picked."""
    lead, count = indices._shape[:-dims], numel_of(indices._shape[-dims:])
    made = grad.new_zeros((*lead, numel_of(sizes[-dims:])))
    flat = indices.reshape((*lead, count))
    return made.scatter_add(-1, flat, grad.reshape((*lead, count))).reshape(sizes)


def scattered(grad: Any, sizes: Any, indices: Any, dims: int) -> Any:
    """The gradient of the elements that ``indices`` picked in the last dims."""
    return torch._picked_backward(grad, indices, sizes, dims)


_MAX_ARGUMENTS = (
    "(Tensor self, int[{0}] kernel_size, int[{0}] stride=[], int[{0}] padding=0, "
    "int[{0}] dilation=1, bool ceil_mode=False)"
)
_MAX_DOCS = (
    "Each window's maximum, and its place in the input.",
    "Each window's maximum.",
)


def _public_max(dims: int, with_indices: Any, values_only: Any) -> None:
    """``max_pool{dims}d_with_indices`` and ``max_pool{dims}d``."""
    name, arguments = f"max_pool{dims}d", _MAX_ARGUMENTS.format(dims)
    with_indices.__doc__, values_only.__doc__ = _MAX_DOCS
    operator(
        f"{name}_with_indices{arguments} -> (Tensor, Tensor)", variants="function"
    )(with_indices)
    operator(f"{name}{arguments} -> Tensor", variants="function nn")(values_only)


def _declare_max(dims: int) -> None:
    name = f"max_pool{dims}d"
    native = operator(
        f"_{name}(Tensor self, {_POOL}) -> (Tensor values, Tensor indices)",
        lift=_PLAIN,
        variants="private",
    )(_max_pool)
    derive(
        native,
        name_=f"MaxPool{dims}DWithIndicesBackward0",
        outputs_=(0,),
        self=lambda grad, self, indices: linked(
            scattered(grad, self._shape, indices, dims), self
        ),
    )

    def pair(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):  # type: ignore[no-untyped-def]
        w = _Window(self, kernel_size, stride, padding, dilation, ceil_mode, dims, name)
        if self.dtype.category in (dtypes.BOOL, dtypes.COMPLEX):
            refuse_dtype(self, name)
        last = has_channels_last(self)
        made = native(self, w.kernel, w.stride, w.padding, w.dilation, w.out, last)
        return tuple(made)

    def values_only(
        self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False
    ):  # type: ignore[no-untyped-def]
        return pair(self, kernel_size, stride, padding, dilation, ceil_mode)[0]

    _public_max(dims, pair, values_only)


@operator(
    "max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] "
    "kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, "
    "Tensor indices) -> Tensor",
    variants="private",
)
def max_pool2d_with_indices_backward(
    grad_output, self, kernel_size, stride, padding, dilation, ceil_mode, indices
):
    """The gradient of the pooled image, at the places of the maxima."""
    return in_format_of(scattered(grad_output, self._shape, indices, 2), self)


derive(
    max_pool2d_with_indices_backward,
    name_="MaxPool2DWithIndicesBackwardBackward0",
    grad_output=lambda grad, indices: (
        grad.reshape((*grad._shape[:-2], -1))
        .gather(-1, indices.reshape((*indices._shape[:-2], -1)))
        .reshape(indices._shape)
    ),
    self=lambda grad, self_sizes: grad.new_zeros(self_sizes),
)


def check_rank_of_line(x: Any, name: str) -> None:
    """RuntimeError unless of two or three dims, the last of which is pooled."""
    if x.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for "
            f"argument #1 'self' (while checking arguments for {name})"
        )


def one_int(value: Any, name: str, argument: str) -> int:
    """The int of a list argument of length 1."""
    values = as_ints(value)
    if len(values) != 1:
        raise RuntimeError(
            f"{name}() argument '{argument}' should contain one int (got {len(values)})"
        )
    return values[0]


_LINE = ("kernel_size", "stride", "padding", "dilation")


def _line_ints(x: Any, name: str, *arguments: Any) -> list[int]:
    """The ints of kernel size, stride, padding and dilation of a line's pooling."""
    check_rank_of_line(x, name)
    kernel, stride, *rest = arguments
    given = kernel if stride is None or as_ints(stride) == () else stride
    return [
        one_int(value, name, argument)
        for argument, value in zip(_LINE, (kernel, given, *rest), strict=False)
    ]


def _check_line(x: Any, *arguments: Any) -> tuple[int, ...]:
    """The checked (kernel, stride, padding, dilation) of ``max_pool1d``."""
    shape = x._shape
    if len(shape) not in (2, 3) or 0 in shape[len(shape) - 2 :]:
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim "
            f"batch size for input, but got:{list(shape)}"
        )
    found: list[int] = []
    for name, form, value in zip(
        _LINE,
        ("an int, list of ints", "None, an int, list of ints,", "an int, list of ints,",
         "an int, list of ints"),
        arguments,
        strict=True,
    ):  # fmt: skip
        values = as_ints(value) if value is not None else ()
        if name == "stride" and not values:
            values = (found[0],)
        if len(values) != 1:
            raise RuntimeError(
                f"max_pool1d() {name} must be {form} or tuple of ints of size 1 but got "
                f"size {len(values)}"
            )
        found += values
    kernel, stride, padding, dilation = found
    for name, value in (("kernel_size", kernel), ("stride", stride)):
        if value <= 0:
            raise RuntimeError(
                f"max_pool1d() {name} must be greater than zero, but got {value}"
            )
    if padding < 0:
        raise RuntimeError(
            f"max_pool1d() padding must be non-negative, but got {padding}"
        )
    if padding > kernel // 2:
        raise RuntimeError(
            "max_pool1d() padding should be at most half of kernel size, but got "
            f"padding={padding} and kernel_size={kernel}"
        )
    if dilation <= 0:
        raise RuntimeError(
            f"max_pool1d() dilation must be greater than zero, but got {dilation}"
        )
    return kernel, stride, padding, dilation


def _declare_max_line() -> None:
    def pooled(self, checked, ceil_mode):  # type: ignore[no-untyped-def]
        kernel, stride, padding, dilation = checked
        values, places = torch.max_pool2d_with_indices(
            self.unsqueeze(-2), (1, kernel), (1, stride), (0, padding), (1, dilation),
            ceil_mode,
        )  # fmt: skip
        return values.squeeze(-2), places.squeeze(-2)

    def pair(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):  # type: ignore[no-untyped-def]
        arguments = kernel_size, stride, padding, dilation
        return pooled(self, _line_ints(self, "max_pool1d", *arguments), ceil_mode)

    def values_only(
        self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False
    ):  # type: ignore[no-untyped-def]
        checked = _check_line(self, kernel_size, stride, padding, dilation)
        kernel, step, pad, dilated = checked
        size = pooled_size(self._shape[-1], kernel, step, pad, dilated, ceil_mode)
        if size <= 0:
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {size}")
        if self.requires_grad and grad_enabled():
            return pooled(self, checked, ceil_mode)[0]
        refuse_dtype(self, "max_pool1d_impl")
        return own(pooled(self, checked, ceil_mode)[0])

    _public_max(1, pair, values_only)


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
        factors = line(self, row, self.dtype).reshape(shape)
        made = factors if made is None else made * factors
    return made


def _window_slices(x: Any, kernel: Any, stride: Any, out: Any) -> Any:
    """For each place in a window, the view of the elements there in all windows."""
    for place in _places(kernel):
        part = x
        for i, at in enumerate(place):
            part = _slice(part, 2 + i, at, at + (out[i] - 1) * stride[i] + 1, stride[i])
        yield part


_AVG = _POOL.replace("int[] dilation, ", "")


def _avg_pool(self, kernel, stride, padding, out, last, include_pad, divisor):
    """The mean of each window."""
    batched = self.ndim == len(kernel) + 2
    x = self if batched else self.unsqueeze(0)
    wide = _reaching(x, kernel, stride, padding, (1,) * len(kernel), out, 0)
    counts = _counts(x._shape[2:], kernel, stride, padding, out, include_pad)
    made = None
    for part in _window_slices(wide, kernel, stride, out):
        made = part.clone() if made is None else made.add_(part)
    by = _divisors(self, counts, divisor)
    # Whole numbers are divided as such.
    rounding = None if self.is_floating_point() else "trunc"
    made = torch.div(made, by, rounding_mode=rounding)
    return _formatted(made if batched else made.squeeze(0), self, last)


@operator(
    "_avg_pool_backward(Tensor grad, int[] sizes, int[] kernel, int[] stride, "
    "int[] padding, int[] out, bool include_pad, int? divisor) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _avg_pool_backward(grad, sizes, kernel, stride, padding, out, include_pad, divisor):
    """The gradient of the means of windows."""
    shape = tuple(sizes)
    dims = len(kernel)
    sizes = shape[-dims:]
    counts = _counts(sizes, kernel, stride, padding, out, include_pad)
    part = grad / _divisors(grad, counts, divisor)
    if grad.ndim == dims + 1:
        part = part.unsqueeze(0)
    reach = [
        max(n + 2 * p, (o - 1) * s + k)
        for n, p, o, s, k in zip(sizes, padding, out, stride, kernel, strict=True)
    ]
    made = grad.new_zeros((*part._shape[:2], *reach))
    for target in _window_slices(made, kernel, stride, out):
        target.add_(part)
    for i, (n, p) in enumerate(zip(sizes, padding, strict=True)):
        made = made.narrow(2 + i, p, n)
    return made.contiguous().view(shape)


def _declare_avg(dims: int) -> None:
    name = f"avg_pool{dims}d"
    native = operator(
        f"_{name}(Tensor self, {_AVG}, bool include_pad, int? divisor) -> Tensor",
        lift=_PLAIN,
        variants="private",
    )(_avg_pool)
    derive(
        native,
        name_=f"AvgPool{dims}DBackward0",
        self=lambda grad, self, kernel, stride, padding, out, include_pad, divisor: (
            linked(
                torch._avg_pool_backward(
                    grad,
                    self._shape,
                    kernel,
                    stride,
                    padding,
                    out,
                    include_pad,
                    divisor,
                ),
                self,
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
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        w = _Window(self, kernel_size, stride, padding, 1, ceil_mode, dims, name)
        kernel = name if dims == 2 else f"{name}_out_frame"
        refuse_dtype(self, kernel, dtypes.int64)
        last = dims == 2 and has_channels_last(self)
        return native(
            self, w.kernel, w.stride, w.padding, w.out, last, count_include_pad,
            divisor_override,
        )  # fmt: skip

    body.__doc__ = "The mean of each window."
    operator(
        f"{name}(Tensor self, int[{dims}] kernel_size, int[{dims}] stride=[], "
        f"int[{dims}] padding=0, bool ceil_mode=False, bool count_include_pad=True, "
        "int? divisor_override=None) -> Tensor",
        tags="out",
        variants="function nn",
    )(body)


@operator(
    "avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, "
    "bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
    variants="function nn",
)
def avg_pool1d(
    self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True
):
    """The mean of each window of the last dim."""
    kernel, step, pad = _line_ints(self, "avg_pool1d", kernel_size, stride, padding)
    return torch.avg_pool2d(
        self.unsqueeze(-2), (1, kernel), (1, step), (0, pad), ceil_mode,
        count_include_pad,
    ).squeeze(-2)  # fmt: skip


for _dims in (2, 3):
    _declare_max(_dims)
    _declare_avg(_dims)
_declare_max_line()

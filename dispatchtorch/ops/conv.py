"""Convolutions in any number of dims, by windows and one matrix product.

Three bilinear operators carry all of them, each the derivative of the others: the
correlation itself, its gradient for the input (which is the transposed convolution), and
its gradient for the weight. Double backward follows.

Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
https://arxiv.org/abs/1603.07285.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import as_ints, conj, numel_of, scalar_type_name, torch
from dispatchtorch.ops._formats import in_format_of, own
from dispatchtorch.ops._history import linked
from dispatchtorch.ops.linalg import _CPP

_PLAIN = Plain(has_out=False)
_GEOMETRY = "int[] stride, int[] padding, int[] dilation, int groups"


def output_sizes(
    sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[int, ...]:
    """The spatial sizes of a convolution's result."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                sizes, kernel, stride, padding, dilation, strict=True
            )
        ]
    )


def padded(x: Any, padding: Any, value: float = 0) -> Any:
    """Spatial dims padded on both sides; the tensor itself where there is nothing to."""
    if not any(padding):
        return x
    shape = x._shape
    spatial = [n + 2 * p for n, p in zip(shape[2:], padding, strict=True)]
    made = x.new_full((*shape[:2], *spatial), value)
    part = made
    for dim, (n, p) in enumerate(zip(shape[2:], padding, strict=True), 2):
        part = part.narrow(dim, p, n)
    part.copy_(x)
    return made


def windows(x: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """A view (N, C, *kernel, *out) of all windows of a padded input."""
    shape, strides = x._shape, x.stride()
    out = output_sizes(shape[2:], kernel, stride, (0,) * len(kernel), dilation)
    inner = [st * d for st, d in zip(strides[2:], dilation, strict=True)]
    outer = [st * s for st, s in zip(strides[2:], stride, strict=True)]
    return x.as_strided(
        (*shape[:2], *kernel, *out), (*strides[:2], *inner, *outer), x.storage_offset()
    )


def _columns(
    x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Any, tuple[int, ...]]:
    """The windows as matrices (N * groups, C / groups * kernel, out), and the out sizes."""
    n, c = x._shape[:2]
    view = windows(padded(x, padding), kernel, stride, dilation)
    out = view._shape[2 + len(kernel) :]
    rows = c // groups * numel_of(kernel)
    return view.reshape((n * groups, rows, numel_of(out))), out


def _per_group(weight: Any, groups: int, n: int) -> Any:
    """The weight as matrices (n * groups, out / groups, in / groups * kernel)."""
    o = weight._shape[0]
    flat = weight.reshape((groups, o // groups, numel_of(weight._shape[1:])))
    if n == 1:
        return flat
    return (
        flat.unsqueeze(0)
        .expand((n, *flat._shape))
        .reshape((n * groups, *flat._shape[1:]))
    )


@operator(
    f"_conv(Tensor input, Tensor weight, {_GEOMETRY}) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _conv(input, weight, stride, padding, dilation, groups):
    """The correlation of an input (N, C, *spatial) with a weight (O, C/groups, *k)."""
    kernel = weight._shape[2:]
    n = input._shape[0]
    columns, out = _columns(input, kernel, stride, padding, dilation, groups)
    made = _per_group(weight, groups, n).bmm(columns)
    return made.reshape((n, weight._shape[0], *out))


@operator(
    f"_conv_input(Tensor grad_output, Tensor weight, int[] sizes, {_GEOMETRY}) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _conv_input(grad, weight, sizes, stride, padding, dilation, groups):
    """The gradient of ``_conv`` for an input of the given spatial sizes."""
    kernel = weight._shape[2:]
    n, out = grad._shape[0], grad._shape[2:]
    c = weight._shape[1] * groups
    flat = grad.reshape((n * groups, weight._shape[0] // groups, numel_of(out)))
    columns = _per_group(weight, groups, n).transpose(1, 2).bmm(flat)
    columns = columns.reshape((n, c, *kernel, *out))
    spatial = [s + 2 * p for s, p in zip(sizes, padding, strict=True)]
    made = grad.new_zeros((n, c, *spatial))
    dims = len(kernel)
    for place in _places(kernel):
        target, source = made, columns
        for i, at in enumerate(place):
            source = source.select(2, at)
            start = at * dilation[i]
            end = start + (out[i] - 1) * stride[i] + 1
            target = _slice(target, 2 + i, start, end, stride[i])
        target.add_(source)
    for i in range(dims):
        if padding[i]:
            made = made.narrow(2 + i, padding[i], sizes[i])
    return made.contiguous()


def _slice(t: Any, dim: int, start: int, end: int, step: int) -> Any:
    from dispatchtorch.ops.view import slice_

    return slice_(t, dim, start, end, step)


def _places(kernel: Any) -> list[tuple[int, ...]]:
    places: list[tuple[int, ...]] = [()]
    for size in kernel:
        places = [(*p, i) for p in places for i in range(size)]
    return places


@operator(
    f"_conv_weight(Tensor grad_output, Tensor input, int[] kernel, {_GEOMETRY}) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _conv_weight(grad, input, kernel, stride, padding, dilation, groups):
    """The gradient of ``_conv`` for a weight of the given kernel sizes."""
    n, o = grad._shape[:2]
    c = input._shape[1]
    columns, out = _columns(input, kernel, stride, padding, dilation, groups)
    # A kernel may not reach the last elements, and the result may be cropped.
    columns = _cropped(columns, out, grad._shape[2:])
    flat = grad.reshape((n * groups, o // groups, numel_of(grad._shape[2:])))
    made = flat.bmm(columns.transpose(1, 2))
    made = made.reshape((n, o, c // groups, *kernel)).sum(0)
    return made


def _cropped(columns: Any, have: Any, want: Any) -> Any:
    if tuple(have) == tuple(want):
        return columns
    shape = columns._shape
    view = columns.reshape((*shape[:2], *have))
    for i, n in enumerate(want):
        view = view.narrow(2 + i, 0, n)
    return view.reshape((*shape[:2], numel_of(want)))


def _narrowed(t: Any, shape: Any) -> Any:
    """Without the last windows, for which output padding has made room."""
    for dim, n in enumerate(shape[2:], 2):
        t = t if t._shape[dim] == n else t.narrow(dim, 0, n)
    return t


derive(
    _conv,
    input=lambda grad, input, weight, stride, padding, dilation, groups: _conv_input(
        grad, conj(weight), input._shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda grad, input, weight, stride, padding, dilation, groups: _conv_weight(
        grad, conj(input), weight._shape[2:], stride, padding, dilation, groups
    ),
)
derive(
    _conv_input,
    grad_output=lambda grad, weight, stride, padding, dilation, groups: _conv(
        grad, conj(weight), stride, padding, dilation, groups
    ),
    weight=lambda grad, grad_output, weight, stride, padding, dilation, groups: (
        _conv_weight(
            conj(grad_output),
            grad,
            weight._shape[2:],
            stride,
            padding,
            dilation,
            groups,
        )
    ),
)
derive(
    _conv_weight,
    grad_output=lambda grad, grad_output_sizes, input, stride, padding, dilation, groups: (
        _narrowed(
            _conv(conj(input), grad, stride, padding, dilation, groups),
            grad_output_sizes,
        )
    ),
    input=lambda grad, grad_output, input, stride, padding, dilation, groups: (
        _conv_input(
            conj(grad_output), grad, input._shape[2:], stride, padding, dilation, groups
        )
    ),
)


@operator(
    "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, "
    "int[] dilation, bool transposed, int[] output_padding, int groups) -> Tensor",
    variants="function",
)
def convolution(
    input,
    weight,
    bias,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
):
    """A convolution or a transposed one, of a batched input."""
    if transposed:
        sizes = transposed_sizes(
            input._shape[2:],
            weight._shape[2:],
            stride,
            padding,
            dilation,
            output_padding,
        )
        made = _conv_input(input, weight, sizes, stride, padding, dilation, groups)
    else:
        made = _conv(input, weight, stride, padding, dilation, groups)
    if bias is not None:
        made = made + bias.reshape((1, -1) + (1,) * (made.ndim - 2))
    if transposed and input.ndim == 5:  # for which PyTorch's cpu has no other order
        return own(made).contiguous()
    return in_format_of(own(made), input, weight)


def transposed_sizes(
    sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, extra: Any
) -> tuple[int, ...]:
    """The spatial sizes of a transposed convolution's result."""
    return tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, k, s, p, d, e in zip(
                sizes, kernel, stride, padding, dilation, extra, strict=True
            )
        ]
    )


def _convolution_backward(
    grad,
    input,
    weight,
    stride,
    padding,
    dilation,
    transposed,
    groups,
    needs,
):
    made: list[Any] = [None, None, None]
    if transposed:
        if needs[0]:
            back = _conv(grad, conj(weight), stride, padding, dilation, groups)
            made[0] = _narrowed(back, input._shape)
        if needs[1]:
            made[1] = _conv_weight(
                conj(input), grad, weight._shape[2:], stride, padding, dilation, groups
            )
    else:
        if needs[0]:
            made[0] = _conv_input(
                grad, conj(weight), input._shape[2:], stride, padding, dilation, groups
            )
        if needs[1]:
            made[1] = _conv_weight(
                grad, conj(input), weight._shape[2:], stride, padding, dilation, groups
            )
    if needs[2]:
        made[2] = grad.sum([0, *range(2, grad.ndim)])
    return linked(made, input, weight)


derive_joint(convolution, "input weight bias", _convolution_backward)


def spread(value: Any, dims: int, name: str) -> tuple[int, ...]:
    """An int list argument of one entry or one for each spatial dim."""
    values = as_ints(value)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {dims} values to "
            f"match the convolution dimensions, but got {name}={list(values)}"
        )
    return values


def _bad_dilation(values: tuple[int, ...], transposed: bool) -> RuntimeError:
    """PyTorch's error, which shows zeros, of a line as of an image of height 1."""
    text = "dilation should be greater than zero"
    if min(values) < 0:
        return RuntimeError(text)
    names = ("depth", "height", "width")[3 - max(len(values), 2) :]
    values = (1,) * (len(names) - len(values)) + values
    if not transposed:
        return RuntimeError(f"{text}, but got {list(values)}")
    each = (f"dilation_{n}: {v}" for n, v in zip(names, values, strict=True))
    return RuntimeError(f"{text}, but got {', '.join(each)}")


def _check(
    input: Any,
    weight: Any,
    bias: Any,
    dims: int,
    name: str,
    transposed: bool,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    unbatched: bool,
) -> None:
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    for label, values, least in (
        ("padding", padding, 0),
        ("stride", stride, 1),
        ("dilation", dilation, 1),
    ):
        if any(v < least for v in values):
            if label == "padding":
                raise RuntimeError("negative padding is not supported")
            if label == "stride":
                raise RuntimeError("non-positive stride is not supported")
            raise _bad_dilation(tuple(values), transposed)
    w, x = weight._shape, input._shape
    shown = list(x)
    if w[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at "
            f"dimension 0, but got weight of size {list(w)} instead"
        )
    if w[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size [{list(w)}] instead"
        )
    if not transposed:
        if x[1] != w[1] * groups:
            raise RuntimeError(
                f"Given groups={groups}, weight of size {list(w)}, expected input"
                f"{shown} to have {w[1] * groups} channels, but got {x[1]} channels "
                "instead"
            )
        if bias is not None and bias._shape != (w[0],):
            raise RuntimeError(
                f"Given weight of size {list(w)}, expected bias to be 1-dimensional with "
                f"{w[0]} elements, but got bias of size {list(bias._shape)} instead"
            )
        for n, k, p, d in zip(x[2:], w[2:], padding, dilation, strict=True):
            if n + 2 * p < d * (k - 1) + 1:
                sizes = [n + 2 * p for n, p in zip(x[2:], padding, strict=True)]
                reach = [d * (k - 1) + 1 for k, d in zip(w[2:], dilation, strict=True)]
                raise RuntimeError(
                    f"Calculated padded input size per channel: "
                    f"({' x '.join(map(str, sizes))}). Kernel size: "
                    f"({' x '.join(map(str, reach))}). Kernel size can't be greater "
                    "than actual input size"
                )
    else:
        if x[1] != w[0]:
            raise RuntimeError(
                f"Given transposed={int(transposed)}, weight of size {list(w)}, expected "
                f"input{shown} to have {w[0]} channels, but got {x[1]} channels instead"
            )
        if bias is not None and bias._shape != (w[1] * groups,):
            raise RuntimeError(
                f"Given transposed={int(transposed)}, weight of size {list(w)}, expected "
                f"bias to be 1-dimensional with {w[1] * groups} elements, but got bias "
                f"of size {list(bias._shape)} instead"
            )
    _check_dtypes(input, weight, bias, dims, transposed)


_KERNELS = {
    False: ("slow_conv2d_cpu", "slow_conv2d_cpu", "compute_columns3d"),
    True: (
        "slow_conv_transpose2d_out_cpu",
        "slow_conv_transpose2d_out_cpu",
        "slow_conv_transpose3d_out_cpu",
    ),
}


def _check_dtypes(
    input: Any, weight: Any, bias: Any, dims: int, transposed: bool
) -> None:
    if bias is not None and (input._keys ^ bias._keys) & dtypes.DTYPE_MASK:
        if not transposed or not (input._keys ^ weight._keys) & dtypes.DTYPE_MASK:
            raise RuntimeError(
                f"Input type ({_cpp(input)}) and bias type ({_cpp(bias)}) should be "
                "the same"
            )
    if (input._keys ^ weight._keys) & dtypes.DTYPE_MASK:
        raise RuntimeError(
            f"expected scalar type {scalar_type_name(input.dtype)} but found "
            f"{scalar_type_name(weight.dtype)}"
        )
    kind = input.dtype
    if kind is dtypes.bool or (
        transposed and kind.category == dtypes.INT and kind is not dtypes.int64
    ):
        raise NotImplementedError(
            f'"{_KERNELS[transposed][dims - 1]}" not implemented for '
            f"'{scalar_type_name(kind)}'"
        )


def _cpp(t: Any) -> str:
    return (
        "long int" if t.dtype is dtypes.int64 else _CPP.get(t.dtype.name, t.dtype.name)
    )


def _check_ranks(x: Any, weight: Any, dims: int, named: bool, stride: Any) -> None:
    """PyTorch takes the number of dims from the weight."""
    w, shape = weight._shape, x._shape
    if len(w) < 3:
        raise RuntimeError("weight should have at least three dimensions")
    if len(w) == dims + 2:
        return
    if not named:
        spread(as_ints(stride) * (dims if len(as_ints(stride)) == 1 else 1),
               len(w) - 2, "stride")  # fmt: skip
    raise RuntimeError(
        f"Expected {len(w)}-dimensional input for {len(w)}-dimensional weight"
        f"{'' if named and dims > 1 else ' ' if not named else ''}{list(w)}, but got "
        f"{len(shape)}-dimensional input of size {list(shape)} instead"
    )


def _batched(input: Any, dims: int, name: str) -> tuple[Any, bool]:
    if input.ndim == dims + 1:
        return input.unsqueeze(0), True
    if input.ndim != dims + 2:
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to "
            f"{name}, but got input of size: {list(input._shape)}"
        )
    return input, False


def _forward(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    dims: int,
) -> Any:
    name = f"conv{dims}d"
    x, unbatched = _batched(input, dims, name)
    named = padding == "same"
    _check_ranks(x, weight, dims, named, stride)
    stride = spread(stride, dims, "stride")
    dilation = spread(dilation, dims, "dilation")
    if named and groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if isinstance(padding, str):
        x, padding = _named_padding(x, weight, stride, padding, dilation, dims)
    padding = spread(padding, dims, "padding")
    _check(
        x, weight, bias, dims, name, False, stride, padding, dilation, groups, unbatched
    )
    made = torch.convolution(
        x, weight, bias, stride, padding, dilation, False, (0,) * dims, groups
    )
    return made.squeeze(0) if unbatched else made


def _named_padding(
    x: Any, weight: Any, stride: Any, padding: str, dilation: Any, dims: int
) -> tuple[Any, Any]:
    """ "same" and "valid"; an odd total goes one further at the end."""
    if padding == "valid":
        return x, (0,) * dims
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(weight._shape[2:], dilation, strict=True)]
    for i, total in enumerate(totals):
        if total % 2:
            extra = list(x._shape)
            extra[2 + i] = 1
            x = torch.cat([x, x.new_zeros(extra)], 2 + i)
    return x, tuple([t // 2 for t in totals])


def _transposed(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    dims: int,
) -> Any:
    name = f"conv_transpose{dims}d"
    x, unbatched = _batched(input, dims, name)
    _check_ranks(x, weight, dims, False, stride)
    stride = spread(stride, dims, "stride")
    padding = spread(padding, dims, "padding")
    dilation = spread(dilation, dims, "dilation")
    extra = spread(output_padding, dims, "output_padding")
    _check(
        x, weight, bias, dims, name, True, stride, padding, dilation, groups, unbatched
    )
    _check_output_padding(x, weight, stride, padding, dilation, extra)
    made = torch.convolution(
        x, weight, bias, stride, padding, dilation, True, extra, groups
    )
    return made.squeeze(0) if unbatched else made


def _check_output_padding(
    x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, extra: Any
) -> None:
    if min(extra) < 0:
        raise RuntimeError("negative output_padding is not supported")
    names = ("depth", "height", "width")[3 - max(len(extra), 2) :]
    lead = len(names) - len(extra)  # a line is an image of height 1
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation, strict=True)):
        shown = " ".join(
            f"{word}_{name}: {value}"
            for word, values, one in (
                ("output_padding", extra, 0),
                ("stride", stride, 1),
                ("dilation", dilation, 1),
            )
            for name, value in zip(names, (one,) * lead + values, strict=True)
        )
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"{shown}"
        )
    sizes, kernel = x._shape[2:], weight._shape[2:]
    out = transposed_sizes(sizes, kernel, stride, padding, dilation, extra)
    if min(out) < 1:
        have = " x ".join(map(str, (1,) * lead + sizes))
        found = " x ".join(map(str, (1,) * lead + out))
        raise RuntimeError(
            f"Given input size per channel: ({have}). Calculated output size per channel: "
            f"({found}). Output size is too small"
        )


def _declare(dims: int) -> None:
    def forward(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):  # type: ignore[no-untyped-def]
        return _forward(input, weight, bias, stride, padding, dilation, groups, dims)

    def transposed(
        input,
        weight,
        bias=None,
        stride=1,
        padding=0,
        output_padding=0,  # type: ignore[no-untyped-def]
        groups=1,
        dilation=1,
    ):
        return _transposed(
            input, weight, bias, stride, padding, output_padding, groups, dilation, dims
        )

    forward.__doc__ = f"A convolution over {dims} spatial dim(s)."
    transposed.__doc__ = f"A transposed convolution over {dims} spatial dim(s)."
    operator(
        f"conv{dims}d(Tensor input, Tensor weight, Tensor? bias=None, int[{dims}] "
        f"stride=1, Padding padding=0, int[{dims}] dilation=1, int groups=1) -> Tensor",
        variants="function nn",
    )(forward)
    operator(
        f"conv_transpose{dims}d(Tensor input, Tensor weight, Tensor? bias=None, "
        f"int[{dims}] stride=1, int[{dims}] padding=0, int[{dims}] output_padding=0, "
        f"int groups=1, int[{dims}] dilation=1) -> Tensor",
        variants="function nn",
    )(transposed)


for _dims in (1, 2, 3):
    _declare(_dims)

"""Sliding blocks as columns and back; rearranged channels; ``conv_tbc``."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import as_ints, numel_of, scalar_type_name, torch
from dispatchtorch.ops._formats import in_format_of
from dispatchtorch.ops._precision import half
from dispatchtorch.ops.conv import _places, _slice, output_sizes, padded, windows

__all__: list[str] = []

_GEOMETRY = "int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride"


def _shown(values: Any) -> str:
    return f"({', '.join(map(str, values))})"


def _geometry(kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """The four pairs, checked."""
    made = []
    for name, word, value, least in (
        ("kernel_size", "kernel", kernel, 1),
        ("dilation", "dilation", dilation, 1),
        ("padding", "pad", padding, 0),
        ("stride", "stride", stride, 1),
    ):
        pair = (value, value) if type(value) is int else as_ints(value)
        if len(pair) != 2:
            raise RuntimeError(
                f"It is expected {name} equals to 2, but got size {len(pair)}"
            )
        made.append((name, word, pair, least))
    # PyTorch looks at the kernel and the stride first.
    for name, word, pair, least in (made[0], made[3], made[1], made[2]):
        if min(pair) < least:
            subject = "kernel size" if word == "kernel" else name
            bound = "greater than zero" if least else "non-negative"
            raise RuntimeError(
                f"{subject} should be {bound}, but got {word}_height: {pair[0]} "
                f"{word}_width: {pair[1]}"
            )
    return [each[2] for each in made]


def _check_dtype(x: Any, name: str) -> None:
    if not (x.dtype.is_floating_point or x.dtype.is_complex or x.dtype is dtypes.bool):
        raise NotImplementedError(
            f"\"{name}_out_cpu\" not implemented for '{scalar_type_name(x.dtype)}'"
        )


@operator(f"im2col(Tensor self, {_GEOMETRY}) -> Tensor", variants="private")
def im2col(self, kernel_size, dilation, padding, stride):
    """(N, C, H, W) -> (N, C * kernel, blocks): each sliding block as a column."""
    kernel, dilation, padding, stride = _geometry(
        kernel_size, dilation, padding, stride
    )
    shape = self._shape
    if self.ndim not in (3, 4) or 0 in shape[self.ndim - 3 :]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    x = self if self.ndim == 4 else self.unsqueeze(0)
    out = output_sizes(x._shape[2:], kernel, stride, padding, dilation)
    if min(out) < 1:
        raise RuntimeError(
            f"Given input with spatial size {_shown(x._shape[2:])}, kernel_size="
            f"{_shown(kernel)}, dilation={_shown(dilation)}, padding={_shown(padding)}, "
            f"calculated shape of the array of sliding blocks as {_shown(out)}, but its "
            "components must be at least one."
        )
    _check_dtype(x, "im2col")
    n, c = x._shape[:2]
    view = windows(padded(x, padding).contiguous(), kernel, stride, dilation)
    made = view.reshape((n, c * numel_of(kernel), numel_of(out)))
    return made if self.ndim == 4 else made.squeeze(0)


@operator(
    f"col2im(Tensor self, int[2] output_size, {_GEOMETRY}) -> Tensor",
    variants="private",
)
def col2im(self, output_size, kernel_size, dilation, padding, stride):
    """(N, C * kernel, blocks) -> (N, C, H, W): columns added up where they came from."""
    sizes = as_ints(output_size)
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2:
        raise RuntimeError(
            f"It is expected output_size equals to 2, but got size {len(sizes)}"
        )
    kernel, dilation, padding, stride = _geometry(
        kernel_size, dilation, padding, stride
    )
    if self.ndim not in (2, 3) or 0 in self._shape[self.ndim - 2 :]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size "
            f"and non-zero dimensions for input, but got: {list(self._shape)}"
        )
    x = self if self.ndim == 3 else self.unsqueeze(0)
    n, rows, blocks = x._shape
    area = numel_of(kernel)
    if rows % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of "
            f"kernel_size, but got input.size(1)={rows} and kernel_size={_shown(kernel)}."
        )
    out = output_sizes(sizes, kernel, stride, padding, dilation)
    if blocks != numel_of(out) or min(out) < 1:
        raise RuntimeError(
            f"Given output_size={_shown(sizes)}, kernel_size={_shown(kernel)}, dilation="
            f"{_shown(dilation)}, padding={_shown(padding)}, stride={_shown(stride)}, "
            "expected size of input's dimension 2 to match the calculated number of "
            f"sliding blocks {out[0]} * {out[1]} = {numel_of(out)}, but got "
            f"input.size(2)={blocks}."
        )
    _check_dtype(x, "col2im")
    # Half types add up in float32.
    wide = x.to(torch.float32) if half(x) else x
    columns = wide.reshape((n, rows // area, *kernel, *out))
    spatial = [s + 2 * p for s, p in zip(sizes, padding, strict=True)]
    made = wide.new_zeros((n, rows // area, *spatial))
    for place in _places(kernel):
        target, source = made, columns
        for i, at in enumerate(place):
            source = source.select(2, at)
            start = at * dilation[i]
            end = start + (out[i] - 1) * stride[i] + 1
            target = _slice(target, 2 + i, start, end, stride[i])
        target.add_(source)
    for i, p in enumerate(padding):
        made = made.narrow(2 + i, p, sizes[i])
    made = made.contiguous().to(x.dtype)
    return made if self.ndim == 3 else made.squeeze(0)


derive(
    im2col,
    name_="Im2ColBackward0",
    self=lambda grad, self_sizes, kernel_size, dilation, padding, stride: torch.col2im(
        grad, self_sizes[-2:], kernel_size, dilation, padding, stride
    ),
)
derive(
    col2im,
    name_="Col2ImBackward0",
    self=lambda grad, kernel_size, dilation, padding, stride: torch.im2col(
        grad, kernel_size, dilation, padding, stride
    ),
)


# Channels and pixels.


def _check_pixels(x: Any, factor: int, way: str) -> None:
    if x.ndim < 3:
        raise RuntimeError(
            f"{way} expects input to have at least 3 dimensions, but got input with "
            f"{x.ndim} dimension(s)"
        )
    if factor <= 0:
        word = "upscale_factor" if way == "pixel_shuffle" else "downscale_factor"
        raise RuntimeError(f"{way} expects a positive {word}, but got {factor}")


@operator(
    "pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", variants="function nn"
)
def pixel_shuffle(self, upscale_factor):
    """(*, C * r * r, H, W) -> (*, C, H * r, W * r) (Shi et al., 2016)."""
    r = upscale_factor
    _check_pixels(self, r, "pixel_shuffle")
    *lead, c, h, w = self._shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the "
            f"square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    split = self.reshape((*lead, c // (r * r), r, r, h, w))
    k = len(lead)
    order = (*range(k + 1), k + 3, k + 1, k + 4, k + 2)
    made = split.permute(order).reshape((*lead, c // (r * r), h * r, w * r))
    return _shuffled_like(made, self)


@operator(
    "pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor",
    variants="function nn",
)
def pixel_unshuffle(self, downscale_factor):
    """(*, C, H * r, W * r) -> (*, C * r * r, H, W): undoes ``pixel_shuffle``."""
    r = downscale_factor
    _check_pixels(self, r, "pixel_unshuffle")
    *lead, c, h, w = self._shape
    for word, at, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {word} to be divisible by downscale_factor, but "
                f"input.size({at})={n} is not divisible by {r}"
            )
    split = self.reshape((*lead, c, h // r, r, w // r, r))
    k = len(lead)
    order = (*range(k + 1), k + 2, k + 4, k + 1, k + 3)
    made = split.permute(order).reshape((*lead, c * r * r, h // r, w // r))
    return _shuffled_like(made, self)


derive(
    pixel_shuffle,
    self=lambda grad, upscale_factor: torch.pixel_unshuffle(grad, upscale_factor),
)
derive(
    pixel_unshuffle,
    self=lambda grad, downscale_factor: torch.pixel_shuffle(grad, downscale_factor),
)


def _shuffled_like(made: Any, self: Any) -> Any:
    """A result with memory of its own, in the memory format of the operand."""
    if made.data_ptr() == self.data_ptr() or 1 in made._shape:
        made = made.clone(memory_format=contiguous_format)
    return in_format_of(made.contiguous(), self)


def _shuffled(self, groups):
    """(N, C, *): channel i of group g becomes channel g of group i."""
    if self.ndim <= 2:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(self._shape)}"
        )
    n, c, *rest = self._shape
    if groups <= 0:
        raise RuntimeError(
            "Number of groups to divide channels in must be positive. Value of "
            f"groups:{groups}"
        )
    if c % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {c} channels and "
            f"{groups} groups."
        )
    split = self.reshape((n, groups, c // groups, *rest)).transpose(1, 2)
    made = split.reshape(self._shape)
    return _shuffled_like(made, self)


def _unshuffle(grad: Any, sizes: Any, groups: int) -> Any:
    return torch.channel_shuffle(grad, max(sizes[1], 1) // groups)


for _name in ("channel_shuffle", "native_channel_shuffle"):
    derive(
        operator(f"{_name}(Tensor self, int groups) -> Tensor", variants="function nn")(
            _shuffled
        ),
        self=lambda grad, self_sizes, groups: _unshuffle(grad, self_sizes, groups),
    )


@operator(
    "conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor",
    variants="function nn",
)
def conv_tbc(self, weight, bias, pad=0):
    """A convolution over (time, batch, channels); the weight is (kernel, in, out)."""
    if self.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    if self._shape[2] != weight._shape[1]:
        raise RuntimeError(
            "Input dim 2 (input channels) is not == dim 1 in the weight tensor"
        )
    if bias._shape[0] != weight._shape[2]:
        raise RuntimeError(
            "Bias size must equal dim 2 in the weight tensor (output channels)."
        )
    made = torch.conv1d(
        self.permute((1, 2, 0)), weight.permute((2, 1, 0)), bias, 1, pad
    )
    return made.permute((2, 0, 1)).contiguous()

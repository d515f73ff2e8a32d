"""Resampling: images of another size, and images read at the points of a grid.

A new size is reached one dim after the other. Along a dim, each output is a weighted sum
of a few inputs, its taps; a mode is no more than a rule for the taps. The gradient adds
up along the same taps.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import as_ints, scalar_type_name, torch
from dispatchtorch.ops._formats import in_format_of
from dispatchtorch.ops._precision import half
from dispatchtorch.ops.padding import int_line, line

__all__: list[str] = []

# For each tap: the place that every output reads, and with what weight (None: 1).
Taps = tuple[tuple[tuple[int, ...], "tuple[float, ...] | None"], ...]


def _single(value: float) -> float:
    """A float rounded to single precision, in which PyTorch finds nearest places."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _ratio(size: int, out: int, align: bool, scale: float) -> float:
    """How far the source point moves from one output to the next."""
    if align:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale > 0 else size / out


def _nearest(size: int, out: int, align: bool, scale: float, shift: float = 0) -> Taps:
    step = _single(_ratio(size, out, False, scale))
    row = [
        min(math.floor(_single(_single(i + shift) * step)), size - 1)
        for i in range(out)
    ]
    return ((tuple(row), None),)


def _nearest_2d(size: int, out: int, align: bool, scale: float) -> Taps:
    """As PyTorch does in two dims: the scale is forgotten where sizes stay or double."""
    if out in (size, 2 * size):
        return ((tuple(i * size // out for i in range(out)), None),)
    return _nearest(size, out, align, scale)


def _nearest_exact(size: int, out: int, align: bool, scale: float) -> Taps:
    return _nearest(size, out, align, scale, 0.5)


def _linear(size: int, out: int, align: bool, scale: float) -> Taps:
    step = _ratio(size, out, align, scale)
    points = [
        i * step if align else max((i + 0.5) * step - 0.5, 0.0) for i in range(out)
    ]
    low = [min(math.floor(p), size - 1) for p in points]
    part = [min(p - at, 1.0) for p, at in zip(points, low, strict=True)]
    return (
        (tuple(low), tuple([1 - p for p in part])),
        (tuple([min(at + 1, size - 1) for at in low]), tuple(part)),
    )


def _cubic_kernel(x: float, a: float) -> float:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    if x < 2:
        return ((x - 5) * x + 8) * x * a - 4 * a
    return 0.0


def _cubic(size: int, out: int, align: bool, scale: float) -> Taps:
    step = _ratio(size, out, align, scale)
    points = [i * step if align else (i + 0.5) * step - 0.5 for i in range(out)]
    low = [math.floor(p) for p in points]
    made = []
    for k in (-1, 0, 1, 2):
        row = [min(max(at + k, 0), size - 1) for at in low]
        weights = [
            _cubic_kernel(p - at - k, -0.75) for p, at in zip(points, low, strict=True)
        ]
        made.append((tuple(row), tuple(weights)))
    return tuple(made)


def _triangle(x: float) -> float:
    return max(1 - abs(x), 0.0)


def _smooth_cubic(x: float) -> float:
    return _cubic_kernel(x, -0.5)


def _lanczos(x: float) -> float:
    if not -3 <= x < 3:
        return 0.0
    return _sinc(x) * _sinc(x / 3)


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _antialiased(kernel: Callable[[float], float], reach: int) -> Callable[..., Taps]:
    """A rule whose kernel widens as the image shrinks."""

    def rule(size: int, out: int, align: bool, scale: float) -> Taps:
        step = _ratio(size, out, align, scale)
        wide = max(step, 1.0)
        rows = []
        for i in range(out):
            center = step * (i + 0.5)
            first = max(int(center - reach * wide + 0.5), 0)
            end = min(int(center + reach * wide + 0.5), size)
            weights = [kernel((j - center + 0.5) / wide) for j in range(first, end)]
            total = sum(weights)
            rows.append((first, [w / total if total else w for w in weights]))
        made = []
        for k in range(max(len(w) for _, w in rows)):
            row = tuple([min(first + k, size - 1) for first, _ in rows])
            part = tuple([w[k] if k < len(w) else 0.0 for _, w in rows])
            made.append((row, part))
        return tuple(made)

    return rule


_RULES: dict[str, Callable[..., Taps]] = {
    "nearest": _nearest,
    "nearest_2d": _nearest_2d,
    "nearest_exact": _nearest_exact,
    "linear": _linear,
    "cubic": _cubic,
    "linear_aa": _antialiased(_triangle, 1),
    "cubic_aa": _antialiased(_smooth_cubic, 2),
    "lanczos_aa": _antialiased(_lanczos, 3),
}


@lru_cache(256)
def _taps(kind: str, size: int, out: int, align: bool, scale: float) -> Taps:
    return _RULES[kind](size, out, align, scale)


@lru_cache(256)
def _whole(taps: Taps) -> tuple[Taps, int]:
    """Taps whose weights are whole numbers of 16 bits, and the unit they count in.

    Bytes are resampled so, as Pillow does it; sums stay exact in float32.
    """
    merged = _merged(taps)
    most = max(abs(w) for _, weights in merged for w in weights)
    bits = 0
    while bits < 22 and int(0.5 + most * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    unit = 1 << bits
    made = []
    for row, weights in merged:
        whole = [int(w * unit + math.copysign(0.5, w)) for w in weights]
        made.append((row, tuple(map(float, whole))))
    return tuple(made), unit


def _merged(taps: Taps) -> list[tuple[tuple[int, ...], list[float]]]:
    """Taps in which no place is read twice: at borders its weights are added up."""
    made = [(row, list(weights or (1.0,) * len(row))) for row, weights in taps]
    for i in range(len(made[0][0])):
        first: dict[int, list[float]] = {}
        for row, weights in made:
            into = first.setdefault(row[i], weights)
            if into is not weights:
                into[i] += weights[i]
                weights[i] = 0.0
    return made


def _row(like: Any, weights: Any, dim: int) -> Any:
    """Weights along a dim, in the dtype of a tensor."""
    shape = [1] * like.ndim
    shape[dim] = len(weights)
    return line(like, weights, like.dtype).reshape(shape)


def _plan(sizes: Any, kind: str, outs: Any, align: bool, scales: Any) -> list[Any]:
    """(dim, taps) of every spatial dim that isn't copied as it is, the last first."""
    rule = "nearest_2d" if kind == "nearest" and len(outs) == 2 else kind
    made = []
    for i in reversed(range(len(outs))):
        taps = _taps(rule, sizes[2 + i], outs[i], align, scales[i])
        if len(taps) == 1 and taps[0][0] == tuple(range(sizes[2 + i])):
            continue
        made.append((2 + i, taps))
    return made


def _resized(self, kind, output_size, align_corners, scales):
    """The image in another size."""
    byte = self.dtype is dtypes.uint8 and not kind.startswith("nearest")
    x = self.to(torch.float32) if half(self) or byte else self
    for dim, taps in _plan(self._shape, kind, output_size, align_corners, scales):
        unit = 1
        if byte:
            taps, unit = _whole(taps)
        made: Any = None
        for row, weights in taps:
            part = x.index_select(dim, int_line(x, row))
            if weights is not None:
                part = part.mul_(_row(x, weights, dim))
            made = part if made is None else made.add_(part)
        x = made
        if byte:  # rounded after each dim
            x = torch.clamp(torch.floor((x + unit // 2) / unit), 0, 255)
    result = x.to(self.dtype)
    if result.data_ptr() == self.data_ptr():
        result = result.clone(memory_format=contiguous_format)
    return in_format_of(result, self)


def _resized_back(
    grad: Any, sizes: Any, kind: str, outs: Any, align: bool, scales: Any
) -> Any:
    """The gradient for an image of ``sizes``."""
    made = grad.to(torch.float32) if half(grad) else grad
    for dim, taps in reversed(_plan(sizes, kind, outs, align, scales)):
        shape = list(made._shape)
        shape[dim] = sizes[dim]
        total = made.new_zeros(shape)
        for row, weights in taps:
            part = made if weights is None else made * _row(made, weights, dim)
            total = total.index_add(dim, int_line(made, row), part)
        made = total
    return made.to(grad.dtype)


# The word for what PyTorch can't do to integers.
_KERNEL = {
    "nearest": "compute_indices_weights_nearest",
    "nearest_exact": "compute_indices_weights_nearest",
    "linear": "compute_indices_weights_linear",
    "cubic": "compute_indices_weights_cubic",
    "linear_aa": "compute_indices_weights_aa",
    "cubic_aa": "compute_indices_weights_aa",
    "lanczos_aa": "compute_indices_weights_aa",
}


def _check(x: Any, outs: Any, dims: int, kind: str) -> None:
    if len(outs) != dims:
        raise RuntimeError(
            f"It is expected output_size equals to {dims}, but got size {len(outs)}"
        )
    if x.ndim != dims + 2:
        raise RuntimeError(
            f"It is expected input_size equals to {dims + 2}, but got size {x.ndim}"
        )
    sizes = x._shape[2:]
    if min(sizes) <= 0 or min(outs) <= 0:
        words = "DHW"[3 - dims :]
        given, found = (
            ", ".join(f"{w}: {n}" for w, n in zip(words, each, strict=True))
            for each in (sizes, outs)
        )
        joined = "and " if dims == 1 else ""
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({given}) {joined}output ({found})"
        )
    if 0 in x._shape[1:]:
        raise RuntimeError(
            f"Non-empty {dims + 2}D data tensor expected but got a tensor with sizes "
            f"{list(x._shape)}"
        )
    aligned = not kind.startswith("nearest")
    byte_too = dims == 2 or not aligned
    if not (x.dtype.is_floating_point or (byte_too and x.dtype is dtypes.uint8)):
        word = _KERNEL[kind]
        if dims == 2 and not kind.startswith("cubic") and "_aa" not in kind:
            word = f"upsample_{'bilinear' if aligned else 'nearest'}2d_channels_last"
        raise NotImplementedError(
            f"\"{word}\" not implemented for '{scalar_type_name(x.dtype)}'"
        )


def _declare(name: str, node: str, dims: int, kind: str) -> None:
    """One public operator: sizes and scales one by one, or (``vec``) as lists."""
    core = operator(
        f"_{name.lstrip('_')}_of(Tensor self, str kind, int[] output_size, "
        "bool align_corners, float[] scales) -> Tensor",
        variants="private",
    )(
        lambda self, kind, output_size, align_corners, scales: _resized(
            self, kind, output_size, align_corners, scales
        )
    )
    derive(
        core,
        name_=f"{node}Backward0",
        self=lambda grad, self_sizes, kind, output_size, align_corners, scales: (
            _resized_back(grad, self_sizes, kind, output_size, align_corners, scales)
        ),
    )

    def resize(x: Any, outs: Any, align: bool, scales: Any) -> Any:
        outs = as_ints(outs)
        _check(x, outs, dims, kind)
        numbers = tuple([0.0 if s is None else float(s) for s in scales])
        return core(x, kind, outs, align, numbers)

    def of_lists(x: Any, outs: Any, align: bool, scales: Any) -> Any:
        if (outs is None) == (scales is None):
            raise RuntimeError(
                "Must specify exactly one of output_size and scale_factors"
            )
        if outs is None:
            outs = [int(n * s) for n, s in zip(x._shape[2:], scales, strict=True)]
            return resize(x, outs, align, scales)
        return resize(x, outs, align, (None,) * dims)

    aligned = not kind.startswith("nearest")
    names = (
        ("scales",) if dims == 1 else tuple(f"scales_{c}" for c in "dhw"[3 - dims :])
    )
    # Bodies name their arguments as the schema does, hence one for each number of dims.
    flag = ", align_corners" if aligned else ""
    value = "align_corners" if aligned else "False"
    listed = ", ".join(f"{n}=None" for n in names)
    scope: dict[str, Any] = {"resize": resize, "of_lists": of_lists}
    exec(
        f"def vec(input, output_size{flag}, scale_factors):\n"
        f"    return of_lists(input, output_size, {value}, scale_factors)\n"
        f"def single(self, output_size{flag}, {listed}):\n"
        f"    return resize(self, output_size, {value}, ({', '.join(names)},))\n",
        scope,
    )
    doc = f"{kind.replace('_aa', ', antialiased').capitalize()} resampling, {dims}-d."
    scope["vec"].__doc__ = scope["single"].__doc__ = doc
    flag = ", bool align_corners" if aligned else ""
    operator(
        f"{name}.vec(Tensor input, int[]? output_size{flag}, float[]? scale_factors) -> "
        "Tensor",
        variants="private",
    )(scope["vec"])
    operator(
        f"{name}(Tensor self, int[{dims}] output_size{flag}, "
        + ", ".join(f"float? {n}=None" for n in names)
        + ") -> Tensor",
        variants="private",
    )(scope["single"])


for _dims in (1, 2, 3):
    _declare(f"upsample_nearest{_dims}d", f"UpsampleNearest{_dims}D", _dims, "nearest")
    _declare(
        f"_upsample_nearest_exact{_dims}d", f"UpsampleNearestExact{_dims}D", _dims,
        "nearest_exact",
    )  # fmt: skip
_declare("upsample_linear1d", "UpsampleLinear1D", 1, "linear")
_declare("upsample_bilinear2d", "UpsampleBilinear2D", 2, "linear")
_declare("upsample_trilinear3d", "UpsampleTrilinear3D", 3, "linear")
_declare("upsample_bicubic2d", "UpsampleBicubic2D", 2, "cubic")
_declare("_upsample_bilinear2d_aa", "UpsampleBilinear2DAa", 2, "linear_aa")
_declare("_upsample_bicubic2d_aa", "UpsampleBicubic2DAa", 2, "cubic_aa")
_declare("_upsample_lanczos2d_aa", "UpsampleLanczos2DAa", 2, "lanczos_aa")

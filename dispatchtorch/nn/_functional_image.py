"""Images in ``torch.nn.functional``: padding, resampling, grids, sliding blocks."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from dispatchtorch.ops._common import torch as operators

if TYPE_CHECKING:
    from dispatchtorch import Tensor

# ``pad`` has an argument of its own name.
__all__ = [
    "affine_grid",
    "fold",
    "grid_sample",
    "interpolate",
    "pad",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def pad(
    input: Tensor, pad: list[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """The last dims made longer by ``pad`` = (before, after, …), from the last one on.

    ``mode``: "constant" (with ``value``, 0 for None), "reflect", "replicate" or
    "circular", the last three for up to three dims of a batch. Negative numbers crop.
    """
    return operators.pad(input, pad, mode, value)


# Resampling.

#: By mode and spatial dims: the operator's name and whether it takes align_corners.
_RESAMPLERS: dict[tuple[str, int], tuple[str, bool]] = {
    **{("nearest", d): (f"upsample_nearest{d}d", False) for d in (1, 2, 3)},
    **{
        ("nearest-exact", d): (f"_upsample_nearest_exact{d}d", False) for d in (1, 2, 3)
    },
    ("linear", 1): ("upsample_linear1d", True),
    ("bilinear", 2): ("upsample_bilinear2d", True),
    ("trilinear", 3): ("upsample_trilinear3d", True),
    ("bicubic", 2): ("upsample_bicubic2d", True),
}
_ANTIALIASED = {
    "bilinear": "_upsample_bilinear2d_aa",
    "bicubic": "_upsample_bicubic2d_aa",
    "lanczos": "_upsample_lanczos2d_aa",
}
_DIMS_OF = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _spread(
    value: Any, name: str, label: str, word: str, shape: Any, letter: str
) -> list[Any]:
    """A number for each spatial dim, given as one or as a sequence."""
    dims = len(shape)
    if not isinstance(value, (list, tuple)):
        return [value] * dims
    if len(value) != dims:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got "
            f"input with spatial dimensions of {list(shape)} and {label} {value}. "
            "Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
            f"{word} in ({letter}1, {letter}2, ...,{letter}K) format."
        )
    return list(value)


def interpolate(
    input: Tensor,
    size: int | None = None,
    scale_factor: list[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The image (N, C, *spatial) in another size, or in a multiple of its own.

    ``mode``: "nearest", "nearest-exact" and "area" for 1 to 3 spatial dims, "linear" for
    one, "bilinear", "bicubic" and (antialiased) "lanczos" for two, "trilinear" for three.
    ``align_corners`` lets the outermost points coincide. ``recompute_scale_factor``
    derives the scale from the sizes again; ``antialias`` widens the kernel as the image
    shrinks. ValueError where size and scale_factor are not exactly one, or arguments
    don't go together; NotImplementedError for a mode that isn't for so many dims.
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif align_corners is None:
        align_corners = False

    dims = input.dim() - 2
    shape = tuple(input.size())[2:]
    sizes: list[int] | None = None
    scales: list[float] | None = None
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if isinstance(size, (list, tuple)) and len(size) == dims:
            if not all(hasattr(n, "__index__") for n in size):
                raise TypeError(
                    "expected size to be one of int or Tuple[int] or Tuple[int, int] or "
                    "Tuple[int, int, int], but got size with types "
                    f"{[type(n) for n in size]}"
                )
        sizes = _spread(size, "output", "output size of", "output size", shape, "o")
    elif scale_factor is not None:
        scales = _spread(
            scale_factor, "scale_factor", "scale_factor of shape", "scale_factor",
            shape, "s",
        )  # fmt: skip
    else:
        raise ValueError("either size or scale_factor should be defined")

    if recompute_scale_factor and size is not None:
        raise ValueError(
            "recompute_scale_factor is not meaningful with an explicit size."
        )
    if scales is not None and (recompute_scale_factor or mode == "area"):
        sizes = [math.floor(float(n) * s) for n, s in zip(shape, scales, strict=True)]
        scales = None

    if antialias and not (mode in _ANTIALIASED and dims == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and "
            "requires a 4-D tensor as input"
        )
    if mode == "lanczos":
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
        if align_corners:
            raise ValueError("Lanczos mode does not support align_corners=True")

    if mode == "area" and dims in (1, 2, 3):
        return getattr(operators, f"adaptive_avg_pool{dims}d")(input, sizes)
    if antialias:
        return getattr(operators, _ANTIALIASED[mode])(
            input, sizes, align_corners, scales
        )
    found = _RESAMPLERS.get((mode, dims))
    if found is None:
        wanted = _DIMS_OF.get(mode)
        if wanted is not None and dims in (1, 2, 3):
            raise NotImplementedError(
                f"Got {dims + 2}D input, but {mode} mode needs {wanted + 2}D input"
            )
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {dims + 2}D) "
            "for the modes: nearest | linear | bilinear | bicubic | trilinear | lanczos "
            f"| area | nearest-exact (got {mode})"
        )
    name, aligned = found
    resample = getattr(operators, name)
    if aligned:
        return resample(input, sizes, align_corners, scales)
    return resample(input, sizes, scales)


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


def upsample(
    input,  # type: ignore[no-untyped-def]
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
):
    """``interpolate`` under its former name."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):  # type: ignore[no-untyped-def]
    """``interpolate`` with mode "nearest"."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):  # type: ignore[no-untyped-def]
    """``interpolate`` with mode "bilinear" and aligned corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# Grids.


def _default_corners(align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to "
            "align_corners=False since 1.3.0. Please specify align_corners=True if the "
            "old behavior is desired. See the documentation of grid_sample for details.",
            stacklevel=3,
        )
        return False
    return align_corners


def affine_grid(
    theta: Tensor, size: list[int], align_corners: bool | None = None
) -> Tensor:
    """The sampling grid of a batch of affine maps, for ``grid_sample``.

    ``theta``: (N, 2, 3) for a size (N, C, H, W), (N, 3, 4) for (N, C, D, H, W). Returns
    (N, H, W, 2) or (N, D, H, W, 3). ValueError for other shapes and for integers.
    """
    align_corners = _default_corners(align_corners)
    if not theta.is_floating_point():
        raise ValueError(
            f"Expected theta to have floating point type, but got {theta.dtype}"
        )
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} "
            f"for size {size}. Got {theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids "
            "when align_corners=True. This is not an intended use case of affine_grid. "
            "See the documentation of affine_grid for details.",
            stacklevel=2,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return operators.affine_grid_generator(theta, size, align_corners)


_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The image (N, C, *spatial) at the points of a grid (N, *out, dims) in -1…1.

    ``mode``: "bilinear", "nearest" or "bicubic" (two spatial dims); ``padding_mode`` for
    points outside: "zeros", "border" or "reflection". Returns (N, C, *out).
    """
    if mode not in tuple(_MODES):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', "
            f"or 'reflection', but got: '{padding_mode}'"
        )
    align_corners = _default_corners(align_corners)
    return operators.grid_sampler(
        input, grid, _MODES[mode], _PADDINGS[padding_mode], align_corners
    )


# Sliding blocks.


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def unfold(
    input: Tensor,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The sliding blocks of (N, C, H, W) as the columns of (N, C * kernel, blocks)."""
    return operators.im2col(
        input, _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride)
    )


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The columns (N, C * kernel, blocks) added up where ``unfold`` takes them from."""
    return operators.col2im(
        input, _pair(output_size), _pair(kernel_size), _pair(dilation), _pair(padding),
        _pair(stride),
    )  # fmt: skip

"""Images read at the points of a grid (Jaderberg et al., 2015)."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import as_ints, numel_of, scalar_type_name, torch
from dispatchtorch.ops._history import linked

__all__: list[str] = []

_BILINEAR, _NEAREST, _BICUBIC = 0, 1, 2
_ZEROS, _BORDER, _REFLECTION = 0, 1, 2


# Grids of affine maps.


def _base_grid(like: Any, size: Any, align: bool) -> Any:
    """The points (x, y[, z], 1) of an image's elements, as rows."""
    spatial = size[2:]
    dims = len(spatial)
    columns = []
    for i, n in enumerate(reversed(spatial)):
        line = (
            torch.linspace(-1, 1, n, dtype=like.dtype, device=like.device)
            if n > 1
            else torch.zeros((n,), dtype=like.dtype, device=like.device)
        )
        if not align:
            line = line * ((n - 1) / n)
        shape = [1] * dims
        shape[dims - 1 - i] = n
        columns.append(line.reshape(shape).expand(spatial))
    columns.append(torch.ones(spatial, dtype=like.dtype, device=like.device))
    return torch.stack(columns, -1).reshape((1, numel_of(spatial), dims + 1))


@operator(
    "affine_grid_generator(Tensor theta, int[] size, bool align_corners) -> Tensor",
    variants="function",
)
def affine_grid_generator(theta, size, align_corners):
    """The grid (N, *spatial, dims) of a batch of affine maps (N, dims, dims + 1)."""
    size = as_ints(size)
    if len(size) not in (4, 5):
        raise RuntimeError(
            "AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs."
        )
    base = _base_grid(theta, size, align_corners)
    base = base.expand((size[0], *base._shape[1:]))
    made = base.bmm(theta.transpose(1, 2))
    return made.reshape((size[0], *size[2:], len(size) - 2))


def _affine_back(grad: Any, size: Any, align: bool) -> Any:
    base = _base_grid(grad, size, align)
    base = base.expand((size[0], *base._shape[1:]))
    flat = grad.reshape((size[0], base._shape[1], len(size) - 2))
    return base.transpose(1, 2).bmm(flat).transpose(1, 2)


derive(
    affine_grid_generator,
    theta=lambda grad, size, align_corners: _affine_back(grad, size, align_corners),
)


# Sampling.


def _reflect(x: Any, low: float, high: float) -> tuple[Any, Any]:
    """Points folded back into a range, and the sign of what they were folded by."""
    span = high - low
    if span <= 0:
        return torch.zeros_like(x), torch.zeros_like(x)
    away = x - low
    sign = torch.where(away < 0, -1.0, 1.0).to(x.dtype)
    away = away.abs()
    extra = torch.fmod(away, span)
    odd = torch.remainder(torch.floor(away / span), 2) != 0
    folded = torch.where(odd, span - extra + low, extra + low)
    return folded, torch.where(odd, -sign, sign)


def _kept_inside(x: Any, size: int, padding: int, align: bool) -> tuple[Any, Any]:
    """Points moved as the padding mode says, and how much they still move with x."""
    slope = None
    if padding == _REFLECTION:
        ends = (0.0, size - 1.0) if align else (-0.5, size - 0.5)
        x, slope = _reflect(x, *ends)
    if padding != _ZEROS:
        free = ((x > 0) & (x < size - 1)).to(x.dtype)
        slope = free if slope is None else slope * free
        x = torch.clamp(x, 0, size - 1)
    return x, slope


def _cubic_taps(t: Any) -> list[tuple[int, Any, Any]]:
    """(offset, weight, its derivative) of the four taps around a point."""
    a = -0.75
    made = []
    for k in (-1, 0, 1, 2):
        d = t - k
        x, sign = d.abs(), torch.sign(d)
        if k in (0, 1):
            weight = ((a + 2) * x - (a + 3)) * x * x + 1
            slope = (3 * (a + 2) * x - 2 * (a + 3)) * x
        else:
            weight = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
            slope = (3 * a * x - 10 * a) * x + 8 * a
        made.append((k, weight, slope * sign))
    return made


def _line_taps(
    x: Any, size: int, mode: int, padding: int, align: bool
) -> list[tuple[Any, Any, Any]]:
    """(place, weight, derivative by the grid) of each tap of one coordinate."""
    scale = (size - 1) / 2 if align else size / 2
    point = (x + 1) * scale if align else ((x + 1) * size - 1) / 2
    slope = None
    if mode != _BICUBIC:
        point, slope = _kept_inside(point, size, padding, align)
    if mode == _NEAREST:
        at, zero = point.round(), torch.zeros_like(point)
        taps = [(at, zero + 1, zero)]
    elif mode == _BILINEAR:
        low = point.floor()
        t = point - low
        one = torch.ones_like(t)
        taps = [(low, 1 - t, -one), (low + 1, t, one)]
    else:
        low = point.floor()
        taps = [(low + k, w, d) for k, w, d in _cubic_taps(point - low)]
    made = []
    for at, weight, by in taps:
        if mode == _BICUBIC:
            at, _ = _kept_inside(at, size, padding, align)
        inside = (at >= 0) & (at <= size - 1)
        by = by * scale if slope is None else by * slope * scale
        place = torch.where(inside, at, 0).to(torch.int64)
        made.append((place, torch.where(inside, weight, 0), torch.where(inside, by, 0)))
    return made


def _walk(
    sizes: Any, grid: Any, mode: int, padding: int, align: bool
) -> list[tuple[Any, Any, list[Any]]]:
    """(flat place, weight, derivatives by each coordinate) of all taps, as (N, P)."""
    dims = len(sizes)
    flat = grid.reshape((grid._shape[0], numel_of(grid._shape[1:-1]), dims))
    found: list[tuple[Any, Any, list[Any]]] = []
    for i in range(dims):
        size = sizes[dims - 1 - i]
        step = numel_of(sizes[dims - i :])
        line = _line_taps(flat.select(2, i), size, mode, padding, align)
        if not found:
            found = [(place, w, [by]) for place, w, by in line]
            continue
        found = [
            (old + place * step, weight * w, [*[d * w for d in slopes], weight * by])
            for old, weight, slopes in found
            for place, w, by in line
        ]
    return found


def _sampled(input, grid, interpolation_mode, padding_mode, align_corners):
    """The image (N, C, *spatial) at the points (N, *out, dims), each in -1…1."""
    _check(input, grid, interpolation_mode)
    if not input.dtype.is_floating_point:
        name = f"grid_sampler_{input.ndim - 2}d_cpu"
        name += "_kernel_impl" if input.ndim == 4 else ""
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{scalar_type_name(input.dtype)}'"
        )
    n, c, *sizes = input._shape
    flat = input.reshape((n, c, numel_of(sizes)))
    made = None
    for place, weight, _ in _walk(
        sizes, grid, interpolation_mode, padding_mode, align_corners
    ):
        part = _read(flat, place) * weight.unsqueeze(1)
        made = part if made is None else made + part
    return made.reshape((n, c, *grid._shape[1:-1]))  # type: ignore[union-attr]


def _read(flat: Any, place: Any) -> Any:
    n, c = flat._shape[:2]
    return flat.gather(2, place.unsqueeze(1).expand((n, c, place._shape[1])))


def _sampled_back(
    grad, input, grid, interpolation_mode, padding_mode, align_corners, needs
):
    """The gradients of the image and of the grid."""
    n, c, *sizes = input._shape
    points = numel_of(grid._shape[1:-1])
    flat = input.reshape((n, c, numel_of(sizes)))
    up = grad.reshape((n, c, points))
    image = flat.new_zeros(flat._shape) if needs[0] else None
    moved: list[Any] = [None] * len(sizes)
    for place, weight, slopes in _walk(
        sizes, grid, interpolation_mode, padding_mode, align_corners
    ):
        if needs[0]:
            at = place.unsqueeze(1).expand((n, c, points))
            image = image.scatter_add(2, at, up * weight.unsqueeze(1))  # type: ignore[union-attr]
        if needs[1]:
            seen = (up * _read(flat, place)).sum(1)
            for i, slope in enumerate(slopes):
                part = seen * slope
                moved[i] = part if moved[i] is None else moved[i] + part
    made: list[Any] = [None, None]
    if needs[0]:
        made[0] = image.reshape(input._shape)  # type: ignore[union-attr]
    if needs[1]:
        made[1] = torch.stack(moved, -1).reshape(grid._shape)
    return linked(made, input, grid)


def _check(x: Any, grid: Any, mode: int) -> None:
    sizes = f"input with sizes {list(x._shape)} and grid with sizes {list(grid._shape)}"
    if x._shape[:1] != grid._shape[:1]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got "
            f"{sizes}"
        )
    if grid._shape[-1] != x.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, "
            f"but got grid with sizes {list(grid._shape)}"
        )
    for i, n in enumerate(x._shape[2:], 2):
        if n <= 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but "
                f"input has sizes {list(x._shape)} with dimension {i} being empty"
            )
    if x.ndim not in (4, 5) or x.ndim != grid.ndim:
        expected = x.ndim if x.ndim in (4, 5) else "4D or 5"
        raise RuntimeError(
            f"grid_sampler(): expected {expected}D input and grid with same number of "
            f"dimensions, but got {sizes}"
        )
    if x.ndim == 5 and mode == _BICUBIC:
        raise RuntimeError(
            "grid_sampler(): bicubic interpolation only supports 4D input"
        )
    if x.dtype is not grid.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type_name(x.dtype)} but found "
            f"{scalar_type_name(grid.dtype)}"
        )


_SCHEMA = (
    "(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, "
    "bool align_corners) -> Tensor"
)
for _dims in (2, 3):
    derive_joint(
        operator(f"grid_sampler_{_dims}d{_SCHEMA}", variants="function")(_sampled),
        "input grid",
        _sampled_back,
        name_=f"GridSampler{_dims}DBackward0",
    )


@operator(f"grid_sampler{_SCHEMA}", variants="function")
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """The image at the points of a grid, in two or three spatial dims."""
    _check(input, grid, interpolation_mode)
    sample = torch.grid_sampler_2d if input.ndim == 4 else torch.grid_sampler_3d
    return sample(input, grid, interpolation_mode, padding_mode, align_corners)

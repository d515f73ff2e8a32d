"""Counting: how many elements are equal, or fall between edges."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import return_type
from dispatchtorch.ops._common import (
    numel_of,
    reduction_dims,
    refuse,
    scalar_type_name,
    torch,
)

__all__: list[str] = []


@operator(
    "bincount(Tensor self, Tensor? weights=None, int minlength=0) -> Tensor",
    tags="nondifferentiable",
)
def bincount(self, weights=None, minlength=0):
    """How often each number from 0 on appears, or the sum of its weights."""
    refuse(
        self,
        "\"bincount_cpu\" not implemented for '{dtype}'",
        dtypes.BOOL,
        dtypes.FLOAT,
        dtypes.COMPLEX,
    )
    if self.ndim != 1:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights._shape != self._shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    size = minlength
    if self.numel():
        if int(self.min()) < 0:
            raise RuntimeError(
                "bincount only supports 1-d non-negative integral inputs."
            )
        size = max(size, int(self.max()) + 1)
    kind = dtypes.int64
    if weights is not None:
        kind = weights.dtype if weights.dtype is dtypes.float32 else dtypes.float64
    zeros = torch.zeros(size, dtype=kind, device=self.device)
    ones = torch.ones(self._shape, dtype=kind, device=self.device)
    add = ones if weights is None else weights.detach().to(kind)
    return zeros.scatter_add(0, self.to(dtypes.int64), add)


@operator(
    "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
    tags="out nondifferentiable",
)
def histc(self, bins=100, min=0, max=0):
    """How many elements fall in each of ``bins`` equal parts of a range."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    refuse(self, "\"aminmax_cpu\" not implemented for '{dtype}'", dtypes.COMPLEX)
    refuse(self, "\"linspace_cpu\" not implemented for '{dtype}'", dtypes.BOOL)
    refuse(self, "\"histogram_cpu\" not implemented for '{dtype}'", dtypes.INT)
    flat = self.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and flat.numel():
        low, high = float(flat.min()), float(flat.max())
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    inside = flat[(flat >= low) & (flat <= high)]
    place = (
        ((inside - low) * (bins / (high - low))).to(dtypes.int64).clamp(max=bins - 1)
    )
    zeros = torch.zeros(bins, dtype=self.dtype, device=self.device)
    return zeros.scatter_add(0, place, torch.ones_like(inside))


# Histograms between edges of several dims.

_RESULTS = "(Tensor hist, Tensor bin_edges)"
_OPTIONS = "Tensor? weight=None, bool density=False"


def _check_points(x: Any, weight: Any, name: str) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor should have at least 2 dimensions")
    if weight is None:
        return
    if weight.dtype is not x.dtype:
        raise RuntimeError(
            f"{name}: if weight tensor is provided, input tensor and weight tensor should "
            f"have the same dtype, but got input({dtypes.c_type(x.dtype)}), and "
            f"weight({dtypes.c_type(weight.dtype)})"
        )
    if weight._shape != x._shape[:-1]:
        raise RuntimeError(
            f"{name}: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension, but got input with shape "
            f"{list(x._shape)} and weight with shape {list(weight._shape)}"
        )


def _check_edges(x: Any, edges: Any) -> None:
    for dim, each in enumerate(edges):
        if each.dtype is not x.dtype:
            raise RuntimeError(
                "torch.histogramdd: input tensor and bins tensors should have the same "
                f"dtype, but got input with dtype {dtypes.c_type(x.dtype)} and bins for dimension "
                f"{dim} with dtype {dtypes.c_type(each.dtype)}"
            )
        if each.ndim != 1:
            raise RuntimeError(
                "torch.histogramdd: bins tensor should have one dimension, but got "
                f"{each.ndim} dimensions in the bins tensor for dimension {dim}"
            )
        if not each.numel():
            raise RuntimeError(
                "torch.histogramdd: bins tensor should have at least 1 element, but got 0 "
                f"elements in the bins tensor for dimension {dim}"
            )


def _ranges(x: Any, given: Any) -> list[tuple[float, float]]:
    """The least and the greatest edge of each dim."""
    count = x._shape[-1]
    if given is not None:
        if len(given) != 2 * count:
            raise RuntimeError(
                f"torch.histogramdd: for a {count}-dimensional histogram range should "
                f"have {2 * count} elements, but got {len(given)}"
            )
        found = [
            (float(a), float(b)) for a, b in zip(given[::2], given[1::2], strict=True)
        ]
    elif x.numel():
        rows = x.reshape((-1, count))
        found = list(zip(rows.amin(0).tolist(), rows.amax(0).tolist(), strict=True))
    else:
        found = [(0.0, 1.0)] * count
    for dim, (low, high) in enumerate(found):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(
                f"torch.histogramdd: dimension {dim}'s range [{low:g}, {high:g}] is not "
                "finite"
            )
        if low > high:
            raise RuntimeError(
                f"torch.histogramdd: min should not exceed max, but got min {low:g} max "
                f"{high:g} for dimension {dim}"
            )
    return [(a - 0.5, b + 0.5) if a == b else (a, b) for a, b in found]


def _even_edges(x: Any, bins: Any, given: Any, name: str) -> list[Any]:
    for dim, count in enumerate(bins):
        if count <= 0:
            raise RuntimeError(
                f"{name}(): bins must be > 0, but got {count} for dimension {dim}"
            )
    return [
        torch.linspace(low, high, count + 1, dtype=x.dtype, device=x.device)
        for count, (low, high) in zip(bins, _ranges(x, given), strict=True)
    ]


def _histogram(x: Any, edges: Any, weight: Any, density: bool) -> Any:
    """The counts (or weights) of points ``x[..., :]`` between the edges of each dim."""
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{scalar_type_name(x.dtype)}'"
        )
    rows = x.reshape((-1, x._shape[-1]))
    shape = [each._shape[0] - 1 for each in edges]
    place = torch.zeros((rows._shape[0],), dtype=dtypes.int64, device=x.device)
    inside = torch.ones((rows._shape[0],), dtype=dtypes.bool, device=x.device)
    for dim, each in enumerate(edges):
        values = rows.select(1, dim).contiguous()
        at = torch.searchsorted(each, values, right=True) - 1
        last = shape[dim]
        at = torch.where(values == each[last], last - 1, at)  # the last edge is inside
        inside = inside & (values >= each[0]) & (values <= each[last])
        inside = inside & (at >= 0) & (at < last)
        place = place * last + at
    add = torch.ones_like(rows.select(1, 0)) if weight is None else weight.reshape(-1)
    flat = torch.zeros((numel_of(shape),), dtype=x.dtype, device=x.device)
    made = flat.scatter_add(0, place[inside], add[inside]).reshape(shape)
    if density:
        made = made / made.sum()
        for dim, each in enumerate(edges):
            width = [-1 if d == dim else 1 for d in range(len(shape))]
            made = made / each.diff().reshape(width)
    return made


def _flat(self: Any, weight: Any) -> Any:
    """The weights as a vector, where they have the shape of what they weigh."""
    same = weight is not None and weight._shape == self._shape
    return weight.reshape(-1) if same else weight


@operator(
    f"histogram.bin_ct(Tensor self, int bins=100, *, float[]? range=None, {_OPTIONS}) -> "
    f"{_RESULTS}",
    tags="out nondifferentiable",
)
def histogram(self, bins, *, range, weight, density):
    """How many elements fall in each of ``bins`` equal parts of a range."""
    x = self.detach().reshape((-1, 1))
    weight = _flat(self, weight)
    _check_points(x, weight, "torch.histogramdd")
    edges = _even_edges(x, [bins], range, "torch.histogram")
    return return_type(histogram)((_histogram(x, edges, weight, density), edges[0]))


@operator(
    f"histogram.bins_tensor(Tensor self, Tensor bins, *, {_OPTIONS}) -> {_RESULTS}",
    tags="out nondifferentiable",
)
def histogram_between(self, bins, *, weight, density):
    """How many elements fall between each two of the edges ``bins``."""
    x = self.detach().reshape((-1, 1))
    weight = _flat(self, weight)
    _check_points(x, weight, "torch.histogramdd")
    _check_edges(x, [bins])
    made = _histogram(x, [bins], weight, density)
    return return_type(histogram)((made, bins.detach()))


def _histogramdd(overload: str, kind: str) -> None:
    schema = (
        f"histogramdd{overload}(Tensor self, {kind} bins, float[]? range=None, {_OPTIONS})"
        " -> (Tensor hist, Tensor[] bin_edges)"
    )

    def body(self, bins, range=None, weight=None, density=False):  # type: ignore[no-untyped-def]
        x = self.detach()
        _check_points(x, weight, "torch.histogramdd")
        if kind == "int":
            bins = [bins] * x._shape[-1]
        if len(bins) != x._shape[-1]:
            raise RuntimeError(
                "histogramdd: The size of bins must be equal to the innermost dimension of "
                "the input."
            )
        if kind == "Tensor[]":
            _check_edges(x, bins)
            edges = list(bins)
        else:
            edges = _even_edges(x, bins, range, "torch.histogram")
        return return_type(op)((_histogram(x, edges, weight, density), tuple(edges)))

    body.__doc__ = "How many points fall in each cell of a grid of edges."
    op = operator(schema, tags="nondifferentiable", variants="function")(body)


for _overload, _kind in (
    ("", "int[]"),
    (".int_bins", "int"),
    (".TensorList_bins", "Tensor[]"),
):
    _histogramdd(_overload, _kind)


@operator(
    "hash_tensor(Tensor self, int[1] dim=[], *, bool keepdim=False, int mode=0) -> Tensor",
    tags="out nondifferentiable",
)
def hash_tensor(self, dim, *, keepdim, mode):
    """The exclusive or of the elements' bits, as 64-bit integers or floats."""
    if mode:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if self.is_complex():
        raise NotImplementedError(
            f"\"xor_sum_cpu\" not implemented for '{scalar_type_name(self.dtype)}'"
        )
    dims = reduction_dims(dim, self.ndim)
    empty = [d for d in dims if self._shape[d] == 0]
    if empty and not (type(dim) is int or len(dim)):
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    if empty:
        raise IndexError(
            f"hash_tensor: Expected reduction dim {empty[0]} to have non-zero size."
        )
    x = self.detach()
    if x.is_floating_point():
        x = torch._view_dtype(x.to(dtypes.float64), dtypes.int64)
    x = x.to(dtypes.int64)
    for d in dims:
        while x._shape[d] > 1:
            half = x._shape[d] // 2
            rest = x.narrow(d, 2 * half, x._shape[d] - 2 * half)
            both = torch.bitwise_xor(x.narrow(d, 0, half), x.narrow(d, half, half))
            x = torch.cat([both, rest], d)
    if not keepdim:
        x = x.reshape([n for d, n in enumerate(x._shape) if d not in dims])
    return torch._view_dtype(x.contiguous(), dtypes.uint64)

"""Distances and products of pairs of vectors."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dtypes import c_type
from dispatchtorch.lift import broadcast_shapes, result_type
from dispatchtorch.ops._common import (
    numel_of,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops.statistics import norm_backward


@operator(
    "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
    variants="function",
)
def cosine_similarity(x1, x2, dim, eps):
    """The cosine of the angle between vectors along a dim."""
    kind = result_type([x1, x2])
    if kind.category != dtypes.FLOAT:
        raise RuntimeError(
            "expected common dtype to be floating point, yet common dtype is "
            f"{scalar_type_name(kind)}"
        )
    shape = broadcast_shapes([x1._shape, x2._shape])
    wrap_dim(dim, len(shape))

    def unit(x: Any) -> Any:
        x = x.expand(shape)
        x = x if x.dtype.category > dtypes.INT else x.to(kind)
        size = torch.norm(x, 2, dim, True).clone()
        # The bound takes no part in the gradient.
        torch.clamp_min_(size.detach(), eps)
        return x / size

    return (unit(x1) * unit(x2)).sum(dim)


@operator(
    "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, "
    "float eps=9.9999999999999995e-07, bool keepdim=False) -> Tensor",
    variants="function",
)
def pairwise_distance(x1, x2, p, eps, keepdim):
    """The p-norms of differences along the last dim, after adding ``eps``."""
    last = max(x1.ndim, x2.ndim) - 1
    return torch.norm(x1 - x2 + eps, p, last, keepdim)


def _check_bilinear(input1: Any, input2: Any, weight: Any, bias: Any) -> None:
    if input1.ndim != input2.ndim:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and "
            f"{input2.ndim}"
        )
    for i in range(input1.ndim - 1):
        a, b = input1._shape[i], input2._shape[i]
        if a != b:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {i}: got {a} "
                f"and {b}"
            )
    tensors = {"input1": input1, "input2": input2, "weight": weight, "bias": bias}
    kinds = {name: t.dtype for name, t in tensors.items() if t is not None}
    if len(set(kinds.values())) > 1:
        got = ", ".join(f"{name}: {c_type(kind)}" for name, kind in kinds.items())
        raise RuntimeError(f"All tensors must have the same dtype, got {got}")
    for name, t, at in (("input1", input1, 1), ("input2", input2, 2)):
        wanted = weight._shape[wrap_dim(at, weight.ndim)]
        if t._shape[-1] != wanted:
            raise RuntimeError(
                f"bilinear(): {name} size does not match weight size: got "
                f"{t._shape[-1]} but expected {wanted}"
            )
    if bias is not None and bias._shape[0] != weight._shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias._shape[0]} "
            f"but expected {weight._shape[0]}"
        )


@operator(
    "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> "
    "Tensor",
    variants="function",
)
def bilinear(input1, input2, weight, bias):
    """``input1 @ weight[k] @ input2`` for each output k, and ``bias``."""
    _check_bilinear(input1, input2, weight, bias)
    outputs, left, right = weight._shape
    batch = input1._shape[:-1]
    rows = input1.reshape((numel_of(batch), left))
    # (N, left) @ (left, outputs * right), then with the other side along its dim.
    half = rows.mm(weight.transpose(0, 1).reshape((left, outputs * right)))
    half = (
        half.reshape((-1, outputs, right))
        if numel_of(batch)
        else half.reshape((0, outputs, right))
    )
    other = input2.reshape((numel_of(batch), right, 1))
    made = half.bmm(other).reshape((*batch, outputs))
    return made if bias is None else made + bias


@operator("pdist(Tensor self, float p=2.0) -> Tensor", variants="function")
def pdist(self, p):
    """The p-norms of the differences of all pairs of rows: (0, 1), (0, 2), …"""
    if self.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {self.ndim}D")
    if not self.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    left, right = _pairs(self)
    return torch.norm(self.index_select(0, left) - self.index_select(0, right), p, 1)


def _pairs(self: Any) -> tuple[Any, Any]:
    """The first and the second row of each pair."""
    count = self._shape[0]
    order = torch.arange(count, device=self.device)
    first = order.unsqueeze(1).expand((count, count))
    above = (first < order).reshape(-1)
    left = torch.masked_select(first.reshape(-1), above)
    right = torch.masked_select(order.expand((count, count)).reshape(-1), above)
    return left, right


def _pdist_backward(grad: Any, self: Any, p: float, result: Any) -> Any:
    if p == 0:
        return torch.zeros_like(self)
    left, right = _pairs(self)
    gaps = self.index_select(0, left) - self.index_select(0, right)
    made = norm_backward(grad, gaps, result, p, 1, False)
    zeros = torch.zeros_like(self)
    return zeros.index_add(0, left, made).index_add(0, right, made, alpha=-1)


derive(pdist, self=_pdist_backward)

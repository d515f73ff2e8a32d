"""Helpers that all distributions share: broadcasting, probabilities and log-odds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.overrides import is_tensor_like

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """The values as tensors of one shape; numbers take the first tensor's dtype.

    Numbers alone become tensors of the default dtype. Raises ValueError for anything
    that is neither a number nor a tensor.
    """
    tensors = [v for v in values if is_tensor_like(v)]
    if not all(is_tensor_like(v) or isinstance(v, Number) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            "implementing __torch_function__."
        )
    if len(tensors) < len(values):
        options: dict[str, Any] = {"dtype": torch.get_default_dtype()}
        for t in tensors:
            if isinstance(t, Tensor):
                options = {"dtype": t.dtype, "device": t.device}
                break
        values = tuple(
            v if is_tensor_like(v) else torch.tensor(v, **options) for v in values
        )
    return torch.broadcast_tensors(*values)


def all_numbers(*values: Any) -> bool:
    """Whether a distribution of these parameters has no batch shape of its own."""
    return all(isinstance(v, Number) for v in values)


def _standard_normal(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    zeros = torch.zeros(shape, dtype=dtype, device=device)
    return torch.normal(zeros, torch.ones(shape, dtype=dtype, device=device))


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dims."""
    if dim == 0:
        return value
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds (binary), or of log-weights along the last dim."""
    return torch.sigmoid(logits) if is_binary else torch.softmax(logits, -1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept an epsilon away from 0 and 1."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds (binary) or log-probabilities, finite for 0 and 1 too."""
    p = clamp_probs(probs)
    return torch.log(p) - torch.log1p(-p) if is_binary else torch.log(p)


class lazy_property:
    """A property worked out at its first reading and kept in the instance."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return self
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The entries on and below a diagonal of `(..., n, n)` matrices, row by row."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = torch.tril_indices(n, n, diag, device=mat.device)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """`(..., n, n)` matrices from the entries on and below a diagonal."""
    # n(n+1)/2 entries where diag is 0, moved by the diagonals that are added or left out
    count = vec.shape[-1]
    n = (-(1 + 2 * diag) + math.sqrt((1 + 2 * diag) ** 2 + 8 * count
         + 4 * abs(diag) * (diag + 1))) / 2  # fmt: skip
    eps = torch.finfo(vec.dtype).eps
    if round(n) - n > eps:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the "
            "lower triangular part of a square D x D matrix."
        )
    size = round(n)
    mat = torch.zeros((*vec.shape[:-1], size, size), dtype=vec.dtype, device=vec.device)
    rows, columns = torch.tril_indices(size, size, diag, device=vec.device)
    mat[..., rows, columns] = vec
    return mat

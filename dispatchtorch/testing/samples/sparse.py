"""Samples of sparse layouts: dense tensors that are made sparse around the operator.

A sample describes strided tensors alone, so a row makes its operand sparse, or its result
dense, on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._generators import cases
from ._model import Array, Draw, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
Function = Callable[..., Any]


def _dense_result(function: Function) -> Function:
    return lambda *args, **kwargs: function(*args, **kwargs).to_dense()


def _of(make: Function) -> Callable[[Function], Function]:
    """The operator on its first operand made sparse."""
    return lambda function: lambda x, *args: function(make(x), *args)


def _masked(function: Function) -> Function:
    return lambda x, mask: function(x, mask.to_sparse().coalesce()).to_dense()


def _some_zeros(g: Draw, *shape: int) -> Array:
    keep = np.arange(int(np.prod(shape))).reshape(shape) % 3 != 1
    return g.of(g(*shape, low=0.3, high=3).values * keep)


def _matrix(g: Draw) -> Any:
    return [S(_some_zeros(g, 4, 6))]


def _row(name: str, generate: Any, around: Any, **options: Any) -> OperatorSamples:
    options.setdefault("grads", 0)
    return cases(f"Tensor.{name}", generate, "fc", around=around, **options)


ROWS: list[OperatorSamples] = [
    _row(
        "to_sparse",
        lambda g: [S(_some_zeros(g, 3, 4)), S(_some_zeros(g, 3, 4, 2), 2)],
        _dense_result,
        grads=1,
    ),
    _row("to_sparse_csr", _matrix, _dense_result),
    _row("to_sparse_csc", _matrix, _dense_result),
    _row("to_sparse_bsr", lambda g: [S(_some_zeros(g, 4, 6), (2, 3))], _dense_result),
    _row("to_sparse_bsc", lambda g: [S(_some_zeros(g, 4, 6), (2, 3))], _dense_result),
    _row("to_dense", _matrix, _of(lambda x: x.to_sparse()), grads=1),
    _row("coalesce", _matrix, lambda f: lambda x: f(x.to_sparse()).to_dense()),
    _row("indices", _matrix, _of(lambda x: x.to_sparse().coalesce())),
    _row("values", _matrix, _of(lambda x: x.to_sparse().coalesce())),
    _row("_indices", _matrix, _of(lambda x: x.to_sparse())),
    _row("_values", _matrix, _of(lambda x: x.to_sparse())),
    _row("crow_indices", _matrix, _of(lambda x: x.to_sparse_csr())),
    _row("col_indices", _matrix, _of(lambda x: x.to_sparse_csr())),
    _row("ccol_indices", _matrix, _of(lambda x: x.to_sparse_csc())),
    _row("row_indices", _matrix, _of(lambda x: x.to_sparse_csc())),
    _row(
        "sparse_mask",
        lambda g: [S(g(3, 4), _some_zeros(g, 3, 4))],
        _masked,
    ),
]

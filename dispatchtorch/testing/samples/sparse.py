"""Samples of sparse layouts: dense tensors that are made sparse around the operator.

A sample describes strided tensors alone, so a row makes its operand sparse, or its result
dense, on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._generators import cases, table
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


def _both(function: Function) -> Function:
    return lambda x, *args: function(x.to_sparse(), *args).to_dense()


def _product(g: Draw) -> Any:
    return [S(_some_zeros(g, 3, 4), g(4, 2))]


def _added_product(g: Draw) -> Any:
    return [S(_some_zeros(g, 3, 2), _some_zeros(g, 3, 4), g(4, 2))]


def _first_two(function: Function) -> Function:
    return lambda x, y, z: function(x.to_sparse(), y.to_sparse(), z).to_dense()


def _coalesced_result(function: Function) -> Function:
    return lambda *args: function(*args).coalesce().to_dense()


def _compressed(g: Draw) -> Any:
    ends, places = g.of([0, 2, 3], "int64"), g.of([0, 2, 1], "int64")
    return [S(ends, places, g(3), (2, 3))]


def _coalesced(x: Any) -> Any:
    return x.to_sparse().coalesce()


def _csr(x: Any) -> Any:
    return x.to_sparse_csr()


def _csc(x: Any) -> Any:
    return x.to_sparse_csc()


def _row(name: str, generate: Any, around: Any, **options: Any) -> OperatorSamples:
    options.setdefault("grads", 0)
    return cases(f"Tensor.{name}", generate, "fc", around=around, **options)


ROWS: list[OperatorSamples] = [
    _row(
        "to_sparse",
        lambda g: [S(_some_zeros(g, 3, 4)), S(_some_zeros(g, 3, 4, 2), 2)],
        _dense_result,
    ),
    _row("to_sparse_csr", _matrix, _dense_result),
    _row("to_sparse_csc", _matrix, _dense_result),
    _row("to_sparse_bsr", lambda g: [S(_some_zeros(g, 4, 6), (2, 3))], _dense_result),
    _row("to_sparse_bsc", lambda g: [S(_some_zeros(g, 4, 6), (2, 3))], _dense_result),
    _row("to_dense", _matrix, _of(lambda x: x.to_sparse())),
    _row("coalesce", _matrix, lambda f: lambda x: f(x.to_sparse()).to_dense()),
    _row("indices", _matrix, _of(_coalesced)),
    _row("values", _matrix, _of(_coalesced)),
    _row("_indices", _matrix, _of(lambda x: x.to_sparse())),
    _row("_values", _matrix, _of(lambda x: x.to_sparse())),
    _row("crow_indices", _matrix, _of(_csr)),
    _row("col_indices", _matrix, _of(_csr)),
    _row("ccol_indices", _matrix, _of(_csc)),
    _row("row_indices", _matrix, _of(_csc)),
    cases(
        "sparse.softmax",
        lambda g: [S(_some_zeros(g, 3, 4), 1)],
        "f",
        grads=0,
        around=_both,
    ),
    cases(
        "sparse.log_softmax",
        lambda g: [S(_some_zeros(g, 3, 4), 1)],
        "f",
        grads=0,
        around=_both,
    ),
    cases(
        "sparse.sum", lambda g: [S(_some_zeros(g, 3, 4), 1)], "f", grads=0, around=_both
    ),
    cases(
        "sparse.mm",
        lambda g: [S(_some_zeros(g, 3, 4), g(4, 2))],
        "f",
        grads=0,
        around=_both,
    ),
    cases(
        "sparse_coo_tensor",
        lambda g: [S(g.of([[0, 1, 1], [2, 0, 0]], "int64"), g(3), (2, 3))],
        "fc",
        grads=1,
        around=_coalesced_result,
    ),
    *table("smm\nhspmm\nhsmm", _product, "f", grads=0, around=_both),
    *table("spmm\ndsmm", _product, "f", grads=0, around=_of(lambda x: x.to_sparse())),
    *table("sspaddmm\nsaddmm", _added_product, "f", grads=0, around=_first_two),
    cases("sparse_csr_tensor", _compressed, "fc", grads=0, around=_dense_result),
    _row(
        "sparse_mask",
        lambda g: [S(g(3, 4), _some_zeros(g, 3, 4))],
        _masked,
    ),
]

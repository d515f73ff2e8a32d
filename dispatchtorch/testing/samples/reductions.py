"""Samples of reductions, scans, sorting, searching and statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import (
    cases,
    cumulative,
    dim_failure,
    indexed_reduction,
    reduction,
    reduction_of_all,
    reduction_of_dim,
)
from ._model import Array, Draw, DType, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample


def _reducer(function: Any, **fixed: Any) -> Any:
    """A NumPy reduction under PyTorch's argument names."""

    def reference(
        x: Any, dim: Any = None, keepdim: bool = False, **options: Any
    ) -> Any:
        if options or (dim is not None and not x.ndim):
            return NotImplemented
        return function(x, axis=dim, keepdims=keepdim, **fixed)

    return reference


def _scan(function: Any) -> Any:
    """A NumPy scan, which gives a 0-d array a dim."""
    return lambda x, dim: function(x, dim) if x.ndim else NotImplemented


def _with_dtype(g: Draw) -> Iterator[Any]:
    yield from reduction(g)
    yield S(g(2, 3), dtype=DType("float64"))
    yield S(g(2, 3), 0, dtype=DType("complex128"))


def _floats(g: Draw) -> Iterator[Any]:
    yield from reduction(g)
    yield S(g(2, 3), dtype=DType("float64"))


def _not_empty(g: Draw) -> Iterator[Any]:
    """A reduction that has no value for no elements."""
    for each in reduction(g):
        if not (isinstance(each, Sample) and 0 in each.arrays()[0].shape):
            yield each
    yield S(g(0, 3), 1)


def _product(g: Draw) -> Iterator[Any]:
    yield from reduction_of_all(g)
    yield from reduction_of_dim(g)
    yield S(g(2, 3), dtype=DType("float64"))


def _any_all(g: Draw) -> Iterator[Any]:
    yield from reduction(g)


def _moments(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g(2, 3, layout="transposed"), 0)
    yield S(g(2, 3, 2), (0, 2), keepdim=True)
    yield S(g(2, 3), 1, correction=0)
    yield S(g(2, 3), dim=-1, correction=2)
    yield S(g(4), unbiased=False)
    yield S(g(2, 3), 1, False)


def _moment(function: Any) -> Any:
    def reference(x: Any, dim: Any = None, *rest: Any, **options: Any) -> Any:
        if rest or "unbiased" in options:
            return NotImplemented
        return function(
            x,
            axis=dim,
            ddof=options.get("correction", 1),
            keepdims=options.get("keepdim", False),
        )

    return reference


def _max_min(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g())
    yield S(g(2, 3), 0)
    yield S(g(2, 3, layout="transposed"), -1, keepdim=True)
    yield S(g(), 0)
    yield S(g(2, 3), g(3))
    yield S(g(0, 3), 1)
    yield dim_failure(g(2, 3), 5)
    if g.is_float:
        yield S(g.special())
        yield S(g.special(), 0)
    yield Failure(
        S(g(0)),
        "RuntimeError",
        "Expected reduction dim to be specified for input.numel",
    )


def _norms(g: Draw) -> Iterator[Any]:
    for order in (2, 1, 0, float("inf"), -float("inf"), 3):
        yield S(g(2, 3), order)
    yield S(g(2, 3, layout="transposed"), 2, 0)
    yield S(g(2, 3, 2), 1, (0, 2), keepdim=True)
    yield S(g())
    yield S(g(0, 3), 2, 1)


def _norm(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g(2, 3), 1)
    yield S(g(2, 3), float("inf"), 0)
    yield S(g(2, 3), 2, (0, 1), keepdim=True)
    yield S(g(2, 3), "fro", dim=1)
    yield S(g())


def _sorting(g: Draw) -> Iterator[Any]:
    yield S(_distinct(g, 2, 3))
    yield S(_distinct(g, 2, 3), 0)
    yield S(_distinct(g, 2, 3, 2), 1, True)
    yield S(_distinct(g, 3, 2), dim=-1, descending=True, stable=True)
    yield S(g())
    yield S(g(0, 3), 1)
    yield dim_failure(g(2, 3), 5)


def _distinct(g: Draw, *shape: int) -> Array:
    """Values that differ, so that their order is one order."""
    if g.kind == "b":
        return g(*shape)
    size = int(np.prod(shape))
    values = g.permutation(size).values.reshape(shape)
    if g.kind == "i":
        return g.of(values)
    return g.of(0.5 * values - 0.22 * size)


def _chosen(g: Draw) -> Iterator[Any]:
    yield S(_distinct(g, 5), 2)
    yield S(_distinct(g, 2, 4), 1, 0)
    yield S(_distinct(g, 2, 4), 2, -1)
    yield S(g(), 1)


def _topk(g: Draw) -> Iterator[Any]:
    yield from _chosen(g)
    yield S(_distinct(g, 2, 4), 3, 1, largest=False)
    yield Failure(S(g(2, 3), 5), "RuntimeError", "selected index k out of range")


def _kthvalue(g: Draw) -> Iterator[Any]:
    yield from _chosen(g)
    yield S(_distinct(g, 2, 4), 3, 1, keepdim=True)


def _medians(g: Draw) -> Iterator[Any]:
    yield S(_distinct(g, 2, 3))
    yield S(_distinct(g, 2, 4), 1)
    yield S(_distinct(g, 3, 2), 0, keepdim=True)
    yield S(g())
    if g.is_float:
        yield S(g.special())
        yield S(g.special(), 0)


def _mode(g: Draw) -> Iterator[Any]:
    values = g.of([[1, 1, 0, 1], [0, 1, 0, 0]])
    yield S(values)
    yield S(values, 1, keepdim=True)
    yield S(g())


def _scan_with_index(g: Draw) -> Iterator[Any]:
    yield S(_distinct(g, 2, 3), 0)
    yield S(_distinct(g, 2, 3), -1)
    yield S(g(), 0)
    yield S(g(0, 3), 1)


def _quantiles(g: Draw) -> Iterator[Any]:
    q = g.of([0.1, 0.5], grad=False)
    yield S(_distinct(g, 5), 0.3)
    yield S(_distinct(g, 2, 4), 0.5, 1, keepdim=True)
    yield S(_distinct(g, 2, 4), q, 0)
    yield S(_distinct(g, 2, 4), q)
    for kind in ("lower", "higher", "midpoint", "nearest"):
        yield S(_distinct(g, 4), 0.4, interpolation=kind)
    yield Failure(
        S(g(3), 1.5), "RuntimeError", "quantile() q must be in the range [0, 1] but got"
    )


def _nanquantiles(g: Draw) -> Iterator[Any]:
    yield S(_distinct(g, 2, 4), 0.5, 1)
    yield S(g.of([1.0, float("nan"), 3.0, 2.0], grad=False), 0.5)
    yield S(_distinct(g, 2, 4), g.of([0.1, 0.5], grad=False), 0)


def _quantile(
    x: Any, q: Any, dim: Any = None, keepdim: bool = False, **how: Any
) -> Any:
    kind = how.get("interpolation", "linear")
    return np.quantile(x, q, axis=dim, keepdims=keepdim, method=kind)


def _histc(g: Draw) -> Iterator[Any]:
    yield S(g(9), 4)
    yield S(g(3, 3), bins=3, min=-1, max=2)
    yield S(g(0), 2)


def _histogram(g: Draw) -> Iterator[Any]:
    yield S(g(9), 4)
    yield S(g(9), 3, range=(-1.0, 2.0), density=True)
    yield S(g(9), g.of([-2.0, 0.0, 1.0, 3.0], grad=False), weight=g(9, low=0.1, high=1))


def _histogramdd(g: Draw) -> Iterator[Any]:
    yield S(g(9, 2), [3, 2])
    yield S(g(9, 2), 2)
    yield S(g(9, 2), (g.of([-2.0, 0.0, 3.0]), g.of([-1.0, 1.0])))


def _bincount(g: Draw) -> Iterator[Any]:
    x = g.index(7, high=4)
    yield S(g.of(x.values))
    yield S(g.of(x.values), minlength=6)
    yield S(g.of(x.values), g(7, dtype="float64", grad=False))
    yield S(g(0))


def _diff(g: Draw) -> Iterator[Any]:
    yield S(g(4))
    yield S(g(2, 4), 2)
    yield S(g(2, 4), dim=0)
    yield S(g(2, 3), prepend=g(2, 1), append=g(2, 2))
    yield S(g(0, 3))


def _trapezoid(g: Draw) -> Iterator[Any]:
    yield S(g(2, 4))
    yield S(g(2, 4), g(4))
    yield S(g(2, 4), dx=2, dim=0)
    yield S(g(3, 2), g(3, 2), dim=0)


def _search(g: Draw) -> Iterator[Any]:
    ordered = g.of(np.arange(0, 10, 2))
    yield S(ordered, g(2, 3, low=0, high=9))
    yield S(ordered, g(3, low=0, high=9), right=True)
    yield S(ordered, 3)
    yield S(ordered, g(2, low=0, high=9), out_int32=True)
    yield S(ordered, g(2, low=0, high=9), side="right")
    yield S(g.of([[1, 3], [2, 5]]), g(2, 3, low=0, high=6))


def _bucketize(g: Draw) -> Iterator[Any]:
    ordered = g.of(np.arange(0, 10, 2))
    yield S(g(2, 3, low=0, high=9), ordered)
    yield S(g(3, low=0, high=9), ordered, right=True)
    yield S(3, ordered)


def _unique(g: Draw) -> Iterator[Any]:
    x = g(2, 4) if not g.is_float else g.of([[1.0, 2.0, 1.0], [2.0, 0.5, 0.5]])
    yield S(x)
    yield S(x, return_inverse=True, return_counts=True)
    yield S(x, dim=0, return_inverse=True)
    yield S(g(0))


def _consecutive(g: Draw) -> Iterator[Any]:
    x = g.of([1, 1, 0, 0, 0, 1])
    yield S(x)
    yield S(x, return_inverse=True, return_counts=True)
    yield S(g.of([[1, 1], [1, 1], [0, 1]]), dim=0)


def _segments(g: Draw) -> Iterator[Any]:
    lengths = g.of([2, 1, 3], "int64")
    for kind in ("sum", "mean", "max", "min", "prod"):
        yield S(_distinct(g, 6, 2), kind, lengths=lengths)


def _isin(g: Draw) -> Iterator[Any]:
    yield S(g.of([[1, 2], [3, 1]]), g.of([1, 3]))
    yield S(g.of([1, 2, 3]), g.of([1]), invert=True)
    yield S(g.of([1, 2]), 2)
    yield S(1, g.of([1, 2]))


def _cov(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4))
    yield S(g(4))
    yield S(g(2, 4), correction=0)
    yield S(
        g(2, 4),
        fweights=g.of([1, 2, 1, 3], "int64"),
        aweights=g(4, low=0.3, high=2, dtype="float64", grad=False)
        if g.dtype in ("float64", "complex128")
        else None,
    )


_ALL = "fhcib"

ROWS: list[OperatorSamples] = [
    cases("sum", _with_dtype, _ALL, _reducer(np.sum)),
    cases("mean", _floats, "fhc", _reducer(np.mean)),
    cases("nansum", _floats, "fhib", _reducer(np.nansum)),
    cases("nanmean", _floats, "fh", _reducer(np.nanmean)),
    cases("prod", _product, _ALL, _reducer(np.prod)),
    cases("amax", _not_empty, "fhib", _reducer(np.amax)),
    cases("amin", _not_empty, "fhib", _reducer(np.amin)),
    cases("any", _any_all, _ALL),
    cases("all", _any_all, _ALL),
    cases("argmax", indexed_reduction, "fhi", _reducer(np.argmax)),
    cases("argmin", indexed_reduction, "fhi", _reducer(np.argmin)),
    cases("max", _max_min, "fhib"),
    cases("min", _max_min, "fhib"),
    cases(
        "aminmax",
        lambda g: [S(g(2, 3)), S(g(2, 3), dim=0, keepdim=True), S(g())],
        "fhib",
    ),
    cases(
        "count_nonzero",
        lambda g: [S(g(2, 3)), S(g(2, 3), 0), S(g(2, 3, 2), (0, 2)), S(g())],
        _ALL,
        np.count_nonzero,
    ),
    cases("cumsum", cumulative, _ALL, _scan(np.cumsum)),
    cases("cumprod", cumulative, _ALL, _scan(np.cumprod)),
    cases("cummax", _scan_with_index, "fhib"),
    cases("cummin", _scan_with_index, "fhib"),
    cases("logcumsumexp", cumulative, "fhc"),
    cases(
        "logsumexp",
        lambda g: [
            S(g(2, 3), 0),
            S(g(2, 3), (0, 1), keepdim=True),
            S(g(), 0),
            S(g(0, 3), 1),
        ],
        "fhci",
        "scipy.special.logsumexp",
    ),
    cases("var", _moments, "fhc", _moment(np.var)),
    cases("std", _moments, "fhc", _moment(np.std)),
    cases("var_mean", _moments, "fhc"),
    cases("std_mean", _moments, "fhc"),
    cases("norm", _norm, "fhc"),
    cases("linalg.vector_norm", _norms, "fhc", covers="linalg_vector_norm"),
    cases(
        "dist", lambda g: [S(g(2, 3), g(2, 3)), S(g(2, 3), g(3), 1), S(g(), g())], "fc"
    ),
    cases("renorm", lambda g: [S(g(3, 4), 2, 0, 1), S(g(2, 3, 2), 1, -1, 2)], "fhc"),
    cases("sort", _sorting, "fhib"),
    cases("argsort", _sorting, "fhi"),
    cases(
        "msort",
        lambda g: [S(_distinct(g, 3, 2)), S(g())],
        "fhib",
        lambda x: np.sort(x, axis=0) if x.ndim else x,
    ),
    cases("topk", _topk, "fhi"),
    cases("kthvalue", _kthvalue, "fhi"),
    cases("median", _medians, "fhi"),
    cases("nanmedian", _medians, "fhi"),
    cases("mode", _mode, "fhib"),
    cases("quantile", _quantiles, "f", _quantile),
    cases("nanquantile", _nanquantiles, "f"),
    cases("histc", _histc, "f", grads=0),
    cases("histogram", _histogram, "f", grads=0),
    cases("histogramdd", _histogramdd, "f", grads=0),
    cases("hash_tensor", lambda g: [S(g(2, 3)), S(g(2, 3), 0)], "fi", grads=0),
    cases(
        "gradient",
        lambda g: [S(g(5)), S(g(4, 3), spacing=2.0), S(g(4, 3), dim=0, edge_order=2)],
        "fc",
    ),
    cases("bincount", _bincount, "i"),
    cases("diff", _diff, _ALL),
    cases("trapezoid", _trapezoid, "fc"),
    cases("trapz", _trapezoid, "fc"),
    cases("cumulative_trapezoid", _trapezoid, "fc"),
    cases("searchsorted", _search, "fhi"),
    cases("bucketize", _bucketize, "fhi"),
    cases("segment_reduce", _segments, "f", grads=1),
    cases("unique", _unique, "fhib", grads=0),
    cases("unique_consecutive", _consecutive, "fhib", grads=0),
    cases("isin", _isin, "fi", "np.isin"),
    cases("cov", _cov, "fc"),
    cases("corrcoef", lambda g: [S(g(3, 4)), S(g(4))], "fc", "np.corrcoef"),
    cases("softmax", cumulative, "fh", "scipy.special.softmax"),
    cases("log_softmax", cumulative, "fh", "scipy.special.log_softmax"),
    cases(
        "vander",
        lambda g: [S(g(3)), S(g(3), 2), S(g(3), increasing=True)],
        "fci",
        np.vander,
    ),
    cases(
        "cosine_similarity",
        lambda g: [
            S(g(3, 4), g(3, 4)),
            S(g(2, 4), g(4), dim=-1),
            S(g(4), g(4), 0, 1e-3),
        ],
        "f",
    ),
    cases(
        "pairwise_distance",
        lambda g: [
            S(g(3, 4), g(3, 4)),
            S(g(2, 4), g(4), 1.0),
            S(g(4), g(4), keepdim=True),
        ],
        "f",
    ),
    cases("nn.functional.normalize", lambda g: [S(g(3, 4)), S(g(3, 4), 1.0, 0)], "f"),
]

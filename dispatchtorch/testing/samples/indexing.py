"""Samples of indexing, gathering, scattering and masking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import cases
from ._model import Array, Draw, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
_ALL = "fhcib"


def _along(g: Draw) -> Iterator[tuple[Array, int, Array]]:
    """(tensor, dim, index) where the index has as many dims as the tensor."""
    yield g(3, 4), 0, g.index(2, 4, high=3)
    yield g(3, 4, layout="transposed"), -1, g.index(3, 2, high=4)
    yield g(), 0, g.index(high=1)
    yield g(3, 4), 1, g.index(0, 4, high=4)


def _gather(g: Draw) -> Iterator[Any]:
    for x, dim, index in _along(g):
        yield S(x, dim, index)
    yield Failure(
        S(g(2, 3), 0, g.of([[5]], "int64")),
        "RuntimeError",
        "index 5 is out of bounds for dimension 0 with size 2",
    )
    yield Failure(
        S(g(2, 3), 0, g.index(2, high=1)),
        "RuntimeError",
        "Index tensor must have the same number of dimensions as input tensor",
    )


def _scatter(g: Draw) -> Iterator[Any]:
    """With one place for each value: the order of writing isn't defined."""
    once = g.of([[0, 1, 2], [2, 0, 1]], "int64")
    yield S(g(2, 3), 1, once, g(2, 3))
    yield S(g(2, 3, layout="transposed"), -1, once, g(2, 3))
    yield S(g(2, 3), 1, once, {"b": True, "i": 2}.get(g.kind, 1.5))
    yield S(g(2, 3), 1, g.index(0, 3, high=3), g(2, 3))
    yield S(g(), 0, g.index(high=1), g())


def _scatter_reduce(g: Draw) -> Iterator[Any]:
    yield from _scatter(g)
    if g.kind != "b":
        once = g.of([[0, 1, 2], [2, 0, 1]], "int64")
        for kind in ("add", "multiply"):
            yield S(g(2, 3, grad=False), 1, once, g(2, 3, grad=False), reduce=kind)
            yield S(g(2, 3, grad=False), 1, once, 2, reduce=kind)


def _scatter_add(g: Draw) -> Iterator[Any]:
    for x, dim, index in _along(g):
        yield S(x, dim, index, g(*index.shape))


def _reduced(g: Draw) -> Iterator[Any]:
    index = g.of([[0, 1, 0], [0, 0, 1]], "int64")
    for kind in ("sum", "prod", "mean", "amax", "amin"):
        yield S(g(2, 3), 0, index, g(2, 3), kind)
    yield S(g(2, 3), 0, index, g(2, 3), "sum", include_self=False)


def _index_reduced(g: Draw) -> Iterator[Any]:
    index = g.of([0, 1, 0], "int64")
    for kind in ("prod", "mean", "amax", "amin"):
        yield S(g(2, 3), 0, index, g(3, 3), kind)
    yield S(g(2, 3), 0, index, g(3, 3), "mean", include_self=False)


def _index_select(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), 0, g.index(2, high=3))
    yield S(g(3, 4, layout="transposed"), -1, g.index(5, high=4))
    yield S(g(3), 0, g.index(high=3))
    yield S(g(3, 4), 0, g.index(0, high=3))


def _index_add(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), 0, g.of([0, 2, 0], "int64"), g(3, 4))
    yield S(g(3, 4), -1, g.of([1, 1], "int64"), g(3, 2))
    if g.kind != "b":
        yield S(g(3), 0, g.of([1], "int64"), g(1), alpha=2)


def _index_copy(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), 0, g.of([2, 0], "int64"), g(2, 4))
    yield S(g(3, 4), 1, g.of([3], "int64"), g(3, 1))


def _index_fill(g: Draw) -> Iterator[Any]:
    value = {"b": True, "i": 2}.get(g.kind, 1.5)
    yield S(g(3, 4), 0, g.of([2, 0], "int64"), value)
    yield S(g(3, 4), -1, g.of([1], "int64"), g())


def _index_put(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), (g.of([0, 2], "int64"),), g(2, 4))
    yield S(g(3, 4), (g.of([0, 2], "int64"), g.of([1, 3], "int64")), g(2))
    yield S(g(3, 4), (g.of([0, 0], "int64"),), g(4), accumulate=True)
    yield S(g(2, 3), (g.of([[True, False, True], [False, False, True]], "bool"),), g())


def _getitem(g: Draw) -> Iterator[Any]:
    x = g(3, 4)
    for index in (
        1,
        slice(1, 3),
        (slice(None), slice(None, None, 2)),
        (Ellipsis, None, -1),
        (slice(None), g.of([0, 3, -1], "int64")),
        (g.of([[0], [2]], "int64"), g.of([1, 2], "int64")),
        g.of([True, False, True], "bool"),
        (g.of([True, False, True], "bool"), 2),
        [2, 0],
        (None, 1),
    ):
        yield S(x, index)
    yield Failure(
        S(g(2, 3), 4),
        "IndexError",
        "index 4 is out of bounds for dimension 0 with size 2",
    )
    yield Failure(
        S(g(2, 3), (0, 0, 0)),
        "IndexError",
        "too many indices for tensor of dimension 2",
    )


def _setitem(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), 1, g(4))
    yield S(g(3, 4), (slice(None), 0), g())
    yield S(g(3, 4), g.of([0, 2], "int64"), g(2, 4))
    yield S(g(3, 4), g.of([True, False, True], "bool"), g(1, 4))


def _masked_fill(g: Draw) -> Iterator[Any]:
    value = {"b": True, "i": 2}.get(g.kind, 1.5)
    yield S(g(2, 3), g.mask(2, 3), value)
    yield S(g(2, 3, layout="transposed"), g.mask(3), g())
    yield S(g(), g.mask(), value)
    yield S(g(0, 3), g.mask(3), value)


def _put(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g.of([0, 4], "int64"), g(2))
    yield S(g(2, 3), g.of([[1, -1]], "int64"), g(1, 2), accumulate=True)


def _take_along(x: Any, index: Any, dim: Any = None) -> Any:
    return np.take_along_axis(x, index, dim)


def _repeated(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4), g.of([[0, 1], [2, 0], [1, 3]], "int64"), 1)
    yield S(g(3, 4), g.of([2, 5, 1], "int64"))


def _embedding(g: Draw) -> Iterator[Any]:
    yield S(g.index(2, 3, high=5), g(5, 4))
    yield S(g.index(high=5), g(5, 4), padding_idx=1)
    yield S(g.of([0, 0, 1], "int64"), g(5, 4), scale_grad_by_freq=True)
    yield S(g.index(0, high=5), g(5, 4))
    yield Failure(
        S(g.of([7], "int64"), g(5, 4)), "IndexError", "index out of range in self"
    )


def _bags(g: Draw) -> Iterator[Any]:
    index, offsets = g.index(6, high=5), g.of([0, 2, 4], "int64")
    for mode in ("sum", "mean", "max"):
        yield S(index, g(5, 3), offsets, mode=mode)
        yield S(g.index(2, 3, high=5), g(5, 3), mode=mode)
    yield S(index, g(5, 3), offsets, mode="sum", per_sample_weights=g(6))
    yield S(
        index, g(5, 3), g.of([0, 2, 6], "int64"), mode="sum", include_last_offset=True
    )


ROWS: list[OperatorSamples] = [
    cases("gather", _gather, _ALL),
    cases("scatter", _scatter_reduce, _ALL),
    cases("scatter_add", _scatter_add, _ALL),
    cases("scatter_reduce", _reduced, "fi"),
    cases("index_reduce", _index_reduced, "fi"),
    cases("index_select", _index_select, _ALL),
    cases("index_add", _index_add, _ALL),
    cases("index_copy", _index_copy, _ALL),
    cases("index_fill", _index_fill, _ALL),
    cases("index_put", _index_put, _ALL),
    cases("Tensor.__getitem__", _getitem, _ALL, covers="index slice"),
    cases("Tensor.__setitem__", _setitem, _ALL, grads=0, covers="copy_ fill_"),
    cases("masked_fill", _masked_fill, _ALL),
    cases(
        "masked_select",
        lambda g: [S(g(2, 3), g.mask(2, 3)), S(g(2, 3), g.mask(3))],
        _ALL,
    ),
    cases(
        "masked_scatter",
        lambda g: [S(g(2, 3), g.mask(2, 3), g(6)), S(g(2, 3), g.mask(3), g(6))],
        _ALL,
    ),
    cases(
        "take",
        lambda g: [
            S(g(2, 3), g.of([[0, 5], [-1, 2]], "int64")),
            S(g(), g.index(2, high=1)),
        ],
        _ALL,
        "np.take",
    ),
    cases("put", _put, _ALL),
    cases("take_along_dim", _repeated, _ALL, _take_along),
    cases(
        "nonzero",
        lambda g: [S(g(2, 3)), S(g()), S(g(0, 2)), S(g(2, 3), as_tuple=True)],
        _ALL,
    ),
    cases(
        "nonzero_static",
        lambda g: [S(g(2, 3), size=3), S(g(2, 3), size=9, fill_value=-2)],
        _ALL,
    ),
    cases(
        "_unsafe_masked_index",
        lambda g: [
            S(g(3, 4), g.mask(2), (g.of([0, 2], "int64"), g.of([1, 3], "int64")), 0)
        ],
        "f",
    ),
    cases(
        "_unsafe_masked_index_put_accumulate",
        lambda g: [
            S(g(3, 4), g.mask(2), (g.of([0, 2], "int64"), g.of([1, 3], "int64")), g(2))
        ],
        "f",
    ),
    cases("argwhere", lambda g: [S(g(2, 3)), S(g())], _ALL),
    cases("unravel_index", lambda g: [S(g.index(3, high=6), (2, 3))], ("int64",)),
    cases("nn.functional.embedding", _embedding, "fh"),
    cases("nn.functional.embedding_bag", _bags, "f", grads=1, covers="_embedding_bag"),
    cases(
        "embedding_renorm_",
        lambda g: [S(g(4, 3), g.of([0, 2], "int64"), 1.0, 2.0)],
        "f",
        grads=0,
    ),
    cases(
        "nn.functional.one_hot",
        lambda g: [S(g.of([0, 2, 1])), S(g.of([[1]]), 4)],
        ("int64",),
    ),
    cases("tril_indices", lambda g: [S(3, 4), S(2, 3, 1)], ("int64",)),
    cases("triu_indices", lambda g: [S(3, 4), S(2, 3, -1)], ("int64",)),
]

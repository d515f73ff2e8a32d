"""Samples of views, of copies that rearrange, and of joining and splitting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import cases, dim_failure, table
from ._model import Draw, DType, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample


def _row(name: str, generate: Any, reference: Any = None, **options: Any) -> Any:
    return cases(name, generate, options.pop("dtypes", "fhcib"), reference, **options)


def _view(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), (3, 2))
    yield S(g(2, 6), (2, -1, 3))
    yield S(g(), (1, 1))
    yield S(g(0, 3), (3, 0))
    yield S(g(2, 3, layout="offset"), (6,))
    yield Failure(
        S(g(2, 3), (4,)), "RuntimeError", "shape '[4]' is invalid for input of"
    )


def _views(g: Draw) -> Iterator[Any]:
    yield from _view(g)
    if g.dtype == "int64":
        yield S(g(4), DType("float64"))
        yield S(g(2, 3), DType("int32"))


def _reshape(g: Draw) -> Iterator[Any]:
    yield from _view(g)
    yield S(g(2, 3, layout="transposed"), (6,))
    yield S(g(2, 3, layout="expanded"), (3, 2))


def _permute(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4), (2, 0, 1))
    yield S(g(2, 3), (-1, 0))
    yield S(g(), ())
    yield Failure(
        S(g(2, 3), (0, 0)), "RuntimeError", "permute(): duplicate dims are not"
    )


def _two_dims(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 0, 1)
    yield S(g(2, 3, 4, layout="transposed"), -1, 0)
    yield S(g(), 0, -1)
    yield dim_failure(g(2, 3), 0, 5)


def _one_dim(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 0)
    yield S(g(2, 3, layout="transposed"), -1)
    yield S(g(), 0)


def _unsqueeze(g: Draw) -> Iterator[Any]:
    yield from _one_dim(g)
    yield dim_failure(g(2, 3), 5, low=-3, high=2)


def _squeeze(g: Draw) -> Iterator[Any]:
    yield S(g(2, 1, 3, 1))
    yield S(g(2, 1, 3), 1)
    yield S(g(2, 1, 3), 0)
    yield S(g(1, 2, 1), (0, 2))
    yield S(g())


def _select(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 0, 1)
    yield S(g(2, 3, layout="transposed"), -1, -2)
    yield Failure(S(g(2, 3), 0, 4), "IndexError", "out of range")


def _narrow(g: Draw) -> Iterator[Any]:
    yield S(g(4, 3), 0, 1, 2)
    yield S(g(2, 4), -1, 3, 1)
    yield S(g(2, 4), 1, 2, 0)


def _diagonal(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4))
    yield S(g(3, 4), 1)
    yield S(g(2, 3, 4), -1, 2, 0)
    yield S(g(3, 3, layout="transposed"), offset=5)


def _expand(g: Draw) -> Iterator[Any]:
    yield S(g(2, 1), (2, 3))
    yield S(g(3), (2, -1))
    yield S(g(), (2,))
    yield Failure(S(g(2, 3), (2, 4)), "RuntimeError", "expanded size of the tensor (4)")


def _unfold(g: Draw) -> Iterator[Any]:
    yield S(g(5), 0, 2, 2)
    yield S(g(2, 5), 1, 3, 1)
    yield S(g(4, 2, layout="transposed"), -2, 2, 2)


def _strided(g: Draw) -> Iterator[Any]:
    yield S(g(6), (2, 2), (1, 2))
    yield S(g(3, 4), (2, 2), (4, 1), 1)
    yield S(g(4), (3, 2), (1, 1))


def _flatten(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4))
    yield S(g(2, 3, 4), 1)
    yield S(g(2, 3, 2, layout="transposed"), 0, 1)
    yield S(g())


def _split(g: Draw) -> Iterator[Any]:
    yield S(g(5, 2), 2)
    yield S(g(2, 5), [1, 4], 1)
    yield S(g(2, 4, layout="transposed"), 3, dim=-1)


def _sizes(g: Draw) -> Iterator[Any]:
    yield S(g(5, 2), [2, 3])
    yield S(g(2, 5), [1, 0, 4], 1)
    yield Failure(
        S(g(5), [2, 2]), "RuntimeError", "split_with_sizes expects split_sizes"
    )


def _chunk(g: Draw) -> Iterator[Any]:
    yield S(g(5, 2), 2)
    yield S(g(2, 5), 3, 1)
    yield S(g(2, 2), 3)


def _unbind(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g(2, 3, layout="transposed"), -1)


def _tensor_split(g: Draw) -> Iterator[Any]:
    yield S(g(5, 2), 2)
    yield S(g(5, 2), (1, 3))
    yield S(g(2, 5), 3, dim=1)
    yield S(g(5, 2), g.of([1, 2], "int64"))


def _joined(g: Draw) -> Iterator[Any]:
    yield S([g(2, 3), g(1, 3)])
    yield S([g(2, 3), g(2, 2, layout="transposed")], 1)
    yield S([g(2, 3), g(2, 3)], dim=-1)
    yield S((g(0), g(2, 3)))
    yield dim_failure([g(2, 3), g(2, 3)], 5)


def _stack(g: Draw) -> Iterator[Any]:
    yield S([g(2, 3), g(2, 3)])
    yield S([g(2, 3, layout="transposed"), g(2, 3)], -1)
    yield S([g(), g(), g()])
    yield Failure(
        S([g(2), g(3)]), "RuntimeError", "stack expects each tensor to be equal size"
    )


def _lists(*shapes: tuple[int, ...]) -> Any:
    return lambda g: [S([g(*shape), g(*shape)]) for shape in shapes]


def _roll(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 1)
    yield S(g(2, 3), 1, 0)
    yield S(g(2, 3), (1, -1), (0, 1))
    yield S(g(0, 3), 1, 1)


def _triangle(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4))
    yield S(g(3, 4), 1)
    yield S(g(2, 4, 3, layout="transposed"), diagonal=-1)
    yield S(g(0, 3))


def _repeat_interleave(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 2)
    yield S(g(2, 3), 2, dim=1)
    yield S(g(2, 3), g.of([1, 2], "int64"), dim=0)
    if g.dtype == "int64":
        yield S(g.of([2, 0, 1]))


def _copies() -> list[OperatorSamples]:
    """The operators ``*_copy`` have the samples of the views that they copy."""
    of = {row.name.rpartition(".")[2]: row for row in ROWS}
    named = """
        alias as_strided detach diagonal expand narrow permute select slice split
        split_with_sizes squeeze t transpose unbind unfold unsqueeze view view_as_complex
        view_as_real
    """
    rows = []
    for name in named.split():
        made = _COPIES.get(name) or of[name]._generate

        def working(g: Draw, made: Any = made) -> Iterator[Any]:
            return (s for s in made(g) if isinstance(s, Sample))

        dtypes = of[name].dtypes if name in of else "fhcib"
        rows.append(OperatorSamples(f"{name}_copy", working, dtypes))
    return rows


_COPIES: dict[str, Any] = {
    "alias": lambda g: [S(g(2, 3))],
    "detach": lambda g: [S(g(2, 3))],
    "slice": lambda g: [S(g(4, 3)), S(g(4, 3), 0, 1, 4, 2), S(g(2, 5), -1, -3)],
    "split": lambda g: [S(g(5, 2), 2), S(g(2, 5), 3, 1)],
    "view": _view,
    "squeeze": lambda g: [S(g(2, 1, 3)), S(g(2, 1), 1), S(g(1, 2, 1), (0, 2))],
}

ROWS: list[OperatorSamples] = [
    _row("Tensor.view", _views, covers="_view_dtype"),
    _row("reshape", _reshape, np.reshape),
    _row("permute", _permute, np.transpose),
    *table("transpose\nswapaxes np.swapaxes\nswapdims", _two_dims),
    _row("t", lambda g: [S(g(2, 3)), S(g(3)), S(g())], np.transpose),
    _row("unsqueeze", _unsqueeze, np.expand_dims),
    _row("squeeze", _squeeze),
    _row("select", _select),
    _row("narrow", _narrow),
    _row("diagonal", _diagonal, "np.diagonal"),
    _row("Tensor.expand", _expand, np.broadcast_to),
    _row("broadcast_to", _expand),
    _row("Tensor.unfold", _unfold),
    _row("as_strided", _strided),
    _row("flatten", _flatten),
    _row("unflatten", lambda g: [S(g(6), 0, (2, 3)), S(g(2, 6), -1, (3, -1))]),
    _row(
        "ravel",
        lambda g: [S(g(2, 3)), S(g(2, 3, layout="transposed")), S(g())],
        np.ravel,
    ),
    *table(
        "movedim\nmoveaxis np.moveaxis",
        lambda g: [S(g(2, 3, 4), 0, 2), S(g(2, 3, 4), (0, 1), (-1, 0)), S(g(), 0, 0)],
    ),
    _row("Tensor.expand_as", lambda g: [S(g(2, 1), g(2, 3))]),
    _row("Tensor.view_as", lambda g: [S(g(2, 3), g(3, 2))]),
    _row("Tensor.reshape_as", lambda g: [S(g(2, 3, layout="transposed"), g(3, 2))]),
    _row("split", _split),
    _row("split_with_sizes", _sizes),
    _row("unsafe_split", lambda g: [S(g(5, 2), 2)]),
    _row("unsafe_split_with_sizes", lambda g: [S(g(5, 2), [2, 3])]),
    _row("chunk", _chunk),
    _row("unsafe_chunk", _chunk),
    _row("unbind", _unbind),
    _row("tensor_split", _tensor_split),
    _row("hsplit", lambda g: [S(g(2, 4), 2), S(g(4), (1, 3))]),
    _row("vsplit", lambda g: [S(g(4, 2), 2), S(g(4, 2), (1, 3))]),
    _row("dsplit", lambda g: [S(g(1, 2, 4), 2), S(g(1, 2, 4), (1, 3))]),
    *table("cat\nconcat\nconcatenate", _joined),
    _row("stack", _stack, lambda ts, dim=0: np.stack(ts, dim)),
    *table("hstack\nvstack\nrow_stack", _lists((2, 3), (3,), ())),
    _row("dstack", _lists((2, 3), (3,)), lambda ts: np.dstack(ts)),
    _row("column_stack", _lists((2, 3), (3,)), lambda ts: np.column_stack(ts)),
    _row(
        "block_diag",
        lambda g: [S(g(2, 3), g(1, 2)), S(g(), g(2))],
        covers="_block_diag",
    ),
    _row(
        "flip",
        lambda g: [S(g(2, 3), (0,)), S(g(2, 3, 2), (0, -1)), S(g(0, 3), (1,))],
        np.flip,
    ),
    _row("fliplr", lambda g: [S(g(2, 3))], np.fliplr),
    _row("flipud", lambda g: [S(g(2, 3)), S(g(3))], np.flipud),
    _row("rot90", lambda g: [S(g(2, 3)), S(g(2, 3), 2), S(g(2, 3), -1, (1, 0))]),
    _row("roll", _roll, np.roll),
    _row("tril", _triangle, lambda x, k=0, diagonal=0: np.tril(x, k or diagonal)),
    _row("triu", _triangle, lambda x, k=0, diagonal=0: np.triu(x, k or diagonal)),
    _row(
        "diag", lambda g: [S(g(3)), S(g(3, 4)), S(g(3, 4), 1), S(g(2), -1)], "np.diag"
    ),
    _row("diagflat", lambda g: [S(g(3)), S(g(2, 2), 1)], np.diagflat),
    _row("diag_embed", lambda g: [S(g(2, 3)), S(g(2, 3), 1, 0, 2)]),
    _row("trace", lambda g: [S(g(3, 3)), S(g(2, 4))], "np.trace", dtypes="fhci"),
    _row(
        "Tensor.repeat",
        lambda g: [S(g(2, 3), (2, 1)), S(g(3), (2, 2)), S(g(), (3,))],
        np.tile,
    ),
    _row("tile", lambda g: [S(g(2, 3), (2, 1)), S(g(2, 3), (2,)), S(g(), ())], np.tile),
    _row("repeat_interleave", _repeat_interleave),
    _row("view_as_real", lambda g: [S(g(2, 3)), S(g())], dtypes="c"),
    _row("view_as_complex", lambda g: [S(g(3, 2)), S(g(2))], dtypes="f"),
    _row(
        "Tensor.contiguous",
        lambda g: [S(g(2, 3)), S(g(2, 3, layout="transposed"))],
        covers="contiguous",
    ),
    _row(
        "clone",
        lambda g: [
            S(g(2, 3)),
            S(g(2, 3, layout="transposed")),
            S(g()),
            S(g(2, 3, layout="expanded")),
        ],
    ),
    _row(
        "Tensor.to",
        lambda g: [
            S(g(2), DType("float64")),
            S(g(3), DType("float32")),
            S(g(2, 3, layout="transposed"), DType("complex64")),
        ],
        covers="_to_copy",
    ),
    _row("select_scatter", lambda g: [S(g(2, 3), g(3), 0, 1), S(g(2, 3), g(2), 1, -1)]),
    _row(
        "slice_scatter",
        lambda g: [S(g(4, 3), g(2, 3), 0, 1, 3), S(g(2, 4), g(2, 2), 1, 0, 4, 2)],
    ),
    _row("diagonal_scatter", lambda g: [S(g(3, 3), g(3)), S(g(3, 4), g(3), 1)]),
    _row("as_strided_scatter", lambda g: [S(g(6), g(2, 2), (2, 2), (1, 2))]),
    _row("ops.aten.select_backward", lambda g: [S(g(3), (2, 3), 0, 1)], dtypes="fhc"),
    _row(
        "ops.aten.slice_backward",
        lambda g: [S(g(2, 3), (4, 3), 0, 1, 3, 1)],
        dtypes="fhc",
    ),
    _row(
        "ops.aten.diagonal_backward", lambda g: [S(g(3), (3, 4), 0, 0, 1)], dtypes="fhc"
    ),
    _row("Tensor.resize", lambda g: [S(g(2, 3), 3, 2)], grads=0),
    _row("Tensor.resize_as", lambda g: [S(g(2, 3), g(3, 2))], grads=0),
    _row("Tensor.sum_to_size", lambda g: [S(g(2, 3), (1, 3)), S(g(2, 3), (3,))]),
    _row("as_strided_", lambda g: [S(g(6), (2, 2), (1, 2))], grads=0),
    _row("detach", lambda g: [S(g(2, 3))], grads=0),
    _row("_chunk_cat", lambda g: [S([g(4, 2), g(2, 2)], 0, 2)], dtypes="f"),
    _row("combinations", lambda g: [S(g(4)), S(g(3), 2, True), S(g(3), 3)]),
    _row("cartesian_prod", lambda g: [S(g(2), g(3)), S(g(3))]),
    _row(
        "meshgrid",
        lambda g: [S(g(2), g(3), indexing="ij"), S(g(2), g(), indexing="xy")],
    ),
    _row("broadcast_tensors", lambda g: [S(g(2, 1), g(3))]),
    *table(
        "atleast_1d\natleast_2d\natleast_3d", lambda g: [S(g()), S(g(3)), S(g(2, 3))]
    ),
]
ROWS += _copies()

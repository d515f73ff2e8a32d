"""Generators that operators of one shape share, and tables of rows that name them.

A new pointwise operator is one line of a table; its samples (layouts, broadcasting,
empty and 0-d tensors, scalars, NaN) and the calls that must raise come from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._model import Draw, Failure, Generate, OperatorSamples, Sample

__all__ = [
    "binary",
    "binary_tensors",
    "cases",
    "cumulative",
    "dim_failure",
    "indexed_reduction",
    "reduction",
    "reduction_of_all",
    "reduction_of_dim",
    "table",
    "unary",
]

S = Sample


def table(
    text: str, generate: Generate, dtypes: str = "fhcib", **common: Any
) -> list[OperatorSamples]:
    """Rows from lines ``name [dtypes] [reference] [low:high] [option=value]…``.

    The dtypes are letters (see ``expand_dtypes``); a reference has a dot; a domain has a
    colon; options are the keywords of :class:`OperatorSamples`, their values numbers.
    """
    rows = []
    for line in text.strip().splitlines():
        name, *words = line.split()
        options = dict(common)
        letters, reference = dtypes, options.pop("reference", None)
        for word in words:
            if "=" in word:
                option, _, value = word.partition("=")
                kind = {"loose": float, "covers": str}.get(option, int)
                options[option] = kind(value)
            elif word == "-":  # nothing: keeps the columns
                continue
            elif ":" in word:
                low, _, high = word.partition(":")
                options["domain"] = (float(low), float(high))
            elif "." in word:
                reference = word
            else:
                letters = word
        rows.append(OperatorSamples(name, generate, letters, reference, **options))
    return rows


def cases(name: str, generate: Generate, *args: Any, **kwargs: Any) -> OperatorSamples:
    """A row with samples of its own."""
    return OperatorSamples(name, generate, *args, **kwargs)


def unary(g: Draw) -> Iterator[Any]:
    """One tensor."""
    yield S(g(5))
    yield S(g())
    yield S(g(2, 3, layout="transposed"))
    yield S(g(4, layout="strided"))
    yield S(g(3, 2, layout="expanded"))
    yield S(g(0, 3))
    if g.is_float:
        yield S(g.special())


def _operands(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(2, 3))
    yield S(g(), g())
    yield S(g(2, 1), g(3))
    yield S(g(2, 3, layout="transposed"), g(2, 3))
    yield S(g(2, 3, layout="expanded"), g(2, 3, layout="strided"))
    yield S(g(0, 3), g(1, 3))
    yield S(g(2, 3), g())
    if g.is_float:
        special = g.special()
        yield S(special, g.of(special.values[::-1].copy(), grad=False))


_SHAPES = (
    "The size of tensor a (3) must match the size of tensor b (4) at non-singleton "
    "dimension 0"
)


def binary_tensors(g: Draw) -> Iterator[Any]:
    """Two tensors that broadcast."""
    yield from _operands(g)
    yield Failure(S(g(3), g(4)), "RuntimeError", _SHAPES)


def binary(g: Draw) -> Iterator[Any]:
    """Two tensors that broadcast, or a tensor and a number."""
    yield from binary_tensors(g)
    yield S(g(3), {"b": True, "i": 2}.get(g.kind, 1.5))
    if g.kind != "b":
        yield S(g(3), g(3, dtype="int64", low=1, high=4))


def dim_failure(*sample: Any, low: int = -2, high: int = 1, dim: int = 5) -> Failure:
    """A call with a dim that the tensor hasn't."""
    words = (
        f"Dimension out of range (expected to be in range of [{low}, {high}], but got "
        f"{dim})"
    )
    return Failure(S(*sample), "IndexError", words)


def reduction_of_all(g: Draw) -> Iterator[Any]:
    """A reduction without dims."""
    yield S(g(2, 3))
    yield S(g())
    yield S(g(3, 2, 2, layout="transposed"))


def reduction_of_dim(g: Draw) -> Iterator[Any]:
    """A reduction over one dim."""
    yield S(g(2, 3), 0)
    yield S(g(2, 3, layout="transposed"), -1)
    yield S(g(2, 3), 1, keepdim=True)
    yield S(g(), 0)
    yield S(g(0, 3), 1)
    yield dim_failure(g(2, 3), 5)


def reduction(g: Draw) -> Iterator[Any]:
    """A reduction over no, one or several dims."""
    yield from reduction_of_all(g)
    yield from reduction_of_dim(g)
    yield S(g(2, 3, 2), (0, 2))
    yield S(g(2, 3, 2), dim=(-1, 0), keepdim=True)
    yield Failure(S(g(2, 3), (0, 0)), "RuntimeError", "dim 0 appears multiple times")


def indexed_reduction(g: Draw) -> Iterator[Any]:
    """A reduction that finds an element, in all of the tensor or along one dim."""
    yield from reduction_of_all(g)
    yield from reduction_of_dim(g)


def cumulative(g: Draw) -> Iterator[Any]:
    """A scan along a dim."""
    yield S(g(2, 3), 0)
    yield S(g(2, 3, layout="transposed"), -1)
    yield S(g(), 0)
    yield S(g(0, 3), 0)
    yield dim_failure(g(2, 3), 5)

"""Samples of the ``_foreach_*`` operators: one call over lists of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._generators import cases
from ._model import Draw, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
_UNARY = """
abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2
neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc
"""
_BINARY = "add sub mul div clamp_min clamp_max maximum minimum"


def _list(g: Draw) -> list[Any]:
    return [g(2, 3, low=0.3, high=0.9), g(4, low=0.3, high=0.9), g(low=0.3, high=0.9)]


def _one(g: Draw) -> Iterator[Any]:
    yield S(_list(g))


def _two(g: Draw) -> Iterator[Any]:
    yield S(_list(g), _list(g))
    yield S(_list(g), 2)
    yield S(_list(g), [1.5, 2.0, 3.0])


def _two_or_tensor(g: Draw) -> Iterator[Any]:
    yield from _two(g)
    yield S(_list(g), g(low=0.3, high=0.9))


def _power(g: Draw) -> Iterator[Any]:
    yield from _two(g)
    yield S(2.0, _list(g))


def _three(g: Draw) -> Iterator[Any]:
    yield S(_list(g), _list(g), _list(g))
    yield S(_list(g), _list(g), _list(g), [1.5, 2.0, 3.0])
    yield S(_list(g), _list(g), _list(g), g.of([1.5, 2.0, 3.0], grad=False))


def _lerp(g: Draw) -> Iterator[Any]:
    yield S(_list(g), _list(g), _list(g))
    yield S(_list(g), _list(g), 0.3)
    yield S(_list(g), _list(g), [0.3, 0.5, 0.7])


def _pair(
    name: str, generate: Any, dtypes: str = "f", **options: Any
) -> list[OperatorSamples]:
    """The operator and the form that writes its first list."""
    return [
        cases(f"_foreach_{name}", generate, dtypes, inplace=False, **options),
        cases(f"_foreach_{name}_", generate, dtypes, inplace=False, grads=0),
    ]


ROWS: list[OperatorSamples] = [
    *[row for name in _UNARY.split() for row in _pair(name, _one)],
    *[
        row
        for name in _BINARY.split()
        for row in _pair(
            name, _two_or_tensor if name in ("add", "mul", "div") else _two
        )
    ],
    *_pair("addcmul", _three),
    *_pair("addcdiv", _three),
    *_pair("lerp", _lerp),
    cases("_foreach_pow", _power, "f", inplace=False),
    cases("_foreach_pow_", _two, "f", inplace=False, grads=0),
    cases("_foreach_zero_", _one, "f", grads=0),
    cases("_foreach_copy_", lambda g: [S(_list(g), _list(g))], "f", grads=0),
    cases("_foreach_clone", _one, "f"),
    cases("_foreach_max", _one, "f"),
    cases("_foreach_norm", lambda g: [S(_list(g)), S(_list(g), 1)], "f"),
]

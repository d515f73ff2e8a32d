"""Samples of operators that make tensors, from nothing or at random, and that fill them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import cases
from ._model import DEVICE, Draw, DType, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
_ALL = "fhcib"


def _made(*calls: tuple[Any, ...]) -> Any:
    """Calls of a factory, with the row's dtype and device."""

    def generate(g: Draw) -> Iterator[Any]:
        for args in calls:
            yield S(*args, dtype=DType(g.dtype), device=DEVICE)
        yield S(*calls[0], device=DEVICE)

    return generate


def _of_size(g: Draw) -> Iterator[Any]:
    for args in ((2, 3), ((2, 3),), ((),), (0, 2)):
        yield S(*args, dtype=DType(g.dtype), device=DEVICE)
    yield S((2, 3), device=DEVICE)
    yield Failure(
        S((-1, 2), device=DEVICE),
        "RuntimeError",
        "imension",
    )


def _like(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g(2, 3, layout="transposed"))
    yield S(g(), dtype=DType("float32"))
    yield S(g(0, 3))


def _new(g: Draw) -> Iterator[Any]:
    yield S(g(2), (2, 3))
    yield S(g(2), (3,), dtype=DType("float64"))


def _filled(g: Draw) -> Iterator[Any]:
    value = {"b": True, "i": 3}.get(g.kind, 1.5)
    yield S(g(2, 3), value)
    yield S(g(2, 3, layout="transposed"), value)


def _range(g: Draw) -> Iterator[Any]:
    options = {"dtype": DType(g.dtype), "device": DEVICE}
    yield S(5, **options)
    yield S(1, 9, 2, **options)
    if g.dtype != "uint8":
        yield S(3, -4, -2, **options)
    yield S(3, device=DEVICE)
    yield S(0.5, 2, 0.25, device=DEVICE)


def _spaced(g: Draw) -> Iterator[Any]:
    for args in ((0, 1, 5), (3, 3, 1), (2, 9, 0), (0, 4, 3)):
        yield S(*args, dtype=DType(g.dtype), device=DEVICE)


def _in_place(*calls: tuple[Any, ...], **options: Any) -> Any:
    def generate(g: Draw) -> Iterator[Any]:
        for args in calls:
            yield S(g(2, 3), *args, **options)

    return generate


def _fill(g: Draw) -> Iterator[Any]:
    yield from _filled(g)
    yield S(g(2, 3), g())


def _between(g: Draw) -> Iterator[Any]:
    yield from _spaced(g)
    for start, end in ((g(), 4), (0, g()), (g(), g())):
        yield S(start, end, 3, dtype=DType(g.dtype), device=DEVICE)


def _logs(g: Draw) -> Iterator[Any]:
    for args in ((0, 1, 4), (1, 2, 3, 2.0), (g(), 2, 3), (0, g(), 3), (g(), g(), 3)):
        yield S(*args, dtype=DType(g.dtype), device=DEVICE)


_RANDOM: Any = {"random": True, "grads": 0}
_EMPTY: Any = {"undefined": True, "grads": 0}
_MAKES: Any = {"grads": 0}

ROWS: list[OperatorSamples] = [
    cases("zeros", _of_size, _ALL, **_MAKES),
    cases("ones", _of_size, _ALL, **_MAKES),
    cases("empty", _of_size, _ALL, **_EMPTY),
    cases("empty_strided", _made(((2, 3), (3, 1)), ((2, 3), (1, 2))), _ALL, **_EMPTY),
    cases(
        "full",
        lambda g: [
            S(
                (2, 3),
                {"b": True, "i": 3}.get(g.kind, 1.5),
                dtype=DType(g.dtype),
                device=DEVICE,
            ),
            S((), 2, device=DEVICE),
        ],
        _ALL,
        **_MAKES,
    ),
    cases("zeros_like", _like, _ALL, np.zeros_like, **_MAKES),
    cases("ones_like", _like, _ALL, **_MAKES),
    cases("empty_like", _like, _ALL, **_EMPTY),
    cases("full_like", _filled, _ALL, np.full_like, **_MAKES),
    cases("Tensor.new_zeros", _new, _ALL, **_MAKES),
    cases("Tensor.new_ones", _new, _ALL, **_MAKES),
    cases("Tensor.new_empty", _new, _ALL, **_EMPTY),
    cases("Tensor.new_full", lambda g: [S(g(2), (2, 3), 1)], _ALL, **_MAKES),
    cases(
        "Tensor.new_empty_strided", lambda g: [S(g(2), (2, 3), (1, 2))], _ALL, **_EMPTY
    ),
    cases("arange", _range, "fhi", **_MAKES),
    cases("linspace", _between, "fhi", **_MAKES),
    cases("logspace", _logs, "f", **_MAKES),
    cases("eye", _made((3,), (2, 4), (0,)), _ALL, **_MAKES),
    cases("scalar_tensor", _made((2,)), _ALL, **_MAKES),
    cases(
        "Tensor.copy_",
        lambda g: [
            S(g(2, 3), g(2, 3)),
            S(g(2, 3), g(3)),
            S(g(2, 3, layout="transposed"), g(2, 3, dtype="float32")),
        ],
        _ALL,
        grads=0,
    ),
    cases("fill_", _fill, _ALL, grads=0),
    cases("fill", _fill, _ALL),
    cases(
        "Tensor.fill_diagonal_",
        lambda g: [S(g(3, 4), 1), S(g(4, 2), 1, wrap=True)],
        _ALL,
        grads=0,
    ),
    cases("range", _made((1, 5), (0, 4, 2)), "fi", **_MAKES),
    cases("empty_permuted", _made(((2, 3), (1, 0))), _ALL, **_EMPTY),
    cases("zero_", _in_place(()), _ALL, grads=0),
    # Random numbers.
    cases("rand", _made((2, 3), ((3,),)), "fh", **_RANDOM),
    cases("randn", _made((2, 3), ((3,),)), "fhc", **_RANDOM),
    cases("randint", _made((3, (2, 3)), (1, 5, (4,))), "fhi", **_RANDOM),
    cases("randperm", _made((5,), (0,)), "fi", **_RANDOM),
    cases("rand_like", _like, "fh", **_RANDOM),
    cases("randn_like", _like, "fh", **_RANDOM),
    cases("randint_like", lambda g: [S(g(2, 3), 4), S(g(2, 3), 1, 5)], "fi", **_RANDOM),
    cases(
        "normal",
        lambda g: [
            S(g(2, 3), g(2, 3, low=0.5, high=2)),
            S(g(3), 2.0),
            S(1.0, g(3, low=0.5, high=2)),
            S(0.0, 1.0, (2, 3), device=DEVICE),
        ],
        "f",
        **_RANDOM,
    ),
    cases(
        "bernoulli",
        lambda g: [S(g(2, 3, low=0.1, high=0.9)), S(g(3), 0.3)],
        "f",
        inplace=False,
        **_RANDOM,
    ),
    cases("poisson", lambda g: [S(g(2, 3, low=0.1, high=4))], "f", **_RANDOM),
    cases(
        "multinomial",
        lambda g: [S(g(4, low=0.1, high=1), 2), S(g(2, 4, low=0.1, high=1), 5, True)],
        "f",
        **_RANDOM,
    ),
    cases("Tensor.uniform_", _in_place((), (1, 2)), "fh", **_RANDOM),
    cases("Tensor.normal_", _in_place((), (1, 2)), "fh", **_RANDOM),
    cases("Tensor.log_normal_", _in_place(()), "f", **_RANDOM),
    cases("Tensor.cauchy_", _in_place(()), "f", **_RANDOM),
    cases("Tensor.exponential_", _in_place((), (2,)), "f", **_RANDOM),
    cases("Tensor.geometric_", _in_place((0.4,)), "fi", **_RANDOM),
    cases("Tensor.random_", _in_place((), (3,), (1, 4)), "fi", **_RANDOM),
    cases("Tensor.bernoulli_", _in_place((), (0.3,)), "fhib", **_RANDOM),
    cases(
        "ops.aten.bernoulli_",
        lambda g: [S(g(2, 3), g(2, 3, low=0.1, high=0.9))],
        "f",
        **_RANDOM,
    ),
    cases(
        "_standard_gamma_grad",
        lambda g: [S(g(3, low=0.5, high=3), g(3, low=0.5, high=3))],
        "f",
        grads=0,
        loose=100,
    ),
    cases(
        "_dirichlet_grad",
        lambda g: [
            S(g(3, low=0.2, high=0.6), g(3, low=0.5, high=2), g(3, low=2.5, high=4))
        ],
        "f",
        grads=0,
        loose=100,
    ),
    cases("Tensor.bernoulli", lambda g: [S(g(3), p=0.3)], "f", **_RANDOM),
    cases(
        "binomial",
        lambda g: [S(g(3, low=2, high=9), g(3, low=0.2, high=0.8))],
        "f",
        **_RANDOM,
    ),
    cases("_standard_gamma", lambda g: [S(g(3, low=0.5, high=3))], "f", **_RANDOM),
    cases("_sample_dirichlet", lambda g: [S(g(2, 3, low=0.5, high=3))], "f", **_RANDOM),
    cases(
        "dropout", _in_place((0.5, True), (0.0, True), (0.5, False)), "fh", **_RANDOM
    ),
    cases("dropout_", _in_place((0.5, True), (0.5, False)), "fh", **_RANDOM),
    cases("alpha_dropout", _in_place((0.5, True), (0.5, False)), "f", **_RANDOM),
    cases("alpha_dropout_", _in_place((0.5, False)), "f", **_RANDOM),
    cases("feature_dropout", _in_place((0.5, True), (0.5, False)), "f", **_RANDOM),
    cases("feature_dropout_", _in_place((0.5, False)), "f", **_RANDOM),
    cases(
        "feature_alpha_dropout", _in_place((0.5, True), (0.5, False)), "f", **_RANDOM
    ),
    cases("feature_alpha_dropout_", _in_place((0.5, False)), "f", **_RANDOM),
    cases("native_dropout", _in_place((0.5, True), (0.5, False)), "f", **_RANDOM),
    cases("rrelu", lambda g: [S(g(2, 3)), S(g(2, 3), training=True)], "f", **_RANDOM),
    cases("nn.functional.gumbel_softmax", lambda g: [S(g(2, 3))], "f", **_RANDOM),
]

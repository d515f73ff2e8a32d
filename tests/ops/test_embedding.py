"""Embeddings, bags of them and one-hot vectors against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(4)
TABLE = _RNG.normal(size=(10, 3))
INDICES = np.array([[1, 2, 1], [9, 0, 1]])
BAG = np.array([1, 2, 4, 1, 9, 4, 1])
SAMPLE_WEIGHTS = _RNG.normal(size=7)


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def c(values: Any, dtype: str = "int64") -> Any:
    return spec(np.asarray(values), dtype)


def _embedding(**options: Any) -> Any:
    return lambda t, i, w: t.nn.functional.embedding(i, w, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_rows_and_their_gradients(dtype: str, kind: str, device: str) -> None:
    for indices in (INDICES, INDICES[0], 3, np.zeros((0, 2), int)):
        compare(
            _embedding(), c(indices, kind), g(TABLE, dtype), device=device, grad_fn=True
        )


@pytest.mark.parametrize(
    "options",
    [
        {"padding_idx": 1},
        {"padding_idx": -1},
        {"padding_idx": 0},
        {"scale_grad_by_freq": True},
        {"padding_idx": 1, "scale_grad_by_freq": True},
        {"padding_idx": 10},
        {"padding_idx": -11},
    ],
)
def test_options(options: Any, device: str) -> None:
    compare(_embedding(**options), c(INDICES), g(TABLE), device=device)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf")])
def test_max_norm_rescales_the_table_in_place(norm_type: float, device: str) -> None:
    def run(t: Any, i: Any, w: Any) -> Any:
        made = t.nn.functional.embedding(i, w, max_norm=1.0, norm_type=norm_type)
        return made, w

    compare(run, c(INDICES), spec(TABLE, "float32"), device=device)


@pytest.mark.parametrize(
    ("indices", "table"),
    [
        (c([10]), g(TABLE)),
        (c([-1]), g(TABLE)),
        (c([1.0], "float32"), g(TABLE)),
        (c([1], "int16"), g(TABLE)),
        (c([1]), g(TABLE[0])),
        (c([1]), g(TABLE[None])),
    ],
)
def test_errors(indices: Any, table: Any, device: str) -> None:
    compare(_embedding(), indices, table, device=device)


def test_sparse_gradients_have_the_rows_that_were_read() -> None:
    w = dt.ones(3, 2, requires_grad=True)
    F.embedding(dt.tensor([1, 1]), w, sparse=True).sum().backward()
    assert w.grad.is_sparse
    assert w.grad.to_dense().tolist() == [[0, 0], [2, 2], [0, 0]]


def test_table_may_change_between_forward_and_backward(device: str) -> None:
    def run(t: Any, i: Any, w: Any) -> Any:
        first = t.nn.functional.embedding(i, w)
        with t.no_grad():
            w.mul_(2)
        return first

    compare(run, c(INDICES), g(TABLE), device=device)


def test_derivatives(device: str) -> None:
    w = dt.tensor(TABLE.tolist(), dtype=dt.float64, device=device, requires_grad=True)
    i = dt.tensor(INDICES.tolist(), device=device)
    assert gradcheck(lambda w: F.embedding(i, w), (w,))
    assert gradgradcheck(lambda w: F.embedding(i, w), (w,))


# Bags.


def _bag(**options: Any) -> Any:
    def run(t: Any, i: Any, w: Any, offsets: Any = None, samples: Any = None) -> Any:
        return t.nn.functional.embedding_bag(
            i, w, offsets, per_sample_weights=samples, **options
        )

    return run


MODES = ["sum", "mean", "max"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offsets", [[0, 3], [0, 0, 3, 7], [0], [0, 2, 2, 5]])
def test_bags(mode: str, offsets: Any, device: str) -> None:
    compare(_bag(mode=mode), c(BAG), g(TABLE), c(offsets), device=device, grad_fn=True)


@pytest.mark.parametrize("mode", MODES)
def test_bags_of_one_length(mode: str, device: str) -> None:
    compare(_bag(mode=mode), c(INDICES), g(TABLE), device=device)
    compare(_bag(mode=mode), c(INDICES, "int32"), g(TABLE), device=device)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "options",
    [
        {"padding_idx": 1},
        {"padding_idx": -6},
        {"include_last_offset": True},
        {"max_norm": 0.8},
    ],
)
def test_bag_options(mode: str, options: Any, device: str) -> None:
    offsets = [0, 3, 7] if "include_last_offset" in options else [0, 3]
    table = spec(TABLE, "float32", grad="max_norm" not in options)
    compare(_bag(mode=mode, **options), c(BAG), table, c(offsets), device=device)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bag_gradients_by_frequency(mode: str, device: str) -> None:
    # Equally frequent ones: PyTorch mixes frequencies up where they differ.
    run = _bag(mode=mode, scale_grad_by_freq=True)
    compare(run, c([1, 2, 2, 5, 5, 1]), g(TABLE), c([0, 2]), device=device)


def test_sample_weights(device: str) -> None:
    for options in ({}, {"padding_idx": 1}):
        compare(
            _bag(mode="sum", **options), c(BAG), g(TABLE), c([0, 3]), g(SAMPLE_WEIGHTS),
            device=device,
        )  # fmt: skip
    compare(
        _bag(mode="sum"), c(INDICES), g(TABLE), None,
        g(SAMPLE_WEIGHTS[:6].reshape(2, 3)),
        device=device,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_bag_dtypes(dtype: str, device: str) -> None:
    for mode in MODES:
        compare(
            _bag(mode=mode),
            c(BAG),
            g(TABLE, dtype),
            c([0, 3]),
            device=device,
            rtol=2e-2,
        )


BAG_ERRORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "no offsets": (_bag(), (c(BAG), g(TABLE))),
    "offsets and rows": (_bag(), (c(INDICES), g(TABLE), c([0, 1]))),
    "rank": (_bag(), (c(INDICES[None]), g(TABLE))),
    "offsets' rank": (_bag(), (c(BAG), g(TABLE), c([[0, 1]]))),
    "mode": (_bag(mode="x"), (c(BAG), g(TABLE), c([0]))),
    "first offset": (_bag(), (c(BAG), g(TABLE), c([1, 2]))),
    "last offset": (_bag(), (c(BAG), g(TABLE), c([0, 9]))),
    "weights of means": (_bag(), (c(BAG), g(TABLE), c([0]), g(SAMPLE_WEIGHTS))),
    "weights' size": (
        _bag(mode="sum"), (c(BAG), g(TABLE), c([0]), g(SAMPLE_WEIGHTS[:2]))),
    "scaled maxima": (
        _bag(mode="max", scale_grad_by_freq=True), (c(BAG), g(TABLE), c([0]))),
    "sparse maxima": (_bag(mode="max", sparse=True), (c(BAG), g(TABLE), c([0]))),
    "padding": (_bag(padding_idx=-20), (c(BAG), g(TABLE), c([0]))),
    "float indices": (_bag(), (c(BAG, "float32"), g(TABLE), c([0]))),
    "float offsets": (_bag(), (c(BAG), g(TABLE), c([0], "float32"))),
    "integer table": (_bag(), (c(BAG), c(TABLE), c([0]))),
}  # fmt: skip


@pytest.mark.parametrize("case", BAG_ERRORS)
def test_bag_errors(case: str, device: str) -> None:
    run, tensors = BAG_ERRORS[case]
    compare(run, *tensors, device=device, message=case != "first offset")


def test_bag_derivatives(device: str) -> None:
    w = dt.tensor(TABLE.tolist(), dtype=dt.float64, device=device, requires_grad=True)
    s = dt.tensor(
        SAMPLE_WEIGHTS.tolist(), dtype=dt.float64, device=device, requires_grad=True
    )
    i, o = dt.tensor(BAG.tolist(), device=device), dt.tensor([0, 3], device=device)
    for mode in MODES:
        assert gradcheck(lambda w, mode=mode: F.embedding_bag(i, w, o, mode=mode), (w,))
    f = lambda w, s: F.embedding_bag(  # noqa: E731
        i, w, o, mode="sum", per_sample_weights=s
    )
    assert gradcheck(f, (w, s))
    assert gradgradcheck(f, (w, s))


# One-hot vectors.


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([1, 0, 4], -1), ([1, 0, 4], 6), ([[1], [0]], -1), (2, -1), ([1, 0, 4], 3),
        ([1, -1], -1), ([], -1), ([], 3), ([1], 0),
    ],
)  # fmt: skip
def test_one_hot(values: Any, classes: int, device: str) -> None:
    compare(
        lambda t, x: t.nn.functional.one_hot(x, classes), c(np.array(values, int)),
        device=device,
    )  # fmt: skip


def test_one_hot_takes_int64_alone() -> None:
    compare(lambda t, x: t.nn.functional.one_hot(x), c([1], "int32"))

"""Loss functions against the oracle: values, reductions, gradients, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(2)
X = _RNG.normal(size=(3, 5))
Y = _RNG.normal(size=(3, 5))
P = _RNG.uniform(0.05, 0.95, size=(3, 5))
Q = _RNG.uniform(0.05, 0.95, size=(3, 5))
W = _RNG.uniform(0.1, 1.0, size=5)
SIGNS = np.array([1, -1, 1])
LABELS = np.array([1, 0, 4])
IMAGES = _RNG.normal(size=(2, 5, 3, 4))
IMAGE_LABELS = _RNG.integers(0, 5, size=(2, 3, 4))
REDUCTIONS = ("none", "mean", "sum")


def _f(name: str, **options: Any) -> Any:
    """The functional ``name`` of (module, *tensors), weights by keyword at the end."""

    def run(t: Any, *tensors: Any) -> Any:
        return getattr(t.nn.functional, name)(*tensors, **options)

    return run


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def c(values: Any, dtype: str | None = None) -> Any:
    values = np.asarray(values)
    if dtype is None:
        dtype = "float32" if values.dtype.kind == "f" else "int64"
    return spec(values, dtype)


# Name of the function, its options, its tensors.
ROWS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("mse_loss", {}, (g(X), g(Y))),
    ("l1_loss", {}, (g(X), g(Y))),
    ("smooth_l1_loss", {}, (g(X), g(Y))),
    ("smooth_l1_loss", {"beta": 0.4}, (g(X), g(Y))),
    ("smooth_l1_loss", {"beta": 0.0}, (g(X), g(Y))),
    ("huber_loss", {}, (g(X), g(Y))),
    ("huber_loss", {"delta": 0.6}, (g(X), g(Y))),
    ("soft_margin_loss", {}, (g(X), c(np.sign(Y)))),
    ("binary_cross_entropy", {}, (g(P), g(Q))),
    ("binary_cross_entropy", {}, (g([0.0, 1.0, 0.5]), c([1.0, 0.0, 1.0]))),
    ("binary_cross_entropy_with_logits", {}, (g(X), g(Q))),
    ("kl_div", {}, (g(X), g(P))),
    ("kl_div", {"log_target": True}, (g(X), g(Y))),
    ("kl_div", {}, (g(X), c(np.zeros((3, 5))))),
    ("poisson_nll_loss", {}, (g(X), c(5 * P))),
    ("poisson_nll_loss", {"full": True}, (g(X), c(5 * P))),
    ("poisson_nll_loss", {"log_input": False}, (g(P), c(5 * P))),
    ("gaussian_nll_loss", {}, (g(X), g(Y), g(P))),
    ("gaussian_nll_loss", {"full": True, "eps": 0.3}, (g(X), g(Y), g(P))),
    ("gaussian_nll_loss", {}, (g(X), g(Y), g(P[:, 0]))),
    ("gaussian_nll_loss", {}, (g(X), g(Y), g(P[:, :1]))),
    ("cosine_embedding_loss", {}, (g(X), g(Y), c(SIGNS))),
    ("cosine_embedding_loss", {"margin": 0.4}, (g(X), g(Y), c(SIGNS))),
    ("cosine_embedding_loss", {}, (g(X[0]), g(Y[0]), c(1))),
    ("margin_ranking_loss", {"margin": 0.3}, (g(X), g(Y), c(np.sign(P - Q)))),
    ("hinge_embedding_loss", {}, (g(X), c(np.sign(Y)))),
    ("hinge_embedding_loss", {"margin": 0.2}, (g(X), c(np.sign(Y)))),
    ("nll_loss", {}, (g(X), c(LABELS))),
    ("nll_loss", {"ignore_index": 0}, (g(X), c(LABELS))),
    ("nll_loss", {}, (g(X), c(LABELS, "uint8"))),
    ("nll_loss", {}, (g(X[0]), c(2))),
    ("nll_loss", {}, (g(IMAGES), c(IMAGE_LABELS))),
    ("nll_loss", {"ignore_index": 1}, (g(IMAGES), c(IMAGE_LABELS))),
    ("nll_loss", {}, (g(IMAGES[:, :, 0]), c(IMAGE_LABELS[:, 0]))),
    ("nll_loss", {}, (g(np.zeros((0, 5))), c(np.zeros(0, int)))),
    ("nll_loss", {}, (g(X), c([-100, -100, -100]))),
    ("cross_entropy", {}, (g(X), c(LABELS))),
    ("cross_entropy", {"label_smoothing": 0.2}, (g(X), c(LABELS))),
    ("cross_entropy", {"label_smoothing": 0.2, "ignore_index": 4}, (g(X), c(LABELS))),
    ("cross_entropy", {}, (g(X), g(Q))),
    ("cross_entropy", {"label_smoothing": 0.2}, (g(X), g(Q))),
    ("cross_entropy", {}, (g(X[0]), c(3))),
    ("cross_entropy", {}, (g(X[0]), g(Q[0]))),
    ("cross_entropy", {}, (g(IMAGES), c(IMAGE_LABELS))),
    ("cross_entropy", {"label_smoothing": 0.1}, (g(IMAGES), c(IMAGE_LABELS))),
    ("cross_entropy", {}, (g(IMAGES), g(np.abs(IMAGES)))),
    ("cross_entropy", {}, (g(np.zeros((0, 5))), c(np.zeros(0, int)))),
    ("cross_entropy", {}, (g(np.zeros((0, 5))), c(np.zeros((0, 5))))),
    ("multi_margin_loss", {}, (g(X), c(LABELS))),
    ("multi_margin_loss", {"p": 2, "margin": 0.5}, (g(X), c(LABELS))),
    ("multi_margin_loss", {}, (g(X[0]), c(2))),
    ("multilabel_margin_loss", {},
     (g(X), c([[0, 1, -1, 2, 3], [4, -1, 0, 0, 0], [-1, 0, 0, 0, 0]]))),
    ("multilabel_margin_loss", {}, (g(X[0]), c([0, 3, -1, 2, 3]))),
    ("multilabel_soft_margin_loss", {}, (g(X), c(P.round()))),
    ("triplet_margin_loss", {}, (g(X), g(Y), g(P))),
    ("triplet_margin_loss", {"p": 1, "swap": True, "margin": 3.0}, (g(X), g(Y), g(P))),
    ("triplet_margin_with_distance_loss", {}, (g(X), g(Y), g(P))),
    ("triplet_margin_with_distance_loss",
     {"swap": True, "margin": 3.0,
      "distance_function": lambda a, b: (a - b).abs().sum(-1)}, (g(X), g(Y), g(P))),
]  # fmt: skip
IDS = [f"{i}-{row[0]}" for i, row in enumerate(ROWS)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_values_and_gradients(row: Any, reduction: str, device: str) -> None:
    name, options, tensors = row
    compare(_f(name, reduction=reduction, **options), *tensors, device=device)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "row", [r for r in ROWS if not r[1]], ids=[i for i, r in zip(IDS, ROWS) if not r[1]]
)
def test_other_floats(row: Any, dtype: str, device: str) -> None:
    name, options, tensors = row
    if dtype != "float64" and "margin_loss" in name and name.startswith("multi"):
        if "soft" not in name:
            pytest.skip("PyTorch has no half types here")
    cast = [
        spec(t.values, dtype if "float" in t.dtype else t.dtype, t.grad)
        for t in tensors
    ]
    half = dtype != "float64"
    compare(
        _f(name, **options), *cast, device=device,
        rtol=4e-2 if half else None, atol=2e-2 if half else None,
    )  # fmt: skip


# Losses with a node of their own, which double backward takes apart.
NODES = [
    "mse_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss",
    "cross_entropy",
]  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_node_name_and_second_derivative(name: str) -> None:
    row = next(r for r in ROWS if r[0] == name)
    compare(_f(name), *row[2], gradgrad=name != "nll_loss", grad_fn=True)
    tensors = [
        dt.tensor(t.values.tolist(), dtype=dt.float64, requires_grad=True)
        if t.grad
        else dt.tensor(t.values.tolist())
        for t in row[2]
    ]
    assert gradcheck(_f(name), (dt, *tensors), atol=1e-4)
    assert gradgradcheck(_f(name), (dt, *tensors), atol=1e-4)


def _weighted(name: str, **options: Any) -> Any:
    def run(t: Any, x: Any, y: Any, weight: Any) -> Any:
        return getattr(t.nn.functional, name)(x, y, weight=weight, **options)

    return run


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "tensors", "weight", "options"),
    [
        ("mse_loss", (g(X), g(Y)), g(P), {}),
        ("l1_loss", (g(X), g(Y)), g(P), {}),
        ("huber_loss", (g(X), g(Y)), g(P), {"delta": 0.4}),
        ("nll_loss", (g(X), c(LABELS)), c(W), {}),
        ("nll_loss", (g(X), c(LABELS)), c(W), {"ignore_index": 1}),
        ("nll_loss", (g(IMAGES), c(IMAGE_LABELS)), c(W), {"ignore_index": 1}),
        ("cross_entropy", (g(X), c(LABELS)), c(W), {}),
        ("cross_entropy", (g(X), c(LABELS)), c(W), {"label_smoothing": 0.3}),
        ("cross_entropy", (g(X), c(LABELS)), c(W),
         {"label_smoothing": 0.3, "ignore_index": 0}),
        ("cross_entropy", (g(X), g(Q)), c(W), {"label_smoothing": 0.3}),
        ("cross_entropy", (g(IMAGES), c(IMAGE_LABELS)), c(W), {"label_smoothing": 0.3}),
        ("cross_entropy", (g(IMAGES), g(np.abs(IMAGES))), c(W), {}),
        ("binary_cross_entropy", (g(P), c(Q)), c(W), {}),
        ("binary_cross_entropy", (g(P), c(Q)), c(W, "float64"), {}),
        ("binary_cross_entropy_with_logits", (g(X), g(Q)), c(P), {}),
        ("multi_margin_loss", (g(X), c(LABELS)), c(W), {"p": 2}),
        ("multilabel_soft_margin_loss", (g(X), c(P.round())), c(W), {}),
    ],
)  # fmt: skip
def test_weights(
    name: str, tensors: Any, weight: Any, options: Any, reduction: str, device: str
) -> None:
    run = _weighted(name, reduction=reduction, **options)
    compare(run, *tensors, weight, device=device)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weight_of_positives(reduction: str, device: str) -> None:
    def run(t: Any, x: Any, y: Any, w: Any, p: Any) -> Any:
        return t.nn.functional.binary_cross_entropy_with_logits(
            x, y, weight=w, pos_weight=p, reduction=reduction
        )

    compare(run, g(X), g(Q), c(P), c(W), device=device)


ERRORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "reduction": (_f("mse_loss", reduction="x"), (c(X), c(Y))),
    "mse of integers": (_f("mse_loss"), (c(LABELS), c(LABELS))),
    "huber of integers": (_f("huber_loss"), (c(LABELS), c(LABELS))),
    "smooth_l1 of integers": (_f("smooth_l1_loss"), (c(LABELS), c(LABELS))),
    "soft_margin of integers": (_f("soft_margin_loss"), (c(LABELS), c(LABELS))),
    "l1 of integers": (_f("l1_loss"), (c(LABELS), c(LABELS))),
    "negative beta": (_f("smooth_l1_loss", beta=-1.0), (c(X), c(Y))),
    "delta 0": (_f("huber_loss", delta=0.0), (c(X), c(Y))),
    "shapes": (_f("mse_loss"), (c(X), c(Y[:2]))),
    "bce shapes": (_f("binary_cross_entropy"), (c(P), c(Q[:1]))),
    "bce dtypes": (_f("binary_cross_entropy"), (c(P), c(Q, "float64"))),
    "bce integers": (_f("binary_cross_entropy"), (c(LABELS), c(LABELS))),
    "bce input range": (_f("binary_cross_entropy"), (c(X), c(Q))),
    "bce target range": (_f("binary_cross_entropy"), (c(P), c(Q * 3))),
    "logits shapes": (_f("binary_cross_entropy_with_logits"), (c(X), c(Q[:1]))),
    "logits of integers": (
        _f("binary_cross_entropy_with_logits"), (c(LABELS), c(LABELS))),
    "logits targets of integers": (
        _f("binary_cross_entropy_with_logits"), (c(X[0, :3]), c(LABELS))),
    "kl_div of integers": (_f("kl_div"), (c(LABELS), c(LABELS))),
    "nll batch": (_f("nll_loss"), (c(X), c(LABELS[:2]))),
    "nll range": (_f("nll_loss"), (c(X), c(LABELS + 3))),
    "nll negative": (_f("nll_loss"), (c(X), c(LABELS - 8))),
    "nll target dtype": (_f("nll_loss"), (c(X), c(LABELS, "float32"))),
    "nll target int32": (_f("nll_loss"), (c(X), c(LABELS, "int32"))),
    "nll of integers": (_f("nll_loss"), (c(np.ones((3, 5), int)), c(LABELS))),
    "nll of a number": (_f("nll_loss"), (c(1.0), c(LABELS))),
    "nll image batch": (_f("nll_loss"), (c(IMAGES), c(IMAGE_LABELS[:1]))),
    "nll image size": (_f("nll_loss"), (c(IMAGES), c(IMAGE_LABELS[:, :2]))),
    "nll one sample": (_f("nll_loss"), (c(X[0]), c(LABELS))),
    "nll weight size": (_weighted("nll_loss"), (c(X), c(LABELS), c(W[:2]))),
    "nll weight dtype": (_weighted("nll_loss"), (c(X), c(LABELS), c(W, "float64"))),
    "nll line size": (
        _f("nll_loss"), (c(IMAGES[:, :, 0]), c(IMAGE_LABELS[:, 0, :2]))),
    "nll image weight": (_weighted("nll_loss"), (c(IMAGES), c(IMAGE_LABELS), c(W[:2]))),
    "ce integers": (_f("cross_entropy"), (c(np.ones((3, 5), int)), c(LABELS))),
    "ce target": (_f("cross_entropy"), (c(X), c(np.ones((3, 5), int)))),
    "ce smoothing": (_f("cross_entropy", label_smoothing=1.5), (c(X), c(LABELS))),
    "ce ignored": (_f("cross_entropy", ignore_index=2), (c(X), c(Q))),
    "ce weight": (_weighted("cross_entropy"), (c(X), c(Q), c(W[:2]))),
    "ce number": (_f("cross_entropy"), (c(1.0), c(LABELS))),
    "ce no classes": (_f("cross_entropy"), (c(np.ones((3, 0))), c(LABELS))),
    "weights' size": (_weighted("mse_loss"), (c(X), c(Y), c(W))),
    "gaussian var": (_f("gaussian_nll_loss"), (c(X), c(Y), c(-P))),
    "gaussian size": (_f("gaussian_nll_loss"), (c(X), c(Y), c(P[:2]))),
    "gaussian reduction": (
        _f("gaussian_nll_loss", reduction="x"), (c(X), c(Y), c(P))),
    "cosine target": (_f("cosine_embedding_loss"), (c(X), c(Y), c(np.ones((3, 1))))),
    "cosine inputs": (_f("cosine_embedding_loss"), (c(X), c(Y[0]), c(SIGNS))),
    "ranking dims": (_f("margin_ranking_loss"), (c(X), c(Y), c(SIGNS))),
    "multi_margin p": (_f("multi_margin_loss", p=3), (c(X), c(LABELS))),
    "multi_margin batch": (_f("multi_margin_loss"), (c(X), c(LABELS[:2]))),
    "multi_margin range": (_f("multi_margin_loss"), (c(X), c(LABELS + 3))),
    "multi_margin weight": (
        _weighted("multi_margin_loss"), (c(X), c(LABELS), c(W[:2]))),
    "multi_margin dims": (_f("multi_margin_loss"), (c(IMAGES), c(LABELS))),
    "multi_margin integers": (
        _f("multi_margin_loss"), (c(np.ones((3, 5), int)), c(LABELS))),
    "multi_margin target": (_f("multi_margin_loss"), (c(X), c(LABELS, "int32"))),
    "multilabel size": (_f("multilabel_margin_loss"), (c(X), c(LABELS))),
    "multilabel range": (
        _f("multilabel_margin_loss"), (c(X), c(np.full((3, 5), 7)))),
    "triplet dims": (_f("triplet_margin_loss"), (c(X), c(Y), c(P[0]))),
    "triplet margin": (_f("triplet_margin_loss", margin=-1), (c(X), c(Y), c(P))),
    "triplet distance margin": (
        _f("triplet_margin_with_distance_loss", margin=-1), (c(X), c(Y), c(P))),
    "triplet distance dims": (
        _f("triplet_margin_with_distance_loss"), (c(X), c(Y), c(P[0]))),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, device: str) -> None:
    run, tensors = ERRORS[case]
    compare(run, *tensors, device=device)


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("mse_loss", (c(X), c(Y[:1]))),
        ("l1_loss", (c(X), c(Y[:1]))),
        ("smooth_l1_loss", (c(X), c(Y[:1]))),
        ("huber_loss", (c(X), c(Y[:1]))),
    ],
)
def test_broadcasting_works_and_warns(name: str, tensors: Any, device: str) -> None:
    compare(_f(name), *tensors, device=device)
    with pytest.warns(UserWarning, match="Using a target size"):
        _f(name)(dt, *(t.make(dt, device) for t in tensors))


def test_mixed_dtypes_promote(device: str) -> None:
    for name in ("mse_loss", "smooth_l1_loss", "huber_loss"):
        for a, b in (
            ("float32", "float64"),
            ("float64", "float32"),
            ("float16", "float32"),
        ):
            # PyTorch's backward pass refuses what its forward pass takes.
            compare(_f(name), c(X, a), c(Y, b), device=device, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
def test_deprecated_arguments(average: bool | None, reduce: bool | None) -> None:
    options = {"size_average": average, "reduce": reduce}
    compare(_f("mse_loss", **options), c(X), c(Y))
    compare(_f("cross_entropy", **options), c(X), c(LABELS))
    compare(_f("kl_div", **options), c(X), c(P))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        F.mse_loss(dt.ones(2), dt.ones(2), **options)
    assert len(caught) == (average is not None or reduce is not None)


def test_batchmean(device: str) -> None:
    compare(_f("kl_div", reduction="batchmean"), g(X), g(P), device=device)
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(dt.ones(2), dt.ones(2))


def test_gradients_of_class_weights_are_refused() -> None:
    weight = dt.ones(5, requires_grad=True)
    loss = F.nll_loss(dt.ones(3, 5), dt.tensor(LABELS.tolist()), weight)
    with pytest.raises(
        RuntimeError, match="not differentiable with respect to argument"
    ):
        loss.backward()


# Linear cross-entropy.


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_linear_cross_entropy(reduction: str, device: str) -> None:
    def run(t: Any, x: Any, w: Any, y: Any, b: Any) -> Any:
        return t.nn.functional.linear_cross_entropy(
            x, w, y, linear_bias=b, reduction=reduction, label_smoothing=0.1
        )

    table = _RNG.normal(size=(7, 5))
    bias = _RNG.normal(size=7)
    compare(run, g(X), g(table), c([1, 6, 3]), g(bias), device=device)
    compare(run, g(X[0]), g(table), c(2), g(bias), device=device)
    compare(run, c(X[None]), c(table), c([[1, 2, 3]]), c(bias), device=device)
    compare(run, c(X), c(table[:, :3]), c([1, 2, 3]), c(bias), device=device)
    several = _RNG.normal(size=(7, 2, 5))
    compare(
        run, g(X), g(several), c([[1, 6], [0, 3], [2, 2]]),
        g(_RNG.normal(size=(7, 2))), device=device,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{"batch_chunk_size": 2}, {}])
@pytest.mark.parametrize("weight", [None, W])
def test_chunks_of_linear_cross_entropy_change_nothing(
    reduction: str, options: Any, weight: Any, device: str
) -> None:
    chunks = dt.nn.modules.linear_cross_entropy_options.LinearCrossEntropyOptions
    made = []
    for given in (None, chunks(**options)):
        x, w = (
            dt.tensor(v.tolist(), device=device, requires_grad=True)
            for v in (np.random.default_rng(0).normal(size=(7, 3)), X.T * 2)
        )
        y = dt.tensor([0, 4, 2, 1, 1, 3, 2], device=device)
        scale = None if weight is None else dt.tensor(weight.tolist(), device=device)
        loss = F.linear_cross_entropy(
            x, w, y, weight=scale, reduction=reduction, ignore_index=3, options=given
        )
        loss.sum().backward()
        made.append((loss, x.grad, w.grad))
    for a, b in zip(*made, strict=True):
        assert dt.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"acc_dtype": dt.float32}, {"acc_policy": "accurate"}]
)
def test_sums_of_linear_cross_entropy_may_be_wider(options: Any) -> None:
    chunks = dt.nn.modules.linear_cross_entropy_options.LinearCrossEntropyOptions
    rng = np.random.default_rng(0)
    x = dt.tensor(rng.normal(size=(64, 3))).bfloat16()
    labels = dt.tensor(rng.integers(0, 5, 64))
    weights = dt.tensor(rng.normal(size=(5, 3))).bfloat16()
    grads = []
    for kind, given in (
        (dt.float32, None),
        (dt.bfloat16, chunks(batch_chunk_size=1, **options)),
    ):
        w = weights.to(kind).requires_grad_()
        loss = F.linear_cross_entropy(
            x.to(kind), w, labels, reduction="sum", options=given
        )
        loss.backward()
        assert w.grad.dtype is kind
        grads.append(w.grad.float())
    assert dt.allclose(*grads, rtol=2e-2, atol=0.1)


def test_shapes_are_known_without_values() -> None:
    x, y = dt.empty(3, 5, device="meta"), dt.empty(3, device="meta", dtype=dt.int64)
    assert F.cross_entropy(x, y).shape == ()
    assert F.mse_loss(x, x, reduction="none").shape == (3, 5)
    assert F.smooth_l1_loss(x, x).device.type == "meta"
    assert F.binary_cross_entropy(x, x).shape == ()


# Connectionist temporal classification.

_LOGITS = _RNG.normal(size=(6, 3, 5))
_TARGETS = np.array([[1, 3, 3], [4, 1, 3], [3, 4, 4]])


def _ctc(**options: Any) -> Any:
    def run(t: Any, x: Any, y: Any, inputs: Any, lengths: Any) -> Any:
        scores = x.log_softmax(-1)
        return t.nn.functional.ctc_loss(scores, y, inputs, lengths, **options)

    return run


CTC: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "full": (_ctc(), (c([6, 5, 4]), c([3, 2, 1]))),
    "lists": (_ctc(), ([6, 5, 4], [3, 2, 1])),
    "tuples": (_ctc(), ((6, 5, 4), (3, 2, 1))),
    "blank": (_ctc(blank=2), (c([6, 5, 4]), c([3, 2, 1]))),
    "impossible": (_ctc(zero_infinity=True), (c([2, 2, 6]), c([3, 3, 3]))),
    "empty targets": (_ctc(), (c([6, 5, 4]), c([0, 2, 1]))),
    "no input": (_ctc(), (c([0, 5, 4]), c([0, 2, 1]))),
    "too long input": (_ctc(), (c([7, 5, 4]), c([3, 2, 1]))),
    "too long target": (_ctc(), (c([6, 5, 4]), c([4, 2, 1]))),
    "negative length": (_ctc(), (c([6, 5, 4]), c([-3, 2, 1]))),
    "few inputs": (_ctc(), (c([6, 5]), c([3, 2, 1]))),
    "few lengths": (_ctc(), (c([6, 5, 4]), c([3, 2]))),
    "blank range": (_ctc(blank=5), (c([6, 5, 4]), c([3, 2, 1]))),
    "float lengths": (_ctc(), (c([6.0, 5, 4]), c([3, 2, 1]))),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CTC)
def test_ctc(case: str, reduction: str, device: str) -> None:
    run, lengths = CTC[case]

    def reduced(t: Any, *args: Any) -> Any:
        options = {"reduction": reduction}
        closure = dict(zip(run.__code__.co_freevars, run.__closure__, strict=True))
        options |= closure["options"].cell_contents
        return _ctc(**options)(t, *args)

    compare(
        reduced, g(_LOGITS), c(_TARGETS), *lengths, device=device, rtol=1e-4, atol=1e-5
    )


def test_ctc_of_one_row_of_targets(device: str) -> None:
    flat = np.concatenate([_TARGETS[0], _TARGETS[1, :2], _TARGETS[2, :1]])
    compare(
        _ctc(), g(_LOGITS), c(flat), c([6, 5, 4]), c([3, 2, 1]), device=device,
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    compare(_ctc(), g(_LOGITS), c(flat[:3]), c([6, 5, 4]), c([3, 2, 1]), device=device)


def test_ctc_of_one_sample(device: str) -> None:
    for reduction in REDUCTIONS:
        compare(
            _ctc(reduction=reduction), g(_LOGITS[:, 0]), c(_TARGETS[0]), c(6), c(3),
            device=device, rtol=1e-4, atol=1e-5,
        )  # fmt: skip


def test_ctc_has_no_second_derivative() -> None:
    run, lengths = CTC["full"]
    compare(run, g(_LOGITS), c(_TARGETS), *lengths, gradgrad=True)


def test_ctc_takes_float32_and_float64_alone() -> None:
    run, lengths = CTC["full"]
    compare(run, g(_LOGITS, "float64"), c(_TARGETS), *lengths)
    compare(run, g(_LOGITS, "float16"), c(_TARGETS), *lengths)

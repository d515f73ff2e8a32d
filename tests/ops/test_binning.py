"""Histograms, hashes, numerical gradients: as PyTorch, on every device."""

from __future__ import annotations

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

r = np.random.default_rng(0)
HISTOGRAMS = [
    "m.histogram(x, 5)", "m.histogram(x, 3, range=(-1., 1.))", "m.histogram(x[:0], 3)",
    "m.histogram(x, 4, weight=x.abs(), density=True)", "m.histogram(x[:1], 2)",
    "m.histogram(x, m.tensor([-1., 0, 2.]))", "m.histogram(x, 0)",
    "m.histogram(x, 3, range=(4., 1.))", "m.histogram(x, 3, range=(1.,))",
    "m.histogram(x, 3, weight=x[:2])", "m.histogram(x, m.ones(2, 2))",
    "m.histogram(x.long(), 3)", "m.histogram(x, 3, weight=x.double())",
    "m.histogram(x * float('nan'), 3)", "m.histogram(x, m.ones(2).double())",
    "m.histogramdd(x.view(6, 2), [3, 2])", "m.histogramdd(x.view(4, 3), 2)",
    "m.histogramdd(x.view(6, 2), [3, 2], range=[0., 1., -1., 2.], density=True)",
    "m.histogramdd(x.view(6, 2), [m.tensor([-1., 0, 1]), m.tensor([0., 2])])",
    "m.histogramdd(x, 3)", "m.histogramdd(x.view(6, 2), [3])",
]  # fmt: skip
GRADIENTS = [
    "m.gradient(x)", "m.gradient(x, spacing=2.)", "m.gradient(x, dim=1)",
    "m.gradient(x, spacing=(2., .5))", "m.gradient(x, dim=(0, 1), edge_order=2)",
    "m.gradient(x, dim=0, spacing=(m.tensor([1., 2, 4]).double(),))", "m.gradient(x, dim=5)",
    "m.gradient(x, spacing=(1., 2., 3.))", "m.gradient(x, edge_order=3)",
    "m.gradient(x[:1])", "m.gradient(x, dim=(0, 0))", "m.gradient(x.long(), dim=0)",
    "m.gradient(x, dim=0, spacing=(m.tensor([1., 2, 4]).double(),), edge_order=2)",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("text", HISTOGRAMS)
def test_histograms_as_pytorch(text: str) -> None:
    pytest.importorskip("torch")
    x = spec(r.standard_normal(12), "float32")
    compare(lambda m, x: eval(text, {"m": m, "x": x}), x)


@pytest.mark.oracle
@pytest.mark.parametrize("text", GRADIENTS)
def test_numerical_gradients_as_pytorch(text: str) -> None:
    pytest.importorskip("torch")
    x = spec(r.standard_normal((3, 4)), "float64", True)
    compare(lambda m, x: eval(text, {"m": m, "x": x}), x)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64", "bool"])
def test_hashes_as_pytorch(dtype: str) -> None:
    pytest.importorskip("torch")
    x = spec(r.integers(0, 9, (3, 5)).astype(float), dtype)
    for text in ("m.hash_tensor(x)", "m.hash_tensor(x, 1)", "m.hash_tensor(x, mode=2)",
                 "m.hash_tensor(x, (0, 1), keepdim=True)", "m.hash_tensor(x[:0])"):  # fmt: skip
        compare(lambda m, x, t=text: eval(t, {"m": m, "x": x}), x)


def test_edges_are_inside(device: str) -> None:
    x = torch.tensor([0.0, 1.0, 2.0]).to(device)
    hist, edges = torch.histogram(x, 2)
    assert hist.tolist() == [1.0, 2.0]
    assert edges.tolist() == [0.0, 1.0, 2.0]

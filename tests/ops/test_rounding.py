"""Where PyTorch's rounding shows: half types, bytes, poles, sums of logarithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .oracle import compare, spec

pytestmark = pytest.mark.oracle
oracle = pytest.importorskip("torch")
rng = np.random.default_rng(0)

IMAGE = rng.standard_normal((1, 2, 7, 8))
POINTS = rng.uniform(-1.1, 1.1, (1, 5, 6, 2))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_grid_sample_finds_its_places_in_half_types(
    mode: str, padding: str, dtype: str
) -> None:
    compare(
        lambda m, x, g: m.nn.functional.grid_sample(
            x, g, mode, padding, align_corners=False
        ),
        spec(IMAGE, dtype),
        spec(POINTS, dtype),
        rtol=2e-2,
        atol=2e-2,
    )


def test_trigamma_of_negative_integers() -> None:
    compare(lambda m, x: m.polygamma(1, x), spec(np.arange(-6, 5), "int8"), rtol=1e-5)
    compare(lambda m, x: m.polygamma(1, x), spec([-2.5, -0.3, 0.2, 7.0], "float32"))


def test_soft_margin_overflows_in_float16() -> None:
    x = spec([3.13, -8.0, 2.0], "float16", grad=True)
    y = spec([-3.21, -9.0, 1.0], "float16")
    compare(lambda m, x, y: m.nn.functional.soft_margin_loss(x, y), x, y)


@pytest.mark.parametrize("p", [-1.0, -np.inf, 0.5, 1.5, 3.0])
def test_gradients_of_norms_in_float16(p: float) -> None:
    x = spec([[0.05, -3.0, 8.0], [0.0013, 2.0, -4.0]], "float16", grad=True)
    compare(
        lambda m, x: m.nn.functional.normalize(x, p, 1), x, rtol=2e-2, atol=2e-2
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gradient_of_logcumsumexp_below_large_numbers(dtype: str) -> None:
    values = rng.standard_normal((4, 3))
    values[0] = 1e4
    compare(
        lambda m, x: m.logcumsumexp(x, 0), spec(values, dtype, grad=True), rtol=2e-2
    )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 3), (9, 5)])
def test_bytes_are_resampled_as_pillow_does(mode: str, size: tuple[int, int]) -> None:
    image = spec(rng.integers(0, 256, (2, 3, 4, 6)), "uint8")
    compare(lambda m, x: m.nn.functional.interpolate(x, size, mode=mode), image)


CALLS: dict[str, Callable[[Any], Any]] = {
    "unique of an empty dim": lambda m: m.unique(m.zeros(1, 0, 5), dim=0),
    "unique of one row": lambda m: m.unique(m.ones(5, 1, 5), sorted=False, dim=-2),
    "masked.cumsum of bytes": lambda m: m.masked.cumsum(
        m.ones(3, dtype=m.uint8), 0, mask=m.tensor([True, False, True])
    ),
    "native_dropout_backward": lambda m: m.ops.aten.native_dropout_backward(
        m.ones(2, 2), m.tensor([[True, False], [False, True]]), 2.0
    ),
    "_batch_norm_with_update": lambda m: m.ops.aten._batch_norm_with_update(
        m.arange(12.0).reshape(2, 3, 2), None, None, m.zeros(3), m.ones(3), 0.1, 1e-5
    ),
    "max_pool2d_with_indices_backward": lambda m: (
        m.ops.aten.max_pool2d_with_indices_backward(
            m.ones(1, 1, 2),
            m.arange(8.0).reshape(1, 2, 4),
            [2, 2],
            [2, 2],
            [0, 0],
            [1, 1],
            False,
            m.tensor([[[5, 7]]]),
        )
    ),
    "linear into a tensor": lambda m: m.nn.functional.linear(
        m.ones(2, 3), m.ones(4, 3), out=m.empty(0)
    ),
    "losses of sequences are a view": lambda m: m.nn.functional.nll_loss(
        m.ones(2, 3, 4), m.zeros(2, 4, dtype=m.int64), reduction="none"
    )._is_view(),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls(call: str) -> None:
    compare(CALLS[call])


@pytest.mark.parametrize("reduce", ["mean", "amax", "amin"])
def test_a_csr_factor_gets_a_csr_gradient(reduce: str) -> None:
    def gradient(m: Any) -> Any:
        a = m.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]).to_sparse_csr()
        a.requires_grad_()
        b = m.arange(6.0).reshape(3, 2)
        (found,) = m.autograd.grad(m.sparse.mm(a, b, reduce).sum(), a)
        return str(found.layout), found.to_dense()

    compare(gradient)


def test_statistics_of_group_norm_have_gradients() -> None:
    import dispatchtorch as torch

    x = torch.tensor(rng.standard_normal((2, 4, 3)), requires_grad=True)

    def statistics(x: Any) -> Any:
        return torch.native_group_norm(x, None, None, 2, 4, 3, 2, 1e-5)[1:]

    assert torch.autograd.gradcheck(statistics, x)
    assert torch.autograd.gradgradcheck(statistics, x)

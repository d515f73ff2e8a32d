"""Gamma, Dirichlet and binomial draws and the gradients of the first two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

scipy_special = pytest.importorskip("scipy.special")

A = np.array([0.02, 0.3, 0.9, 1.0, 3.0, 20.0, 500.0])
LEVELS = np.array([0.02, 0.3, 0.5, 0.9, 0.999])


def _slope(quantile: Any, at: np.ndarray) -> np.ndarray:
    """The derivative by central differences of five points, steps as the size is."""
    h = 1e-3 * at
    return (
        8 * (quantile(at + h) - quantile(at - h))
        - (quantile(at + 2 * h) - quantile(at - 2 * h))
    ) / (12 * h)


def test_gamma_gradient_is_the_slope_of_the_quantile(device: str) -> None:
    a, u = np.broadcast_arrays(A[:, None], LEVELS)
    z = scipy_special.gammaincinv(a, u)
    expected = _slope(lambda v: scipy_special.gammaincinv(v, u), a)
    got = torch._standard_gamma_grad(
        torch.tensor(a, device=device), torch.tensor(z, device=device)
    )
    np.testing.assert_allclose(got.cpu().numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("b", [0.3, 1.0, 8.0, 300.0])
def test_dirichlet_gradient_is_the_slope_of_the_quantile(b: float, device: str) -> None:
    a, u = np.broadcast_arrays(A[1:, None], LEVELS)
    x = scipy_special.betaincinv(a, b, u)
    expected = _slope(lambda v: scipy_special.betaincinv(v, b, u), a) / (1 - x)
    inside = (x > 1e-12) & (x < 1 - 1e-7)
    arrays = (x[inside], a[inside], a[inside] + b)
    got = torch._dirichlet_grad(*(torch.tensor(v, device=device) for v in arrays))
    np.testing.assert_allclose(got.cpu().numpy(), expected[inside], rtol=2e-5)


def test_gradient_reaches_the_concentration(device: str) -> None:
    a = torch.tensor([0.5, 2.0], device=device, requires_grad=True)
    z = torch._standard_gamma(a)
    assert type(z.grad_fn).__name__ == "StandardGammaBackward0"
    z.sum().backward()
    assert torch.equal(a.grad, torch._standard_gamma_grad(a.detach(), z.detach()))


@pytest.mark.parametrize("size", [(0,), (0, 3), ()])
def test_sizes(size: tuple[int, ...], device: str) -> None:
    a = torch.full(size, 2.0, device=device)
    assert torch._standard_gamma(a).shape == size
    assert torch._standard_gamma_grad(a, a).shape == size
    assert torch.binomial(a, a / 4).shape == size


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        "torch._standard_gamma(a)",
        "torch._standard_gamma(a.double())",
        "torch._standard_gamma(a.T, generator=g)",
        "torch._sample_dirichlet(a)",
        "torch._sample_dirichlet(a.double(), generator=g)",
        "torch.binomial((9 * a).floor(), a / 40)",
        "torch.binomial(torch.tensor([500.0, 30.0]), torch.tensor([0.3, 0.8]), g)",
        "torch._standard_gamma(a.half())",
        "torch._standard_gamma(a.long())",
        "torch._sample_dirichlet(a.bfloat16())",
        "torch.binomial(a, a.double())",
        "torch.binomial(a.long(), a)",
        "torch.binomial(a, torch.ones(3))",
        "torch.binomial(a.half(), a.half())",
        "torch._dirichlet_grad(a.half(), a, a)",
        "torch.binomial(a.clone().requires_grad_(), a / 40).sum().backward()",
        "torch._sample_dirichlet(a.clone().requires_grad_()).sum().backward()",
        "torch._standard_gamma_grad(a.clone().requires_grad_(), a).sum().backward()",
    ],
)
def test_same_draws_and_words_as_pytorch(call: str) -> None:
    from tests.unit.nn.twin import assert_same

    pytest.importorskip("torch")
    assert_same(
        "a = torch.tensor([[0.05, 0.7, 1.0, 4.0], [30.0, 2.0, 1.5, 0.4]]); "
        f"g = torch.Generator().manual_seed(5); {call}",
        rtol=2e-6,
        atol=1e-9,
    )

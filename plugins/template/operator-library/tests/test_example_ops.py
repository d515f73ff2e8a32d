"""The operators, against NumPy and with the conformance kit."""

from __future__ import annotations

import numpy as np

import dispatchtorch as torch
from dispatchtorch.testing.conformance import run
from dispatchtorch.testing.samples import Sample, add_samples, cases

add_samples(
    cases(
        "ops.example_ops.swish",
        lambda draw: [Sample(draw(3, 4)), Sample(draw(2, 0)), Sample(draw(), 0.5)],
        "f",
    )
)


def test_swish_is_x_times_sigmoid_of_beta_x() -> None:
    x = np.linspace(-4, 4, 9, dtype=np.float32)
    expected = x / (1 + np.exp(-2 * x))
    found = torch.ops.example_ops.swish(torch.from_numpy(x), 2.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_right() -> None:
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch.ops.example_ops.swish, (x,))


def test_the_operators_conform() -> None:
    report = run("cpu", r"^ops\.example_ops\.")
    assert report.results
    assert [str(each) for each in report.results if each.failed] == []

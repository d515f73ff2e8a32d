"""The overlay is right where it answers, silent where it declines, and shows itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from dispatchtorch_csoftmax import Plugin
from dispatchtorch_csoftmax.overlay import LEAST

import dispatchtorch as torch
from dispatchtorch._cli.explain import explain
from dispatchtorch.backend import get_backend, overlays_for
from dispatchtorch.device_layer import declined_counts
from dispatchtorch.plugins import manager
from dispatchtorch.testing.conformance import run

F = torch.nn.functional
CALLS = {
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "silu": F.silu,
}


def overlay() -> Any:
    return next(each for each in overlays_for("cpu") if each.name == "csoftmax")


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    """The plugin, whether it is installed or only on the path."""
    torch.ones(1) + 1
    if any(each.name == "csoftmax" for each in overlays_for("cpu")):
        yield
        return
    with manager.register(Plugin(), name="csoftmax"):
        yield


def declined(name: str) -> int:
    place = overlay().kernels[name].where()
    return declined_counts().get((name, place), 0)


@pytest.mark.parametrize("name", CALLS)
def test_it_agrees_with_double_precision(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(37, 301) * 8
    found = CALLS[name](x).double()
    expected = CALLS[name](x.double())
    assert torch.allclose(found, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_nan_and_infinities_are_numpys(name: str) -> None:
    x = torch.randn(8, 512)
    x[0, 3], x[1, 4], x[2, 5] = float("nan"), float("inf"), float("-inf")
    x[3], x[4, 0] = float("-inf"), 2e4
    found = CALLS[name](x)
    small = torch.stack([CALLS[name](row) for row in x])  # declined, so NumPy's
    assert torch.equal(found.isnan(), small.isnan())
    assert torch.allclose(found, small, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_gradients_flow_through_the_kernels() -> None:
    x = torch.randn(64, 64, requires_grad=True)
    (F.softmax(x, -1)[:, 0]).sum().backward()
    y = x.detach().double().requires_grad_()
    (F.softmax(y, -1)[:, 0]).sum().backward()
    assert torch.allclose(x.grad.double(), y.grad, atol=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(LEAST // 2),
        torch.ones(2, LEAST, dtype=torch.float64),
        torch.ones(LEAST, 4).t(),
    ],
    ids=["small", "double", "transposed"],
)
def test_it_declines_what_it_is_no_good_at(x: Any) -> None:
    before = declined("_softmax")
    assert torch.allclose(F.softmax(x, -1).sum(-1), torch.ones((), dtype=x.dtype))
    assert declined("_softmax") == before + 1


def test_it_takes_large_rows() -> None:
    before = declined("_softmax")
    F.softmax(torch.ones(8, LEAST), -1)
    assert declined("_softmax") == before


def test_explain_shows_it_above_numpys_kernel() -> None:
    lines = explain("_softmax", "cpu", False, "float32").splitlines()
    first = next(i for i, line in enumerate(lines) if "overlay csoftmax" in line)
    assert "declined: kernel" in "".join(lines[first + 1 : first + 3])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", r"nn\.functional\.silu"])
def test_operators_conform(name: str) -> None:
    report = run("cpu", f"^{name}$")
    assert report.results
    assert [str(each) for each in report.results if each.failed] == []


def seconds(function: Any, arguments: tuple[Any, ...]) -> float:
    best = 9.0
    for _ in range(15):
        started = time.perf_counter()
        function(*arguments)
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize("name", ["_softmax", "_log_softmax", "silu"])
def test_it_is_faster_for_large_tensors(name: str) -> None:
    x = torch.randn(512, 512).numpy()
    arguments = (x,) if name == "silu" else (x, 1, x.shape)
    numpys = get_backend("cpu").kernels[name].function
    ours = overlay().kernels[name].function
    assert seconds(ours, arguments) < seconds(numpys, arguments)

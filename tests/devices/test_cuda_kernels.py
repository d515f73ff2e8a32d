"""The CUDA kernels compute what the ``cpu`` device does: emulated, thread by thread."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch

pytest.importorskip("dispatchtorch_cupy.kernels")

from dispatchtorch_cupy.kernels import elementwise, reduction

from tests.devices.cuda_emulation import COMPILER, EmulatedRuntime
from tests.devices.cuda_kernel_cases import HALVES, dtypes_of, run
from tests.devices.emulated_device import emulated

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="the emulator needs a C++ compiler (g++ or clang++)"
)


@pytest.fixture(scope="module")
def device() -> Any:
    return emulated()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"), [pytest.param(n, d, id=f"{n}-{d}") for n, d in dtypes_of()]
)
def test_values_are_those_of_the_host(name: str, dtype: Any, device: Any) -> None:
    before = device.runtime.launches + len(device.engine.calls)
    wanted = run(name, dtype, "cpu")
    made = run(name, dtype, "emulated")
    assert device.runtime.launches + len(device.engine.calls) > before
    assert len(made) == len(wanted)
    tolerance = 6e-2 if dtype in HALVES else 2e-4
    for one, other in zip(wanted, made, strict=True):
        assert one.dtype is other.dtype
        torch.testing.assert_close(
            other.to("cpu"), one, rtol=tolerance, atol=tolerance, equal_nan=True
        )


def test_arrays_beyond_32_bits_are_walked_as_others_are(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elementwise, "_NARROW", 0)
    monkeypatch.setattr(reduction, "_NARROW", 0)
    x = torch.arange(11 * 13 * 17, dtype=torch.float32).reshape(11, 13, 17) % 23
    for f in (
        lambda t: t.transpose(0, 2) * t.transpose(0, 2)[:1],
        lambda t: t + 2,
        lambda t: t.sum((0, 2)),
        lambda t: t.sum(0),
        lambda t: t.amax(2),
    ):
        torch.testing.assert_close(f(x.to("emulated")).to("cpu"), f(x))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t[torch.tensor([9]).to(t.device)],
        lambda t: torch.nn.functional.embedding(torch.tensor([20]).to(t.device), t),
        lambda t: torch.nn.functional.nll_loss(t, torch.full((5,), 77).to(t.device)),
        lambda t: t.gather(1, torch.full((5, 1), -1).to(t.device)),
    ],
)
def test_a_wrong_index_is_raised_once_the_device_is_waited_for(
    call: Any, device: Any
) -> None:
    host = torch.randn(5, 4)
    with pytest.raises(Exception, match=r"out of (bounds|range)") as wanted:
        call(host)
    with pytest.raises(type(wanted.value)) as made:
        call(host.to("emulated")).to("cpu")
    assert str(made.value) == str(wanted.value)


def test_a_step_of_an_optimizer_is_one_launch(device: Any) -> None:
    leaves = [torch.randn(n, device="emulated").requires_grad_() for n in (3, 5000, 0)]
    optimizer = torch.optim.Adam(leaves, foreach=True)
    for _ in range(2):
        for leaf in leaves:
            leaf.grad = leaf.detach().clone()
        before = device.runtime.launches
        optimizer.step()
    assert device.runtime.launches == before + 1


def test_products_of_half_types_add_up_in_float32(device: Any) -> None:
    x = torch.randn(8, 8, device="emulated", dtype=torch.bfloat16)
    device.engine.calls.clear()
    x @ x
    assert device.engine.calls == [(68, 14, 14)]


def test_tf32_follows_the_flags(device: Any) -> None:
    x = torch.randn(8, 8, device="emulated")
    device.engine.calls.clear()
    x @ x
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        x @ x
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert [c[0] for c in device.engine.calls] == [68, 77]


def test_a_convolution_that_cudnn_refuses_is_computed_otherwise(device: Any) -> None:
    x, w = torch.randn(1, 2, 6, 5), torch.randn(3, 2, 2, 2)
    device.cudnn.refused.add("forward")
    try:
        made = torch.conv2d(x.to("emulated"), w.to("emulated"))
    finally:
        device.cudnn.refused.clear()
    torch.testing.assert_close(made.to("cpu"), torch.conv2d(x, w))


# The emulator itself finds what would go wrong on a device.

_UNEVEN = """
KERNEL uneven(float* o) { if (threadIdx.x < 5) __syncthreads(); o[0] = 1; }
"""
_OUTSIDE = """
KERNEL outside(float* o) { o[threadIdx.x] = 1; }
"""


def test_the_emulator_finds_barriers_that_threads_miss() -> None:
    runtime = EmulatedRuntime()
    launch = runtime.generated(_UNEVEN, "uneven")
    with pytest.raises(RuntimeError, match="never come"):
        launch((1,), (32,), (runtime.empty((4,), "float32"),))


def test_the_emulator_finds_writes_outside_of_arrays() -> None:
    runtime = EmulatedRuntime()
    launch = runtime.generated(_OUTSIDE, "outside")
    target = runtime.empty((4,), "float32")
    with pytest.raises(RuntimeError, match="outside"):
        launch((1,), (8,), (target,))

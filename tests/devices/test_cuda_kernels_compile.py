"""NVRTC compiles every CUDA source that the kernels make, for sm_80 and sm_90."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("dispatchtorch_cupy.kernels")

from tests.devices.cuda_kernel_cases import CASES, run
from tests.devices.nvrtc import compile_cuda, missing
from tests.devices.recorded_device import recorded

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "NVRTC is there")


def test_what_would_be_compiled_is_recorded() -> None:
    device = recorded()
    device.runtime.forget()
    code = "KERNEL nothing() {}"
    device.runtime.generated(code, "nothing")
    (made,) = device.runtime.sources.values()
    assert made.endswith(code)
    assert not compile_cuda(made, "sm_90")
    assert "error" in compile_cuda(made + "}", "sm_90")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_source_of_a_case_compiles(name: str) -> None:
    device = recorded()
    device.runtime.forget()
    for dtype in CASES[name][0]:
        run(name, dtype, "recorded")
    failed: list[Any] = []
    for code in device.runtime.sources.values():
        for arch in ("sm_80", "sm_90"):
            log = compile_cuda(code, arch)
            if log:
                failed.append((arch, log[:2000], code.partition("// END")[2][:500]))
    assert not failed

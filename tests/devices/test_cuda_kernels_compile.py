"""NVRTC compiles every CUDA source that the kernels make, for sm_80 and sm_90."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("dispatchtorch_cupy.kernels")

from cuda_kernel_cases import CASES, run
from nvrtc import compile_cuda, missing
from recorded_device import recorded

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "NVRTC is there")


@pytest.mark.parametrize("name", CASES)
def test_every_source_of_a_case_compiles(name: str) -> None:
    device = recorded()
    device.runtime.forget()
    for dtype in CASES[name][0]:
        run(name, dtype, "recorded")
    assert device.runtime.sources or name in _WITHOUT
    failed: list[Any] = []
    for code in device.runtime.sources.values():
        for arch in ("sm_80", "sm_90"):
            log = compile_cuda(code, arch)
            if log:
                failed.append((arch, log[:2000], code.partition("// END")[2][:500]))
    assert not failed


#: Cases that libraries compute.
_WITHOUT: set[str] = set()

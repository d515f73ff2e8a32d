"""The random kernels: Philox's published vectors, all dtypes under NVRTC."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from tests.devices.cuda.names import PACKAGE
from tests.devices.nvrtc import compile_cuda, missing

if importlib.util.find_spec("dispatchtorch_cupy") is None:
    sys.path.append(str(PACKAGE.parent))

from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import STORAGE
from dispatchtorch_cupy.random import _SAMPLERS, program

DTYPES = ("u8", "u8b", "int", "i64", "half_t", "bf16_t", "float", "double")


def source(name: str, storage: str, each: int) -> str:
    defined = {
        "T": storage.removesuffix("b") if storage == "u8b" else storage,
        "A": "double" if storage == "double" else "float",
        "EACH": each,
    }
    return Runtime.program(defined, program(name, storage, each))


@pytest.mark.skipif(bool(missing()), reason=missing() or "NVRTC is there")
@pytest.mark.parametrize("name", [*_SAMPLERS, "integers"])
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_samplers_compile(name, arch):
    for storage in DTYPES:
        for each in (
            (2, 4) if name == "integers" else (2 if storage == "double" else 4,)
        ):
            log = compile_cuda(source(name, storage, each), arch)
            assert not log, f"{name} of {storage}: {log[:3000]}"


def test_every_dtype_that_can_be_drawn_is_compiled():
    known = {each.removesuffix("b") for each in DTYPES} | {"i8", "short", "bf16_t"}
    drawn = {v for k, v in STORAGE.items() if k.kind in "biufV"}
    assert drawn - {"u16", "u32", "u64"} <= known


def test_philox_gives_the_published_numbers():
    """Of the counter and the key of zeros (Salmon et al., Random123's known answers)."""
    from tests.devices import cuda_emulation as emulation

    if emulation.COMPILER is None:
        pytest.skip("there is no C++ compiler")
    runtime = emulation.EmulatedRuntime()
    defined = {"T": "i64", "A": "float", "EACH": 4}
    code = runtime.program(defined, program("integers", "i64", 4))
    launch = runtime.compile(code, "sample")
    made = runtime.empty((4,), np.dtype("int64"))
    values = (0, 0, 0, 4, 0.0, 1.0, 1 << 32, 0)
    launch((1,), (1,), (made, runtime.constant("QQQqddQq", *values)))
    assert [f"{int(v):08x}" for v in made] == [
        "6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8",
    ]  # fmt: skip

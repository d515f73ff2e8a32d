"""The CUDA kernels on a GPU compute what the ``cpu`` device does."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from tests.devices.cuda.cases import needs_cuda
from tests.devices.cuda_kernel_cases import HALVES, dtypes_of, run


@needs_cuda
@pytest.mark.parametrize(
    ("name", "dtype"), [pytest.param(n, d, id=f"{n}-{d}") for n, d in dtypes_of()]
)
def test_values_are_those_of_the_host(name: str, dtype: Any) -> None:
    wanted, made = run(name, dtype, "cpu"), run(name, dtype, "cuda")
    assert len(made) == len(wanted)
    tolerance = 6e-2 if dtype in HALVES else 2e-3
    for one, other in zip(wanted, made, strict=True):
        assert one.dtype is other.dtype
        torch.testing.assert_close(
            other.to("cpu"), one, rtol=tolerance, atol=tolerance, equal_nan=True
        )

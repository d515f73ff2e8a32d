"""Complex tensors: parts are views, gradients are PyTorch's, bytes as other dtypes."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from tests.ops.oracle import compare, spec

C = [1 + 2j, -0.5 + 0.3j, 0.2 - 1j]
D = [0.5 - 1j, 2 + 0.1j, -1 + 1j]

CASES = """
c.conj_physical()  c.real  c.imag  m.view_as_real(c)  c.angle()  c.abs()  c.sgn()  c*d  c/d
c.exp()  c.log()  c.sqrt()  c.sin()  c.tanh()  c**2  c**d  c.reciprocal()  c.sigmoid()
m.addcmul(c,c,d)  c.lerp(d,.5)  m.logaddexp(c,d)  c.tan()  c.rsqrt()  c.sub(d,alpha=2j)
m.polar(c.abs(),d.abs())  m.complex(c.real,d.imag)  m.view_as_complex(m.view_as_real(c)*2)
"""


@pytest.mark.oracle
@pytest.mark.parametrize(
    "text", [s for s in CASES.replace("\n", "  ").split("  ") if s]
)
def test_values_and_both_gradients(text: str) -> None:
    compare(
        lambda m, c, d: eval(text, {"m": m, "c": c, "d": d}),
        spec(C, "complex128", True),
        spec(D, "complex128", True),
        gradgrad=text not in ("c*d", "c.log()"),  # lazy conjugates have no numpy()
        grad_fn=text != "c**d",
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m.imag(x),
        lambda m, x: m.view_as_real(x),
        lambda m, x: m.view_as_complex(x),
        lambda m, x: m.view_as_complex(m.zeros(2, 2).t()),
        lambda m, x: m.view_as_complex(m.tensor(1.0)),
        lambda m, x: m.view_as_complex(m.zeros(2, dtype=m.int32)),
        lambda m, x: m.complex(x, x.double()),
        lambda m, x: m.complex(x.int(), x.int()),
        lambda m, x: m.tensor(1.0).view(m.int16),
        lambda m, x: x.view(m.complex64),
        lambda m, x: m.zeros(2, 2).t().view(m.int16),
        lambda m, x: m.zeros(3)[1:].view(m.float64),
        lambda m, x: m.zeros(2, 3)[:, :2].view(m.float64),
    ],
)
def test_errors(run: Any) -> None:
    compare(run, spec([1.0, 2.0, 3.0]))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64", "complex64"])
def test_bytes_as_another_dtype(dtype: str) -> None:
    compare(
        lambda m, x: x.view(getattr(m, dtype)),
        spec([[1.0, 2.0, 3.0, 4.0]] * 2, "float32"),
    )


def test_parts_share_memory(device: str) -> None:
    c = torch.tensor([1 + 2j, 3 + 4j]).to(device)
    assert c.real._is_view() and c.real.stride() == (2,)
    c.imag.zero_()
    assert c.tolist() == [1, 3]
    c.real = torch.tensor([5.0, 6.0]).to(device)
    assert c.tolist() == [5, 6]
    assert c.imag.storage_offset() == 1


def test_integers_see_the_bits_of_floats(device: str) -> None:
    x = torch.tensor([1.0, -0.0]).to(device)
    assert x.view(torch.int32).tolist() == [0x3F800000, -(2**31)]
    assert x.view(torch.uint8).shape == (8,)


def test_real_tensors_are_their_own_conjugates(device: str) -> None:
    x = torch.ones(2).to(device)
    assert x.conj() is x and x.real is x

"""``out=``: what is written where, and what is refused, as in PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import dispatchtorch as torch

CALLS = [
    "m.exp(x, out={})", "m.add(x, x, out={})", "m.abs(x, out={})", "m.sum(x, 0, out={})",
    "m.mean(x, 0, out={})", "m.cumsum(x, 0, out={})", "m.amax(x, 0, out={})",
    "m.any(x, 0, out={})", "m.max(x, 0, out=({}, m.zeros(0, dtype=m.long)))",
    "m.sort(x, out=({}, m.zeros(0, dtype=m.long)))", "m.quantile(x, 0.5, 0, out={})",
    "m.complex(x, x, out={})", "m.eq(x, x, out={})", "m.std(x, 0, out={})",
    "m.ldexp(x, x, out={})", "m.nan_to_num(x, out={})", "m.where(x > 1, x, x, out={})",
    "m.float_power(x, 2, out={})", "m.kthvalue(x, 1, out=({}, m.zeros(0).long()))",
]  # fmt: skip
OUTS = [
    "m.zeros(0)", "m.zeros(2, 3)", "m.zeros(2, 3, dtype=m.float64)",
    "m.zeros(2, 3, dtype=m.int64)", "m.zeros(2, 3, dtype=m.bool)",
    "m.zeros(2, 3, dtype=m.complex64)", "m.zeros(3, 2).t()", "m.zeros(7)",
    "m.zeros(2, 3, requires_grad=True)", "m.zeros(2, 3, device='meta')", "m.zeros(3)",
    "x[:1]",
]  # fmt: skip


def outcome(m: Any, text: str) -> Any:
    x = m.tensor([[1.0, 2.0, 3.0], [4.0, 0.5, 6.0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = eval(text, {"m": m, "x": x})
        except Exception as error:
            return type(error).__name__, str(error).partition("\nException")[0]
    said = [str(w.message).partition(" (Triggered")[0] for w in caught]
    made = made if isinstance(made, tuple) else (made,)
    shown = [
        (t.mul(1000).round().tolist() if t.dtype != m.bool else t.tolist(), t.stride())
        if not t.is_complex()
        else t.real.mul(1000).round().tolist()
        for t in made
    ]
    return type(made).__name__, shown, [s for s in said if "resized" in s][:1]


# What differs in words alone: PyTorch names an inner operator, or checks in its own order.
KNOWN = [
    ("m.sum", "x[:1]"), ("m.mean", "x[:1]"), ("m.amax", "x[:1]"),
    ("m.any", "requires_grad"), ("m.quantile", "requires_grad"), ("m.quantile", "meta"),
    ("m.float_power", "requires_grad"), ("m.float_power", "meta"),
    ("m.std", "complex64"), ("m.kthvalue", "zeros("), ("m.sort", "x[:1]"),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("call", CALLS)
def test_out_as_pytorch(call: str) -> None:
    oracle = pytest.importorskip("torch")
    different = []
    for out in OUTS:
        text = call.format(out)
        if any(text.startswith(name) and part in text for name, part in KNOWN):
            continue
        found, wanted = outcome(torch, text), outcome(oracle, text)
        if found != wanted:
            different.append((text, found, wanted))
    assert not different


def test_the_tensor_given_is_returned(device: str) -> None:
    x = torch.arange(4.0).to(device)
    out = torch.empty(0).to(device)
    assert torch.exp(x, out=out) is out
    assert out.tolist() == torch.exp(x).tolist()


@pytest.mark.oracle
@pytest.mark.parametrize("out", ["3", "(m.zeros(3),)"])
@pytest.mark.parametrize("call", ["exp(x", "atan2(x, x", "eq(x, x", "complex(x, x"])
def test_what_is_no_tensor_is_refused_as_in_pytorch(call: str, out: str) -> None:
    oracle = pytest.importorskip("torch")
    text = f"m.{call}, out={out})"
    assert outcome(torch, text) == outcome(oracle, text)


def test_memory_is_kept_where_the_shape_fits() -> None:
    whole = torch.zeros(4, 2)
    out = whole[:, 0]
    torch.add(torch.arange(4.0), 1, out=out)
    assert whole.tolist() == [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]


def test_half_overlapping_memory_is_refused() -> None:
    x = torch.arange(6.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the"):
        torch.exp(x[:4], out=x[1:5])
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the"):
        x[1:5].add_(x[:4])
    torch.exp(x[:4], out=x[:4])
    assert x[4].item() == 4.0


def test_the_new_size_warns_where_the_caller_is() -> None:
    with pytest.warns(UserWarning, match="was resized since it had shape") as caught:
        torch.exp(torch.ones(3), out=torch.ones(2))
    assert caught[0].filename == __file__

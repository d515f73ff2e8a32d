"""Rules that all pointwise operators follow: memory order, casts in place, node names."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

LAYOUTS = [
    lambda m: m.ones(2, 3, 4),
    lambda m: m.ones(4, 3, 2).permute(2, 1, 0),
    lambda m: m.ones(3, 4, 2).permute(2, 0, 1),
    lambda m: m.ones(4),
    lambda m: m.ones(3, 1),
    lambda m: m.ones(2, 3, 8)[..., ::2],
    lambda m: m.ones(1, 3, 4).expand(2, 3, 4),
]
REDUCTIONS = [
    "x.sum(0)", "x.sum(1, keepdim=True)", "x.mean((0, 2))", "x.amax(0)", "x.std(0)",
    "x.prod(1)", "x.any(1)", "x.all(1, keepdim=True)", "x.max(0)[0]", "x.cumsum(0)",
    "x.sort(0)[0]", "x.sort(0)[1]", "x.cummax(1)[0]", "x.median(0)[0]", "x.logsumexp(0)",
    "x.softmax(0)", "x.topk(1, 0)[0]", "x.quantile(.5, 0)", "x.argsort(1)", "x.norm(2, 0)",
]  # fmt: skip
DTYPES = ["float32", "float16", "int64", "uint8", "bool", "complex64", "float64"]
NODES = [
    "x ** 2", "x ** y", "x % 2", "x % y", "x.fmod(2)", "x.fmod(y)", "1 - x", "x / 2",
    "x.copysign(2)", "x.copysign(y)", "x.xlogy(2)", "x.xlogy(y)", "x.ldexp(y)", "x // 2",
    "m.nextafter(x, y)", "m.heaviside(x, y)", "m.dist(x, y)", "m.vdot(x, y)", "x - 1",
    "m.special.zeta(x, y)", "m.special.xlog1py(x, 2)", "m.cdist(x[None], y[None])",
]  # fmt: skip


@pytest.mark.parametrize("name", ["add", "maximum", "atan2", "eq", "where"])
def test_results_lie_in_memory_as_pytorchs(name: str) -> None:
    def stride(m: Any, a: Any, b: Any) -> tuple[int, ...]:
        x, y = a(m), b(m)
        made = m.where(x > 0, x, y) if name == "where" else getattr(m, name)(x, y)
        return tuple(made.stride())

    for a, b in itertools.product(LAYOUTS, LAYOUTS):
        assert stride(torch, a, b) == stride(oracle, a, b)


@pytest.mark.parametrize("text", REDUCTIONS)
def test_reductions_lie_in_memory_as_pytorchs(text: str) -> None:
    for layout in LAYOUTS[:3]:
        made = [eval(text, {"x": layout(m)}) for m in (torch, oracle)]
        assert tuple(made[0].stride()) == tuple(made[1].stride())


def outcome(m: Any, name: str, own: str, other: Any) -> Any:
    x = m.ones(3, dtype=getattr(m, own))
    value = m.ones(3, dtype=getattr(m, other)) if isinstance(other, str) else other
    try:
        return str(getattr(x, name)(value).dtype)
    except Exception as error:
        return type(error).__name__, str(error).partition("\nException")[0]


@pytest.mark.parametrize(
    "name", ["add_", "div_", "bitwise_and_", "hypot_", "eq_", "sub_"]
)
def test_what_can_be_written_in_place_is_as_in_pytorch(name: str) -> None:
    others = [*DTYPES, 2, 2.5, True]
    for own, other in itertools.product(DTYPES, others):
        assert outcome(torch, name, own, other) == outcome(oracle, name, own, other)


@pytest.mark.parametrize("text", NODES)
def test_nodes_have_pytorchs_names(text: str) -> None:
    names = []
    for m in (torch, oracle):
        x = m.ones(3, dtype=m.float64, requires_grad=True)
        y = m.full((3,), 2.0, dtype=m.float64, requires_grad=True)
        names.append(type(eval(text, {"m": m, "x": x, "y": y}).grad_fn).__name__)
    assert names[0] == names[1]


def test_a_zero_dim_operand_of_a_higher_kind_keeps_the_precision() -> None:
    made = torch.ones(2) + torch.tensor(1j, dtype=torch.complex128)
    assert made.dtype is torch.complex64


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8"])
def test_floats_beyond_a_whole_dtype_become_what_pytorch_makes_of_them(
    kind: str,
) -> None:
    values = [
        3000000257.0,
        -3e9,
        70001.0,
        300.7,
        -1.9,
        1e20,
        float("inf"),
        float("nan"),
    ]
    for own in ("float64", "float32", "bfloat16"):
        made = [
            m.tensor(values, dtype=getattr(m, own)).to(getattr(m, kind)).tolist()
            for m in (torch, oracle)
        ]
        assert made[0] == made[1]

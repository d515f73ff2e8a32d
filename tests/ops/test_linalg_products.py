"""Products of matrices, and Einstein's notation, as PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle
rng = np.random.default_rng(11)


def X(*shape: int, dtype: str = "float64") -> Any:
    if dtype.startswith("int") or dtype == "uint8":
        return spec(rng.integers(0, 4, shape), dtype)
    return spec(rng.standard_normal(shape), dtype, True)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (3,)), ((4, 3), (3,)), ((3,), (3, 4)), ((4, 3), (3, 2)),
        ((2, 4, 3), (3,)), ((2, 4, 3), (3, 2)), ((3,), (2, 3, 4)), ((4, 3), (2, 3, 5)),
        ((2, 4, 3), (2, 3, 5)), ((2, 1, 4, 3), (5, 3, 2)), ((0, 3), (3, 2)),
        ((2, 0, 3), (3, 2)), ((0, 0), (5, 0, 0)),
    ],
)  # fmt: skip
def test_matmul_of_shapes(shapes: Any) -> None:
    compare(
        lambda m, a, b: m.matmul(a, b), *map(lambda s: X(*s), shapes), gradgrad=True
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3), (0, 3)])
def test_linear_of_shapes(shape: Any, bias: bool) -> None:
    more = [X(5)] if bias else []
    compare(lambda m, *a: m.nn.functional.linear(*a), X(*shape), X(5, 3), *more)


FUSED = {
    "addmm": ((4, 5), (4, 3), (3, 5)),
    "addmv": ((4,), (4, 3), (3,)),
    "addr": ((4, 5), (4,), (5,)),
    "baddbmm": ((2, 4, 5), (2, 4, 3), (2, 3, 5)),
    "addbmm": ((4, 5), (2, 4, 3), (2, 3, 5)),
}


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8", "int32"])
@pytest.mark.parametrize("name", FUSED)
def test_fused_product_with_scalars(name: str, dtype: str) -> None:
    whole = dtype != "float64"
    scalars: list[dict[str, Any]] = [{}, {"beta": 0, "alpha": 2}]
    if name != "addr" or not whole:
        scalars.append({"beta": 0.6, "alpha": 1.7})
    for kw in scalars:
        compare(
            lambda m, *a, kw=kw: getattr(m, name)(*a, **kw),
            *(X(*s, dtype=dtype) for s in FUSED[name]),
        )


EINSUM = [
    ("i->", (3,)), ("ij->ji", (2, 3)), ("ii->i", (3, 3)), ("iji->j", (2, 3, 2)),
    ("i,j->ij", (3,), (4,)), ("ij,jk", (2, 3), (3, 4)), ("ij,jk->ki", (2, 3), (3, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bi,bj,bk->ijk", (2, 3), (2, 4), (2, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)), ("i...->...", (3, 2)),
    ("ij,ij->", (2, 3), (2, 3)), ("ij,kj->ik", (2, 3), (1, 3)), ("...ii", (2, 3, 3)),
    ("ijk,ik->j", (1, 2, 3), (1, 3)), ("Ba,aB->", (2, 3), (3, 2)), (" i j -> j ", (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("row", EINSUM, ids=lambda row: row[0])
def test_einsum_of_equation(row: Any) -> None:
    equation, *shapes = row
    compare(
        lambda m, *a: m.einsum(equation, *a), *(X(*s) for s in shapes), gradgrad=True
    )


ERRORS = [
    "m.einsum('ij,jk', M)", "m.einsum('ij', M, M)", "m.einsum('ijk', M)",
    "m.einsum('i...j...', M)", "m.einsum('i1', M)", "m.einsum('ij->ii', M)",
    "m.einsum('ij->k', M)", "m.einsum('ij->i..', M)", "m.einsum('i.j->i', M)",
    "m.einsum('ii->i', N)", "m.einsum('ij,jk->ik', M, N)",
    "m.einsum('...ij,...jk->...ik', m.ones(2, 3, 3), m.ones(3, 3, 3))",
    "m.mm(M, N)", "m.mm(M, M.double())", "m.mm(M.bool(), M.bool())", "m.mv(M, M)",
    "m.mv(M, v.double())", "m.dot(v, M)", "m.bmm(M, M)", "m.matmul(v, m.tensor(1.))",
    "m.matmul(m.ones(2, 3, 3), m.ones(2, 2, 3))", "m.addr(M.long(), v.long(), v.long(), "
    "beta=0.5)", "m.addmv(v, M, v.double())", "m.addmm(M, M, M.double())",
    "m.baddbmm(M.double(), m.ones(2, 3, 3), m.ones(2, 3, 3))",
    "m.addbmm(M, m.ones(2, 3, 3), m.ones(2, 4, 3))", "m.tensordot(M, N, dims=1)",
    "m.tensordot(M, M, dims=1.5)", "m.inner(v, m.ones(4))", "m.outer(v, M)",
    "m.cdist(v, v)", "m.cdist(M, M, p=-1.)", "m.cdist(M, M, compute_mode='x')",
    "m.dot(v, v, out=m.empty(0).double())", "m.chain_matmul()",
]  # fmt: skip


@pytest.mark.parametrize("code", ERRORS)
def test_error_is_pytorchs(code: str) -> None:
    errors = []
    for module in (oracle, torch):
        names = {"m": module, "M": module.ones(3, 3), "v": module.ones(3)}
        names["N"] = module.ones(2, 3)
        with pytest.raises(Exception) as raised:  # noqa: PT011 - compared below
            eval(code, names)
        text = str(raised.value).partition("\nException raised")[0]
        errors.append((type(raised.value).__name__, text.strip()))
    assert errors[1] == errors[0]


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf")])
def test_cdist_of_order(p: float) -> None:
    compare(lambda m, a, b: m.cdist(a, b, p), X(2, 4, 3), X(5, 3))


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "code",
    [
        "m.addmm(c, a, b)",
        "m.addmm(c, a, b, beta=0.3, alpha=1.7)",
        "m.addmm(c, a, b, beta=0)",
        "m.addmv(c[:, 0], a, b[:, 0])",
        "m.baddbmm(c[None], a[None], b[None], alpha=1.7)",
        "m.nn.functional.linear(a, b.T, c[0])",
    ],
)
def test_sum_of_a_product_is_rounded_once(code: str, kind: str) -> None:
    """Half types: the product isn't rounded before the sum."""
    results = []
    for module in (oracle, torch):
        made = {"m": module}
        for name, shape in {"a": (12, 9), "b": (9, 7), "c": (12, 7)}.items():
            count = shape[0] * shape[1]
            wave = [((i * 37) % 101 - 50) / 64 for i in range(count)]
            made[name] = module.tensor(wave).reshape(shape).to(getattr(module, kind))
        results.append(eval(code, made).double().tolist())
    assert results[1] == results[0]

"""Lazy conjugates and negatives: the same programs under PyTorch and here."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt

PRELUDE = """
x = torch.tensor([[1 - 2j, 3 + 4j], [2j, -1 - 1j]], dtype=torch.complex128).to(device)
w = torch.tensor([[2 - 1j, 1j], [1 + 1j, -3]], dtype=torch.complex128).to(device)
z = x.conj()
n = z.imag
m = x.real > 0
i = torch.tensor([1, 0]).to(device)
"""

EXPRESSIONS = """
z | z.conj() | x.real.conj() | z.T | z[0] | z[0, 1] | z[None] | z.view(4) | z.reshape(4) | z.T.reshape(4)
z.flatten() | z.expand(3, 2, 2) | z.diagonal() | z.as_strided((2,), (1,)) | z.unfold(0, 1, 1) | z.movedim(0, 1)
z.unbind() | z.split(1) | z.chunk(2, 1) | z.tensor_split(2) | z.contiguous() | z.T.contiguous() | z.squeeze()
z.detach() | z.data | torch.nn.Parameter(z) | z.clone() | z.T.clone() | z.resolve_conj() | x.resolve_conj() is x
z.H | x.H | x.mH | x.adjoint() | z.adjoint() | x[None].mH | torch.adjoint(x) | x[0, 0].H
z.real | z.imag | n.conj() | n.resolve_neg() | n.clone() | n.abs() | n + 1 | x.imag.resolve_neg() is x.imag
x._neg_view() | x._neg_view().imag | z._neg_view() | z._neg_view().imag | x.real._neg_view() | i._neg_view()
torch.view_as_real(x._neg_view()) | torch.view_as_complex(torch.view_as_real(x)._neg_view()) | n.to(torch.float32)
z.to(torch.complex64) | z.to(torch.complex128) | z.type_as(x) | torch._conj_copy(x) | torch._neg_view_copy(n)
torch.is_conj(z), torch.is_neg(z), torch.is_conj(n), torch.is_neg(n) | z._is_view() | z._base is x | n._base is x
z.data_ptr() == x.data_ptr() | z.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
x.conj_physical() | z.conj_physical() | z + w | z * w.conj() | z @ w | z.H @ w.mH | 1 / z | z ** 2 | -z | z.exp() | z.abs()
torch.dot(z[0], w[0]) | torch.dot(z[0], w[0].conj()) | torch.dot(x[0], w[0].conj()) | torch.matmul(z[0], w[0].conj())
torch.vdot(z[0], w[0]) | torch.vdot(z[0], w[0].conj()) | torch.vdot(x[0], w[0].conj()) | torch.vdot(x[0], w[0])
torch.where(m, z, w) | torch.cat([z, w]) | torch.stack([z, n]) | torch.einsum('ij,jk', z, w) | torch.addmm(z, w, z)
z == x.conj_physical() | torch.equal(z, x.conj_physical()) | z.sum() | z.mean(0) | z.prod() | z.cumsum(1) | n.max() | n.sort()
z[i] | z[m] | z.index_select(0, i) | z.flip(0) | z.tril() | z.norm() | z.angle() | z.sgn() | n.argsort()
torch.linalg.inv(z) | torch.linalg.solve(w, z, left=False) | torch.svd(w)[2].abs() | torch.linalg.det(z)
torch.empty_like(z).is_conj() | torch.ones_like(z) | torch.full_like(n, 2) | torch.broadcast_tensors(z, w)
z.tolist() | n.tolist() | z[0, 0].item() | n[0, 0].item() | complex(z[0, 0]) | float(n[1, 1]) | bool(n.any())
torch.tensor_split(z, 2) | torch.atleast_3d(z) | torch.meshgrid(z[0], w[0], indexing='ij') | z.sum().is_conj()
torch._foreach_mul([z, x], 2j) | torch.as_tensor(z) | torch.linalg.eigvals(z).abs().sum() | torch.fft.fft(z)
"""

STATEMENTS = """
z.add_(1 + 1j) | z.mul_(2j) | z.zero_() | z.fill_(3j) | z.copy_(w) | z.copy_(w.conj()) | z.conj_physical_() | z.exp_()
z[0].mul_(1j) | z[0] = 5j | z[0, 0:1] = torch.tensor([1j]).to(device) | z[i] = w | z[m] = 1j | z.T.add_(1j) | z.view(4).mul_(1j)
z.index_fill_(0, i, 2j) | z.masked_fill_(m, 1j) | z.index_add_(0, i, w) | z.cumsum_(0) | z.addmm_(w, z) | z.sub_(z)
n.mul_(2) | n.zero_() | n.add_(x.real) | n[0] = 7 | z.real.add_(1) | z._neg_view().add_(1j) | z._neg_view().copy_(w)
x.mul_(z) | x.copy_(z) | z.unsqueeze_(0) | z.t_() | x.mul_(1j) | x.imag.add_(n) | z += w | n -= 1 | z.data = w | n.data = w.real
torch.add(x, 1, out=z) | torch.matmul(x, w, out=z) | torch.cat([w[1:], w[:1]], out=z) | torch.neg(w.imag, out=n)
torch.linalg.inv(w, out=z) | torch.add(x[0], 1, out=z[0]) | torch.conj_physical(w, out=z) | z.lerp_(w, 0.5)
"""

BAD = """
torch.view_as_real(z) | z.numpy() | n.numpy() | z.__array__() | z.view(torch.float64) | n.view(torch.int64) | z.__dlpack__()
z.conj().requires_grad_().conj().numpy() | x.real.imag | z.expand(2, 2, 2).mul_(2)
"""

AUTOGRAD = """
r = v.conj() | r = v.conj().conj() | r = v.conj().imag | r = v.conj().real | r = v.H | r = v.mH | r = v.conj().resolve_conj()
r = v.conj().conj_physical() | r = v.conj().imag.resolve_neg() | r = v.conj() * w | r = v.conj() @ v | r = v.conj().abs()
r = v._neg_view() | r = v.conj()._neg_view().imag * 2 | r = torch.vdot(v[0].conj(), v[1].conj()) | r = v[0].conj() * v.H[1]
b = v * 1; c = b.conj(); c.mul_(w); r = b | b = v * 1; c = b.conj(); c.mul_(w); r = c | b = v * 1; c = b.conj(); b.mul_(w); r = c
b = v * 1; c = b.conj().imag; c.mul_(2); r = b | b = v * 1; c = b.conj().imag; b.mul_(w); r = c * 3
b = v * 1; c = b.conj()[0]; c.copy_(v[1] * w[0]); r = b | b = v.conj() * 1; c = b.H; c[0] = v[0]; r = c.mT * w
b = v * 1; c = b._neg_view(); c.mul_(w); r = b * c | b = v * 1; c = b.detach().conj(); c.mul_(w); r = b.sum()
"""


def split(text: str) -> list[str]:
    return [e.strip() for line in text.strip().splitlines() for e in line.split(" | ")]


def described(value: Any) -> Any:
    """What can be seen of a result, without the name of its device."""
    if isinstance(value, (list, tuple)):
        return [described(each) for each in value]
    if not hasattr(value, "is_conj"):
        return value
    node = value.grad_fn
    return (
        str(value.dtype),
        tuple(value.shape),
        value.stride(),
        value.is_conj(),
        value.is_neg(),
        type(node).__name__,
        np.asarray(value.detach().resolve_conj().resolve_neg().cpu().tolist()),
    )


def same(ours: Any, wanted: Any) -> None:
    if isinstance(wanted, (list, tuple)):
        assert len(ours) == len(wanted)
        for a, b in zip(ours, wanted, strict=True):
            same(a, b)
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-14)
    else:
        assert ours == wanted


def names_of(module: Any, device: str) -> dict[str, Any]:
    names: dict[str, Any] = {"torch": module, "device": device}
    exec(PRELUDE, names)
    return names


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.oracle
@pytest.mark.parametrize("code", split(EXPRESSIONS))
def test_results_carry_the_bits_that_pytorchs_do(
    torch: Any, device: str, code: str
) -> None:
    wanted = described(eval(code, names_of(torch, "cpu")))
    same(described(eval(code, names_of(dt, device))), wanted)


@pytest.mark.oracle
@pytest.mark.parametrize("code", split(STATEMENTS))
def test_writes_go_through_to_the_memory(torch: Any, device: str, code: str) -> None:
    def run(module: Any, place: str) -> Any:
        names = names_of(module, place)
        before = names["x"]._version
        exec(code, names)
        x, z, n = (names[name] for name in "xzn")
        return described([x, z, n, *(t._version - before for t in (x, z, n))])

    same(run(dt, device), run(torch, "cpu"))


@pytest.mark.oracle
@pytest.mark.parametrize("code", split(BAD))
def test_bad_use_gets_pytorchs_exception(torch: Any, code: str) -> None:
    def error(module: Any) -> Any:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - compared
            eval(code, names_of(module, "cpu"))
        return type(caught.value).__name__, str(caught.value)

    assert error(dt) == error(torch)


@pytest.mark.oracle
@pytest.mark.parametrize("code", split(AUTOGRAD))
def test_gradients_and_nodes(torch: Any, device: str, code: str) -> None:
    def run(module: Any, place: str) -> Any:
        names = names_of(module, place)
        v = names["v"] = names["x"].clone().requires_grad_()
        exec(code, names)
        r = names["r"]
        (r * r.detach()).sum().abs().backward()
        return described([r, v.grad.resolve_conj()])

    same(run(dt, device), run(torch, "cpu"))


@pytest.mark.parametrize(
    "function",
    [
        lambda v: v.conj() * v,
        lambda v: v.H @ v.conj(),
        lambda v: v.conj().imag * v.real,
        lambda v: v.clone().conj().mul_(v).imag,
        lambda v: dt.vdot(v[0], v[1].conj()),
    ],
)
def test_second_gradients(function: Any, device: str) -> None:
    values = [[1 - 2j, 3 + 4j], [2j, -1 - 1j]]
    v = dt.tensor(values, dtype=dt.complex128, device=device, requires_grad=True)
    assert dt.autograd.gradcheck(function, (v,))
    assert dt.autograd.gradgradcheck(function, (v,))


@pytest.mark.parametrize("part", [lambda x: x.conj(), lambda x: x.conj().imag])
def test_copies_and_files(part: Any) -> None:
    x = dt.tensor([[1 - 2j, 3 + 4j]], dtype=dt.complex128)
    lazy = part(x)
    buffer = io.BytesIO()
    dt.save([x, lazy] if lazy.is_complex() else lazy, buffer)
    buffer.seek(0)
    loaded = dt.load(buffer)
    if lazy.is_complex():
        base, loaded = loaded
        assert base.data_ptr() == loaded.data_ptr()
    for made in (loaded, pickle.loads(pickle.dumps(lazy)), copy.copy(lazy)):
        assert (made.is_conj(), made.is_neg()) == (lazy.is_conj(), lazy.is_neg())
        assert dt.equal(made, lazy)
    made = copy.deepcopy(lazy)
    assert not made.is_conj() and not made.is_neg()
    assert dt.equal(made, lazy)
    np.testing.assert_array_equal(lazy.numpy(force=True), np.array(lazy.tolist()))
    assert repr(lazy) == repr(lazy.clone())


@pytest.mark.oracle
def test_files_are_exchanged_with_pytorch(torch: Any) -> None:
    for save, load in ((dt, torch), (torch, dt)):
        z = save.tensor([1 - 2j, 3 + 4j]).conj()
        buffer = io.BytesIO()
        save.save(z, buffer)
        buffer.seek(0)
        made = load.load(buffer)
        assert made.is_conj()
        assert made.tolist() == z.tolist()


def test_ordinary_operands_bind_no_conjugate_layer(device: str) -> None:
    x = dt.tensor([1 - 2j, 3 + 4j], device=device)
    x.conj()
    from dispatchtorch.dispatch.layer import layers_for

    assert "conjugate" not in [layer.name for layer in layers_for(x._keys)]
    assert "conjugate" in [layer.name for layer in layers_for(x.conj()._keys)]


def test_threads_of_views_share_one_version(device: str) -> None:
    x = dt.tensor([1 - 2j, 3 + 4j], device=device, requires_grad=True)
    b = x * 1
    c = b.conj()
    r = (b * b).sum()
    c.add_(1)
    assert b._version == c._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        r.abs().backward()

"""Sparse layouts: the same programs under PyTorch and here, and on every device."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt

oracle = pytest.mark.oracle

PRELUDE = """
i = torch.tensor([[0, 1, 1, 0], [2, 0, 2, 2]])
v = torch.tensor([3.0, 4.0, 5.0, 1.0], dtype=torch.float64)
s = torch.sparse_coo_tensor(i, v, (2, 3))
c = s.coalesce()
d = torch.tensor([[1.0, 0, 2], [0, 0, 3]], dtype=torch.float64)
w = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)
h = torch.sparse_coo_tensor(torch.tensor([[1, 0, 1]]), w[:, :2], (3, 2))
r = d.to_sparse_csr()
"""

EXPRESSIONS = """
s | s.shape, s.layout, s.is_sparse, s.is_sparse_csr, s.dtype, s.stride() | c | h | r
s.to_dense() | c.indices(), c.values() | s._nnz(), s.sparse_dim(), s.dense_dim() | h.dense_dim()
s.is_coalesced(), c.is_coalesced(), (c + c).is_coalesced() | s.coalesce() is s | c.coalesce() is c
d.to_sparse() | d.to_sparse(1) | d.to_sparse_csr() | d.to_sparse_csc() | torch.eye(4).to_sparse_bsr((2, 2))
torch.eye(4).to_sparse_bsc(2) | d.to_sparse(layout=torch.sparse_csr) | r.to_sparse() | c.to_sparse_csr()
r.to_sparse_csc() | r.to_dense() | r.crow_indices(), r.col_indices(), r.values() | d.to_dense() is d
d.to_sparse_csc().ccol_indices(), d.to_sparse_csc().row_indices() | r.to_sparse_csr() is r
torch.ones(2, 2, 3).to_sparse_csr() | torch.ones(2, 2, 3).to_sparse_csr().to_dense()
(s + s).coalesce() | d + s | (s - c).coalesce() | s * 2 | (s * s).to_dense() | s * d | s / 2 | -s | s.neg() | s.clone()
r + r | r * 2 | r.sin() | r.abs() | r.to(torch.float32) | r.t() | r @ w | torch.mv(r, w[:, 0])
s.abs() | s.sqrt() | s.sin() | s.relu() | s.sign() | s.isnan() | s.floor() | s.expm1() | s.pow(2)
s.to(torch.float32) | s.float() | s.t() | s.t().to_dense() | s.transpose(0, 1)
s @ w | torch.mm(s, w) | torch.sparse.mm(s, w) | torch.sparse.mm(s, s.t()).to_dense() | w.t() @ s.t()
torch.mv(s, w[:, 0]) | torch.sparse.addmm(torch.ones(2, 2).double(), s, w, beta=2, alpha=3)
torch.addmm(torch.ones(2, 2).double(), s, w) | torch.smm(s, w).to_dense() | torch.hspmm(s, w).to_dense()
torch.sparse.mm(c.to_sparse_csr(), w, 'amax') | torch.sparse.mm(c.to_sparse_csr(), w, 'mean')
torch.sparse.sum(s) | torch.sparse.sum(s, 0).to_dense() | torch.sparse.sum(s, (0, 1)) | torch.sparse.sum(h, 1).to_dense()
torch.sparse.softmax(s, 1).to_dense() | torch.sparse.log_softmax(s, 0).to_dense() | torch.sparse.softmax(h, 1).to_dense()
torch.cat([s, s]).to_dense() | torch.cat([s, c], 1).to_dense() | s[0].to_dense() | s[1, 2] | h[1]
s.index_select(1, torch.tensor([2, 0])).to_dense() | s.select(1, 2).to_dense() | s.unsqueeze(0).to_dense()
d.sparse_mask(c).to_dense() | c.sparse_mask(d.to_sparse()).to_dense() | torch.zeros_like(s) | s.clone().zero_()
torch.sparse_coo_tensor((2, 3)) | torch.sparse_coo_tensor([[0, 1]], [1, 2]) | torch.sparse_coo_tensor(i, v).shape
torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0]) | torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 4))
torch.sparse_csc_tensor([0, 1, 1, 2], [0, 1], [1.0, 2.0], (2, 3)).to_dense()
torch.sparse_bsr_tensor([0, 1], [1], torch.ones(1, 2, 2)).to_dense()
torch.sparse.spdiags(torch.ones(2, 3), torch.tensor([0, -1]), (3, 3)).to_dense()
torch.sparse.sampled_addmm(r, w.t(), w @ torch.ones(2, 3).double()).to_dense()
s.clone().mul_(2).to_dense() | s.clone().add_(c).to_dense() | d.clone().add_(s)
s.clone().sparse_resize_((3, 4), 2, 0).shape | s.detach() | c.any() | c.sum() | s.norm() | s.numel(), len(s), s.dim()
"""

BAD = """
d.coalesce() | s.values() | s.indices() | s.numpy() | r.numpy()
s.crow_indices() | d.crow_indices() | r.ccol_indices() | s.mm(torch.ones(2, 2).double())
torch.sparse_coo_tensor(i, v[:2], (2, 3)) | torch.sparse_coo_tensor(i, v, (2,)) | s + torch.ones(2, 3).double()
torch.sparse_coo_tensor(i, v, (2, 2), check_invariants=True) | s.pow(0) | d.to_sparse_bsr((2, 2)) | h.t() | d.clone().copy_(s)
torch.sparse_coo_tensor(torch.tensor([0, 1]), v[:2]) | r.stride() | s + s.t() | torch.sparse.mm(c.to_sparse_csr(), w, 'no')
"""


def split(text: str) -> list[str]:
    return [e.strip() for line in text.strip().splitlines() for e in line.split(" | ")]


def run(module: Any, code: str) -> Any:
    names: dict[str, Any] = {"torch": module}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(PRELUDE, names)
        try:
            return repr(eval(code, names))
        except Exception as error:
            return type(error).__name__, str(error).split("\nException raised")[0]


@oracle
@pytest.mark.parametrize("code", split(EXPRESSIONS))
def test_programs_print_what_they_print_with_pytorch(code: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = run(torch, code)
    assert isinstance(wanted, str), wanted
    assert run(dt, code) == wanted


@oracle
@pytest.mark.parametrize("code", split(BAD))
def test_bad_input_gets_pytorchs_exception(code: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = run(torch, code)
    assert isinstance(wanted, tuple), wanted
    assert run(dt, code) == wanted


GRADIENTS = """
(torch.sparse.mm(torch.sparse_coo_tensor(i, x, (2, 3)), w) * y).sum()
(torch.sparse_coo_tensor(i, x, (2, 3)).to_dense() * d).sum()
torch.sparse.sum(torch.sparse_coo_tensor(i, x, (2, 3)) * 3)
(torch.sparse.sum(torch.sparse_coo_tensor(i, x, (2, 3)), 0).to_dense() ** 2).sum()
(torch.sparse.softmax(torch.sparse_coo_tensor(i, x, (2, 3)), 1).to_dense() * d).sum()
(torch.sparse.log_softmax(torch.sparse_coo_tensor(i, x, (2, 3)), 0).to_dense() * d).sum()
(torch.sparse_coo_tensor(i, x, (2, 3)).coalesce().values() ** 2).sum()
(torch.sparse.mm(torch.sparse_coo_tensor(i, v, (2, 3)), x.reshape(2, 2).new_ones(3, 2) * x[:2]) ** 2).sum()
"""


@oracle
@pytest.mark.parametrize("code", GRADIENTS.strip().splitlines())
def test_gradients_reach_the_values(code: str) -> None:
    torch = pytest.importorskip("torch")

    def gradient(module: Any) -> Any:
        names: dict[str, Any] = {"torch": module}
        exec(PRELUDE, names)
        x = module.tensor([1.0, -2.0, 0.5, 2.0], dtype=module.float64)
        names["x"] = x.requires_grad_()
        names["y"] = module.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=module.float64)
        eval(code, names).backward()
        return x.grad.numpy()

    np.testing.assert_allclose(gradient(dt), gradient(torch), rtol=1e-12)


def test_a_sparse_leaf_gets_a_sparse_gradient(device: str) -> None:
    s = dt.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2), device=device)
    s.requires_grad_()
    w = dt.ones(2, 3, device=device)
    dt.sparse.mm(s, w).sum().backward()
    assert s.grad.is_sparse and s.grad.device.type == device
    assert s.grad.to_dense().tolist() == [[0, 3], [3, 0]]


def test_embedding_with_sparse_gradients_trains_like_the_dense_one(device: str) -> None:
    weights = []
    for sparse in (False, True):
        dt.manual_seed(0)
        table = dt.nn.Embedding(6, 3, sparse=sparse, padding_idx=2).to(device)
        optimizer = dt.optim.SGD(table.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            rows = dt.tensor([1, 1, 3, 2], device=device)
            (table(rows) ** 2).sum().backward()
            assert table.weight.grad.is_sparse is sparse
            optimizer.step()
        weights.append(table.weight.detach().cpu())
    dt.testing.assert_close(*weights)


def test_products_agree_with_dense_ones(device: str) -> None:
    rng = np.random.default_rng(0)
    for m, k, n in itertools.product((1, 4), (0, 3), (1, 5)):
        a = rng.standard_normal((m, k)) * (rng.random((m, k)) < 0.4)
        b = rng.standard_normal((k, n)) * (rng.random((k, n)) < 0.4)
        left = dt.tensor(a.tolist(), dtype=dt.float64, device=device).reshape(m, k)
        right = dt.tensor(b.tolist(), dtype=dt.float64, device=device).reshape(k, n)
        for layout in (dt.sparse_coo, dt.sparse_csr):
            first = left.to_sparse(layout=layout)
            for second in (right, right.to_sparse(layout=layout)):
                made = dt.mm(first, second).to_dense().cpu().numpy()
                np.testing.assert_allclose(made, a @ b)


def test_operators_without_sparse_kernels_say_so() -> None:
    s = dt.eye(2).to_sparse()
    with pytest.raises(NotImplementedError, match=r"aten::sigmoid.*SparseCPU"):
        dt.sigmoid(s)
    with pytest.raises(NotImplementedError, match="aten::_nnz"):
        dt.eye(2)._nnz()

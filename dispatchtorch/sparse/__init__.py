"""``torch.sparse``: functions on sparse tensors.

Follows https://docs.pytorch.org/docs/stable/sparse.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dispatchtorch as torch
from dispatchtorch.sparse._checks import check_sparse_tensor_invariants
from dispatchtorch.tensor import Tensor

__all__ = [
    "addmm",
    "as_sparse_gradcheck",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "spsolve",
    "sum",
]


def addmm(
    mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0
) -> Tensor:
    """``beta * mat + alpha * (mat1 @ mat2)`` with a sparse ``mat1``."""
    return torch.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def mm(mat1: Tensor, mat2: Tensor, reduce: str = "sum") -> Tensor:
    """``mat1 @ mat2``; the gradient of a sparse factor has its positions."""
    if reduce == "sum":
        return torch.mm(mat1, mat2)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    source = mat1.to_sparse() if mat1.layout is not torch.sparse_coo else mat1
    source = source.coalesce()
    row, column = source.indices()
    terms = source.values().unsqueeze(1) * mat2.index_select(0, column)
    out = torch.zeros(
        mat1.shape[0], mat2.shape[1], dtype=terms.dtype, device=terms.device
    )
    where = row.unsqueeze(1).expand(terms.shape)
    return out.scatter_reduce(0, where, terms, reduce, include_self=False)


def sum(
    input: Tensor, dim: int | Sequence[int] | None = None, dtype: Any = None
) -> Tensor:
    """The sum over dims of a COO tensor; sparse if sparse dims remain.

    ``input`` may be CSR where ``dim`` is None.
    """
    if not input.is_sparse:
        if dim is None:
            return input.sum(dtype=dtype)
        return input.to_dense().sum(dim, dtype=dtype)
    listed = [dim] if isinstance(dim, int) else dim
    return _operators()._sparse_sum(input, listed, dtype)  # type: ignore[no-any-return]


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Softmax along ``dim`` among the specified elements; the others count as -inf."""
    source = input if dtype is None else input.to(dtype)
    return _operators()._sparse_softmax(source, dim, False)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of ``softmax``."""
    source = input if dtype is None else input.to(dtype)
    return _operators()._sparse_softmax(source, dim, True)  # type: ignore[no-any-return]


def sampled_addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` at the positions of a CSR ``input``."""
    if input.layout is not torch.sparse_csr:
        raise RuntimeError(
            f"Expected input to have sparse csr layout, but got {input.layout}"
        )
    product = (mat1 @ mat2).sparse_mask(input)
    return input * beta + product * alpha


def spdiags(
    diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None
) -> Tensor:
    """A sparse matrix of which the rows of ``diagonals`` are diagonals.

    Row i lies on the diagonal ``offsets[i]`` (0 the main one, positive above); its
    element j belongs to column j.
    """
    rows, columns = shape
    if diagonals.dim() == 1:
        diagonals = diagonals.unsqueeze(0)
    if offsets.dim() == 0:
        offsets = offsets.unsqueeze(0)
    if diagonals.dim() != 2:
        raise RuntimeError("Diagonals must be vector or matrix")
    if offsets.dim() != 1:
        raise RuntimeError("Offsets must be scalar or vector")
    if offsets.shape[0] != diagonals.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({diagonals.shape[0]}) does not match the number of "
            f"offsets ({offsets.shape[0]})"
        )
    if offsets.unique().shape[0] != offsets.shape[0]:
        raise RuntimeError("Offset tensor contains duplicate values")
    width = min(columns, diagonals.shape[1])
    column = torch.arange(width, device=diagonals.device).expand(
        offsets.shape[0], width
    )
    row = column - offsets.unsqueeze(1)
    valid = (row >= 0) & (row < rows)
    made = torch.sparse_coo_tensor(
        torch.stack([row[valid], column[valid]]),
        diagonals[:, :width][valid],
        (rows, columns),
    )
    if layout in (None, torch.sparse_coo):
        return made
    if layout not in (torch.sparse_csr, torch.sparse_csc):
        raise RuntimeError(
            f"Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got {layout}"
        )
    return made.to_sparse(layout=layout)


def spsolve(input: Tensor, other: Tensor, *, left: bool = True) -> Tensor:
    """The solution of ``input @ x = other`` for a square CSR ``input`` (by SciPy)."""
    try:
        from scipy.sparse import csr_matrix
        from scipy.sparse.linalg import spsolve as solve
    except ImportError:
        raise NotImplementedError(
            "torch.sparse.spsolve needs SciPy: pip install scipy"
        ) from None
    if not left:
        return spsolve(input.t().to_sparse_csr(), other.t()).t()
    host = [
        t.detach().cpu().numpy()
        for t in (input.values(), input.col_indices(), input.crow_indices())
    ]
    found = solve(
        csr_matrix(tuple(host), shape=tuple(input.shape)), other.detach().cpu().numpy()
    )
    return torch.as_tensor(found, dtype=other.dtype).to(other.device)


def as_sparse_gradcheck(gradcheck: Any) -> Any:
    """``gradcheck`` for functions of sparse tensors: they are checked by their values."""
    import functools

    @functools.wraps(gradcheck)
    def check(func: Any, inputs: Any, **options: Any) -> Any:
        masked = options.pop("masked", False)
        given = inputs if isinstance(inputs, tuple | list) else (inputs,)
        plain: list[Any] = []
        rebuild: list[tuple[int, Tensor]] = []
        for t in given:
            if isinstance(t, Tensor) and t.layout is not torch.strided:
                rebuild.append((len(plain), t))
                source = t.detach().coalesce() if t.is_sparse else t.detach()
                plain.append(
                    (source.values() if masked else source.to_dense())
                    .clone()
                    .requires_grad_(t.requires_grad)
                )
            else:
                plain.append(t)

        def run(*args: Any) -> Any:
            full = list(args)
            for at, t in rebuild:
                if masked:
                    source = t.detach().coalesce() if t.is_sparse else t.detach()
                    full[at] = _operators()._sparse_with_values(source, full[at])
                else:
                    full[at] = full[at].to_sparse(layout=t.layout)
            made = func(*full)
            one = isinstance(made, Tensor)
            dense = [
                m.to_dense() if isinstance(m, Tensor) else m
                for m in ([made] if one else made)
            ]
            return dense[0] if one else tuple(dense)

        return gradcheck(run, tuple(plain), **options)

    return check


def _operators() -> Any:
    from dispatchtorch.ops._common import torch as operators

    return operators

"""A few of the largest or smallest eigenvalues of a large symmetric matrix.

LOBPCG: Knyazev, "Toward the optimal preconditioned eigensolver" (2001), with the bases
made orthonormal as by Duersch et al., "A robust and efficient implementation of LOBPCG"
(2018). Only products with the matrices are taken.
"""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch

__all__ = ["LOBPCG", "lobpcg"]

_EPS = {torch.float32: 1.2e-7, torch.float64: 2.23e-16}


def _product(matrix: Any, x: Any) -> Any:
    return x if matrix is None else matrix @ x


class LOBPCG:
    """The state of one run; a ``tracker`` is called with it after each iteration.

    ``E`` and ``X`` are the eigenpairs so far, ``R`` the residuals, ``S`` the subspace;
    ``ivars``, ``fvars``, ``bvars`` and ``tvars`` what was counted and measured.
    """

    def __init__(
        self,
        A: Any,
        B: Any,
        X: Any,
        iK: Any,
        iparams: dict[str, int],
        fparams: dict[str, float],
        bparams: dict[str, bool],
        method: str,
        tracker: Any,
    ) -> None:
        self.A, self.B, self.iK = A, B, iK
        self.iparams, self.fparams, self.bparams = iparams, fparams, bparams
        self.method, self.tracker = method, tracker
        self.X = X
        m, n = iparams["m"], iparams["n"]
        self.E = A.new_zeros((n,))
        self.R = A.new_zeros((m, n))
        self.S = A.new_zeros((m, 3 * n))
        self.tvars: dict[str, Any] = {}
        self.ivars = {"istep": 0, "iterations_left": iparams["niter"]}
        self.fvars: dict[str, float] = {}
        self.bvars: dict[str, bool] = {}

    def run(self) -> None:
        """Iterates until all pairs have converged or no iterations are left."""
        size = torch.linalg.matrix_norm
        self.fvars["X_norm"] = float(size(self.X))
        self.fvars["A_norm"] = float(size(self.A @ self.X)) / self.fvars["X_norm"]
        moved = _product(self.B, self.X)
        self.fvars["B_norm"] = float(size(moved)) / self.fvars["X_norm"]
        n = self.iparams["n"]
        basis = self._orthonormal(self.X)
        self.E, turn = self._ritz(basis)
        self.X = basis @ turn
        direction = None
        while not self._converged():
            own = [self.X, _product(self.iK, self.R)]
            if direction is not None:
                own.append(direction)
            self.S = basis = self._orthonormal(torch.cat(own, -1))
            values, turn = self._ritz(basis)
            self.E, turn = values[:n], turn[:, :n]
            before = self.X
            self.X = basis @ turn
            # The next direction: what the step added to the old vectors.
            direction = self.X - before @ (before.mH @ _product(self.B, self.X))

    def _converged(self) -> bool:
        moved = _product(self.B, self.X)
        self.R = self.A @ self.X - moved * self.E
        bound = self.fvars["A_norm"] + self.E.abs() * self.fvars["B_norm"]
        norm = torch.linalg.vector_norm
        self.tvars["rerr"] = norm(self.R, 2, 0) / (norm(self.X, 2, 0) * bound)
        reached = (self.tvars["rerr"] <= self.fparams["tol"]).tolist()
        count = reached.index(False) if False in reached else len(reached)
        self.ivars["converged_count"] = count
        k, limit = self.iparams["k"], self.iparams["niter"]
        done = count >= k or self.ivars["istep"] >= limit >= 0
        if self.ivars["istep"] and self.tracker is not None:
            self.tracker(self)
        if not done:
            self.ivars["istep"] += 1
            self.ivars["iterations_left"] = limit - self.ivars["istep"]
        return done

    def _orthonormal(self, basis: Any) -> Any:
        """A basis of the same span with Sᴴ B S = I, less what is nearly dependent."""
        for _ in range(2):  # twice is enough
            scale = torch.linalg.vector_norm(basis, 2, 0)
            basis = basis[:, scale > 0] / scale[scale > 0]
            values, vectors = torch.linalg.eigh(basis.mH @ _product(self.B, basis))
            floor = values.amax() * _EPS[basis.dtype] * max(basis.shape[-1], 10)
            keep = values > floor
            basis = basis @ (vectors[:, keep] / values[keep].sqrt())
        return basis

    def _ritz(self, basis: Any) -> tuple[Any, Any]:
        """The eigenpairs of A within a subspace, those sought first."""
        inner = basis.mH @ (self.A @ basis)
        values, vectors = torch.linalg.eigh(0.5 * (inner + inner.mH))
        if self.bparams["largest"]:
            values, vectors = values.flip(-1), vectors.flip(-1)
        n = self.iparams["n"]
        return values[:n], vectors[:, :n]


class _Differentiable(torch.autograd.Function):
    """The eigenpairs, whose gradient needs the rest of the spectrum only implicitly."""

    @staticmethod
    def forward(ctx: Any, A: Any, options: dict[str, Any]) -> Any:
        values, vectors = _search(A, **options)
        ctx.save_for_backward(A, values, vectors)
        ctx.plain = options["B"] is None
        return values, vectors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not ctx.plain:
            raise ValueError(
                "lobpcg.backward does not support backward with B != I yet."
            )
        A, values, vectors = ctx.saved_tensors
        made = _gradient(A, values, vectors, *grads)
        return 0.5 * (made + made.mH), None


def _gradient(A: Any, values: Any, vectors: Any, grad_l: Any, grad_v: Any) -> Any:
    k = values.shape[-1]
    made = (vectors * grad_l.unsqueeze(-2)) @ vectors.mH
    eye = torch.eye(k, dtype=A.dtype, device=A.device)
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1) + eye
    own = vectors.mH @ grad_v
    inner = own / gaps * (1 - eye)
    made = made + vectors @ inner @ vectors.mH
    # The other eigenvectors take part through a system for each column, in which the
    # known eigenvectors are given the eigenvalue 1 so that it is regular.
    outside = grad_v - vectors @ own
    whole = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    columns = []
    for i in range(k):
        value = values[..., i : i + 1].unsqueeze(-1)
        shift = (values - values[..., i : i + 1] + 1).unsqueeze(-2)
        system = value * whole - A + (vectors * shift) @ vectors.mH
        columns.append(torch.linalg.solve(system, outside[..., i : i + 1]))
    return made + torch.cat(columns, -1) @ vectors.mH


def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: dict[str, int] | None = None,
    ortho_fparams: dict[str, float] | None = None,
    ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Any, Any]:
    """The ``k`` largest (or smallest) eigenpairs of ``A x = λ B x``.

    ``A (…, m, m)`` and ``B`` are symmetric, ``B`` positive definite; ``X (…, m, n)`` is a
    first guess and ``iK`` a preconditioner. Returns eigenvalues ``(…, k)`` and vectors
    ``(…, m, k)``. ValueError unless ``m >= 3 n``. The ``ortho_*`` limits of PyTorch are
    taken and shown to the tracker, as is ``method``: the bases here are orthonormal either
    way.
    """
    assert A.shape[-2] == A.shape[-1], f"A must be square, got shape {A.shape}"
    if B is not None:
        assert A.shape == B.shape, (
            f"A and B must have same shape, got {A.shape} vs {B.shape}"
        )
    options = {
        "k": k, "B": B, "X": X, "n": n, "iK": iK, "niter": niter, "tol": tol,
        "largest": largest, "method": method, "tracker": tracker,
        "ortho": (ortho_iparams, ortho_fparams, ortho_bparams),
    }  # fmt: skip
    needed = A.requires_grad or (B is not None and B.requires_grad)
    if torch.is_grad_enabled() and needed:
        if B is not None and B.requires_grad:
            raise ValueError(
                "lobpcg.backward does not support backward with B != I yet."
            )
        symmetric = 0.5 * (A + A.mT)
        return _Differentiable.apply(symmetric, options)  # type: ignore[no-any-return]
    with torch.no_grad():
        return _search(A, **options)


def _search(A: Any, *, k: Any, B: Any, X: Any, n: Any, **rest: Any) -> tuple[Any, Any]:
    m = A.shape[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if n is None else n) if X is None else X.shape[-1]
    if m < 3 * n:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is "
            f"smaller than 3 x the number of requested eigenpairs (={n})"
        )
    if A.dtype not in _EPS:
        raise NotImplementedError(
            f"lobpcg takes float32 and float64 matrices, not {A.dtype}"
        )
    batch = A.shape[:-2]
    if X is None:
        X = torch.randn((*batch, m, n), dtype=A.dtype, device=A.device)
    else:
        assert X.shape == (*batch, m, n), (
            f"X shape mismatch: got {X.shape}, expected {(*batch, m, n)}"
        )
    if not batch:
        return _one(A, B, X, k, **rest)
    flat: list[Any] = [
        None if t is None else t.reshape((-1, *t.shape[-2:])) for t in (A, B, X)
    ]
    made = [
        _one(flat[0][i], None if B is None else flat[1][i], flat[2][i], k, **rest)
        for i in range(flat[0].shape[0])
    ]
    values = torch.stack([e for e, _ in made]).reshape((*batch, k))
    vectors = torch.stack([x for _, x in made]).reshape((*batch, m, k))
    return values, vectors


def _one(
    A: Any,
    B: Any,
    X: Any,
    k: int,
    *,
    iK: Any,
    niter: Any,
    tol: Any,
    largest: Any,
    method: Any,
    tracker: Any,
    ortho: Any,
) -> tuple[Any, Any]:
    limits, tolerances, switches = (each or {} for each in ortho)
    small = _EPS[A.dtype] ** 0.5
    m, n = X.shape
    worker = LOBPCG(
        A, B, X, iK,
        {"m": m, "n": n, "k": k, "niter": 1000 if niter is None else niter, **limits},
        {"tol": small if tol is None else tol, **tolerances},
        {"largest": True if largest is None else largest, **switches},
        "ortho" if method is None else method,
        tracker,
    )  # fmt: skip
    worker.run()
    return worker.E[:k], worker.X[:, :k]

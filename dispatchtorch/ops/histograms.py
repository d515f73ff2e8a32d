"""Counting, quantiles, differences and integrals along a dim, covariance."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import torch, wrap_dim

__all__: list[str] = []


@operator(
    "bincount(Tensor self, Tensor? weights=None, int minlength=0) -> Tensor",
    tags="nondifferentiable",
)
def bincount(self, weights=None, minlength=0):
    """How often each number from 0 on appears, or the sum of its weights."""
    if self.ndim != 1 or self.dtype.category > dtypes.INT:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights._shape != self._shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    size = minlength
    if self.numel():
        if int(self.min()) < 0:
            raise RuntimeError(
                "bincount only supports 1-d non-negative integral inputs."
            )
        size = max(size, int(self.max()) + 1)
    kind = dtypes.int64
    if weights is not None:
        kind = weights.dtype if weights.dtype is dtypes.float32 else dtypes.float64
    zeros = torch.zeros(size, dtype=kind, device=self.device)
    ones = torch.ones(self._shape, dtype=kind, device=self.device)
    add = ones if weights is None else weights.detach().to(kind)
    return zeros.scatter_add(0, self.to(dtypes.int64), add)


@operator(
    "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
    tags="out nondifferentiable",
)
def histc(self, bins=100, min=0, max=0):
    """How many elements fall in each of ``bins`` equal parts of a range."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    flat = self.detach().reshape(-1)
    low, high = float(min), float(max)
    if low == high and flat.numel():
        low, high = float(flat.min()), float(flat.max())
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("max must be larger than min")
    inside = flat[(flat >= low) & (flat <= high)]
    place = (
        ((inside - low) * (bins / (high - low))).to(dtypes.int64).clamp(max=bins - 1)
    )
    zeros = torch.zeros(bins, dtype=self.dtype, device=self.device)
    return zeros.scatter_add(0, place, torch.ones_like(inside))


def _quantile(self: Any, q: Any, dim: Any, keepdim: bool, how: str, name: str) -> Any:
    if how not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or "
            f"nearest, but got {how}"
        )
    if not self.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if self.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"{name}() input tensor must be either float or double dtype"
        )
    if q.dtype is not self.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.numel() and not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    ndim = self.ndim
    if dim is None:
        x = self.reshape(-1)
    else:
        dim = wrap_dim(dim, ndim)
        x = self.reshape(1) if not ndim else self.movedim(dim, -1)
    n = x._shape[-1]
    ordered = x.sort(-1)[0]
    bad = x.isnan().sum(-1, True)
    ranks = q.reshape(-1)
    if name == "nanquantile":
        rank = ranks * (n - bad - 1).clamp(min=0).to(q.dtype)
    else:
        rank = (ranks * (n - 1)).expand((*x._shape[:-1], ranks._shape[0]))
        rank = torch.where(bad > 0, n - 1, rank)  # NaN stand last
    below = rank.floor()
    if how == "lower":
        rank = below
    elif how == "higher":
        rank = rank.ceil()
    elif how == "nearest":
        rank = rank.round()
    low = rank.floor().to(dtypes.int64)
    high = rank.ceil().to(dtypes.int64)
    made = ordered.gather(-1, low)
    if how in ("linear", "midpoint"):
        part = rank - rank.floor()
        if how == "midpoint":
            part = torch.where(part > 0, torch.full_like(part, 0.5), part)
        made = made.lerp(ordered.gather(-1, high), part)
    made = made.movedim(-1, 0)  # ranks first
    if keepdim:
        made = (
            made.reshape((-1, *(1,) * ndim))
            if dim is None
            else (made.unsqueeze(dim + 1) if ndim else made)
        )
    return made if q.ndim else made.squeeze(0)


def _declare(name: str) -> None:
    def tensor(self, q, dim, keepdim, *, interpolation):  # type: ignore[no-untyped-def]
        return _quantile(self, q, dim, keepdim, interpolation, name)

    def scalar(self, q, dim, keepdim, *, interpolation):  # type: ignore[no-untyped-def]
        if not 0 <= q <= 1:
            raise RuntimeError(
                f"quantile() q must be in the range [0, 1] but got {q:g}"
            )
        rank = torch.full((), q, dtype=self.dtype, device=self.device)
        return _quantile(self, rank, dim, keepdim, interpolation, name)

    tensor.__doc__ = scalar.__doc__ = "The q-th quantiles, of all elements or of a dim."
    rest = "int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor"
    operator(f"{name}(Tensor self, Tensor q, {rest}", tags="out")(tensor)
    operator(f"{name}.scalar(Tensor self, float q, {rest}", tags="out")(scalar)


_declare("quantile")
_declare("nanquantile")


@operator(
    "diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, "
    "Tensor? append=None) -> Tensor",
    tags="out",
)
def diff(self, n=1, dim=-1, prepend=None, append=None):
    """The n-th differences along a dim."""
    if self.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, self.ndim)
    parts = [p for p in (prepend, self, append) if p is not None]
    made = torch.cat(parts, dim) if len(parts) > 1 else self
    for _ in range(min(n, made._shape[dim])):
        size = made._shape[dim] - 1
        late, early = made.narrow(dim, 1, size), made.narrow(dim, 0, size)
        made = late.logical_xor(early) if made.dtype is dtypes.bool else late - early
    return made


def _trapezoids(y: Any, dim: int, dx: Any, cumulative: bool) -> Any:
    n = y._shape[dim] - 1
    if n < 0:
        n = 0
    pair = (y.narrow(dim, 1, n) + y.narrow(dim, 0, n)) * dx
    return (pair.cumsum(dim) if cumulative else pair.sum(dim)) / 2


def _integral(name: str, cumulative: bool) -> None:
    def spaced(y, x, *, dim):  # type: ignore[no-untyped-def]
        dim = wrap_dim(dim, y.ndim)
        if x.ndim == 1 and y.ndim > 1:
            x = x.reshape([-1 if d == dim else 1 for d in range(y.ndim)])
            return _trapezoids(y, dim, x.diff(1, dim), cumulative)
        return _trapezoids(y, dim, x.diff(1, dim - y.ndim), cumulative)

    def even(y, *, dx, dim):  # type: ignore[no-untyped-def]
        return _trapezoids(y, wrap_dim(dim, y.ndim), dx, cumulative)

    spaced.__doc__ = even.__doc__ = "The integral along a dim by the trapezoidal rule."
    operator(
        f"{name}.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", variants="function"
    )(spaced)
    operator(
        f"{name}.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor",
        variants="function",
    )(even)


_integral("trapezoid", False)
_integral("trapz", False)
_integral("cumulative_trapezoid", True)


@operator(
    "vander(Tensor x, int? N=None, bool increasing=False) -> Tensor",
    variants="function",
)
def vander(x, N=None, increasing=False):
    """The Vandermonde matrix: powers of a vector's elements."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x._shape[0] if N is None else N
    powers = torch.arange(n, device=x.device)
    made = x.unsqueeze(-1).pow(powers)
    return made if increasing else made.flip(1)


@operator(
    "cov(Tensor self, *, int correction=1, Tensor? fweights=None, "
    "Tensor? aweights=None) -> Tensor"
)
def cov(self, *, correction, fweights, aweights):
    """The covariance matrix of variables (rows) over observations (columns)."""
    if self.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{self.ndim} dimensions"
        )
    x = self.reshape((1, -1)) if self.ndim < 2 else self
    if x.dtype.category <= dtypes.INT:
        x = x.to(dtypes.get_default_dtype())
    w = fweights
    if aweights is not None:
        w = aweights if w is None else w * aweights
    if w is None:
        norm: Any = x._shape[1] - correction
        mean = x.mean(1, True)
    else:
        total = w.sum()
        mean = (x * w).sum(1, True) / total
        if aweights is None or not correction:
            norm = total - correction
        else:
            norm = total - correction * (w * aweights).sum() / total
        norm = norm.clamp(min=0)
    centred = x - mean
    weighted = centred if w is None else centred * w
    made = weighted.mm(centred.t().conj()) / (max(norm, 0) if w is None else norm)
    return made.squeeze()


@operator("corrcoef(Tensor self) -> Tensor")
def corrcoef(self):
    """The matrix of Pearson's correlation coefficients of variables (rows)."""
    if self.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input "
            f"with {self.ndim} dimensions"
        )
    made = self.cov()
    if made.ndim == 0:
        return made / made
    spread = made.diagonal().sqrt()
    made = made / spread.unsqueeze(1) / spread.unsqueeze(0)
    return made if made.is_complex() else made.clamp(-1, 1)

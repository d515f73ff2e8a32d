"""Quantiles, differences, gradients and integrals along a dim, covariance."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import (
    refuse,
    scalar_type_name,
    torch,
    wrap_dim,
    wrap_dims,
)

__all__: list[str] = []


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
        halves = how == "midpoint"
        part = torch.full_like(rank, 0.5) if halves else rank - rank.floor()
        made = made.lerp(ordered.gather(-1, high), part)
    if keepdim and dim is not None and ndim:
        made = made.unsqueeze(dim)
    made = made.movedim(-1, 0)  # ranks first
    if keepdim and dim is None:
        made = made.reshape((-1, *(1,) * ndim))
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
    operator(f"{name}(Tensor self, Tensor q, {rest}", tags="out fresh")(tensor)
    operator(f"{name}.scalar(Tensor self, float q, {rest}", tags="out fresh")(scalar)


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
    if n == 0:
        made = torch.zeros_like(self)
        return made.copy_(self)
    dim = wrap_dim(dim, self.ndim)
    parts = [p for p in (prepend, self, append) if p is not None]
    made = torch.cat(parts, dim) if len(parts) > 1 else self
    for _ in range(min(n, made._shape[dim])):
        size = made._shape[dim] - 1
        late, early = made.narrow(dim, 1, size), made.narrow(dim, 0, size)
        made = late.logical_xor(early) if made.dtype is dtypes.bool else late - early
    return made


@operator(
    "gradient(Tensor self, *, Any spacing=None, Any dim=None, int edge_order=1) -> Any"
)
def gradient(self, *, spacing, dim, edge_order):
    """Numerical derivatives along dims, by central differences of second order."""
    dims = _gradient_dims(self, dim)
    steps = _spacings(self, spacing, dim, len(dims))
    if edge_order not in (1, 2):
        raise RuntimeError(
            "torch.gradient only supports edge_order=1 and edge_order=2."
        )
    for d in dims:
        if self._shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    if self.dtype is dtypes.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    if self.dtype.category == dtypes.INT:
        self = self.to(dtypes.get_default_dtype())
    return tuple(
        [
            _derivative(self, step, d, edge_order)
            for step, d in zip(steps, dims, strict=True)
        ]
    )


def _gradient_dims(self: Any, dim: Any) -> tuple[int, ...]:
    return tuple(range(self.ndim)) if dim is None else wrap_dims(dim, self.ndim)


def _spacings(self: Any, spacing: Any, dim: Any, count: int) -> list[Any]:
    """The distance of points, or their places, for each dim."""
    if spacing is None:
        return [1] * count
    if not isinstance(spacing, list | tuple):
        return [spacing.item() if hasattr(spacing, "_keys") else spacing] * count
    if len(spacing) != count:
        if dim is None:
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar, or a list "
                f"of length equal to 'self.dim() = {self.ndim}', since dim argument was "
                f"not given, but got a list of length {len(spacing)}"
            )
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing "
            "and dim arguments to have the same length, but got a spacing argument of "
            f"length {len(spacing)} and a dim argument of length {count}."
        )
    return list(spacing)


def _derivative(x: Any, step: Any, dim: int, edge_order: int) -> Any:
    n = x._shape[dim]
    if hasattr(step, "_keys") and step.ndim:
        shape = [1] * x.ndim
        shape[dim] = -1
        gaps = step.diff().reshape(shape)
    else:
        shape = [1] * x.ndim
        shape[dim] = n - 1
        number = step.item() if hasattr(step, "_keys") else step
        gaps = torch.full(shape, number, dtype=x.dtype, device=x.device)

    def at(t: Any, start: int, size: int = 1) -> Any:
        return t.narrow(dim, start, size)

    slopes = (at(x, 1, n - 1) - at(x, 0, n - 1)) / gaps
    left, right = at(gaps, 0, n - 2), at(gaps, 1, n - 2)
    inner = at(slopes, 0, n - 2) * right + at(slopes, 1, n - 2) * left
    first, last = at(slopes, 0), at(slopes, n - 2)
    if edge_order == 2:
        # The slope of the parabola through the three outermost points.
        bend = (at(slopes, 1) - first) * at(gaps, 0)
        first = first - bend / (at(gaps, 0) + at(gaps, 1))
        bend = (last - at(slopes, n - 3)) * at(gaps, n - 2)
        last = last + bend / (at(gaps, n - 2) + at(gaps, n - 3))
    return torch.cat([first, inner / (left + right), last], dim)


def _trapezoids(y: Any, dim: int, dx: Any, cumulative: bool) -> Any:
    name = "cumulative_trapezoid" if cumulative else "trapezoid"
    text = f"{name}: received a bool input for `y`, but bool is not supported"
    refuse(y, text, dtypes.BOOL)
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
    refuse(self, "cov(): bool dtype is not supported for input", dtypes.BOOL)
    x = self.reshape((1, -1)) if self.ndim < 2 else self
    _check_weights(x._shape[1], fweights, aweights)
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


def _check_weights(count: int, fweights: Any, aweights: Any) -> None:
    for name, w, kind in (
        ("fweights", fweights, "integral"),
        ("aweights", aweights, "floating point"),
    ):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} "
                f"with {w.ndim} dimensions"
            )
        if (w.dtype.category == dtypes.INT) is not (kind == "integral"):
            raise RuntimeError(
                f"cov(): expected {name} to have {kind} dtype but got {name} with "
                f"{scalar_type_name(w.dtype)} dtype"
            )
        if w.numel() != count:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations "
                f"in the input but got {w.numel()} != {count}"
            )
        if count and bool((w.detach() < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")


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

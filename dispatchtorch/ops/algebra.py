"""Products over chosen dims: tensordot, fused sums of products, distances."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import (
    as_ints,
    conj,
    numel_of,
    refuse,
    scalar_type_name,
    torch,
    wrap_dim,
    wrap_dims,
)
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch.ops.linalg import _cpp, scaled, scaled_product, scaled_sum
from dispatchtorch.ops.statistics import norm_backward

__all__: list[str] = []


@operator(
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def baddbmm(self, batch1, batch2, *, beta, alpha):
    """``beta * self + alpha * (batch1 @ batch2)``."""
    for t, dim in ((batch1, 0), (batch1, 1), (batch2, 2)):
        wrap_dim(dim, t.ndim, wrap_scalar=False)
    x, y = batch1._shape, batch2._shape
    if batch1.ndim == 3 and batch2.ndim == 3:
        self = self.expand((x[0], x[1], y[2]))
    else:
        self = self.expand((y[0], x[-2], y[-1]))
    if self.dtype is not batch1.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {_cpp(self)}, batch1: "
            f"{_cpp(batch1)}, batch2: {_cpp(batch2)}"
        )
    if batch1.dtype is batch2.dtype is dtypes.bool:
        raise NotImplementedError("\"baddbmm\" not implemented for 'Bool'")
    return scaled_product(self, torch.bmm, batch1, batch2, beta, alpha)


derive(
    baddbmm,
    self=lambda grad, beta: scaled(grad, beta),
    batch1=lambda grad, batch2, alpha: scaled(
        grad.bmm(conj(batch2.transpose(1, 2))), alpha
    ),
    batch2=lambda grad, batch1, alpha: scaled(
        conj(batch1.transpose(1, 2)).bmm(grad), alpha
    ),
)


@operator(
    "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def addbmm(self, batch1, batch2, *, beta, alpha):
    """``beta * self + alpha * (batch1 @ batch2).sum(0)``."""
    for t, dim in ((batch1, 1), (batch2, 2)):
        wrap_dim(dim, t.ndim, wrap_scalar=False)
    for t, label in ((batch1, "batch1"), (batch2, "batch2")):
        if t.ndim != 3:
            raise RuntimeError(f"{label} must be a 3D tensor")
    x, y = batch1._shape, batch2._shape
    if x[0] != y[0]:
        raise RuntimeError(
            f"batch1 and batch2 must have same number of batches, got {x[0]} and {y[0]}"
        )
    if x[2] != y[1]:
        raise RuntimeError(
            f"Incompatible matrix sizes for bmm ({x[1]}x{x[2]} and {y[1]}x{y[2]})"
        )
    self = self.expand((x[1], y[2]))
    for label, t in (("self", self), ("mat1", batch1)):
        if t.dtype is not batch2.dtype:
            raise RuntimeError(
                f"{label} and mat2 must have the same dtype, but got "
                f"{scalar_type_name(t.dtype)} and {scalar_type_name(batch2.dtype)}"
            )

    def multiply(a: Any, b: Any) -> Any:
        return a.bmm(b).sum(0, dtype=a.dtype)

    return scaled_product(self, multiply, batch1, batch2, beta, alpha)


derive(
    addbmm,
    self=lambda grad, beta: scaled(grad, beta),
    batch1=lambda grad, batch1_sizes, batch2, alpha: scaled(
        grad.unsqueeze(0)
        .expand((batch1_sizes[0], *grad._shape))
        .bmm(conj(batch2.transpose(1, 2))),
        alpha,
    ),
    batch2=lambda grad, batch1, batch2_sizes, alpha: scaled(
        conj(batch1.transpose(1, 2)).bmm(
            grad.unsqueeze(0).expand((batch2_sizes[0], *grad._shape))
        ),
        alpha,
    ),
)


@operator(
    "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def addmv(self, mat, vec, *, beta, alpha):
    """``beta * self + alpha * (mat @ vec)``."""
    if mat.ndim != 2 or vec.ndim != 1 or self.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {self.ndim}, {mat.ndim}, {vec.ndim}"
        )
    rows, columns = mat._shape
    if columns != vec._shape[0] or self.numel() not in (1, rows):
        raise RuntimeError(
            f"size mismatch, got input ({self.numel()}), mat ({rows}x{columns}), vec "
            f"({vec._shape[0]})"
        )
    if not self.dtype is mat.dtype is vec.dtype:
        own, matrix, vector = (scalar_type_name(t.dtype) for t in (self, mat, vec))
        raise RuntimeError(
            "addmv input tensors must have the same dtype, but got "
            f"{own}, {matrix}, and {vector}"
        )
    return scaled_product(self, torch.mv, mat, vec, beta, alpha)


derive(
    addmv,
    self=lambda grad, beta: scaled(grad, beta),
    mat=lambda grad, vec, alpha: scaled(grad.outer(conj(vec)), alpha),
    vec=lambda grad, mat, alpha: scaled(conj(mat.t()).mv(grad), alpha),
)


@operator(
    "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def addr(self, vec1, vec2, *, beta, alpha):
    """``beta * self + alpha * outer(vec1, vec2)``."""
    for t, label in ((vec1, "vec1"), (vec2, "vec2")):
        if t.ndim != 1:
            raise RuntimeError(
                f"addr: Expected 1-D argument {label}, but got {t.ndim}-D"
            )
    self = self.expand((vec1._shape[0], vec2._shape[0]))
    product = vec1.outer(vec2)
    kind = dtypes.promote_types(self.dtype, product.dtype)
    for scale, label in ((beta, "beta"), (alpha, "alpha")):
        if type(scale) is bool and kind is not dtypes.bool:
            raise RuntimeError(f"Boolean {label} only supported for Boolean results.")
        if kind.category <= dtypes.INT and isinstance(scale, float):
            raise RuntimeError(
                f"For integral input tensors, argument {label} must not be a floating "
                "point number."
            )
    if kind is dtypes.bool:
        product = product & bool(alpha)
        return product if not beta else product | self
    made = scaled_sum(self.to(kind), product.to(kind), beta, alpha)
    order = inferred_strides(made._shape, self.stride())
    return (
        made
        if order is None
        else torch.empty_strided(
            made._shape, order, dtype=kind, device=made.device
        ).copy_(made)
    )


derive(
    addr,
    self=lambda grad, beta: scaled(grad, beta),
    vec1=lambda grad, vec2, alpha: scaled(grad.mv(conj(vec2)), alpha),
    vec2=lambda grad, vec1, alpha: scaled(grad.t().mv(conj(vec1)), alpha),
)


@operator(
    "_addmm_activation(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar "
    "alpha=1, bool use_gelu=False) -> Tensor",
    tags="out",
)
def _addmm_activation(self, mat1, mat2, *, beta, alpha, use_gelu):
    """``relu(addmm(...))``, or with gelu."""
    made = torch.addmm(self, mat1, mat2, beta=beta, alpha=alpha)
    return torch.gelu(made) if use_gelu else made.relu()


@operator("ger(Tensor self, Tensor vec2) -> Tensor", tags="out")
def ger(self, vec2):
    """All products of the elements of two vectors."""
    return self.outer(vec2)


@operator("vdot(Tensor self, Tensor other) -> Tensor", tags="out")
def vdot(self, other):
    """The dot product of a vector's conjugate and a vector."""
    return conj(self).dot(other)


derive(
    vdot,
    self=lambda grad, other: conj(grad) * other,
    other=lambda grad, self: grad * self,
)


@operator("inner(Tensor self, Tensor other) -> Tensor", tags="out")
def inner(self, other):
    """Sums of products over the last dims."""
    if self.ndim == 0 or other.ndim == 0:
        return self * other
    if self._shape[-1] != other._shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(self._shape)} and {list(other._shape)}"
        )
    return torch.tensordot(self, other, [-1], [-1])


@operator(
    "_tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> "
    "Tensor",
    variants="private",
)
def _tensordot(self, other, dims_self, dims_other):
    """Sums of products over pairs of dims, as one matrix product."""
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    if self.dtype is not other.dtype:
        raise RuntimeError("both inputs should have same dtype")
    a, b = wrap_dims(dims_self, self.ndim), wrap_dims(dims_other, other.ndim)
    kind = self.dtype
    for i, j, d, e in zip(a, b, dims_self, dims_other, strict=True):
        n, m = self._shape[i], other._shape[j]
        if n == m:
            continue
        if n == 1:
            other = other.sum(j, keepdim=True, dtype=kind)
        elif m == 1:
            self = self.sum(i, keepdim=True, dtype=kind)
        else:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {n} in dim {d} "
                f"and second has size {m} in dim {e}"
            )
    left = [d for d in range(self.ndim) if d not in a]
    right = [d for d in range(other.ndim) if d not in b]
    rows = [self._shape[d] for d in left]
    columns = [other._shape[d] for d in right]
    size = numel_of([self._shape[d] for d in a])
    x = self.permute([*left, *a]).reshape((numel_of(rows), size))
    y = other.permute([*b, *right]).reshape((size, numel_of(columns)))
    return x.mm(y).reshape((*rows, *columns))


@operator(
    "tensordot(Tensor self, Tensor other, Any dims=2, Any dims_other=None) -> Tensor",
    variants="function",
    tags="out",
)
def tensordot(self, other, dims=2, dims_other=None):
    """Sums of products over the last and first ``dims`` dims, or over pairs of dims."""
    if dims_other is not None:
        return torch._tensordot(self, other, as_ints(dims), as_ints(dims_other))
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, (list, tuple)):
        first, second = dims
        return torch._tensordot(self, other, as_ints(first), as_ints(second))
    if not isinstance(dims, int):
        raise RuntimeError(
            "tensordot expects dims to be int or tuple[list[int], list[int]] or "
            f"list[list[int]] containing two lists, but got dims={dims}"
        )
    if dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    if dims > min(self.ndim, other.ndim):
        raise RuntimeError(
            f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}"
        )
    return torch._tensordot(self, other, tuple(range(-dims, 0)), tuple(range(dims)))


@operator("kron(Tensor self, Tensor other) -> Tensor", tags="out fresh")
def kron(self, other):
    """The Kronecker product."""
    ndim = max(self.ndim, other.ndim)
    a = (1,) * (ndim - self.ndim) + self._shape
    b = (1,) * (ndim - other.ndim) + other._shape
    x = self.reshape([n for size in a for n in (size, 1)])
    y = other.reshape([n for size in b for n in (1, size)])
    made = x * y
    return torch._unsafe_view(made, [n * m for n, m in zip(a, b, strict=True)])


@operator(
    "linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor",
    tags="out",
    variants="private",
)
def linalg_cross(self, other, *, dim):
    """The cross product of vectors of three elements along a dim."""
    if self.ndim != other.ndim:
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions."
        )
    at = wrap_dim(dim, self.ndim)
    if self._shape[at] != 3 or other._shape[at] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{self._shape[at]} and {other._shape[at]}"
        )
    shape = broadcast_shapes([self._shape, other._shape])
    if self.dtype is not other.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type_name(self.dtype)} but found "
            f"{scalar_type_name(other.dtype)}"
        )
    a, b = self.expand(shape), other.expand(shape)
    made = a.roll(-1, at) * b.roll(-2, at) - a.roll(-2, at) * b.roll(-1, at)
    return made.contiguous()


derive(
    linalg_cross,
    self=lambda grad, other, dim: torch.linalg_cross(conj(other), grad, dim=dim),
    other=lambda grad, self, dim: torch.linalg_cross(grad, conj(self), dim=dim),
)


@operator("cross(Tensor self, Tensor other, int? dim=None) -> Tensor", tags="out")
def cross(self, other, dim=None):
    """The cross product along a dim (the first of size 3)."""
    if dim is None:
        dim = next((d for d, n in enumerate(self._shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return torch.linalg_cross(self, other, dim=dim)


_MODES = {
    None: 0,
    "use_mm_for_euclid_dist_if_necessary": 0,
    "use_mm_for_euclid_dist": 1,
    "donot_use_mm_for_euclid_dist": 2,
}


@operator(
    "cdist(Tensor x1, Tensor x2, float p=2., Any "
    "compute_mode='use_mm_for_euclid_dist_if_necessary') -> Tensor",
    variants="function",
)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The distances between all pairs of rows."""
    for name, each in (("X1", x1), ("X2", x2)):
        refuse(
            each,
            f"cdist only supports floating-point dtypes, {name} got: {{dtype}}",
            dtypes.BOOL,
            dtypes.INT,
            dtypes.COMPLEX,
        )
    if compute_mode not in tuple(_MODES):
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    mode = _MODES[compute_mode]
    for t, label in ((x1, "X1"), (x2, "X2")):
        if t.ndim < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, {label} got: {t.ndim}D"
            )
    if x1._shape[-1] != x2._shape[-1]:
        raise RuntimeError(
            "X1 and X2 must have the same number of columns. X1: "
            f"{x1._shape[-1]} X2: {x2._shape[-1]}"
        )
    made = torch._cdist_forward(x1, x2, p)
    rows, columns = x1._shape[-2], x2._shape[-2]
    large = rows > 25 or columns > 25
    if p == 2 and made.numel() and (mode == 1 or (mode == 0 and large)):
        return made.view(made._shape)  # where PyTorch takes a product, it views it
    return made


@operator("_cdist_forward(Tensor x1, Tensor x2, float p) -> Tensor", variants="private")
def _cdist_forward(x1, x2, p):
    """The distances between all pairs of rows, of floating-point tensors."""
    for t, label in ((x1, "X1"), (x2, "X2")):
        if not t.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {label} got: "
                f"{scalar_type_name(t.dtype)}"
            )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype is not x2.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type_name(x1.dtype)} but found "
            f"{scalar_type_name(x2.dtype)}"
        )
    if x1.dtype in (dtypes.float16, dtypes.bfloat16):
        raise NotImplementedError(
            f"\"cdist\" not implemented for '{scalar_type_name(x1.dtype)}'"
        )
    batch = broadcast_shapes([x1._shape[:-2], x2._shape[:-2]])
    if x1._shape[-1] == 0:
        return x1.new_zeros((*batch, x1._shape[-2], x2._shape[-2]))
    return torch.linalg_vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def _cdist_backward(
    grad: Any, x1: Any, x2: Any, result: Any, p: float, needs: Any
) -> Any:
    if p == 0 or not result.numel() or not x1.numel():
        return torch.zeros_like(x1), torch.zeros_like(x2)
    gaps = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    made = norm_backward(grad, gaps, result, p, -1, False)
    return made.sum(-2) if needs[0] else None, -made.sum(-3) if needs[1] else None


derive_joint(_cdist_forward, "x1 x2", _cdist_backward, name_="CdistBackward0")

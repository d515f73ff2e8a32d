"""Products over chosen dims: einsum, tensordot, fused sums of products, distances."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import as_ints, conj, numel_of, torch, wrap_dim

__all__: list[str] = []


def _scaled_sum(self: Any, product: Any, beta: Any, alpha: Any) -> Any:
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (self if beta == 1 else self * beta)


def _times(t: Any, scale: Any) -> Any:
    return t if scale == 1 else t * conj(scale)


@operator(
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def baddbmm(self, batch1, batch2, *, beta, alpha):
    """``beta * self + alpha * (batch1 @ batch2)``."""
    return _scaled_sum(self, batch1.bmm(batch2), beta, alpha)


derive(
    baddbmm,
    self=lambda grad, beta: _times(grad, beta),
    batch1=lambda grad, batch2, alpha: _times(
        grad.bmm(conj(batch2.transpose(1, 2))), alpha
    ),
    batch2=lambda grad, batch1, alpha: _times(
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
    return _scaled_sum(self, batch1.bmm(batch2).sum(0), beta, alpha)


derive(
    addbmm,
    self=lambda grad, beta: _times(grad, beta),
    batch1=lambda grad, batch1_sizes, batch2, alpha: _times(
        grad.unsqueeze(0)
        .expand((batch1_sizes[0], *grad._shape))
        .bmm(conj(batch2.transpose(1, 2))),
        alpha,
    ),
    batch2=lambda grad, batch1, batch2_sizes, alpha: _times(
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
    return _scaled_sum(self, mat.mv(vec), beta, alpha)


derive(
    addmv,
    self=lambda grad, beta: _times(grad, beta),
    mat=lambda grad, vec, alpha: _times(grad.outer(conj(vec)), alpha),
    vec=lambda grad, mat, alpha: _times(conj(mat.t()).mv(grad), alpha),
)


@operator(
    "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, "
    "Scalar alpha=1) -> Tensor",
    tags="out",
    inplace=True,
)
def addr(self, vec1, vec2, *, beta, alpha):
    """``beta * self + alpha * outer(vec1, vec2)``."""
    return _scaled_sum(self, vec1.outer(vec2), beta, alpha)


derive(
    addr,
    self=lambda grad, beta: _times(grad, beta),
    vec1=lambda grad, vec2, alpha: _times(grad.mv(conj(vec2)), alpha),
    vec2=lambda grad, vec1, alpha: _times(grad.t().mv(conj(vec1)), alpha),
)


@operator("ger(Tensor self, Tensor vec2) -> Tensor", tags="out")
def ger(self, vec2):
    """All products of the elements of two vectors."""
    return self.outer(vec2)


@operator("vdot(Tensor self, Tensor other) -> Tensor", tags="out")
def vdot(self, other):
    """The dot product of a vector's conjugate and a vector."""
    return conj(self).dot(other)


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
    variants="function",
)
def _tensordot(self, other, dims_self, dims_other):
    """Sums of products over pairs of dims, as one matrix product."""
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    if self.dtype is not other.dtype:
        raise RuntimeError("tensordot: both inputs should have same dtype")
    a = [wrap_dim(d, self.ndim) for d in dims_self]
    b = [wrap_dim(d, other.ndim) for d in dims_other]
    for i, j in zip(a, b, strict=True):
        n, m = self._shape[i], other._shape[j]
        if n == m:
            continue
        if n == 1:
            other = other.sum(j, keepdim=True)
        elif m == 1:
            self = self.sum(i, keepdim=True)
        else:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {n} in dim {i} "
                f"and second has size {m} in dim {j}"
            )
    left = [d for d in range(self.ndim) if d not in a]
    right = [d for d in range(other.ndim) if d not in b]
    rows = [self._shape[d] for d in left]
    columns = [other._shape[d] for d in right]
    size = numel_of([self._shape[d] for d in a])
    x = self.permute(left + a).reshape((numel_of(rows), size))
    y = other.permute(b + right).reshape((size, numel_of(columns)))
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
    if dims < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
    if dims > min(self.ndim, other.ndim):
        raise RuntimeError(
            f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}"
        )
    return torch._tensordot(self, other, tuple(range(-dims, 0)), tuple(range(dims)))


@operator("kron(Tensor self, Tensor other) -> Tensor", tags="out")
def kron(self, other):
    """The Kronecker product."""
    ndim = max(self.ndim, other.ndim)
    a = (1,) * (ndim - self.ndim) + self._shape
    b = (1,) * (ndim - other.ndim) + other._shape
    x = self.reshape([n for size in a for n in (size, 1)])
    y = other.reshape([n for size in b for n in (1, size)])
    return (x * y).reshape([n * m for n, m in zip(a, b, strict=True)])


@operator(
    "linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor",
    tags="out",
    variants="function",
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
    a, b = self.expand(shape), other.expand(shape)
    return a.roll(-1, at) * b.roll(-2, at) - a.roll(-2, at) * b.roll(-1, at)


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


@operator(
    "cdist(Tensor x1, Tensor x2, float p=2., Any compute_mode=None) -> Tensor",
    variants="function",
)
def cdist(x1, x2, p=2.0, compute_mode=None):
    """The distances between all pairs of rows."""
    if x1._shape[-1] != x2._shape[-1]:
        raise RuntimeError(
            "X1 and X2 must have the same number of columns. X1: "
            f"{x1._shape[-1]} X2: {x2._shape[-1]}"
        )
    return torch.linalg_vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


# Einstein's notation.


def _parse(equation: str, operands: Any) -> tuple[list[list[Any]], list[Any]]:
    """The labels of each operand's dims and of the result's; ints stand for ``...``."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            "einsum(): more operands were provided than specified in the equation"
            if len(terms) < len(operands)
            else "einsum(): fewer operands were provided than specified in the equation"
        )
    inputs = []
    for i, (term, t) in enumerate(zip(terms, operands, strict=True)):
        head, dots, tail = term.partition("...")
        for c in head + tail:
            if not c.isalpha():
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {text.index(c)} in the "
                    "equation string, subscripts must be in [a-zA-Z]"
                )
        extra = t.ndim - len(head) - len(tail)
        if extra < 0 or (extra > 0 and not dots):
            raise RuntimeError(
                "einsum(): the number of subscripts in the equation "
                f"({len(head) + len(tail)}) "
                f"{'is more than' if extra < 0 else 'does not match'} the number of "
                f"dimensions ({t.ndim}) for operand {i}"
                + ("" if extra < 0 or dots else " and no ellipsis was given")
            )
        inputs.append([*head, *range(-extra, 0), *tail])
    wide = max((-n for term in inputs for n in term if isinstance(n, int)), default=0)
    if arrow:
        head, dots, tail = right.partition("...")
        for c in head + tail:
            if (head + tail).count(c) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {c} appears more than once in the output"
                )
            if all(c not in term for term in inputs):
                raise RuntimeError(
                    f"einsum(): output subscript {c} does not appear in the equation for "
                    "any input operand"
                )
        output = [*head, *(range(-wide, 0) if dots else ()), *tail]
    else:
        letters = [n for term in inputs for n in term if isinstance(n, str)]
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        output = [*range(-wide, 0), *once]
    return inputs, output


def _unrepeated(t: Any, labels: list[Any]) -> tuple[Any, list[Any]]:
    """Repeated labels of one operand become its diagonal."""
    for label in list(dict.fromkeys(labels)):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            t = t.diagonal(0, i, j)
            labels = [*labels[:i], *labels[i + 1 : j], *labels[j + 1 :], label]
    return t, labels


def _pair(
    x: Any, xs: list[Any], y: Any, ys: list[Any], keep: set[Any]
) -> tuple[Any, list[Any]]:
    """Two operands in one: shared labels that are kept are batches, others are summed."""

    def alone(t: Any, labels: list[Any], others: list[Any]) -> tuple[Any, list[Any]]:
        gone = [d for d, n in enumerate(labels) if n not in keep and n not in others]
        if gone:
            t = t.sum(gone)
        return t, [n for d, n in enumerate(labels) if d not in gone]

    x, xs = alone(x, xs, ys)
    y, ys = alone(y, ys, xs)
    size = {}  # type: ignore[var-annotated]
    for t, labels in ((x, xs), (y, ys)):
        for n, m in zip(labels, t._shape, strict=True):
            size[n] = m if size.get(n, 1) == 1 else size[n]
    batch = [n for n in xs if n in ys and n in keep]
    summed = [n for n in xs if n in ys and n not in keep]
    rows = [n for n in xs if n not in ys]
    columns = [n for n in ys if n not in xs]

    def laid(t: Any, labels: list[Any], order: list[list[Any]]) -> Any:
        flat = [n for group in order for n in group]
        t = t.permute([labels.index(n) for n in flat]).expand([size[n] for n in flat])
        return t.reshape([numel_of([size[n] for n in group]) for group in order])

    left, right = (
        laid(x, xs, [batch, rows, summed]),
        laid(y, ys, [batch, summed, columns]),
    )
    made = left.bmm(right) if summed or rows or columns else left * right
    labels = [*batch, *rows, *columns]
    return made.reshape([size[n] for n in labels]), labels


@operator(
    "_einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
    variants="function",
)
def _einsum(equation, tensors, *, path):
    """Sums of products in Einstein's notation, one pair of operands at a time."""
    labels, output = _parse(equation, tensors)
    sizes: dict[Any, int] = {}
    for i, (t, names) in enumerate(zip(tensors, labels, strict=True)):
        for _d, (n, m) in enumerate(zip(names, t._shape, strict=True)):
            if sizes.get(n, 1) != 1 and m not in (1, sizes[n]):
                raise RuntimeError(
                    f"einsum(): subscript {n} has size {m} for operand {i} which does "
                    f"not broadcast with previously seen size {sizes[n]}"
                )
            sizes[n] = m if sizes.get(n, 1) == 1 else sizes[n]
    work = [_unrepeated(t, names) for t, names in zip(tensors, labels, strict=True)]
    steps = list(path) if path else []
    while len(work) > 1:
        i, j = (steps.pop(0), steps.pop(0)) if steps else (0, 1)
        (x, xs), (y, ys) = work[i], work[j]
        work = [w for k, w in enumerate(work) if k not in (i, j)]
        keep = {*output, *[n for _, names in work for n in names]}
        made = _pair(x, xs, y, ys, keep)
        work.append(made) if path else work.insert(0, made)
    t, names = work[0]
    gone = [d for d, n in enumerate(names) if n not in output]
    if gone:
        t = t.sum(gone)
    names = [n for n in names if n in output]
    return t.permute([names.index(n) for n in output])

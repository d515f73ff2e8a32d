"""Products of matrices. One primitive, ``bmm``, carries them all."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Plain, broadcast_shapes
from dispatchtorch.ops._common import conj, numel_of, scalar_type_name, strict, torch
from dispatchtorch.ops._precision import half, single

_PLAIN = Plain()
_BOOL = dtypes.bool.bit


def _same_dtype(a: Any, b: Any, kernel: str) -> None:
    """One dtype, and not bool, for which there are no products."""
    if (a._keys ^ b._keys) & dtypes.DTYPE_MASK:
        if kernel == "bmm":
            raise RuntimeError(
                f"expected scalar type {scalar_type_name(a.dtype)} but found "
                f"{scalar_type_name(b.dtype)}"
            )
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_cpp(a)} != {_cpp(b)}"
            if kernel != "dot"
            else "dot : expected both vectors to have same dtype, but found "
            f"{scalar_type_name(a.dtype)} and {scalar_type_name(b.dtype)}"
        )
    if a._keys & dtypes.bool.bit:
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


_CPP = {
    "float32": "float", "float64": "double", "int64": "long int", "int32": "int",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "bool": "bool",
    "uint8": "unsigned char", "int8": "signed char", "int16": "short int",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


def _cpp(t: Any) -> str:
    """A tensor's dtype as C++ calls it, which is how PyTorch's errors do."""
    return _CPP.get(t.dtype.name, t.dtype.name)


bmm = primitive("bmm(Tensor self, Tensor mat2) -> Tensor", lift=_PLAIN)


@bmm.preparation
def _(self, mat2):
    a, b = self._shape, mat2._shape
    for t, label in ((self, "batch1"), (mat2, "batch2")):
        if t.ndim != 3:
            raise RuntimeError(f"{label} must be a 3D tensor")
    if a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{a[0]}, {a[2]}] but got: [{b[0]}, {b[1]}]."
        )
    _same_dtype(self, mat2, "bmm")
    return self, mat2


@bmm.shape
def _(x, y):
    return (*x.shape[:2], y.shape[2]), x.dtype


derive(
    bmm,
    self=lambda grad, mat2: grad.bmm(conj(mat2.transpose(1, 2))),
    mat2=lambda grad, self: conj(self.transpose(1, 2)).bmm(grad),
)


@operator(
    "_mm_left_grad(Tensor grad, Tensor right) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _mm_left_grad(grad, right):
    """The gradient of the left factor of a product of matrices."""
    return grad.mm(conj(right.t()))


@operator(
    "_mm_right_grad(Tensor grad, Tensor left, int[2] strides) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def _mm_right_grad(grad, left, strides):
    """The gradient of the right factor, in that one's memory order.

    A weight that was transposed then gets a gradient that needs no copy.
    """
    if strides[0] == 1 and strides[1] != 1:
        return grad.t().mm(conj(left)).t()
    return conj(left.t()).mm(grad)


@operator("mm(Tensor self, Tensor mat2) -> Tensor", lift=_PLAIN)
def mm(self, mat2):
    """The product of two matrices."""
    _check_mm(self, mat2)
    return self.unsqueeze(0).bmm(mat2.unsqueeze(0)).squeeze(0)


def _check_mm(a: Any, b: Any) -> tuple[Any, Any]:
    x, y = a._data.shape, b._data.shape
    if (
        len(x) == 2
        and len(y) == 2
        and x[1] == y[0]
        and not ((a._keys ^ b._keys) & dtypes.DTYPE_MASK | a._keys & _BOOL)
    ):
        return a, b
    for t, label in ((a, "self"), (b, "mat2")):
        if t.ndim != 2:
            raise RuntimeError(f"{label} must be a matrix")
    if x[1] != y[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({x[0]}x{x[1]} and "
            f"{y[0]}x{y[1]})"
        )
    _same_dtype(a, b, "addmm_impl_cpu_")
    return a, b


_check_mm.only_checks = True  # type: ignore[attr-defined]
mm.prepare = _check_mm
derive(
    mm,
    self=lambda grad, mat2: strict._mm_left_grad(grad, mat2),
    mat2=lambda grad, self, mat2_strides: strict._mm_right_grad(
        grad, self, mat2_strides
    ),
)


@operator("mv(Tensor self, Tensor vec) -> Tensor", tags="out")
def mv(self, vec):
    """The product of a matrix and a vector."""
    if self.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {self.ndim}, {vec.ndim}"
        )
    if self._shape[1] != vec._shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({self._shape[0]}), mat "
            f"({self._shape[0]}x{self._shape[1]}), vec ({vec._shape[0]})"
        )
    if (self._keys ^ vec._keys) & dtypes.DTYPE_MASK:
        own, other = scalar_type_name(self.dtype), scalar_type_name(vec.dtype)
        raise RuntimeError(
            "addmv input tensors must have the same dtype, but got "
            f"{other}, {own}, and {other}"
        )
    _same_dtype(self, vec, "addmv_impl_cpu")
    return self.mm(vec.unsqueeze(1)).squeeze(1)


derive(
    mv,
    self=lambda grad, vec: grad.unsqueeze(1) * conj(vec).unsqueeze(0),
    vec=lambda grad, self: conj(self.t()).mv(grad),
)


@operator("dot(Tensor self, Tensor tensor) -> Tensor", tags="out")
def dot(self, tensor):
    """The sum of products of two vectors."""
    if self.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {self.ndim}D and {tensor.ndim}D tensors"
        )
    _same_dtype(self, tensor, "dot")
    if self._shape != tensor._shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{self._shape[0]}] and src "
            f"[{tensor._shape[0]}] to have the same number of elements, but got "
            f"{self._shape[0]} and {tensor._shape[0]} elements respectively"
        )
    return self.unsqueeze(0).mm(tensor.unsqueeze(1)).reshape(())


derive(
    dot,
    self=lambda grad, tensor: grad * conj(tensor),
    tensor=lambda grad, self: grad * conj(self),
)


@operator("matmul(Tensor self, Tensor other) -> Tensor", tags="out")
def matmul(self, other):
    """The matrix product with broadcasting over batches; vectors are promoted."""
    a, b = len(self._data.shape), len(other._data.shape)
    if a == 2 and b == 2:
        return self.mm(other)
    if a == 1 and b == 1:
        return self.dot(other)
    if a == 0 or b == 0:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{a}D and {b}D"
        )
    if a == 2 and b == 1:
        return self.mv(other)
    if a == 1 and b == 2:
        made = self.unsqueeze(0).mm(other)
        return torch._unsafe_view(made, made._shape[1:])
    if a >= 3 and b <= 2 and _folds(self, other, False):
        return _folded(self, other)
    if b >= 3 and a <= 2 and _folds(other, self, a == 2):
        turned = other.transpose(-2, -1)
        if a == 1:
            return _folded(turned, self)
        return _folded(turned, self.t()).transpose(-2, -1).contiguous()
    return _batched(self, other)


def _folds(batch: Any, other: Any, copies: bool) -> bool:
    """Whether a batch of matrices against one matrix (or vector) is one product.

    It saves the other's expanded gradient. Else it is only worth it where the batch
    needn't be copied for it, nor the result.
    """
    if other.requires_grad:
        return True
    if copies:
        return False
    shape, strides = batch._shape, batch.stride()
    return 0 in shape or all(
        strides[i] == strides[i + 1] * shape[i + 1] for i in range(len(shape) - 2)
    )


def _folded(self: Any, other: Any) -> Any:
    shape = self._shape
    rows = self.reshape((numel_of(shape[:-1]), shape[-1]))
    if other.ndim == 1:
        return torch._unsafe_view(rows.mv(other), shape[:-1])
    return torch._unsafe_view(rows.mm(other), (*shape[:-1], other._shape[1]))


def _batched(self: Any, other: Any) -> Any:
    vector_first, vector_last = self.ndim == 1, other.ndim == 1
    if vector_first:
        self = self.unsqueeze(0)
    if vector_last:
        other = other.unsqueeze(1)
    x, y = self._shape, other._shape
    batch = broadcast_shapes([x[:-2], y[:-2]])
    size = numel_of(batch)
    if x[-1] != y[-2]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{size}, {x[-1]}] but got: [{size}, {y[-2]}]."
        )
    left = self.expand((*batch, *x[-2:])).reshape((size, *x[-2:]))
    right = other.expand((*batch, *y[-2:])).reshape((size, *y[-2:]))
    rows = () if vector_first else (x[-2],)
    columns = () if vector_last else (y[-1],)
    return torch._unsafe_view(left.bmm(right), (*batch, *rows, *columns))


@operator(
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> "
    "Tensor",
    lift=_PLAIN,
    inplace=True,
)
def addmm(self, mat1, mat2, *, beta, alpha):
    """``beta * self + alpha * (mat1 @ mat2)``."""
    _addmm_arguments(self, mat1, mat2, beta, alpha)
    return scaled_product(self, torch.mm, mat1, mat2, beta, alpha)


def scaled_product(
    self: Any, multiply: Any, a: Any, b: Any, beta: Any, alpha: Any
) -> Any:
    """``beta * self + alpha * multiply(a, b)``, which half types round only once."""
    if not half(a):
        return scaled_sum(self, multiply(a, b), beta, alpha)
    product = multiply(single(a), single(b))
    return scaled_sum(single(self), product, beta, alpha).to(a.dtype)


def scaled_sum(self: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """``beta * self + alpha * product``, where a beta of 0 drops even NaN.

    Integers truncate both scalars.
    """
    if self.dtype.category <= dtypes.INT:
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (self if beta == 1 else self * beta)


def _refuse_addmm(self: Any, mat1: Any, mat2: Any) -> None:
    """Raises what PyTorch does for dims and dtypes that don't go together."""
    for t, label in ((mat1, "mat1"), (mat2, "mat2")):
        if t.ndim != 2:
            raise RuntimeError(f"{label} must be a matrix, got {t.ndim}-D tensor")
    for t, label in ((self, "self"), (mat1, "mat1")):
        if t.dtype is not mat2.dtype:
            raise RuntimeError(
                f"{label} and mat2 must have the same dtype, but got "
                f"{scalar_type_name(t.dtype)} and {scalar_type_name(mat2.dtype)}"
            )


@addmm.preparation
def _addmm_arguments(self, mat1, mat2, beta, alpha):
    kinds = (self._keys | mat1._keys | mat2._keys) & dtypes.DTYPE_MASK
    own, a, b = self._data.shape, mat1._data.shape, mat2._data.shape
    if (  # what nearly every call is
        len(a) == 2
        and len(b) == 2
        and a[1] == b[0]
        and own in (b[1:], (a[0], b[1]))
        and not kinds & (kinds - 1)
        and kinds != _BOOL
    ):
        return self, mat1, mat2, beta, alpha
    if kinds & (kinds - 1) or kinds == _BOOL or mat1.ndim != 2 or mat2.ndim != 2:
        _refuse_addmm(self, mat1, mat2)
    _check_mm(mat1, mat2)
    shape = (a[0], b[1])
    if own != shape and (
        len(own) > 2 or any(n not in (1, m) for n, m in zip(own[::-1], shape[::-1]))
    ):
        self.expand(shape)  # raises what PyTorch does
    return self, mat1, mat2, beta, alpha


_addmm_arguments.only_checks = True  # type: ignore[attr-defined]


def scaled(t: Any, scale: Any) -> Any:
    return t if scale == 1 else t * conj(scale)


derive(
    addmm,
    self=lambda grad, beta: scaled(grad, beta),
    mat1=lambda grad, mat2, alpha: scaled(strict._mm_left_grad(grad, mat2), alpha),
    mat2=lambda grad, mat1, alpha, mat2_strides: scaled(
        strict._mm_right_grad(grad, mat1, mat2_strides), alpha
    ),
)


@operator(
    "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    tags="out",
    variants="nn",
)
def linear(input, weight, bias=None):
    """``input @ weight.T + bias``, over the last dim."""
    shape = input._shape
    if len(shape) == 2 and bias is not None:
        return torch.addmm(bias, input, weight.t())
    if not shape or weight.ndim == 0:
        raise RuntimeError(
            "both arguments to linear need to be at least 1D, but they are "
            f"{input.ndim}D and {weight.ndim}D"
        )
    if bias is None:
        return input.matmul(weight.t())
    if bias.ndim == 1 and input.is_contiguous():
        rows = input.reshape((numel_of(shape[:-1]), shape[-1]))
        made = torch.addmm(bias, rows, weight.t())
        return made.view((*shape[:-1], made._shape[1]))
    return input.matmul(weight.t()) + bias


def _outer_check(a: Any, b: Any) -> None:
    for t, label in ((a, "self"), (b, "vec2")):
        if t.ndim != 1:
            raise RuntimeError(
                f"outer: Expected 1-D argument {label}, but got {t.ndim}-D"
            )


@operator("outer(Tensor self, Tensor vec2) -> Tensor", tags="out")
def outer(self, vec2):
    """All products of the elements of two vectors."""
    _outer_check(self, vec2)
    return self.unsqueeze(1) * vec2

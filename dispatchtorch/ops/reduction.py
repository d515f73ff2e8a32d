"""Reductions and scans.

Primitives get their dims wrapped and sorted (all dims for none), and the dtype to
accumulate and return in.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.codegen import compile_kernel
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Plain, guard_constants, guarded, result_keys
from dispatchtorch.lift.base import WRAP
from dispatchtorch.ops._common import (
    conj,
    numel_of,
    reduction_dims,
    refuse,
    scalar_type_name,
    strict,
    torch,
    wrap_dim,
)
from dispatchtorch.ops.creation import as_dtype
from dispatchtorch.tensor import Tensor

_PLAIN = Plain()


def sum_dtype(self: Any, dtype: Any) -> Any:
    """The dtype a sum is returned in: integers add up in int64."""
    if dtype is not None:
        return as_dtype(dtype)
    own = self.dtype
    return dtypes.int64 if own.category <= dtypes.INT else own


def unsqueeze_dims(t: Any, dims: Any, keepdim: bool, ndim: int) -> Any:
    """A reduced tensor with its reduced dims back as 1, so that it broadcasts."""
    if keepdim or ndim == 0:
        return t
    for dim in reduction_dims(dims, ndim):
        t = t.unsqueeze(dim)
    return t


class _Sum(Plain):
    """A sum whose dtype follows from the operand's: known when the kernel is bound.

    A kernel may offer ``natural(dtype)``, the function for arrays of one dtype; it takes
    the other calls (``dtype=``, dims that are to be wrapped) as they are.
    """

    def __init__(self, condition: str) -> None:
        super().__init__()
        self.condition = condition

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        general = super().bind(op, keys, backend, kernel, declined)
        own = dtypes.dtypes_in(keys)[0]
        found = dtypes.int64 if own.category <= dtypes.INT else own
        natural = getattr(kernel.function, "natural", None)
        if natural is None:
            return general
        names = [a.name for a in op.schema.arguments]
        rest = "".join(f", {each}" for each in names[1:-1])
        listed = ", ".join(names)
        lines = [
            "if type(dim) is int: dim = (dim,)" if rest else "",
            f"if not ({self.condition}): return general({listed})",
            *guarded(backend, f"r = fn(self._data{rest})", None),
            "if type(r) is not array_type:",
            "    r = coerce(r, found)",
            *WRAP.format(keys="KEYS").strip().splitlines(),
        ]
        constants = {
            "general": general,
            "fn": natural(own),
            "found": found,
            "coerce": backend.coerce,
            "array_type": backend.array_type,
            "new": object.__new__,
            "Tensor": Tensor,
            "KEYS": result_keys(backend, found, keys),
            **guard_constants(backend),
        }
        return compile_kernel(listed, lines, constants)


@operator(
    "sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", lift=_Sum("dtype is None")
)
def sum_all(self, *, dtype):
    """The sum of all elements."""
    return sum_dim(self, None, False, dtype=dtype)


@sum_all.preparation
def _(self, dtype):
    return self, sum_dtype(self, dtype)


derive(
    sum_all,
    name_="SumBackward0",
    self=lambda grad, self_sizes: strict.expand(grad, self_sizes),
)

sum_dim = primitive(
    "sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    lift=_Sum(
        "dtype is None and type(dim) is tuple and len(dim) == 1 "
        "and -1 < dim[0] < len(self._data.shape)"
    ),
)


@sum_dim.preparation
def _(self, dim, keepdim, dtype):
    return self, reduction_dims(dim, self.ndim), keepdim, sum_dtype(self, dtype)


def reduced_shape(x: Any, dims: Any, keepdim: bool) -> tuple[int, ...]:
    """The shape of a reduction of a native array."""
    return tuple(
        [
            1 if i in dims else n
            for i, n in enumerate(x.shape)
            if keepdim or i not in dims
        ]
    )


@sum_dim.shape
def _(x, dims, keepdim, dtype):
    return reduced_shape(x, dims, keepdim), dtype


derive(
    sum_dim,
    name_="SumBackward1",
    self=lambda grad, self_sizes, dim, keepdim: unsqueeze_dims(
        grad, dim, keepdim, len(self_sizes)
    ).expand(self_sizes),
)


def _mean_dtype(self: Any, dtype: Any) -> Any:
    if dtype is None and self.dtype.category <= dtypes.INT:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a "
            f"floating point or complex dtype. Got: {scalar_type_name(self.dtype)}"
        )
    if dtype is None:
        return self.dtype
    dtype = as_dtype(dtype)
    if dtype.category <= dtypes.INT:
        raise RuntimeError(
            "mean(): could not infer output dtype. Optional dtype must be either a "
            f"floating point or complex dtype. Got: {scalar_type_name(dtype)}"
        )
    return dtype


@operator("mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", lift=_PLAIN)
def mean(self, *, dtype):
    """The mean of all elements."""
    found = _mean_dtype(self, dtype)
    total = torch.sum(self, dtype=found)
    return total / self.numel() if self.numel() else total * math.nan


derive(
    mean,
    name_="MeanBackward0",
    self=lambda grad, self_sizes: (
        grad.expand(self_sizes) / max(numel_of(self_sizes), 1)
    ),
)


@operator(
    "mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    lift=_PLAIN,
)
def mean_dim(self, dim, keepdim=False, *, dtype):
    """The mean over some dims."""
    found = _mean_dtype(self, dtype)
    count = _count(self._shape, dim)
    total = torch.sum(self, dim, keepdim, dtype=found)
    return total / count if count else total * math.nan


def _count(shape: tuple[int, ...], dim: Any) -> int:
    return numel_of([shape[d] for d in reduction_dims(dim, len(shape))])


derive(
    mean_dim,
    name_="MeanBackward1",
    self=lambda grad, self_sizes, dim, keepdim: (
        unsqueeze_dims(grad, dim, keepdim, len(self_sizes)).expand(self_sizes)
        / max(_count(self_sizes, dim), 1)
    ),
)

_prod = primitive(
    "prod_(Tensor self, int[] dims, bool keepdim, ScalarType dtype) -> Tensor",
    variants="private",
)

_prod.shape_rule = lambda x, dims, keepdim, dtype: (
    reduced_shape(x, dims, keepdim),
    dtype,
)


@operator("prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", tags="out")
def prod(self, *, dtype):
    """The product of all elements."""
    return _prod(self, tuple(range(self.ndim)), False, sum_dtype(self, dtype))


@operator(
    "prod.dim_int(Tensor self, int dim, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    tags="out",
)
def prod_dim(self, dim, keepdim=False, *, dtype):
    """The product over one dim."""
    return _prod(self, reduction_dims(dim, self.ndim), keepdim, sum_dtype(self, dtype))


def _prod_backward(grad: Any, self: Any, result: Any, dim: int | None) -> Any:
    """By products of all others, so that zeros have their right gradients."""
    shape = self._shape
    if not shape:
        return grad.clone()
    if dim is None:
        flat = self.reshape(-1)
        return (grad * conj(_others(flat, 0))).reshape(shape)
    return grad * conj(_others(self, dim))


def _others(x: Any, dim: int) -> Any:
    """For each element the product of the others along ``dim``."""
    if x.ndim == 0:
        return torch.ones_like(x)
    one = torch.ones_like(x.narrow(dim, 0, min(1, x._shape[dim])))
    n = x._shape[dim]
    if n == 0:
        return x
    before = torch.cumprod(torch.cat([one, x.narrow(dim, 0, n - 1)], dim), dim)
    turned = x.flip(dim)
    after = torch.cumprod(torch.cat([one, turned.narrow(dim, 0, n - 1)], dim), dim)
    return before * after.flip(dim)


derive(
    prod,
    name_="ProdBackward0",
    self=lambda grad, self, result: _prod_backward(grad, self, result, None),
)
derive(
    prod_dim,
    name_="ProdBackward1",
    self=lambda grad, self, result, dim, keepdim: _prod_backward(
        unsqueeze_dims(grad, dim, keepdim, self.ndim), self, result, dim
    ),
)


def _extremum_dims(self: Any, dim: Any, name: str) -> tuple[int, ...]:
    dims = reduction_dims(dim, self.ndim)
    shape = self._shape
    empty = [d for d in dims if shape[d] == 0]
    if empty:
        if dim is None or (type(dim) is not int and len(dim) == 0):
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == "
                "0. Specify the reduction dim with the 'dim' argument."
            )
        raise IndexError(
            f"{name}(): Expected reduction dim {empty[0]} to have non-zero size."
        )
    return dims


def _extremum(name: str) -> Any:
    op = primitive(
        f"{name}(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", lift=_PLAIN
    )
    kernel = f"{name[1:]}_values_cpu"

    def prepare(self: Any, dim: Any, keepdim: bool) -> Any:
        dims = _extremum_dims(self, dim, name)
        refuse(self, f"\"{kernel}\" not implemented for '{{dtype}}'", dtypes.COMPLEX)
        return self, dims, keepdim

    op.prepare = prepare
    op.shape_rule = lambda x, dims, keepdim: (reduced_shape(x, dims, keepdim), x.dtype)
    derive(
        op,
        self=lambda grad, self, result, dim, keepdim: _spread(
            grad, self, result, dim, keepdim
        ),
    )
    return op


def _spread(grad: Any, self: Any, result: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of an extremum, shared equally among the elements that reach it."""
    grad = unsqueeze_dims(grad, dim, keepdim, self.ndim)
    result = unsqueeze_dims(result, dim, keepdim, self.ndim)
    mask = (self == result).to(grad.dtype)
    return grad * mask / mask.sum(list(reduction_dims(dim, self.ndim)), True)


amax = _extremum("amax")
amin = _extremum("amin")


def _boolean(name: str) -> Any:
    native = primitive(
        f"{name}_(Tensor self, int[] dims, bool keepdim) -> Tensor", variants="private"
    )

    native.shape_rule = lambda x, dims, keepdim: (
        reduced_shape(x, dims, keepdim),
        dtypes.bool,
    )

    def whole(self):  # type: ignore[no-untyped-def]
        return native(self, tuple(range(self.ndim)), False)

    def along(self, dim, keepdim=False):  # type: ignore[no-untyped-def]
        made = native(self, reduction_dims(dim, self.ndim), keepdim)
        return made.to(torch.uint8) if self.dtype is dtypes.uint8 else made

    def whole_typed(self):  # type: ignore[no-untyped-def]
        made = whole(self)
        return made.to(torch.uint8) if self.dtype is dtypes.uint8 else made

    whole_typed.__doc__ = f"Whether {name} element is not zero."
    along.__doc__ = f"Whether {name} element along the dims is not zero."
    first = operator(f"{name}(Tensor self) -> Tensor", tags="out")(whole_typed)
    second = operator(
        f"{name}.dims(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor",
        tags="out",
    )(along)
    nondifferentiable(native, first, second)


_boolean("any")
_boolean("all")


def _arg_extremum(name: str) -> None:
    native = primitive(f"{name}_(Tensor self, int dim) -> Tensor", variants="private")
    native.shape_rule = lambda x, dim: (reduced_shape(x, (dim,), False), dtypes.int64)

    def body(self, dim=None, keepdim=False):  # type: ignore[no-untyped-def]
        ndim = self.ndim
        refuse(self, f"{name}(): does not support bool input", dtypes.BOOL)
        refuse(self, f"{name}(): does not support complex input", dtypes.COMPLEX)
        if dim is None:
            if self.numel() == 0:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for "
                    "input.numel() == 0."
                )
            made = native(self.reshape(-1), 0)
            return made.reshape((1,) * ndim) if keepdim else made
        dim = wrap_dim(dim, ndim)
        if ndim == 0:
            return native(self.reshape(1), 0).reshape(())
        _extremum_dims(self, dim, name)
        made = native(self, dim)
        return made.unsqueeze(dim) if keepdim else made

    body.__doc__ = f"The index of the {name[3:]}imum, of all elements or along a dim."
    op = operator(
        f"{name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", tags="out"
    )(body)
    nondifferentiable(native, op)


_arg_extremum("argmax")
_arg_extremum("argmin")


def _max_min(name: str, pick: str, both: str) -> None:
    def whole(self):  # type: ignore[no-untyped-def]
        if self.numel() == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == "
                "0. Specify the reduction dim with the 'dim' argument."
            )
        refuse(self, f"\"{name}_all\" not implemented for '{{dtype}}'", dtypes.COMPLEX)
        return getattr(torch, f"a{name}")(self)

    def along(self, dim, keepdim=False):  # type: ignore[no-untyped-def]
        wrapped = wrap_dim(dim, self.ndim)
        refuse(self, f"{name}(): does not support complex input", dtypes.COMPLEX)
        whole = self.to(dtypes.uint8) if self.dtype is dtypes.bool else self
        indices = getattr(torch, pick)(whole, wrapped, True)
        values = torch.gather(self, wrapped, indices) if self.ndim else self.clone()
        if not keepdim and self.ndim:
            values, indices = values.squeeze(wrapped), indices.squeeze(wrapped)
        from dispatchtorch.lift import return_type

        return return_type(along_op)((values, indices))

    def other(self, other):  # type: ignore[no-untyped-def]
        return getattr(torch, both)(self, other)

    whole.__doc__ = f"The {name}imum of all elements."
    along.__doc__ = f"The {name}ima along a dim, and where they are."
    other.__doc__ = f"The elementwise {name}imum of two tensors."
    first = operator(f"{name}(Tensor self) -> Tensor", tags="out")(whole)
    derive(
        first,
        name_=f"{name.capitalize()}Backward1",
        self=lambda grad, self, result: _spread(grad, self, result, None, False),
    )
    operator(f"{name}.other(Tensor self, Tensor other) -> Tensor", tags="out")(other)
    along_op = operator(
        f"{name}.dim(Tensor self, int dim, bool keepdim=False) -> "
        "(Tensor values, Tensor indices)",
        tags="out",
    )(along)
    derive(
        along_op,
        name_=f"{name.capitalize()}Backward0",
        outputs_=(0,),
        self=lambda grad, self_sizes, dim, keepdim, indices: value_selecting_backward(
            grad, self_sizes, dim, keepdim, indices
        ),
    )


def value_selecting_backward(
    grad: Any, shape: tuple[int, ...], dim: int, keepdim: bool, indices: Any
) -> Any:
    """Sends the gradients of selected values back to where they were selected."""
    if not shape:
        return grad
    dim = wrap_dim(dim, len(shape))
    if not keepdim:
        grad, indices = grad.unsqueeze(dim), indices.unsqueeze(dim)
    return grad.new_zeros(shape).scatter_add(dim, indices, grad)


_max_min("max", "argmax", "maximum")
_max_min("min", "argmin", "minimum")


def _scan(name: str) -> Any:
    op = primitive(
        f"{name}(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
        lift=_PLAIN,
        inplace=True,
    )
    op.prepare = lambda self, dim, dtype: (
        self,
        wrap_dim(dim, self.ndim),
        sum_dtype(self, dtype),
    )
    op.shape_rule = lambda x, dim, dtype: (x.shape, dtype)
    return op


cumsum = _scan("cumsum")
derive(
    cumsum,
    self=lambda grad, dim: grad.flip(dim).cumsum(dim).flip(dim) if grad.ndim else grad,
)
cumprod = _scan("cumprod")


def _cumprod_backward(grad: Any, self: Any, dim: int) -> Any:
    if self.numel() <= 1:
        return grad.clone()
    n = self._shape[wrap_dim(dim, self.ndim)] if self.ndim else 1
    parts = []
    # d out[j] / d x[i] is the product of x[:j+1] without x[i].
    for i in range(n):
        ones = torch.ones_like(self.narrow(dim, i, 1)) if self.ndim else None
        if ones is None:
            return grad
        head = self.narrow(dim, 0, i).prod(dim, keepdim=True)
        tail = torch.cat([ones, self.narrow(dim, i + 1, n - i - 1)], dim).cumprod(dim)
        parts.append(
            (grad.narrow(dim, i, n - i) * conj(head * tail)).sum(dim, keepdim=True)
        )
    return torch.cat(parts, dim) if parts else grad


derive(cumprod, self=lambda grad, self, dim: _cumprod_backward(grad, self, dim))

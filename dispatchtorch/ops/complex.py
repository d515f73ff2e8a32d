"""Complex tensors: their parts as views, conjugates, polar form; bytes as another dtype.

A device offers one view beyond ``as_strided``: ``_view_dtype``, the same bytes as another
dtype. The views of parts follow from it.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.keys import CONJ, NEG, SPARSE
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.errors import UnsupportedOperator
from dispatchtorch.lift import Pointwise, View, broadcast_shapes, result_keys
from dispatchtorch.ops._common import conj, scalar_type_name, torch
from dispatchtorch.ops._conjugate import Flip
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch.tensor import new_tensor

_REALS = {dtypes.complex64: dtypes.float32, dtypes.complex128: dtypes.float64}
_COMPLEX = {real: wide for wide, real in _REALS.items()}


class _Reinterpret(View):
    """The same bytes as another dtype: sizes of the last dim follow the item sizes."""

    def __init__(self) -> None:
        super().__init__(lambda *args: None)

    def bind_generic(self, op, keys, backend, as_strided):  # type: ignore[no-untyped-def]
        raise UnsupportedOperator(
            f"device '{backend.device_type}' has no kernel '_view_dtype', which views of "
            "a tensor as another dtype need"
        )

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        function = kernel.function

        def view(self, dtype):  # type: ignore[no-untyped-def]
            _check_layout(
                self, dtype, backend.strides(self._data), backend.offset(self._data)
            )
            made = function(self._data, dtype)
            if made is NotImplemented:
                return declined(self, dtype)
            return new_tensor(made, result_keys(backend, dtype, keys))

        return view


def _check_layout(self: Any, dtype: dtypes.dtype, strides: Any, offset: int) -> None:
    """RuntimeError in PyTorch's words where the bytes can't be seen as ``dtype``."""
    old, new = self.dtype, dtype
    if old.itemsize == new.itemsize:
        return
    shape = self._shape
    if not shape:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {scalar_type_name(old)} as "
            f"{scalar_type_name(new)} (different element sizes)"
        )
    words = (
        f"to view {scalar_type_name(old)} as {scalar_type_name(new)} (different element "
        "sizes), but got"
    )
    ratio = new.itemsize // old.itemsize  # 0 where elements become smaller
    if ratio and shape[-1] % ratio:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {ratio} {words} {shape[-1]}"
        )
    if ratio and offset % ratio:
        raise RuntimeError(
            f"self.storage_offset() must be divisible by {ratio} {words} {offset}"
        )
    if strides[-1] != 1 and shape[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {words} {strides[-1]}")
    for dim, stride in enumerate(strides[:-1]):
        if ratio and stride % ratio and shape[dim] != 1:
            raise RuntimeError(
                f"self.stride({dim}) must be divisible by {ratio} {words} {stride}"
            )


_view_dtype = primitive(
    "_view_dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)",
    lift=_Reinterpret(),
    tags="view",
    variants="function",
)


def _viewed_shape(x: Any, dtype: dtypes.dtype) -> Any:
    if x.dtype.itemsize == dtype.itemsize:
        return x.shape, dtype
    last = x.shape[-1] * x.dtype.itemsize // dtype.itemsize
    return (*x.shape[:-1], last), dtype


_view_dtype.shape_rule = _viewed_shape
nondifferentiable(_view_dtype)


@operator(
    "view_as_real(Tensor(a) self) -> Tensor(a)", tags="views", variants="function"
)
def view_as_real(self):
    """A view with a last dim of two: real and imaginary part."""
    if not self.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if self._keys & CONJ:
        raise RuntimeError(
            "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the "
            "conjugate tensor so you can view it as real, use self.resolve_conj(); "
            "however, be warned that the resulting tensor will NOT alias the original."
        )
    return torch._view_dtype(self.unsqueeze(-1), _REALS[self.dtype])


derive(view_as_real, self=lambda grad: torch.view_as_complex(grad.contiguous()))


@operator(
    "view_as_complex(Tensor(a) self) -> Tensor(a)", tags="views", variants="function"
)
def view_as_complex(self):
    """A view that takes the two elements of the last dim for one complex number."""
    wide = _COMPLEX.get(self.dtype)
    if wide is None:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but "
            f"got a tensor of scalar type: {scalar_type_name(self.dtype)}"
        )
    shape, strides = self._shape, self.stride()
    if not shape:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    for stride in strides[:-1]:
        if stride % 2:
            raise RuntimeError(
                "Tensor must have a stride divisible by 2 for all but last dimension"
            )
    if self.storage_offset() % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    return torch._view_dtype(self, wide).squeeze(-1)


derive(view_as_complex, self=lambda grad: torch.view_as_real(grad))


@operator("real(Tensor(a) self) -> Tensor(a)", variants="function")
def real(self):
    """The real part, as a view; a real tensor itself."""
    if not self.is_complex():
        return self
    if self._keys & CONJ:
        self = torch._conj(self)
    return torch.select(torch.view_as_real(self), -1, 0)


@operator("imag(Tensor(a) self) -> Tensor(a)", variants="function")
def imag(self):
    """The imaginary part, as a view; RuntimeError for real tensors.

    Of a lazy conjugate it is the negative of what memory holds, and lazy itself.
    """
    if not self.is_complex():
        raise RuntimeError(
            "imag is not implemented for tensors with non-complex dtypes."
        )
    if self._keys & CONJ:
        parts = torch._neg_view(torch.view_as_real(torch._conj(self)))
    else:
        parts = torch.view_as_real(self)
    return torch.select(parts, -1, 1)


@operator(
    "_conj_physical(Tensor self) -> Tensor", lift=Pointwise("same"), tags="pointwise"
)
def _conj_physical(self):
    """The conjugate in memory of its own, in the strides of a clone."""
    made = self.clone()
    if self.is_complex():
        torch.imag(made).neg_()
    return made


derive(_conj_physical, name_="ConjPhysicalBackward0", self=lambda grad: conj(grad))


@operator(
    "conj_physical(Tensor self) -> Tensor",
    inplace=True,
    tags="out views",
)
def conj_physical(self):
    """The conjugate, computed at once; a real tensor itself."""
    return torch._conj_physical(self) if self.is_complex() else self


_conj = primitive("_conj(Tensor(a) self) -> Tensor(a)", lift=Flip(CONJ), tags="view")
derive(_conj, self=lambda grad: conj(grad))

_neg_view = primitive(
    "_neg_view(Tensor(a) self) -> Tensor(a)", lift=Flip(NEG), tags="view"
)
derive(_neg_view, self=lambda grad: grad.neg())


@operator("conj(Tensor(a) self) -> Tensor(a)")
def conj_(self):
    """The conjugate, as a view that is computed when it is used; a real tensor itself."""
    if not self.is_complex():
        return self
    return torch.conj_physical(self) if self._keys & SPARSE else torch._conj(self)


@operator("adjoint(Tensor(a) self) -> Tensor(a)")
def adjoint(self):
    """The conjugate transpose of the last two dims, as a view."""
    return self.transpose(-2, -1).conj()


@operator("resolve_conj(Tensor(a) self) -> Tensor(a)")
def resolve_conj(self):
    """The values in memory if the tensor is a lazy conjugate; else the tensor itself."""
    return self.clone() if self._keys & CONJ else self


@operator("resolve_neg(Tensor(a) self) -> Tensor(a)")
def resolve_neg(self):
    """The values in memory if the tensor is a lazy negative; else the tensor itself."""
    return self.clone() if self._keys & NEG else self


def _pair(name: str, first: Any, second: Any) -> None:
    allowed = (dtypes.float16, dtypes.float32, dtypes.float64)
    if first.dtype not in allowed or second.dtype not in allowed:
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{scalar_type_name(first.dtype)} and {scalar_type_name(second.dtype)}"
        )
    if first.dtype is not second.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {scalar_type_name(first.dtype)} but got "
            f"scalar type {scalar_type_name(second.dtype)} for second argument"
        )
    if first.dtype is dtypes.float16:
        raise NotImplementedError(
            f"\"{name}_cpu\" not implemented for 'Half': complex32 isn't supported"
        )


@operator(
    "complex(Tensor real, Tensor imag) -> Tensor", tags="out", variants="function"
)
def complex_(real, imag):
    """Complex numbers of real and imaginary parts."""
    _pair("complex", real, imag)
    shape = broadcast_shapes([real._shape, imag._shape])
    parts = [each.expand(shape) for each in (real, imag)]
    made = torch.view_as_complex(torch.stack(parts, -1))
    order = inferred_strides(shape, *[each.stride() for each in parts])
    if order is None:
        return made
    return torch.empty_strided(
        shape, order, dtype=made.dtype, device=made.device
    ).copy_(made)


derive(
    complex_,
    real=lambda grad: torch.real(grad),
    imag=lambda grad: torch.imag(grad),
)


@operator("polar(Tensor abs, Tensor angle) -> Tensor", tags="out", variants="function")
def polar(abs, angle):
    """Complex numbers of absolute values and angles."""
    _pair("polar", abs, angle)
    return torch.complex(abs * angle.cos(), abs * angle.sin())


derive(
    polar,
    abs=lambda grad, angle: (
        torch.real(grad) * angle.cos() + torch.imag(grad) * angle.sin()
    ),
    angle=lambda grad, result: torch.real(conj(grad) * result * 1j),
)


@operator("angle(Tensor self) -> Tensor", tags="out")
def angle(self):
    """The angle in radians; 0 or pi for real numbers."""
    if self.is_complex():
        return torch.atan2(torch.imag(self), torch.real(self))
    if not self.is_floating_point():
        self = self.to(dtypes.get_default_dtype())
    half_turn = torch.full((), math.pi, dtype=self.dtype, device=self.device)
    made = torch.where(self < 0, half_turn, 0.0)
    return torch.where(self != self, self, made)


def _angle_backward(grad: Any, self: Any) -> Any:
    if not self.is_complex():
        return torch.zeros_like(self)
    x, y = torch.real(self), torch.imag(self)
    square = x * x + y * y
    zero = square == 0
    safe = torch.where(zero, 1, square)
    made = torch.complex(grad * (-y / safe), grad * (x / safe))
    return torch.where(zero, 0, made)


derive(angle, self=_angle_backward)

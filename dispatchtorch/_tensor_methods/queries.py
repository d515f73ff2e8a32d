"""What a tensor is: its shape, layout, place and kind."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import attribute, method
from dispatchtorch.dispatch.codegen import fits_int
from dispatchtorch.dispatch.keys import CONJ, NEG, SPARSE
from dispatchtorch.memory_format import layout, strided
from dispatchtorch.ops import copy as _copy
from dispatchtorch.ops._common import wrap_dim
from dispatchtorch.tensor import Tensor, wrap

__all__: list[str] = []


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim."""
    if dim is None:
        return self.shape
    shape = self._shape
    return shape[_wrapped(dim, len(shape), "size")]


def _wrapped(dim: Any, ndim: int, name: str) -> int:
    """A dim as an index; errors as PyTorch's."""
    if type(dim) is not int and not fits_int(dim):
        raise TypeError(
            f"{name}(): argument 'dim' (position 1) must be int, not "
            f"{type(dim).__name__}"
        )
    return wrap_dim(dim, ndim, wrap_scalar=False)


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dim."""
    if self._keys & SPARSE:
        if not self.is_sparse:
            raise RuntimeError("Sparse CSR tensors do not have strides")
        strides = (0,) * len(self._shape)
    else:
        strides = self._backend.strides(self._data)
    if dim is None:
        return strides
    return strides[_wrapped(dim, len(strides), "stride")]


@method
def storage_offset(self: Tensor) -> int:
    """The first element's place in the storage, in elements."""
    return self._backend.offset(self._data)


@method
def dim(self: Tensor) -> int:
    """The number of dims."""
    return len(self._shape)


Tensor.ndimension = dim  # type: ignore[attr-defined]


@method
def numel(self: Tensor) -> int:
    """The number of elements."""
    return math.prod(self._shape)


Tensor.nelement = numel  # type: ignore[attr-defined]
Tensor.is_contiguous = _copy.is_contiguous  # type: ignore[attr-defined,assignment]


@method
def element_size(self: Tensor) -> int:
    """The bytes of one element."""
    return self.dtype.itemsize


@attribute
def itemsize(self: Tensor) -> int:
    return self.dtype.itemsize


@attribute
def nbytes(self: Tensor) -> int:
    return math.prod(self._shape) * self.dtype.itemsize


@attribute
def layout_(self: Tensor) -> layout:
    return self._data.layout if self._keys & SPARSE else strided


Tensor.layout = Tensor.layout_  # type: ignore[attr-defined]


@method
def data_ptr(self: Tensor) -> int:
    """The address of the first element (0 for an empty tensor)."""
    return self._backend.data_ptr(self._data)


@method
def _root(self: Tensor) -> Tensor:
    """The whole memory as a 1-d tensor of the same dtype, from offset 0."""
    return wrap(self._backend.root(self._data), self._backend)


@method
def get_device(self: Tensor) -> int:
    """The device's index; -1 on the host."""
    backend = self._backend
    return -1 if backend.is_host else backend.index(self._data)


def _is_device(name: str) -> property:
    def get(self: Tensor) -> bool:
        return self._backend.device_type == name

    return property(get)


for _name in ("cpu", "cuda", "meta", "xpu", "mps", "mkldnn", "vulkan", "ipu", "xla"):
    setattr(Tensor, f"is_{_name}", _is_device(_name))
for _name in ("sparse", "sparse_csr", "quantized", "nested", "maia", "vulkan_"):
    setattr(Tensor, f"is_{_name}", property(lambda self: False))


@method
def is_floating_point(self: Tensor) -> bool:
    """Whether the dtype is a floating one."""
    return self._keys & dtypes.FLOATING_MASK != 0


@method
def is_complex(self: Tensor) -> bool:
    """Whether the dtype is complex."""
    return self._keys & dtypes.COMPLEX_MASK != 0


@method
def is_signed(self: Tensor) -> bool:
    """Whether the dtype has a sign."""
    return self.dtype.is_signed


@method
def is_conj(self: Tensor) -> bool:
    """Whether the values are the conjugates of what the memory holds."""
    return self._keys & CONJ != 0


@method
def is_neg(self: Tensor) -> bool:
    """Whether the values are the negatives of what the memory holds."""
    return self._keys & NEG != 0


@method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return self._shape == other._shape


@method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same view of the same memory."""
    return (
        self.data_ptr() == tensor.data_ptr()
        and self._shape == tensor._shape
        and self.stride() == tensor.stride()
    )

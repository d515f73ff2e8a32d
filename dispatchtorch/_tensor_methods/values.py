"""Values for Python and NumPy: numbers, lists, arrays, DLPack, printing, pickling."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import method
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, LAZY, PYTHON, SPARSE
from dispatchtorch.ops import intercepted
from dispatchtorch.tensor import Tensor

__all__: list[str] = []


def _host(self: Tensor) -> np.ndarray[Any, Any]:
    backend = self._backend
    if self._keys & LAZY:
        self = self.detach().clone()
    return backend.to_host(self._data)


@method
def item(self: Tensor) -> Any:
    """The only element as a Python number."""
    if (state.ACTIVE or self._keys & PYTHON) and intercepted.wanted(self):
        return intercepted.local_scalar(self)
    count = self.numel()
    if count != 1:
        raise RuntimeError(
            f"a Tensor with {count} elements cannot be converted to Scalar"
        )
    if self._backend.device_type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    value = _host(self).item()
    return float(value) if self._keys & dtypes.FLOATING_MASK else value


@method
def tolist(self: Tensor) -> Any:
    """The values as nested lists of Python numbers (a number for 0-d tensors)."""
    if self._keys & PYTHON and type(self) is not Tensor:
        raise RuntimeError(
            ".tolist() is not supported for tensor subclasses, got "
            f"{type(self).__name__}"
        )
    array = _host(self)
    kind = array.dtype.kind
    if kind == "V" or (kind == "f" and array.itemsize == 1):  # of ml_dtypes
        array = array.astype(np.float32)
    return array.tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """A NumPy array that shares the tensor's memory (``force`` copies where it must)."""
    if self._keys & PYTHON and type(self) is not Tensor:
        raise RuntimeError(".numpy() is not supported for tensor subclasses.")
    if force:
        self = self.detach().cpu().resolve_conj().resolve_neg()
    if self.requires_grad:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()"
            " instead."
        )
    if self._keys & SPARSE:
        raise TypeError(
            f"can't convert {'Sparse' if self.is_sparse else 'SparseCsr'} layout tensor to "
            "numpy. Use Tensor.to_dense() first."
        )
    if not self._backend.is_host:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() "
            "to copy the tensor to host memory first."
        )
    if self._keys & LAZY:
        kind, short = ("conjugate", "conj") if self.is_conj() else ("negative", "neg")
        raise RuntimeError(
            f"Can't call numpy() on Tensor that has {kind} bit set. Use tensor."
            f"resolve_{short}().numpy() instead."
        )
    if self.dtype is dtypes.bfloat16 or (
        self.dtype.itemsize == 1 and (self.dtype.is_floating_point)
    ):
        raise TypeError(
            f"Got unsupported ScalarType {dtypes.scalar_type_name(self.dtype)}"
        )
    return self._data.view()  # type: ignore[no-any-return]


@method
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = self.numpy()
    if dtype is None:
        return array.copy() if copy else array
    return array.astype(dtype, copy=bool(copy))


Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


@method
def __array_wrap__(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Any:
    if array.dtype == bool:
        array = array.astype("uint8")
    import dispatchtorch

    return dispatchtorch.from_numpy(np.asarray(array))


@method
def __bool__(self: Tensor) -> bool:
    if self.numel() != 1:
        if self.numel() == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous"
        )
    return bool(self.item())


def _only(self: Tensor, c_type: str = "") -> Any:
    """The only element; for a complex one, that a number of ``c_type`` can hold."""
    if self.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    value = self.item()
    if type(value) is complex and c_type:
        if value.imag:
            raise RuntimeError(
                f"value cannot be converted to type {c_type} without overflow"
            )
        return value.real
    return value


# What has been warned of, once in a process.
_warned: set[str] = set()


@method
def __int__(self: Tensor) -> int:
    return int(_only(self, "int64_t"))


@method
def __float__(self: Tensor) -> float:
    if self._keys & AUTOGRAD and not _warned:
        _warned.add("scalar")
        warnings.warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to "
            "unexpected behavior.\nConsider using tensor.detach() first.",
            stacklevel=2,
        )
    return float(_only(self, "double"))


@method
def __complex__(self: Tensor) -> complex:
    return complex(_only(self))


@method
def __index__(self: Tensor) -> int:
    if self._keys & dtypes.DIFFERENTIABLE_MASK or self.numel() != 1:
        raise TypeError(
            "only integer tensors of a single element can be converted to an index"
        )
    return int(self.item())


@method
def __len__(self: Tensor) -> int:
    shape = self._shape
    if not shape:
        raise TypeError("len() of a 0-d tensor")
    return shape[0]


@method
def __iter__(self: Tensor) -> Iterator[Tensor]:
    if not self._shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@method
def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex)):
        return bool((self == element).any())
    raise RuntimeError(
        "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
        f"{element.__class__}."
    )


@method
def __format__(self: Tensor, spec: str) -> str:
    if (
        self.ndim == 0
        and self._backend.device_type != "meta"
        and self.__class__ is Tensor
    ):
        return format(self.item(), spec)
    return object.__format__(self, spec) if spec else str(self)


@method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    from dispatchtorch._tensor_str import tensor_str

    if state.ACTIVE and not self._keys & PYTHON and state.tls.include & PYTHON:
        with state.exclude(PYTHON):  # no mode wants to see how tensors are printed
            return tensor_str(self, tensor_contents=tensor_contents)
    return tensor_str(self, tensor_contents=tensor_contents)


@method
def __reduce_ex__(self: Tensor, proto: int) -> Any:
    from dispatchtorch.storage import tensor_reduce_ex

    return tensor_reduce_ex(self, proto)


@method
def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Any:
    from dispatchtorch.storage import tensor_deepcopy

    return tensor_deepcopy(self, memo)


@method
def __dlpack__(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: Any = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    if self.requires_grad:
        raise BufferError(
            "Can't export tensors that require gradient, use tensor.detach()"
        )
    if self.is_conj():
        raise BufferError("Can't export tensors with the conjugate bit set")
    if self._backend.is_host and stream is not None:
        raise AssertionError("stream should be None on cpu.")
    native = self.resolve_neg()._data
    export = getattr(native, "__dlpack__", None)
    if export is None:
        raise BufferError(f"Cannot pack tensors on {self.device}")
    if copy:
        native = self.clone()._data
        export = native.__dlpack__
    if self._backend.is_host:
        return export(max_version=max_version) if max_version is not None else export()
    return export(stream=stream)


@method
def __dlpack_device__(self: Tensor) -> Any:
    from dispatchtorch._tensor_methods.device_kinds import DLDeviceType

    kind, index = self._data.__dlpack_device__()
    return DLDeviceType(kind), index


def _cuda_array_interface(self: Tensor) -> Any:
    found = getattr(self._data, "__cuda_array_interface__", None)
    if found is None:
        raise AttributeError(
            "Can't get __cuda_array_interface__ on non-CUDA tensor type: "
            f"{self.type()} If CUDA data is required use tensor.cuda() to copy tensor to "
            "device memory."
        )
    if self.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. If "
            "gradients aren't required, use var.detach() to get Variable that doesn't "
            "require grad."
        )
    return found


Tensor.__cuda_array_interface__ = property(  # type: ignore[attr-defined,assignment]
    _cuda_array_interface
)


@method
def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    import dispatchtorch

    return dispatchtorch

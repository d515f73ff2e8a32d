"""The legacy tensor types: ``torch.FloatTensor`` and its kin.

Each stands for the host tensors of one dtype: it makes them, ``isinstance`` knows them,
and ``Tensor.type`` takes it. Tensors themselves are all of class ``torch.Tensor``.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.memory_format import strided
from dispatchtorch.tensor import Tensor

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "tensortype",
]


class tensortype(type):
    """The class of the legacy tensor types."""

    dtype: dtypes.dtype
    layout = strided
    is_cuda = False
    is_sparse = False

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        """A tensor of sizes, of a sequence's values, or of another tensor."""
        from dispatchtorch.device import device as Device
        from dispatchtorch.factory import legacy_new

        if device is not None and Device(device).type != "cpu":
            raise RuntimeError(
                "legacy constructor expects device type: cpu but device type: "
                f"{Device(device).type} was passed"
            )
        if len(args) == 1:
            only = args[0]
            if isinstance(only, Tensor) and only.dtype is not cls.dtype:
                raise TypeError(
                    f"expected {cls.__module__}.{cls.__name__} (got {only.type()})"
                )
            if hasattr(only, "nbytes") and hasattr(only, "_untyped"):
                only = only._untyped()
            if type(only).__name__ == "UntypedStorage":
                made: Tensor = legacy_new(cls.dtype, "cpu", ()).set_(only)  # type: ignore[attr-defined]
                return made
            if isinstance(only, float):
                raise TypeError("new(): data must be a sequence (got float)")
            if isinstance(only, (str, bytes)):
                raise TypeError(f"new(): invalid data type '{type(only).__name__}'")
        return legacy_new(cls.dtype, "cpu", args)

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance._keys & cls.dtype.bit != 0
            and instance._backend.is_host
        )

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _declare(name: str, dtype: dtypes.dtype) -> Any:
    made: Any = tensortype(name, (), {"dtype": dtype, "__module__": "torch"})
    made.__doc__ = f"Host tensors of {dtype!r} (legacy)."
    return made


BFloat16Tensor = _declare("BFloat16Tensor", dtypes.bfloat16)
BoolTensor = _declare("BoolTensor", dtypes.bool)
ByteTensor = _declare("ByteTensor", dtypes.uint8)
CharTensor = _declare("CharTensor", dtypes.int8)
DoubleTensor = _declare("DoubleTensor", dtypes.float64)
FloatTensor = _declare("FloatTensor", dtypes.float32)
HalfTensor = _declare("HalfTensor", dtypes.float16)
IntTensor = _declare("IntTensor", dtypes.int32)
LongTensor = _declare("LongTensor", dtypes.int64)
ShortTensor = _declare("ShortTensor", dtypes.int16)

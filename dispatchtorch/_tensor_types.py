"""The legacy tensor types: ``torch.FloatTensor`` and its kin.

Each stands for the tensors of one dtype on one device type: it makes them, ``isinstance``
knows them, and ``Tensor.type`` takes it. Tensors themselves are all of class
``torch.Tensor``.
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
    "device_tensor_type",
    "tensortype",
]


class tensortype(type):
    """The class of the legacy tensor types."""

    dtype: dtypes.dtype
    device_type = "cpu"
    layout = strided
    is_sparse = False

    @property
    def is_cuda(cls) -> bool:
        return cls.device_type == "cuda"

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        """A tensor of sizes, of a sequence's values, or of another tensor."""
        from dispatchtorch.device import device as Device
        from dispatchtorch.factory import legacy_new

        place = cls.device_type
        if device is not None and Device(device).type != place:
            raise RuntimeError(
                f"legacy constructor expects device type: {place} but device type: "
                f"{Device(device).type} was passed"
            )
        cls._check_available()
        if len(args) == 1:
            only = args[0]
            if isinstance(only, Tensor) and only.dtype is not cls.dtype:
                raise TypeError(
                    f"expected {cls.__module__}.{cls.__name__} (got {only.type()})"
                )
            if hasattr(only, "nbytes") and hasattr(only, "_untyped"):
                only = only._untyped()
            if type(only).__name__ == "UntypedStorage":
                made: Tensor = legacy_new(cls.dtype, place, ()).set_(only)  # type: ignore[attr-defined]
                return made
            if isinstance(only, float):
                raise TypeError("new(): data must be a sequence (got float)")
            if isinstance(only, (str, bytes)):
                raise TypeError(f"new(): invalid data type '{type(only).__name__}'")
        return legacy_new(cls.dtype, place if device is None else device, args)

    def _check_available(cls) -> None:
        """TypeError where the device type isn't there."""
        if cls.device_type != "cpu":
            from dispatchtorch.device_namespace import available

            if not available(cls.device_type):
                raise TypeError(
                    f"type {cls.__module__}.{cls.__name__} not available. Torch not "
                    f"compiled with {cls.device_type.upper()} enabled."
                )

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance._keys & cls.dtype.bit != 0
            and instance._backend.device_type == cls.device_type
        )

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def _declare(name: str, dtype: dtypes.dtype, device_type: str = "cpu") -> Any:
    module = "torch" if device_type == "cpu" else f"torch.{device_type}"
    body = {"dtype": dtype, "device_type": device_type, "__module__": module}
    made: Any = tensortype(name, (), body)
    made.__doc__ = f"Tensors of {dtype!r} on {device_type} (legacy)."
    return made


_on_devices: dict[tuple[str, str], Any] = {}


def device_tensor_type(device_type: str, name: str) -> Any:
    """``torch.<device type>.FloatTensor`` and its kin."""
    key = device_type, name
    found = _on_devices.get(key)
    if found is None:
        found = _on_devices[key] = _declare(name, globals()[name].dtype, device_type)
    return found


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

"""What both kinds of storage share, and the names checkpoints have for them.

A storage holds one one-dimensional tensor over the whole of a memory, its root, and is
written in that tensor's public operators: any device that runs those has storages. Two
storages are equal when their memories are.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch import dtypes

if TYPE_CHECKING:
    from dispatchtorch._storage.typed import TypedStorage
    from dispatchtorch._storage.untyped import UntypedStorage

__all__ = ["LEGACY_STORAGES", "StorageBase", "legacy_dtype", "legacy_name"]

# The storage classes that checkpoints name, and the dtype each stands for. A dtype
# that isn't here is saved by its own name over an untyped storage.
LEGACY_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QUInt8Storage": "quint8",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}

_CASTS = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "bool": "bool",
    "complex_double": "complex128",
    "complex_float": "complex64",
    "float8_e4m3fn": "float8_e4m3fn",
    "float8_e4m3fnuz": "float8_e4m3fnuz",
    "float8_e5m2": "float8_e5m2",
    "float8_e5m2fnuz": "float8_e5m2fnuz",
}


def legacy_dtype(name: str) -> Any:
    """The dtype that the storage class ``name`` stands for.

    Raises NotImplementedError where this build has no such dtype.
    """
    found = getattr(dtypes, LEGACY_STORAGES[name], None)
    if found is None:
        raise NotImplementedError(
            f"torch.{name}: dispatchtorch has no dtype torch.{LEGACY_STORAGES[name]}"
        )
    return found


def legacy_name(dtype: Any) -> str | None:
    """The name of the storage class that stands for ``dtype``, None if none does."""
    return _legacy_names().get(dtype)


@functools.cache
def _legacy_names() -> dict[Any, str]:
    known = ((getattr(dtypes, dtype, None), n) for n, dtype in LEGACY_STORAGES.items())
    return {dtype: name for dtype, name in known if dtype is not None}


class StorageBase:
    """Devices, identity, copies, pickling and conversions of storages."""

    is_sparse = False
    is_sparse_csr = False

    def _untyped(self) -> UntypedStorage:
        raise NotImplementedError

    def _tensor(self) -> Any:
        """The elements as a 1-d tensor that shares this memory."""
        raise NotImplementedError

    def _as_tensor(self, dtype: Any) -> Any:
        """The memory as a 1-d tensor of ``dtype``."""
        return self._untyped()._as_tensor(dtype)

    def _like(self, untyped: UntypedStorage) -> Any:
        """A storage of this kind over another memory."""
        raise NotImplementedError

    @property
    def device(self) -> Any:
        return self._untyped()._root.device

    @property
    def is_cuda(self) -> bool:
        return bool(self.device.type == "cuda")

    @property
    def is_hpu(self) -> bool:
        return bool(self.device.type == "hpu")

    @property
    def _cdata(self) -> int:
        """A number that storages of one memory share."""
        untyped = self._untyped()
        return untyped.data_ptr() or id(untyped._root)

    @property
    def filename(self) -> str | None:
        """The file that backs this memory if it was made by a shared ``from_file``."""
        return self._untyped()._filename

    def get_device(self) -> int | None:
        return self.device.index  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._tensor().tolist())

    def _identity(self) -> tuple[Any, ...]:
        return self.device, self._cdata

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StorageBase) or type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __copy__(self) -> Any:
        return self._like(self._untyped().clone())

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        """A copy of the memory, made once for all storages of that memory."""
        copies = memo.setdefault("torch", {})
        mine = self._untyped()
        if mine._identity() not in copies:
            # The source is kept too: its address names it for as long as memo lives.
            copies[mine._identity()] = (mine.clone(), mine)
        return self._like(copies[mine._identity()][0])

    def __reduce__(self) -> tuple[Any, ...]:
        buffer = io.BytesIO()
        torch.serialization.save(self, buffer, _use_new_zipfile_serialization=False)
        return _load_from_bytes, (buffer.getvalue(),)

    def _to(self, dtype: Any, non_blocking: bool = False) -> TypedStorage:
        """A new storage with the elements converted to ``dtype``."""
        from dispatchtorch._storage.typed import TypedStorage

        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"Argument 'dtype' must be torch.dtype, not {type(dtype)}")
        converted = self._tensor().to(dtype, non_blocking=non_blocking, copy=True)
        return TypedStorage._of(converted)

    def _convert(self, kind: Any, non_blocking: bool) -> TypedStorage:
        """The elements as the storage class ``kind``, or so named, has them."""
        if isinstance(kind, torch.dtype):
            return self._to(kind, non_blocking)
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
        name = name.rpartition(".")[2]
        if name not in LEGACY_STORAGES:
            raise RuntimeError(f"Invalid storage type: {kind!r}")
        return self._to(legacy_dtype(name), non_blocking)

    def _rows(self) -> str:
        if self.device.type == "meta":
            return "..."
        return " " + "\n ".join(map(str, self._tensor().tolist()))

    def __str__(self) -> str:
        return repr(self)


def _cast(name: str, dtype: str) -> Callable[[StorageBase], TypedStorage]:
    def method(self: StorageBase) -> TypedStorage:
        return self._to(getattr(torch, dtype))

    method.__name__ = name
    method.__qualname__ = f"StorageBase.{name}"
    method.__doc__ = f"A new storage with the elements converted to torch.{dtype}."
    return method


for _name, _dtype in _CASTS.items():
    setattr(StorageBase, _name, _cast(_name, _dtype))


def _load_from_bytes(data: bytes) -> Any:
    """Rebuilds a storage from plain ``pickle``, which has already run code."""
    return torch.serialization.load(io.BytesIO(data), weights_only=False)


_load_from_bytes.__module__ = "dispatchtorch.storage"

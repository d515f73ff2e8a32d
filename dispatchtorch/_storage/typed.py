"""Memory as elements of one dtype: PyTorch's deprecated typed storages."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
from dispatchtorch import dtypes
from dispatchtorch._storage.base import (
    LEGACY_STORAGES,
    StorageBase,
    legacy_dtype,
    legacy_name,
)
from dispatchtorch._storage.untyped import UntypedStorage

__all__ = ["TypedStorage", "legacy_storage_classes"]

_PACKAGE = __name__.partition(".")[0] + "."

_always_warn = False
_has_warned = False


def _warn_typed_storage_removal() -> None:
    """Warns, once a process, in the name of the first caller outside this package."""
    global _has_warned
    if _has_warned and not _always_warn:
        return
    _has_warned = True
    caller: Any = sys._getframe(1)
    level = 2
    while caller.f_globals.get("__name__", "").startswith(_PACKAGE) and caller.f_back:
        caller = caller.f_back
        level += 1
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and "
        "UntypedStorage will be the only storage class. This should only matter to you "
        "if you are using storages directly.  To access UntypedStorage directly, use "
        "tensor.untyped_storage() instead of tensor.storage()",
        UserWarning,
        stacklevel=level,
    )


def _reset_warn_typed_storage_removal() -> None:
    global _has_warned
    _has_warned = False


def _set_always_warn_typed_storage_removal(always_warn: bool) -> None:
    """Whether each use of a ``TypedStorage`` warns, and not the first alone."""
    global _always_warn
    _always_warn = always_warn


def _get_always_warn_typed_storage_removal() -> bool:
    return _always_warn


def _deprecated(method: Callable[..., Any]) -> Any:
    """A public method of ``TypedStorage``: warns, then runs ``method``."""

    @functools.wraps(method)
    def public(*args: Any, **kwargs: Any) -> Any:
        _warn_typed_storage_removal()
        return method(*args, **kwargs)

    return public


_TYPED_FORMS = """
 * (*, torch.device device, torch.dtype dtype)
 * (int size, *, torch.device device, torch.dtype dtype)
 * (Sequence data, *, torch.device device, torch.dtype dtype)
 * (*, UntypedStorage wrap_storage, torch.dtype dtype)
"""
_LEGACY_FORMS = """
 * no arguments
 * (int size)
 * (Sequence data)
 * (*, UntypedStorage wrap_storage)
"""


class _Refusal:
    """Makes the errors of one constructor, its accepted forms in the text."""

    def __init__(self, function: str, forms: str) -> None:
        self.text = (
            f"{function} received an invalid combination of arguments. Expected one of:"
            f"{forms}"
        )

    def __call__(self, reason: str, error: type[Exception] = RuntimeError) -> Exception:
        return error(self.text + reason)

    def check_data(self, args: tuple[Any, ...]) -> Any:
        """The one positional argument: a size, or a sequence of values."""
        if len(args) > 1:
            raise self("Too many positional arguments")
        data = args[0] if args else 0
        if isinstance(data, str):
            raise TypeError("new(): invalid data type 'str'")
        if isinstance(data, bool) or not isinstance(data, (int, list, tuple, range)):
            raise self(f"Argument type not recognized: {type(data)}", TypeError)
        return data

    def check_wrap(self, args: tuple[Any, ...], storage: Any) -> None:
        if args:
            raise self(
                "No positional arguments should be given when using 'wrap_storage'"
            )
        if not isinstance(storage, UntypedStorage):
            raise self(
                "Argument 'wrap_storage' must be UntypedStorage, but got "
                f"{type(storage)}",
                TypeError,
            )


class TypedStorage(StorageBase):
    """Memory as elements of one dtype. Deprecated: use ``UntypedStorage``.

    Args:
        data: the number of elements to allocate, or a sequence of values.
        device, dtype: the host and the default dtype unless given.
        wrap_storage: an ``UntypedStorage`` to share instead; then ``dtype`` is needed.
    """

    __module__ = "dispatchtorch.storage"  # what pickles say

    dtype: Any

    def __init__(
        self,
        *args: Any,
        device: Any = None,
        dtype: Any = None,
        wrap_storage: Any = None,
        _internal: bool = False,
    ) -> None:
        if not _internal:
            _warn_typed_storage_removal()
        refuse = _Refusal("TypedStorage.__init__", _TYPED_FORMS)
        if wrap_storage is not None:
            refuse.check_wrap(args, wrap_storage)
            if dtype is None:
                raise refuse("Argument 'dtype' must be specified")
            if not isinstance(dtype, torch.dtype):
                raise refuse(
                    f"Argument 'dtype' must be torch.dtype, not {type(dtype)}",
                    TypeError,
                )
            if device is not None:
                raise refuse(
                    "Argument 'device' should not be specified when 'wrap_storage' is "
                    "given"
                )
            self.dtype, self._untyped_storage = dtype, wrap_storage
            return
        dtype = torch.get_default_dtype() if dtype is None else dtype
        if not isinstance(dtype, torch.dtype):
            raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
        data = refuse.check_data(args)
        device = "cpu" if device is None else device
        if isinstance(data, int):
            root = torch.empty(data, dtype=dtype, device=device)
        else:
            root = torch.tensor(list(data), dtype=dtype, device=device)
        self.dtype, self._untyped_storage = dtype, UntypedStorage._from_root(root)
        self._untyped_storage._viewed = False

    @classmethod
    def _wrap(cls, untyped: Any, dtype: Any) -> TypedStorage:
        return TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)

    @classmethod
    def _of(cls, tensor: Any) -> TypedStorage:
        """The storage of ``tensor``, shared with it and with all views of it."""
        return cls._wrap(UntypedStorage._of(tensor), tensor.dtype)

    def _untyped(self) -> UntypedStorage:
        return self._untyped_storage

    def _like(self, untyped: UntypedStorage) -> TypedStorage:
        return self._wrap(untyped, self.dtype)

    def _tensor(self) -> Any:
        if self.device.type == "meta":
            raise NotImplementedError("Not available for 'meta' device type")
        return self._untyped_storage._view(self.dtype)

    def _identity(self) -> tuple[Any, ...]:
        return self.dtype, *self._untyped_storage._identity()

    # Internal code uses these: they don't warn.

    def _size(self) -> int:
        return self._nbytes() // self._element_size()

    def _nbytes(self) -> int:
        return self._untyped_storage.nbytes()

    def _element_size(self) -> int:
        return self.dtype.itemsize  # type: ignore[no-any-return]

    def _data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    def _pickle_storage_type(self) -> str:
        name = legacy_name(self.dtype)
        if name is None:
            raise KeyError(f"dtype {self.dtype} is not recognized")
        return name

    def _new_shared(self, size: int, *, device: Any = None) -> TypedStorage:
        nbytes = size * self._element_size()
        return self._like(UntypedStorage._new_shared(nbytes, device=device or "cpu"))

    # Elements.

    def _check_index(self, index: Any) -> None:
        if isinstance(index, bool):
            raise TypeError(f"can't index a {type(self)} with {type(index)}")
        if not isinstance(index, (int, slice)):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")

    @_deprecated
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError(
                "slices are only supported in UntypedStorage.__getitem__"
            )
        self._check_index(index)
        if not -self._size() <= index < self._size():
            raise IndexError(
                f"index {index} out of range for storage of size {self._size()}"
            )
        return self._tensor()[index].item()

    @_deprecated
    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_index(index)
        self._tensor()[index] = value

    @_deprecated
    def __len__(self) -> int:
        return self._size()

    @_deprecated
    def tolist(self) -> list[Any]:
        return self._tensor().tolist()  # type: ignore[no-any-return]

    @_deprecated
    def fill_(self, value: Any) -> TypedStorage:
        self._tensor().fill_(value)
        return self

    @_deprecated
    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Copies ``source``'s bytes here; both must have as many."""
        self._untyped_storage.copy_(source, non_blocking)
        return self

    # Memory.

    @_deprecated
    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return self._untyped_storage

    @_deprecated
    def share_memory_(self) -> TypedStorage:
        """See ``UntypedStorage.share_memory_``."""
        self._untyped_storage.share_memory_()
        return self

    @_deprecated
    def resize_(self, size: int) -> None:
        """Makes this ``size`` elements long; see ``UntypedStorage.resize_``."""
        self._untyped_storage.resize_(size * self._element_size())

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._nbytes()

    @_deprecated
    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the storage class of this dtype, or a conversion to another."""
        if dtype is not None:
            return self._convert(dtype, non_blocking)
        place = self.device.type
        module = "torch" if place == "cpu" else f"torch.{place}"
        return f"{module}.{self._pickle_storage_type()}"

    @classmethod
    @_deprecated
    def from_file(cls, filename: Any, shared: bool, size: int) -> TypedStorage:
        """``size`` elements of a file, mapped; see ``UntypedStorage.from_file``."""
        if cls is TypedStorage:
            raise RuntimeError("from_file can only be called on derived classes")
        nbytes = size * cls.dtype.itemsize
        return cls._wrap(UntypedStorage.from_file(filename, shared, nbytes), cls.dtype)

    @classmethod
    @_deprecated
    def from_buffer(
        cls, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any
    ) -> TypedStorage:
        """A copy of a buffer's elements; see ``UntypedStorage.from_buffer``."""
        if cls is TypedStorage:
            dtype = torch.get_default_dtype() if dtype is None else dtype
        elif dtype is not None:
            raise RuntimeError(
                "from_buffer: 'dtype' can only be specified in "
                "UntypedStorage.from_buffer and TypedStorage.from_buffer"
            )
        else:
            dtype = cls.dtype
        device = torch.device("cpu" if device is None else device)
        untyped = UntypedStorage.from_buffer(*args, dtype=dtype, **kwargs)
        return cls._wrap(untyped.to(device=device), dtype)

    def __repr__(self) -> str:
        return (
            f"{self._rows()}\n[torch.storage.TypedStorage(dtype={self.dtype}, "
            f"device={self.device}) of size {self._size()}]"
        )


def _delegate(name: str, rewrap: bool) -> Any:
    """The untyped storage's method ``name``, its result typed again if ``rewrap``."""

    @functools.wraps(getattr(UntypedStorage, name))
    def method(self: TypedStorage, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self._untyped_storage, name)(*args, **kwargs)
        return self._like(result) if rewrap else result

    return _deprecated(method)


for _name in ("nbytes", "data_ptr", "is_shared", "is_pinned", "resizable"):
    setattr(TypedStorage, _name, _delegate(_name, rewrap=False))
for _name in ("clone", "to", "cpu", "cuda", "hpu", "pin_memory"):
    setattr(TypedStorage, _name, _delegate(_name, rewrap=True))
for _name in ("size", "element_size", "pickle_storage_type"):
    setattr(TypedStorage, _name, _deprecated(getattr(TypedStorage, "_" + _name)))
for _name in ("__iter__", "get_device"):
    setattr(TypedStorage, _name, _deprecated(getattr(StorageBase, _name)))


class _LegacyStorageMeta(type):
    """Makes ``isinstance(storage, FloatStorage)`` ask for the dtype and the device."""

    _place: str
    _dtype_of: str

    @property
    def dtype(cls) -> Any:
        return legacy_dtype(cls._dtype_of)

    def __instancecheck__(cls, instance: object) -> bool:
        return (
            isinstance(instance, TypedStorage)
            and instance.device.type == cls._place
            and instance.dtype == cls.dtype
        )


class _LegacyStorage(TypedStorage, metaclass=_LegacyStorageMeta):
    """Makes a ``TypedStorage`` of the class's dtype: size, sequence, wrap_storage."""

    __module__ = "dispatchtorch.storage"

    _place = "cpu"
    _dtype_of = "FloatStorage"

    def __new__(  # type: ignore[misc]
        cls, *args: Any, wrap_storage: Any = None, **kwargs: Any
    ) -> TypedStorage:
        _warn_typed_storage_removal()
        refuse = _Refusal(f"{cls}.__new__", _LEGACY_FORMS)
        for name in kwargs:
            if name not in ("dtype", "device"):
                raise TypeError(
                    "TypedStorage.__new__() got an unexpected keyword argument "
                    f"'{name}'"
                )
            raise refuse(f"Keyword argument '{name}' cannot be specified")
        if wrap_storage is None:
            data = refuse.check_data(args)
            return TypedStorage(
                data, dtype=cls.dtype, device=cls._place, _internal=True
            )
        refuse.check_wrap(args, wrap_storage)
        if wrap_storage.device.type != cls._place:
            raise refuse(
                f"The device of 'wrap_storage' must be {cls._place}, but got "
                f"{wrap_storage.device.type}"
            )
        return TypedStorage._wrap(wrap_storage, cls.dtype)

    @classmethod
    def _new_shared(cls, size: int) -> TypedStorage:  # type: ignore[override]
        untyped = UntypedStorage._new_shared(size * cls.dtype.itemsize)
        return cls._wrap(untyped, cls.dtype)


def legacy_storage_classes(module: str, place: str) -> dict[str, type]:
    """The classes ``FloatStorage``, … of one device type, as ``module`` shows them.

    Only those whose dtype this build has.
    """
    made: dict[str, type] = {}
    for name, dtype in LEGACY_STORAGES.items():
        # asked of the values: `torch` would look for an operator of that name
        if hasattr(dtypes, dtype):
            body = {"_place": place, "_dtype_of": name, "__module__": module}
            made[name] = _LegacyStorageMeta(name, (_LegacyStorage,), body)
    return made

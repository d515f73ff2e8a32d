"""NumPy in CuPy's place: the part of CuPy that the ``cuda`` device names, no more.

Arrays refuse what CuPy's refuse: conversions that nobody asked for, NumPy's functions and
arrays, dtypes without a loop. Results are new arrays in row-major order, reductions give
arrays without dims, and memory comes from the allocator that was set. What exists, with
which loops, is read from the record of the real package (``cupy_api.json``).
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

API = json.loads(Path(__file__).parent.with_name("cupy_api.json").read_text("utf-8"))
_BF16 = np.dtype(ml_dtypes.bfloat16)
MEMORY = 1 << 34
_SCALARS = (bool, int, float, complex, np.generic)


def dtype_of(char: str) -> np.dtype[Any]:
    return _BF16 if char == "E" else np.dtype(char)


# Memory.


class BaseMemory:
    """As CuPy's: subclasses set these three."""

    __slots__ = ("__weakref__", "device_id", "ptr", "size")

    @property
    def device(self) -> Any:
        return Device(self.device_id)


class OutOfMemoryError(MemoryError):
    pass


class _Pooled(BaseMemory):
    __slots__ = ("buffer", "pool")

    def __init__(self, size: int, pool: MemoryPool) -> None:
        rounded = -(-size // 512) * 512
        self.pool = pool
        self.size = rounded
        self.device_id = _state.device
        self.buffer = None
        self.ptr = 0
        if size:
            if pool.used + rounded > pool.limit:
                raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
            # Not zeros: kernels must write all of their results.
            held = np.full(rounded + 512, 0x7B, np.uint8)
            start = -held.ctypes.data % 512
            self.buffer = held[start : start + rounded]
            self.ptr = self.buffer.ctypes.data
            _BUFFERS[self.ptr] = self.buffer
            pool.used += rounded
            pool.total = max(pool.total, pool.used)

    def __del__(self) -> None:
        if getattr(self, "buffer", None) is not None:
            self.pool.used -= self.size
            _BUFFERS.pop(self.ptr, None)


_BUFFERS: dict[int, Any] = {}


class UnownedMemory(BaseMemory):
    __slots__ = ("_owner",)

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        import ctypes

        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = max(device_id, 0)
        raw = (ctypes.c_uint8 * size).from_address(ptr) if size else b""
        _BUFFERS[ptr] = np.frombuffer(raw, np.uint8)


class MemoryPointer:
    __slots__ = ("device_id", "mem", "ptr")

    def __init__(self, mem: BaseMemory, offset: int) -> None:
        assert isinstance(mem, BaseMemory)
        assert mem.ptr != 0 or offset == 0
        self.mem = mem
        self.ptr = mem.ptr + offset
        self.device_id = mem.device_id

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)


class MemoryPool:
    def __init__(self, allocator: Any = None) -> None:
        self.used = self.total = 0
        self.limit = MEMORY

    def malloc(self, size: int) -> MemoryPointer:
        return MemoryPointer(_Pooled(size, self), 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        self.total = self.used

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.total

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = (size or MEMORY) if fraction is None else int((MEMORY) * fraction)


class _State(threading.local):
    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}


_state = _State()
_pool = MemoryPool()
_allocator: Any = _pool.malloc


def get_default_memory_pool() -> MemoryPool:
    return _pool


def set_allocator(allocator: Any = None) -> None:
    global _allocator
    _allocator = allocator or _pool.malloc


def get_allocator() -> Any:
    return _allocator


def alloc(size: int) -> MemoryPointer:
    return _allocator(size)


class PinnedMemoryPointer(bytearray):
    """Host memory; a buffer, as CuPy's is."""

    def __init__(self, size: int) -> None:
        import ctypes

        super().__init__(max(size, 1))
        self.mem = self
        self.ptr = ctypes.addressof(ctypes.c_char.from_buffer(self))


def alloc_pinned_memory(size: int) -> Any:
    return PinnedMemoryPointer(size)


# Arrays.


def _address(a: np.ndarray[Any, Any]) -> int:
    return int(a.__array_interface__["data"][0])


class Flags:
    def __init__(self, array: ndarray) -> None:
        self.c_contiguous = array._c_contiguous
        self.f_contiguous = array._f_contiguous

    def __getitem__(self, name: str) -> Any:
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous}[name]


def _host(value: Any) -> Any:
    """An operand as NumPy takes it; TypeError for what CuPy refuses."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _new(values: Any, order: str = "C") -> ndarray:
    """A new array of host values."""
    values = np.asarray(values)
    made = ndarray(values.shape, values.dtype, order=order)
    if values.size:
        made._a[...] = values
    return made


def _view(of: ndarray, a: np.ndarray[Any, Any]) -> ndarray:
    made = object.__new__(ndarray)
    offset = _address(a) - of.data.mem.ptr if a.size and of.data.mem.ptr else 0
    made._fill_in(a, MemoryPointer(of.data.mem, offset))
    made.base = of if of.base is None else of.base
    return made


class ndarray:  # noqa: N801
    __slots__ = ("__weakref__", "_a", "base", "data")

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: Any = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        host = np.dtype(dtype)
        if host.kind == "V" and host != _BF16:
            raise ValueError(f"Unsupported dtype {host}")
        size = int(np.prod(shape, dtype=object)) * host.itemsize
        if memptr is None:
            if strides is not None:
                raise ValueError("strides without memptr: CuPy 13 refuses them")
            memptr = alloc(size)
        self.base = None
        if not memptr.mem.ptr:
            a = np.empty(shape, host, order=order)
            if strides is not None and a.size:
                raise AssertionError("elements without memory")
        else:
            held = memptr.mem
            while hasattr(held, "held"):
                held = held.held
            buffer = _BUFFERS[held.ptr]
            at = memptr.ptr - held.ptr
            if not size:
                at = 0
            a = np.ndarray(shape, host, buffer, at, strides, order)
        self._fill_in(a, memptr)

    def _fill_in(self, a: np.ndarray[Any, Any], data: MemoryPointer) -> None:
        self._a = a
        self.data = data
        self.base = None

    # What CuPy refuses.

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
            "to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"NumPy's {args[0]} was called on a CuPy array")

    def __array_function__(self, function: Any, *args: Any) -> Any:
        raise AssertionError(f"NumPy's {function} was called on a CuPy array")

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self) -> int:
        return len(self._a)

    def __bool__(self) -> bool:
        return bool(self._a)

    def __int__(self) -> int:
        return int(self._a)

    def __float__(self) -> float:
        return float(self._a)

    def __complex__(self) -> complex:
        return complex(self._a)

    def __index__(self) -> int:
        raise TypeError("a CuPy array is no index")

    def __repr__(self) -> str:
        return repr(self._a)

    # Properties.

    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(Flags)
    device = property(lambda self: Device(self.data.device_id))
    T = property(lambda self: _view(self, self._a.T))

    @property
    def _c_contiguous(self) -> bool:
        return bool(self._a.flags.c_contiguous)

    @property
    def _f_contiguous(self) -> bool:
        return bool(self._a.flags.f_contiguous)

    @property
    def real(self) -> ndarray:
        return _view(self, self._a.real) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> ndarray:
        if self.dtype.kind == "c":
            return _view(self, self._a.imag)
        return _new(np.zeros(self.shape, self.dtype))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        kind = self.dtype.str if self.dtype != _BF16 else "<V2"
        return {
            "shape": self.shape,
            "typestr": kind,
            "descr": [("", kind)],
            "stream": 1,
            "version": 3,
            "strides": None if self._c_contiguous else self.strides,
            "data": (self.data.ptr if self.size else 0, False),
        }

    # Views and copies.

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        if dtype is None:
            return _view(self, self._a[...])
        old, new = self.itemsize, np.dtype(dtype).itemsize
        if old == new:
            made = object.__new__(ndarray)
            made._fill_in(self._a.view(dtype), self.data)
            made.base = self
            return made
        if not self.ndim:
            raise ValueError("Changing the dtype of a 0d array")
        shape = (*self.shape[:-1], self.shape[-1] * old // new)
        return ndarray(shape, dtype, self.data, (*self.strides[:-1], new))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
            (shape,) = shape
        made = self._a.reshape(shape)
        if self.size and np.shares_memory(made, self._a):
            return _view(self, made)
        return _new(made)

    def transpose(self, *axes: Any) -> ndarray:
        if len(axes) == 1 and not isinstance(axes[0], int):
            (axes,) = axes
        return _view(self, self._a.transpose(*([tuple(axes)] if axes else [])))

    def swapaxes(self, a: int, b: int) -> ndarray:
        return _view(self, self._a.swapaxes(a, b))

    def ravel(self, order: str = "C") -> ndarray:
        return self.reshape(-1)

    def copy(self, order: str = "C") -> ndarray:
        return self.astype(self.dtype, order)

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> ndarray:
        host = np.dtype(dtype)
        if not copy and host == self.dtype and (order == "K" or self._c_contiguous):
            return self
        a = self._a
        if a.dtype.kind == "c" and host.kind not in "bc":
            a = a.real
        with np.errstate(all="ignore"):
            values = a.astype(host, order=order)
        if order == "K" and not (self._c_contiguous or self._f_contiguous):
            # As CuPy: dense, the dims in the order of the strides.
            where = sorted(range(a.ndim), key=lambda d: -abs(self.strides[d]))
            memory = ndarray([a.shape[d] for d in where], host)
            made = memory.transpose(sorted(range(a.ndim), key=where.__getitem__))
            made._a[...] = values
            return made
        if order in "KA":
            order = "F" if self._f_contiguous and not self._c_contiguous else "C"
        return _new(values, order)

    def fill(self, value: Any) -> None:
        self._a[...] = np.asarray(_host(value), dtype=self.dtype)

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> Any:
        return np.array(self._a, order=order)

    def set(self, arr: Any, stream: Any = None) -> None:
        if type(arr) is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        assert arr.dtype == self.dtype, (arr.dtype, self.dtype)
        assert arr.shape == self.shape, (arr.shape, self.shape)
        if not (self._c_contiguous or self._f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self._a[...] = arr

    def tolist(self) -> Any:
        return self._a.tolist()

    def item(self) -> Any:
        return self._a.item()

    def conj(self) -> ndarray:
        return _new(self._a.conj())

    def take(self, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        return take(self, indices, axis)

    def nonzero(self) -> tuple[ndarray, ...]:
        return nonzero(self)

    # Reductions.

    def _reduced(self, name: str, axis: Any, out: Any, **options: Any) -> ndarray:
        if isinstance(axis, list):
            axis = tuple(axis)
        with np.errstate(all="ignore"):
            made = getattr(np, name)(self._a, axis=axis, **options)
        made = np.asarray(made)
        if out is None:
            return _new(made)
        out._a[...] = made
        return out

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None,
            keepdims: bool = False) -> ndarray:  # fmt: skip
        return self._reduced("sum", axis, out, dtype=dtype, keepdims=keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None,
             keepdims: bool = False) -> ndarray:  # fmt: skip
        return self._reduced("prod", axis, out, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("max", axis, out, keepdims=keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("min", axis, out, keepdims=keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("any", axis, out, keepdims=keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("all", axis, out, keepdims=keepdims)

    def argmax(self, axis: Any = None, out: Any = None, dtype: Any = None,
               keepdims: bool = False) -> ndarray:  # fmt: skip
        return self._reduced("argmax", axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, dtype: Any = None,
               keepdims: bool = False) -> ndarray:  # fmt: skip
        return self._reduced("argmin", axis, out, keepdims=keepdims)

    def argsort(self, axis: int = -1, kind: Any = None) -> ndarray:
        if kind not in (None, "stable"):
            raise ValueError("only stable sorts")
        if self.dtype == _BF16 or self.dtype.kind == "c":
            raise NotImplementedError(f"Sorting arrays with dtype '{self.dtype}'")
        return _new(np.argsort(self._a, axis=axis, kind="stable"))

    # Indexing.

    @staticmethod
    def _key(key: Any) -> tuple[Any, bool]:
        parts = key if isinstance(key, tuple) else (key,)
        made, fancy = [], False
        for each in parts:
            if isinstance(each, ndarray):
                made.append(each._a)
                fancy = True
            elif each is None or each is Ellipsis or isinstance(each, (int, slice)):
                made.append(each)
            else:
                raise TypeError(f"{type(each)} as an index: CuPy would copy it")
        return tuple(made), fancy

    def __getitem__(self, key: Any) -> ndarray:
        made, fancy = self._key(key)
        found = self._a[made]
        if fancy or not isinstance(found, np.ndarray):
            if not fancy:  # all ints: a view without dims
                return _view(self, self._a[(*made, ...)])
            return _new(found)
        return _view(self, found)

    def __setitem__(self, key: Any, value: Any) -> None:
        made, _ = self._key(key)
        values = _host(value)
        with np.errstate(all="ignore"):
            if isinstance(values, np.ndarray):
                if values.dtype.kind == "c" and self.dtype.kind != "c":
                    values = values.real
                self._a[made] = values.astype(self.dtype, copy=True)
            else:
                self._a[made] = values


def _operators() -> None:
    pairs = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
        "floordiv": "floor_divide", "mod": "remainder", "pow": "power",
        "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "lshift": "left_shift", "rshift": "right_shift",
    }  # fmt: skip
    for short, name in pairs.items():
        def plain(self, other, name=name):  # type: ignore[no-untyped-def]
            return UFUNCS[name](self, other)

        def reflected(self, other, name=name):  # type: ignore[no-untyped-def]
            return UFUNCS[name](other, self)

        def inplace(self, other, name=name):  # type: ignore[no-untyped-def]
            return UFUNCS[name](self, other, out=self)

        setattr(ndarray, f"__{short}__", plain)
        setattr(ndarray, f"__r{short}__", reflected)
        setattr(ndarray, f"__i{short}__", inplace)
    compared = {"lt": "less", "le": "less_equal", "gt": "greater",
                "ge": "greater_equal", "eq": "equal", "ne": "not_equal"}  # fmt: skip
    for short, name in compared.items():
        def compare(self, other, name=name):  # type: ignore[no-untyped-def]
            return UFUNCS[name](self, other)

        setattr(ndarray, f"__{short}__", compare)
    for short, name in {"neg": "negative", "invert": "invert", "abs": "absolute"}.items():
        def unary(self, name=name):  # type: ignore[no-untyped-def]
            return UFUNCS[name](self)

        setattr(ndarray, f"__{short}__", unary)
    ndarray.__matmul__ = lambda self, other: matmul(self, other)  # type: ignore[attr-defined]
    ndarray.__hash__ = None  # type: ignore[assignment]


class ufunc:  # noqa: N801
    """An elementwise function with the loops that CuPy's has."""

    def __init__(self, name: str, function: Any, types: list[str]) -> None:
        self.name = self.__name__ = name
        self.function = function
        self.types = types
        taken, _, given = types[0].partition("->")
        self.nin, self.nout = len(taken), len(given)

    def _loop(self, operands: list[Any]) -> tuple[list[Any], list[Any]]:
        kinds = [a if isinstance(a, _SCALARS) else np.empty(0, a.dtype) for a in operands]
        common = np.result_type(*kinds)
        order = "?bBhHiIlLqQeEfdFD"
        types = sorted(
            self.types, key=lambda t: order.index(t[0]) if t[0] in order else 99
        )
        for line in types:
            taken, _, given = line.partition("->")
            if taken[0] == "V":
                continue
            wanted = [dtype_of(c) for c in taken]
            if all(np.can_cast(common, w, "safe") for w in wanted):
                return wanted, [dtype_of(c) for c in given]
        raise TypeError(f"Wrong type ({common}) of arguments for cupy_{self.name}")

    def __call__(self, *args: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if len(args) > self.nin:
            out = args[self.nin]
            args = args[: self.nin]
        dtype = options.pop("dtype", None)
        assert not options, f"{self.name} was given {options}"
        assert dtype is None
        operands = [_host(a) for a in args]
        taken, given = self._loop(operands)
        with np.errstate(all="ignore"):
            values = [
                np.asarray(a).astype(t)
                if not isinstance(a, np.ndarray)
                else a.astype(t, copy=False)
                for a, t in zip(operands, taken, strict=True)
            ]
            made = self.function(*values)
            results = made if isinstance(made, tuple) else (made,)
            results = [np.asarray(r).astype(g) for r, g in zip(results, given)]
        if out is not None:
            assert isinstance(out, ndarray)
            if not np.can_cast(given[0], out.dtype, "same_kind"):
                raise TypeError(f"can't cast {given[0]} to {out.dtype}")
            if np.broadcast_shapes(out.shape, results[0].shape) != out.shape:
                raise ValueError("Out shape is mismatched")
            out._a[...] = results[0]
            return out
        arrays = [_new(r) for r in results]
        return arrays[0] if self.nout == 1 else tuple(arrays)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None,
               keepdims: bool = False) -> Any:  # fmt: skip
        if self.name == "add":
            return array.sum(axis, dtype, out, keepdims)
        if self.name == "multiply":
            return array.prod(axis, dtype, out, keepdims)
        raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.name != "add":
            raise NotImplementedError(self.name)
        if a.dtype.name not in ("int32", "int64", "float16", "float32", "float64",
                                "uint32", "uint64"):  # fmt: skip
            raise TypeError(f"cupy.add.at doesn't support {a.dtype}")
        key, _ = ndarray._key(indices)
        np.add.at(a._a, key, _host(b))


def _found(module: str, name: str) -> Any:
    if module == "cupy":
        return getattr(np, name)
    from scipy import special

    if name == "erf":
        return lambda x: special.erf(x.astype("f8")).astype(x.dtype)
    return getattr(special, name, None)


UFUNCS: dict[str, ufunc] = {}
SPECIAL: dict[str, ufunc] = {}
for _full, _types in API["ufuncs"].items():
    _module, _, _name = _full.rpartition(".")
    try:
        _function = _found(_module, _name)
    except AttributeError:
        continue
    if _function is not None:
        target = UFUNCS if _module == "cupy" else SPECIAL
        target[_name] = ufunc(_name, _function, _types)
_operators()


# Functions.


def _arrays(*values: Any) -> list[Any]:
    return [_host(v) for v in values]


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(shape, dtype, order=order)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    made = ndarray(shape, dtype, order=order)
    made._a[...] = np.zeros((), made.dtype)
    return made


def ones(shape: Any, dtype: Any = float) -> ndarray:
    made = ndarray(shape, dtype)
    made._a[...] = np.ones((), made.dtype)
    return made


def full(shape: Any, fill_value: Any, dtype: Any = None) -> ndarray:
    return _new(np.full(shape, _host(fill_value), dtype))


def empty_like(a: ndarray, dtype: Any = None) -> ndarray:
    return ndarray(a.shape, a.dtype if dtype is None else dtype)


def zeros_like(a: ndarray, dtype: Any = None) -> ndarray:
    return zeros(a.shape, a.dtype if dtype is None else dtype)


def arange(*args: Any, dtype: Any = None) -> ndarray:
    return _new(np.arange(*args, dtype=dtype))


def asarray(a: Any, dtype: Any = None) -> ndarray:
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    found = getattr(a, "__cuda_array_interface__", None)
    if found is not None:
        host = np.dtype(found["typestr"])
        size = int(np.prod(found["shape"])) * host.itemsize
        memory = UnownedMemory(found["data"][0], size, a)
        return ndarray(found["shape"], host, MemoryPointer(memory, 0), found["strides"])
    return _new(np.asarray(a, dtype))


def array(obj: Any, dtype: Any = None) -> ndarray:
    return _new(np.array(obj, dtype))


def ascontiguousarray(a: ndarray, dtype: Any = None) -> ndarray:
    if a._c_contiguous and dtype in (None, a.dtype):
        return a
    return _new(a._a)


def concatenate(tup: Any, axis: int = 0, out: Any = None) -> ndarray:
    return _new(np.concatenate(_arrays(*tup), axis))


def stack(tup: Any, axis: int = 0) -> ndarray:
    return _new(np.stack(_arrays(*tup), axis))


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if condition.dtype.kind != "b":
        raise AssertionError("where() of numbers")
    return _new(np.where(*_arrays(condition, x, y)))


def take(a: ndarray, indices: Any, axis: Any = None) -> ndarray:
    return _new(np.take(a._a, _host(indices), axis))


def take_along_axis(a: ndarray, indices: ndarray, axis: Any) -> ndarray:
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if a.ndim != indices.ndim:
        raise ValueError("`indices` and `a` must have the same number of dimensions")
    return _new(np.take_along_axis(a._a, indices._a, axis))


def nonzero(a: ndarray) -> tuple[ndarray, ...]:
    if not a.ndim:
        raise ValueError("Calling nonzero on 0d arrays is not allowed.")
    return tuple(_new(x) for x in np.nonzero(a._a))


def flip(a: ndarray, axis: Any = None) -> ndarray:
    return _view(a, np.flip(a._a, axis))


def swapaxes(a: ndarray, axis1: int, axis2: int) -> ndarray:
    return a.swapaxes(axis1, axis2)


def broadcast_to(array: ndarray, shape: Any) -> ndarray:
    return _view(array, np.broadcast_to(array._a, shape))


def broadcast_arrays(*args: ndarray) -> list[ndarray]:
    shape = np.broadcast_shapes(*[a.shape for a in args])
    return [broadcast_to(a, shape) for a in args]


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    values = _host(src)
    if where is None:
        np.copyto(dst._a, values, casting=casting)
    else:
        np.copyto(dst._a, values, casting=casting, where=_host(where))


def cumsum(a: ndarray, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
    return _new(np.cumsum(a._a, axis, dtype))


def cumprod(a: ndarray, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
    return _new(np.cumprod(a._a, axis, dtype))


def argsort(a: ndarray, axis: int = -1, kind: Any = None) -> ndarray:
    return a.argsort(axis=axis, kind=kind)


def diagonal(a: ndarray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    return _view(a, np.diagonal(a._a, offset, axis1, axis2))


def matmul(a: ndarray, b: ndarray) -> ndarray:
    return _new(np.matmul(a._a, b._a))


def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> ndarray:
    made = np.clip(*_arrays(a, a_min, a_max))
    if out is None:
        return _new(made)
    out._a[...] = made
    return out


def asnumpy(a: Any) -> Any:
    return a.get()


def from_dlpack(source: Any) -> ndarray:
    kept = getattr(source, "standin", None)
    if kept is None:
        raise TypeError("the stand-in takes its own arrays alone")
    return kept


# Devices, streams, events.


class Device:
    def __init__(self, index: int | None = None) -> None:
        self.id = _state.device if index is None else int(index)
        self.attributes = {"MultiProcessorCount": 4}
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(_state.device)
        _state.device = self.id
        return self

    def __exit__(self, *args: Any) -> None:
        _state.device = self._before.pop()

    def use(self) -> None:
        _state.device = self.id


class Event:
    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        self.ptr = id(self)
        self.done = True
        self.timed = not disable_timing
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        import time

        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


def get_elapsed_time(start: Event, end: Event) -> float:
    assert start.timed
    assert end.timed
    return (end.time - start.time) * 1e3


class Graph:
    """What was recorded: nothing. Replays are counted."""

    def __init__(self) -> None:
        self.launches = 0

    def launch(self, stream: Any = None) -> None:
        self.launches += 1

    def upload(self, stream: Any = None) -> None:
        pass


class Stream:
    null: Any
    _count = 16

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        Stream._count += 16
        self.ptr = 0 if null else Stream._count
        self.device_id = -1 if null else _state.device
        self.priority = priority or 0
        self.done = True
        self._capturing = False

    @classmethod
    def from_external(cls, obj: Any) -> Stream:
        made = cls()
        made.ptr = obj.__cuda_stream__()[1]
        made.device_id = -1
        return made

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def use(self) -> Stream:
        if self.device_id not in (-1, _state.device):
            raise RuntimeError("The device that the stream is created on doesn't match")
        _state.streams[_state.device] = self
        return self

    def __enter__(self) -> Stream:
        self._last = _state.streams.get(_state.device)
        return self.use()

    def __exit__(self, *args: Any) -> None:
        _state.streams[_state.device] = self._last or Stream.null

    def synchronize(self) -> None:
        if self._capturing:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    def record(self, event: Any = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        pass

    def begin_capture(self, mode: Any = None) -> None:
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self._capturing = True

    def end_capture(self) -> Graph:
        self._capturing = False
        return Graph()

    def is_capturing(self) -> bool:
        return self._capturing


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    index = _state.device if device_id == -1 else device_id
    return _state.streams.get(index, Stream.null)


class RawKernel:
    """Kernels of CUDA C++, run by the emulator of the tests beside this folder."""

    runtime: Any = None

    def __init__(self, code: str, name: str, options: Any = ()) -> None:
        if RawKernel.runtime is None:
            from cuda_emulation import EmulatedRuntime

            RawKernel.runtime = EmulatedRuntime()
        self._launch = RawKernel.runtime.compile(code, name)
        self.kernel = self

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        self._launch(grid, block, [_argument(a) for a in args], shared_mem)


def _argument(value: Any) -> Any:
    if isinstance(value, ndarray):
        return np.uint64(value.data.ptr)
    if isinstance(value, CNumpyArray):
        return value.array
    return value


class CNumpyArray:
    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


class Runtime:
    """``cupy.cuda.runtime``."""

    count = 1
    driver = 13000
    memory = MEMORY

    def driverGetVersion(self) -> int:  # noqa: N802
        return self.driver

    def runtimeGetVersion(self) -> int:  # noqa: N802
        return 12090

    def getDeviceCount(self) -> int:  # noqa: N802
        return self.count

    def getDevice(self) -> int:  # noqa: N802
        return _state.device

    def setDevice(self, index: int) -> None:  # noqa: N802
        assert 0 <= index < self.count
        _state.device = index

    def deviceSynchronize(self) -> None:  # noqa: N802
        pass

    def memGetInfo(self) -> tuple[int, int]:  # noqa: N802
        return self.memory - _pool.total, self.memory

    def deviceCanAccessPeer(self, a: int, b: int) -> int:  # noqa: N802
        return 1

    def getDeviceProperties(self, index: int) -> dict[str, Any]:  # noqa: N802
        return {
            "name": b"Stand-in for a GPU", "major": 9, "minor": 0,
            "totalGlobalMem": self.memory, "multiProcessorCount": 4, "warpSize": 32,
            "maxThreadsPerMultiProcessor": 2048, "maxThreadsPerBlock": 1024,
            "regsPerMultiprocessor": 65536, "sharedMemPerBlock": 49152,
            "l2CacheSize": 1 << 20, "integrated": 0, "isMultiGpuBoard": 0,
            "pciBusID": 1, "pciDeviceID": 0, "pciDomainID": 0, "uuid": b"\0" * 16,
        }  # fmt: skip


# cuBLAS.


class Cublas:
    """``cupy_backends.cuda.libs.cublas``: a strided batch of products, by columns."""

    def gemmStridedBatchedEx(  # noqa: N802
        self, handle: Any, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: int,
        a: int, a_type: int, lda: int, a_step: int, b: int, b_type: int, ldb: int,
        b_step: int, beta: int, c: int, c_type: int, ldc: int, c_step: int, count: int,
        compute: int, algorithm: int,
    ) -> None:  # fmt: skip
        import ctypes

        kinds = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16", 14: _BF16}
        host = np.dtype(kinds[a_type])
        scalar = {0: "f4", 1: "f8", 2: "f4", 4: "c8", 5: "c16", 14: "f4"}[a_type]
        assert a_type == b_type == c_type
        assert compute == (70 if a_type in (1, 5) else 68)
        assert lda >= (k if turn_a else m), "leading dimension of A"
        assert ldb >= (n if turn_b else k), "leading dimension of B"
        assert ldc >= m

        def number(at: int) -> Any:
            size = np.dtype(scalar).itemsize
            return np.frombuffer(ctypes.string_at(at, size), scalar)[0]

        def matrices(at: int, rows: int, columns: int, lead: int, step: int) -> Any:
            span = (count - 1) * step + (columns - 1) * lead + rows
            raw = (ctypes.c_uint8 * (span * host.itemsize)).from_address(at)
            flat = np.frombuffer(raw, np.uint8).view(host)
            size = host.itemsize
            return np.lib.stride_tricks.as_strided(
                flat, (count, rows, columns), (step * size, size, lead * size)
            )

        left = matrices(a, *((k, m) if turn_a else (m, k)), lda, a_step)
        right = matrices(b, *((n, k) if turn_b else (k, n)), ldb, b_step)
        made = matrices(c, m, n, ldc, c_step)
        left = left.swapaxes(1, 2) if turn_a else left
        right = right.swapaxes(1, 2) if turn_b else right
        wide = np.dtype("f4") if host.itemsize == 2 else host
        with np.errstate(all="ignore"):
            value = number(alpha) * np.matmul(left.astype(wide), right.astype(wide))
            if number(beta):
                value = value + number(beta) * made.astype(wide)
            made[...] = value.astype(host)

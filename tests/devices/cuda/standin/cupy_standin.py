"""NumPy in CuPy's place: the part of CuPy that the ``cuda`` device names, no more.

Arrays refuse what CuPy's refuse: conversions that nobody asked for, NumPy's functions and
arrays, dtypes without a loop. Results are new arrays in row-major order, reductions give
arrays without dims, and memory comes from the allocator that was set. What exists, with
which loops, is read from the record of the real package (``cupy_api.json``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from standin_device import *  # noqa: F403
from standin_device import (
    _BUFFERS,
    Cublas,
    Device,
    MemoryPointer,
    RawKernel,
    UnownedMemory,
    alloc,
    recorded,
    waits,
)

API = json.loads(Path(__file__).parent.with_name("cupy_api.json").read_text("utf-8"))
_BF16 = np.dtype(ml_dtypes.bfloat16)
_SCALARS = (bool, int, float, complex, np.generic)


def dtype_of(char: str) -> np.dtype[Any]:
    return _BF16 if char == "E" else np.dtype(char)


# Arrays.


def _address(a: np.ndarray[Any, Any]) -> int:
    return int(a.__array_interface__["data"][0])


class Flags:
    def __init__(self, array: ndarray) -> None:
        self.c_contiguous = array._c_contiguous
        self.f_contiguous = array._f_contiguous

    def __getitem__(self, name: str) -> Any:
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous}[
            name
        ]


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
        waits()
        return bool(self._a)

    def __int__(self) -> int:
        waits()
        return int(self._a)

    def __float__(self) -> float:
        waits()
        return float(self._a)

    def __complex__(self) -> complex:
        waits()
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

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.device_id

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
        waits()
        return np.array(self._a, order=order)

    def set(self, arr: Any, stream: Any = None) -> None:
        waits()
        if type(arr) is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        assert arr.dtype == self.dtype, (arr.dtype, self.dtype)
        assert arr.shape == self.shape, (arr.shape, self.shape)
        if not (self._c_contiguous or self._f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self._a[...] = arr

    def tolist(self) -> Any:
        waits()
        return self._a.tolist()

    def item(self) -> Any:
        waits()
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

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return self._reduced("sum", axis, out, dtype=dtype, keepdims=keepdims)

    def prod(self, axis=None, dtype=None, out=None, keepdims=False):
        return self._reduced("prod", axis, out, dtype=dtype, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return self._reduced("max", axis, out, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return self._reduced("min", axis, out, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return self._reduced("any", axis, out, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return self._reduced("all", axis, out, keepdims=keepdims)

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return self._reduced("argmax", axis, out, keepdims=keepdims)

    def argmin(self, axis=None, out=None, dtype=None, keepdims=False):
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
    for short, name in {
        "neg": "negative",
        "invert": "invert",
        "abs": "absolute",
    }.items():

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
        kinds = [
            a if isinstance(a, _SCALARS) else np.empty(0, a.dtype) for a in operands
        ]
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
    made = np.where(*_arrays(condition, x, y))
    # CuPy has no loop for bfloat16 here, and takes the next one.
    return _new(made.astype("float32") if made.dtype == _BF16 else made)


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


def copyto(
    dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None
) -> None:
    values = _host(src)
    if where is None:
        np.copyto(dst._a, values, casting=casting)
    else:
        np.copyto(dst._a, values, casting=casting, where=_host(where))


def cumsum(a: ndarray, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
    return _new(np.cumsum(a._a, axis, dtype))


def cumprod(
    a: ndarray, axis: Any = None, dtype: Any = None, out: Any = None
) -> ndarray:
    return _new(np.cumprod(a._a, axis, dtype))


def argsort(a: ndarray, axis: int = -1, kind: Any = None) -> ndarray:
    return a.argsort(axis=axis, kind=kind)


def diagonal(a: ndarray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    return _view(a, np.diagonal(a._a, offset, axis1, axis2))


def matmul(a: ndarray, b: ndarray) -> ndarray:
    if a.ndim > 2 and a.dtype == _BF16:
        raise TypeError(a.dtype)
    return _new(np.matmul(a._a, b._a))


def from_dlpack(source: Any) -> ndarray:
    capsule = source.__dlpack__(stream=1)
    if not isinstance(capsule, ndarray):
        raise TypeError("the stand-in takes its own arrays alone")
    return _view(capsule, capsule._a[...])


# What a graph records.
for _class, _names in (
    (ndarray, "astype fill sum prod max min any all argmax argmin argsort conj __getitem__ "
     "__setitem__"),
    (ufunc, "__call__ at"),
    (RawKernel, "__call__"),
    (Cublas, "gemmStridedBatchedEx"),
):  # fmt: skip
    for _each in _names.split():
        setattr(_class, _each, recorded(getattr(_class, _each)))
for _each in (
    "zeros ones full arange ascontiguousarray concatenate stack where take "
    "take_along_axis copyto cumsum cumprod matmul"
).split():
    globals()[_each] = recorded(globals()[_each])

"""Memory and indexing by CuPy's functions: copies, gather, scatter, fancy indexing.

CuPy wraps indices around that are out of range, so that they are checked here; its
``add.at`` has few dtypes, so that others add up in a wider one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from dispatchtorch_numpy import indexing as generic

from dispatchtorch_cupy.arrays import as_strided, empty_ordered, is_capturing
from dispatchtorch_cupy.pointwise import astype

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# dtypes that are added up where atomics have none of their own.
_ADDED_IN = {
    "b": np.dtype("int32"),
    "i": np.dtype("int64"),
    "u": np.dtype("uint64"),
    "f": np.dtype("float32"),
    "V": np.dtype("float32"),
}
_SIGNED = np.dtype("int64")
_ATOMIC = frozenset(
    map(np.dtype, ("int32", "int64", "uint32", "uint64", "float32", "float64"))
)


def _copy(target: Any, source: Any) -> None:
    if not target.size:
        return
    if source.data.device_id != target.data.device_id:
        with cupy.cuda.Device(source.data.device_id):
            source = cupy.ascontiguousarray(source)
        source = source.copy()  # to the current device, which is the target's
    if source.dtype != target.dtype:
        source = astype(source, target.dtype)
    elif source.data.mem is target.data.mem and source.data.ptr != target.data.ptr:
        source = source.copy()  # what is read must not be written before
    target[...] = source


def _clone(x: Any, memory_format: Any) -> Any:
    # Dense arrays keep their strides; all else is the core's to decide.
    if memory_format is not None or not (x._c_contiguous or x._f_contiguous):
        return NotImplemented
    return x.copy("K")


def _fill(x: Any, value: Any) -> Any:
    if x.dtype.kind not in "fc":
        return NotImplemented
    try:
        x.fill(value)
    except (TypeError, OverflowError):
        return NotImplemented
    return None


def _masked_fill_(x: Any, mask: Any, value: Any) -> Any:
    if x.dtype.kind not in "fc" or mask.ndim > x.ndim:
        return NotImplemented
    try:
        cupy.copyto(x, x.dtype.type(value), where=mask)
    except (TypeError, ValueError):  # a mask of another shape
        return NotImplemented
    return None


def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    if x.dtype.kind not in "fc" or not (x._c_contiguous or x._f_contiguous):
        return NotImplemented
    made = x.copy("K")
    declined = _masked_fill_(made, mask, value)
    return made if declined is None else declined


def _view_dtype(x: Any, dtype: Any) -> Any:
    """The same bytes as another dtype, strides and offset in its elements."""
    old, new = x.itemsize, dtype.host.itemsize
    if old == new:
        return x.view(dtype.host)
    shape = (*x.shape[:-1], x.shape[-1] * old // new)
    strides = (*x.strides[:-1], new)
    return cupy.ndarray(shape, dtype.host, x.data, strides)


# Reading and writing at indices.


def _check(index: Any, least: int, size: int, failure: Callable[[int], Any]) -> None:
    """Raises ``failure(index)`` of the first index that isn't in [least, size)."""
    if not index.size or is_capturing():
        return
    wrong = (index < least) | (index >= size)
    if wrong.any():  # waits for the device
        raise failure(int(index.reshape(-1)[wrong.reshape(-1).argmax()]))


def _check_range(index: Any, size: int, dim: int) -> None:
    _check(
        index,
        0,
        size,
        lambda bad: RuntimeError(
            f"index {bad} is out of bounds for dimension {dim} with size {size}"
        ),
    )


def _gather(x: Any, dim: int, index: Any) -> Any:
    if not index.size:
        return cupy.empty(index.shape, x.dtype)
    _check_range(index, x.shape[dim] if x.ndim else 1, dim)
    if not index.ndim or not x.ndim:
        made = x.reshape(-1)[index.reshape(-1)]
        return made.reshape(index.shape)
    window = [slice(0, n) for n in index.shape]
    window[dim] = slice(None)
    return cupy.take_along_axis(x[tuple(window)], index, dim)


def _places(index: Any, dim: int) -> Any:
    grid = [
        cupy.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - d))
        for d, n in enumerate(index.shape)
    ]
    grid[dim] = index
    return tuple(grid)


def _add_at(target: Any, key: Any, values: Any) -> None:
    if target.dtype.kind == "c":
        real = np.dtype("f4" if target.dtype.itemsize == 8 else "f8")
        for part, own in ((target.real, values.real), (target.imag, values.imag)):
            made = part.astype(real)
            cupy.add.at(made, key, own)
            part[...] = made
        return
    host = target.dtype
    if host in _ATOMIC and target._c_contiguous:
        _atomic_add(target, key, values)
        return
    wide = host if host in _ATOMIC else _ADDED_IN[host.kind]
    made = cupy.ascontiguousarray(astype(target, wide))
    _atomic_add(made, key, astype(values, wide))
    target[...] = astype(made, host)


def _atomic_add(target: Any, key: Any, values: Any) -> None:
    if target.dtype == _SIGNED:  # CuPy 13 has atomics for the unsigned kind alone
        target, values = target.view(np.uint64), values.view(np.uint64)
    cupy.add.at(target, key, values)


def _scatter_add_(x: Any, dim: int, index: Any, src: Any) -> None:
    if not index.size:
        return
    if not x.ndim:
        x += src.reshape(-1)[: index.size].sum(dtype=x.dtype)
        return
    index, src = generic._same_rank(index, src)
    _check_range(index, x.shape[dim], dim)
    src = src[tuple(slice(0, n) for n in index.shape)]
    _add_at(x, _places(index, dim), src)


def _scatter_(x: Any, dim: int, index: Any, src: Any) -> None:
    if not index.size:
        return
    if not x.ndim:
        x[...] = src.reshape(-1)[-1]
        return
    index, src = generic._same_rank(index, src)
    _check_range(index, x.shape[dim], dim)
    x[_places(index, dim)] = src[tuple(slice(0, n) for n in index.shape)]


def _on_copy(write: Callable[..., Any]) -> Callable[..., Any]:
    """The functional form of an operator that writes to its first operand."""

    def kernel(x: Any, *args: Any) -> Any:
        made = x.copy("K")
        write(made, *args)
        return made

    return kernel


def _key_of(x: Any, indices: Any) -> Any:
    key = []
    for d, each in enumerate(indices):
        if each is None:
            key.append(slice(None))
            continue
        n = x.shape[d]
        if x.size or not n:
            _check(each, -n, n, lambda bad, d=d, n=n: _outside(bad, d, n))  # type: ignore[misc]
            key.append(each)
        else:  # then no element is read, and no index is wrong
            key.append(each % n)
    return tuple(key)


def _outside(bad: int, dim: int, size: int) -> IndexError:
    if not size:
        return IndexError("index is out of bounds for dimension with size 0")
    return IndexError(
        f"index {bad} is out of bounds for dimension {dim} with size {size}"
    )


def _index(x: Any, indices: Any) -> Any:
    made = x[_key_of(x, indices)]
    if x._c_contiguous:
        return made if made._c_contiguous else cupy.ascontiguousarray(made)
    dense = _in_order_of(made, x, indices)
    dense[...] = made
    return dense


def _in_order_of(made: Any, x: Any, indices: Any) -> Any:
    """An empty array like ``made`` in the memory order that PyTorch gives a read."""
    from dispatchtorch.ops.creation import inferred_strides

    given = [d for d, each in enumerate(indices) if each is not None]
    spread = cupy.broadcast_arrays(*[indices[d] for d in given])
    lead, count = given[0], spread[0].ndim
    if given[-1] - lead + 1 != len(given):
        lead = 0  # tensors of indices apart from each other come first
    kept = [s for d, s in enumerate(x.strides) if d not in given]
    own = (*kept[:lead], *[0] * count, *kept[lead:])
    rest = len(kept) - lead
    steps = [(*[0] * lead, *each.strides, *[0] * rest) for each in spread]
    strides = None
    if made.size:
        strides = inferred_strides(made.shape, own, *steps)
    return empty_ordered(made.shape, made.dtype, strides)


def _index_put_(x: Any, indices: Any, values: Any, accumulate: bool) -> None:
    key = _key_of(x, indices)
    wanted = _shape_at(x.shape, indices)
    try:
        fits = np.broadcast_shapes(values.shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be "
            f"broadcast to indexing result of shape {list(wanted)}"
        )
    if not math.prod(wanted):
        return
    if accumulate:
        _add_at(x, key, cupy.broadcast_to(values, wanted))
    else:
        x[key] = values


def _shape_at(shape: tuple[int, ...], indices: Any) -> tuple[int, ...]:
    """The shape of what is read at indices (None: the whole dim)."""
    given = [d for d, each in enumerate(indices) if each is not None]
    spread = np.broadcast_shapes(*[indices[d].shape for d in given])
    lead = given[0] if given[-1] - given[0] + 1 == len(given) else 0
    kept = [n for d, n in enumerate(shape) if d not in given]
    return (*kept[:lead], *spread, *kept[lead:])


def _nonzero(x: Any) -> Any:
    if not x.ndim:
        return NotImplemented
    found = cupy.nonzero(x != 0 if x.dtype.kind != "b" else x)
    # The positions of each dim lie together in memory, as in PyTorch.
    return cupy.stack(found).T


def _cat(arrays: Any, dim: int) -> Any:
    return cupy.concatenate(arrays, dim)


def _index_select(x: Any, dim: int, index: Any) -> Any:
    if not x.ndim:
        return NotImplemented
    size = x.shape[dim]

    def failure(bad: int) -> Exception:
        if dim != 1:
            return IndexError("index out of range in self")
        return RuntimeError(
            f"INDICES element is out of DATA bounds, id={bad} axis_dim={size}"
        )

    _check(index, 0, size, failure)
    if not index.size:
        shape = (*x.shape[:dim], 0, *x.shape[dim + 1 :])
        return cupy.empty(shape, x.dtype)
    return cupy.take(x, index.reshape(-1), dim)


def _flip(x: Any, dims: Any) -> Any:
    if not x.ndim or not x.size or not len(dims):
        return x.copy()
    return cupy.ascontiguousarray(cupy.flip(x, tuple(dims)))


# Views that CuPy makes with less ado than by strides.


def _view(x: Any, size: Any) -> Any:
    if not x._c_contiguous or not x.size or -1 in size or math.prod(size) != x.size:
        return NotImplemented
    return x.reshape(size)


def _transpose(x: Any, dim0: int, dim1: int) -> Any:
    return x.swapaxes(dim0, dim1)


def kernels_for(backend: Any) -> Kernels:
    """The kernels of memory and indexing."""
    functions: dict[str, Callable[..., Any]] = {
        "as_strided": as_strided,
        "copy_": _copy,
        "clone": _clone,
        "fill_.Scalar": _fill,
        "masked_fill.Scalar": _masked_fill,
        "masked_fill_.Scalar": _masked_fill_,
        "_view_dtype": _view_dtype,
        "gather": _gather,
        "scatter_add": _on_copy(_scatter_add_),
        "scatter_add_": _scatter_add_,
        "scatter.src": _on_copy(_scatter_),
        "scatter_.src": _scatter_,
        "index.Tensor": _index,
        "index_put": _on_copy(_index_put_),
        "index_put_": _index_put_,
        "nonzero_": _nonzero,
        "cat": _cat,
        "index_select": _index_select,
        "flip": _flip,
        "view": _view,
        "transpose": _transpose,
    }
    return {name: (function, False) for name, function in functions.items()}

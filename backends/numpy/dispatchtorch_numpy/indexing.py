"""Memory and indexing kernels: views, copies, gather, scatter, fancy indexing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["empty_in_order", "empty_like", "kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(xp: Any) -> Kernels:
    """The indexing kernels of an array module."""
    kernels: Kernels = {}
    strided = xp.lib.stride_tricks.as_strided

    def kernel(name: str) -> Callable[..., Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            kernels[name] = (function, False)
            return function

        return add

    # Memory.

    @kernel("as_strided")
    def as_strided(x: Any, shape: Any, strides: Any, offset: int) -> Any:
        size = x.itemsize
        root = x
        while type(root.base) is xp.ndarray:
            root = root.base
        steps = tuple([s * size for s in strides])
        if xp is np:
            dense = root.flags.c_contiguous and x.dtype.kind != "V"
            memory = root if dense else _buffer(root)
            try:
                return np.ndarray(shape, x.dtype, memory, offset * size, steps)
            except ValueError:
                # An empty view may begin past the end.
                if 0 not in shape:
                    raise
                return np.ndarray(shape, x.dtype, _buffer(root), 0, steps)
        flat = strided(root, (root.size,), (size,))
        return strided(flat[offset:], shape, steps)

    @kernel("copy_")
    def copy_(target: Any, source: Any) -> None:
        new, old = target.dtype, source.dtype
        # Writing casts as well, and saves a copy; but some casts aren't NumPy's.
        if new != old and not (_is_float(new) and _is_float(old)):
            source = cast_for_copy(source, new)
        target[...] = source

    @kernel("fill_.Scalar")
    def fill_(x: Any, value: Any) -> Any:
        try:
            if x.dtype.kind in "fc":
                x.fill(value)
                return None
        except (TypeError, OverflowError):
            pass
        return NotImplemented

    @kernel("masked_fill.Scalar")
    def masked_fill(x: Any, mask: Any, value: Any) -> Any:
        if x.dtype.kind not in "fc":
            return NotImplemented
        made = x.copy()
        declined = masked_fill_(made, mask, value)
        return made if declined is None else declined

    @kernel("masked_fill_.Scalar")
    def masked_fill_(x: Any, mask: Any, value: Any) -> Any:
        if x.dtype.kind not in "fc" or mask.ndim > x.ndim:
            return NotImplemented
        try:
            xp.copyto(x, value, where=mask)
        except (TypeError, ValueError):  # a mask of another shape
            return NotImplemented
        return None

    @kernel("clone")
    def clone(x: Any, memory_format: Any) -> Any:
        # Dense arrays keep their strides, expanded numbers have no order to keep; all
        # else is the core's to decide.
        if memory_format is not None:
            return NotImplemented
        flags = x.flags
        if flags.c_contiguous or flags.f_contiguous:
            return x.copy("K")
        return x.copy() if x.ndim == 1 or not any(x.strides) else NotImplemented

    # Views that NumPy makes faster than by strides.

    @kernel("expand")
    def expand(x: Any, size: Any, implicit: bool) -> Any:
        if x.shape or type(size) is not tuple or not size:
            return NotImplemented
        for length in size:
            if length < 2:
                return NotImplemented
        dtype = x.dtype
        if dtype.kind == "V":
            return NotImplemented
        return xp.ndarray(size, dtype, x, 0, (0,) * len(size))

    known_sizes: set[tuple[int, ...]] = set()  # without negative ones

    @kernel("view")
    def view(x: Any, size: Any) -> Any:
        if not x.flags.c_contiguous:
            return NotImplemented
        if size in known_sizes:
            return x.reshape(size)
        made = x.reshape(size)
        if made.shape == size:
            if len(known_sizes) < 1024:
                known_sizes.add(size)
            return made
        # NumPy takes any negative size for the unknown one.
        return made if -1 in size else NotImplemented

    @kernel("unsqueeze")
    def unsqueeze(x: Any, dim: int) -> Any:
        if not x.flags.c_contiguous or not 0 <= dim <= x.ndim or not x.size:
            return NotImplemented
        shape = x.shape
        return x.reshape((*shape[:dim], 1, *shape[dim:]))

    @kernel("squeeze")
    def squeeze(x: Any) -> Any:
        return x.squeeze() if x.size else NotImplemented

    @kernel("transpose")
    def transpose(x: Any, dim0: int, dim1: int) -> Any:
        return x.swapaxes(dim0, dim1)

    @kernel("t")
    def t(x: Any) -> Any:
        return x.T if x.ndim <= 2 else NotImplemented

    @kernel("select.int")
    def select(x: Any, dim: int, index: int) -> Any:
        if dim == 0:
            return x[index, ...]
        return x[(slice(None),) * dim + (index, ...)] if dim > 0 else NotImplemented

    @kernel("permute")
    def permute(x: Any, dims: Any) -> Any:
        return x.transpose(dims)

    @kernel("slice.Tensor")
    def slice_(x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
        if step <= 0 or not x.size:
            return NotImplemented
        if dim == 0:
            return x[start:end:step]
        return (
            x[(slice(None),) * dim + (slice(start, end, step),)]
            if dim > 0
            else NotImplemented
        )

    # Indexing.

    @kernel("gather")
    def gather(x: Any, dim: int, index: Any) -> Any:
        if not index.size:
            return xp.empty(index.shape, x.dtype)
        _check_range(xp, index, x.shape[dim], dim)
        if not index.ndim:
            return xp.asarray(x[int(index)])
        if (
            index.shape[:dim] + index.shape[dim + 1 :]
            != x.shape[:dim] + x.shape[dim + 1 :]
        ):
            x = x[
                tuple(
                    slice(None) if d == dim else slice(0, n)
                    for d, n in enumerate(index.shape)
                )
            ]
        made = xp.take_along_axis(x, index, dim)
        return made if made.flags.c_contiguous else xp.ascontiguousarray(made)

    def places(index: Any, dim: int) -> Any:
        grid = [
            xp.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - d))
            for d, n in enumerate(index.shape)
        ]
        grid[dim] = index
        return tuple(grid)

    @kernel("scatter_add")
    def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
        made = x.copy()
        scatter_add_(made, dim, index, src)
        return made

    @kernel("scatter_add_")
    def scatter_add_(x: Any, dim: int, index: Any, src: Any) -> None:
        if not index.size:
            return
        if not x.ndim:
            x += src.reshape(-1)[: index.size].sum(dtype=x.dtype)
            return
        index, src = _same_rank(index, src)
        _check_range(xp, index, x.shape[dim], dim)
        src = src[tuple(slice(0, n) for n in index.shape)]
        _add_at(xp, x, places(index, dim), src)

    @kernel("scatter.src")
    def scatter(x: Any, dim: int, index: Any, src: Any) -> Any:
        made = x.copy()
        scatter_(made, dim, index, src)
        return made

    @kernel("scatter_.src")
    def scatter_(x: Any, dim: int, index: Any, src: Any) -> None:
        if not index.size:
            return
        if not x.ndim:
            x[...] = src.reshape(-1)[-1]
            return
        index, src = _same_rank(index, src)
        _check_range(xp, index, x.shape[dim], dim)
        x[places(index, dim)] = src[tuple(slice(0, n) for n in index.shape)]

    def key_of(x: Any, indices: Any) -> Any:
        for d, each in enumerate(indices):
            if each is not None and (x.size or not x.shape[d]):
                _check_index(xp, each, x.shape[d], d)
        if not x.size:  # then no element is read, and no index is wrong
            indices = [
                each if each is None or not n else each % n
                for each, n in zip(indices, x.shape, strict=False)
            ]
        return tuple(slice(None) if each is None else each for each in indices)

    @kernel("index.Tensor")
    def index(x: Any, indices: Any) -> Any:
        made = x[key_of(x, indices)]
        if x.flags.c_contiguous:
            if made.flags.c_contiguous and 1 not in made.shape:
                return made
            dense = xp.empty(made.shape, made.dtype)
        else:
            dense = _in_order_of(xp, made, x, indices)
        dense[...] = made
        return dense

    @kernel("index_put")
    def index_put(x: Any, indices: Any, values: Any, accumulate: bool) -> Any:
        made = empty_like(xp, x)
        made[...] = x
        index_put_(made, indices, values, accumulate)
        return made

    @kernel("index_put_")
    def index_put_(x: Any, indices: Any, values: Any, accumulate: bool) -> Any:
        key = key_of(x, indices)
        try:
            if accumulate:
                _add_at(xp, x, key, values)
            else:
                x[key] = values
        except ValueError:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(values.shape)} cannot be "
                f"broadcast to indexing result of shape {list(x[key].shape)}"
            ) from None

    @kernel("nonzero_")
    def nonzero(x: Any) -> Any:
        # The positions of each dim lie together in memory, as in PyTorch.
        return xp.stack(xp.nonzero(x)).T if x.ndim else NotImplemented

    @kernel("cat")
    def cat(arrays: Any, dim: int) -> Any:
        made = xp.concatenate(arrays, dim)
        if made.flags.c_contiguous:
            return made
        if made.ndim in (4, 5) and made.size:
            from dispatchtorch.ops._formats import channels_last_strides

            if all(channels_last_strides(each.shape, each.strides) for each in arrays):
                return made
        return xp.ascontiguousarray(made)

    @kernel("index_select")
    def index_select(x: Any, dim: int, index: Any) -> Any:
        if not x.ndim:
            return NotImplemented
        size = x.shape[dim]
        if index.size and (index.min() < 0 or index.max() >= size):
            if dim != 1:
                raise IndexError("index out of range in self")
            bad = index[(index < 0) | (index >= size)].reshape(-1)[0]
            raise RuntimeError(
                f"INDICES element is out of DATA bounds, id={int(bad)} axis_dim={size}"
            )
        return xp.take(x, index.reshape(-1), dim)

    @kernel("flip")
    def flip(x: Any, dims: Any) -> Any:
        made = empty_in_order(xp, x)
        made[...] = xp.flip(x, dims) if x.ndim else x
        return made

    return kernels


def _with_strides(xp: Any, shape: Any, strides: Any, dtype: Any) -> Any:
    """An empty array whose elements lie ``strides`` elements apart, without gaps."""
    if strides is None or 0 in shape:
        return xp.empty(shape, dtype)
    size = xp.dtype(dtype).itemsize
    flat = xp.empty(math.prod(shape), dtype)
    return xp.lib.stride_tricks.as_strided(flat, shape, [s * size for s in strides])


def empty_in_order(xp: Any, x: Any, dtype: Any = None) -> Any:
    """An empty array in the memory order that a pointwise result of ``x`` has."""
    from dispatchtorch.ops.creation import inferred_strides

    size = x.itemsize
    strides = inferred_strides(x.shape, tuple([s // size for s in x.strides]))
    return _with_strides(xp, x.shape, strides, x.dtype if dtype is None else dtype)


def empty_like(xp: Any, x: Any, dtype: Any = None) -> Any:
    """An empty array with the strides of ``x`` if those leave no gaps, or in its order."""
    step = 1
    size = x.itemsize
    for stride, n in sorted(zip(x.strides, x.shape, strict=True)):
        if n != 1:
            if stride != step * size:
                return empty_in_order(xp, x, dtype)
            step *= n
    strides = [s // size for s in x.strides]
    return _with_strides(xp, x.shape, strides, x.dtype if dtype is None else dtype)


def flat_memory(root: Any) -> Any:
    """The memory of a root array, whatever the order of its dims, as a 1-d array."""
    if root.flags.c_contiguous:
        return root.reshape(-1)
    steps = root.strides
    ordered = root.transpose(sorted(range(root.ndim), key=lambda d: -steps[d]))
    if ordered.flags.c_contiguous:
        return ordered.reshape(-1)
    # A foreign buffer with gaps: everything from its first to its last element.
    size = root.itemsize
    span = 1 + sum((n - 1) * s for n, s in zip(root.shape, steps, strict=True)) // size
    return np.lib.stride_tricks.as_strided(root, (span if root.size else 0,), (size,))


def _buffer(root: Any) -> Any:
    """The memory of a root array as an object that np.ndarray can be laid over."""
    flat = flat_memory(root)
    # ml_dtypes' types have no buffer protocol.
    return flat.view(np.uint8) if root.dtype.kind == "V" else flat


def _is_float(host: Any) -> bool:
    """Whether a dtype is one of floats of two bytes or more."""
    return host.kind in "fV" and host.itemsize > 1


def cast_for_copy(source: Any, host: Any) -> Any:
    from dispatchtorch_numpy.pointwise import astype

    return astype(np, source, host)


def _add_at(xp: Any, target: Any, key: Any, values: Any) -> None:
    if target.dtype.kind == "V":
        wide = target.astype(xp.float32)
        xp.add.at(wide, key, values.astype(xp.float32))
        target[...] = wide.astype(target.dtype)
    else:
        xp.add.at(target, key, values)


def _same_rank(index: Any, src: Any) -> Any:
    """A scatter's index and source as vectors where one of them has no dims."""
    if index.ndim and src.ndim:
        return index, src
    return index.reshape(-1), src.reshape(-1)


def _check_range(xp: Any, index: Any, size: int, dim: int) -> None:
    """Indices of gather and its kin may not be negative."""
    if index.size and (index.min() < 0 or index.max() >= size):
        bad = index[(index < 0) | (index >= size)].reshape(-1)[0]
        raise RuntimeError(
            f"index {int(bad)} is out of bounds for dimension {dim} with size {size}"
        )


def _in_order_of(xp: Any, made: Any, x: Any, indices: Any) -> Any:
    """An empty array like ``made`` in the memory order that PyTorch gives a read."""
    from dispatchtorch.ops.creation import inferred_strides

    given = [d for d, each in enumerate(indices) if each is not None]
    arrays = np.broadcast_arrays(*[indices[d] for d in given])
    lead, count = given[0], arrays[0].ndim
    if given[-1] - lead + 1 != len(given):
        lead = 0  # tensors of indices apart from each other come first
    kept = [s for d, s in enumerate(x.strides) if d not in given]
    own = (*kept[:lead], *[0] * count, *kept[lead:])
    rest = len(kept) - lead
    strides = inferred_strides(
        made.shape,
        own,
        *[(*[0] * lead, *each.strides, *[0] * rest) for each in arrays],
    )
    if strides is None:
        return xp.empty(made.shape, made.dtype)
    order = sorted(range(made.ndim), key=lambda d: (-strides[d], -made.shape[d]))
    memory = xp.empty([made.shape[d] for d in order], made.dtype)
    return memory.transpose(sorted(range(made.ndim), key=order.__getitem__))


def _check_index(xp: Any, index: Any, size: int, dim: int) -> None:
    if index.size and (index.min() < -size or index.max() >= size):
        if not size:
            raise IndexError("index is out of bounds for dimension with size 0")
        bad = index[(index < -size) | (index >= size)].reshape(-1)[0]
        raise IndexError(
            f"index {int(bad)} is out of bounds for dimension {dim} with size {size}"
        )

"""Gather, scatter, rows by index, reads and writes with several tensors of indices.

Wrong indices are reported by the kernels and raised when the device is next waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import (
    broadcast,
    collapse,
    is_dense,
    row_major,
    size_of,
    spread,
)
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch_cupy.kernels.copying import Copies
from dispatchtorch_cupy.kernels.reduction import extreme
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE, is_half

__all__ = ["Indexing"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_LONG, _INT = np.dtype("int64"), np.dtype("int32")
_SINGLE = np.dtype("float32")
_DIMS = 12
_THREADS = 256
#: How an element gets to its place, by what is made of those that share one.
_WRITES = {
    "store": "*(p) = (v)",
    "sum": "atomic_add((p), (v))",
    "or": "atomic_update((p), OrTo<T>{(v)})",
    "prod": "atomic_update((p), TimesTo<T>{(v)})",
    "amax": "atomic_update((p), GreaterTo<T>{(v)})",
    "amin": "atomic_update((p), LessTo<T>{(v)})",
}


# Elements that are only moved, as numbers of their size.
_MOVED = {1: "u8", 2: "u16", 4: "u32", 8: "u64", 16: "c128"}


def _moved(x: Any) -> str:
    return _MOVED[x.dtype.itemsize]


def _index_type(index: Any) -> str | None:
    return {_LONG: "i64", _INT: "int"}.get(index.dtype)


class Indexing:
    """The kernels of indexing over a runtime."""

    def __init__(self, runtime: Runtime, copies: Copies) -> None:
        self.runtime = runtime
        self.copies = copies
        self._plans: dict[Any, Any] = {}
        self._codes: dict[Any, int] = {}

    # Plans and errors.

    def _code(self, kind: type[Exception], text: str) -> int:
        """The code of an error; ``text`` has a place for the index."""
        key = kind, text
        found = self._codes.get(key)
        if found is None:
            if len(self._codes) > 10000:
                self._codes.clear()
            found = self._codes[key] = self.runtime.expect(
                lambda bad: kind(text.format(bad=bad))
            )
        return found

    def _range_code(self, kind: type[Exception], dim: int, size: int) -> int:
        return self._code(
            kind,
            f"index {{bad}} is out of bounds for dimension {dim} with size {size}",
        )

    def _planned(self, key: Any, make: Callable[[], Any]) -> Any:
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) > 20000:
                self._plans.clear()
            found = self._plans[key] = make()
        return found

    def _walk(self, sizes: Sequence[int], steps: Sequence[Sequence[int]]) -> Any:
        """A ``Walk`` by value; None where there are too many dims."""
        if len(sizes) > _DIMS:
            return None
        table = np.zeros((5, _DIMS), "int64")
        for k, row in enumerate((sizes, *steps)):
            table[k, : len(row)] = row
        return self.runtime.constant(
            "2i60q", len(sizes), 0, *table.reshape(-1).tolist()
        )

    def _copied(self, x: Any) -> Any:
        """A copy in the memory order of the array."""
        return self.copies.cast(x, x.dtype)

    # Gather and scatter.

    def gather(self, x: Any, dim: int, index: Any) -> Any:
        kind = _index_type(index)
        if x.dtype not in CLASS or (kind is None and index.size):
            return NotImplemented
        made = self.runtime.empty(index.shape, x.dtype)
        if not index.size:
            return made
        line = index if index.ndim else index.reshape(1)
        x = x if x.ndim else x.reshape(1)

        def plan() -> Any:
            strides = self.runtime.strides
            own = strides(x)
            steps = [0 if d == dim else s for d, s in enumerate(own)]
            merged = collapse(line.shape, [strides(line), steps], True)
            walk = self._walk(*merged)
            code = self._range_code(RuntimeError, dim, x.shape[dim])
            numbers = self.runtime.constant(
                "4q", line.size, x.shape[dim], own[dim], code
            )
            launch = self.runtime.function(
                "indexing.cu", "gather", T=_moved(x), I=kind, PACK=1, GATHER=1
            )
            return walk, numbers, launch

        key = ("gather", x.dtype, x.shape, x.strides, dim, line.dtype, line.shape,
               line.strides)  # fmt: skip
        walk, numbers, launch = self._planned(key, plan)
        if walk is None:
            return NotImplemented
        blocks = (-(-line.size // _THREADS),)
        flag = self.runtime.flag()
        launch(blocks, (_THREADS,), (made, x, line, flag, numbers, walk))
        return made

    def _scatter(self, x: Any, dim: int, index: Any, source: Any, write: str) -> Any:
        """Writes to ``x``; None when done."""
        kind = _index_type(index)
        if not index.size:
            return None
        if kind is None or x.dtype not in CLASS or x.dtype != source.dtype:
            return NotImplemented
        line = index if index.ndim else index.reshape(1)
        target = x if x.ndim else x.reshape(1)
        source = source if source.ndim else source.reshape(1)

        def plan() -> Any:
            strides = self.runtime.strides
            own = strides(target)
            steps = [0 if d == dim else s for d, s in enumerate(own)]
            merged = collapse(line.shape, [strides(line), steps, strides(source)], True)
            code = self._range_code(RuntimeError, dim, target.shape[dim])
            numbers = self.runtime.constant(
                "4q", line.size, target.shape[dim], own[dim], code
            )
            launch = self.runtime.function(
                "indexing.cu", "scatter",
                T=_moved(x) if write == _WRITES["store"] else STORAGE[x.dtype], I=kind, PACK=1, SCATTER=1,
                **{"WRITE(p, v)": write},
            )  # fmt: skip
            return self._walk(*merged), numbers, launch

        key = ("scatter", write, x.dtype, target.shape, target.strides, dim, line.dtype,
               line.shape, line.strides, source.strides)  # fmt: skip
        walk, numbers, launch = self._planned(key, plan)
        if walk is None:
            return NotImplemented
        blocks = (-(-line.size // _THREADS),)
        flag = self.runtime.flag()
        launch(blocks, (_THREADS,), (target, source, line, flag, numbers, walk))
        return None

    def scatter_(self, x: Any, dim: int, index: Any, source: Any) -> Any:
        return self._scatter(x, dim, index, source, _WRITES["store"])

    def scatter_add_(self, x: Any, dim: int, index: Any, source: Any) -> Any:
        if is_half(x.dtype) and x.dtype == source.dtype and index.size:
            wide = self.copies.cast(x, _SINGLE)
            source = self.copies.cast(source, _SINGLE)
            declined = self._scatter(wide, dim, index, source, _WRITES["sum"])
            return self.copies.copy_(x, wide) if declined is None else declined
        write = _WRITES["or" if x.dtype.kind == "b" else "sum"]
        return self._scatter(x, dim, index, source, write)

    def _functional(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def kernel(x: Any, *args: Any) -> Any:
            if x.dtype not in CLASS:
                return NotImplemented
            made = self._copied(x)
            declined = function(made, *args)
            return made if declined is None else declined

        return kernel

    def scatter_reduce(
        self, x: Any, dim: int, index: Any, source: Any, reduce: str, include: bool
    ) -> Any:
        kind = CLASS.get(x.dtype, "")
        if reduce == "mean" or kind not in ("u", "i", "f") or x.dtype != source.dtype:
            return NotImplemented
        if reduce == "prod" and is_half(x.dtype):
            return NotImplemented
        if x.ndim != index.ndim or x.ndim != source.ndim or not x.ndim:
            return NotImplemented
        made = self._copied(x)
        if not include:
            start = {"sum": 0, "prod": 1}.get(reduce)
            value = extreme(x.dtype, reduce == "amax") if start is None else start
            write = f"*(p) = narrow<T>({value})"
            declined = self._scatter(made, dim, index, source, write)
            if declined is not None:
                return declined
        if reduce == "sum":
            declined = self.scatter_add_(made, dim, index, source)
        else:
            declined = self._scatter(made, dim, index, source, _WRITES[reduce])
        return made if declined is None else declined

    # Rows.

    def _rows(
        self, name: str, x_host: Any, index: Any, width: int, size: int, stride: int,
        code: int, pack: int, skipped: int = -1,
    ) -> Any:  # fmt: skip
        """Launch and numbers of a kernel over rows."""

        def plan() -> Any:
            kind = {"T": _MOVED[x_host.itemsize]}
            if name == "add_rows":
                kind = {"T": STORAGE[x_host], "A": COMPUTE[x_host]}
            launch = self.runtime.function(
                "indexing.cu", name, I=_index_type(index), PACK=pack, ROWS=1, **kind
            )
            numbers = self.runtime.constant(
                "7q", index.size, width, size, stride, code, width // pack, skipped
            )
            return launch, numbers

        key = (name, x_host, index.dtype, index.size, width, size, stride, code, pack,
               skipped)  # fmt: skip
        return self._planned(key, plan)

    def _take(self, x: Any, index: Any, shape: tuple[int, ...], code: int) -> Any:
        """Rows of ``x`` (contiguous), whose elements are slices of its first dim."""
        width = size_of(x.shape[1:])
        made = self.runtime.empty(shape, x.dtype)
        if made.size:
            pack = max(1, 16 // x.dtype.itemsize)
            while width % pack:
                pack //= 2
            index = self.runtime.contiguous(index)
            launch, numbers = self._rows(
                "take_rows", x.dtype, index, width, x.shape[0], width, code, pack
            )
            blocks = (-(-(index.size * width // pack) // _THREADS),)
            flag = self.runtime.flag()
            launch(blocks, (_THREADS,), (made, x, index, flag, numbers))
        return made

    def embedding(self, weight: Any, indices: Any, *options: Any) -> Any:
        if weight.dtype not in CLASS or _index_type(indices) is None:
            return NotImplemented
        code = self._code(IndexError, "index out of range in self")
        shape = (*indices.shape, weight.shape[1])
        return self._take(self.runtime.contiguous(weight), indices, shape, code)

    def index_select(self, x: Any, dim: int, index: Any) -> Any:
        if not x.ndim or x.dtype not in CLASS or _index_type(index) is None:
            return NotImplemented
        if dim == 0 and self.runtime.is_dense(x):
            code = self._code(IndexError, "index out of range in self")
            return self._take(x, index, (index.size, *x.shape[1:]), code)
        line = index.reshape(-1)
        lead = (1,) * dim
        shape = (*x.shape[:dim], line.size, *x.shape[dim + 1 :])
        spread_ = line.reshape((*lead, -1, *(1,) * (x.ndim - dim - 1)))
        return self.gather(x, dim, self.runtime.xp.broadcast_to(spread_, shape))

    def embedding_backward(
        self, grad: Any, indices: Any, count: int, padding_idx: int, scale: bool
    ) -> Any:
        if CLASS.get(grad.dtype) != "f" or _index_type(indices) is None:
            return NotImplemented
        width = grad.shape[-1]
        exact = np.dtype("float64") if grad.dtype.itemsize == 8 else _SINGLE
        made = self.runtime.zeros((count, width), exact)
        if grad.size:
            code = self._code(IndexError, "index out of range in self")
            indices = self.runtime.contiguous(indices)
            flag = self.runtime.flag()
            launch, numbers = self._rows(
                "add_rows", grad.dtype, indices, width, count, width, code, 1,
                padding_idx,
            )  # fmt: skip
            counts = None
            if scale:
                counts = self.runtime.zeros((count,), _LONG)
                counting, own = self._rows(
                    "count_rows", grad.dtype, indices, width, count, width, code, 1
                )
                blocks = (-(-indices.size // _THREADS),)
                counting(blocks, (_THREADS,), (counts, indices, flag, own))
            blocks = (-(-grad.size // _THREADS),)
            grad_ = self.runtime.contiguous(grad)
            launch(blocks, (_THREADS,), (made, grad_, indices, counts, flag, numbers))
        return made if exact == grad.dtype else self.copies.cast(made, grad.dtype)

    # Several tensors of indices.

    def _advanced(
        self, x: Any, indices: Sequence[Any], values: Any, write: str, pack: bool
    ) -> Any:
        """(launch, numbers, indices by value, walk, index arrays, elements a thread),
        and the result's shape and strides; None where the kernels don't fit."""
        given = [(d, k) for d, k in enumerate(indices) if k is not None]
        if not given or len(given) > 4 or x.dtype not in CLASS:
            return None
        if any(k.dtype != _LONG for _, k in given):
            return None
        arrays = [k for _, k in given]
        key = (
            "advanced", write, x.dtype, x.shape, x.strides, tuple(d for d, _ in given),
            *[(k.shape, k.strides) for k in arrays],
            None if values is None else (values.shape, values.strides),
        )  # fmt: skip
        made = self._planned(key, lambda: self._advance(x, given, values, write, pack))
        return made and (*made, arrays)

    def _advance(
        self, x: Any, given: Sequence[Any], values: Any, write: str, pack_: bool
    ) -> Any:
        strides = self.runtime.strides
        own = strides(x)
        dims = [d for d, _ in given]
        common = broadcast([k.shape for _, k in given])
        kept = [d for d in range(x.ndim) if d not in dims]
        lead = dims[0] if dims[-1] - dims[0] + 1 == len(dims) else 0
        sizes = [x.shape[d] for d in kept]
        shape = (*sizes[:lead], *common, *sizes[lead:])
        steps = [own[d] for d in kept]
        base = (*steps[:lead], *(0,) * len(common), *steps[lead:])
        rest = len(kept) - lead
        index_steps = [
            (*(0,) * lead, *spread(k.shape, strides(k), common), *(0,) * rest)
            for _, k in given
        ]
        order = None
        if not is_dense(x.shape, own) and values is None:
            order = inferred_strides(shape, base, *index_steps)
        if values is None:
            other = order or row_major(shape)
        else:
            try:
                fits = broadcast([shape, values.shape]) == shape
            except ValueError:
                fits = False
            if not fits:
                raise RuntimeError(
                    f"shape mismatch: value tensor of shape {list(values.shape)} cannot "
                    f"be broadcast to indexing result of shape {list(shape)}"
                )
            other = spread(values.shape, strides(values), shape)
        if not size_of(shape):
            empty = [x.shape[d] == 0 for d in dims]
            if any(empty) and size_of(common) and x.size == 0 and size_of(sizes):
                return None
            return None, None, None, None, shape, order, 0
        if any(x.shape[d] == 0 for d in dims):
            raise IndexError("index is out of bounds for dimension with size 0")
        lengths, merged = collapse(shape, [other, base, *index_steps], True)
        pack = 1
        if (
            pack_
            and merged[0][-1] == 1
            and merged[1][-1] == 1
            and all(s[-1] == 0 for s in merged[2:])
        ):
            pack = max(1, 16 // x.dtype.itemsize)
            while pack > 1 and (
                lengths[-1] % pack or any(s % pack for s in merged[0][:-1])
            ):
                pack //= 2
            lengths = [*lengths[:-1], lengths[-1] // pack]
            for s in merged[:2]:
                s[-1] *= pack
        walk = self._walk(lengths, [merged[1], merged[0]])
        if walk is None:
            return None
        n = len(given)
        table = [[*s, *(0,) * (_DIMS - len(s))] for s in merged[2:]]
        codes = [self._range_code(IndexError, d, x.shape[d]) for d in dims]
        by_value = self.runtime.constant(
            f"{3 * n + 12 * n}q",
            *[x.shape[d] for d in dims],
            *[own[d] for d in dims],
            *codes,
            *[s for row in table for s in row],
        )
        names = [f"i{k}" for k in range(n)]
        launch = self.runtime.function(
            "indexing.cu",
            "index_read" if values is None else "index_write",
            T=_moved(x) if write == _WRITES["store"] else STORAGE[x.dtype],
            PACK=pack,
            ADVANCED=n,
            INDEX_PARAMETERS=", ".join(f"const i64* {i}" for i in names),
            INDEX_LIST=", ".join(names),
            **{"WRITE(p, v)": write},
        )
        count = size_of(lengths)
        return (
            launch,
            self.runtime.constant("q", count),
            by_value,
            walk,
            shape,
            order,
            count,
        )

    def index(self, x: Any, indices: Sequence[Any]) -> Any:
        found = self._advanced(x, indices, None, _WRITES["store"], True)
        if found is None:
            return NotImplemented
        launch, numbers, by_value, walk, shape, order, count, arrays = found
        if order is None:
            made = self.runtime.empty(shape, x.dtype)
        else:
            made = self.runtime.empty_strided(shape, order, x.dtype)
        if launch is not None:
            flag = self.runtime.flag()
            args = (made, x, flag, *arrays, numbers, by_value, walk)
            launch((-(-count // _THREADS),), (_THREADS,), args)
        return made

    def index_put_(
        self, x: Any, indices: Sequence[Any], values: Any, accumulate: bool
    ) -> Any:
        if values.dtype != x.dtype:
            return NotImplemented
        if accumulate and is_half(x.dtype):
            wide = self.copies.cast(x, _SINGLE)
            values = self.copies.cast(values, _SINGLE)
            declined = self.index_put_(wide, indices, values, True)
            return self.copies.copy_(x, wide) if declined is None else declined
        form = "or" if x.dtype.kind == "b" else "sum"
        write = _WRITES[form if accumulate else "store"]
        found = self._advanced(x, indices, values, write, False)
        if found is None:
            return NotImplemented
        launch, numbers, by_value, walk, _, _, count, arrays = found
        if launch is not None:
            flag = self.runtime.flag()
            args = (x, values, flag, *arrays, numbers, by_value, walk)
            launch((-(-count // _THREADS),), (_THREADS,), args)
        return None

    def kernels(self) -> Kernels:
        """The kernels by operator."""
        table: dict[str, Callable[..., Any]] = {
            "gather": self.gather,
            "scatter.src": self._functional(self.scatter_),
            "scatter_.src": self.scatter_,
            "scatter_add": self._functional(self.scatter_add_),
            "scatter_add_": self.scatter_add_,
            "scatter_reduce.two": self.scatter_reduce,
            "embedding": self.embedding,
            "embedding_dense_backward": self.embedding_backward,
            "index_select": self.index_select,
            "index.Tensor": self.index,
            "index_put": self._functional(self.index_put_),
            "index_put_": self.index_put_,
        }
        return {name: (function, False) for name, function in table.items()}

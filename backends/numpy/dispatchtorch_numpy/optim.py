"""Formulas over rows of arrays: steps of optimizers, a block of elements at a time.

A formula becomes a Python function of ufuncs that write to arrays they are given. Blocks
are as small as a core's cache, so that a formula of many passes reads and writes memory
once; threads take one block after the other.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

from dispatchtorch import _settings
from dispatchtorch._threads import in_shares

__all__ = ["kernels_for"]

#: Bytes of all operands of a block: about what the caches beside a core hold. Smaller
#: blocks cost more than they save, as threads hand the interpreter's lock over for each.
_CACHE = 1 << 22
#: Elements of arrays that are small enough to make their temporaries anew; blocks of
#: large ones are a multiple.
_SMALL = 1 << 10
#: Elements of arrays that BLAS is given whole; SciPy is imported when one is met.
_LONG = 1 << 16
#: Blocks that are worth another thread.
_SHARE = 4

_UFUNCS = {
    "abs": "absolute",
    "div": "true_divide",
    "gt": "greater",
    "lt": "less",
    "mul": "multiply",
    "neg": "negative",
    "sub": "subtract",
}
# What isn't one ufunc: lines, and the temporaries that they need besides. NumPy's masked
# assignments branch on each element, so that masks are bits of integers instead.
_SIGN = (
    "greater({0}, 0, out=ma)",
    "less({0}, 0, out=mb)",
    "subtract(ma.view(int8), mb.view(int8), out=ma.view(int8))",
    "copyto({target}, ma.view(int8))",
)
_MASKED_FILL = (
    "copyto(wa, {1}.view(int8))",
    "negative(wa, out=wa)",
    "bitwise_xor({0}.view(wa.dtype), {2}.view(wa.dtype), out=wb)",
    "bitwise_and(wb, wa, out=wb)",
    "bitwise_xor({0}.view(wa.dtype), wb, out={target}.view(wa.dtype))",
)
_LINES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "copy": (("copyto({target}, {0})",), ()),
    "fill": (("copyto({target}, {1})",), ()),
    "masked_fill": (_MASKED_FILL, ("wa", "wb")),
    "sign": (_SIGN, ("ma", "mb")),
}
_OF_COMPLEX = frozenset("add copy div fill mul neg sub".split())


class _Compiled:
    """The function of a formula, and the names of the temporaries it is given."""

    def __init__(self, text: str, columns: int, numbers: int, xp: Any) -> None:
        from dispatchtorch.ops.foreach_formula import parsed

        formula = parsed(text)
        temporaries = list(formula.temporaries)
        code = []
        for target, name, args in formula.lines:
            if name in _LINES:
                lines, more = _LINES[name]
                code += [line.format(*args, target=target) for line in lines]
                temporaries += [each for each in more if each not in temporaries]
            else:
                ufunc = _UFUNCS.get(name, name)
                code.append(f"{ufunc}({', '.join(args)}, out={target})")
        names = [f"x{i}" for i in range(columns)]
        names += [f"n{i}" for i in range(numbers)] + temporaries
        source = "\n    ".join([f"def block({', '.join(names)}):", *code])
        made: dict[str, Any] = {}
        exec(compile(source, "<generated formula>", "exec"), dict(vars(xp)), made)
        self.block: Callable[..., None] = made["block"]
        self.temporaries = temporaries
        self.of_complex = all(name in _OF_COMPLEX for _, name, _ in formula.lines)
        self.axpy = _as_axpy(formula.lines)


def _as_axpy(lines: Any) -> tuple[int, int, int] | None:
    """(target, source, number) of a formula that is ``target += source * number``."""
    if len(lines) != 2:
        return None
    (product, first, factors), (target, second, terms) = lines
    if (first, second, *terms) != ("mul", "add", target, product):
        return None
    source, number = factors
    if (source[0], number[0], target[0]) != ("x", "n", "x"):
        return None
    return int(target[1:]), int(source[1:]), int(number[1:])


@functools.lru_cache
def _axpy(dtype: Any) -> Callable[..., Any] | None:
    """BLAS's ``y += a * x``, which reads memory once; None without SciPy."""
    try:
        from scipy.linalg import blas
    except ImportError:
        return None
    return {"f": blas.saxpy, "d": blas.daxpy}.get(dtype.char)


class _Scratch(threading.local):
    """A thread's temporaries, which outlive a step."""

    def __init__(self) -> None:
        self.arrays: dict[Any, Any] = {}


def kernels_for(xp: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernel of formulas; for NumPy, whose arrays lie with the processor."""
    if xp.__name__ != "numpy":
        return {}
    scratch = _Scratch()

    @functools.lru_cache(256)
    def compiled(text: str, columns: int, numbers: int) -> _Compiled:
        return _Compiled(text, columns, numbers, xp)

    def kind_of(name: str, dtype: Any) -> Any:
        """The dtype of a temporary."""
        if name[0] == "m":
            return xp.bool_
        return xp.dtype(f"i{dtype.itemsize}") if name[0] == "w" else dtype

    def formula(arrays: Any, text: str, columns: int, numbers: Any) -> Any:
        if not arrays:
            return None
        dtype = arrays[0].dtype
        if dtype.kind not in "fc" or dtype.itemsize < 4:
            return NotImplemented
        rows = []
        small = True
        for i in range(0, len(arrays), columns):
            row = arrays[i : i + columns]
            shape = row[0].shape
            for array in row:
                if array.shape != shape or array.dtype != dtype:
                    return NotImplemented
            small = small and row[0].size <= _SMALL
            rows.append(row)
        made = compiled(text, columns, len(numbers))
        if dtype.kind == "c" and not made.of_complex:
            return NotImplemented
        block = made.block
        values = [xp.array(number, dtype) for number in numbers]
        kinds = [kind_of(name, dtype) for name in made.temporaries]
        if small:
            for row in rows:
                shape = row[0].shape
                block(*row, *values, *[xp.empty(shape, kind) for kind in kinds])
            return None
        if made.axpy is not None:
            rows = [row for row in rows if not _added(row, made.axpy, values)]
            if not rows:
                return None
        operands = columns + len(kinds)
        length = max(_CACHE // (operands * dtype.itemsize * _SMALL), 1) * _SMALL
        keys = [(name, dtype) for name in made.temporaries]

        def temporary(key: Any, kind: Any) -> Any:
            found = scratch.arrays.get(key)
            if found is None or found.size < length:
                found = scratch.arrays[key] = xp.empty(length, kind)
            return found

        def work(pieces: Iterator[list[Any]]) -> None:
            for piece in pieces:
                first = piece[0]
                size = first.size
                if size > _SMALL and first.ndim == 1 and size <= length:
                    own = map(temporary, keys, kinds)
                    block(*piece, *values, *[t[:size] for t in own])
                else:
                    block(*piece, *values, *[xp.empty(first.shape, k) for k in kinds])

        pieces = [piece for row in rows for piece in _pieces(row, length)]
        # A list's iterator is shared: a thread that is held up takes less.
        shared = iter(pieces)
        threads = min(_settings.get_num_threads(), len(pieces) // _SHARE)
        in_shares(lambda start, stop: work(shared), threads, 1)
        return None

    return {"_foreach_formula_": (formula, False)}


def _added(row: list[Any], places: tuple[int, int, int], values: list[Any]) -> bool:
    """Whether BLAS could add to the first of two long arrays."""
    target, source = row[places[0]], row[places[1]]
    if target.size < _LONG or target is source:
        return False
    if not (target.flags.c_contiguous and source.flags.c_contiguous):
        return False
    add = _axpy(target.dtype)
    if add is None:
        return False
    add(source.reshape(-1), target.reshape(-1), a=values[places[2]].item())
    return True


def _pieces(row: list[Any], length: int) -> Iterator[list[Any]]:
    """Rows of at most ``length`` elements where memory allows."""
    size = row[0].size
    if size <= _SMALL:
        yield row
    elif all(array.flags.c_contiguous for array in row):
        flat = [array.reshape(-1) for array in row]
        if size <= length:
            yield flat
            return
        for i in range(0, size, length):
            yield [array[i : i + length] for array in flat]
    elif size <= length or not row[0].ndim:
        yield row
    else:
        # The dim with the longest strides goes in pieces.
        first = row[0]
        dim = max(range(first.ndim), key=lambda d: abs(first.strides[d]))
        step = max(1, math.floor(length * first.shape[dim] / size))
        for i in range(0, first.shape[dim], step):
            part = (slice(None),) * dim + (slice(i, i + step),)
            yield [array[part] for array in row]

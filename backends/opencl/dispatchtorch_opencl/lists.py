"""Operators over lists of tensors: a launch does many tensors' work.

A kernel takes as many arrays as the device has room for among its arguments, and goes
through them one after the other; all work items share each. Lists are handled where their
arrays lie in memory alike, have one dtype and don't broadcast; others are declined.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.expressions import HELPERS, INSTRUCTIONS
from dispatchtorch.ops.foreach_formula import parsed
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import Expression, collapse
from dispatchtorch_opencl.array import Memory, OpenCLArray
from dispatchtorch_opencl.pointwise import float_rows

__all__ = ["kernels_for"]

# operator | lists, number (``w``) | C expression of ``x``, ``y``, ``z`` and ``w``
ROWS = """
add.List | 2 w | x + w * y
add.Scalar | 1 w | x + w
sub.List | 2 w | x - w * y
sub.Scalar | 1 w | x - w
mul.List | 2 | x * y
mul.Scalar | 1 w | x * w
div.List | 2 | x / y
div.Scalar | 1 w | x / w
pow.List | 2 | pow(x, y)
pow.Scalar | 1 w | pow(x, w)
maximum.List | 2 | x > y || x != x ? x : y
minimum.List | 2 | x < y || x != x ? x : y
lerp.Scalar | 2 w | fabs(w) < (C)0.5 ? x + w * (y - x) : y - (y - x) * (1 - w)
lerp.List | 3 | fabs(z) < (C)0.5 ? x + z * (y - x) : y - (y - x) * (1 - z)
addcmul.Scalar | 3 w | x + w * y * z
addcdiv.Scalar | 3 w | x + w * y / z
"""
#: Operators of one list, by their rows in the table of pointwise kernels.
UNARY = """abs acos asin atan ceil cos cosh exp expm1 floor log log10 log1p log2 neg
reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc""".split()
#: The most arrays of a list that a kernel takes, and how many for short lists.
_MOST, _FEW = 32, 4


def _fills(x: OpenCLArray) -> bool:
    """Whether the elements fill a piece of memory, in any order."""
    sizes, (steps,) = collapse(x.shape, [x.strides])
    return len(sizes) == 1 and (steps[0] == 1 or sizes[0] == 1)


def _alike(lists: Sequence[Sequence[OpenCLArray]]) -> bool:
    """Whether kernels of this module take these lists."""
    first = lists[0][0]
    runtime, dtype = first.memory.runtime, first.dtype
    if types.CLASS[dtype] != "f":
        return False
    for row in zip(*lists, strict=True):
        shape, strides = row[0].shape, row[0].strides
        for x in row:
            if type(x) is not OpenCLArray or x.memory.runtime is not runtime:
                return False
            if x.dtype is not dtype or x.shape != shape or x.strides != strides:
                return False
        if not _fills(row[0]):
            return False
    return True


class _Program:
    """What a kernel computes of a row of arrays: lines of C.

    ``reads`` and ``writes`` name arrays; lines call their elements so, and numbers ``n0``,
    ``n1``, …. ``more`` declares what else they assign to.
    """

    __slots__ = (
        "helpers",
        "lines",
        "more",
        "name",
        "names",
        "numbers",
        "reads",
        "writes",
    )

    def __init__(
        self,
        name: str,
        reads: Sequence[str],
        writes: Sequence[str],
        numbers: int,
        lines: Sequence[str],
        more: str = "",
        helpers: str = "",
    ) -> None:
        self.name = name
        self.reads = reads
        self.writes = writes
        self.names = [*reads, *(n for n in writes if n not in reads)]
        self.numbers = numbers
        self.lines = lines
        self.more = more
        self.helpers = helpers

    def source(self, dtype: Any, count: int) -> str:
        """The kernel for ``count`` rows of arrays."""
        kind, stored = types.COMPUTE[dtype], types.STORAGE[dtype]
        taken, tables, starts = [], [], []
        for k, n in enumerate(self.names):
            taken += [f"__global {stored}* {n}_{t}" for t in range(count)]
            each = ", ".join(f"{n}_{t}" for t in range(count))
            tables.append(f"__global {stored}* {n}_s[] = {{{each}}};")
            starts.append(f"__global {stored}* {n}_ = {n}_s[t] + g.at[{k}][t];")
        fresh = [n for n in self.writes if n not in self.reads]
        loads = [f"{kind} {n} = {types.load(dtype, n + '_', 'i')};" for n in self.reads]
        loads += [f"{kind} {n};" for n in fresh] + [self.more]
        stores = [types.store(dtype, n + "_", "i", n) for n in self.writes]
        numbers = [f"const {kind} n{j} = g.n[{j}];" for j in range(self.numbers)]
        return f"""
#define C {kind}
#define K(v) ((C)(v))
{self.helpers}
typedef struct {{ long size[{count}]; long at[{len(self.names)}][{count}];
  {kind} n[{self.numbers or 1}]; }} Table;
__kernel void lists(const Table g, {", ".join(taken)}) {{
  {" ".join(tables)} {" ".join(numbers)}
  for (int t = 0; t < {count}; t++) {{
    {" ".join(starts)}
    SHARE(i, g.size[t]);
    EACH(i) {{ {" ".join([*loads, *self.lines, *stores])} }} }}
}}"""

    def places(self, runtime: Any, length: int) -> int:
        """How many rows a kernel takes."""
        if length <= _FEW:
            return _FEW
        # An array is a pointer and an offset; each row has a size.
        room = runtime.device.max_parameter_size - 16 - 8 * (self.numbers or 1)
        return max(_FEW, min(_MOST, room // (len(self.names) * 16 + 8)))

    def run(
        self, columns: Sequence[Sequence[OpenCLArray]], numbers: Sequence[float] = ()
    ) -> None:
        """Runs on lists of arrays, one for each of ``names``."""
        first = columns[0][0]
        runtime, dtype = first.memory.runtime, first.dtype
        count = self.places(runtime, len(columns[0]))
        key = ("lists", self.name, dtype, count)
        kernel = runtime.cache.get(key)
        if kernel is None:
            options = types.options_for(dtype)
            kernel = runtime.build("lists", self.source(dtype, count), options)
            runtime.cache[key] = kernel
        values = np.array(numbers or [0], types.compute_host(dtype)).tobytes()
        values += bytes(-len(values) % 8)
        for start in range(0, len(columns[0]), count):
            parts = [column[start : start + count] for column in columns]
            filling = count - len(parts[0])
            sizes = [x.size for x in parts[0]]
            table = sizes + [0] * filling
            pointers: list[Any] = []
            for part in parts:
                table += [x.offset for x in part] + [0] * filling
                buffers = [x.memory.buffer for x in part]
                pointers += buffers + buffers[:1] * filling
            packed = np.array(table, "int64").tobytes() + values
            runtime.launch(kernel, runtime.items(sum(sizes)), [packed, *pointers])


def _fresh(x: OpenCLArray) -> OpenCLArray:
    """A new array that lies in memory as another one does."""
    memory = Memory(x.memory.runtime, x.size * x.dtype.itemsize)
    return OpenCLArray(memory, x.shape, x.strides, 0, x.dtype)


def _program(row: Expression, arrays: int, numbered: bool) -> _Program:
    """The program of an expression: ``o`` of ``x``, ``y``, ``z`` and the number ``w``."""
    lines = ["const C w = n0;"] if numbered else []
    reads = "xyz"[:arrays]
    return _Program(
        row.name,
        reads,
        "o",
        int(numbered),
        [*lines, f"o = {row.code};"],
        "",
        row.helpers,
    )


def _kernel(program: _Program, written: bool) -> Callable[..., Any]:
    arrays = len(program.reads)

    def kernel(*args: Any) -> Any:
        lists, numbers = args[:arrays], args[arrays : arrays + program.numbers]
        if not all(type(n) in (int, float, bool) for n in numbers) or not lists[0]:
            return NotImplemented
        if len({len(each) for each in lists}) > 1 or not _alike(lists):
            return NotImplemented
        outs = lists[0] if written else [_fresh(x) for x in lists[0]]
        program.run([*lists, outs], numbers)
        return outs

    return kernel


def _rows() -> dict[str, _Program]:
    """operator -> its program."""
    made = {}
    for line in ROWS.strip().splitlines():
        name, form, code = line.split(" | ", 2)
        arrays, _, number = form.partition(" ")
        row = Expression(f"_foreach_{name}", code, helpers=HELPERS["f"])
        made[name] = _program(row, int(arrays), bool(number))
    unary = float_rows()
    for name in UNARY:
        made[name] = _program(unary[name], 1, False)
    return made


def copy_(lists: Sequence[OpenCLArray], sources: Sequence[OpenCLArray], _: bool) -> Any:
    if not lists or len(lists) != len(sources) or not _alike([lists, sources]):
        return NotImplemented
    _COPIED.run([sources, lists])
    return lists


_COPIED = _Program("_foreach_copy", "x", "o", 0, ["o = x;"])
_ZERO = _Program("_foreach_zero", "x", "o", 0, ["o = 0;"])

# Formulas: what an instruction is in C. ``{0}`` … are its operands.
_INSTRUCTIONS = INSTRUCTIONS | {"sign": "(C)(({0} > 0) - ({0} < 0))"}


@functools.lru_cache(256)
def _formula(text: str, columns: int, numbers: int) -> _Program:
    formula = parsed(text)
    lines = [
        f"{target} = {_INSTRUCTIONS[name].format(*args)};"
        for target, name, args in formula.lines
    ]
    more = " ".join(
        f"{'int' if name[0] == 'm' else 'C'} {name} = 0;"
        for name in formula.temporaries
    )
    names = [f"x{i}" for i in range(columns)]
    written = [f"x{i}" for i in formula.written]
    return _Program(text, names, written, numbers, lines, more)


def formula(
    arrays: Sequence[OpenCLArray], text: str, columns: int, numbers: Sequence[float]
) -> Any:
    """All lines of a formula in one kernel; see ``dispatchtorch.ops.foreach_formula``."""
    lists = [arrays[i::columns] for i in range(columns)]
    if not arrays or len(arrays) % columns or not _alike(lists):
        return NotImplemented
    if arrays[0].dtype.itemsize == 2:
        return NotImplemented  # each line rounds
    _formula(text, columns, len(numbers)).run(lists, numbers)
    return None


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of lists, those that write to their operands among them."""
    table: dict[str, Callable[..., Any]] = {
        "_foreach_formula_": formula,
        "_foreach_copy_": copy_,
        "_foreach_zero_": _kernel(_ZERO, True),
    }
    for name, program in _rows().items():
        base, dot, overload = name.partition(".")
        table[f"_foreach_{name}"] = _kernel(program, False)
        table[f"_foreach_{base}_{dot}{overload}"] = _kernel(program, True)
    return {name: (function, False) for name, function in table.items()}

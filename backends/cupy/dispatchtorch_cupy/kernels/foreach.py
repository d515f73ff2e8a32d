"""Operators over lists of tensors, and formulas of optimizers: one launch for a list.

The arrays' addresses go to the device as a table, with a line for each chunk of work;
blocks take a chunk each, so that small and large arrays share the device evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.expressions import INSTRUCTIONS
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_CHUNK = 4096
_LONG = np.dtype("int64")
# Operator | arguments after the first list, of lists in capital letters | expression of x
# (the first list's element), y and z (of others), and numbers a.
_ROWS = """
_foreach_add.List | Y a | x + a * y
_foreach_add.Scalar | a | x + a
_foreach_sub.List | Y a | x - a * y
_foreach_sub.Scalar | a | x - a
_foreach_mul.List | Y | x * y
_foreach_mul.Scalar | a | x * a
_foreach_div.List | Y | x / y
_foreach_div.Scalar | a | x / a
_foreach_maximum.List | Y | x > y || x != x ? x : y
_foreach_minimum.List | Y | x < y || x != x ? x : y
_foreach_clamp_min.Scalar | a | x < a ? a : x
_foreach_clamp_max.Scalar | a | x > a ? a : x
_foreach_lerp.Scalar | Y a | fabs(a) < K(0.5) ? x + a * (y - x) : y - (y - x) * (K(1) - a)
_foreach_addcmul.Scalar | Y Z a | x + a * y * z
_foreach_addcdiv.Scalar | Y Z a | x + a * y / z
_foreach_sqrt | | sqrt(x)
_foreach_neg | | -x
_foreach_abs | | fabs(x)
_foreach_exp | | exp(x)
_foreach_reciprocal | | K(1) / x
"""
#: Lines of formulas, of operands {0}, {1}, ….
_LINES = INSTRUCTIONS | {"reciprocal": "K(1) / {0}"}
#: Arrays of a row, which a table for them may have.
_MOST_COLUMNS = 16
#: Tables that are kept.
_MOST_TABLES = 512


class _Foreach:
    """Launches of computations over lists, and functions by what they compute."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._functions: dict[Any, Any] = {}
        self._tables: dict[Any, Any] = {}

    def _table(self, columns: Sequence[Sequence[Any]]) -> tuple[Any, int]:
        """The table of ``foreach.cu``, and how many chunks it has.

        Lists that lie where they lay before, as those of optimizers do, have theirs.
        """
        runtime = self.runtime
        address = runtime.address
        sizes = [x.size for x in columns[0]]
        head = [address(x) for column in columns for x in column] + sizes
        key = (runtime.current_device(), len(columns), *head)
        found = self._tables.get(key)
        if found is None:
            if len(self._tables) >= _MOST_TABLES:
                # Graphs that were captured may read the first ones.
                for old in list(self._tables)[_MOST_TABLES // 2 :]:
                    del self._tables[old]
            chunks = [-(-n // _CHUNK) for n in sizes]
            total = sum(chunks)
            table = np.empty(len(head) + 2 * total, _LONG)
            table[: len(head)] = head
            lines = table[len(head) :].reshape(-1, 2)
            lines[:, 0] = np.repeat(np.arange(len(sizes)), chunks)
            starts = np.cumsum(chunks) - chunks
            lines[:, 1] = np.arange(total) - np.repeat(starts, chunks)
            found = (*(runtime.upload(table) if total else (None, None)), total)
            self._tables[key] = found
        return found[0], found[2]

    def run(
        self,
        key: Any,
        columns: Sequence[Sequence[Any]],
        numbers: Sequence[float],
        body: Callable[[], tuple[set[int], set[int], str]],
    ) -> None:
        """Computes ``body()`` (what is read, what is written, statements)."""
        hosts = tuple([column[0].dtype for column in columns])
        place = (key, hosts, len(numbers))
        launch = self._functions.get(place)
        if launch is None:
            defined = _definitions(hosts, len(numbers), *body())
            launch = self.runtime.function("foreach.cu", "foreach", **defined)
            self._functions[place] = launch
        table, chunks = self._table(columns)
        if chunks:
            layout = f"q{max(len(numbers), 1)}d"
            given = numbers or (0.0,)
            args = self.runtime.constant(layout, len(columns[0]), *given)
            launch((chunks,), (256,), (table, args))


def kernels_for(runtime: Runtime) -> Kernels:
    """The kernels over lists of float arrays; others are declined."""
    foreach = _Foreach(runtime)
    kernels: Kernels = {}
    for line in _ROWS.strip().splitlines():
        name, _, rest = line.partition(" |")
        names, _, code = rest.partition("| ")
        base, dot, overload = name.partition(".")
        for suffix in ("", "_"):
            function = _kernel(foreach, names.split(), code, bool(suffix))
            kernels[f"{base}{suffix}{dot}{overload}"] = (function, False)
    copy = _kernel(foreach, ["Y"], "y", True, mixed=True)
    kernels["_foreach_copy_"] = (lambda x, y, non_blocking=False: copy(x, y), False)
    kernels["_foreach_zero_"] = (_kernel(foreach, [], "K(0)", True), False)
    kernels["_foreach_formula_"] = (_formula(foreach), False)
    return kernels


def _kernel(
    foreach: _Foreach, names: list[str], code: str, inplace: bool, mixed: bool = False
) -> Callable[..., Any]:
    letters = ["x", *[n.lower() for n in names if n.isupper()]]
    runtime = foreach.runtime

    def body() -> tuple[set[int], set[int], str]:
        values = " ".join(f"const C {n} = v{k};" for k, n in enumerate(letters, 1))
        if "a" in names:
            values += " const C a = n0;"
        return set(range(1, len(letters) + 1)), {0}, f"{values} v0 = {code};"

    def kernel(first: Sequence[Any], *rest: Any) -> Any:
        columns: list[Sequence[Any]] = [first]
        numbers: list[float] = []
        for name, value in zip(names, rest, strict=False):
            if name.isupper():
                columns.append(value)
            elif type(value) in (int, float, bool):
                numbers.append(float(value))
            else:
                return NotImplemented
        if not _fit(runtime, columns, mixed):
            return NotImplemented
        targets = first
        if not inplace:
            targets = [runtime.empty(x.shape, x.dtype) for x in first]
        foreach.run((code, inplace), [targets, *columns], numbers, body)
        return tuple(targets)

    return kernel


def _formula(foreach: _Foreach) -> Callable[..., Any]:
    def formula(
        arrays: Sequence[Any], text: str, columns: int, numbers: Sequence[Any]
    ) -> Any:
        rows = [list(arrays[i::columns]) for i in range(columns)]
        if columns > _MOST_COLUMNS or not _fit(foreach.runtime, rows, True):
            return NotImplemented
        if any(type(n) not in (int, float, bool) for n in numbers):
            return NotImplemented
        if len({COMPUTE[row[0].dtype] for row in rows}) > 1:
            return NotImplemented
        given = [float(n) for n in numbers]
        foreach.run(("formula", text), rows, given, lambda: _statements(text))
        return None

    return formula


def _statements(text: str) -> tuple[set[int], set[int], str]:
    """What a formula reads and writes, and its lines in C++."""
    from dispatchtorch.ops.foreach_formula import parsed

    found = parsed(text)
    read: set[int] = set()
    lines = []
    declared: set[str] = set()

    def term(name: str) -> str:
        return f"v{name[1:]}" if name[0] == "x" else name

    for target, operation, args in found.lines:
        read |= {int(a[1:]) for a in args if a[0] == "x"}
        value = _LINES[operation].format(*map(term, args))
        kind = ""
        if target[0] in "tm" and target not in declared:
            declared.add(target)
            kind = "C " if target[0] == "t" else "bool "
        lines.append(f"{kind}{term(target)} = {value};")
    return read, set(found.written), " ".join(lines)


def _fit(runtime: Runtime, columns: Sequence[Sequence[Any]], mixed: bool) -> bool:
    """Whether lists have floats, and arrays that belong together lie alike."""
    if not columns[0]:
        return False
    for column in columns:
        if len(column) != len(columns[0]) or not hasattr(column[0], "dtype"):
            return False
        host = column[0].dtype
        if CLASS.get(host) != "f" or (not mixed and host != columns[0][0].dtype):
            return False
        for x in column:
            if x.dtype != host:
                return False
    dense = runtime.is_dense
    for first, *others in zip(*columns, strict=True):
        if not dense(first):
            return False
        for other in others:
            if other.shape != first.shape or not dense(other):
                return False
    return True


def _definitions(
    hosts: tuple[Any, ...], numbers: int, read: set[int], written: set[int], body: str
) -> dict[str, Any]:
    """What ``foreach.cu`` is specialised by."""
    kinds = [STORAGE[h] for h in hosts]
    used = sorted(read | written)

    def each(text: str, which: Any) -> str:
        return " ".join(text.format(k=k, t=kinds[k]) for k in sorted(which)) or ";"

    only = written - read
    blank = each("C v{k};", only) if only else ""
    compute = COMPUTE[hosts[0]]
    return {
        "C": compute,
        "K(v)": f"(({compute})(v))",
        "COLUMNS": len(hosts),
        "NUMBERS": numbers,
        "NUMBERED": " ".join(
            f"const C n{i} = (C)g.number[{i}];" for i in range(numbers)
        ),
        "POINTERS": each("{t}* p{k} = ({t}*)table[{k} * g.arrays + array];", used),
        "ALIGNED": " && ".join(f"aligned_for<{kinds[k]}, 4>(p{k})" for k in used),
        "LOADS": each("const Pack<{t}, 4> k{k} = load_pack<{t}, 4>(p{k} + i);", read),
        "VALUES(j)": blank + each("C v{k} = wide(k{k}.v[j]);", read),
        "SINGLES(k)": blank + each("C v{k} = wide(p{k}[k]);", read),
        "RESULTS": each("Pack<{t}, 4> r{k};", written),
        "KEEP(j)": each("r{k}.v[j] = narrow<{t}>(v{k});", written),
        "STORE": each("store_pack(p{k} + i, r{k});", written),
        "PUT(k)": each("p{k}[k] = narrow<{t}>(v{k});", written),
        "BODY": body,
    }

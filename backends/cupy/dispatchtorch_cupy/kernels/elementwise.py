"""The generator of pointwise kernels: expression, dtypes and layout make a kernel.

Dims are dropped, sorted by the result's strides and merged as far as the operands allow.
A thread takes a pack of up to 16 bytes of each operand where all of them lie in one piece
along the innermost dim (or are one element there), and one element else. Shapes and
strides are arguments, so that one kernel serves all arrays of a pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatchtorch.kernelgen.expressions import HELPERS
from dispatchtorch.kernelgen.geometry import (
    broadcast,
    collapse,
    is_dense,
    magic,
    row_major,
    size_of,
    spread,
)
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch_cupy.kernels.runtime import Runtime
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, REAL, STORAGE

__all__ = ["Elementwise", "Expression", "result_strides"]

_NAMES = "xyzw"
_BLOCK = 256
#: The most elements that 32 bits count, less what the last block may overshoot.
_NARROW = 2**31 - 2**16

Shape = tuple[int, ...]


class Expression:
    """What a kernel computes: C++ over ``x``, ``y``, … and numbers ``a``, ``b``, ``c``.

    ``helpers`` are functions that it calls.
    """

    __slots__ = ("code", "helpers", "name")

    def __init__(self, name: str, code: str, helpers: str = "") -> None:
        self.name = name
        self.code = code
        self.helpers = helpers


class Elementwise:
    """Pointwise kernels of a runtime, kept by what they compute of which arrays."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._plans: dict[Any, Any] = {}
        self._functions: dict[Any, Any] = {}
        self._dense = runtime.is_dense

    def __call__(
        self,
        expression: Expression,
        operands: Sequence[Any],
        host: Any,
        out: Any = None,
        numbers: tuple[Any, ...] = (),
    ) -> Any:
        """The expression of operands that broadcast; ``host`` is the result's dtype."""
        dense = self._dense
        key: Any
        if len(operands) == 2:
            x, y = operands
            key = (
                expression.name, numbers, host,
                x.dtype, x.shape, None if dense(x) else x.strides,
                y.dtype, y.shape, None if dense(y) else y.strides,
            )  # fmt: skip
        else:
            key = (
                expression.name, numbers, host,
                *[
                    (x.dtype, x.shape, None if dense(x) else x.strides)
                    for x in operands
                ],
            )  # fmt: skip
        if out is not None:
            key = (key, out.shape, None if dense(out) else out.strides)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > 20000:
                self._plans.clear()
            plan = self._plan(expression, operands, host, out, numbers)
            self._plans[key] = plan
        launch, grid, block, constant, shape, strides = plan
        if out is None:
            if strides is None:
                out = self.runtime.empty(shape, host)
            else:
                out = self.runtime.empty_strided(shape, strides, host)
        if launch is not None:
            launch(grid, block, (out, *operands, constant))
        return out

    def _plan(
        self,
        expression: Expression,
        operands: Sequence[Any],
        host: Any,
        out: Any,
        numbers: tuple[Any, ...],
    ) -> Any:
        """Function, grid, block, struct, and the result's shape and strides."""
        strides_of = self.runtime.strides
        own = [strides_of(x) for x in operands]
        shape = broadcast([x.shape for x in operands])
        made: Shape | None = None
        if out is not None:
            if out.shape != shape and broadcast([out.shape, shape]) != out.shape:
                raise ValueError(f"{shape} can't be written to {out.shape}")
            shape, strides = out.shape, strides_of(out)
        else:
            made = result_strides(shape, [x.shape for x in operands], own)
            strides = row_major(shape) if made is None else made
        count = size_of(shape)
        if not count:
            return None, (), (), None, shape, made
        wide = [spread(x.shape, s, shape) for x, s in zip(operands, own, strict=True)]
        sizes, steps = collapse(shape, [strides, *wide])
        hosts = [x.dtype for x in operands]
        pack, kinds = self._packing(sizes, steps, [host, *hosts])
        inner = -(-sizes[-1] // pack)
        units = count // sizes[-1] * inner
        reach = max(sum((n - 1) * abs(s) for n, s in zip(sizes, k)) for k in steps)
        narrow = max(units * pack, reach) < _NARROW
        launch = self._function(
            expression, host, hosts, kinds, pack, len(sizes), narrow
        )
        block = _BLOCK if units >= _BLOCK else max(32, -(-units // 32) * 32)
        constant = self._struct(sizes, steps, pack, units, host, hosts, numbers, narrow)
        return launch, (-(-units // block),), (block,), constant, shape, made

    @staticmethod
    def _packing(
        sizes: Sequence[int], steps: Sequence[Sequence[int]], hosts: Sequence[Any]
    ) -> tuple[int, str]:
        """How many elements a thread takes, and how operands lie along the last dim.

        ``1`` in one piece, ``0`` one element, ``n`` neither; the result comes first.
        """
        kinds = ""
        for own in steps:
            last = own[-1]
            kinds += "1" if last == 1 else "0" if last == 0 else "n"
        if kinds[0] != "1" or "n" in kinds:
            return 1, kinds
        pack = max(1, 16 // max(h.itemsize for h in hosts))
        if len(sizes) > 1:
            while pack > 1 and (
                sizes[-1] % pack
                or any(
                    s % pack
                    for own, kind in zip(steps, kinds, strict=True)
                    if kind == "1"
                    for s in own[:-1]
                )
            ):
                pack //= 2
        elif sizes[0] < pack:
            pack = 1
        return pack, kinds

    def _function(
        self,
        expression: Expression,
        host: Any,
        hosts: Sequence[Any],
        kinds: str,
        pack: int,
        dims: int,
        narrow: bool,
    ) -> Any:
        kinds = kinds if pack > 1 else ""
        key = (expression.name, host, *hosts, kinds, pack, dims, narrow)
        found = self._functions.get(key)
        if found is None:
            code = source(expression, host, hosts, kinds, pack, dims, narrow)
            found = self._functions[key] = self.runtime.generated(code, "pointwise")
        return found

    def _struct(
        self,
        sizes: Sequence[int],
        steps: Sequence[Sequence[int]],
        pack: int,
        units: int,
        host: Any,
        hosts: Sequence[Any],
        numbers: tuple[Any, ...],
        narrow: bool,
    ) -> Any:
        """The kernel's argument by value: see ``source`` for its layout."""
        values: list[Any] = [sizes[-1] if len(sizes) == 1 else units * pack, units]
        layout = "qq"
        # Innermost first; the pack is one step of the innermost dim.
        lengths = [-(-sizes[-1] // pack), *sizes[-2::-1]]
        for n in lengths:
            if narrow:
                layout += "III"
                values += magic(n)
            else:
                layout += "q"
                values.append(n)
        for own in steps:
            layout += ("i" if narrow else "q") * len(sizes)
            values += [own[-1] * pack, *own[-2::-1]]
        if numbers:
            layout += f"0d{len(numbers)}" + _number(hosts[-1])
            values += numbers
        return self.runtime.constant(layout, *values)


def result_strides(
    shape: Shape, shapes: Sequence[Shape], strides: Sequence[Shape]
) -> Shape | None:
    """The memory order that PyTorch gives a result; None for row-major."""
    if all(is_dense(n, s) for n, s in zip(shapes, strides, strict=True)):
        return None
    wide = [spread(n, s, shape) for n, s in zip(shapes, strides, strict=True)]
    return inferred_strides(shape, *wide)


def _number(host: Any) -> str:
    """How numbers are passed beside operands of a dtype, as in module struct."""
    return "d" if CLASS[host] in "fc" else "q"


def source(
    expression: Expression,
    host: Any,
    hosts: Sequence[Any],
    kinds: str,
    pack: int,
    dims: int,
    narrow: bool,
) -> str:
    """The program of one kernel, ``pointwise``. ``kinds`` is empty for a pack of 1."""
    names = _NAMES[: len(hosts)]
    compute = [COMPUTE[h] for h in hosts]
    kind, result = compute[-1], COMPUTE[host]
    index = "int" if narrow else "i64"
    number = "double" if _number(hosts[-1]) == "d" else "i64"
    real = REAL.get(kind, kind)
    used = sum(f"NUMBER_{n}" in _marked(expression) for n in "abc")
    taken = ", ".join(f"const {c} {n}" for c, n in zip(compute, names, strict=True))
    taken += "".join(f", const {real} {n}" for n in "abc"[:used])
    stored = [STORAGE[host], *[STORAGE[h] for h in hosts]]
    pointers = ["o", *names]
    parts = [
        f"#define C {kind}",
        f"#define K(v) (({kind})(v))",
        f"#define PAIR(a, b) ({kind}{{({real})(a), ({real})(b)}})",
        "#define INLINE DEVICE",
        HELPERS[CLASS[hosts[-1]]],
        expression.helpers,
        f"DEVICE {result} value({taken}) {{ return ({result})({expression.code}); }}",
        "struct Args { i64 n; i64 units;",
        f"  {'Divisor' if narrow else 'i64'} size[{dims}];",
        f"  {index} stride[{len(pointers)}][{dims}];",
        f"  {number} number[{used}]; }};" if used else "};",
    ]
    constant = [f"const {t}* {n}_" for t, n in zip(stored[1:], names)]
    parts.append(
        f"KERNEL pointwise({stored[0]}* o_, {', '.join(constant)}, const Args g) {{"
    )
    unit = "const i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x;"
    parts += [unit, "if (unit >= g.units) return;"]
    starts = ", ".join(f"{n}i = 0" for n in pointers)
    parts.append(f"{index} {starts}; {{ {'u32' if narrow else 'i64'} r = unit;")
    for d in range(dims):
        if d == dims - 1:
            parts.append("const " + index + f" c{d} = r;")
        else:
            quotient = f"divided(r, g.size[{d}])" if narrow else f"r / g.size[{d}]"
            by = f"g.size[{d}]" + (".by" if narrow else "")
            parts.append(
                f"const {'u32' if narrow else 'i64'} q{d} = {quotient}; "
                f"const {index} c{d} = r - q{d} * {by}; r = q{d};"
            )
        parts += [f"{n}i += c{d} * g.stride[{k}][{d}];" for k, n in enumerate(pointers)]
    parts.append("}")
    given = "".join(f", ({real})g.number[{i}]" for i in range(used))
    convert = f"narrow<{stored[0]}>"
    if pack == 1:
        call = ", ".join(f"wide({n}_[{n}i])" for n in names)
        parts.append(f"o_[oi] = {convert}(value({call}{given})); }}")
        return "\n".join(parts)
    ones = [n for n, k in zip(pointers, kinds, strict=True) if k == "1"]
    aligned = " && ".join(f"aligned_for<{t}, {pack}>({n}_)" for t, n in
                          zip(stored, pointers, strict=True) if n in ones)  # fmt: skip
    whole = "" if dims > 1 else f"unit * {pack} + {pack} <= g.n && "
    loads, each, slow = [], [], []
    for t, n in zip(stored[1:], names, strict=True):
        if n in ones:
            loads.append(f"const Pack<{t}, {pack}> {n} = "
                         f"load_pack<{t}, {pack}>({n}_ + {n}i);")  # fmt: skip
            each.append(f"wide({n}.v[k])")
            slow.append(f"wide({n}_[{n}i + k])")
        else:
            loads.append(f"const auto {n} = wide({n}_[{n}i]);")
            each.append(n)
            slow.append(f"wide({n}_[{n}i])")
    inside = "" if dims > 1 else f" && unit * {pack} + k < g.n"
    parts += [
        f"if ({whole}{aligned}) {{",
        *loads,
        f"Pack<{stored[0]}, {pack}> made;",
        "#pragma unroll",
        f"for (int k = 0; k < {pack}; k++)",
        f"  made.v[k] = {convert}(value({', '.join(each)}{given}));",
        "store_pack(o_ + oi, made);",
        f"}} else for (int k = 0; k < {pack}{inside}; k++)",
        f"  o_[oi + k] = {convert}(value({', '.join(slow)}{given})); }}",
    ]
    return "\n".join(parts)


def _marked(expression: Expression) -> str:
    """The expression with the numbers that it takes as ``NUMBER_a`` and so on."""
    import re

    return re.sub(r"(?<![\w.])([abc])(?![\w(])", r"NUMBER_\1", expression.code)

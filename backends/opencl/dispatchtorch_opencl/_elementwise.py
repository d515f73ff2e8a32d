"""The generator of pointwise kernels: expression, dtypes and layout make a kernel.

Two forms. *Flat* where each operand is one element or lies in memory as the result does:
one loop over memory, in vector types where the expression allows. *Strided* for all else:
dims are dropped and merged as far as the operands allow, rows of the innermost dim are
loops of their own, and shapes and strides are arguments, so that one kernel serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import broadcast, collapse, spread
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import (
    Memory,
    OpenCLArray,
    is_dense,
    row_major,
    size_of,
)

__all__ = [
    "NAMES",
    "Expression",
    "broadcast",
    "broadcast_strides",
    "collapse",
    "elementwise",
    "geometry",
]

_VECTOR = 8
#: What expressions call their operands.
NAMES = "xyzwuv"
_MOST_DIMS = 12


class Expression:
    """What a kernel computes: C over ``x``, ``y``, ``z``, and helper functions.

    ``vector``: the expression means the same for OpenCL's vector types.
    """

    __slots__ = ("code", "helpers", "name", "vector")

    def __init__(
        self, name: str, code: str, vector: bool = False, helpers: str = ""
    ) -> None:
        self.name = name
        self.code = code
        self.vector = vector
        self.helpers = helpers


def broadcast_strides(x: OpenCLArray, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an operand broadcast to a shape."""
    return spread(x.shape, x.strides, shape)


def geometry(sizes: Sequence[int], steps: Sequence[Sequence[int]]) -> bytes:
    """The ``Geometry`` argument of kernels."""
    if len(sizes) > _MOST_DIMS:
        raise NotImplementedError(
            f"OpenCL kernels take {_MOST_DIMS} dims that can't be merged, "
            f"got {len(sizes)}"
        )
    table = np.zeros(1 + 5 * _MOST_DIMS, "int64")
    table[0] = len(sizes)
    table[1 : 1 + len(sizes)] = sizes
    for k, own in enumerate(steps):
        at = 1 + (k + 1) * _MOST_DIMS
        table[at : at + len(own)] = own
    return table.tobytes()


def elementwise(
    expression: Expression,
    operands: Sequence[OpenCLArray],
    dtype: Any,
    out: OpenCLArray | None = None,
) -> OpenCLArray:
    """Computes an expression of operands that broadcast; ``dtype`` is the result's."""
    runtime = None
    signature: list[Any] = [expression.name, dtype]
    for x in operands:
        constant = x.memory.constant
        if constant is None:
            runtime = x.memory.runtime
            signature.append((x.dtype, x.shape, x.strides))
        else:
            signature.append((x.dtype, x.shape))
    if out is not None:
        runtime = out.memory.runtime
        signature.append((out.dtype, out.shape, out.strides))
    elif runtime is None:
        runtime = operands[0].memory.runtime
    key = tuple(signature)
    plan = runtime.cache.get(key)
    if plan is None:
        if len(runtime.cache) > 20000:
            runtime.cache.clear()
        plan = runtime.cache[key] = _plan(runtime, expression, operands, dtype, out)
    kernel, size, tail, shape, strides, count = plan
    if out is None:
        memory = Memory(runtime, count * dtype.itemsize)
        out = OpenCLArray(memory, shape, strides, 0, dtype)
    if count:
        args: list[Any] = []
        for x in operands:
            constant = x.memory.constant
            if constant is None:
                args.append(x.memory.buffer)
                args.append(np.int64(x.offset))
            else:
                args.append(constant)
        # Last, since a number that is written to is one no more.
        target = out.memory.buffer
        runtime.launch(kernel, size, [target, np.int64(out.offset), *args, *tail])
    return out


def _plan(
    runtime: Any,
    expression: Expression,
    operands: Sequence[OpenCLArray],
    dtype: Any,
    out: OpenCLArray | None,
) -> Any:
    """Kernel, work items, last arguments, and the result's shape, strides and size."""
    shape = broadcast([x.shape for x in operands])
    held = [x for x in operands if x.memory.constant is None]
    if out is not None:
        if out.shape != shape and broadcast([out.shape, shape]) != out.shape:
            raise ValueError(f"{shape} can't be written to {out.shape}")
        shape, strides = out.shape, out.strides
    else:
        strides = _result_strides(shape, held)
    count = size_of(shape)
    pattern = ""
    spread = [broadcast_strides(x, shape) for x in held]
    sizes, steps = collapse(shape, [strides, *spread])
    flat = len(sizes) == 1 and (steps[0][0] == 1 or sizes[0] == 1)
    if flat:
        flat = all(s[0] in (0, 1) for s in steps[1:]) or sizes[0] == 1
    at = 1
    for x in operands:
        if x.memory.constant is not None:
            pattern += "s"
            continue
        pattern += ("1" if steps[at][0] == 1 or sizes[0] == 1 else "0") if flat else "n"
        at += 1
    inputs = [x.dtype for x in operands]
    key = ("kernel", expression.name, dtype, pattern, flat, *inputs)
    kernel = runtime.cache.get(key)
    if kernel is None:
        source = _source(expression, inputs, dtype, pattern, flat)
        used = types.options_for(dtype, *inputs)
        kernel = runtime.cache[key] = runtime.build("pointwise", source, used)
    tail: list[Any] = [np.int64(count)]
    if not flat:
        tail.append(geometry(sizes, steps))
    return kernel, runtime.items(count), tail, shape, strides, count


def _result_strides(
    shape: tuple[int, ...], held: Sequence[OpenCLArray]
) -> tuple[int, ...]:
    """The memory order that PyTorch gives a result."""
    if all(is_dense(x.shape, x.strides) for x in held):
        return row_major(shape)
    found = inferred_strides(shape, *[broadcast_strides(x, shape) for x in held])
    return row_major(shape) if found is None else tuple(found)


def _source(
    expression: Expression,
    inputs: Sequence[Any],
    dtype: Any,
    pattern: str,
    flat: bool,
) -> str:
    """The program of one kernel, ``pointwise``."""
    names = NAMES[: len(inputs)]
    compute = [types.COMPUTE[d] for d in inputs]
    result = types.COMPUTE[dtype]
    scalar = ", ".join(f"const {c} {n}" for c, n in zip(compute, names, strict=True))
    parts = [
        f"#define C {compute[-1]}",
        f"#define R {result}",
        expression.helpers,
        "#define K(v) ((C)(v))",
        f"inline {result} value({scalar}) {{ return {expression.code}; }}",
    ]
    signature = [f"__global {types.STORAGE[dtype]}* o, long oo"]
    for d, n, kind in zip(inputs, names, pattern, strict=True):
        if kind == "s":
            signature.append(f"const {types.COMPUTE[d]} {n}")
        else:
            signature.append(f"__global const {types.STORAGE[d]}* {n}_, long {n}o")
    signature.append("long n")

    def values(at: Callable[[str], str]) -> str:
        lines = [
            f"const {c} {n} = {types.load(d, n + '_', at(n))};"
            for d, c, n, kind in zip(inputs, compute, names, pattern, strict=True)
            if kind != "s"
        ]
        return " ".join(lines)

    call = f"value({', '.join(names)})"
    if not flat:
        body = _strided_body(inputs, names, pattern, dtype, values, call)
        signature.append("const Geometry g")
    else:
        body = _flat_body(
            expression, inputs, names, pattern, dtype, values, call, parts
        )
    head = f"__kernel void pointwise({', '.join(signature)}) {{"
    return "\n".join([*parts, head, *body, "}"])


def _flat_body(
    expression: Expression,
    inputs: Sequence[Any],
    names: str,
    pattern: str,
    dtype: Any,
    values: Callable[[Callable[[str], str]], str],
    call: str,
    parts: list[str],
) -> list[str]:
    ones = {n: kind for n, kind in zip(names, pattern, strict=True)}
    moves = [f"{n}_ += {n}o;" for n, kind in ones.items() if kind != "s"]
    lines = ["o += oo;", *moves]
    lines.append("SHARE(i, n);")
    same = set(inputs) == {dtype} and types.CLASS[dtype] == "f"
    vector = expression.vector and same and "0" not in pattern and "1" in pattern
    if vector:
        lines += _vector_loop(expression, names, pattern, dtype, parts)
    wanted = values(lambda n: "i" if ones[n] == "1" else "0")
    write = types.store(dtype, "o", "i", call)
    lines.append(f"EACH(i) {{ {wanted} {write} }}")
    return lines


def _vector_loop(
    expression: Expression, names: str, pattern: str, dtype: Any, parts: list[str]
) -> list[str]:
    """The loop in vector types that goes before the one for what is left."""
    wide = f"{types.COMPUTE[dtype]}{_VECTOR}"
    taken = ", ".join(f"const {wide} {n}" for n in names)
    parts += [
        "#undef C",
        f"#define C {wide}",
        f"inline {wide} values({taken}) {{ return {expression.code}; }}",
    ]
    half = dtype.itemsize == 2

    def loaded(n: str, kind: str) -> str:
        if kind == "s":
            return f"({wide})({n})"
        if not half:
            return f"vload{_VECTOR}(0, {n}_ + i)"
        if dtype.name == "float16":
            return f"vload_half{_VECTOR}(0, (__global const half*)({n}_ + i))"
        bits = f"convert_uint{_VECTOR}(vload{_VECTOR}(0, {n}_ + i)) << 16"
        return f"as_float{_VECTOR}({bits})"

    call = f"values({', '.join(map(loaded, names, pattern))})"
    if dtype.name == "bfloat16":
        lanes = " ".join(f"o[i + {k}] = f2bf(v.s{k});" for k in range(_VECTOR))
        write = f"{{ const {wide} v = {call}; {lanes} }}"
    elif half:
        write = f"vstore_half{_VECTOR}_rte({call}, 0, (__global half*)(o + i));"
    else:
        write = f"vstore{_VECTOR}({call}, 0, o + i);"
    return [
        "#ifdef ON_CPU",
        f"for (; i + {_VECTOR} <= i_end; i += {_VECTOR}) {write}",
        "#endif",
    ]


def _strided_body(
    inputs: Sequence[Any],
    names: str,
    pattern: str,
    dtype: Any,
    values: Callable[[Callable[[str], str]], str],
    call: str,
) -> list[str]:
    held = [n for n, kind in zip(names, pattern, strict=True) if kind != "s"]
    operands = ["o", *held]
    starts = " ".join(f"long {n}i = {n}o;" for n in operands)
    advance = " ".join(f"{n}i += c * g.st[{k}][d];" for k, n in enumerate(operands))
    inner = " ".join(f"{n}i += j * {n}s;" for n in operands)
    steps = " ".join(
        f"const long {n}s = g.st[{k}][last];" for k, n in enumerate(operands)
    )
    wanted = values(lambda n: f"{n}i + q * {n}s")
    write = types.store(dtype, "o", "oi + q * os", call)
    return [
        "const int last = g.nd - 1; const long row = g.shape[last];",
        steps,
        "SHARE(i, n);",
        "while (i < i_end) {",
        "long r = i / row; const long j = i - r * row;",
        starts,
        "for (int d = last - 1; d >= 0; d--) {",
        f"const long q = r / g.shape[d], c = r - q * g.shape[d]; r = q; {advance} }}",
        inner,
        "const long len = RUN(min(row - j, i_end - i));",
        '_Pragma("clang loop vectorize(assume_safety)")',
        f"for (long q = 0; q < len; q++) {{ {wanted} {write} }}",
        "NEXT(i, len); }",
    ]

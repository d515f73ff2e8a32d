"""Reductions over any dims, in one launch, or two where few results share much work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import collapse, row_major, size_of
from dispatchtorch_cupy.kernels.runtime import Runtime, Steps
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, REAL, STORAGE, accumulator

__all__ = ["Reduction", "extreme", "kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

#: How two parts combine.
_JOIN = {
    "sum": "(a) + (b)",
    "prod": "(a) * (b)",
    "amax": "(a) > (b) || (a) != (a) ? (a) : (b)",
    "amin": "(a) < (b) || (a) != (a) ? (a) : (b)",
    "any": "(a) | (b)",
    "all": "(a) & (b)",
    "argmax": "better(a, b)",
    "argmin": "better(a, b)",
}
#: Elements that are worth a part of their own.
_SHARE = 1 << 13
_NARROW = 2**31 - 2**20
_SIZES = {"float": 4, "double": 8, "i64": 8, "u64": 8, "c64": 8, "c128": 16, "int": 4}
_BYTE = np.dtype("uint8")


class Reduction:
    """Reduction kernels of a runtime, and plans by what they reduce."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._plans: dict[Any, Any] = {}

    def __call__(
        self, name: str, x: Any, dims: Sequence[int] | None, keepdim: bool, host: Any
    ) -> Any:
        """Reduces ``dims`` (None: all) to a result of dtype ``host``."""
        key = (name, x.dtype, x.shape, x.strides, dims, keepdim, host)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) > 20000:
                self._plans.clear()
            plan = self._plans[key] = self._plan(name, x, dims, keepdim, host)
        shape, steps = plan
        made = x
        for launch, grid, block, constant, partial in steps:
            source = made
            if partial is None:
                made = self.runtime.empty(shape, host)
            else:
                made = self.runtime.empty(*partial)
            if launch is not None:
                launch(grid, block, (made, source, constant))
        return made

    def _plan(
        self, name: str, x: Any, dims: Sequence[int] | None, keepdim: bool, host: Any
    ) -> Any:
        gone = tuple(range(x.ndim)) if dims is None else tuple(dims)
        shape = tuple(
            1 if d in gone else n
            for d, n in enumerate(x.shape)
            if keepdim or d not in gone
        )
        results = size_of(shape)
        if not results:
            return shape, [(None, (), (), None, None)]
        strides = self.runtime.strides(x)
        kept = [d for d in range(x.ndim) if d not in gone]
        sizes = [x.shape[d] for d in kept]
        outer = collapse(
            sizes, [[strides[d] for d in kept], row_major(tuple(sizes))], True
        )
        inner = collapse(
            [x.shape[d] for d in gone],
            [[strides[d] for d in gone]],
            name.startswith("arg"),
        )
        kept_dims = (outer[0], outer[1][0])
        gone_dims = (inner[0], inner[1][0])
        kind = STORAGE[x.dtype]
        traits = _traits(name, x.dtype, host)
        acc, size = traits.pop("A"), traits.pop("size")
        first = self._pass(
            {**traits, "T": kind, "A": acc},
            x.dtype.itemsize,
            kept_dims,
            gone_dims,
            results,
        )
        if first["parts"] == 1:
            return shape, [self._ready(first, STORAGE[host], None)]
        parts = first["parts"]
        opening = {**first, "traits": {**first["traits"], "RESULT(a)": "(a)"}}
        second = self._pass(
            {**traits, "T": acc, "A": acc, "ELEMENT(v, k)": "(v)"},
            size,
            ([results], [parts]),
            ([parts], [1]),
            results,
            whole=True,
        )
        partial = ((results * parts * size,), _BYTE)
        return shape, [
            self._ready(opening, acc, partial),
            self._ready(second, STORAGE[host], None),
        ]

    def _pass(
        self,
        traits: dict[str, str],
        itemsize: int,
        kept: tuple[Sequence[int], Sequence[int]],
        gone: tuple[Sequence[int], Sequence[int]],
        results: int,
        whole: bool = False,
    ) -> dict[str, Any]:
        """How a pass is done: by rows or columns, in packs, in how many parts."""
        count = size_of(gone[0])
        narrow = (
            max(
                results * count,
                *(sum((n - 1) * abs(s) for n, s in zip(*d, strict=True))
                  for d in (kept, gone)),
            ) < _NARROW
        )  # fmt: skip
        columns = kept[1][-1] == 1 and kept[0][-1] > 8 and gone[1][-1] != 1
        along, across = (kept, gone) if columns else (gone, kept)
        # Packs lie along one dim; the strides of all others keep them aligned.
        pack = max(1, (8 if columns else 16) // itemsize)
        while pack > 1 and (
            along[1][-1] != 1
            or along[0][-1] % pack
            or any(s % pack for s in (*along[1][:-1], *across[1]))
        ):
            pack //= 2
        if traits["A"].startswith("Best<"):
            pack = 1
        sizes = [*along[0][:-1], along[0][-1] // pack]
        steps = [*along[1][:-1], along[1][-1] * pack]
        packed = (sizes, steps)
        units = count if columns else count // pack
        made = results // pack if columns else results
        runtime_units = self.runtime.units
        if columns:
            threads = (32, 8)
            blocks = -(-made // 32)
        else:
            wide = units > 512
            threads = (min(512, 32 * -(-units // 64)), 1) if wide else (32, 4)
            blocks = -(-made // threads[1])
        parts = 1
        if not whole:
            most = max(1, count * (32 if columns else 1) // _SHARE)
            parts = max(1, min(most, runtime_units * 4 // blocks, 1024))
        share = -(-units // parts)
        parts = -(-units // share) if units else 1
        return {
            "traits": traits,
            "name": "reduce_columns" if columns else "reduce_rows",
            "kept": packed if columns else kept,
            "gone": gone if columns else packed,
            "narrow": narrow,
            "pack": pack,
            "numbers": (results, units, parts, share),
            "parts": parts,
            "grid": (blocks, parts),
            "block": threads,
        }

    def _ready(self, plan: dict[str, Any], result: str, partial: Any) -> Any:
        kept = Steps(plan["kept"][0], plan["kept"][1], plan["narrow"])
        gone = Steps(plan["gone"][0], plan["gone"][1], plan["narrow"])
        launch = self.runtime.function(
            "reduction.cu",
            plan["name"],
            **{
                **plan["traits"],
                "O": result,
                "PACK": plan["pack"],
                "Kept": kept.type,
                "Gone": gone.type,
            },
        )
        constant = self.runtime.constant(
            "4q" + kept.layout + gone.layout,
            *plan["numbers"],
            *kept.values,
            *gone.values,
        )
        return launch, plan["grid"], plan["block"], constant, partial


def _traits(name: str, source: Any, host: Any) -> dict[str, Any]:
    """The definitions of a reduction, and the size of an ``A`` in memory."""
    made: dict[str, Any] = {"JOIN(a, b)": _JOIN[name], "RESULT(a)": ""}
    kind = STORAGE[host]
    if name in ("sum", "prod"):
        acc = accumulator(host)
        made["START"] = f"({acc}{{{0 if name == 'sum' else 1}}})"
        made["ELEMENT(v, k)"] = _cast("wide(v)", COMPUTE[source], acc)
        made["RESULT(a)"] = f"narrow<{kind}>(a)"
        if host.kind == "b":
            made["RESULT(a)"] = "(u8)((a) != 0)"
    elif name in ("amax", "amin"):
        acc = COMPUTE[source]
        made["START"] = extreme(source, name == "amax")
        made["ELEMENT(v, k)"] = "wide(v)"
        made["RESULT(a)"] = f"narrow<{kind}>(a)"
    elif name in ("any", "all"):
        acc = "int"
        complex_ = CLASS[source] == "c"
        made["START"] = "0" if name == "any" else "1"
        made["ELEMENT(v, k)"] = (
            "((v).x != 0 || (v).y != 0)" if complex_ else "(wide(v) != 0)"
        )
        made["RESULT(a)"] = "(u8)(a)"
    else:
        value = COMPUTE[source]
        acc = f"Best<{value}>"
        made["START"] = f"(Best<{value}>{{{extreme(source, name == 'argmax')}, -1}})"
        made["ELEMENT(v, k)"] = f"(Best<{value}>{{wide(v), (k)}})"
        made["RESULT(a)"] = "(a).i"
        sign = ">" if name == "argmax" else "<"
        made["BETTER"] = sign
    if acc.startswith("Best<"):
        size = 16
    elif acc in _SIZES:
        size = _SIZES[acc]
    else:
        size = source.itemsize
    return {**made, "A": acc, "size": size}


def _cast(value: str, source: str, target: str) -> str:
    """The expression of a cast between types of arithmetic."""
    if source == target:
        return value
    if source in REAL and target in REAL:
        return f"({target}{{({REAL[target]}){value}.x, ({REAL[target]}){value}.y}})"
    if target in REAL:
        return f"({target}{{({REAL[target]}){value}, 0}})"
    if source in REAL:
        return f"({target}){value}.x"
    return f"({target}){value}"


def extreme(host: Any, least: bool) -> str:
    """The number that any other replaces."""
    kind = CLASS[host]
    if kind == "f":
        return f"(({COMPUTE[host]}){'-' if least else ''}INFINITY)"
    if kind == "b":
        return "0" if least else "1"
    info = np.iinfo(host)
    value = int(info.min if least else info.max)
    if value == -(2**63):
        return "((i64)1 << 63)"
    return f"(({COMPUTE[host]}){value}{'ull' if value > 2**63 - 1 else 'll'})"


def kernels_for(reduction: Reduction) -> Kernels:
    """The reductions."""
    kernels: Kernels = {}
    bool_, int_ = np.dtype("bool"), np.dtype("int64")

    def sum_(x: Any, dims: Any, keepdim: bool, dtype: Any) -> Any:
        if x.dtype not in CLASS or dtype.host not in CLASS:
            return NotImplemented
        return reduction("sum", x, dims, keepdim, dtype.host)

    def sum_all(x: Any, dtype: Any) -> Any:
        return sum_(x, None, False, dtype)

    def natural_sum(dtype: Any) -> Callable[[Any], Any]:
        host = dtype.host

        def whole(x: Any) -> Any:
            return reduction("sum", x, None, False, made)

        made = int_ if host.kind in "biu" else host
        return whole

    sum_all.natural = natural_sum  # type: ignore[attr-defined]
    kernels["sum"] = (sum_all, False)
    kernels["sum.dim_IntList"] = (sum_, False)

    def reducer(name: str, classes: str, fixed: Any = None) -> Callable[..., Any]:
        def reduce(x: Any, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
            if CLASS.get(x.dtype, "") not in classes or x.dtype not in CLASS:
                return NotImplemented
            host = fixed or (x.dtype if dtype is None else dtype.host)
            return reduction(name, x, dims, keepdim, host)

        return reduce

    kernels["prod_"] = (reducer("prod", "buifc"), False)
    kernels["amax"] = (reducer("amax", "buif"), False)
    kernels["amin"] = (reducer("amin", "buif"), False)
    kernels["any_"] = (reducer("any", "buifc", bool_), False)
    kernels["all_"] = (reducer("all", "buifc", bool_), False)

    def best(name: str) -> Callable[..., Any]:
        def find(x: Any, dim: Any) -> Any:
            if CLASS.get(x.dtype, "") not in ("b", "u", "i", "f") or not x.ndim:
                return NotImplemented
            return reduction(name, x, (dim,), False, int_)

        return find

    kernels["argmax_"] = (best("argmax"), False)
    kernels["argmin_"] = (best("argmin"), False)
    return kernels

"""``FlopCounterMode``: floating-point operations of matrix products and convolutions.

Counts are by operator and by module, in forward and backward passes. Formulas take the
shapes of the operator's arguments and of its result (``out_val=`` for the values).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from math import prod
from typing import Any

import dispatchtorch as torch
from dispatchtorch._ops import OpOverload, OpOverloadPacket
from dispatchtorch.utils._python_dispatch import TorchDispatchMode
from dispatchtorch.utils._pytree import tree_map
from dispatchtorch.utils.module_tracker import ModuleTracker

__all__ = ["FlopCounterMode", "register_flop_formula"]

Formula = Callable[..., int]

aten = torch.ops.aten
flop_registry: dict[Any, Formula] = {}


def _shape_of(value: Any) -> Any:
    return value.shape if isinstance(value, torch.Tensor) else value


def register_flop_formula(
    targets: Any, get_raw: bool = False
) -> Callable[[Formula], Formula]:
    """Decorates the formula of one operator (a packet) or several.

    It is given the arguments with shapes in place of tensors, and the result's as
    ``out_shape``; with ``get_raw`` the arguments themselves, and ``out_val``.
    """

    def register(formula: Formula) -> Formula:
        if get_raw:
            given = formula
        else:

            @wraps(formula)
            def given(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
                args, kwargs, out_shape = tree_map(_shape_of, (args, kwargs, out_val))
                return formula(*args, out_shape=out_shape, **kwargs)

        for target in targets if isinstance(targets, (list, tuple)) else [targets]:
            if not isinstance(target, OpOverloadPacket):
                raise ValueError(
                    f"register_flop_formula(targets): expected each target to be "
                    f"OpOverloadPacket (i.e. torch.ops.mylib.foo), got {target} which is "
                    f"of type {type(target)}"
                )
            if target in flop_registry:
                raise RuntimeError(f"duplicate registrations for {target}")
            flop_registry[target] = given
        return formula

    return register


@register_flop_formula(aten.mm)
def mm_flop(
    a_shape: Any, b_shape: Any, *args: Any, out_shape: Any = None, **kw: Any
) -> int:
    """Two for each multiplication and addition of a matrix product."""
    (m, k), (_, n) = a_shape, b_shape
    return int(m * n * 2 * k)


@register_flop_formula(aten.addmm)
def addmm_flop(self_shape: Any, a_shape: Any, b_shape: Any, **kw: Any) -> int:
    """As a matrix product."""
    return mm_flop(a_shape, b_shape)


@register_flop_formula(aten.bmm)
def bmm_flop(a_shape: Any, b_shape: Any, **kw: Any) -> int:
    """As the matrix products of a batch."""
    b, m, k = a_shape
    return int(b * m * b_shape[2] * 2 * k)


@register_flop_formula(aten.baddbmm)
def baddbmm_flop(self_shape: Any, a_shape: Any, b_shape: Any, **kw: Any) -> int:
    """As the matrix products of a batch."""
    return bmm_flop(a_shape, b_shape)


def _conv_flop(batch: int, spatial: Any, weight_shape: Any) -> int:
    """Each place of ``spatial`` meets each weight once."""
    return int(batch * prod(spatial) * prod(weight_shape) * 2)


@register_flop_formula(aten.convolution)
def conv_flop(
    x_shape: Any,
    w_shape: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *args: Any,
    out_shape: Any = None,
    **kw: Any,
) -> int:
    """Two for each weight at each place of the result (the input, if transposed)."""
    return _conv_flop(x_shape[0], (x_shape if transposed else out_shape)[2:], w_shape)


@register_flop_formula(aten._conv)
def _conv_forward_flop(
    x_shape: Any, w_shape: Any, *args: Any, out_shape: Any = None, **kw: Any
) -> int:
    return _conv_flop(x_shape[0], out_shape[2:], w_shape)


@register_flop_formula(aten._conv_input)
def _conv_input_flop(grad_shape: Any, w_shape: Any, *args: Any, **kw: Any) -> int:
    return _conv_flop(grad_shape[0], grad_shape[2:], w_shape)


@register_flop_formula(aten._conv_weight)
def _conv_weight_flop(
    grad_shape: Any, x_shape: Any, *args: Any, out_shape: Any = None, **kw: Any
) -> int:
    # As PyTorch counts it, groups aren't taken into account here.
    full = (grad_shape[1], x_shape[1], *out_shape[2:])
    return _conv_flop(grad_shape[0], grad_shape[2:], full)


@register_flop_formula(aten._fused_attention)
def attention_flop(query: Any, key: Any, value: Any, *args: Any, **kw: Any) -> int:
    """The two matrix products of attention."""
    *batch, rows, width = query
    columns = key[-2]
    return int(prod(batch) * rows * columns * 2 * (width + value[-1]))


@register_flop_formula(aten._fused_attention_backward)
def attention_backward_flop(
    grad: Any, query: Any, key: Any, value: Any, *args: Any, **kw: Any
) -> int:
    """The five matrix products of attention's gradients."""
    *batch, rows, width = query
    columns = key[-2]
    return int(prod(batch) * rows * columns * 2 * (3 * width + 2 * value[-1]))


_SUFFIXES = ("", "K", "M", "B", "T")


def _suffix_of(number: int) -> int:
    return max(0, min(len(_SUFFIXES) - 1, (len(str(number)) - 2) // 3))


def _shown(number: int, suffix: int) -> str:
    value = f"{number / 1000**suffix:.3f}" if suffix else str(number)
    return value + _SUFFIXES[suffix]


def _table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    widths[1:] = [
        max(w, len(h) + 2) for w, h in zip(widths[1:], header[1:], strict=True)
    ]
    widths[0] = max(widths[0], len(header[0]) + 2)

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join([first, *rest])

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, rows)])


class FlopCounterMode:
    """A block in which floating-point operations are counted.

    Args:
        mods: not needed any more.
        depth: how many levels of modules the table shows.
        display: print the table at the end of the block.
        custom_mapping: formulas for further operators, by packet.
    """

    def __init__(
        self,
        mods: Any = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Formula] | None = None,
    ) -> None:
        if mods is not None:
            import warnings

            warnings.warn(
                "mods argument is not needed anymore, you can stop passing it"
            )
        self.flop_counts: dict[str, dict[Any, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.depth = depth
        self.display = display
        self.mode: _CountingMode | None = None
        self.mod_tracker = ModuleTracker()
        custom = custom_mapping or {}
        self.flop_registry = {
            **flop_registry,
            **{
                k: v if getattr(v, "_get_raw", False) else _raw(v)
                for k, v in custom.items()
            },
        }

    def get_total_flops(self) -> int:
        """The count of the whole block."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """{module: {operator: count}}; "Global" is everything."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as a table."""
        depth = 999999 if depth is None and self.depth is None else depth or self.depth
        header = ["Module", "FLOP", "% Total"]
        total = self.get_total_flops()
        suffix = _suffix_of(total)
        rows: list[list[str]] = []
        captured = False

        def lines(name: str, level: int) -> list[list[str]]:
            nonlocal captured
            own = sum(self.flop_counts[name].values())
            captured |= own >= total
            pad = " " * level
            made = [[pad + name, _shown(own, suffix), _percent(own, total)]]
            for op, count in self.flop_counts[name].items():
                cells = [f"{pad} - {op}", _shown(count, suffix), _percent(count, total)]
                made.append(cells)
            return made

        for name in sorted(self.flop_counts):
            level = name.count(".") + 1
            if name == "Global" or level > depth:
                continue
            rows += lines(name, level - 1)
        if "Global" in self.flop_counts and not captured:
            for row in rows:
                row[0] = " " + row[0]
            rows = lines("Global", 0) + rows
        if not rows:
            rows = [["Global", "0", "0%"]]
        stripped = [[row[0].strip(), *row[1:]] for row in rows]
        return _table(header, stripped)

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self.mod_tracker.__enter__()
        self.mode = _CountingMode(self)
        self.mode.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self.mode is None:
            raise AssertionError(
                "Internal error: FlopCounter.__exit__ called but mode is None"
            )
        self.mode.__exit__(*exc_info)
        self.mode = None
        self.mod_tracker.__exit__()
        if self.display:
            print(self.get_table(self.depth))

    def _count(self, packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        formula = self.flop_registry.get(packet)
        if formula is not None:
            count = formula(*args, **kwargs, out_val=out)
            for name in set(self.mod_tracker.parents):
                self.flop_counts[name][packet] += count
        return out


def _raw(formula: Formula) -> Formula:
    def given(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        args, kwargs, out_shape = tree_map(_shape_of, (args, kwargs, out_val))
        return formula(*args, out_shape=out_shape, **kwargs)

    return given


def _percent(part: int, whole: int) -> str:
    return "0%" if not whole else f"{part / whole:.2%}"


class _CountingMode(TorchDispatchMode):
    def __init__(self, counter: FlopCounterMode) -> None:
        self.counter = counter

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        out = func(*args, **kwargs)
        return self.counter._count(packet, out, args, kwargs)

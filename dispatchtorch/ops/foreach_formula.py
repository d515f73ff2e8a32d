"""One formula for many rows of tensors: what a step of an optimizer is made of.

A formula is text, an instruction a line, each ``target = operator(operands)``:

    t0 = sub(x1, x2)
    t0 = mul(t0, n0)
    x2 = add(x2, t0)

``x`` are the tensors of a row (which all have one shape), ``n`` numbers, ``t`` what is
remembered for later lines, and ``m`` the same for comparisons. Tensors that are targets
change in place. The decomposition does a line at a time with operators over lists; a
device may do all lines in one go, without writing to memory what is remembered.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from dispatchtorch.device_layer import check_overlap
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import strict, torch

__all__ = ["OPERATORS", "Formula", "apply_formula_", "parsed"]

#: Operators of formulas. ``masked_fill`` takes a tensor, a comparison and a number.
OPERATORS = frozenset(
    """abs add copy div fill gt lt masked_fill maximum minimum mul neg reciprocal sign sqrt
    sub""".split()
)
_LINE = re.compile(r"([xtm]\d+) = (\w+)\(([^()]*)\)")

Instruction = tuple[str, str, tuple[str, ...]]


class Formula:
    """A formula that has been read: its lines, with as few ``t`` and ``m`` as will do."""

    __slots__ = ("columns", "lines", "temporaries", "written")

    def __init__(self, text: str) -> None:
        lines: list[Instruction] = []
        for line in text.split("\n"):
            found = _LINE.fullmatch(line)
            if found is None or found[2] not in OPERATORS:
                raise ValueError(f"not a line of a formula: {line!r}")
            lines.append((found[1], found[2], tuple(found[3].split(", "))))
        self.lines, self.temporaries = _allocated(lines)
        names = {name for target, _, args in lines for name in (target, *args)}
        numbers = [int(name[1:]) for name in names if name[0] == "x"]
        #: How many tensors a row has, as far as the formula can tell.
        self.columns = max(numbers, default=-1) + 1
        #: The numbers of the tensors that change.
        self.written = {int(t[1:]) for t, _, _ in lines if t[0] == "x"}


parsed = functools.lru_cache(512)(Formula)


def _allocated(lines: list[Instruction]) -> tuple[list[Instruction], list[str]]:
    """The lines with names of temporaries used again once they are free."""
    last = {n: i for i, (t, _, args) in enumerate(lines) for n in (t, *args)}
    place: dict[str, str] = {}
    free: dict[str, list[str]] = {"t": [], "m": []}
    made: list[Instruction] = []
    used: list[str] = []
    for i, (target, name, args) in enumerate(lines):
        renamed = tuple([place.get(arg, arg) for arg in args])
        for arg in set(args):  # a target may lie where an operand was
            if arg in place and last[arg] == i and arg != target:
                free[arg[0]].append(place.pop(arg))
        if target[0] in free and target not in place:
            spare = free[target[0]]
            if not spare:
                spare.append(f"{target[0]}{sum(n[0] == target[0] for n in used)}")
                used.append(spare[-1])
            place[target] = spare.pop()
        made.append((place.get(target, target), name, renamed))
        if target in place and last[target] == i:
            free[target[0]].append(place.pop(target))
    return made, used


@operator(
    "_foreach_formula_(Tensor[] self, str formula, int columns, Scalar[] numbers) -> ()",
    variants="function",
    tags="mixed_devices",
)
def _formula(self, formula, columns, numbers):
    """Runs a formula on rows of ``columns`` tensors, which lie one after the other."""
    known = {f"x{i}": list(self[i::columns]) for i in range(columns)}
    known.update({f"n{i}": number for i, number in enumerate(numbers)})
    for target, name, args in parsed(formula).lines:
        operands = [known[arg] for arg in args]
        if name == "copy" and target in known:
            torch._foreach_copy_(known[target], operands[0])
        elif args[0] == target:
            _line(name, "_", operands)
        elif target[0] == "x":
            torch._foreach_copy_(known[target], _line(name, "", operands))
        else:
            known[target] = _line(name, "", operands)


def _line(name: str, mark: str, operands: list[Any]) -> list[Any]:
    """A line on lists: in place on the first operand where ``mark`` is ``_``."""
    first, *others = operands
    if name == "copy":
        return [x.clone() for x in first]
    if name == "masked_fill":
        mask, number = others
        pairs = zip(first, mask, strict=True)
        return [getattr(x, name + mark)(m, number) for x, m in pairs]
    if name in ("fill", "gt", "lt"):
        function, other = getattr(torch, name + mark), others[0]
        second = other if type(other) is list else repeat(other)
        return [function(x, y) for x, y in zip(first, second, strict=False)]
    return list(getattr(torch, f"_foreach_{name}{mark}")(first, *others))


def apply_formula_(
    tensors: Sequence[Any], formula: str, columns: int, numbers: Sequence[float]
) -> None:
    """Runs a formula, and counts what it writes as changes of those tensors.

    Args:
        tensors: rows of ``columns`` tensors, one row after the other.
        formula: the text of a formula.
        columns: how many tensors a row has.
        numbers: the values of ``n0``, ``n1``, ….
    """
    written = parsed(formula).written
    changed = [tensors[i] for i in range(len(tensors)) if i % columns in written]
    for tensor in changed:
        if tensor._base is not None:
            check_overlap(tensor)
    strict._foreach_formula_(tensors, formula, columns, numbers)
    for tensor in changed:
        version = tensor._ver
        if version is None:
            tensor._ver = [1, 0]
        else:
            version[0] += 1

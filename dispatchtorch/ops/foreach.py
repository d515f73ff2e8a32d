"""Operators over lists of tensors: ``_foreach_add`` and its kind.

One row for each name: the kinds of its second operand. The decomposition calls the
operator of single tensors; a device may offer one kernel for a whole list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from typing import Any

from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.operator import Operator, operator, packets
from dispatchtorch.lift import Plain, natives, run_guarded
from dispatchtorch.ops._common import torch
from dispatchtorch.ops._pointwise import number_like

_UNARY = """
    abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p
    log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc zero clone max
"""
# Name: overloads, each with the arguments that follow the first list. An argument whose
# type is a list gives one item to each tensor; the others are the same for all.
_LIST = "Tensor[] other"
_ALPHA = "*, Scalar alpha=1"
_BOUND = {"List": _LIST, "Scalar": "Scalar scalar", "ScalarList": "Scalar[] scalars"}
_SCALED = {
    "List": f"{_LIST}, {_ALPHA}",
    "Tensor": f"Tensor other, {_ALPHA}",
    "Scalar": "Scalar scalar",
    "ScalarList": "Scalar[] scalars",
}
_PRODUCT = {"List": _LIST, "Tensor": "Tensor other", "Scalar": "Scalar scalar",
            "ScalarList": "Scalar[] scalars"}  # fmt: skip
_FUSED = {
    "Scalar": "Tensor[] tensor1, Tensor[] tensor2, Scalar value=1",
    "ScalarList": "Tensor[] tensor1, Tensor[] tensor2, Scalar[] scalars",
    "Tensor": "Tensor[] tensor1, Tensor[] tensor2, Tensor scalars",
}
_NAMES: dict[str, dict[str, str]] = {
    "add": _SCALED,
    "sub": {k: v for k, v in _SCALED.items() if k != "Tensor"},
    "mul": _PRODUCT,
    "div": _PRODUCT,
    "clamp_min": _BOUND,
    "clamp_max": _BOUND,
    "maximum": _BOUND,
    "minimum": _BOUND,
    "pow": {"List": "Tensor[] exponent", "Scalar": "Scalar exponent",
            "ScalarList": "Scalar[] exponent"},
    "lerp": {"List": "Tensor[] tensors1, Tensor[] weights",
             "Scalar": "Tensor[] tensors1, Scalar weight",
             "ScalarList": "Tensor[] tensors1, Scalar[] weight"},
    "addcmul": _FUSED,
    "addcdiv": _FUSED,
    "copy": {"": "Tensor[] src, bool non_blocking=False"},
    "norm": {"Scalar": "Scalar ord=2, ScalarType? dtype=None"},
}  # fmt: skip
_INPLACE_ONLY = {"copy", "zero"}
_FUNCTIONAL_ONLY = {"clone", "max", "norm"}


class _Written(Plain):
    """Kernels that write to the tensors of their first list, which is the result."""

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Callable[..., Any],
    ) -> Callable[..., Any]:
        function = kernel.function

        def write(targets: Any, *rest: Any) -> Any:
            # What writing to a view or to an inference tensor asks for is seen to one
            # by one.
            if any(t._keys & (K.VIEW | K.INFERENCE) for t in targets):
                return declined(targets, *rest)
            given = [list(a) if type(a) is tuple else a for a in (targets, *rest)]
            made = run_guarded(backend, function, *map(natives, given))
            if made is NotImplemented:
                return declined(targets, *rest)
            for t in targets:
                if t._ver is None:
                    t._ver = [1, 0]
                else:
                    t._ver[0] += 1
            return targets

        return write


_PLAIN, _WRITTEN = Plain(), _Written()


def _same_lengths(first: Any, *others: Any) -> None:
    for other in others:
        if len(other) != len(first):
            raise RuntimeError(
                "Tensor lists must have the same number of tensors, got "
                f"{len(first)} and {len(other)}"
            )


def _bound_of(name: str) -> Callable[..., Any]:
    """clamp_min and its kind, with a tensor or a number as the bound."""
    base, mark = name.rstrip("_"), name[len(name.rstrip("_")) :]
    if name in ("maximum", "minimum"):  # equal operands share the gradient
        pick = name
        return lambda self, bound: getattr(torch, pick)(
            self, bound if hasattr(bound, "_keys") else number_like(self, bound)
        )
    method = {"maximum": "clamp_min", "minimum": "clamp_max"}.get(base, base) + mark
    return lambda self, bound: getattr(self, method)(bound)


def _fused(name: str) -> Callable[..., Any]:
    """addcmul and addcdiv, whose scale comes last and may be a 0-d tensor's item."""

    def call(self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
        value = value.item() if hasattr(value, "_keys") else value
        return getattr(self, name)(tensor1, tensor2, value=value)

    return call


def _norm(self: Any, ord: Any, dtype: Any) -> Any:
    """The vector norm of one whole tensor."""
    size = (self if dtype is None else self.to(dtype)).abs().reshape(-1)
    if abs(ord) == math.inf:
        return size.amax(0) if ord > 0 else size.amin(0)
    if ord == 0:
        return (size != 0).sum().to(size.dtype)
    if ord == 1:
        return size.sum()
    return (size * size).sum().sqrt() if ord == 2 else size.pow(ord).sum().pow(1 / ord)


def _single(name: str) -> Callable[..., Any]:
    """What one tensor of the list goes through."""
    base = name.rstrip("_")
    if base in ("clamp_min", "clamp_max", "maximum", "minimum"):
        return _bound_of(name)
    if base in ("addcmul", "addcdiv"):
        return _fused(name)
    if base == "norm":
        return _norm
    return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)


def _each(name: str, listed: list[int], keyword: int, names: list[str]) -> Any:
    """The decomposition: ``listed`` arguments give an item to each tensor."""
    function = _single(name)
    inplace = name.endswith("_")
    keywords = names[keyword:]

    def body(self: Any, *rest: Any) -> Any:
        _same_lengths(self, *[rest[i] for i in listed])
        if listed or keywords:
            columns = [v if i in listed else repeat(v) for i, v in enumerate(rest)]
            made = [
                function(
                    one,
                    *items[:keyword],
                    **dict(zip(keywords, items[keyword:], strict=True)),
                )
                for one, *items in zip(self, *columns, strict=False)
            ]
        else:
            made = [function(one, *rest) for one in self]
        return self if inplace else tuple(made)

    body.__doc__ = f"``{name}`` of each tensor of a list."
    return body


def _declare(name: str, overload: str, tail: str) -> None:
    parts = [p.strip() for p in tail.split(",")] if tail else []
    keyword = parts.index("*") if "*" in parts else len(parts)
    arguments = [p.split(None, 1) for p in parts if p != "*"]
    names = [n.partition("=")[0] for _, n in arguments]
    listed = [i for i, (kind, _) in enumerate(arguments) if kind.endswith("[]")]
    if overload == "Tensor" and "scalars" in names:
        listed.append(names.index("scalars"))  # a 1-d tensor with a scale for each
    dot = f".{overload}" if overload else ""
    rest = f", {tail}" if tail else ""
    schema = f"_foreach_{name}{dot}(Tensor[] self{rest}) -> Tensor[]"
    lift = _WRITTEN if name.endswith("_") else _PLAIN
    operator(schema, variants="function", tags="mixed_devices", lift=lift)(
        _each(name, listed, keyword, names)
    )


_ROWS = {name: {"": ""} for name in _UNARY.split()} | _NAMES
for _name, _overloads in _ROWS.items():
    for _overload, _tail in _overloads.items():
        if _name not in _INPLACE_ONLY:
            _declare(_name, _overload, _tail)
        if _name not in _FUNCTIONAL_ONLY:
            _declare(_name + "_", _overload, _tail)


@operator(
    "_foreach_pow.ScalarAndTensor(Scalar self, Tensor[] exponent) -> Tensor[]",
    variants="function",
)
def _pow_of_scalar(self, exponent):
    """A number raised to each tensor of a list."""
    return tuple([torch.pow(self, each) for each in exponent])


packets["_foreach_pow"]._callables.clear()

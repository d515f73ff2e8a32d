"""The layers that sparse operands bring into a call.

A *rule* replaces an operator's kernel (below autograd: the operator's own derivative
holds); a *composite* replaces the whole operator by other, differentiable ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch._sparse.data import CompressedData, SparseData, is_sparse
from dispatchtorch.device_layer import positional_body
from dispatchtorch.dispatch.keys import SPARSE, names
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.lift import Pointwise
from dispatchtorch.tensor import Tensor, bare

__all__ = ["composite", "rule"]

Function = Callable[..., Any]
_rules: dict[str, Function] = {}
_composites: dict[str, Function] = {}


def rule(*full_names: str) -> Callable[[Function], Function]:
    """Declares a kernel for operands of which one is sparse."""

    def add(function: Function) -> Function:
        _rules.update(dict.fromkeys(full_names, function))
        return function

    return add


def composite(*full_names: str) -> Callable[[Function], Function]:
    """Declares a replacement of an operator, gradients included."""

    def add(function: Function) -> Function:
        _composites.update(dict.fromkeys(full_names, function))
        return function

    return add


def _bare(value: Any) -> Any:
    if isinstance(value, Tensor):
        return bare(value)
    if type(value) in (list, tuple):
        return [_bare(each) for each in value]
    return value


class SparseComposites(Layer):
    """Above autograd: operators that mean something else for sparse operands."""

    name = "sparse composites"
    order = 45
    key = SPARSE

    def bind(self, op: Operator, keys: int, inner: Any) -> Any:
        return _composites.get(op.full_name, inner)

    def describe(self, op: Operator, keys: int) -> str:
        return "a replacement" if op.full_name in _composites else "-"


class SparseKernels(Layer):
    """In the device's place: kernels that know indices and values."""

    name = "sparse"
    order = 30
    key = SPARSE

    def bind(self, op: Operator, keys: int, inner: Any) -> Any:
        found = _rules.get(op.full_name)
        if found is not None:
            function = found
            return lambda *args: function(*[_bare(a) for a in args])
        if op.functional is not None:
            return _inplace(op)
        if op.body is not None and not isinstance(op.lift, Pointwise):
            body = positional_body(op)
            if op.derivative is None:
                return body
            return lambda *args: body(*[_bare(a) for a in args])
        return _unsupported(op, keys)

    def describe(self, op: Operator, keys: int) -> str:
        return "a kernel" if op.full_name in _rules else "no kernel of its own"


def _inplace(op: Operator) -> Function:
    """The functional operator, whose result takes the place of the data."""
    functional = op.functional
    assert functional is not None
    names_ = [a.name for a in functional.schema.arguments]

    def kernel(self: Tensor, *args: Any) -> Tensor:
        values = [_bare(a) for a in (self, *args)]
        made = functional.entry(**dict(zip(names_, values, strict=True)))
        write(self, made)
        return self

    return kernel


def write(target: Tensor, made: Tensor) -> None:
    """Gives a sparse (or dense) tensor what an in-place operator computed."""
    if not is_sparse(target):
        bare(target).copy_(made)
    else:
        if not is_sparse(made):
            made = made.to_sparse(layout=target.layout)
        if made.dtype is not target.dtype:
            made = made.to(target.dtype)
        target._data.assign(made._data)
    if target._ver is None:
        target._ver = [1, 0]
    else:
        target._ver[0] += 1


def _unsupported(op: Operator, keys: int) -> Function:
    def unsupported(*args: Any) -> Any:
        kinds = {_kind(a) for a in args if is_sparse(a)}
        device = "".join(n.upper() for n in names(keys, "device")) or "CPU"
        backend = f"{sorted(kinds)[0] if kinds else 'Sparse'}{device}"
        raise NotImplementedError(
            f"Could not run 'aten::{op.full_name}' with arguments from the '{backend}' "
            "backend. This could be because the operator doesn't exist for this backend, "
            "or was omitted during the selective/custom build process (if using custom "
            "build). Dense tensors have it: call to_dense() first."
        )

    return unsupported


def _kind(t: Tensor) -> str:
    data: SparseData = t._data
    if not isinstance(data, CompressedData):
        return "Sparse"
    return "SparseCsr"


register_layer(SparseComposites())
register_layer(SparseKernels())

"""Derivatives of library operators: formulas with a ctx, as ``autograd.Function``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.function import Function
from dispatchtorch.autograd.node import Node, edge_of, next_sequence
from dispatchtorch.autograd.views import check_inplace
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK
from dispatchtorch.tensor import Tensor

__all__ = ["Formula", "recording", "warning"]

Kernel = Callable[..., Any]


class Formula:
    """``backward`` and ``setup_context`` of ``register_autograd``."""

    def __init__(self, backward: Kernel | None, setup_context: Kernel | None) -> None:
        self.backward = backward
        self.setup_context = setup_context


def recording(op: Operator, keys: int) -> Kernel:
    """The kernel that runs an operator and records its formula."""
    formula: Formula = op.rules["formula"]
    table = op.new_table()
    lower = keys & ~(AUTOGRAD | VIEW)
    arguments = op.schema.arguments
    names = [a.name for a in arguments]
    split = sum(not a.kwonly for a in arguments)
    written = [i for i, a in enumerate(arguments) if a.writes]
    prefix = "" if "::" in op.name else "aten."
    called = f"{prefix}{op.name}.{op.overload or 'default'}".replace("::", ".")

    class Generated(Function):
        # One list of arguments and results to the engine, nested ones to the user.

        @staticmethod
        def forward(ctx: Any, kept: Any, spec: Any, keyword: Any, *flat: Any) -> Any:
            args = _nested(spec, flat)
            output = table[lower](*args, *keyword)
            ctx.needs_input_grad = tuple(_nested(spec, ctx.needs_input_grad[3:]))
            if formula.setup_context is not None:
                given = dict(zip(names[split:], keyword, strict=True))
                _set_up(formula.setup_context, ctx, args, given, output)
            ctx.__dict__["_spec"] = spec
            ctx.__dict__["_inputs"] = [None if n is None else [None] * n for n in spec]
            outputs = list(output) if isinstance(output, (tuple, list)) else [output]
            ctx.__dict__["_out"] = out = [
                len(o) if isinstance(o, (list, tuple)) else None for o in outputs
            ]
            if isinstance(output, list):
                out[:] = [len(output)]
                outputs = [output]
            result = _flat(outputs)
            single = not isinstance(output, (tuple, list))
            ctx.__dict__["_single"] = single
            kept.append((out, single, type(output)))
            return result[0] if single else tuple(result)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            if formula.backward is None:
                raise RuntimeError(
                    f"Trying to backward through {called} but no autograd formula was "
                    "registered. Please use register_autograd to add one."
                )
            made = formula.backward(ctx, *_nested(ctx.__dict__["_out"], grads))
            listed = list(made) if isinstance(made, tuple) else [made]
            spec = ctx.__dict__["_spec"]
            if len(listed) != len(spec):
                raise RuntimeError(
                    f"function {called} returned an incorrect number of gradients "
                    f"(expected {len(spec)}, got {len(listed)})"
                )
            _check_structure(spec, listed, ctx.__dict__["_inputs"])
            spread = [
                [None] * n if n is not None and value is None else value
                for n, value in zip(spec, listed, strict=True)
            ]
            return (None, None, None, *_flat(spread))

    name = called.replace(".", "_").replace("::", "_")
    made: Any = type(f"GeneratedBackwardFor_{name}", (Generated,), {})
    made._backward_cls.__module__ = "torch.autograd.function"

    def kernel(*args: Any) -> Any:
        for i in written:
            for t in args[i] if isinstance(args[i], (list, tuple)) else [args[i]]:
                if isinstance(t, Tensor):
                    check_inplace(t)
        positional, keyword = args[:split], args[split:]
        spec = [
            len(a) if isinstance(a, (list, tuple)) and _tensors(a) else None
            for a in positional
        ]
        kept: list[Any] = []
        result = made.apply(kept, spec, keyword, *_flat_by(spec, positional))
        out, single, kind = kept.pop()
        if single:
            return result
        nested = _nested(out, result)
        return list(nested[0]) if kind is list else tuple(nested)

    return kernel


def _check_structure(spec: Any, made: list[Any], inputs: list[Any]) -> None:
    """Gradients of a list of tensors come as a list of as many."""
    for n, value in zip(spec, made, strict=True):
        if value is None:
            continue
        if (n is not None) != isinstance(value, (list, tuple)) or (
            n is not None and len(value) != n
        ):
            from importlib import import_module  # from the floor above

            pytree = import_module("dispatchtorch.utils._pytree")
            tree_structure = pytree.tree_structure
            raise RuntimeError(
                "Expected the return from backward to be of the same structure as the "
                f"inputs. Got: {tree_structure(tuple(made))} (return from backward), "
                f"{tree_structure(tuple(inputs))} (inputs)"
            )


def _set_up(
    setup: Kernel, ctx: Any, args: Any, keyword: dict[str, Any], output: Any
) -> None:
    if keyword:
        setup(ctx, tuple(args), keyword, output)
    else:
        setup(ctx, tuple(args), output)


def _tensors(values: Any) -> bool:
    return any(isinstance(v, Tensor) for v in values)


def _flat(values: Any) -> list[Any]:
    made: list[Any] = []
    for each in values:
        if isinstance(each, (list, tuple)):
            made += each
        else:
            made.append(each)
    return made


def _flat_by(spec: Any, values: Any) -> list[Any]:
    made: list[Any] = []
    for n, each in zip(spec, values, strict=True):
        if n is None:
            made.append(each)
        else:
            made += each
    return made


def _nested(spec: Any, flat: Any) -> list[Any]:
    made: list[Any] = []
    rest = iter(flat)
    for n in spec:
        made.append(next(rest) if n is None else [next(rest) for _ in range(n)])
    return made


class WarnNode(Node):
    """The node of an operator that has no autograd kernel: warns, gives no gradient."""

    op_name = ""

    def apply(self, grads: list[Tensor | None]) -> Any:
        _warn(self.op_name)
        return [None] * len(self.next)

    def name(self) -> str:
        return "WarnNotImplemented"


def _warn(name: str) -> None:
    warnings.warn(
        f"{name}: an autograd kernel was not registered to the Autograd key(s) but we "
        "are trying to backprop through it. This may lead to silently incorrect "
        "behavior. This behavior is deprecated and will be removed in a future version "
        "of PyTorch. If your operator is differentiable, please ensure you have "
        "registered an autograd kernel to the correct Autograd key (e.g. "
        "DispatchKey::Autograd, DispatchKey::CompositeImplicitAutograd). If your "
        "operator is not differentiable, or to squash this warning and use the previous "
        "behavior, please register torch::CppFunction::makeFallthrough() to "
        "DispatchKey::Autograd.",
        stacklevel=2,
    )


def warning(op: Operator, keys: int) -> Kernel:
    """The kernel of an operator without a derivative: going back through it warns."""
    table = op.new_table()
    lower = keys & ~(AUTOGRAD | VIEW)

    def kernel(*args: Any) -> Any:
        result = table[lower](*args)
        inputs = tuple(edge_of(a) for a in args if isinstance(a, Tensor))
        given = {id(a) for a in args}
        for i, t in enumerate(result if isinstance(result, tuple) else (result,)):
            if not isinstance(t, Tensor) or not t._keys & DIFFERENTIABLE_MASK:
                continue
            if t._keys & AUTOGRAD:
                if id(t) not in given:
                    t.register_hook(lambda grad: _warn(op.name))
                continue
            node = WarnNode()
            node.op_name = op.name
            node.next = inputs
            node.seq = next_sequence()
            node.shape, node.keys = t._shape, t._keys
            t._keys |= AUTOGRAD
            t._edge = (node, i)
        return result

    return kernel

"""The autograd layer: binds an operator's derivative around the layers below.

For each operator one Node class is generated, with a slot for each value that its
formulas name; for each keyset one kernel, which calls the layers below and records a
node. Operators without a derivative of their own decompose here, above autograd.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.node import (
    RELEASED,
    Node,
    Packed,
    edge_of,
    modified_error,
    next_sequence,
    released_error,
    unpack,
    version_of,
)
from dispatchtorch.autograd.views import (
    check_inplace,
    check_made_without_grad,
    rebase_history,
    renew,
)
from dispatchtorch.device_layer import positional_body
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.codegen import compile_function
from dispatchtorch.dispatch.derivative import Derivative
from dispatchtorch.dispatch.keys import AUTOGRAD, INFERENCE, LAZY, VIEW, allocate
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK, DTYPE_MASK, SCALAR_MASK
from dispatchtorch.lift import Pointwise
from dispatchtorch.tensor import Tensor, alias

__all__ = ["AutogradLayer", "ViewLayer"]

Kernel = Callable[..., Any]
_new = object.__new__

# Switched on by anomaly detection and by saved-tensor hooks, for this thread.
ANOMALY = allocate("layer", "anomaly")
SAVED_HOOKS = allocate("layer", "saved tensor hooks")


class AutogradLayer(Layer):
    """Records a node where an operand requires grad, and runs the layers below."""

    name = "autograd"
    order = 40

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        derivative = op.derivative
        if "nondifferentiable" in op.tags:
            if "inplace" in op.tags:
                return _checked_inplace(inner)
            return inner
        if derivative is None:
            if op.body is not None and "no_derivative" not in op.tags:
                return positional_body(op)
            if op.functional is not None and op.functional.body is not None:
                return _inplace_by_copy(op)
            return _without_derivative(op, inner)
        recorder = _Recorder(op, derivative, keys)
        return recorder.kernel(inner)

    def describe(self, op: Operator, keys: int) -> str:
        derivative = op.derivative
        if "nondifferentiable" in op.tags:
            return "not differentiable"
        if derivative is None:
            return "decomposes above autograd" if op.body else "no derivative"
        return (
            f"{derivative.node_name(op)}, saves {_saved_names(derivative) or 'nothing'}"
        )


class ViewLayer(Layer):
    """Renews the histories of views whose base was written to since they were made."""

    name = "view"
    order = 41
    key = VIEW

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        table = op.new_table()
        arguments = op.schema.arguments
        listed = ", ".join(a.name for a in arguments)
        checks = []
        for a in arguments:
            if a.base == "Tensor" and not a.is_list and not a.optional:
                checks.append(
                    f"{a.name}._base is not None and {a.name}._ver[1] != {a.name}._stamp"
                )
            elif a.is_tensor:
                checks.append(f"stale({a.name})")
        lines = [
            f"def kernel({listed}):",
            f"    if {' or '.join(checks)}:",
            f"        return renewed(({listed},))",
        ]
        if "inplace" in op.tags and not keys & AUTOGRAD:
            first = arguments[0].name
            lines += [
                f"    base = {first}._base",
                f"    if base is not None and base._keys & AUTOGRAD and {first}._keys & "
                "VIEW:",
                f"        made_without_grad({first})",
            ]
        lines.append(f"    return inner({listed})")

        writes = "inplace" in op.tags

        def renewed(args: tuple[Any, ...]) -> Any:
            keyset = keys & ~VIEW
            if writes and args[0]._base is not None and args[0]._base._keys & AUTOGRAD:
                check_inplace(args[0])
            for each in args:
                for t in each if type(each) in (list, tuple) else (each,):
                    if hasattr(t, "_keys"):
                        if t._base is not None:
                            renew(t)
                        keyset |= t._keys & AUTOGRAD
            return table[keyset](*args)

        constants = {
            "inner": inner,
            "renewed": renewed,
            "stale": _stale,
            "made_without_grad": check_made_without_grad,
            "AUTOGRAD": AUTOGRAD,
            "VIEW": VIEW,
        }
        return compile_function("\n".join(lines), "kernel", constants)


def _stale(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(_stale(each) for each in value)
    base = getattr(value, "_base", None)
    return base is not None and value._ver[1] != value._stamp


def _saved_names(derivative: Derivative) -> str:
    names = {n for needed in derivative.needed.values() for n in needed}
    return ", ".join(sorted(names - {"grad", "grads", "needs"}))


def _without_derivative(op: Operator, inner: Kernel) -> Kernel:
    """Runs, and complains only when somebody asks for the gradient."""

    def kernel(*args: Any) -> Any:
        result = inner(*args)
        inputs = tuple(edge_of(a) for a in args)
        for i, t in enumerate(result if isinstance(result, tuple) else (result,)):
            if hasattr(t, "_keys") and t._keys & DIFFERENTIABLE_MASK:
                node = NotImplementedNode()
                node.op_name = op.name
                node.next = inputs
                node.seq = next_sequence()
                node.shape, node.keys = t._shape, t._keys
                t._keys |= AUTOGRAD
                t._edge = (node, i)
        return result

    return kernel


class NotImplementedNode(Node):
    """The node of an operator whose derivative nobody has written."""

    op_name = ""

    def apply(self, grads: list[Tensor | None]) -> Any:
        raise RuntimeError(f"derivative for aten::{self.op_name} is not implemented")

    def name(self) -> str:
        return "NotImplemented"


NotImplementedNode.__name__ = NotImplementedNode.__qualname__ = "NotImplemented"


def _checked_inplace(inner: Kernel) -> Kernel:
    def kernel(self: Tensor, *args: Any) -> Any:
        check_inplace(self)
        return inner(self, *args)

    return kernel


def _inplace_by_copy(op: Operator) -> Kernel:
    """In place for an operator that decomposes above autograd: compute, then copy_."""
    functional = op.functional
    assert functional is not None
    arguments = functional.schema.arguments

    def kernel(self: Tensor, *args: Any) -> Any:
        check_inplace(self)
        names = [a.name for a in arguments[1:]]
        given = dict(zip(names, args, strict=True))
        first = {arguments[0].name: self}
        result = functional(**first, **given)
        from dispatchtorch.device_layer import native_kernel, write_back

        if result._keys & AUTOGRAD or self._keys & LAZY:
            if result.dtype is not self.dtype:
                write_back(op, alias(self), alias(result), self._backend, _no_write)
            return self.copy_(result)
        backend = self._backend
        write_back(op, self, result, backend, native_kernel("copy_", backend))
        if self._ver is None:
            self._ver = [1, 0]
        else:
            self._ver[0] += 1
        return self

    return kernel


def _no_write(target: Any, source: Any) -> None:
    """Takes the place of ``copy_`` where only the checks of a write are wanted."""


class _Recorder:
    """Generates the Node class and the recording kernel of one operator and keyset."""

    def __init__(self, op: Operator, derivative: Derivative, keys: int) -> None:
        self.op = op
        self.derivative = derivative
        self.keys = keys
        self.arguments = {a.name: a for a in op.schema.arguments}
        self.inplace = "inplace" in op.tags
        used = {n for needed in derivative.needed.values() for n in needed}
        used -= {"grad", "grads", "needs"}
        #: tensors saved, and other values kept
        self.saved = sorted(n for n in used if self._is_tensor(n))
        self.values = sorted(used - set(self.saved))
        self.several = len(op.schema.returns) > 1 or "[]" in op.schema.returns[0]
        self.lists = any(self.arguments[a].is_list for a in derivative.arguments)

    def _is_tensor(self, name: str) -> bool:
        if name == "result":
            return True
        argument = self.arguments.get(name)
        if argument is None:
            if self._property_of(name) is not None:
                return False
            if name in self.op.schema.return_names:
                return True
            raise TypeError(
                f"a derivative formula of {self.op.full_name} names {name!r}, which is "
                "neither an argument nor a result"
            )
        return argument.is_tensor and not argument.is_list

    def _all_differentiable(self) -> bool:
        """Whether an operand that brought autograd's key in has a formula."""
        tensors = {n for n, a in self.arguments.items() if a.is_tensor}
        return not self.inplace and tensors == set(self.derivative.arguments)

    def _stays_floating(self) -> bool:
        """Whether the result is differentiable whenever the operands are."""
        lift = self.op.lift
        found = self.keys & DTYPE_MASK
        return (
            isinstance(lift, Pointwise)
            and lift.result in ("same", "float")
            and found & DIFFERENTIABLE_MASK == found
        )

    def _is_tensor_list(self, name: str) -> bool:
        argument = self.arguments.get(name)
        return argument is not None and argument.is_list and argument.is_tensor

    def _property_of(self, name: str) -> str | None:
        """What of an argument ``x_sizes`` and its kind keep, as an expression."""
        base, _, kind = name.rpartition("_")
        argument = self.arguments.get(base)
        if argument is None or kind not in _PROPERTIES:
            return None
        term = _PROPERTIES[kind]
        if argument.is_list:
            return f"[{term.format('each')} for each in {base}]"
        made = term.format(base)
        if argument.optional or argument.base != "Tensor":
            return f"({made} if hasattr({base}, '_keys') else ())"
        return made

    def node_class(self) -> type[Node]:
        """The Node class, made once for an operator (and its in-place twin)."""
        owner = self.op.functional or self.op
        if owner.derivative is not self.derivative:
            owner = self.op  # written in place, it has a formula of its own
        rule = "node " + self.derivative.node_name(self.op, self.keys)
        made = owner.rules.get(rule)
        if made is None:
            made = owner.rules[rule] = self._make_node_class()
        return made  # type: ignore[no-any-return]

    def _make_node_class(self) -> type[Node]:
        slots = [f"s_{n}" for n in self.saved] + [f"v_{n}" for n in self.saved]
        slots += [f"k_{n}" for n in self.values]
        slots += [f"v_{n}" for n in self.values if self._is_tensor_list(n)]
        members: dict[str, Any] = {
            "__slots__": tuple(slots),
            "__module__": "dispatchtorch.autograd",
            "apply": self._make_apply(),
            "release": self._make_release(),
            "__doc__": f"The derivative of {self.op.full_name}.",
        }
        for n in self.saved:
            members[f"_saved_{n}"] = property(_saved_getter(n, self._output_of(n)))
            members[f"_raw_saved_{n}"] = property(_raw_getter(n))
        for n in self.values:
            members[f"_saved_{n}"] = property(_value_getter(n))
        return type(self.derivative.node_name(self.op, self.keys), (Node,), members)

    def _output_of(self, name: str) -> int | None:
        if name == "result":
            return 0
        names = self.op.schema.return_names
        return (
            names.index(name) if name in names and name not in self.arguments else None
        )

    def _make_release(self) -> Kernel:
        lines = ["def release(node):"]
        lines += [f"    node.s_{n} = RELEASED" for n in self.saved]
        lines += [
            f"    node.k_{n} = RELEASED"
            for n in self.values
            if n in self.arguments and self.arguments[n].is_tensor
        ]
        lines.append("    return")
        return compile_function("\n".join(lines), "release", {"RELEASED": RELEASED})

    def _make_apply(self) -> Kernel:
        """``apply(node, grads)``: unpacks what is needed, calls the formulas."""
        derivative = self.derivative
        lines = ["def apply(node, grads):"]
        constants: dict[str, Any] = {
            "unpack": unpack,
            "no_edge": _no_edge,
            "RELEASED": RELEASED,
            "released_error": released_error,
            "tls": state.tls,
            "AUTOGRAD": AUTOGRAD,
        }
        edges = [f"e{i}" for i in range(len(derivative.arguments))]
        if self.lists:
            lines.append(f"    {', '.join(edges)}, = node.__dict__['groups']")
        else:
            lines.append(f"    {', '.join(edges)}, = node.next")
        used = {n for needed in derivative.needed.values() for n in needed}
        if "grad" in used:
            lines.append(
                "    grad = grads[0]"
                if derivative.outputs is None
                else f"    grad = grads[{derivative.outputs[0]}]"
            )
        if "needs" in used:
            terms = ", ".join(f"{e} is not None" for e in edges)
            lines.append(f"    needs = ({terms},)")
        for n in self.values:
            lines.append(f"    {n} = node.k_{n}")
            lines.append(f"    if {n} is RELEASED: raise released_error(node)")
            if self._is_tensor_list(n):
                constants["check_versions"] = _check_versions
                lines.append(f"    check_versions(node, {n}, node.v_{n})")
        if derivative.joint is not None:
            for n in self.saved:
                lines += [f"    {each}" for each in self._unpack_lines(n)]
            constants["joint"] = derivative.joint
            given = ", ".join(derivative.needed[derivative.arguments[0]])
            lines.append(f"    made = joint({given})")
            results = [f"made[{i}]" for i in range(len(edges))]
        else:
            results = []
            # A tensor that all formulas want is unpacked once; else where it is wanted.
            shared = [
                n
                for n in self.saved
                if sum(n in derivative.needed[a] for a in derivative.arguments) > 1
            ]
            for n in shared:
                wanted = [
                    e
                    for e, a in zip(edges, derivative.arguments, strict=True)
                    if n in derivative.needed[a]
                ]
                condition = " or ".join(f"{e} is not None" for e in wanted)
                lines.append(f"    if {condition}:")
                lines += [f"        {each}" for each in self._unpack_lines(n)]
            for i, (edge, a) in enumerate(
                zip(edges, derivative.arguments, strict=True)
            ):
                constants[f"f{i}"] = derivative.formulas[a]
                needed = derivative.needed[a]
                lines.append(f"    if {self._none(edge, a)}: g{i} = None")
                lines.append("    else:")
                for n in needed:
                    if n in self.saved and n not in shared:
                        lines += [f"        {each}" for each in self._unpack_lines(n)]
                lines.append(f"        g{i} = f{i}({', '.join(needed)})")
                results.append(f"g{i}")
        flat = [
            f"*({r} or [None] * len({e}))" if self.arguments[a].is_list else r
            for r, a, e in zip(results, derivative.arguments, edges, strict=True)
        ]
        lines.append(f"    return [{', '.join(flat)}]")
        return compile_function("\n".join(lines), "apply", constants)

    def _none(self, edge: str, argument: str) -> str:
        """The test that no gradient is wanted for an argument."""
        is_list = self.arguments[argument].is_list
        return f"no_edge({edge})" if is_list else f"{edge} is None"

    def _unpack_lines(self, name: str) -> list[str]:
        """The lines that check a saved tensor for writes; ``unpack`` in short."""
        output = self._output_of(name)
        wanted = self.derivative.outputs
        if wanted is not None and output not in wanted:
            output = None  # no gradient comes back through it
        tail = f", {output}" if output is not None else ""
        slow = f"{name} = unpack(node, {name}, node.v_{name}{tail})"
        condition = f"(v[0] if v is not None else 0) != node.v_{name}"
        if output is not None:
            condition += " or tls.mask & AUTOGRAD"  # its history will be asked for
        return [
            f"{name} = node.s_{name}",
            f"try: v = {name}._ver",
            f"except AttributeError: {slow}",
            "else:",
            f"    if {condition}: {slow}",
        ]

    def kernel(self, inner: Kernel) -> Kernel:
        derivative = self.derivative
        names = list(self.arguments)
        listed = ", ".join(names)
        node_type = self.node_class()
        constants: dict[str, Any] = {
            "inner": inner,
            "new": _new,
            "NodeType": node_type,
            "sequence": next_sequence,
            "edge_of": edge_of,
            "no_edge": _no_edge,
            "version_of": version_of,
            "alias": alias,
            "AUTOGRAD": AUTOGRAD,
            "DIFFERENTIABLE": DIFFERENTIABLE_MASK,
            "check_inplace": check_inplace,
            "rebase_history": rebase_history,
        }
        body: list[str] = []
        scalars_possible = bool(self.keys & SCALAR_MASK)
        edges = []
        for i, a in enumerate(derivative.arguments):
            argument = self.arguments[a]
            edges.append(f"e{i}")
            if argument.is_list:
                body.append(f"e{i} = [edge_of(each) for each in {a}]")
            elif argument.optional or (
                argument.base == "Tensor|Scalar" and scalars_possible
            ):
                body.append(f"e{i} = edge_of({a})")
            else:
                body.append(
                    f"e{i} = ({a}._edge or {a}) if {a}._keys & AUTOGRAD else None"
                )
        original = self.inplace and "self" in self.saved
        if self.inplace:
            body.append(f"check_inplace({names[0]})")
        if len(edges) > 1 or self.lists:
            none = " and ".join(map(self._none, edges, derivative.arguments))
            if not self._all_differentiable():
                body.append(f"if {none}: return inner({listed})")
        elif self.arguments[derivative.arguments[0]].base == "Tensor":
            if not self._all_differentiable():
                body.append(f"if e0 is None: return inner({listed})")
        if original:
            first = names[0]
            users = [
                f"e{i} is not None"
                for i, a in enumerate(derivative.arguments)
                if "self" in derivative.needed[a]
            ]
            body.append(
                f"original = {first}.clone() if {' or '.join(users)} else {first}"
            )
        body.append(f"r = inner({listed})")
        if not self.inplace and not self.several and not self._stays_floating():
            # A result that can't carry a gradient (a cast to int) isn't recorded.
            body.append("if not r._keys & DIFFERENTIABLE: return r")
        body.append("node = new(NodeType)")
        if self.lists:
            body.append(
                "node.next = ("
                + ", ".join(
                    f"*{e}" if self.arguments[a].is_list else e
                    for e, a in zip(edges, derivative.arguments, strict=True)
                )
                + ",)"
            )
            body.append(f"node.__dict__['groups'] = ({', '.join(edges)},)")
        else:
            body.append(f"node.next = ({', '.join(edges)},)")
        body.append("node.seq = sequence()")
        if self.keys & ANOMALY:
            constants["stack"] = _format_stack
            body.append("node.forward_stack = stack(); node.special = True")
        for n in self.values:
            derived = self._property_of(n)
            if derived is not None:
                body.append(f"node.k_{n} = {derived}")
                continue
            if self._is_tensor_list(n):
                constants["versions"] = _versions
                body.append(f"node.k_{n} = list({n})")
                body.append(f"node.v_{n} = versions({n})")
            else:
                body.append(f"node.k_{n} = {n}")
        for n in self.saved:
            body += self._save_lines(n, original, constants)
        body += self._attach_lines(names)
        lines = [f"def kernel({listed}):", *(f"    {each}" for each in body)]
        return compile_function("\n".join(lines), "kernel", constants)

    def _save_lines(
        self, n: str, original: bool, constants: dict[str, Any]
    ) -> list[str]:
        output = self._output_of(n)
        if self.inplace and output is not None:
            source = f"alias({next(iter(self.arguments))})"
        elif output is not None:
            source = "alias(r)" if not self.several else f"alias(r[{output}])"
        elif n == "self" and original:
            source = "original"
        else:
            # Saved only where a formula that names it will run.
            users = [
                f"e{i} is not None"
                for i, a in enumerate(self.derivative.arguments)
                if n in self.derivative.needed[a] and not self.arguments[a].is_list
            ]
            every = len(self.derivative.arguments)
            if len(users) < every and len(users) > 0 and not self.lists:
                source = f"({n} if {' or '.join(users)} else None)"
            else:
                source = n
        argument = self.arguments.get(n) if output is None else None
        if self.keys & INFERENCE and argument is not None:
            constants["check_saved"] = _check_saved
            source = f"check_saved({source})"
        if self.keys & SAVED_HOOKS:
            constants["pack"] = _pack
            return [f"node.s_{n}, node.v_{n} = pack({source})"]
        if argument is not None and argument.base == "Tensor|Scalar":
            constants["as_saved"] = _as_saved
            return [f"node.s_{n}, node.v_{n} = as_saved({source})"]
        lines = [f"t = node.s_{n} = {source}"]
        if source.startswith(("(", "check_saved(")) or (
            argument is not None and argument.optional
        ):
            lines.append(
                f"node.v_{n} = 0 if t is None or t._ver is None else t._ver[0]"
            )
        else:
            lines.append(f"v = t._ver; node.v_{n} = v[0] if v is not None else 0")
        return lines

    def _attach_lines(self, names: list[str]) -> list[str]:
        if self.inplace:
            return [f"rebase_history({names[0]}, node)", f"return {names[0]}"]
        if not self.several:
            return [
                "node.shape = r._data.shape",
                "node.keys = r._keys",
                "r._keys |= AUTOGRAD",
                "r._edge = (node, 0)",
                "return r",
            ]
        wanted = self.derivative.outputs
        condition = f"i in {wanted!r} and " if wanted is not None else ""
        return [
            "node.shape = [None if t is None else t._data.shape for t in r]",
            "node.keys = [None if t is None else t._keys for t in r]",
            "node.outputs = len(r)",
            "for i, t in enumerate(r):",
            f"    if {condition}t is not None and t._keys & DIFFERENTIABLE:",
            "        t._keys |= AUTOGRAD",
            "        t._edge = (node, i)",
            "return r",
        ]


# What formulas may name of an argument that isn't saved, as expressions.
_PROPERTIES = {
    "sizes": "{}._data.shape",
    "options": "({0}.dtype, {0}.device)",
    "strides": "{0}.stride()",
}


def _versions(tensors: Any) -> list[int]:
    return [0 if t is None else version_of(t) for t in tensors]


def _check_versions(node: Node, tensors: Any, versions: list[int]) -> None:
    """RuntimeError where a tensor of a saved list was written to since."""
    for t, version in zip(tensors, versions, strict=True):
        if t is not None and version_of(t) != version:
            raise modified_error(node, t, version_of(t), version, None)


def _no_edge(edges: list[Any]) -> bool:
    return all(each is None for each in edges)


def _saved_getter(name: str, output: int | None) -> Kernel:
    def get(node: Any) -> Any:
        return unpack(
            node, getattr(node, f"s_{name}"), getattr(node, f"v_{name}"), output
        )

    return get


def _value_getter(name: str) -> Kernel:
    return lambda node: getattr(node, f"k_{name}")


def _raw_getter(name: str) -> Kernel:
    def get(node: Any) -> Any:
        return SavedTensor(node, name)

    return get


class SavedTensor:
    """``node._raw_saved_x``: lets a hook pair be set on one saved tensor."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name

    def register_hooks(self, pack_hook: Kernel, unpack_hook: Kernel) -> None:
        """Packs the saved tensor now; it is unpacked when the backward pass needs it."""
        saved = getattr(self.node, f"s_{self.name}")
        if saved is RELEASED:
            raise released_error(self.node)
        if type(saved) is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been "
                "set. Hint: only one pair of hooks is allowed at a time."
            )
        setattr(
            self.node, f"s_{self.name}", Packed(saved, pack_hook(saved), unpack_hook)
        )


def _check_saved(value: Any) -> Any:
    """A tensor as it may be saved; RuntimeError for one made in inference mode."""
    if getattr(value, "_keys", 0) & INFERENCE:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors "
            "created in inference mode in computation tracked by autograd. To work "
            "around this, you can make a clone to get a normal tensor and use it in "
            "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )
    return value


def _as_saved(value: Any) -> tuple[Any, int]:
    """A saved operand that may be a Python number."""
    return value, version_of(value) if hasattr(value, "_keys") else 0


def _pack(value: Any) -> tuple[Any, int]:
    hooks = state.tls.saved_tensor_hooks
    if value is None:
        return None, 0
    if not hasattr(value, "_keys") or not hooks:
        return value, version_of(value) if hasattr(value, "_keys") else 0
    pack, unpack_hook = hooks[-1]
    before = state.update(state.tls.mask, state.tls.include & ~SAVED_HOOKS)
    try:
        return Packed(value, pack(value), unpack_hook), 0
    finally:
        state.restore(before)


def _format_stack() -> str:
    return "".join(traceback.format_stack()[:-2])


register_layer(AutogradLayer())
register_layer(ViewLayer())

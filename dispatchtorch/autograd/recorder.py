"""Generates, for one operator and keyset, the Node class and the kernel that records it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.node import (
    RELEASED,
    Node,
    edge_of,
    next_sequence,
    released_error,
    unpack,
    version_of,
)
from dispatchtorch.autograd.saved import (
    SAVED_HOOKS,
    as_saved,
    check_saved,
    check_versions,
    pack,
    raw_getter,
    saved_getter,
    value_getter,
    versions,
)
from dispatchtorch.autograd.views import check_inplace, rebase_history
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.codegen import (
    compile_function,
    compile_kernel,
    inlined,
)
from dispatchtorch.dispatch.derivative import Derivative
from dispatchtorch.dispatch.keys import AUTOGRAD, INFERENCE, allocate
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK, DTYPE_MASK, SCALAR_MASK
from dispatchtorch.lift import Pointwise
from dispatchtorch.tensor import alias

__all__ = ["ANOMALY", "Recorder"]

Kernel = Callable[..., Any]

# Switched on by anomaly detection, for this thread.
ANOMALY = allocate("layer", "anomaly")

# What formulas may name of an argument that isn't saved, as expressions.
_PROPERTIES = {
    "sizes": "{}._data.shape",
    "options": "({0}.dtype, {0}.device)",
    "strides": "{0}.stride()",
}


class Recorder:
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
            members[f"_saved_{n}"] = property(saved_getter(n, self._output_of(n)))
            members[f"_raw_saved_{n}"] = property(raw_getter(n))
        for n in self.values:
            members[f"_saved_{n}"] = property(value_getter(n))
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
                constants["check_versions"] = check_versions
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
                if i and derivative.commutes:
                    # Hooks are shown the gradients one by one.
                    lines += [
                        "    elif e1 is e0 and node.s_self is node.s_other:",
                        "        if node.special: g1 = g0",
                        "        else: g0, g1 = g0 + g0, None",
                    ]
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
        at = len(body)
        if not self.inplace and not self.several and not self._stays_floating():
            # A result that can't carry a gradient (a cast to int) isn't recorded.
            body.append("if not r._keys & DIFFERENTIABLE: return r")
        body.append("node = NodeType()")
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
                constants["versions"] = versions
                body.append(f"node.k_{n} = list({n})")
                body.append(f"node.v_{n} = versions({n})")
            else:
                body.append(f"node.k_{n} = {n}")
        for n in self.saved:
            body += self._save_lines(n, original, constants)
        body += self._attach_lines(names)
        always = self._stays_floating() and not self.inplace and not self.several
        sets = ("_edge",) if always else ()
        body[at:at] = inlined(inner, listed, "r", constants, sets)
        return compile_kernel(listed, body, constants)

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
            constants["check_saved"] = check_saved
            source = f"check_saved({source})"
        if self.keys & SAVED_HOOKS:
            constants["pack"] = pack
            return [f"node.s_{n}, node.v_{n} = pack({source})"]
        if (
            argument is not None
            and argument.base == "Tensor|Scalar"
            and self.keys & SCALAR_MASK
        ):
            constants["as_saved"] = as_saved
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


def _no_edge(edges: list[Any]) -> bool:
    return all(each is None for each in edges)


def _format_stack() -> str:
    return "".join(traceback.format_stack()[:-2])

"""Operators: one object for everything about one operator, and the table of its kernels.

``Operator`` owns the declaration (schema, decomposition, derivative, …). Each public
callable made from it owns a ``Table`` from keyset to bound kernel; a missing entry is
bound under the registry's lock by asking the layers from the innermost out. A change of
the registry clears the tables, so that a call is one dict look-up and never a check.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dispatchtorch.dispatch import layer as _layer
from dispatchtorch.dispatch.families import Families
from dispatchtorch.dispatch.schema import Schema, parse

__all__ = [
    "Operator",
    "Packet",
    "Table",
    "add_alias",
    "all_operators",
    "changing_registry",
    "declared_operators",
    "families",
    "get_operator",
    "operator",
    "packets",
]

Kernel = Callable[..., Any]

_lock = threading.RLock()
_operators: dict[str, Operator] = {}
#: The modules that declare operators; set by ``dispatchtorch.ops``.
families = Families()

# Runs before a bind, outside the lock because it may import plugins.
before_bind: Callable[[], None] = lambda: None  # noqa: E731 - replaced by the plugin loader
# Called with the arguments that no entry function could take; raises the right error.
reject: Callable[..., Any]


class Packets(dict[str, "Packet"]):
    """Packets by name. A family of operators is imported when one of its names is asked
    for; looking at all names imports all families."""

    def get(self, name: str, default: Any = None) -> Any:
        families.declare(name)
        found = super().get(name, default)
        if found is default and families.declare_all(name):
            found = super().get(name, default)
        return found

    def __getitem__(self, name: str) -> Packet:
        found: Packet | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[str]:
        families.declare_all()
        return super().__iter__()

    def __len__(self) -> int:
        families.declare_all()
        return super().__len__()

    def keys(self) -> Any:
        families.declare_all()
        return super().keys()

    def values(self) -> Any:
        families.declare_all()
        return super().values()

    def items(self) -> Any:
        families.declare_all()
        return super().items()

    def declared(self, name: str) -> Packet | None:
        """As ``get``, of what has been imported."""
        return super().get(name)


packets: Packets = Packets()


class Table(dict[int, Kernel]):
    """The bound kernels of one public callable, by keyset."""

    __slots__ = ("form", "op")

    def __init__(self, op: Operator, form: Any = None) -> None:
        super().__init__()
        self.op = op
        self.form = form

    def __missing__(self, keys: int) -> Kernel:
        before_bind()
        with _lock:
            kernel = self[keys] = self.op.bind(keys, self.form)
        return kernel


class Operator:
    """One operator: its schema and all that is derived from it.

    ``body``        the decomposition, or None: then the operator is a primitive
    ``lift``        how native kernels of this operator are made to take tensors
    ``prepare``     (tensor-level arguments) -> strict arguments for native kernels
    ``derivative``  what the autograd layer binds (see ``dispatchtorch.autograd``)
    ``shape_rule``  for primitives: result shape and dtype, which is the meta kernel
    ``tags``        free marks: "inplace", "view", "random", "nondifferentiable", …
    ``functional``  for in-place variants: the operator they are derived from
    """

    def __init__(
        self,
        schema: str,
        body: Kernel | None = None,
        *,
        lift: Any = None,
        prepare: Kernel | None = None,
        tags: frozenset[str] = frozenset(),
        variants: str = "function method",
        functional: Operator | None = None,
    ) -> None:
        self.text = schema
        head = schema[: schema.index("(")].strip()
        self.name, _, self.overload = head.partition(".")
        self.full_name = head
        self.body = body
        self.lift = lift
        self.prepare = prepare
        self.tags = tags
        self.variants = variants
        self.functional = functional
        self.derivative: Any = None
        self.shape_rule: Kernel | None = None
        self.rules: dict[str, Any] = {}  # batching, forward-mode, … by layer name
        self.tables: list[Table] = []
        self._schema: Schema | None = None
        self._entry: Kernel | None = None
        self.__doc__ = body.__doc__ if body else None
        self.module = body.__module__ if body else ""
        self.home = families.declaring_module()

    @property
    def schema(self) -> Schema:
        """The parsed schema (parsed at first use)."""
        if self._schema is None:
            self._schema = parse(self.text)
        return self._schema

    @property
    def is_primitive(self) -> bool:
        """Whether a device has to supply it.

        Views follow from ``as_strided``, in-place variants from their functional form;
        what is tagged "fallback" may as well run on ``cpu``, and kernels of what
        ``torch.library`` declares take tensors.
        """
        if self.body is not None or self.functional is not None:
            return False
        if self.tags & {"fallback", "library"}:
            return False
        return "view" not in self.tags or self.name == "as_strided"

    def bind(self, keys: int, form: Any = None) -> Kernel:
        """The flat chain of kernels for ``keys``; asks each layer once."""
        kernel: Any = None
        layers = _layer.layers_for(keys)
        for i in reversed(range(len(layers))):
            if layers[i].replaces:  # what lies below isn't bound, nor can it fail
                layers = layers[i:]
                break
        for each in layers:
            bind_form = getattr(each, "bind_form", None)
            if bind_form is not None:
                kernel = bind_form(self, keys, kernel, form)
            else:
                kernel = each.bind(self, keys, kernel)
        return kernel

    def new_table(self, form: Any = None) -> Table:
        table = Table(self, form)
        self.tables.append(table)
        return table

    @property
    def entry(self) -> Kernel:
        """The generated callable of this overload."""
        if self._entry is None:
            from dispatchtorch.dispatch.codegen import compile_entry

            self._entry = compile_entry(self, "overload")
        return self._entry

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.entry(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<operator {self.text}>"

    # Decorators that complete a declaration.

    def preparation(self, function: Kernel) -> Kernel:
        """Declares how arguments become the strict ones of native kernels."""
        self.prepare = function
        return function

    def shape(self, function: Kernel) -> Kernel:
        """Declares the shape-and-dtype rule: the operator's kernel on ``meta``."""
        self.shape_rule = function
        return function


class Packet:
    """A public name and its overloads: ``torch.max`` with max, max.dim and max.other."""

    __slots__ = ("_callables", "home", "name", "overloads", "variants")

    def __init__(
        self,
        name: str,
        overloads: list[Operator] | None = None,
        variants: set[str] | None = None,
    ) -> None:
        self.name = name
        self.overloads: list[Operator] = [] if overloads is None else overloads
        self.variants: set[str] = set() if variants is None else variants
        self.home = families.declaring_module()
        self._callables: dict[str, Kernel] = {}

    def add(self, op: Operator) -> None:
        """Adds an overload: calls take the first that fits, in order of declaration."""
        self.overloads.append(op)
        if op.home != self.overloads[0].home:
            rank = families.rank
            self.overloads.sort(key=lambda each: rank(op.name, each.home))
        self.variants.update(op.variants.split())
        self._callables.clear()

    def callable(self, form: str) -> Kernel:
        """The generated Python function: form "function", "method" or "operator"."""
        made = self._callables.get(form)
        if made is None:
            from dispatchtorch.dispatch import codegen

            if len(self.overloads) == 1:
                made = codegen.compile_entry(self.overloads[0], form)
            else:
                made = codegen.compile_packet(self, form)
            made.packet = self  # type: ignore[attr-defined]
            if self.name != self.overloads[0].name:  # an alias: errors say its name
                made.__name__ = self.name
                owner = "Tensor." if made.__qualname__.startswith("Tensor.") else ""
                made.__qualname__ = owner + self.name
            self._callables[form] = made
        return made

    def __repr__(self) -> str:
        return f"<operator packet {self.name}: {[o.full_name for o in self.overloads]}>"


@contextmanager
def changing_registry(op: Operator | None = None) -> Iterator[None]:
    """A block that changes registrations: holds the lock, then clears the tables.

    Calls in other threads go on with the kernels they hold and bind anew afterwards.
    """
    with _lock:
        try:
            yield
        finally:
            for each in list(_operators.values()) if op is None else [op]:
                for table in each.tables:
                    table.clear()


def invalidate() -> None:
    """Clears every table: everything binds anew."""
    with changing_registry():
        pass


def add_operator(op: Operator) -> Operator:
    """Enters an operator into the registry; ValueError for a name in use."""
    with _lock:
        if not op.home:  # a plugin's: the product's own of that name come first
            families.declare(op.name)
        if op.full_name in _operators:
            raise ValueError(f"operator {op.full_name!r} is declared already")
        _operators[op.full_name] = op
        packet = packets.declared(op.name)
        if packet is None:
            packet = packets[op.name] = Packet(op.name)
        packet.add(op)
    return op


def add_alias(name: str, target: str) -> None:
    """Makes ``name`` another public name of ``target``, and ``name_`` of ``target_``."""
    with _lock:
        families.declare(target)
        for mark in ("", "_"):
            found = packets.declared(target + mark)
            if found is not None:
                packets[name + mark] = Packet(
                    name + mark, found.overloads, found.variants
                )


def remove_operator(op: Operator) -> None:
    """Takes an operator out of the registry."""
    with changing_registry(op):
        _operators.pop(op.full_name, None)
        packet = packets.declared(op.name)
        if packet is not None and op in packet.overloads:
            packet.overloads.remove(op)
            packet._callables.clear()
            if not packet.overloads:
                del packets[op.name]


def get_operator(full_name: str) -> Operator:
    """The operator ``name`` or ``name.overload``; KeyError with near names otherwise."""
    found = _operators.get(full_name)
    if found is not None:
        return found
    packet = packets.get(full_name.partition(".")[0])
    found = _operators.get(full_name)
    if found is not None:
        return found
    if packet is not None and packet.name == full_name:
        return packet.overloads[0]  # type: ignore[no-any-return]
    import difflib

    near = difflib.get_close_matches(full_name, all_operators(), 3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise KeyError(f"no operator named {full_name!r}{hint}") from None


def all_operators() -> dict[str, Operator]:
    """All operators by full name; imports every family."""
    families.declare_all()
    return _operators


def declared_operators() -> dict[str, Operator]:
    """The operators declared so far, by full name."""
    return _operators


def operator(
    schema: str,
    *,
    lift: Any = None,
    tags: str = "",
    variants: str = "function method",
    inplace: bool = False,
) -> Callable[[Kernel], Operator]:
    """Declares the operator of ``schema`` with the decorated function as decomposition.

    ``variants`` says where the name is public: "function" (``torch.name``), "method"
    (``Tensor.name``), "nn" (``torch.nn.functional.name``), "private" for none of them.
    ``inplace`` adds the derived ``name_``.
    """

    def declare(body: Kernel) -> Operator:
        return _declare(schema, body, lift, tags, variants, inplace)

    return declare


def primitive(
    schema: str,
    *,
    lift: Any = None,
    tags: str = "",
    variants: str = "function method",
    inplace: bool = False,
) -> Operator:
    """Declares an operator without a decomposition: devices must supply its kernel."""
    return _declare(schema, None, lift, tags, variants, inplace)


def _declare(
    schema: str,
    body: Kernel | None,
    lift: Any,
    tags: str,
    variants: str,
    inplace: bool,
) -> Operator:
    op = Operator(
        schema,
        body,
        lift=lift,
        tags=frozenset(tags.split()),
        variants=variants,
    )
    add_operator(op)
    if inplace:
        add_operator(_inplace_of(op))
    return op


def _inplace_of(op: Operator) -> Operator:
    """``name_``: the same schema, writing its first argument and returning it."""
    head, _, tail = op.text.partition("(")
    name, dot, overload = head.partition(".")
    _first, _comma, rest = tail.partition(" self")
    arguments = rest.rpartition("->")[0]
    text = f"{name}_{dot}{overload}(Tensor(a!) self{arguments}-> Tensor(a!)"
    # A method for every function that is public; `torch.relu_` style functions too.
    return Operator(
        text,
        lift=op.lift,
        tags=op.tags | {"inplace"},
        variants=op.variants if "nn" not in op.variants else "function",
        functional=op,
    )

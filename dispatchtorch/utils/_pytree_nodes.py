"""The containers that trees are made of: how each comes apart and together.

One table, ``SUPPORTED_NODES``, and the ways to add to it. Subclasses of a container in
the table are not in it, except named tuples, which all share one entry.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple, TypeAlias

import dispatchtorch as torch

__all__ = [
    "BUILTIN_TYPES",
    "CONSTANT_NODES",
    "STANDARD_DICT_TYPES",
    "SUPPORTED_NODES",
    "ConstantNode",
    "Context",
    "DumpableContext",
    "FlattenFn",
    "FromDumpableContextFn",
    "GetAttrKey",
    "KeyEntry",
    "KeyPath",
    "MappingKey",
    "NodeDef",
    "PyTree",
    "SequenceKey",
    "ToDumpableContextFn",
    "UnflattenFn",
    "is_constant_class",
    "is_namedtuple",
    "is_namedtuple_class",
    "is_namedtuple_instance",
    "is_structseq",
    "is_structseq_class",
    "is_structseq_instance",
    "key_get",
    "keystr",
    "register_constant",
    "register_dataclass",
    "register_pytree_node",
]

PyTree: TypeAlias = Any
Context: TypeAlias = Any
DumpableContext: TypeAlias = Any
FlattenFn: TypeAlias = Callable[[Any], tuple[list[Any], Any]]
UnflattenFn: TypeAlias = Callable[[Iterable[Any], Any], Any]
ToDumpableContextFn: TypeAlias = Callable[[Any], Any]
FromDumpableContextFn: TypeAlias = Callable[[Any], Any]


# Ways to a child ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """The way to a child of a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        return sequence[self.idx]


@dataclass(frozen=True, slots=True)
class MappingKey:
    """The way to a child of a mapping."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        return mapping[self.key]


@dataclass(frozen=True, slots=True)
class GetAttrKey:
    """The way to a child that is an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        return getattr(obj, self.name)


KeyEntry: TypeAlias = SequenceKey | MappingKey | GetAttrKey
KeyPath: TypeAlias = tuple[Any, ...]


def keystr(kp: KeyPath) -> str:
    """A path as it would be written in Python."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What is found in ``obj`` along a path."""
    for key in kp:
        obj = key.get(obj)
    return obj


# The table of containers ----------------------------------------------------------


class NodeDef(NamedTuple):
    """How one container type comes apart and together."""

    type: Any
    flatten_fn: FlattenFn
    unflatten_fn: UnflattenFn
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None
    serialized_type_name: str | None = None
    to_dumpable_context: ToDumpableContextFn | None = None
    from_dumpable_context: FromDumpableContextFn | None = None


SUPPORTED_NODES: dict[Any, NodeDef] = {}


def _indexed(flatten: FlattenFn) -> Any:
    def flatten_with_keys(tree: Any) -> Any:
        children, context = flatten(tree)
        return [(SequenceKey(i), child) for i, child in enumerate(children)], context

    return flatten_with_keys


def _keyed(flatten: FlattenFn, key: type = MappingKey) -> Any:
    def flatten_with_keys(tree: Any) -> Any:
        children, context = flatten(tree)
        names = tree._fields if key is GetAttrKey else tree
        return [(key(k), c) for k, c in zip(names, children, strict=True)], context

    return flatten_with_keys


def _flatten_dict(tree: Mapping[Any, Any]) -> tuple[list[Any], Any]:
    return list(tree.values()), list(tree)


def _flatten_sequence(tree: Any) -> tuple[list[Any], Any]:
    return list(tree), None


def _flatten_namedtuple(tree: Any) -> tuple[list[Any], Any]:
    return list(tree), type(tree)


def _flatten_deque(tree: Any) -> tuple[list[Any], Any]:
    return list(tree), tree.maxlen


def _flatten_defaultdict(tree: Any) -> tuple[list[Any], Any]:
    return list(tree.values()), [tree.default_factory, list(tree)]


def _zip(keys: Iterable[Any], values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(keys, values, strict=True)


def _dump_defaultdict(context: Any) -> Any:
    factory, keys = context
    return {
        "default_factory_module": factory.__module__,
        "default_factory_name": factory.__qualname__,
        "dict_context": keys,
    }


def _load_defaultdict(dumped: Any) -> Any:
    import sys

    module = sys.modules[dumped["default_factory_module"]]
    return [getattr(module, dumped["default_factory_name"]), dumped["dict_context"]]


_namedtuple_names: dict[type, str] = {}


def _dump_namedtuple(context: Any) -> Any:
    if context not in _namedtuple_names:
        raise NotImplementedError(
            f"Can't serialize TreeSpec of namedtuple class {context} because we didn't "
            "register a serializated_type_name. Please register using "
            "`_register_namedtuple`."
        )
    return _namedtuple_names[context]


def _load_namedtuple(dumped: Any) -> Any:
    for kind, name in _namedtuple_names.items():
        if name == dumped:
            return kind
    raise NotImplementedError(
        f"Can't deserialize TreeSpec of namedtuple class {dumped} "
        "because we couldn't find a serializated name."
    )


def _seq(
    kind: Any, name: str | None, flatten: FlattenFn, unflatten: UnflattenFn
) -> NodeDef:
    return NodeDef(kind, flatten, unflatten, _indexed(flatten), name)


_builtin = [
    _seq(tuple, "builtins.tuple", _flatten_sequence, lambda v, _: tuple(v)),
    _seq(list, "builtins.list", _flatten_sequence, lambda v, _: list(v)),
    NodeDef(
        dict,
        _flatten_dict,
        lambda values, keys: dict(_zip(keys, values)),
        _keyed(_flatten_dict),
        "builtins.dict",
    ),
    NodeDef(
        namedtuple,
        _flatten_namedtuple,
        lambda values, kind: kind(*values),
        _keyed(_flatten_namedtuple, GetAttrKey),
        "collections.namedtuple",
        _dump_namedtuple,
        _load_namedtuple,
    ),
    NodeDef(
        OrderedDict,
        _flatten_dict,
        lambda values, keys: OrderedDict(_zip(keys, values)),
        _keyed(_flatten_dict),
        "collections.OrderedDict",
    ),
    NodeDef(
        defaultdict,
        _flatten_defaultdict,
        lambda values, context: defaultdict(context[0], _zip(context[1], values)),
        _keyed(_flatten_defaultdict),
        "collections.defaultdict",
        _dump_defaultdict,
        _load_defaultdict,
    ),
    _seq(deque, "collections.deque", _flatten_deque, lambda v, n: deque(v, maxlen=n)),
]
SUPPORTED_NODES.update((node.type, node) for node in _builtin)
BUILTIN_TYPES = frozenset(SUPPORTED_NODES)
STANDARD_DICT_TYPES = frozenset({dict, OrderedDict, defaultdict})


def _get_node_type(tree: Any) -> Any:
    """The key of a tree's root in the table, where it has one."""
    kind = type(tree)
    if kind in SUPPORTED_NODES or not isinstance(tree, tuple):
        return kind
    # Registered when first met: this module may be imported before there are such.
    if kind is torch.Size:
        name: str | None = "torch.Size"
        unflatten: UnflattenFn = lambda values, _: tuple(values)  # noqa: E731
    elif kind.__module__ == "torch.return_types":
        name, unflatten = None, lambda values, _: kind(list(values))
    else:
        return namedtuple if is_namedtuple_class(kind) else kind
    SUPPORTED_NODES[kind] = _seq(kind, name, _flatten_sequence, unflatten)
    return kind


def is_namedtuple_class(cls: Any) -> bool:
    """Whether ``cls`` is a subclass of tuple with named fields."""
    if not (isinstance(cls, type) and issubclass(cls, tuple)):
        return False
    names = getattr(cls, "_fields", None)
    return (
        isinstance(names, tuple)
        and all(type(name) is str for name in names)
        and callable(getattr(cls, "_make", None))
        and callable(getattr(cls, "_asdict", None))
    )


def is_namedtuple_instance(obj: object) -> bool:
    """Whether ``obj`` is an instance of a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: object) -> bool:
    """Whether ``obj`` is a named tuple, class or instance."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


_BASETYPE_FLAG = 1 << 10  # CPython's mark of types that can be subclassed


def is_structseq_class(cls: Any) -> bool:
    """Whether ``cls`` is a struct sequence, as results of the C library are."""
    if not (isinstance(cls, type) and cls.__bases__ == (tuple,)):
        return False
    counts = ("n_fields", "n_sequence_fields", "n_unnamed_fields")
    if not all(isinstance(getattr(cls, name, None), int) for name in counts):
        return False
    return not cls.__flags__ & _BASETYPE_FLAG


def is_structseq_instance(obj: object) -> bool:
    """Whether ``obj`` is an instance of a struct sequence."""
    return is_structseq_class(type(obj))


def is_structseq(obj: object) -> bool:
    """Whether ``obj`` is a struct sequence, class or instance."""
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


# Registration ---------------------------------------------------------------------


def register_pytree_node(
    cls: type[Any],
    flatten_fn: FlattenFn,
    unflatten_fn: UnflattenFn,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: ToDumpableContextFn | None = None,
    from_dumpable_context: FromDumpableContextFn | None = None,
    flatten_with_keys_fn: Any = None,
) -> None:
    """Makes instances of ``cls`` inner nodes of trees.

    Args:
        flatten_fn: from an instance to ``(children, context)``.
        unflatten_fn: from children and context to an instance.
        serialized_type_name: the name under which specs are written to text.
        to_dumpable_context, from_dumpable_context: the context to something that JSON
            knows, and back; both or neither.
        flatten_with_keys_fn: like ``flatten_fn``, with ``(key, child)`` pairs.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _private_register_pytree_node(
        cls,
        flatten_fn,
        unflatten_fn,
        serialized_type_name=serialized_type_name,
        to_dumpable_context=to_dumpable_context,
        from_dumpable_context=from_dumpable_context,
        flatten_with_keys_fn=flatten_with_keys_fn,
    )


def _private_register_pytree_node(
    cls: type[Any],
    flatten_fn: FlattenFn,
    unflatten_fn: UnflattenFn,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: ToDumpableContextFn | None = None,
    from_dumpable_context: FromDumpableContextFn | None = None,
    flatten_with_keys_fn: Any = None,
) -> None:
    if cls in SUPPORTED_NODES:
        warnings.warn(
            f"{cls} is already registered as pytree node. "
            "Overwriting the previous registration.",
            stacklevel=3,
        )
    if (to_dumpable_context is None) != (from_dumpable_context is None):
        raise ValueError(
            f"Both to_dumpable_context and from_dumpable_context for {cls} must be "
            "None or registered."
        )
    SUPPORTED_NODES[cls] = NodeDef(
        cls,
        flatten_fn,
        unflatten_fn,
        flatten_with_keys_fn,
        serialized_type_name,
        to_dumpable_context,
        from_dumpable_context,
    )


def _register_namedtuple(cls: type[Any], *, serialized_type_name: str) -> None:
    """Lets specs that contain the named tuple ``cls`` be written to text."""
    _namedtuple_names[cls] = serialized_type_name


def _deregister_pytree_node(cls: type[Any]) -> None:
    """Makes instances of ``cls`` leaves again."""
    del SUPPORTED_NODES[cls]


def register_dataclass(
    cls: type[Any],
    *,
    field_names: list[str] | None = None,
    drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:
    """Makes instances of a dataclass inner nodes; fields that are None aren't children.

    Args:
        field_names: the fields that are children, by default all that ``__init__``
            takes; required for a class that is no dataclass.
        drop_field_names: fields to leave out, which get their default value back.
    """
    dropped = list(drop_field_names or ())
    if not is_dataclass(cls):
        if field_names is None:
            raise ValueError(
                "field_names must be specified with a list of all fields used to "
                f"initialize {cls}, as it is not a dataclass."
            )
    else:
        known = {f.name: f for f in fields(cls) if f.init}
        if field_names is None:
            field_names = [name for name in known if name not in dropped]
        problems = ""
        if missing := known.keys() - set(field_names) - set(dropped):
            # A default must not go missing silently, so leaving out is explicit.
            problems += (
                f"Missing fields in `field_names`: {missing}. If you want to include "
                "these fields in the pytree, please add them to `field_names`, "
                "otherwise please add them to `drop_field_names`.\n"
            )
        if unexpected := set(field_names) - (known.keys() - set(dropped)):
            problems += (
                f"Unexpected fields in `field_names`: {unexpected}. Please remove "
                "these fields, or add them to `drop_field_names`.\n"
            )
        if problems:
            raise ValueError(
                f"field_names does not include all dataclass fields.\n{problems}"
            )
    names = field_names

    def flatten(obj: Any) -> tuple[list[Any], Any]:
        present = [name for name in names if getattr(obj, name) is not None]
        absent = [name for name in names if getattr(obj, name) is None]
        return [getattr(obj, name) for name in present], [present, absent]

    def unflatten(values: Iterable[Any], context: Any) -> Any:
        present, absent = context
        return cls(**dict(_zip(present, values)), **dict.fromkeys(absent))

    def flatten_with_keys(obj: Any) -> Any:
        values, context = flatten(obj)
        return [(GetAttrKey(k), v) for k, v in _zip(context[0], values)], context

    _private_register_pytree_node(
        cls,
        flatten,
        unflatten,
        serialized_type_name=serialized_type_name,
        flatten_with_keys_fn=flatten_with_keys,
    )


@dataclass(frozen=True, slots=True)
class ConstantNode:
    """The context of a node that has no children: the constant itself."""

    value: Any


CONSTANT_NODES: set[type] = set()


def register_constant(cls: type[Any]) -> None:
    """Makes instances of ``cls`` part of the spec; they need an ``__eq__``, a hash."""
    if cls.__eq__ is object.__eq__:
        raise TypeError(
            "register_constant(cls) expects `cls` to have a non-default `__eq__` "
            "implementation."
        )
    if cls.__hash__ is None:
        raise TypeError(
            "register_constant(cls) expects `cls` to have a non-default `__hash__` "
            "implementation."
        )
    _private_register_pytree_node(
        cls,
        lambda obj: ([], ConstantNode(obj)),
        lambda _, context: context.value,
        flatten_with_keys_fn=lambda obj: ([], ConstantNode(obj)),
    )
    CONSTANT_NODES.add(cls)


def is_constant_class(cls: type[Any]) -> bool:
    """Whether ``cls`` was registered by :func:`register_constant`."""
    return cls in CONSTANT_NODES

"""Trees of Python containers: taking them apart into leaves and a spec, and back.

Everything here follows from the table in ``_pytree_nodes``. Types that are not in it
are leaves, and so is None. Dictionaries keep the order of their keys.
"""

from __future__ import annotations

import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import FrozenInstanceError
from typing import Any, TypeAlias

from ._pytree_nodes import (
    BUILTIN_TYPES,
    CONSTANT_NODES,
    STANDARD_DICT_TYPES,
    SUPPORTED_NODES,
    ConstantNode,
    Context,
    DumpableContext,
    FlattenFn,
    FromDumpableContextFn,
    GetAttrKey,
    KeyEntry,
    KeyPath,
    MappingKey,
    NodeDef,
    PyTree,
    SequenceKey,
    ToDumpableContextFn,
    UnflattenFn,
    _deregister_pytree_node,
    _get_node_type,
    _private_register_pytree_node,
    _register_namedtuple,
    is_constant_class,
    is_namedtuple,
    is_namedtuple_class,
    is_namedtuple_instance,
    is_structseq,
    is_structseq_class,
    is_structseq_instance,
    key_get,
    keystr,
    register_constant,
    register_dataclass,
    register_pytree_node,
)

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
    "LeafSpec",
    "MappingKey",
    "NodeDef",
    "PyTree",
    "PyTreeSpec",
    "SequenceKey",
    "ToDumpableContextFn",
    "TreeSpec",
    "UnflattenFn",
    "_deregister_pytree_node",
    "_get_node_type",
    "_private_register_pytree_node",
    "_register_namedtuple",
    "arg_tree_leaves",
    "is_constant_class",
    "is_namedtuple",
    "is_namedtuple_class",
    "is_namedtuple_instance",
    "is_structseq",
    "is_structseq_class",
    "is_structseq_instance",
    "key_get",
    "keystr",
    "map_only",
    "register_constant",
    "register_dataclass",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_dict",
    "treespec_dumps",
    "treespec_leaf",
    "treespec_loads",
    "treespec_pprint",
    "treespec_tuple",
]

_IsLeaf: TypeAlias = Callable[[Any], bool] | None


# Specs ----------------------------------------------------------------------------


class TreeSpec:
    """The shape of a tree: what is left of it without its leaves. Immutable."""

    __slots__ = (
        "_children",
        "_context",
        "num_children",
        "num_leaves",
        "num_nodes",
        "type",
    )

    type: Any
    _context: Any
    _children: list[TreeSpec]
    num_nodes: int
    num_leaves: int
    num_children: int

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        put = object.__setattr__
        put(self, "type", type)
        put(self, "_context", context)
        put(self, "_children", children_specs)
        put(self, "num_nodes", sum([c.num_nodes for c in children_specs], 1))
        leaves = sum([c.num_leaves for c in children_specs]) if type is not None else 1
        put(self, "num_leaves", leaves)
        put(self, "num_children", len(children_specs))
        if type is None and context is not None:
            raise AssertionError("leaf node should not have a context")

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __reduce__(self) -> Any:
        if self.is_leaf():
            return treespec_leaf, ()
        return TreeSpec, (self.type, self._context, self._children)

    @property
    def context(self) -> Any:
        """What the root's flattening function returned beside the children."""
        return self._context

    @property
    def children_specs(self) -> list[TreeSpec]:
        """The specs of the children; prefer :meth:`children`."""
        return self._children

    def is_leaf(self) -> bool:
        """Whether the tree is a leaf and nothing else."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """The specs of the children."""
        return self._children.copy()

    def child(self, index: int) -> TreeSpec:
        """The spec of one child."""
        return self._children[index]

    def __repr__(self, indent: int = 0) -> str:
        if self.is_leaf():
            return "*"
        indent += 2
        children = (child.__repr__(indent) for child in self._children)
        inner = (",\n" + " " * indent).join(children)
        return f"TreeSpec({self.type.__name__}, {self._context}, [{inner}])"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (
            self.type == other.type
            and self._context == other._context
            and self._children == other._children
        )

    def __hash__(self) -> int:
        # Contexts are lists more often than not.
        return hash((self.type, str(self._context), tuple(self._children)))

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this shape with ``leaves`` in it."""
        if not isinstance(leaves, (list, tuple)):
            leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but "
                f"the spec refers to a pytree that holds {self.num_leaves} items "
                f"({self})."
            )
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.type is None:
            return next(leaves)
        children = [child._build(leaves) for child in self._children]
        return SUPPORTED_NODES[self.type].unflatten_fn(children, self._context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What stands in ``tree`` where this shape has leaves.

        Raises:
            ValueError: ``tree`` differs from this shape above its leaves.
        """
        found: list[Any] = []
        self._flatten_up_to(tree, found)
        return found

    def _flatten_up_to(self, tree: Any, found: list[Any]) -> None:
        if self.is_leaf():
            found.append(tree)
            return
        for spec, child in zip(self._children, self._match(tree), strict=True):
            spec._flatten_up_to(child, found)

    def _match(self, tree: Any) -> list[Any]:
        """The children of ``tree``, in this spec's order."""
        kind = _get_node_type(tree)
        dicts = self.type in STANDARD_DICT_TYPES and kind in STANDARD_DICT_TYPES
        if kind != self.type and not dicts:
            what = "Node type" if self.type in BUILTIN_TYPES else "Type"
            raise ValueError(
                f"{what} mismatch; expected {self.type!r}, but got {kind!r}."
            )
        children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
        children = list(children)
        if len(children) != self.num_children:
            raise ValueError(
                f"Node arity mismatch; expected {self.num_children}, "
                f"but got {len(children)}."
            )
        if dicts:
            keys = self._context[1] if self.type is defaultdict else self._context
            if set(keys) != set(tree):
                missing, extra = set(keys) - set(tree), set(tree) - set(keys)
                raise ValueError(
                    "Node keys mismatch"
                    + (f"; missing key(s): {missing}" if missing else "")
                    + (f"; extra key(s): {extra}" if extra else "")
                    + "."
                )
            return [tree[key] for key in keys]
        if self.type is not deque and context != self._context:
            if self.type not in BUILTIN_TYPES:
                raise ValueError(
                    f"Node context mismatch for custom node type {self.type!r}."
                )
            raise ValueError(
                f"Node context mismatch for node type {self.type!r}; "
                f"expected {self._context!r}, but got {context!r}."
            )
        return children


class LeafSpec(TreeSpec):
    """The spec of a leaf."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, [])


PyTreeSpec = TreeSpec
_LEAF_SPEC = LeafSpec()


def treespec_leaf() -> TreeSpec:
    """The spec of a leaf."""
    return _LEAF_SPEC


def treespec_tuple(iterable: Iterable[TreeSpec] = (), /) -> TreeSpec:
    """The spec of a tuple of trees."""
    children = list(iterable)
    if any(not isinstance(child, TreeSpec) for child in children):
        raise ValueError(f"Expected a tuple of TreeSpec values, got: {children}.")
    return TreeSpec(tuple, None, children)


def treespec_dict(mapping: Any = (), /, **kwargs: TreeSpec) -> TreeSpec:
    """The spec of a dictionary of trees."""
    children = dict(mapping, **kwargs)
    if any(not isinstance(child, TreeSpec) for child in children.values()):
        raise ValueError(f"Expected a dictionary of TreeSpec values, got: {children}.")
    return TreeSpec(dict, list(children), list(children.values()))


def _check_spec(treespec: Any) -> TreeSpec:
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "Expected `treespec` to be an instance of PyTreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return treespec


# Taking apart and putting together ------------------------------------------------


def tree_is_leaf(tree: Any, is_leaf: _IsLeaf = None) -> bool:
    """Whether a tree is a leaf: of no registered type, or if ``is_leaf`` says so."""
    if is_leaf is not None and is_leaf(tree):
        return True
    return _get_node_type(tree) not in SUPPORTED_NODES


def _flatten(tree: Any, leaves: list[Any], is_leaf: _IsLeaf) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return _LEAF_SPEC
    kind = _get_node_type(tree)
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    specs = [_flatten(child, leaves, is_leaf) for child in children]
    return TreeSpec(kind, context, specs)


def tree_flatten(tree: Any, is_leaf: _IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree from left to right, and its spec."""
    leaves: list[Any] = []
    spec = _flatten(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree that :func:`tree_flatten` would take apart into these two."""
    return _check_spec(treespec).unflatten(leaves)


def tree_iter(tree: Any, is_leaf: _IsLeaf = None) -> Iterator[Any]:
    """An iterator over the leaves."""
    if tree_is_leaf(tree, is_leaf):
        yield tree
        return
    for child in SUPPORTED_NODES[_get_node_type(tree)].flatten_fn(tree)[0]:
        yield from tree_iter(child, is_leaf)


def tree_leaves(tree: Any, is_leaf: _IsLeaf = None) -> list[Any]:
    """The leaves of a tree, from left to right."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: _IsLeaf = None) -> TreeSpec:
    """The spec of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def arg_tree_leaves(*args: Any, **kwargs: Any) -> list[Any]:
    """The leaves of all arguments."""
    return [leaf for arg in (*args, *kwargs.values()) for leaf in tree_iter(arg)]


def tree_map(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: _IsLeaf = None
) -> Any:
    """The tree of ``func``'s results on each leaf of ``tree``.

    ``rests`` are trees that have at least the shape of ``tree``; ``func`` is given what
    stands in them at the place of the leaf.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *map(spec.flatten_up_to, rests)]
    return spec.unflatten(map(func, *columns))


def tree_map_(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: _IsLeaf = None
) -> Any:
    """Calls ``func`` as :func:`tree_map` does and returns ``tree`` itself."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for values in zip(leaves, *map(spec.flatten_up_to, rests), strict=True):
        func(*values)
    return tree


def _predicate(kinds: Any) -> Callable[[Any], bool]:
    if isinstance(kinds, (type, tuple, types.UnionType)):
        return lambda x: isinstance(x, kinds)
    if callable(kinds):
        return kinds
    raise TypeError("Argument must be a type, a tuple of types, or a callable.")


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Any], Callable[[Any], Any]]:
    """A decorator: the function is applied to what matches, the rest is passed on."""
    matches = _predicate(type_or_types_or_pred)

    def restrict(func: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: func(x) if matches(x) else x

    return restrict


def tree_map_only(
    type_or_types_or_pred: Any,
    /,
    func: Callable[[Any], Any],
    tree: Any,
    is_leaf: _IsLeaf = None,
) -> Any:
    """:func:`tree_map` on the leaves that are of a type, or satisfy a predicate."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any,
    /,
    func: Callable[[Any], Any],
    tree: Any,
    is_leaf: _IsLeaf = None,
) -> Any:
    """:func:`tree_map_` on the leaves that are of a type, or satisfy a predicate."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: _IsLeaf = None) -> bool:
    """Whether ``pred`` holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: _IsLeaf = None) -> bool:
    """Whether ``pred`` holds for a leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any,
    /,
    pred: Callable[[Any], bool],
    tree: Any,
    is_leaf: _IsLeaf = None,
) -> bool:
    """Whether ``pred`` holds for all leaves of a type."""
    leaves = tree_iter(tree, is_leaf)
    return all(pred(x) for x in leaves if isinstance(x, type_or_types))


def tree_any_only(
    type_or_types: Any,
    /,
    pred: Callable[[Any], bool],
    tree: Any,
    is_leaf: _IsLeaf = None,
) -> bool:
    """Whether ``pred`` holds for a leaf of a type."""
    leaves = tree_iter(tree, is_leaf)
    return any(pred(x) for x in leaves if isinstance(x, type_or_types))


def _broadcast_to_and_flatten(
    tree: Any, treespec: TreeSpec, is_leaf: _IsLeaf = None
) -> list[Any] | None:
    """The leaves of ``tree``, each repeated for the subtree that it stands for.

    None where ``tree`` is no prefix of the shape.
    """
    _check_spec(treespec)
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if _get_node_type(tree) != treespec.type:
        return None
    children, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    found: list[Any] = []
    for child, spec in zip(children, treespec.children(), strict=True):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        found += part
    return found


# With paths -----------------------------------------------------------------------


def _walk(path: KeyPath, tree: Any, is_leaf: _IsLeaf) -> Iterator[tuple[KeyPath, Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    kind = _get_node_type(tree)
    flatten_with_keys = SUPPORTED_NODES[kind].flatten_with_keys_fn
    if flatten_with_keys is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a "
            "flatten_with_keys_fn argument to register_pytree_node."
        )
    for key, child in flatten_with_keys(tree)[0]:
        yield from _walk((*path, key), child, is_leaf)


def tree_leaves_with_path(
    tree: Any, is_leaf: _IsLeaf = None
) -> list[tuple[KeyPath, Any]]:
    """``(path, leaf)`` of every leaf."""
    return list(_walk((), tree, is_leaf))


def tree_flatten_with_path(
    tree: Any, is_leaf: _IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """``(path, leaf)`` of every leaf, and the spec."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: _IsLeaf = None
) -> Any:
    """:func:`tree_map` for functions that take the path as their first argument."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    paths = [path for path, _ in pairs]
    leaves = [leaf for _, leaf in pairs]
    return spec.unflatten(map(func, paths, leaves, *map(spec.flatten_up_to, rests)))


# Specs as text --------------------------------------------------------------------

_PROTOCOL = 1


class _Asterisk(str):
    def __repr__(self) -> str:
        return "*"


def treespec_pprint(treespec: TreeSpec) -> str:
    """The tree as Python would show it, with ``*`` for leaves."""
    _check_spec(treespec)
    return repr(treespec.unflatten([_Asterisk()] * treespec.num_leaves))


def _encode_enum(obj: Any) -> Any:
    import enum

    if isinstance(obj, enum.Enum):
        kind = type(obj)
        name = f"{kind.__module__}:{kind.__qualname__}"
        return {"__enum__": True, "fqn": name, "name": obj.name}
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


def _decode_enum(obj: dict[str, Any]) -> Any:
    if not obj.get("__enum__"):
        return obj
    from importlib import import_module

    module, _, qualname = obj["fqn"].partition(":")
    found: Any = import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found[obj["name"]]


def _to_json(spec: TreeSpec) -> dict[str, Any]:
    import json

    if spec.is_leaf():
        return {"type": None, "context": None, "children_spec": []}
    node = SUPPORTED_NODES[spec.type]
    if node.serialized_type_name is None:
        raise NotImplementedError(
            f"No registered serialization name for {spec.type} found. Please update "
            "your _register_pytree_node call with a `serialized_type_name` kwarg."
        )
    if node.to_dumpable_context is not None:
        context = node.to_dumpable_context(spec.context)
    else:
        try:
            context = json.dumps(spec.context, default=_encode_enum)
        except TypeError as error:
            raise TypeError(
                "Unable to serialize context. Please make the context json dump-able, "
                "or register a custom serializer using _register_pytree_node."
            ) from error
    return {
        "type": node.serialized_type_name,
        "context": context,
        "children_spec": [_to_json(child) for child in spec.children()],
    }


def _from_json(dumped: dict[str, Any]) -> TreeSpec:
    import json

    name = dumped["type"]
    if name is None and dumped["context"] is None and not dumped["children_spec"]:
        return _LEAF_SPEC
    nodes = SUPPORTED_NODES.values()
    node = next((n for n in nodes if name and n.serialized_type_name == name), None)
    if node is None:
        raise NotImplementedError(f"Deserializing {name} in pytree is not registered.")
    context = dumped["context"]
    if node.from_dumpable_context is not None:
        context = node.from_dumpable_context(context)
    else:
        context = json.loads(context, object_hook=_decode_enum)
    children = [_from_json(child) for child in dumped["children_spec"]]
    return TreeSpec(node.type, context, children)


def treespec_dumps(treespec: TreeSpec, protocol: int | None = None) -> str:
    """A spec as JSON text, in PyTorch's format."""
    import json

    _check_spec(treespec)
    protocol = _PROTOCOL if protocol is None else protocol
    if protocol != _PROTOCOL:
        raise ValueError(
            f"Unknown protocol {protocol}. Available protocols: {[_PROTOCOL]}"
        )
    return json.dumps((protocol, _to_json(treespec)), default=_encode_enum)


def treespec_loads(serialized: str) -> TreeSpec:
    """The spec that :func:`treespec_dumps` wrote."""
    import json

    protocol, dumped = json.loads(serialized, object_hook=_decode_enum)
    if protocol != _PROTOCOL:
        raise ValueError(
            f"Unknown protocol {protocol}. Available protocols: {[_PROTOCOL]}"
        )
    return _from_json(dumped)

"""Trees: what is a node, what a leaf, and how trees come apart and together."""

from __future__ import annotations

import copy
import dataclasses
import enum
import pickle
import time
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dispatchtorch as torch
from dispatchtorch.utils import _pytree as pytree

Point = namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = 1


class Box:
    def __init__(self, content, label):
        self.content, self.label = content, label


@pytest.fixture
def box():
    pytree.register_pytree_node(
        Box,
        lambda b: ([b.content], b.label),
        lambda children, label: Box(*children, label),
        serialized_type_name="test.Box",
        to_dumpable_context=lambda label: label,
        from_dumpable_context=lambda label: label,
        flatten_with_keys_fn=lambda b: (
            [(pytree.GetAttrKey("content"), b.content)],
            b.label,
        ),
    )
    yield Box
    pytree._deregister_pytree_node(Box)


def containers(children):
    keys = st.text(max_size=3)
    return st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(keys, children, max_size=3),
        st.dictionaries(keys, children, max_size=3).map(OrderedDict),
        st.dictionaries(keys, children, max_size=3).map(lambda d: defaultdict(list, d)),
        st.lists(children, max_size=3).map(lambda v: deque(v, maxlen=9)),
        st.tuples(children, children).map(lambda v: Point(*v)),
    )


trees = st.recursive(st.integers() | st.none() | st.text(max_size=2), containers)


@given(trees)
def test_a_tree_is_its_leaves_and_its_spec(tree):
    leaves, spec = pytree.tree_flatten(tree)
    rebuilt = pytree.tree_unflatten(leaves, spec)
    assert rebuilt == tree
    assert type(rebuilt) is type(tree)
    assert spec.num_leaves == len(leaves)
    assert leaves == pytree.tree_leaves(tree) == list(pytree.tree_iter(tree))
    assert spec == pytree.tree_structure(rebuilt)
    assert hash(spec) == hash(pytree.tree_structure(rebuilt))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec


@given(trees)
def test_paths_lead_to_the_leaves(tree):
    pairs, spec = pytree.tree_flatten_with_path(tree)
    assert spec == pytree.tree_structure(tree)
    for path, leaf in pairs:
        assert pytree.key_get(tree, path) is leaf


@given(trees)
def test_mapping_keeps_the_shape(tree):
    doubled = pytree.tree_map(lambda leaf: (leaf,), tree)
    assert pytree.tree_structure(tree).flatten_up_to(doubled) == [
        (leaf,) for leaf in pytree.tree_leaves(tree)
    ]


def test_subclasses_of_containers_are_leaves():
    class MyList(list):
        pass

    assert pytree.tree_is_leaf(MyList([1]))
    assert pytree.tree_is_leaf(None)
    assert pytree.tree_is_leaf(time.localtime())
    assert not pytree.tree_is_leaf([])


def test_sizes_and_results_with_names_are_nodes():
    assert pytree.tree_leaves(torch.ones(2, 3).shape) == [2, 3]
    result = torch.max(torch.tensor([[1.0, 2.0]]), 0)
    mapped = pytree.tree_map(lambda t: t + 1, result)
    assert type(mapped) is type(result)
    assert mapped.values.tolist() == [2.0, 3.0]


def test_is_leaf_stops_the_descent():
    leaves = pytree.tree_leaves([1, (2, 3)], is_leaf=lambda t: isinstance(t, tuple))
    assert leaves == [1, (2, 3)]


def test_mapping_over_several_trees_takes_what_stands_at_the_leaves():
    assert pytree.tree_map(lambda a, b: (a, b), [1, {"k": 2}], [(3,), {"k": [4]}]) == [
        (1, (3,)),
        {"k": (2, [4])},
    ]
    assert pytree.tree_map(
        lambda a, b: a - b, {"a": 1, "b": 2}, OrderedDict(b=20, a=10)
    ) == {"a": -9, "b": -18}


def test_map_only_touches_what_matches():
    tree = [1, "a", 2.0]
    assert pytree.tree_map_only(int, lambda x: x + 1, tree) == [2, "a", 2.0]
    assert pytree.tree_map_only((int, float), lambda x: -x, tree) == [-1, "a", -2.0]
    assert pytree.tree_map_only(int | str, lambda x: 0, tree) == [0, 0, 2.0]
    assert pytree.tree_map_only(lambda x: x == "a", str.upper, tree) == [1, "A", 2.0]
    with pytest.raises(TypeError, match="must be a type, a tuple of types"):
        pytree.tree_map_only(3, str, tree)


def test_in_place_maps_return_the_tree_itself():
    seen, tree = [], [1, (2, "x")]
    assert pytree.tree_map_(seen.append, tree) is tree
    assert pytree.tree_map_only_(int, seen.append, tree) is tree
    assert seen == [1, 2, "x", 1, 2]


def test_predicates_over_leaves():
    assert pytree.tree_all(bool, [1, (2,)])
    assert not pytree.tree_all(bool, [1, (0,)])
    assert pytree.tree_any(bool, [0, (2,)])
    assert pytree.tree_all_only(int, bool, [1, ""])
    assert not pytree.tree_any_only(str, bool, [1, ""])
    assert pytree.arg_tree_leaves(1, [2], a=(3,)) == [1, 2, 3]


def test_registered_classes_are_nodes(box):
    mapped = pytree.tree_map(lambda x: x + 1, [box(1, "l")])
    assert (mapped[0].content, mapped[0].label) == (2, "l")
    assert pytree.keystr(pytree.tree_leaves_with_path({"k": box([1], 0)})[0][0]) == (
        "['k'].content[0]"
    )
    with pytest.raises(ValueError, match="already registered"):
        pytree.register_pytree_node(box, None, None)


def test_specs_are_written_and_read(box):
    tree = {"a": [1, (box(2, "l"),)], Color.RED: deque([3], maxlen=4)}
    spec = pytree.tree_structure(tree)
    assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec
    with pytest.raises(ValueError, match="Unknown protocol 9"):
        pytree.treespec_dumps(spec, protocol=9)


def test_dataclasses_can_be_nodes():
    @dataclasses.dataclass
    class Batch:
        x: object
        y: object = None
        note: str = "none"

    pytree.register_dataclass(Batch, field_names=["x", "y"], drop_field_names=["note"])
    mapped = pytree.tree_map(lambda v: v + 1, Batch(1, None, "n"))
    assert mapped == Batch(2, None, "none")
    with pytest.raises(ValueError, match="Missing fields in `field_names`: {'y'}"):
        pytree.register_dataclass(Batch, field_names=["x"], drop_field_names=["note"])


def test_constants_are_part_of_the_spec():
    @dataclasses.dataclass(frozen=True)
    class Config:
        n: int

    pytree.register_constant(Config)
    leaves, spec = pytree.tree_flatten([Config(1), 2])
    assert leaves == [2]
    assert spec != pytree.tree_structure([Config(2), 2])
    assert pytree.tree_unflatten([3], spec) == [Config(1), 3]


def test_specs_cannot_be_changed():
    spec = pytree.tree_structure([1])
    with pytest.raises(AttributeError, match="cannot assign to field 'type'"):
        spec.type = tuple


def test_a_prefix_is_broadcast_over_the_tree():
    spec = pytree.tree_structure([1, (2, 3)])
    assert pytree._broadcast_to_and_flatten(9, spec) == [9, 9, 9]
    assert pytree._broadcast_to_and_flatten([8, 9], spec) == [8, 9, 9]
    assert pytree._broadcast_to_and_flatten((8, 9), spec) is None

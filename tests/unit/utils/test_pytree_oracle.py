"""Trees against PyTorch's: the same leaves, the same text, the same errors."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

from dispatchtorch.utils import _pytree as ours

oracle = pytest.importorskip("torch")
theirs = pytest.importorskip("torch.utils._pytree")

pytestmark = pytest.mark.oracle

Point = namedtuple("Point", "x y")
Other = namedtuple("Other", "x y")

TREES = {
    "leaf": 3,
    "none": None,
    "list": [1, [2, []]],
    "tuple": (1, (2,)),
    "dict": {"b": 1, "a": {"c": 2}},
    "dict keys": {1: 2, 3.5: 4},
    "namedtuple": [Point(1, {"k": None})],
    "ordered": OrderedDict(z=5, y=[6]),
    "default": defaultdict(list, q=7),
    "deque": deque([8, 9], maxlen=3),
    "unbounded": deque([8]),
    "all": {
        "b": [1, (2, 3)],
        "a": Point(4, {"k": None}),
        "o": OrderedDict(z=5, y=6),
        "d": defaultdict(list, q=7),
        "e": [],
    },
}
KINDS = pytest.mark.parametrize("name", TREES)


def outcome(function, *args):
    try:
        return "value", function(*args)
    except Exception as error:
        return type(error).__name__, str(error).split(" at 0x")[0]


@KINDS
def test_specs_look_alike(name):
    mine = ours.tree_structure(TREES[name])
    reference = theirs.tree_structure(TREES[name])
    for text in (repr, lambda s: s.num_nodes, lambda s: s.num_leaves, lambda s: s.type):
        assert text(mine) == text(reference)
    assert ours.treespec_pprint(mine) == theirs.treespec_pprint(reference)
    assert ours.tree_leaves(TREES[name]) == theirs.tree_leaves(TREES[name])


@KINDS
def test_paths_look_alike(name):
    mine = ours.tree_leaves_with_path(TREES[name])
    reference = theirs.tree_leaves_with_path(TREES[name])
    assert [(repr(p), ours.keystr(p), leaf) for p, leaf in mine] == [
        (repr(p), theirs.keystr(p), leaf) for p, leaf in reference
    ]


@KINDS
def test_specs_are_written_in_the_same_format(name):
    mine = outcome(lambda: ours.treespec_dumps(ours.tree_structure(TREES[name])))
    reference = outcome(
        lambda: theirs.treespec_dumps(theirs.tree_structure(TREES[name]))
    )
    assert mine == reference
    if mine[0] == "value":
        assert ours.treespec_loads(mine[1]) == ours.tree_structure(TREES[name])


PAIRS = [
    ([1, 2], [1, 2, 3]),
    ([1, (2,)], [3, [4]]),
    ([1], 1),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, OrderedDict(b=5, a=6)),
    (OrderedDict(a=1), [1]),
    (defaultdict(list, a=1), {"a": [2]}),
    (defaultdict(list, a=1), defaultdict(int, a=2)),
    (deque([1]), deque([1], maxlen=3)),
    (deque([1]), [1]),
    (Point(1, 2), Other(3, 4)),
    (Point(1, 2), Point([3], (4,))),
    (Point(1, 2), (3, 4)),
    ((1, 2), Point(3, 4)),
]


@pytest.mark.parametrize("shape, tree", PAIRS, ids=str)
def test_trees_that_do_not_fit_raise_the_same_error(shape, tree):
    mine = outcome(lambda: ours.tree_structure(shape).flatten_up_to(tree))
    reference = outcome(lambda: theirs.tree_structure(shape).flatten_up_to(tree))
    assert mine == reference
    equal = ours.tree_structure(shape) == ours.tree_structure(tree)
    assert equal == (theirs.tree_structure(shape) == theirs.tree_structure(tree))


@pytest.mark.parametrize("leaves", [[1], [1, 2, 3]])
def test_wrong_numbers_of_leaves_raise_the_same_error(leaves):
    mine = outcome(lambda: ours.tree_unflatten(leaves, ours.tree_structure([1, (2,)])))
    reference = outcome(
        lambda: theirs.tree_unflatten(leaves, theirs.tree_structure([1, (2,)]))
    )
    assert mine == reference


def test_what_is_no_spec_raises_the_same_error():
    assert outcome(ours.tree_unflatten, [1], 3) == outcome(
        theirs.tree_unflatten, [1], 3
    )
    assert outcome(ours.treespec_dumps, 3) == outcome(theirs.treespec_dumps, 3)
    assert outcome(ours.tree_map_only, 3, str, []) == outcome(
        theirs.tree_map_only, 3, str, []
    )


def test_registration_errors_are_the_same():
    class Thing:
        pass

    class Bad:
        pass

    def script(pytree):
        def register(kind=Thing, **options):
            pytree.register_pytree_node(kind, lambda t: ([], None), kind, **options)

        bad = outcome(lambda: register(Bad, to_dumpable_context=str))
        register()
        twice = outcome(register)
        dumped = outcome(lambda: pytree.treespec_dumps(pytree.tree_structure(Thing())))
        paths = outcome(lambda: pytree.tree_flatten_with_path(Thing()))
        constant = outcome(lambda: pytree.register_constant(Thing))
        no_fields = outcome(lambda: pytree.register_dataclass(Thing))
        pytree._deregister_pytree_node(Thing)
        return bad, twice, dumped, paths, constant, no_fields

    assert script(ours) == script(theirs)

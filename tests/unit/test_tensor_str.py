"""Tensors print exactly as PyTorch's do."""

from __future__ import annotations

import math
import random
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dispatchtorch as torch
from dispatchtorch import _tensor_str
from dispatchtorch._tensor_str import (
    get_printoptions,
    printoptions,
    set_printoptions,
    tensor_str,
)

oracle = pytest.importorskip("torch")
oracle_printoptions = oracle._tensor_str.printoptions

pytestmark = pytest.mark.oracle

FLOATS = ["float16", "bfloat16", "float32", "float64"]
FLOAT8 = ["float8_e4m3fn", "float8_e5m2"]
INTS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
COMPLEX = ["complex64", "complex128"]
INF, NAN = math.inf, math.nan


def pair(values, dtype=None, **kwargs):
    """The same tensor here and in the oracle."""
    return tuple(
        lib.tensor(
            values, **kwargs, **({"dtype": getattr(lib, dtype)} if dtype else {})
        )
        for lib in (torch, oracle)
    )


def assert_same(mine, theirs):
    assert tensor_str(mine) == repr(theirs)


def nested(shape, draw):
    if not shape:
        return draw()
    return [nested(shape[1:], draw) for _ in range(shape[0])]


def seeded(shape, dtype, seed=0):
    """Values across magnitudes, with zeros and non-finite ones among them."""
    rng = random.Random(seed)

    def number():
        if dtype == "bool":
            return rng.random() < 0.5
        if dtype in INTS:
            low = 0 if dtype.startswith("u") else -128
            return rng.randint(low, 127)
        special = rng.choice([0.0, -0.0, INF, -INF, NAN])
        value = special if rng.random() < 0.1 else rng.gauss(0, 1)
        return value * 10 ** rng.choice([0, 0, 0, -3, 3])

    if dtype in COMPLEX:
        return nested(shape, lambda: complex(number(), number()))
    return nested(shape, number)


# --- numbers ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, *FLOAT8, *INTS, *COMPLEX, "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (30,), (2, 3), (3, 2, 4), (7, 160)])
def test_every_dtype_and_shape(dtype, shape):
    if not hasattr(torch, dtype):
        pytest.skip(f"no {dtype}")
    narrow = dtype in FLOAT8
    build = "float32" if narrow else dtype
    mine, theirs = pair(seeded(shape, build), build)
    if narrow:
        mine = mine.to(getattr(torch, dtype))
        theirs = theirs.to(getattr(oracle, dtype))
    assert_same(mine, theirs)


@pytest.mark.parametrize(
    "values",
    [
        [INF, NAN, -INF],
        [0.0, INF],
        [-0.0, 0.0],
        [-0.0, 1.5],
        [1.0, -2.0],
        [1.0, 1000.0],
        [1.0, 1001.0],
        [1e-4, 1e-3],
        [1e-5, 1.0],
        [0.99999, 9.99999],
        [1e8, 5.0],
        [1e8],
        [1.5e8],
        [123456789.0],
        [INF, 1e-9],
        [5e-324, 1.8e307],
        [1e-310, 1.0],
        [0.1, INF, -NAN, 0.0],
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_notation_of_listed_floats(values, dtype):
    assert_same(*pair(values, dtype))
    assert_same(*pair(values[0], dtype))


@pytest.mark.parametrize(
    "values",
    [
        1 + 2j,
        [1 + 2j, 3 - 4j, complex(NAN, -INF)],
        [1e-7j, 1.0],
        [complex(0.0, -0.0), 2.5],
        [[1j, 2.0], [3.25, -4e6]],
    ],
)
def test_complex_parts_are_formatted_apart(values):
    assert_same(*pair(values, "complex64"))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_extreme_integers(dtype):
    info = oracle.iinfo(getattr(oracle, dtype))
    assert_same(*pair([info.max, info.min, 0], dtype))


finite = st.floats(allow_nan=True, allow_infinity=True, width=32)
whole = st.integers(-(10**9), 10**9).map(float)
simple = st.sampled_from([0.0, -0.0, 1.0, -1.5, 1e-4, 1e3, 1e8, INF, -INF, NAN])
lists = st.one_of(*(st.lists(s, max_size=40) for s in (finite, whole, simple)))
options = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 5, 20, 1000, INF]),
        "edgeitems": st.integers(0, 5),
        "linewidth": st.sampled_from([1, 20, 60, 80, 200]),
        "sci_mode": st.sampled_from([True, False, None]),
        "profile": st.sampled_from(["default", "short", "full", None]),
    },
)


@settings(max_examples=150, deadline=None)
@given(values=lists, kwargs=options, dtype=st.sampled_from(["float32", "float64"]))
def test_any_floats_under_any_options(values, kwargs, dtype):
    mine, theirs = pair(values, dtype)
    with printoptions(**kwargs), oracle_printoptions(**kwargs):
        assert_same(mine, theirs)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), max_size=4),
    dtype=st.sampled_from(["float32", "float64", "int64", "complex64", "bool"]),
    kwargs=options,
    seed=st.integers(0, 99),
)
def test_any_shape_under_any_options(shape, dtype, kwargs, seed):
    mine = torch.zeros(shape, dtype=getattr(torch, dtype))
    theirs = oracle.zeros(shape, dtype=getattr(oracle, dtype))
    if 0 not in shape:
        mine, theirs = pair(seeded(shape, dtype, seed), dtype)
    with printoptions(**kwargs), oracle_printoptions(**kwargs):
        assert_same(mine, theirs)


# --- options ---------------------------------------------------------------

SETTINGS = [
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "default"},
    {"profile": "unheard-of"},
    {"precision": 7},
    {"threshold": 5, "edgeitems": 1},
    {"sci_mode": True},
    {"linewidth": 20},
    {"profile": "full", "precision": 2, "sci_mode": False},
]


@pytest.fixture
def restored():
    with printoptions(), oracle_printoptions():
        yield


def test_settings_accumulate_as_in_the_oracle(restored):
    for kwargs in SETTINGS:
        assert set_printoptions(**kwargs) is None
        oracle.set_printoptions(**kwargs)
        assert get_printoptions() == oracle._tensor_str.get_printoptions()


def test_printoptions_restores_even_after_an_error():
    before = get_printoptions()
    with (
        pytest.raises(ValueError, match="inside"),
        printoptions(precision=9, sci_mode=True),
    ):
        assert get_printoptions()["precision"] == 9
        raise ValueError("inside")
    assert get_printoptions() == before


def test_reported_options_are_a_copy():
    get_printoptions()["precision"] = 99
    assert get_printoptions()["precision"] == 4


# --- what is printed after the values --------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 1)])
def test_empty_tensors_show_their_size(dtype, shape):
    assert_same(
        torch.empty(shape, dtype=getattr(torch, dtype)),
        oracle.empty(shape, dtype=getattr(oracle, dtype)),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_meta_tensors_show_their_size_alone(dtype, shape):
    assert_same(
        torch.empty(shape, dtype=getattr(torch, dtype), device="meta"),
        oracle.empty(shape, dtype=getattr(oracle, dtype), device="meta"),
    )


def test_other_devices_are_named():
    try:
        mine = torch.tensor([1.5, 2.0], device="loopback")
    except RuntimeError:
        pytest.skip("no other device")
    suffix = ", device='loopback:0')"
    assert tensor_str(mine) == repr(oracle.tensor([1.5, 2.0]))[:-1] + suffix
    mine = torch.ones(2000, device="loopback")
    assert tensor_str(mine) == repr(oracle.ones(2000))[:-1] + suffix
    empty = repr(oracle.empty(0, 3, device="meta"))
    empty = empty.replace("...", "[]").replace("meta", "loopback:0")
    assert tensor_str(torch.empty(0, 3, device="loopback")) == empty


@pytest.mark.parametrize("default", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64", *COMPLEX])
def test_dtype_is_left_out_when_it_is_the_default(default, dtype):
    mine, theirs = pair([1, 2], dtype)
    before = torch.get_default_dtype(), oracle.get_default_dtype()
    try:
        torch.set_default_dtype(getattr(torch, default))
        oracle.set_default_dtype(getattr(oracle, default))
        assert_same(mine, theirs)
        assert_same(mine[:0], theirs[:0])
    finally:
        torch.set_default_dtype(before[0])
        oracle.set_default_dtype(before[1])


def test_leaf_and_graph_are_shown():
    mine, theirs = pair([1.0, 2.0], requires_grad=True)
    for a, b in zip(history(torch, mine), history(oracle, theirs), strict=True):
        assert_same(a, b)


def history(lib, x):
    """Tensors with every kind of graph behind them; the last one's is invalid."""
    yield x
    yield x + 1
    yield (x * 2).to(lib.float64)
    yield x.sum()
    yield x[0]
    yield x.unsqueeze(0).expand(40, 2).reshape(-1)
    yield x.detach()
    v = x.clone()
    with lib.no_grad():
        w = v.view(2)
    v.mul_(2)
    yield w


def test_wide_suffixes_go_to_a_line_of_their_own():
    for n in range(1, 60):
        mine, theirs = pair([0.5] * n, "float64", requires_grad=True)
        assert_same(mine, theirs)
        assert_same(mine * 2, theirs * 2)


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.t(),
        lambda t: t[:, ::2],
        lambda t: t[0].expand(3, 4),
        lambda t: t.conj(),
        lambda t: t.conj().imag,
        lambda t: t.real,
    ],
    ids=["transposed", "strided", "expanded", "conj", "neg", "real"],
)
def test_views_show_their_values(view):
    mine, theirs = pair(seeded((3, 4), "complex64"), "complex64")
    assert_same(view(mine), view(theirs))


def test_subclasses_show_their_name():
    texts = []
    for lib, text in ((torch, tensor_str), (oracle, repr)):
        sub = type("Longer", (lib.Tensor,), {})
        t = lib.ones(2, 12).as_subclass(sub)
        texts.append([text(t), text(lib.nn.Parameter(t))])
    assert texts[0] == texts[1]


def test_parameter_prints_as_a_plain_tensor():
    mine, theirs = (
        torch.nn.Parameter(torch.ones(2)),
        oracle.nn.Parameter(oracle.ones(2)),
    )
    assert "Parameter containing:\n" + tensor_str(mine) == repr(theirs)
    assert repr(mine) == repr(theirs)


def test_given_contents_replace_the_values():
    mine, theirs = pair([[1.0]], "float64", requires_grad=True)
    text = theirs.__repr__(tensor_contents="something")
    assert tensor_str(mine, tensor_contents="something") == text


def test_forward_mode_tangent_is_shown():
    texts = []
    for lib, text in ((torch, tensor_str), (oracle, repr)):
        forward = pytest.importorskip(f"{lib.autograd.__name__}.forward_ad")
        with forward.dual_level():
            dual = forward.make_dual(lib.ones(2), lib.zeros(2))
            texts.append(text(dual))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
@pytest.mark.parametrize("grad", [False, True])
def test_sparse_tensors_show_their_parts(layout, grad):
    if not hasattr(torch.Tensor, "to_sparse"):
        pytest.skip("no sparse layouts")
    warnings.simplefilter("ignore")
    convert = "to_sparse" if layout == "coo" else f"to_sparse_{layout}"
    texts = []
    for lib, text in ((torch, tensor_str), (oracle, repr)):
        try:
            t = getattr(lib.eye(12, dtype=lib.float64), convert)()
        except NotImplementedError:
            pytest.skip("no sparse layouts")
        texts.append(text(t.requires_grad_() if grad else t))
    assert texts[0] == texts[1]


# --- speed -----------------------------------------------------------------


def test_values_come_to_the_host_once(monkeypatch):
    calls = []
    real = _tensor_str._to_host
    monkeypatch.setattr(
        _tensor_str, "_to_host", lambda t: (calls.append(tuple(t.shape)), real(t))[1]
    )
    tensor_str(torch.ones(400, 300))
    assert calls == [(6, 6)]


def test_a_thousand_elements_print_in_milliseconds():
    t = torch.tensor(seeded((1000,), "float32"))
    tensor_str(t)
    best = INF
    for _ in range(5):
        start = time.perf_counter()
        tensor_str(t)
        best = min(best, time.perf_counter() - start)
    assert best < 0.02

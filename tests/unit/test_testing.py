"""``torch.testing``: verdicts and messages are PyTorch's, word for word."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict, namedtuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dispatchtorch as torch
from dispatchtorch.testing import assert_close, make_tensor

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

NAN, INF = float("nan"), float("inf")
Point = namedtuple("Point", "x y")


def outcome(function, *args, **kwargs):
    """None, or the exception's class and text."""
    try:
        function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001
        text = re.sub(r"<class '(dispatch)?torch[\w.]*\.(\w+)'>", r"<\2>", str(error))
        return type(error), text
    return None


def assert_same_verdict(build, **kwargs):
    """``build(lib)`` gives (actual, expected); both libraries must say the same."""
    mine = outcome(assert_close, *build(torch), **kwargs)
    assert mine == outcome(oracle.testing.assert_close, *build(oracle), **kwargs)
    return mine


# --- numbers and containers ------------------------------------------------

PYTHON = [
    (1, 1),
    (1, 2),
    (1.0, 1.1),
    (1.0, 1.0 + 1e-9),
    (1, 1.0),
    (1j, 1.0),
    (1j, 1j + 1e-3),
    (0, 1),
    (1, 0),
    (0.0, 1e-3),
    (1e-3, 0.0),
    (True, True),
    (True, False),
    (None, None),
    (None, 1),
    (1, None),
    (NAN, NAN),
    (NAN, 1.0),
    (INF, INF),
    (INF, -INF),
    (1.0, INF),
    (INF, 1.0),
    (complex(NAN, 1), complex(NAN, 1)),
    ("a", "a"),
    (object, object),
    ({1}, {1}),
    (b"ab", b"ac"),
    ([1, 2], (1, 2)),
    ([1, 2], [1, 3]),
    ([1, 2], [1]),
    ([], []),
    (["a"], ["a"]),
    ("ab", ["a", "b"]),
    ([[1, [2]]], [[1, [3]]]),
    ([1, [1]], [2, [1, 2]]),
    ((1, None), (1, 2)),
    (range(3), [0, 1, 2]),
    (Point(1, 2), Point(1, 3)),
    ({"a": 1}, {"a": 2}),
    ({"a": 1, "b": 1}, {"a": 2, "c": 3}),
    ({10: 1, 2: 1}, {5: 1}),
    ({"z": 1, "a": 2}, {"z": 5, "a": 7}),
    (OrderedDict(b=1, a=2), {"a": 3, "b": 4}),
    ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}),
    ({"a": 1}, [1]),
    (numpy.float32(1), 1.0),
    (numpy.float64(1), numpy.float64(2)),
    (numpy.int64(1), 1),
    (numpy.bool_(True), False),
    (numpy.ones(2), numpy.zeros(2)),
    (numpy.ones(2, dtype=numpy.float32), numpy.ones(2)),
    (numpy.array(["a"]), numpy.array(["a"])),
]


@pytest.mark.parametrize("actual, expected", PYTHON, ids=repr)
def test_python_values(actual, expected):
    assert_same_verdict(lambda lib: (actual, expected))


PYTHON_OPTIONS = {
    "any type": {"check_dtype": False},
    "nan": {"equal_nan": True},
    "exact": {"rtol": 0.0, "atol": 0.0},
    "loose": {"rtol": 0.5, "atol": 1},
    "rtol alone": {"rtol": 0.5},
    "atol alone": {"atol": 0.5},
    "message": {"msg": "replaced"},
    "empty message": {"msg": ""},
    "message function": {"msg": lambda text: f"<{text}>"},
}


@pytest.mark.parametrize("name", PYTHON_OPTIONS)
def test_options_with_every_python_value(name):
    for pair in PYTHON:
        assert_same_verdict(lambda lib, pair=pair: pair, **PYTHON_OPTIONS[name])


def test_a_boolean_is_no_number():
    with pytest.raises(AssertionError, match=r"The \(d\)types do not match: <class"):
        assert_close(True, 1)
    assert_close(True, 1, check_dtype=False)


def test_integers_of_any_size_are_compared():
    assert_close(10**400, 10**400)
    with pytest.raises(AssertionError, match="Absolute difference: 1"):
        assert_close(10**400, 10**400 + 1)


def test_keys_that_have_no_order_are_listed_as_they_come():
    with pytest.raises(AssertionError, match="Missing keys"):
        assert_close({5: 1}, {10: 1, "a": 1})


# --- tensors ---------------------------------------------------------------


def tensors(a, b, a_dtype=None, b_dtype=None):
    """A builder of two tensors from nested lists."""
    b_dtype = b_dtype or a_dtype

    def build(lib):
        def one(values, name):
            return lib.tensor(values, **({"dtype": getattr(lib, name)} if name else {}))

        return one(a, a_dtype), one(b, b_dtype)

    return build


TENSORS = {
    "equal": tensors([1.0, 2.0], [1.0, 2.0]),
    "close": tensors([1.0, 2.0], [1.0, 2.000001]),
    "one of two": tensors([1.0, 2.0], [1.0, 3.0]),
    "scalar": tensors(1.0, 2.0),
    "scalar int": tensors(1, 2),
    "scalar bool": tensors(True, False),
    "scalar complex": tensors(1j, 2j),
    "scalar nan": tensors(NAN, 1.0),
    "integers": tensors([1, 2], [1, 3]),
    "booleans": tensors([True, False], [False, True]),
    "uint8": tensors([1, 1, 1], [255, 1, 0], "uint8"),
    "int8": tensors([-128, 1], [127, 1], "int8"),
    "int64 overflow": tensors([2**63 - 1], [-(2**63)], "int64"),
    "shape": tensors([1.0], [1.0, 2.0]),
    "dtype": tensors([1.0], [1.0], "float32", "float64"),
    "promoted": tensors([1.0], [1.001], "float32", "float64"),
    "promoted int": tensors([1], [1.5], "int32", "float16"),
    "promoted bool": tensors([True], [0.5], "bool", "float32"),
    "promoted unsigned": tensors([5], [-5], "uint8", "int8"),
    "promoted complex": tensors([1, 2], [1j, 2], "int64", "complex64"),
    "float16": tensors([1.0, 2.0], [1.003, 2.0], "float16"),
    "bfloat16": tensors([1.0], [1.1], "bfloat16"),
    "float64": tensors([1.0], [1.000001], "float64"),
    "complex": tensors([1j, 2.0], [1j, 2.1]),
    "nan": tensors([NAN, 1.0], [NAN, 1.0]),
    "nan against number": tensors([[NAN, 1.0], [4.0, 2.0]], [[1.0, 5.0], [4.0, NAN]]),
    "inf": tensors([INF, 1.0], [INF, 2.0]),
    "inf against -inf": tensors([INF, 1.0], [-INF, 1.0]),
    "inf against number": tensors([INF, 1.0], [2.0, 1.0]),
    "zeros": tensors([0.0, 1.0, 5.0], [0.0, 0.0, 0.0]),
    "matrix": tensors([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.5], [3.0, 9.0]]),
    "empty": tensors([], []),
    "strides": lambda lib: (lib.ones(2, 3), lib.ones(3, 2).t()),
    "grad": lambda lib: (lib.ones(2, requires_grad=True), lib.zeros(2)),
    "meta": lambda lib: (lib.ones(2), lib.ones(2, device="meta")),
    "both meta": lambda lib: (lib.ones(2, device="meta"), lib.ones(3, device="meta")),
    "parameter": lambda lib: (lib.nn.Parameter(lib.ones(2)), lib.zeros(2)),
    "tensor and number": lambda lib: (lib.ones(()), 1.0),
    "tensor and list": lambda lib: ([1.0, 2.0], lib.tensor([1.0, 2.0])),
    "tensor and array": lambda lib: (numpy.ones(2), lib.ones(2)),
    "tensor and None": lambda lib: (lib.tensor(1), None),
    "nested": lambda lib: (
        {"x": [1, {"y": lib.tensor([1.0])}]},
        {"x": [1, {"y": lib.tensor([2.0])}]},
    ),
}
OPTIONS = {
    "default": {},
    "loose": {"rtol": 0.1, "atol": 0.6},
    "exact": {"rtol": 0.0, "atol": 0.0},
    "nan": {"equal_nan": True},
    "any dtype": {"check_dtype": False},
    "any device": {"check_device": False},
    "strides": {"check_stride": True},
    "one type": {"allow_subclasses": False},
    "message": {"msg": lambda text: f"<{text}>"},
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_under_every_option(name):
    for kwargs in OPTIONS.values():
        assert_same_verdict(TENSORS[name], **kwargs)


values = st.sampled_from([0.0, 1.0, 1.0, 1.0001, -2.0, 1e-6, INF, -INF, NAN])


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(values, values), min_size=1, max_size=6),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "float64", "complex64"]),
    kwargs=st.sampled_from([{}, {"equal_nan": True}, {"rtol": 1e-3, "atol": 0.0}]),
)
def test_any_mix_of_values(pairs, dtype, kwargs):
    a, b = zip(*pairs, strict=True)
    assert_same_verdict(tensors([list(a)], [list(b)], dtype), **kwargs)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("kwargs", [{}, {"equal_nan": True}, {"rtol": 0.1, "atol": 0}])
def test_eight_bit_floats_are_compared_bit_by_bit(dtype, kwargs):
    if not hasattr(torch, dtype):
        pytest.skip(f"no {dtype}")
    for a, b in [([1.0, 2.0], [1.0, 3.0]), ([-0.0], [0.0]), ([NAN], [NAN]), (1.0, 2.0)]:
        assert_same_verdict(
            lambda lib, a=a, b=b: [
                lib.tensor(v).to(getattr(lib, dtype)) for v in (a, b)
            ],
            **kwargs,
        )


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
@pytest.mark.parametrize("check_layout", [True, False])
def test_sparse_tensors_are_compared_part_by_part(layout, check_layout):
    warnings.simplefilter("ignore")
    convert = "to_sparse" if layout == "coo" else f"to_sparse_{layout}"
    eye, ones, flip = [[1.0, 0], [0, 1]], [[1.0, 1], [1, 1]], [[0.0, 1], [1, 0]]
    try:
        getattr(torch.ones(2, 2), convert)()
    except (AttributeError, NotImplementedError):
        pytest.skip("no sparse layouts")
    for other in (eye, ones, flip, [[2.0, 0], [0, 1]]):
        for dense in (False, True):

            def build(lib, other=other, dense=dense):
                a, b = lib.tensor(eye), lib.tensor(other)
                a, b = getattr(a, convert)(), getattr(b, convert)()
                return a, b.to_dense() if dense else b

            assert_same_verdict(build, check_layout=check_layout)


def test_an_error_inside_a_comparison_is_chained():
    with pytest.raises(RuntimeError, match="Comparing\n\nTensorLikePair") as caught:
        assert_close(torch.ones(1), torch.zeros(1), rtol=0.0, atol=-1.0)
    assert caught.value.__cause__ is not None


# --- make_tensor -----------------------------------------------------------

INTS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]


def made(lib, shape, dtype, **kwargs):
    """What a call gives, in comparable terms."""
    make = make_tensor if lib is torch else lib.testing.make_tensor
    if "memory_format" in kwargs:
        kwargs["memory_format"] = getattr(lib, kwargs["memory_format"])
    lib.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            t = make(shape, dtype=getattr(lib, dtype), device="cpu", **kwargs)
        except Exception as error:  # noqa: BLE001
            return type(error), str(error)
    return (
        tuple(t.shape),
        str(t.dtype),
        t.stride(),
        t.requires_grad,
        t.is_leaf,
        t.detach().tolist(),
        [(w.category, str(w.message)) for w in caught],
    )


def assert_same_made(*args, **kwargs):
    mine, theirs = made(torch, *args, **kwargs), made(oracle, *args, **kwargs)
    assert mine == theirs


@pytest.mark.parametrize("dtype", [*INTS, *FLOATS, *COMPLEX, "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0, 2), (2, 1)])
def test_the_same_seed_makes_the_same_tensor(dtype, shape):
    for kwargs in (
        {},
        {"noncontiguous": True},
        {"exclude_zero": True},
        {"low": 0, "high": 1},
        {"low": -2.5, "high": 3.5},
        {"low": -INF, "high": INF},
    ):
        assert_same_made(shape, dtype, **kwargs)


@pytest.mark.parametrize(
    "dtype, kwargs",
    [
        ("float32", {"low": NAN}),
        ("float32", {"low": 2, "high": 1}),
        ("float32", {"low": 1, "high": 1}),
        ("float64", {"low": -INF, "high": -INF}),
        ("float16", {"low": 65504, "high": 1e5}),
        ("float16", {"low": -1e6, "high": 1e6}),
        ("float64", {"low": -1.7e308, "high": 1.7e308}),
        ("int8", {"low": 5, "high": 5}),
        ("int8", {"low": 127, "high": 200}),
        ("int8", {"low": 128, "high": 200}),
        ("int8", {"low": -1000, "high": -129}),
        ("uint8", {"high": -1}),
        ("bool", {"low": 2, "high": 5}),
        ("bool", {"low": 1}),
        ("int64", {"requires_grad": True}),
        ("bool", {"requires_grad": True}),
        ("float32", {"requires_grad": True, "noncontiguous": True}),
        ("complex64", {"requires_grad": True}),
        ("float32", {"memory_format": "channels_last"}),
        ("float32", {"memory_format": "channels_last", "noncontiguous": True}),
    ],
    ids=repr,
)
def test_ranges_and_formats(dtype, kwargs):
    assert_same_made((2, 3, 2, 2), dtype, **kwargs)


def test_sizes_may_be_given_apart_or_together():
    for shape in [(2, 3), ((2, 3),), ([2, 3],), (torch.Size([2, 3]),)]:
        made_here = make_tensor(*shape, dtype=torch.float32, device="cpu")
        assert made_here.shape == (2, 3)


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="requested dtype 'None' is not supported"):
        make_tensor(2, dtype=None, device="cpu")


def test_zeros_are_replaced_by_the_smallest_value():
    t = make_tensor(
        200, dtype=torch.float32, device="cpu", low=0, high=1e-45, exclude_zero=True
    )
    assert t.tolist() == [torch.finfo(torch.float32).tiny] * 200

"""Random operators under equal seeds: PyTorch's numbers, errors and state afterwards."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dispatchtorch

pytestmark = pytest.mark.oracle
oracle = pytest.importorskip("torch")

FLOATS = ("float32", "float64", "float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
INTS = ("int64", "int32", "int16", "int8", "uint8", "bool")
DTYPES = (*FLOATS, *COMPLEX, *INTS, "uint16", "uint32", "uint64")
_TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 3e-6, "complex64": 3e-6}


def _outcome(module, call):
    """What a call gives, and the states that it leaves both generators in."""
    generator = module.Generator()
    generator.manual_seed(7)
    module.manual_seed(99)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = call(module, generator)
    except Exception as error:
        return error
    states = [
        s.numpy().tobytes() for s in (generator.get_state(), module.get_rng_state())
    ]
    return made, states


def _array(t):
    t = t.detach()
    if str(t.dtype) in ("torch.float16", "torch.bfloat16"):
        t = t.float()
    return np.asarray(t.numpy())


def same(call):
    """Asserts that ``call(module, generator)`` does the same under both."""
    wanted, found = _outcome(oracle, call), _outcome(dispatchtorch, call)
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        assert isinstance(wanted, Exception), f"PyTorch raises nothing, we {found!r}"
        assert isinstance(found, Exception), f"we raise nothing, PyTorch {wanted!r}"
        assert isinstance(found, type(wanted)) or isinstance(wanted, type(found))
        assert str(found) == str(wanted).partition("\nException raised")[0]
        return
    (a, ours), (b, theirs) = found, wanted
    assert str(a.dtype) == str(b.dtype)
    assert tuple(a.shape) == tuple(b.shape)
    assert a.numel() < 2 or tuple(a.stride()) == tuple(b.stride())
    assert a.requires_grad == b.requires_grad
    assert type(a.grad_fn).__name__ == type(b.grad_fn).__name__
    eps = _TOLERANCE.get(str(b.dtype).removeprefix("torch."), 1e-12)
    x, y = _array(a), _array(b)
    if x.dtype.kind in "biu":
        assert np.array_equal(x, y)
    else:
        np.testing.assert_allclose(x, y, rtol=eps, atol=eps, equal_nan=True)
    assert ours == theirs, "the generators' states differ"


LAYOUTS = {
    "no dims": lambda m, d: m.zeros((), dtype=d),
    "empty": lambda m, d: m.zeros((0, 3), dtype=d),
    "few": lambda m, d: m.zeros(7, dtype=d),
    "a block": lambda m, d: m.zeros(16, dtype=d),
    "blocks": lambda m, d: m.zeros(5, 21, dtype=d),
    "turned": lambda m, d: m.zeros(6, 7, dtype=d).t(),
    "with gaps": lambda m, d: m.zeros(8, 9, dtype=d)[:, ::2],
    "permuted": lambda m, d: m.zeros(3, 4, 5, dtype=d).permute(2, 0, 1),
    "offset": lambda m, d: m.zeros(40, dtype=d)[3:37],
}
SAMPLERS = {
    "uniform_": [(), (2.0, 5.0), (5.0, 2.0)],
    "normal_": [(), (2.0, 5.0), (0.0, -1.0)],
    "log_normal_": [(), (0.5, 1.0), (0.0, -1.0)],
    "cauchy_": [(), (1.0, 3.0), (0.0, -1.0)],
    "exponential_": [(), (2.5,), (0.0,)],
    "geometric_": [(0.3,), (1.0,)],
    "bernoulli_": [(), (0.2,), (1.5,)],
    "random_": [(), (10,), (-5, 10), (5, None), (0, 2**33), (-(2**40), 2**40),
                (2**28,), (200,), (5, 5), (2, 300), (-(2**63), None),
                (0, 2**63 - 1)],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_fill_any_layout(name, layout):
    for dtype in DTYPES:
        for arguments in SAMPLERS[name][:2]:

            def call(module, generator):
                t = LAYOUTS[layout](module, getattr(module, dtype))
                return getattr(t, name)(*arguments, generator=generator)

            same(call)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, a) for name, listed in SAMPLERS.items() for a in listed[1:]],
    ids=str,
)
def test_samplers_take_pytorchs_parameters(name, arguments):
    for dtype in DTYPES:
        same(
            lambda m, g: getattr(m.zeros(9, dtype=getattr(m, dtype)), name)(*arguments)
        )


@pytest.mark.parametrize("dtype", [*DTYPES, None])
@pytest.mark.parametrize("size", [(), (0,), (3,), (17,), (4, 9)], ids=str)
def test_factories(size, dtype):
    def options(module, generator):
        made = {"generator": generator}
        return made if dtype is None else {**made, "dtype": getattr(module, dtype)}

    same(lambda m, g: m.rand(size, **options(m, g)))
    same(lambda m, g: m.randn(size, **options(m, g)))
    same(lambda m, g: m.normal(1.0, 2.0, size, **options(m, g)))
    same(lambda m, g: m.randint(7, size, **options(m, g)))
    for low, high in [(-5, 5), (0, 2**33), (3, 3), (-(2**63), 2**63 - 1)]:
        same(lambda m, g: m.randint(low, high, size, **options(m, g)))
    same(lambda m, g: m.randperm(len(size) * 40 + 1, **options(m, g)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX, *INTS])
def test_factories_like_a_tensor(dtype, layout):
    def like(module):
        return LAYOUTS[layout](module, getattr(module, dtype))

    same(lambda m, g: m.rand_like(like(m)))
    same(lambda m, g: m.randn_like(like(m), generator=g))
    same(lambda m, g: m.randint_like(like(m), 9))
    same(lambda m, g: m.randint_like(like(m), -3, 9, dtype=m.float64))


VALUES = np.random.RandomState(0).rand(5, 23)
VIEWS = {
    "plain": lambda t: t,
    "turned": lambda t: t.t(),
    "with gaps": lambda t: t[:, ::2],
    "one": lambda t: t[0, 0],
    "row": lambda t: t[0],
    "empty": lambda t: t[:0],
    "expanded": lambda t: t[:1].expand(5, 23),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_number_for_each_parameter(dtype, view, grad):
    def parameters(module, scale=1.0):
        t = module.tensor((VALUES * scale).tolist(), dtype=getattr(module, dtype))
        return VIEWS[view](t).detach().requires_grad_(grad)

    same(lambda m, g: m.bernoulli(parameters(m), generator=g))
    same(lambda m, g: m.bernoulli(parameters(m), 0.3, generator=g))
    same(lambda m, g: m.poisson(parameters(m, 6.0), generator=g))
    same(lambda m, g: m.poisson(parameters(m, 60.0), g))
    same(lambda m, g: m.normal(parameters(m), 2.0, generator=g))
    same(lambda m, g: m.normal(parameters(m)))
    same(lambda m, g: m.normal(2.0, parameters(m), generator=g))
    same(lambda m, g: m.normal(parameters(m), parameters(m, 2.0), generator=g))
    for count in (1, 2, 5, 30):
        for replacement in (False, True):
            same(
                lambda m, g: m.multinomial(
                    parameters(m), count, replacement, generator=g
                )
            )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "float16"])
def test_probabilities_of_a_tensor_in_place(dtype):
    for of in FLOATS:

        def call(module, generator):
            p = module.tensor(VALUES.tolist(), dtype=getattr(module, of))
            made = module.zeros(5, 23, dtype=getattr(module, dtype))
            return made.bernoulli_(p, generator=generator)

        same(call)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(
    "weights",
    [[-0.1, 0.5], [float("nan"), 1.0], [float("inf"), 1.0], [0.0, 0.0], [1.0, 0.0]],
    ids=str,
)
def test_weights_that_are_no_distribution(weights, replacement):
    same(lambda m, g: m.multinomial(m.tensor(weights), 1, replacement, generator=g))
    same(lambda m, g: m.multinomial(m.tensor([[1.0, 1.0], weights]), 2, replacement))


@pytest.mark.parametrize("call", [
    lambda m, g: m.multinomial(m.ones(3), 0),
    lambda m, g: m.multinomial(m.ones(3), 4),
    lambda m, g: m.multinomial(m.ones(2, 2, 2), 1),
    lambda m, g: m.multinomial(m.ones(1).expand(2**24 + 1), 1),
    lambda m, g: m.multinomial(m.ones(3), 2, out=m.zeros(2)),
    lambda m, g: m.bernoulli(m.tensor([1.5])),
    lambda m, g: m.bernoulli(m.tensor([1, 0])),
    lambda m, g: m.bernoulli(m.tensor([0.5]), 1.5),
    lambda m, g: m.poisson(m.tensor([-1.0])),
    lambda m, g: m.normal(m.ones(2), -1.0),
    lambda m, g: m.normal(1.0, m.tensor([-1.0])),
    lambda m, g: m.normal(m.ones(2), m.ones(3)),
    lambda m, g: m.normal(m.ones(2), m.tensor(1j)),
    lambda m, g: m.randperm(-1),
    lambda m, g: m.rand(2, -3),
], ids=range(15))  # fmt: skip
def test_errors_are_pytorchs(call):
    same(call)


def test_many_numbers_come_from_the_same_stream():
    same(lambda m, g: m.randn(100003, generator=g))
    same(lambda m, g: m.rand(70001, dtype=m.float64, generator=g))
    same(lambda m, g: m.zeros(40000).exponential_(generator=g))


def test_out_is_filled():
    same(lambda m, g: m.rand(2, 3, out=m.zeros(0), generator=g))
    same(lambda m, g: m.randint(5, (2, 3), out=m.zeros(0)))
    same(lambda m, g: m.randperm(5, out=m.zeros(0, dtype=m.int32)))
    same(lambda m, g: m.bernoulli(m.full((3,), 0.4), out=m.zeros(0), generator=g))

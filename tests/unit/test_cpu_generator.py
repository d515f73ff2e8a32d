"""The CPU generator draws PyTorch's numbers and leaves PyTorch's state."""

from __future__ import annotations

import copy
import pickle
import threading

import ml_dtypes
import numpy as np
import pytest
from dispatchtorch_numpy import _sampling
from dispatchtorch_numpy.random import CPUGenerator

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = ["float64", "float32", "float16", "bfloat16"]
COMPLEX = ["complex64", "complex128"]
INTS = ["uint8", "int8", "int16", "int32", "int64"]
SIZES = [0, 1, 2, 7, 15, 16, 17, 31, 100, 623, 624, 625, 1000, 1024, 40007]
SEEDS = [0, 7, -1, 2**32 + 5, 2**63, 2**64 - 1, -(2**63)]

with_oracle = pytest.mark.oracle


@pytest.fixture
def oracle():
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield torch


def host(name):
    return BFLOAT16 if name == "bfloat16" else np.dtype(name)


def array(tensor):
    """The oracle's tensor as an array, bfloat16 included."""
    if str(tensor.dtype) == "torch.bfloat16":
        return tensor.float().numpy().astype(BFLOAT16)
    return tensor.numpy()


def pair(oracle, seed):
    return CPUGenerator(seed), oracle.Generator().manual_seed(seed)


def same_state(ours, theirs):
    return ours.get_state().tobytes() == theirs.get_state().numpy().tobytes()


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.flags.c_contiguous
    np.testing.assert_array_equal(actual, expected)


# ----------------------------------------------------------------- seeds and state


def test_a_seed_determines_the_numbers():
    first, second = CPUGenerator(5), CPUGenerator(6).manual_seed(5)
    assert_same(first.random(2000), second.random(2000))


def test_64_bit_words_are_pairs_of_32_bit_words_high_one_first():
    for n in (3, 3000):
        words = CPUGenerator(1).random(2 * n).astype(np.uint64)
        expected = (words[::2] << np.uint64(32)) | words[1::2]
        assert_same(CPUGenerator(1).random64(n), expected)


def test_seed_returns_the_new_initial_seed():
    generator = CPUGenerator()
    seed = generator.seed()
    assert seed == generator.initial_seed()
    assert_same(generator.random(3), CPUGenerator(seed).random(3))


@pytest.mark.parametrize("copied", [copy.deepcopy, CPUGenerator.clone])
def test_a_copy_goes_on_alone_from_the_same_place(copied):
    generator = CPUGenerator(3)
    generator.normal((3,), np.float64)  # leaves half a pair
    other = copied(generator)
    numbers = other.normal((5,), np.float64)
    other.random(1)
    assert_same(generator.normal((5,), np.float64), numbers)


def test_a_generator_survives_pickling():
    generator = CPUGenerator(3)
    generator.random(700)
    restored = pickle.loads(pickle.dumps(generator))
    assert restored.initial_seed() == 3
    assert_same(restored.random(700), generator.random(700))


def test_set_state_resumes_in_the_middle_of_a_block():
    generator = CPUGenerator(9)
    for drawn in (0, 1, 623, 1, 5):
        generator.random(drawn)
        state = generator.get_state()
        numbers = generator.random(700)
        generator.set_state(state)
        assert_same(generator.get_state(), state)
        assert_same(generator.random(700), numbers)
        generator.set_state(state)


def test_threads_share_one_stream_without_losing_numbers():
    shared = CPUGenerator(2)
    drawn = []

    def draw():
        for _ in range(200):
            drawn.append(shared.uniform((7,), np.float64))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = CPUGenerator(2).uniform((4 * 200, 7), np.float64)
    together = np.array(drawn)
    order = np.lexsort(together.T)
    assert_same(together[order], expected[np.lexsort(expected.T)])


@with_oracle
@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_are_kept_as_pytorch_keeps_them(oracle, seed):
    ours, theirs = pair(oracle, seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("seed", [1.0, True, "1", 2**64, -(2**63) - 1])
def test_bad_seeds_raise_pytorchs_errors(oracle, seed):
    with pytest.raises((RuntimeError, ValueError)) as expected:
        oracle.Generator().manual_seed(seed)
    with pytest.raises(expected.type) as actual:
        CPUGenerator().manual_seed(seed)
    assert str(actual.value) == str(expected.value)


@with_oracle
def test_the_default_seed_is_pytorchs(oracle):
    assert same_state(CPUGenerator(), oracle.Generator())


@with_oracle
def test_states_pass_both_ways(oracle):
    ours, theirs = pair(oracle, 4)
    for n in (1, 622, 1, 3):
        oracle.empty(n).uniform_(generator=theirs)
        oracle.empty(3).normal_(generator=theirs)
        ours.set_state(theirs.get_state().numpy())
        assert same_state(ours, theirs)
        ours.normal((n,), np.float32)
        theirs.set_state(oracle.from_numpy(ours.get_state()))
        assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize(
    "state",
    [np.zeros(5056, np.uint8), np.zeros(5055, np.uint8), np.zeros(5056, np.int8)],
    ids=["content", "size", "dtype"],
)
def test_bad_states_raise_pytorchs_errors(oracle, state):
    with pytest.raises((RuntimeError, TypeError)) as expected:
        oracle.Generator().set_state(oracle.from_numpy(state))
    with pytest.raises(expected.type) as actual:
        CPUGenerator().set_state(state)
    assert str(actual.value) == str(expected.value)


# ------------------------------------------------------------------- bit for bit

EXACT = {
    "rand": (
        FLOATS + COMPLEX,
        lambda g, n, d: g.uniform((n,), d),
        lambda t, g: t.uniform_(generator=g),
    ),
    "uniform": (
        FLOATS + COMPLEX,
        lambda g, n, d: g.uniform((n,), d, -3.3, 10.1),
        lambda t, g: t.uniform_(-3.3, 10.1, generator=g),
    ),
    "uniform, few values apart": (
        FLOATS,
        lambda g, n, d: g.uniform((n,), d, 100, 101),
        lambda t, g: t.uniform_(100, 101, generator=g),
    ),
    "randint": (
        FLOATS + INTS + ["uint16", "uint32", "uint64"],
        lambda g, n, d: g.random_from_to((n,), d, 3, 117),
        lambda t, g: t.random_(3, 117, generator=g),
    ),
    "randint, one word": (
        ["int32", "int64", "float64"],
        lambda g, n, d: g.random_from_to((n,), d, -1, 2**28 - 2),
        lambda t, g: t.random_(-1, 2**28 - 2, generator=g),
    ),
    "randint, two words": (
        ["int32", "int64", "float64"],
        lambda g, n, d: g.random_from_to((n,), d, -1, 2**28 - 1),
        lambda t, g: t.random_(-1, 2**28 - 1, generator=g),
    ),
    "randint, 64 bits": (
        ["int64"],
        lambda g, n, d: g.random_from_to((n,), d, -(2**63), 2**63 - 1),
        lambda t, g: t.random_(-(2**63), 2**63 - 1, generator=g),
    ),
    "random_ from the least": (
        ["int64", "float64", "float32", "bfloat16"],
        lambda g, n, d: g.random_from_to((n,), d, -(2**63)),
        lambda t, g: t.random_(-(2**63), None, generator=g),
    ),
    "random_ from": (
        FLOATS + INTS + ["uint16", "uint32", "bool"],
        lambda g, n, d: g.random_from_to((n,), d, 1),
        lambda t, g: t.random_(1, None, generator=g),
    ),
    "random_": (
        [*FLOATS, *INTS, "bool"],
        lambda g, n, d: g.random_full((n,), d),
        lambda t, g: t.random_(generator=g),
    ),
    "bernoulli_": (
        [*FLOATS, *INTS, "bool"],
        lambda g, n, d: g.bernoulli_scalar((n,), d, 0.3),
        lambda t, g: t.bernoulli_(0.3, generator=g),
    ),
    "geometric_": (
        FLOATS + INTS,
        lambda g, n, d: g.geometric((n,), d, 0.01),
        lambda t, g: t.geometric_(0.01, generator=g),
    ),
}


def cases(table):
    return [
        pytest.param(name, dtype, id=f"{name}-{dtype}")
        for name, row in table.items()
        for dtype in row[0]
    ]


@with_oracle
@pytest.mark.parametrize(("name", "dtype"), cases(EXACT))
def test_sampler_is_bit_for_bit_pytorchs(oracle, name, dtype):
    _, ours_draw, oracle_draw = EXACT[name]
    ours, theirs = pair(oracle, 11)
    for n in SIZES:
        actual = ours_draw(ours, n, host(dtype))
        expected = oracle_draw(oracle.empty(n, dtype=getattr(oracle, dtype)), theirs)
        assert_same(actual, array(expected))
        assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("dtype", INTS + FLOATS)
def test_permutations_are_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 12)
    limit = {"uint8": 256, "int8": 128, "int16": 2**15, "float16": 2049}.get(dtype)
    for n in (0, 1, 2, 17, 128, 499, 500, 501, 2049, 30011):
        if limit is None or n <= limit:
            expected = oracle.randperm(
                n, dtype=getattr(oracle, dtype), generator=theirs
            )
            assert_same(ours.randperm(n, host(dtype)), array(expected))
            assert same_state(ours, theirs)


@pytest.mark.parametrize("n", [1, 2, 399, 400, 401, 5000])
def test_the_shuffle_solved_at_once_equals_the_loop(n):
    words = CPUGenerator(n).random(n - 1)
    items = list(range(n))
    for i, word in enumerate(words.tolist()):
        j = i + word % (n - i)
        items[i], items[j] = items[j], items[i]
    assert _sampling.swap_shuffle(words).tolist() == items


def test_very_long_permutations_shuffle_inside_out():
    words = CPUGenerator(1).random64(50)
    out = np.empty(50, np.int64)
    _sampling.inside_out_shuffle(out, [words[:20], words[20:]])
    items: list[int] = []
    for i, word in enumerate(words.tolist()):
        j = word % (i + 1)
        items.append(i)
        items[i] = items[j]
        items[j] = i
    assert out.tolist() == items


@with_oracle
@pytest.mark.parametrize("p", FLOATS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool"])
def test_bernoulli_by_probabilities_is_pytorchs(oracle, p, dtype):
    ours, theirs = pair(oracle, 13)
    probabilities = oracle.rand(40, 50).to(getattr(oracle, p))
    result = oracle.empty(40, 50, dtype=getattr(oracle, dtype))
    result.bernoulli_(probabilities, generator=theirs)
    actual = ours.bernoulli_tensor(array(probabilities), host(dtype))
    assert_same(actual, array(result))
    assert same_state(ours, theirs)


@with_oracle
def test_dropout_masks_are_pytorchs(oracle):
    ours = CPUGenerator(14)
    with oracle.random.fork_rng():
        oracle.manual_seed(14)
        expected = oracle.nn.functional.dropout(oracle.ones(30, 40), 0.3)
    mask = ours.bernoulli_scalar((30, 40), np.float32, 1 - 0.3)
    assert_same(mask / np.float32(1 - 0.3), expected.numpy())


@with_oracle
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("rows", [None, 1, 3])
def test_multinomial_is_pytorchs(oracle, dtype, replacement, rows):
    ours, theirs = pair(oracle, 15)
    # Which of equal quotients comes first is open; 16-bit dtypes have them early.
    wide = dtype in ("float32", "float64")
    for classes, samples in ((5, 1), (5, 3), (200, 7), (200, 150)):
        if samples > 1 and not (replacement or wide):
            continue
        weights = oracle.rand(classes if rows is None else (rows, classes))
        weights = weights.to(getattr(oracle, dtype))
        expected = oracle.multinomial(weights, samples, replacement, generator=theirs)
        actual = ours.multinomial(array(weights), samples, replacement)
        assert_same(actual, expected.numpy())
        assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("dtype", FLOATS)
def test_poisson_is_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 16)
    for n, most in ((3, 5), (30, 1), (2000, 8), (2000, 60)):
        rates = (oracle.rand(n) * most).to(getattr(oracle, dtype))
        expected = oracle.poisson(rates, generator=theirs)
        assert_same(ours.poisson(array(rates)), array(expected))
        assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binomial_is_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 17)
    for n, most in ((3, 5), (2000, 10), (5000, 10000)):
        count = oracle.randint(0, most, (n,)).to(getattr(oracle, dtype))
        prob = oracle.rand(n, dtype=getattr(oracle, dtype))
        prob[:2] = oracle.tensor([0.0, 1.0])
        expected = oracle.binomial(count, prob, generator=theirs)
        assert_same(ours.binomial(count.numpy(), prob.numpy()), expected.numpy())
        assert same_state(ours, theirs)


def test_binomial_of_nan_is_nan():
    nan = np.array([np.nan, 3.0])
    assert np.isnan(CPUGenerator().binomial(nan, nan[::-1].copy())).all()


@with_oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gamma_is_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 18)
    for n, most in ((3, 5), (2000, 0.5), (2001, 40)):
        concentration = oracle.rand(n, dtype=getattr(oracle, dtype)) * most
        expected = oracle._standard_gamma(concentration, generator=theirs)
        assert_same(ours.standard_gamma(concentration.numpy()), expected.numpy())
        assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_rrelu_slopes_are_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 19)
    x = oracle.randn(7, 11).to(getattr(oracle, dtype))
    noise = oracle.empty_like(x)
    oracle.ops.aten.rrelu_with_noise(x, noise, 0.1, 0.3, True, theirs)
    assert_same(ours.rrelu_noise(array(x), 0.1, 0.3), array(noise))
    assert same_state(ours, theirs)


# -------------------------------------------------------------------- to rounding

ROUNDED = {
    "normal": (
        FLOATS + COMPLEX,
        lambda g, n, d: g.normal((n,), d),
        lambda t, g: t.normal_(generator=g),
    ),
    "normal, scaled": (
        FLOATS + COMPLEX,
        lambda g, n, d: g.normal((n,), d, 0.25, 0.02),
        lambda t, g: t.normal_(0.25, 0.02, generator=g),
    ),
    "log_normal": (
        FLOATS,
        lambda g, n, d: g.log_normal((n,), d, 1, 0.5),
        lambda t, g: t.log_normal_(1, 0.5, generator=g),
    ),
    "cauchy": (
        FLOATS,
        lambda g, n, d: g.cauchy((n,), d, 0.5, 2),
        lambda t, g: t.cauchy_(0.5, 2, generator=g),
    ),
    "exponential": (
        FLOATS,
        lambda g, n, d: g.exponential((n,), d, 1.5),
        lambda t, g: t.exponential_(1.5, generator=g),
    ),
}
EPS = {"float64": 2e-16, "float32": 1.2e-7, "float16": 1e-3, "bfloat16": 8e-3}
EPS |= {"complex128": EPS["float64"], "complex64": EPS["float32"]}


@with_oracle
@pytest.mark.parametrize(("name", "dtype"), cases(ROUNDED))
def test_sampler_is_pytorchs_to_rounding(oracle, name, dtype):
    _, ours_draw, oracle_draw = ROUNDED[name]
    ours, theirs = pair(oracle, 20)
    size = differing = 0
    for n in SIZES:
        actual = ours_draw(ours, n, host(dtype))
        tensor = oracle_draw(oracle.empty(n, dtype=getattr(oracle, dtype)), theirs)
        expected = array(tensor)
        assert same_state(ours, theirs)
        assert actual.dtype == expected.dtype
        wide = np.complex128 if dtype in COMPLEX else np.float64
        np.testing.assert_allclose(
            actual.astype(wide),
            expected.astype(wide),
            rtol=8 * EPS[dtype],
            atol=8 * EPS[dtype],
        )
        size += n
        differing += np.count_nonzero(actual != expected)
    assert differing <= 0.2 * size


@with_oracle
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_few_normals_are_bit_for_bit_pytorchs(oracle, dtype):
    ours, theirs = pair(oracle, 21)
    for n in (1, 2, 3, 1, 15, 14, 1):
        expected = oracle.empty(n, dtype=getattr(oracle, dtype))
        expected.normal_(0.25, 0.02, generator=theirs)
        assert_same(ours.normal((n,), host(dtype), 0.25, 0.02), array(expected))
        assert same_state(ours, theirs)


@with_oracle
def test_normals_for_a_strided_tensor_are_drawn_in_pairs(oracle):
    ours, theirs = pair(oracle, 22)
    strided = oracle.empty(2 * 101)[::2].normal_(generator=theirs)
    actual = ours.normal((101,), np.float32, contiguous=False)
    np.testing.assert_allclose(actual, strided.numpy(), rtol=1e-6)
    assert same_state(ours, theirs)


@with_oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dirichlet_is_pytorchs_to_rounding(oracle, dtype):
    ours, theirs = pair(oracle, 23)
    concentration = oracle.rand(20, 30, dtype=getattr(oracle, dtype)) * 3
    expected = oracle._sample_dirichlet(concentration, generator=theirs)
    actual = ours.dirichlet(concentration.numpy())
    np.testing.assert_allclose(actual, expected.numpy(), rtol=4 * EPS[dtype])
    assert same_state(ours, theirs)


@with_oracle
def test_interleaved_samplers_stay_in_step(oracle):
    ours, theirs = pair(oracle, 24)
    steps = [
        (lambda n: ours.uniform((n,), np.float32), lambda t: t.uniform_()),
        (lambda n: ours.normal((n,), np.float32), lambda t: t.normal_()),
        (lambda n: ours.exponential((n,), np.float32), lambda t: t.exponential_()),
        (lambda n: ours.log_normal((n,), np.float32), lambda t: t.log_normal_()),
        (lambda n: ours.poisson(np.full(n, 3, "f")), None),
        (lambda n: ours.standard_gamma(np.full(n, 3, "f")), None),
    ]
    draws = np.random.default_rng(0)
    with oracle.random.fork_rng():
        oracle.set_rng_state(theirs.get_state())
        for which, n in zip(draws.integers(6, size=80), draws.integers(60, size=80)):
            ours_draw, oracle_draw = steps[which]
            actual = ours_draw(int(n))
            if oracle_draw:
                expected = oracle_draw(oracle.empty(int(n)))
            else:
                sampler = oracle.poisson if which == 4 else oracle._standard_gamma
                expected = sampler(oracle.full((int(n),), 3.0))
            np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-5, atol=1e-6)
            state = oracle.get_rng_state().numpy()
            assert ours.get_state().tobytes() == state.tobytes()


# ---------------------------------------------------------------------- refusals

REFUSED = {
    "uniform order": ("float32", "uniform_", (2, 1), "uniform"),
    "uniform bound": ("float16", "uniform_", (0, 70000), "uniform"),
    "uniform span": ("float16", "uniform_", (-60000, 60000), "uniform"),
    "uniform dtype": ("int32", "uniform_", (0, 1), "uniform"),
    "normal std": ("float32", "normal_", (0, -1), "normal"),
    "normal dtype": ("int64", "normal_", (0, 1), "normal"),
    "log_normal std": ("float32", "log_normal_", (0, 0), "log_normal"),
    "log_normal dtype": ("int8", "log_normal_", (0, 1), "log_normal"),
    "cauchy sigma": ("float32", "cauchy_", (0, 0), "cauchy"),
    "cauchy dtype": ("int8", "cauchy_", (0, 1), "cauchy"),
    "exponential rate": ("float32", "exponential_", (-1,), "exponential"),
    "exponential dtype": ("bool", "exponential_", (1,), "exponential"),
    "randint order": ("int64", "random_", (3, 3), "random_from_to"),
    "randint from": ("uint8", "random_", (-1, 3), "random_from_to"),
    "randint to": ("int8", "random_", (0, 129), "random_from_to"),
    "randint half": ("float16", "random_", (0, 2**20), "random_from_to"),
    "randint complex": ("complex64", "random_", (0, 2), "random_from_to"),
    "random_ from": ("float32", "random_", (2**24, None), "random_from_to"),
    "random_ uint64": ("uint64", "random_", (0, None), "random_from_to"),
    "random_ least": ("int32", "random_", (-(2**63), None), "random_from_to"),
    "random_ dtype": ("uint16", "random_", (), "random_full"),
}


@with_oracle
@pytest.mark.parametrize("case", REFUSED)
def test_bad_parameters_raise_pytorchs_errors(oracle, case):
    dtype, method, arguments, ours = REFUSED[case]
    tensor = oracle.empty(3, dtype=getattr(oracle, dtype))
    with pytest.raises((RuntimeError, NotImplementedError)) as expected:
        getattr(tensor, method)(*arguments)
    with pytest.raises(expected.type) as actual:
        getattr(CPUGenerator(), ours)((3,), host(dtype), *arguments)
    assert str(actual.value) == str(expected.value)


@with_oracle
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_bad_probabilities_raise_pytorchs_errors(oracle, p):
    generator = CPUGenerator()
    for theirs, ours in (
        ("bernoulli_", generator.bernoulli_scalar),
        ("geometric_", generator.geometric),
    ):
        with pytest.raises(RuntimeError) as expected:
            getattr(oracle.empty(3), theirs)(p)
        with pytest.raises(RuntimeError) as actual:
            ours((3,), np.float32, p)
        assert str(actual.value) == str(expected.value)
    with pytest.raises(RuntimeError, match="Expected p_in >= 0"):
        generator.bernoulli_tensor(np.array([p]))


@with_oracle
@pytest.mark.parametrize(
    ("weights", "samples", "replacement"),
    [
        ([1.0, -1.0], 1, False),
        ([0.0, 0.0], 1, False),
        ([[1.0, 1.0], [0.0, 0.0]], 3, True),
        ([1.0, np.inf], 1, True),
        ([1.0, 0.0], 3, False),
        ([1.0, 0.0], 0, False),
        ([[[1.0]]], 1, False),
        ([1, 0], 1, False),
    ],
)
def test_bad_weights_raise_pytorchs_errors(oracle, weights, samples, replacement):
    with pytest.raises(RuntimeError) as expected:
        oracle.multinomial(oracle.tensor(weights), samples, replacement)
    with pytest.raises(RuntimeError) as actual:
        CPUGenerator().multinomial(np.array(weights), samples, replacement)
    assert str(actual.value) == str(expected.value)


@with_oracle
@pytest.mark.parametrize(
    ("n", "dtype"),
    [(-1, "int64"), (257, "uint8"), (2050, "float16"), (3, "bool"), (3, "uint16")],
)
def test_bad_permutations_raise_pytorchs_errors(oracle, n, dtype):
    with pytest.raises((RuntimeError, NotImplementedError)) as expected:
        oracle.randperm(n, dtype=getattr(oracle, dtype))
    with pytest.raises(expected.type) as actual:
        CPUGenerator().randperm(n, host(dtype))
    assert str(actual.value) == str(expected.value)


def test_integers_beyond_a_floats_exact_range_warn():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\)"):
        CPUGenerator().random_from_to((3,), np.float32, 0, 2**30)

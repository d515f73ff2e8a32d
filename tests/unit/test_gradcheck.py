"""``gradcheck`` and ``gradgradcheck`` find wrong derivatives and report them."""

from __future__ import annotations

import itertools
import warnings

import pytest

import dispatchtorch as torch
from dispatchtorch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle


def real(lib, *values):
    return lib.tensor(list(values), dtype=lib.float64, requires_grad=True)


def cplx(lib, *values):
    return lib.tensor(list(values), dtype=lib.complex128, requires_grad=True)


def vec(lib):
    return real(lib, 0.3, 0.7, -1.2)


def mat(lib):
    return real(lib, [0.5, 0.1, 2.0], [1.0, -0.4, 0.6])


def comp(lib):
    return cplx(lib, 1 + 2j, -0.5 + 0.3j)


def function(lib, forward, backward, materialize=True):
    """A differentiable function with the given forward and backward pass."""

    class Made(lib.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            ctx.save_for_backward(*args)
            ctx.set_materialize_grads(materialize)
            return forward(*args)

        @staticmethod
        def backward(ctx, *grads):
            return backward(ctx.saved_tensors, *grads)

    return Made.apply


def outcome(check, build, lib, **kwargs):
    """The result or the exception's class and text, and the warnings."""
    func, inputs = build(lib)
    lib.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = check(func, inputs, **kwargs)
        except Exception as error:  # noqa: BLE001
            result = type(error).__name__, str(error)
    return result, [str(w.message) for w in caught]


def assert_same(build, check=gradcheck, **kwargs):
    theirs = getattr(oracle.autograd, check.__name__)
    mine = outcome(check, build, torch, **kwargs)
    assert mine == outcome(theirs, build, oracle, **kwargs)
    return mine[0]


# --- verdicts --------------------------------------------------------------

RIGHT = {
    "linear": lambda lib: (lambda a: a * 2, (vec(lib),)),
    "a tensor for the inputs": lambda lib: (lambda a: a.exp(), vec(lib)),
    "two inputs": lambda lib: (lambda a, b: (a * b).sum(1), (vec(lib), mat(lib))),
    "two outputs": lambda lib: (lambda a: (a * 2, a.sum()), (vec(lib),)),
    "a list of outputs": lambda lib: (lambda a: [a * 2, a + 1], (vec(lib),)),
    "0-d output": lambda lib: (lambda a: a.sum(), (vec(lib),)),
    "empty input": lambda lib: (
        lambda a: a * 2,
        (lib.zeros(0, 3, dtype=lib.float64, requires_grad=True),),
    ),
    "complex": lambda lib: (lambda a: a * a, (comp(lib),)),
    "complex to real": lambda lib: (lambda a: a.abs(), (comp(lib),)),
    "real to complex": lambda lib: (lambda a: lib.complex(a, a * a), (vec(lib),)),
    "conjugate": lambda lib: (lambda a: a.conj() * 2, (comp(lib),)),
    "parts": lambda lib: (lambda a: a.real * a.imag, (comp(lib),)),
    "complex and real": lambda lib: (lambda a, b: a * b[:2], (comp(lib), vec(lib))),
    "integer output too": lambda lib: (lambda a: (a * 2, a.argmax()), (vec(lib),)),
    "constant": lambda lib: (lambda a: lib.ones(2, dtype=lib.float64), (vec(lib),)),
    "some detached": lambda lib: (lambda a: (a * 2, a.detach()), (vec(lib),)),
    "the input itself": lambda lib: (lambda a: a, (vec(lib),)),
    "a view": lambda lib: (lambda a: a[1:], (vec(lib),)),
    "in place on a copy": lambda lib: (lambda a: a.clone().mul_(2), (vec(lib),)),
    "unused input": lambda lib: (lambda a, b: a * 2, (vec(lib), mat(lib))),
    "not a leaf": lambda lib: (lambda a: a * 3, (vec(lib) * 2,)),
    "transposed": lambda lib: (lambda a: a * 2, (mat(lib).t(),)),
    "arguments that aren't tensors": lambda lib: (
        lambda a, n, x: a[n],
        (vec(lib), lib.tensor([0, 2]), None),
    ),
}


@pytest.mark.parametrize("fast_mode", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass(name, fast_mode):
    assert assert_same(RIGHT[name], fast_mode=fast_mode) is True


def test_one_tensor_may_be_two_inputs():
    x = vec(torch)
    assert gradcheck(lambda a, b: a * b, (x, x))


def test_integer_outputs_may_come_first():
    assert gradcheck(lambda a: (a.argmax(), a * 2), (vec(torch),))


@pytest.mark.parametrize("fast_mode", [False, True], ids=["slow", "fast"])
def test_tensors_the_function_holds_are_moved_too(fast_mode):
    weight, bias, x = mat(torch), real(torch, 0.1, -0.2), vec(torch)

    def held(*ignored):
        return (weight @ x + bias).tanh()

    assert gradcheck(held, (weight, bias), fast_mode=fast_mode)
    assert gradgradcheck(held, (weight, bias, x), fast_mode=fast_mode)


def test_inputs_are_left_as_they_were():
    x = vec(torch)
    before = x.tolist()
    gradcheck(lambda a: a.sin(), (x,))
    assert x.tolist() == before
    assert x.grad is None
    calls = itertools.count()

    def fails_midway(a):
        if next(calls) == 3:
            raise LookupError
        return a * 2

    with pytest.raises(LookupError):
        gradcheck(fails_midway, (x,))
    assert x.tolist() == before


WRONG = {
    "twice too much": lambda lib: (
        function(lib, lambda a: a * 2, lambda s, g: g * 3),
        (vec(lib),),
    ),
    "no gradient": lambda lib: (
        function(lib, lambda a: a * 1, lambda s, g: None),
        (vec(lib),),
    ),
    "not multiplied": lambda lib: (
        function(lib, lambda a: a * 1, lambda s, g: lib.ones_like(s[0])),
        (vec(lib),),
    ),
    "second output, second input": lambda lib: (
        lambda n, a, b: (
            a * 2,
            function(lib, lambda t: t * t, lambda s, g: g * s[0])(b),
        ),
        (3, vec(lib), mat(lib)),
    ),
    "complex": lambda lib: (
        function(lib, lambda a: a * 2j, lambda s, g: g * 2j),
        (comp(lib),),
    ),
    "complex to real": lambda lib: (
        function(lib, lambda a: a.abs(), lambda s, g: g * s[0]),
        (comp(lib),),
    ),
    "real part only": lambda lib: (
        function(lib, lambda a: lib.complex(a, a), lambda s, g: g.imag),
        (vec(lib),),
    ),
    "imaginary part only": lambda lib: (
        function(lib, lambda a: lib.complex(a, a), lambda s, g: g.real),
        (vec(lib),),
    ),
    "detached": lambda lib: (lambda a: a.detach() * 2, (vec(lib),)),
    "NaN": lambda lib: (lambda a: a / (a - a), (vec(lib),)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_derivatives_are_reported(name):
    kind, text = assert_same(WRONG[name])
    assert kind == "GradcheckError"
    assert text
    assert assert_same(WRONG[name], raise_exception=False) is False


@pytest.mark.parametrize("name", WRONG)
def test_fast_mode_finds_the_same_and_shows_the_whole_jacobian(name):
    func, inputs = WRONG[name](torch)
    with pytest.raises(GradcheckError) as slow:
        gradcheck(func, inputs)
    with pytest.raises(GradcheckError) as fast:
        gradcheck(func, inputs, fast_mode=True)
    head, _, jacobians = str(slow.value).partition("\nnumerical:")
    assert str(fast.value).startswith(head)
    if jacobians:
        assert jacobians.partition("\nanalytical:")[0] in str(fast.value)


def test_single_precision_warns_and_takes_its_tolerances():
    def build(lib):
        return lambda a: a * 2, (lib.tensor([1.0, 2.0], requires_grad=True),)

    assert assert_same(build)[0] == "GradcheckError"
    assert assert_same(build, eps=1e-2, atol=1e-2) is True


def test_tolerances_are_used():
    off = function(torch, lambda a: a * 2, lambda s, g: g * 2.01)
    assert not gradcheck(off, (vec(torch),), raise_exception=False)
    assert gradcheck(off, (vec(torch),), atol=0.02)
    assert gradcheck(off, (vec(torch),), rtol=0.02)
    assert gradcheck(off, (vec(torch),), atol=0.02, fast_mode=True)


# --- what else is checked --------------------------------------------------


@pytest.mark.parametrize("fast_mode", [False, True], ids=["slow", "fast"])
def test_backward_must_be_reproducible(fast_mode):
    noise = itertools.count()
    noisy = function(torch, lambda a: a * 1, lambda s, g: g * (1 + 1e-7 * next(noise)))
    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(noisy, (vec(torch),), fast_mode=fast_mode)
    assert gradcheck(noisy, (vec(torch),), nondet_tol=1e-3, fast_mode=fast_mode)


def test_a_zero_gradient_must_give_zero():
    def build(lib):
        def backward(saved, grad):
            zero = bool((grad == 0).all())
            return lib.ones_like(grad) if zero else grad

        return function(lib, lambda a: a * 1, backward), (vec(lib),)

    assert assert_same(build) == (
        "GradcheckError",
        "backward not multiplied by grad_output",
    )


def test_an_undefined_gradient_must_give_zero_or_none():
    ones = function(
        torch,
        lambda a: a * 1,
        lambda s, g: torch.ones_like(s[0]) if g is None else g,
        materialize=False,
    )
    with pytest.raises(
        GradcheckError, match="Expected all input grads to be undefined"
    ):
        gradcheck(ones, (vec(torch),))
    assert gradcheck(ones, (vec(torch),), check_undefined_grad=False)


def test_an_undefined_gradient_must_not_fail():
    def backward(saved, grad):
        if grad is None:
            raise RuntimeError("no gradient")
        return grad

    fails = function(torch, lambda a: a * 1, backward, materialize=False)
    with pytest.raises(GradcheckError, match="to handle undefined output grads"):
        gradcheck(fails, (vec(torch),))
    assert gradcheck(fails, (vec(torch),), check_undefined_grad=False)


def test_undefined_gradients_of_single_outputs_are_tried():
    seen = set()

    def backward(saved, first, second):
        seen.add((first is None, second is None))
        grads = [g for g in (first, second) if g is not None]
        return sum(grads[1:], grads[0]) if grads else None

    two = function(torch, lambda a: (a * 1, a * 1), backward, materialize=False)
    assert gradcheck(two, (vec(torch),))
    assert {(True, False), (False, True), (False, False)} <= seen


# --- arguments -------------------------------------------------------------


def test_error_class_is_a_runtime_error():
    assert issubclass(GradcheckError, RuntimeError)


@pytest.mark.parametrize(
    "build",
    [
        lambda lib: (lambda a: a * 2, (vec(lib).detach(),)),
        lambda lib: (
            lambda a: a * 2,
            (lib.ones(1, dtype=lib.float64).expand(3).requires_grad_(),),
        ),
        lambda lib: (lambda a: 3, (vec(lib),)),
        lambda lib: (lambda a: a.mul_(2), (vec(lib),)),
    ],
    ids=["no grad", "overlapping", "no tensor", "in place"],
)
def test_misuse_is_no_gradcheck_error(build):
    kind, _ = assert_same(build, raise_exception=False)
    assert kind != "GradcheckError"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"check_backward_ad": False},
        {"check_batched_forward_grad": True},
        {
            "check_backward_ad": False,
            "check_forward_ad": True,
            "check_batched_grad": True,
        },
    ],
    ids=str,
)
def test_options_that_contradict_each_other(kwargs):
    assert assert_same(RIGHT["linear"], **kwargs)[0] == "AssertionError"


@pytest.mark.parametrize("option", ["check_forward_ad", "check_batched_grad"])
def test_unsupported_options_say_so(option):
    with pytest.raises(NotImplementedError, match=option):
        gradcheck(lambda a: a, (vec(torch),), **{option: True})


# --- second derivatives ----------------------------------------------------

TWICE = {
    "linear": lambda lib: (lambda a: a * 2, (vec(lib),)),
    "cube": lambda lib: (lambda a: a**3, (vec(lib),)),
    "two inputs": lambda lib: (lambda a, b: (a * b).sin(), (vec(lib), mat(lib))),
    "complex": lambda lib: (lambda a: a * a, (comp(lib),)),
    "complex to real": lambda lib: (lambda a: a.abs(), (comp(lib),)),
    "integer output too": lambda lib: (lambda a: (a**2, a.argmax()), (vec(lib),)),
    "unused input": lambda lib: (lambda a, b: a**2, (vec(lib), mat(lib))),
    "wrong": lambda lib: (lambda a: a * a.detach(), (vec(lib),)),
    "no grad": lambda lib: (lambda a: a**2, (vec(lib).detach(),)),
}


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives(name):
    assert_same(TWICE[name], gradgradcheck)
    assert_same(TWICE[name], gradgradcheck, raise_exception=False)
    noncontiguous = {"gen_non_contig_grad_outputs": True}
    assert_same(TWICE[name], gradgradcheck, **noncontiguous)


def test_second_derivatives_in_fast_mode():
    func, inputs = TWICE["cube"](torch)
    assert gradgradcheck(func, inputs, fast_mode=True)
    func, inputs = TWICE["wrong"](torch)
    assert not gradgradcheck(func, inputs, fast_mode=True, raise_exception=False)


def test_gradients_of_the_outputs_may_be_given():
    x, g = vec(torch), real(torch, 1.0, 2.0, 3.0)
    assert gradgradcheck(lambda a: a**2, (x,), g)
    assert gradgradcheck(lambda a: (a**2, a.exp()), (x,), [g, g.detach().clone()])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"check_rev_over_rev": False},
        {"check_rev_over_rev": False, "check_fwd_over_rev": True},
    ],
    ids=str,
)
def test_contradictions_of_second_order(kwargs):
    assert assert_same(TWICE["cube"], gradgradcheck, **kwargs)[0] == "AssertionError"

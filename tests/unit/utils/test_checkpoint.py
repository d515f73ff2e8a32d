"""Checkpointing: the same gradients and random numbers, with less kept in between."""

from __future__ import annotations

import contextlib
import gc
import weakref

import pytest

import dispatchtorch as torch
from dispatchtorch.utils.checkpoint import (
    CheckpointError,
    GraphExecGroup,
    check_backward_validity,
    checkpoint,
    checkpoint_sequential,
    detach_variable,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)

VARIANTS = pytest.mark.parametrize("use_reentrant", [True, False])


def leaf(*shape):
    return torch.arange(1.0, 7.0).reshape(*shape or (2, 3)).requires_grad_(True)


def gradients(function, *inputs):
    for x in inputs:
        x.grad = None
    function(*inputs).sum().backward()
    return [x.grad.tolist() for x in inputs]


def counted(function):
    """``function`` and a list with one entry for each time it was called."""
    calls = []

    def call(*args, **kwargs):
        calls.append(torch.is_grad_enabled())
        return function(*args, **kwargs)

    return call, calls


@VARIANTS
def test_gradients_are_those_of_the_function_itself(use_reentrant):
    x, y = leaf(), leaf()

    def function(x, y):
        return (x.sin() * y).exp().sqrt() + x

    expected = gradients(function, x, y)
    got = gradients(
        lambda x, y: checkpoint(function, x, y, use_reentrant=use_reentrant), x, y
    )
    assert got == expected


@VARIANTS
def test_parameters_that_are_no_arguments_get_their_gradients(use_reentrant):
    weight, x = leaf(3, 2), leaf()

    def function(x):
        return (x @ weight).sin()

    expected = gradients(lambda w, x: function(x), weight, x)
    got = gradients(
        lambda w, x: checkpoint(function, x, use_reentrant=use_reentrant), weight, x
    )
    assert got == expected


@VARIANTS
def test_the_function_runs_once_more_in_backward(use_reentrant):
    function, calls = counted(lambda x: x.sin().exp())
    out = checkpoint(function, leaf(), use_reentrant=use_reentrant)
    assert len(calls) == 1
    out.sum().backward()
    assert len(calls) == 2
    assert calls[-1] is True


@VARIANTS
def test_other_arguments_and_outputs_pass_through(use_reentrant):
    x = leaf()

    def function(x, factor, flag):
        assert flag is None
        return x * factor, factor, None

    out, factor, nothing = checkpoint(function, x, 3, None, use_reentrant=use_reentrant)
    assert (factor, nothing) == (3, None)
    out.sum().backward()
    assert x.grad.tolist() == [[3.0] * 3] * 2


@VARIANTS
def test_without_grad_mode_the_function_just_runs(use_reentrant):
    with torch.no_grad():
        out = checkpoint(torch.sin, leaf(), use_reentrant=use_reentrant)
    assert not out.requires_grad


@VARIANTS
@pytest.mark.parametrize("preserve", [True, False])
def test_random_numbers_repeat_only_where_they_are_to(use_reentrant, preserve):
    masks = []

    def function(x):
        masks.append(torch.rand(8))
        return (x.sum() * masks[-1]).sum()

    torch.manual_seed(3)
    out = checkpoint(
        function, leaf(), use_reentrant=use_reentrant, preserve_rng_state=preserve
    )
    before = torch.rand(4)
    out.backward()
    assert torch.equal(masks[0], masks[1]) is preserve
    if preserve:
        torch.manual_seed(3)
        torch.rand(8)
        assert torch.equal(torch.rand(4), before)
        torch.rand(0)
        after = torch.rand(2)
        torch.manual_seed(3)
        torch.rand(12)
        assert torch.equal(torch.rand(2), after)


@VARIANTS
def test_a_graph_that_is_retained_can_be_used_again(use_reentrant):
    x = leaf()
    out = checkpoint(lambda x: x.sin().exp(), x, use_reentrant=use_reentrant).sum()
    out.backward(retain_graph=True)
    once = x.grad.clone()
    out.backward()
    assert torch.equal(x.grad, 2 * once)


@VARIANTS
def test_an_input_changed_in_place_is_noticed(use_reentrant):
    y = leaf() * 1
    out = checkpoint(lambda a: a.sin().sum(), y, use_reentrant=use_reentrant)
    with torch.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_nested_checkpoints_give_the_same_gradients():
    def inner(a):
        return a.sin().exp()

    def outer(a):
        return checkpoint(inner, a * 2, use_reentrant=False).cos()

    x = leaf()
    expected = gradients(lambda a: inner(a * 2).cos(), x)
    assert gradients(lambda a: checkpoint(outer, a, use_reentrant=False), x) == expected


def test_nested_checkpoints_keep_no_intermediate_of_the_outer_one():
    refs = []

    def outer(a):
        b = a * 2
        refs.append(weakref.ref(b))
        return checkpoint(torch.sin, b, use_reentrant=False).cos()

    out = checkpoint(outer, leaf(), use_reentrant=False)
    gc.collect()
    assert refs[0]() is None
    out.sum().backward()


def test_the_graph_holds_no_saved_tensor_of_the_function():
    refs = []

    def function(a):
        b = a.sin()
        refs.append(weakref.ref(b))
        return b.exp().cos()

    out = checkpoint(function, leaf(), use_reentrant=False)
    gc.collect()
    assert refs[0]() is None
    assert out.requires_grad


def test_second_derivatives_go_through_the_variant_without_reentry():
    def second(function):
        x = leaf()
        (g,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        (gg,) = torch.autograd.grad(g.sum(), x)
        return gg.tolist()

    def function(x):
        return x.sin().exp()

    assert second(lambda x: checkpoint(function, x, use_reentrant=False)) == second(
        function
    )


def test_autograd_grad_is_for_the_variant_without_reentry_only():
    x = leaf()
    torch.autograd.grad(checkpoint(torch.sin, x, use_reentrant=False).sum(), x)
    out = checkpoint(torch.sin, x, use_reentrant=True).sum()
    with pytest.raises(RuntimeError, match=r"incompatible with \.grad\(\)"):
        torch.autograd.grad(out, x)


def test_keyword_arguments_are_for_the_variant_without_reentry_only():
    def function(x, *, power):
        return x**power

    x = leaf()
    got = gradients(lambda x: checkpoint(function, x, power=3, use_reentrant=False), x)
    assert got == gradients(lambda x: x**3, x)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: power"):
        checkpoint(function, x, power=3, use_reentrant=True)


def test_early_stop_leaves_out_what_backward_does_not_need():
    def passes(**kwargs):
        ends = []

        def function(x):
            y = x.sin().exp()
            ends.append(1)
            return y

        checkpoint(function, leaf(), use_reentrant=False, **kwargs).sum().backward()
        return len(ends)

    assert passes() == 1
    assert passes(early_stop=False) == 2
    with set_checkpoint_early_stop(False):
        assert passes() == 2
    with set_checkpoint_early_stop(True):
        assert passes(early_stop=False) == 1


def test_no_handler_in_the_function_catches_the_early_stop():
    caught = []

    def function(x):
        try:
            return x.sin().exp()
        except Exception as error:
            caught.append(error)
            raise

    checkpoint(function, leaf(), use_reentrant=False).sum().backward()
    assert not caught


def changing(first, later):
    """A function that does one thing when it is first called, and another later."""
    calls = []

    def function(x):
        calls.append(1)
        return (first if len(calls) == 1 else later)(x)

    return function


def test_fewer_tensors_in_the_second_run_are_an_error():
    function = changing(lambda x: x.sin().exp().cos(), torch.sin)
    out = checkpoint(function, leaf(), use_reentrant=False)
    with pytest.raises(CheckpointError) as caught:
        out.sum().backward()
    assert "A different number of tensors was saved" in str(caught.value)
    assert "saved during forward: 3\n" in str(caught.value)
    assert "saved during recomputation: 1." in str(caught.value)


def test_more_tensors_in_the_second_run_are_an_error_without_early_stop():
    function = changing(torch.sin, lambda x: x.sin().exp().cos())
    out = checkpoint(function, leaf(), use_reentrant=False, early_stop=False)
    with pytest.raises(CheckpointError, match="trying to save more tensors"):
        out.sum().backward()


def test_other_shapes_in_the_second_run_are_an_error_unless_unchecked():
    def run(**kwargs):
        function = changing(lambda x: x[:1].sin().sum(), lambda x: x.sin().sum())
        checkpoint(function, leaf(), use_reentrant=False, **kwargs).backward()

    with pytest.raises(CheckpointError, match="have different metadata") as caught:
        run()
    assert "tensor at position 0:\nsaved metadata: {'shape': torch.Size([1, 3])" in str(
        caught.value
    )
    with pytest.raises(ValueError, match="should be one of"):
        run(determinism_check="strict")
    with contextlib.suppress(RuntimeError):  # what the gradient's shape makes of it
        run(determinism_check="none")


def test_debug_lists_what_both_runs_called():
    pytest.importorskip("dispatchtorch.overrides")
    function = changing(lambda x: x.sin().exp().cos(), torch.sin)
    with set_checkpoint_debug_enabled(True):
        out = checkpoint(function, leaf(), use_reentrant=False)
    with pytest.raises(CheckpointError) as caught:
        out.sum().backward()
    message = str(caught.value)
    assert "(2 of 3) float32[2, 3] = exp(float32[2, 3])" in message
    assert "They part at call 2" in message
    assert "in <lambda>" in message


def test_each_run_has_a_context_of_its_own():
    entered = []

    @contextlib.contextmanager
    def context(name):
        entered.append(name)
        yield

    out = checkpoint(
        lambda x: x.sin().exp(),
        leaf(),
        use_reentrant=False,
        context_fn=lambda: (context("first"), context("second")),
    )
    assert entered == ["first"]
    out.sum().backward()
    assert entered == ["first", "second"]


@VARIANTS
def test_autocast_is_as_it_was(use_reentrant):
    device = torch.get_default_device().type
    dtypes = []

    def function(x):
        y = x @ x.t()
        dtypes.append(y.dtype)
        return y.float().sum()

    with torch.autocast(device, torch.bfloat16):
        out = checkpoint(
            function, leaf(), use_reentrant=use_reentrant, early_stop=False
        )
    out.backward()
    assert dtypes == [torch.bfloat16, torch.bfloat16]


@VARIANTS
@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequential_gives_the_same_gradients(use_reentrant, segments):
    functions = [torch.sin, torch.exp, torch.cos, torch.tanh, torch.sigmoid]

    def plain(x):
        for function in functions:
            x = function(x)
        return x

    x = leaf()
    got = gradients(
        lambda x: checkpoint_sequential(
            functions, segments, x, use_reentrant=use_reentrant
        ),
        x,
    )
    assert got == gradients(plain, x)


def test_sequential_checkpoints_all_but_the_last_segment():
    calls = []

    def step(i):
        def function(x):
            calls.append((i, torch.is_grad_enabled()))
            return x.sin()

        return function

    out = checkpoint_sequential([step(i) for i in range(5)], 2, leaf(), True)
    out.sum().backward()
    assert calls == [
        (0, False),
        (1, False),
        (2, True),
        (3, True),
        (4, True),
        (0, True),
        (1, True),
    ]


def test_the_variant_has_to_be_said():
    for call in (
        lambda: checkpoint(torch.sin, leaf()),
        lambda: checkpoint_sequential([torch.sin], 1, leaf()),
    ):
        with pytest.warns(
            UserWarning, match="use_reentrant parameter should be passed"
        ):
            call()


def test_the_reentrant_variant_warns_where_no_input_needs_a_gradient():
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        out = checkpoint(torch.sin, torch.ones(2), use_reentrant=True)
    assert not out.requires_grad
    with pytest.warns(UserWarning, match="Gradients will be None"):
        check_backward_validity([torch.ones(1), 3])


def test_options_of_the_other_variant_are_refused():
    for options in ({"debug": True}, {"context_fn": lambda: None}):
        with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
            checkpoint(torch.sin, leaf(), use_reentrant=True, **options)


def test_detach_variable_keeps_requires_grad_and_cuts_the_graph():
    x = leaf() * 2
    cut, plain, number = detach_variable((x, torch.ones(1), 3))
    assert cut.requires_grad
    assert cut.is_leaf
    assert not plain.requires_grad
    assert number == 3
    with pytest.raises(RuntimeError, match="Only tuple of tensors is supported"):
        detach_variable(x)


def test_groups_of_backward_calls_do_not_nest():
    with GraphExecGroup(), pytest.raises(RuntimeError, match="cannot be nested"):
        with GraphExecGroup():
            pass
    with GraphExecGroup():
        pass

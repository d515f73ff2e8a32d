"""Handles of hooks, and the hooks on a module's backward."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict

import pytest

import dispatchtorch as torch
from dispatchtorch.utils.hooks import (
    BackwardHook,
    RemovableHandle,
    unserializable_hook,
    warn_if_has_hooks,
)


def test_a_handle_removes_its_hook_once():
    hooks = OrderedDict()
    first, second = RemovableHandle(hooks), RemovableHandle(hooks)
    assert second.id == first.id + 1
    hooks[first.id] = hooks[second.id] = str
    first.remove()
    first.remove()
    assert list(hooks) == [second.id]
    with second:
        pass
    assert not hooks


def test_a_handle_removes_what_else_is_filed_under_its_id():
    hooks, one, two = OrderedDict(), OrderedDict(), OrderedDict()
    for extra in (one, [one, two]):
        handle = RemovableHandle(hooks, extra_dict=extra)
        for place in (hooks, one, two):
            place[handle.id] = 1
        handle.remove()
        assert not hooks
        assert not one
        two.clear()


def test_a_handle_does_not_keep_the_hooks_alive():
    hooks = OrderedDict()
    handle = RemovableHandle(hooks)
    del hooks
    handle.remove()


def test_a_handle_is_pickled_with_its_hooks():
    hooks = OrderedDict()
    handle = RemovableHandle(hooks)
    hooks[handle.id] = "hook"
    copied, copied_handle = pickle.loads(pickle.dumps((hooks, handle)))
    copied_handle.remove()
    assert not copied
    assert hooks
    alone = pickle.loads(pickle.dumps(handle))
    assert alone.id == handle.id
    alone.remove()
    assert RemovableHandle(hooks).id > handle.id


def test_hooks_that_pickling_would_lose_are_warned_of():
    x = torch.ones(2, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_has_hooks(x)
        x.register_hook(unserializable_hook(lambda grad: grad))
        warn_if_has_hooks(x)
    x.register_hook(lambda grad: grad)
    with pytest.warns(UserWarning, match="on tensor will not be serialized"):
        warn_if_has_hooks(x)


def run(function, args, hooks=(), pre_hooks=()):
    """Sends ``args`` through a hooked function; the hooks' log after backward."""
    log = []

    def noting(hook):
        def call(module, *grads):
            assert module == "module"
            shown = [tuple(g if g is None else g.tolist() for g in gs) for gs in grads]
            log.append(shown)
            return hook(*grads) if hook else None

        return call

    hooked = BackwardHook(
        "module", [noting(h) for h in hooks], [noting(h) for h in pre_hooks]
    )
    out = hooked.setup_output_hook(function(*hooked.setup_input_hook(args)))
    outs = out if isinstance(out, tuple) else (out,)
    needing = [o for o in outs if isinstance(o, torch.Tensor) and o.requires_grad]
    sum(o.sum() for o in needing).backward()
    return log


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_hooks_see_the_gradients_of_inputs_and_outputs():
    assert run(lambda a, b: a * b, (leaf(2.0), leaf(5.0)), [None]) == [
        [([5.0], [2.0]), ([1.0],)]
    ]


def test_what_is_no_tensor_or_has_no_gradient_shows():
    constant = torch.tensor([4.0])
    log = run(lambda a, b, c: (a * b * c, b, "x"), (leaf(2.0), constant, 3.0), [None])
    assert log == [[([12.0], [0.0], None), ([1.0], None, None)]]


def test_hooks_replace_the_gradients_of_inputs_one_after_the_other():
    x = leaf(1.0)
    double = lambda grad_in, grad_out: tuple(2 * g for g in grad_in)  # noqa: E731
    log = run(lambda a: a * 3, (x,), [double, double])
    assert [entry[0] for entry in log] == [([3.0],), ([6.0],)]
    assert x.grad.tolist() == [12.0]


def test_pre_hooks_replace_the_gradients_of_outputs():
    x = leaf(1.0)
    log = run(lambda a: a * 3, (x,), [None], [lambda grad_out: (grad_out[0] * 10,)])
    assert log == [[([1.0],)], [([30.0],), ([10.0],)]]
    assert x.grad.tolist() == [30.0]


def test_a_wrong_number_of_gradients_is_an_error():
    with pytest.raises(
        RuntimeError, match="number of grad_input, got 2, but expected 1"
    ):
        run(lambda a: a * 3, (leaf(1.0),), [lambda i, o: (i[0], i[0])])
    with pytest.raises(
        RuntimeError, match="number of grad_output, got 2, but expected"
    ):
        run(lambda a: a * 3, (leaf(1.0),), [], [lambda o: (o[0], None)])


def test_where_no_input_needs_a_gradient_hooks_fire_at_the_outputs():
    weight = leaf(2.0)
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        log = run(lambda a: a * weight, (torch.tensor([3.0]),), [None])
    assert log == [[(None,), ([1.0],)]]
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="None for all"):
        run(lambda a: a * weight, (torch.tensor([3.0]),), [lambda i, o: o])


def test_without_grad_mode_nothing_is_hooked():
    x = leaf(1.0)
    hook = BackwardHook("module", [lambda *_: None], [])
    with torch.no_grad():
        (same,) = hook.setup_input_hook((x,))
        out = hook.setup_output_hook(x * 2)
    assert same is x
    assert not out.requires_grad


def test_hooks_fire_on_every_backward():
    fired = []
    hook = BackwardHook("module", [lambda *grads: fired.append(1)], [])
    (a,) = hook.setup_input_hook((leaf(1.0),))
    out = hook.setup_output_hook(a * 2).sum()
    out.backward(retain_graph=True)
    out.backward()
    assert len(fired) == 2

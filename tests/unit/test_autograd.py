"""Autograd: leaves, accumulation, views and in-place writes, hooks, Function, modes."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import nullcontext
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.autograd import Function


def leaf(device: str, *values: float) -> torch.Tensor:
    return torch.tensor(values or (1.0, 2.0, 3.0), device=device, requires_grad=True)


def test_gradients_accumulate_in_leaves(device: str) -> None:
    x = leaf(device)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0] * 3


def test_two_leaves_never_share_a_gradient(device: str) -> None:
    a, b = leaf(device), leaf(device)
    (a + b).sum().backward()
    a.grad.add_(1)
    assert b.grad.tolist() == [1.0] * 3


def test_a_chain_of_a_hundred_thousand_nodes_is_no_recursion() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0


def test_graphs_are_freed_without_the_garbage_collector(device: str) -> None:
    gc.disable()
    try:
        x = leaf(device)
        y = (x.exp() * x).sum()
        node = weakref.ref(y.grad_fn.next_functions[0][0])
        inner = weakref.ref(y.grad_fn)
        assert node() is not None
        del y
        assert inner() is None and node() is None
    finally:
        gc.enable()


def test_a_second_backward_needs_the_graph_kept(device: str) -> None:
    x = leaf(device)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(
        RuntimeError, match="Trying to backward through the graph a second time"
    ):
        y.backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]


def test_grad_of_unused_inputs(device: str) -> None:
    x, z = leaf(device), leaf(device)
    y = (x * 2).sum()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(y, [x, z], retain_graph=True)
    assert (
        torch.autograd.grad(y, [x, z], retain_graph=True, allow_unused=True)[1] is None
    )
    zeros = torch.autograd.grad(y, [x, z], materialize_grads=True)[1]
    assert zeros.tolist() == [0.0] * 3


def test_backward_to_chosen_inputs_leaves_others_alone(device: str) -> None:
    x, z = leaf(device), leaf(device)
    y = x * z
    y.sum().backward(inputs=[x])
    assert z.grad is None and x.grad.tolist() == [1.0, 2.0, 3.0]


def test_grad_of_a_non_leaf(device: str) -> None:
    x = leaf(device)
    y = x * 2
    (gy,) = torch.autograd.grad((y * y).sum(), y)
    assert gy.tolist() == [4.0, 8.0, 12.0]


def test_batched_grads(device: str) -> None:
    x = leaf(device)
    y = x * x
    (rows,) = torch.autograd.grad(
        y, x, torch.eye(3, device=device), is_grads_batched=True
    )
    assert rows.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]


def test_double_backward(device: str) -> None:
    x = leaf(device)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert h.tolist() == [6.0, 12.0, 18.0]


def test_writing_to_a_view_changes_the_history_of_its_base(device: str) -> None:
    base = torch.zeros(4, device=device)
    left, right = base[:2], base[2:]
    p = leaf(device, 1.0, 2.0)
    left.add_(p * 3)
    assert base.grad_fn.name() == "CopySlices"
    assert base.requires_grad and left.requires_grad and right.requires_grad
    (base * torch.arange(4.0, device=device)).sum().backward()
    assert p.grad.tolist() == [0.0, 3.0]


def test_a_stale_view_takes_the_history_of_its_base(device: str) -> None:
    p = leaf(device, 2.0, 3.0)
    base = torch.ones(2, device=device) * 1
    view = base.view(2)
    base.mul_(p)
    view.sum().backward()
    assert p.grad.tolist() == [1.0, 1.0]


def test_a_saved_tensor_that_was_written_is_found_out(device: str) -> None:
    x = leaf(device)
    y = x.exp()
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(
        RuntimeError,
        match="modified by an inplace operation.*is at version 1; expected version 0",
    ):
        z.backward()


def test_a_sum_keeps_no_tensor_and_survives_writes(device: str) -> None:
    x = leaf(device)
    y = x * 1
    total = y.sum()
    y.mul_(5)
    total.backward()
    assert x.grad.tolist() == [1.0] * 3


def test_leaves_refuse_in_place_writes(device: str) -> None:
    x = leaf(device)
    with pytest.raises(
        RuntimeError,
        match="a leaf Variable that requires grad is being used in an in-place operation",
    ):
        x.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        x[0:2].add_(1)
    with torch.no_grad():
        x.add_(1)
    assert x._version == 1


def test_versions_are_shared_by_views_and_detached_tensors_not_by_data(
    device: str,
) -> None:
    x = torch.zeros(3, device=device)
    x[0:1].fill_(1)
    x.detach().add_(1)
    assert x._version == 2
    x.data.add_(1)
    assert x._version == 2
    assert x.tolist() == [3.0, 2.0, 2.0]


def test_hooks_replace_gradients_and_can_be_removed(device: str) -> None:
    x = leaf(device)
    y = x * 1
    first = y.register_hook(lambda g: g * 10)
    second = x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert x.grad.tolist() == [11.0] * 3
    first.remove()
    second.remove()
    x.grad = None
    (x * 1).sum().backward()
    assert x.grad.tolist() == [1.0] * 3


def test_node_hooks_and_prehooks(device: str) -> None:
    seen: list[str] = []
    x = leaf(device)
    y = x * 2
    y.grad_fn.register_prehook(lambda grads: seen.append("pre"))
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append("post"))
    y.sum().backward()
    assert seen == ["pre", "post"]


def test_retain_grad_and_post_accumulate_hooks(device: str) -> None:
    seen: list[Any] = []
    x = leaf(device)
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    y = x * 2
    y.retain_grad()
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0] * 3
    assert seen == [[6.0] * 3]


def test_grad_modes_nest_decorate_and_stay_in_their_thread(device: str) -> None:
    x = leaf(device)

    @torch.no_grad()
    def without() -> bool:
        with torch.enable_grad():
            inner = (x * 1).requires_grad
        return inner and not (x * 1).requires_grad

    assert without()
    found: list[bool] = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: found.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]
    torch.set_grad_enabled(False)
    assert not (x * 1).requires_grad
    torch.set_grad_enabled(True)


def test_inference_tensors(device: str) -> None:
    with torch.inference_mode():
        t = torch.ones(2, device=device) * 2
    assert t.is_inference()
    with pytest.raises(
        RuntimeError, match="Inference tensors do not track version counter"
    ):
        t._version
    with pytest.raises(
        RuntimeError, match="Inplace update to inference tensor outside InferenceMode"
    ):
        t.add_(1)


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


class Scale(Function):
    @staticmethod
    def forward(x: Any, factor: Any) -> Any:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        assert ctx.needs_input_grad == (True, False)
        return grad * ctx.factor, None


def test_custom_functions(device: str) -> None:
    x = leaf(device)
    y = Cube.apply(x)
    assert y.grad_fn.name() == "CubeBackward"
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 12.0, 27.0]
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [6.0, 12.0, 18.0]
    Scale.apply(x, 5.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3


def test_a_custom_function_with_too_few_gradients(device: str) -> None:
    class Bad(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad

    x = leaf(device)
    with pytest.raises(
        RuntimeError,
        match=r"returned an incorrect number of gradients \(expected 2, got 1\)",
    ):
        Bad.apply(x, x).sum().backward()


def test_mark_dirty(device: str) -> None:
    class Increment(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 7

    x = leaf(device)
    y = x * 1
    z = Increment.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad.tolist() == [7.0] * 3


def test_saved_tensor_hooks_pack_and_unpack(device: str) -> None:
    packed: list[Any] = []

    def pack(t: Any) -> Any:
        packed.append(t)
        return t.cpu().tolist()

    x = leaf(device)
    with torch.autograd.graph.saved_tensors_hooks(
        pack, lambda values: torch.tensor(values, device=device)
    ):
        y = (x.exp() * x).sum()
    y.backward()
    assert len(packed) >= 2
    import math

    assert x.grad.tolist() == pytest.approx(
        [math.exp(v) * (1 + v) for v in (1, 2, 3)], rel=1e-5
    )


def test_anomaly_detection_names_the_forward_line(device: str) -> None:
    x = torch.zeros(1, device=device, requires_grad=True)
    with pytest.warns(UserWarning) as seen, torch.autograd.detect_anomaly():
        y = (x.sqrt() * 0).sum()  # the marked line
        with pytest.raises(
            RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"
        ):
            y.backward()
    assert any("the marked line" in str(w.message) for w in seen)


def test_implicit_gradients_need_scalars(device: str) -> None:
    with pytest.raises(
        RuntimeError, match="grad can be implicitly created only for scalar outputs"
    ):
        (leaf(device) * 2).backward()
    with pytest.raises(
        RuntimeError, match="does not require grad and does not have a grad_fn"
    ):
        torch.ones(1, device=device).backward()


@pytest.mark.oracle
def test_the_graph_has_pytorchs_nodes() -> None:
    import torch as oracle

    def walk(node: Any) -> Any:
        return (
            node.name().removeprefix("torch::autograd::"),
            [walk(n) for n, _ in node.next_functions if n is not None],
        )

    def build(module: Any) -> Any:
        x = module.ones(2, 3, requires_grad=True)
        w = module.ones(4, 3, requires_grad=True)
        b = module.ones(4, requires_grad=True)
        y = module.nn.functional.linear(x, w, b).relu()
        z = module.cat([y[:, :2], y[:, 2:].t().exp().t()], 1)
        return (z.mean(0).sum() - x.sum().tanh()) * 2

    assert walk(build(torch).grad_fn) == walk(build(oracle).grad_fn)


def _twice(context):
    torch.manual_seed(0)
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, dtype=torch.float64, requires_grad=True)
    with context:
        y = (x.exp() * w).tanh()
        z = (y * y * w).sum()
    first = torch.autograd.grad(z, (x, w), create_graph=True)
    return first + torch.autograd.grad((first[0] * first[1]).sum(), (x, w))


def test_second_derivatives_go_through_packed_tensors():
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.detach().clone(), lambda t: t.clone()
    )
    for plain, packed in zip(_twice(nullcontext()), _twice(hooks), strict=True):
        assert torch.equal(plain, packed)


def test_hooks_of_a_leaf_see_the_sum_of_its_gradients_once():
    seen = []
    x = torch.ones(3, requires_grad=True)
    x.register_hook(lambda grad: seen.append(grad.tolist()))
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * x + x).sum().backward()
    assert seen == [[3.0] * 3, [3.0] * 3]
    seen.clear()
    torch.autograd.grad((x * x).sum(), x)
    assert seen == [[2.0] * 3]


def test_a_hooked_leaf_is_ready_before_older_nodes_run():
    order = []
    a = torch.ones(2, requires_grad=True)
    b = torch.ones(2, requires_grad=True)
    a.register_post_accumulate_grad_hook(lambda p: order.append("a"))
    b.register_post_accumulate_grad_hook(lambda p: order.append("b"))
    (a.exp() * b).sum().backward()
    assert order == ["b", "a"]


def test_a_first_gradient_has_its_leafs_strides_and_memory_of_its_own():
    x = torch.randn(3, 4, requires_grad=True)
    (x.t() * 2).sum().backward()
    assert x.grad.stride() == (4, 1)
    w = torch.randn(4, 3).t().requires_grad_()
    (w * 2).sum().backward()
    assert w.grad.stride() == w.stride()
    a, b = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    given = torch.ones(3)
    (a + b).backward(given)
    a.grad.add_(1)
    assert b.grad.tolist() == [1, 1, 1] and given.tolist() == [1, 1, 1]


def test_writing_to_a_saved_index_is_an_error(device: str) -> None:
    y = torch.ones(3, device=device, requires_grad=True) * 2
    index = torch.tensor([0, 1], device=device)
    picked = y[index]
    index[0] = 2
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
        picked.sum().backward()


@pytest.mark.parametrize("hooked", [False, True])
def test_a_square_has_twice_the_gradient_of_a_factor(hooked):
    x = torch.tensor([1.0, 2.0, -3.0], requires_grad=True)
    y = x * x
    seen = []
    if hooked:
        y.grad_fn.register_hook(lambda grads, _: seen.append(grads))
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert torch.equal(first, 2 * x)
    (second,) = torch.autograd.grad((first * first).sum(), x)
    assert torch.equal(second, 8 * x)
    if hooked:
        assert [[torch.equal(g, x) for g in grads] for grads in seen][0] == [True] * 2


def test_the_first_gradient_of_an_expanded_sum_has_memory_of_its_own():
    x = torch.ones(3, requires_grad=True)
    x.sum().backward()
    assert x.grad.stride() == (1,)
    x.grad[0] = 5.0
    assert x.grad.tolist() == [5.0, 1.0, 1.0]

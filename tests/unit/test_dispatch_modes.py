"""``__torch_dispatch__``: modes and subclasses below autograd."""

import copy

import pytest

import dispatchtorch as torch
from dispatchtorch.utils._python_dispatch import (
    BaseTorchDispatchMode,
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode,
    is_traceable_wrapper_subclass,
    return_and_correct_aliasing,
    transform_subclass,
)
from dispatchtorch.utils._pytree import tree_map

F = torch.nn.functional
aten = torch.ops.aten


class Log(TorchDispatchMode):
    def __init__(self):
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls.append(str(func))
        return func(*args, **(kwargs or {}))


class Wrapper(torch.Tensor):
    """A tensor without memory, around one that has it."""

    log: list = []

    @staticmethod
    def __new__(cls, elem, requires_grad=False):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            elem.size(),
            strides=elem.stride(),
            storage_offset=elem.storage_offset(),
            dtype=elem.dtype,
            device=elem.device,
            requires_grad=requires_grad,
        )
        made.elem = elem.detach() if requires_grad else elem
        return made

    def __repr__(self):
        return f"Wrapper({self.elem})"

    def __tensor_flatten__(self):
        return ["elem"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, outer_size, outer_stride):
        return Wrapper(inner["elem"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        cls.log.append(str(func))
        args, kwargs = tree_map(
            lambda v: v.elem if isinstance(v, cls) else v, (args, kwargs or {})
        )
        out = func(*args, **kwargs)
        return tree_map(lambda v: cls(v) if isinstance(v, torch.Tensor) else v, out)


@pytest.fixture
def wrapped():
    Wrapper.log.clear()
    return Wrapper(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


# Modes


def test_a_mode_sees_operators_by_pytorchs_names():
    x = torch.ones(2, 2)
    with Log() as log:
        x + 1, x @ x, F.relu(x), x.sum(1), x[0], torch.zeros(2), x.detach()
    assert log.calls == [
        "aten.add.Tensor",
        "aten.mm.default",
        "aten.relu.default",
        "aten.sum.dim_IntList",
        "aten.select.int",
        "aten.zeros.default",
        "aten.detach.default",
    ]


def test_a_mode_is_below_autograd():
    x = torch.ones(2, requires_grad=True)
    with Log() as log:
        (x * 2).sum().backward()
    assert log.calls[:2] == ["aten.mul.Tensor", "aten.sum.default"]
    assert len(log.calls) > 3  # the backward pass
    assert x.grad.tolist() == [2.0, 2.0]


def test_arguments_arrive_as_the_schema_has_them():
    seen = []

    class Arguments(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append((func, args[1:], kwargs))
            return func(*args, **(kwargs or {}))

    x = torch.ones(2, 2)
    with Arguments():
        x.sum(1)
        torch.add(x, x, alpha=2)
        x.view(4)
    assert seen[0] == (aten.sum.dim_IntList, ([1],), {})
    assert seen[1][0] is aten.add.Tensor and seen[1][2] == {"alpha": 2}
    assert seen[2] == (aten.view.default, ([4],), {})


def test_a_mode_may_change_results():
    class Hundred(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return out + 100 if func is aten.mul.Tensor else out

    x = torch.ones(2, requires_grad=True)
    with Hundred():
        y = x * 2
    assert y.tolist() == [102.0, 102.0]
    assert type(y.grad_fn).__name__ == "MulBackward0"
    assert (x * 2).tolist() == [2.0, 2.0]


def test_modes_nest():
    with Log() as outer, Log() as inner:
        assert _get_current_dispatch_mode() is inner
        torch.ones(2)
        with _disable_current_modes():
            torch.zeros(2)
    assert outer.calls == inner.calls == ["aten.ones.default"]
    assert _get_current_dispatch_mode() is None


def test_a_mode_that_answers_nothing():
    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return NotImplemented

    with pytest.raises(TypeError, match="__torch_dispatch__ handlers returned NotImpl"):
        with Nothing():
            torch.ones(2)


def test_a_mode_leaves_with_an_exception():
    with pytest.raises(ZeroDivisionError):
        with Log():
            1 / 0
    assert _get_current_dispatch_mode() is None
    assert torch.ones(1).item() == 1


def test_outside_modes_the_layer_isnt_bound():
    from dispatchtorch.dispatch.layer import layers_for

    with Log():
        pass
    x = torch.ones(2)
    assert "python" not in [layer.name for layer in layers_for(x._keys)]


def test_a_mode_in_training_changes_nothing():
    def run(mode):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 3),
            torch.nn.BatchNorm2d(2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(72, 3),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
        losses = []
        for _ in range(3):
            with mode():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            losses.append(loss.item())
        return losses

    import contextlib

    assert run(BaseTorchDispatchMode) == run(contextlib.nullcontext)


# Subclasses


def test_operations_on_a_wrapper(wrapped):
    y = (wrapped + 1).sum()
    assert type(y) is Wrapper and y.elem.item() == 14
    assert Wrapper.log == ["aten.add.Tensor", "aten.sum.default"]
    assert type(wrapped + torch.ones(2)) is Wrapper
    assert type(torch.cat([torch.ones(1, 2), wrapped])) is Wrapper


def test_what_a_wrapper_says_of_itself(wrapped):
    t = wrapped.t()
    assert (t.shape, t.stride(), t.dtype) == ((2, 2), (1, 2), torch.float32)
    assert t.device.type == "cpu" and not t.is_contiguous()


def test_a_wrapper_may_claim_a_device():
    class Far(torch.Tensor):
        @staticmethod
        def __new__(cls):
            return torch.Tensor._make_wrapper_subclass(cls, (2,), device="loopback")

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    x = Far()
    assert x.device.type == "loopback"
    with pytest.raises(TypeError, match="tensor subclass"):
        torch.exp(x)
    with pytest.raises(TypeError, match="must define __torch_dispatch__"):
        torch.Tensor._make_wrapper_subclass(torch.nn.Parameter, (2,))


def test_the_gradient_of_a_wrapper_is_a_wrapper():
    x = Wrapper(torch.tensor([1.0, 2.0]), requires_grad=True)
    (x * x).exp().sum().backward()
    assert type(x.grad) is Wrapper
    expected = 2 * x.elem * (x.elem * x.elem).exp()
    assert torch.allclose(x.grad.elem, expected)


def test_writing_in_place(wrapped):
    same = wrapped.add_(1)
    assert same is wrapped and wrapped._version == 1
    assert wrapped.elem.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    wrapped[0] = 0.0
    assert wrapped.elem.tolist() == [[0.0, 0.0], [4.0, 5.0]]


def test_values_are_asked_for(wrapped):
    assert wrapped.sum().item() == 10
    assert "aten._local_scalar_dense.default" in Wrapper.log
    assert bool((wrapped > 0).all())
    with pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        wrapped.numpy()
    with pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        wrapped.tolist()


def test_a_copy_has_its_own_memory(wrapped):
    made = copy.deepcopy(wrapped)
    assert type(made) is Wrapper
    made.add_(1)
    assert wrapped.elem[0, 0].item() == 1


def test_a_parameter_may_be_a_wrapper():
    layer = torch.nn.Linear(2, 2)
    layer.weight = torch.nn.Parameter(Wrapper(layer.weight.detach()))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    before = layer.weight.elem.clone()
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert type(layer.weight.grad) is Wrapper
    assert torch.allclose(before - layer.weight.elem, torch.full((2, 2), 0.29))


def test_slots_hold_the_inner_tensor():
    class Slotted(torch.Tensor):
        __slots__ = ["elem"]

        @staticmethod
        def __new__(cls, elem):
            made = torch.Tensor._make_wrapper_subclass(cls, elem.size())
            made.elem = elem
            return made

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            inner = [a.elem if isinstance(a, cls) else a for a in args]
            return cls(func(*inner, **(kwargs or {})))

    x = Slotted(torch.ones(2)).requires_grad_()
    y = x.exp().sum()
    assert y.elem.item() == pytest.approx(2 * 2.718281828)
    y.backward()
    assert type(x.grad) is Slotted


def test_a_subclass_with_memory():
    class Counting(torch.Tensor):
        calls = 0

        @staticmethod
        def __new__(cls, data):
            return torch.Tensor._make_subclass(cls, data)

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            cls.calls += 1
            with torch._C._DisableTorchDispatch():
                return func(*args, **(kwargs or {}))

    x = Counting(torch.ones(2))
    y = x + 1
    assert Counting.calls == 1
    assert y.as_subclass(torch.Tensor).tolist() == [2.0, 2.0]


def test_a_mode_comes_before_subclasses(wrapped):
    with Log() as log:
        wrapped * 2
    assert log.calls == ["aten.mul.Tensor"] == Wrapper.log


def test_taking_wrappers_apart(wrapped):
    assert is_traceable_wrapper_subclass(wrapped)
    assert not is_traceable_wrapper_subclass(torch.ones(1))
    made = transform_subclass(wrapped, lambda name, t: t * 2)
    assert made.elem.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_results_that_are_arguments(wrapped):
    out = return_and_correct_aliasing(
        aten.add_.Tensor, (wrapped, 1), {}, Wrapper(torch.ones(2, 2))
    )
    assert out is wrapped
    fresh = Wrapper(torch.ones(2, 2))
    assert (
        return_and_correct_aliasing(aten.add.Tensor, (wrapped, 1), {}, fresh) is fresh
    )


# FLOP counting


def count(run, **options):
    from dispatchtorch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False, **options) as counter:
        run()
    return counter


def test_operations_of_a_product():
    a, b = torch.ones(3, 4), torch.ones(4, 5, requires_grad=True)
    assert count(lambda: a @ b).get_total_flops() == 2 * 3 * 4 * 5
    assert count(lambda: (a @ b).sum().backward()).get_total_flops() == 2 * 2 * 60


def test_operations_by_module():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    counter = count(lambda: model(torch.ones(5, 3)).sum().backward())
    counts = counter.get_flop_counts()
    assert counts["Sequential.0"] == {aten.addmm: 120, aten.mm: 120}
    assert counts["Sequential.1"] == {aten.addmm: 80, aten.mm: 160}
    assert counter.get_total_flops() == 480
    assert "Sequential.1" in counter.get_table(depth=2)
    assert "Sequential.1" not in counter.get_table(depth=1)


def test_formulas_of_ones_own():
    counter = count(
        lambda: torch.ones(3).sin(),
        custom_mapping={aten.sin: lambda x, out_shape: 10 * out_shape[0]},
    )
    assert counter.get_total_flops() == 30
    from dispatchtorch.utils.flop_counter import register_flop_formula

    with pytest.raises(ValueError, match="OpOverloadPacket"):
        register_flop_formula("sin")(lambda: 0)
    with pytest.raises(RuntimeError, match="duplicate"):
        register_flop_formula(aten.mm)(lambda: 0)

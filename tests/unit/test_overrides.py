"""``__torch_function__``, function modes and default devices."""

from __future__ import annotations

import pytest

import dispatchtorch as torch
from dispatchtorch import overrides
from dispatchtorch.overrides import TorchFunctionMode

F = torch.nn.functional


class Sub(torch.Tensor):
    """Notes the functions that it is asked about."""

    log: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.log.append(overrides.resolve_name(func))
        return super().__torch_function__(func, types, args, kwargs or {})


class Plain(torch.Tensor):
    """Overrides nothing."""


class Scalar:
    """Not a tensor at all: a value that some functions know."""

    handled: dict = {}

    def __init__(self, value):
        self.value = value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func not in cls.handled or not all(issubclass(t, cls) for t in types):
            return NotImplemented
        return cls.handled[func](*args, **(kwargs or {}))


class Log(TorchFunctionMode):
    def __init__(self):
        self.calls = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls.append(overrides.resolve_name(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def sub():
    made = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).as_subclass(Sub)
    Sub.log.clear()
    return made


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + 1,
        lambda x: 1 - x,
        lambda x: x @ x,
        lambda x: x.sum(),
        lambda x: x[0],
        lambda x: x.T,
        lambda x: x.detach(),
        lambda x: x.to(torch.float64),
        lambda x: torch.cat([x, torch.ones(2, 2)]),
        lambda x: F.relu(x),
        lambda x: F.mse_loss(x, x),
        lambda x: x.split(1)[0],
        lambda x: x.max(0).values,
    ],
)
def test_results_are_of_the_subclass(sub, call):
    assert type(call(sub)) is Sub
    assert type(call(sub.as_subclass(Plain))) is Plain


def test_properties_are_asked_about(sub):
    assert (sub.shape, sub.dtype, sub.ndim, len(sub)) == ((2, 2), torch.float32, 2, 2)
    assert Sub.log == [
        "torch.Tensor.shape.__get__",
        "torch.Tensor.dtype.__get__",
        "torch.Tensor.ndim.__get__",
        "torch.Tensor.__len__",
    ]


def test_setting_a_property_is_asked_about(sub):
    sub.requires_grad = True
    sub.grad = None
    assert Sub.log == [
        "torch.Tensor.requires_grad.__set__",
        "torch.Tensor.grad.__set__",
    ]


def test_functions_written_in_python_are_asked_about_once(sub):
    F.cross_entropy(sub, torch.tensor([0, 1]))
    torch.einsum("ij->ji", sub)
    assert Sub.log == ["torch.nn.functional.cross_entropy", "torch.functional.einsum"]


def test_a_class_may_replace_what_it_inherits():
    class Named(Sub):
        @property
        def shape(self):
            return "named"

        def size(self):
            return "sized"

    x = torch.ones(2).as_subclass(Named)
    assert (x.shape, x.size(), x.ndim) == ("named", "sized", 1)


def test_plain_tensors_keep_their_own_attributes():
    torch.ones(2).as_subclass(Sub)
    assert isinstance(vars(torch.Tensor)["shape"], property)
    with Log():
        assert isinstance(torch.Tensor.shape, property)
    assert isinstance(vars(torch.Tensor)["shape"], property)


def test_objects_that_arent_tensors_answer_functions():
    Scalar.handled = {
        torch.mean: lambda x: ("mean", x.value),
        torch.Tensor.add: lambda x, y: "added",
        F.cross_entropy: lambda x, y: "entropy",
        torch.cat: lambda xs, dim=0: len(xs),
    }
    s = Scalar(3)
    assert torch.mean(s) == ("mean", 3)
    assert F.cross_entropy(s, s) == "entropy"
    assert torch.cat([s, s, s]) == 3
    with pytest.raises(TypeError, match="Multiple dispatch failed for 'torch.sum'"):
        torch.sum(s)
    with pytest.raises(TypeError, match="no implementation found for"):
        F.mse_loss(s, s)


def test_operators_fall_back_to_pythons_own_protocol():
    class Right:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

        def __radd__(self, other):
            return "right"

    assert torch.ones(1) + Right() == "right"
    with pytest.raises(TypeError, match="unsupported operand"):
        torch.ones(1) - Right()


def test_unrelated_subclasses_dont_mix(sub):
    with pytest.raises(TypeError, match="unsupported operand"):
        sub + torch.ones(2, 2).as_subclass(Plain)


def test_the_most_derived_class_is_asked_first():
    class Derived(Sub):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "derived"

    a, b = torch.ones(1).as_subclass(Sub), torch.ones(1).as_subclass(Derived)
    assert torch.add(a, b) == "derived"


def test_a_mode_sees_functions_methods_attributes_and_factories():
    x = torch.ones(2)
    with Log() as log:
        x.shape, x.sum(), torch.zeros(2), torch.tensor([1.0]), F.relu(x), x[0]
    assert log.calls == [
        "torch.Tensor.shape.__get__",
        "torch.Tensor.sum",
        "torch.zeros",
        "torch.tensor",
        "torch.nn.functional.relu",
        "torch.Tensor.__getitem__",
    ]
    x.shape
    assert len(log.calls) == 6


def test_modes_nest_and_the_inner_one_is_first():
    order = []

    class Mode(TorchFunctionMode):
        def __init__(self, name):
            self.name = name

        def __torch_function__(self, func, types, args=(), kwargs=None):
            order.append(self.name)
            return func(*args, **(kwargs or {}))

    x = torch.ones(2)
    with Mode("outer"), Mode("inner"):
        x + 1
        x.shape
    assert order == ["inner", "outer"] * 2


def test_a_mode_then_a_subclass(sub):
    with Log() as log:
        sub.shape
    assert log.calls == Sub.log == ["torch.Tensor.shape.__get__"]


def test_a_mode_may_change_results():
    class Meta(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            if func is torch.ones:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    with Meta():
        assert torch.ones(2).is_meta
        assert not torch.zeros(2).is_meta


def test_a_mode_of_another_thread_isnt_seen():
    import threading

    x, seen = torch.ones(2), []
    with Log() as log:
        thread = threading.Thread(target=lambda: seen.append(x.shape))
        thread.start()
        thread.join()
    assert log.calls == [] and seen == [(2,)]


def test_disabling(sub):
    with torch._C.DisableTorchFunctionSubclass():
        assert type(sub + 1) is torch.Tensor
        with Log() as log:
            torch.zeros(1)
    assert Sub.log == [] and log.calls == ["torch.zeros"]
    with torch._C.DisableTorchFunction(), Log() as log:
        torch.zeros(1)
    assert log.calls == []


def test_when_a_mode_answers_nothing():
    class Nothing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return NotImplemented

    with pytest.raises(TypeError, match="mode object"):
        with Nothing():
            torch.ones(2)


def test_predicates(sub):
    s = Scalar(1)
    assert overrides.has_torch_function((s,)) and overrides.has_torch_function((sub,))
    assert not overrides.has_torch_function((torch.ones(1), 3))
    assert overrides.has_torch_function_unary(s)
    assert overrides.has_torch_function_variadic(1, s)
    assert [overrides.is_tensor_like(v) for v in (s, sub, torch.ones(1), 3)] == [
        True,
        True,
        True,
        False,
    ]


def test_introspection():
    functions = overrides.get_overridable_functions()
    assert torch.add in functions[torch]
    assert torch.Tensor.add in functions[torch.Tensor]
    assert F.cross_entropy in functions[F]
    testing = overrides.get_testing_overrides()
    assert testing[torch.add](1, 2) == -1
    assert torch.tensor in overrides.get_ignored_functions()
    assert overrides.is_tensor_method_or_property(torch.Tensor.shape.__get__)
    assert not overrides.is_tensor_method_or_property(torch.add)
    assert overrides.resolve_name(print) is None


def test_every_public_operator_is_overridable(sub):
    """A subclass sees each function of the namespace that is given it as an argument."""
    from dispatchtorch.dispatch.operator import packets

    for name in ("exp", "matmul", "softmax", "gather", "conv2d", "layer_norm"):
        assert "function" in packets[name].variants or "nn" in packets[name].variants

    class Every(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "seen"

    x = torch.ones(2, 2).as_subclass(Every)
    for name, packet in packets.items():
        first = packet.overloads[0].schema.arguments
        required = [a for a in first if not a.has_default]
        if "function" not in packet.variants or [a.base for a in required] != [
            "Tensor"
        ]:
            continue
        if required[0].is_list or required[0].name in ("dim", "dims"):
            continue
        assert getattr(torch, name)(x) == "seen", name


def test_wrapping_a_function_of_ones_own():
    @overrides.wrap_torch_function(lambda a, b: (a, b))
    def mine(a, b):
        return "plain"

    class Answers:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "answered" if func is mine else NotImplemented

    assert mine(1, 2) == "plain"
    assert mine(1, Answers()) == "answered"


def test_parameters_dont_override():
    p = torch.nn.Parameter(torch.ones(2))
    assert type(p + 1) is torch.Tensor
    assert not overrides.has_torch_function((p,))


# Default devices


def test_a_device_as_a_block():
    with torch.device("meta"):
        assert torch.ones(2).is_meta and torch.tensor([1.0]).is_meta
        assert torch.nn.Linear(2, 2).weight.is_meta
        assert not torch.ones(2, device="cpu").is_meta
        assert torch.get_default_device().type == "meta"
        mode = overrides._get_current_function_mode()
        assert type(mode).__name__ == "DeviceContext"
    assert not torch.ones(2).is_meta


def test_a_default_device():
    torch.set_default_device("meta")
    try:
        assert torch.arange(2).is_meta
        with torch.device("cpu"):
            assert not torch.arange(2).is_meta
    finally:
        torch.set_default_device(None)
    assert not torch.arange(2).is_meta


def test_the_mode_behind_devices():
    from dispatchtorch.utils._device import DeviceContext, set_device

    with DeviceContext("meta"):
        assert torch.zeros(2).is_meta

    @set_device("meta")
    def make():
        return torch.zeros(2)

    assert make().is_meta

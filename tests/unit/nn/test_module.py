"""What ``Module`` and its containers promise, on every device."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.nn.modules import module as module_file


class Net(nn.Module):
    """A module with everything: parameters, buffers, submodules, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 3, bias=False)
        self.tied = self.first.weight
        self.register_buffer("kept", torch.zeros(2))
        self.register_buffer("lost", torch.ones(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.last(self.norm(self.first(x)))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def equal(a: Any, b: Any) -> bool:
    return bool((a == b).all())


def full(device: str) -> torch.device:
    """The device with its index, as tensors name it."""
    return torch.empty(0, device=device).device


# Registration.


def test_parameters_and_modules_register_when_assigned(net: Net) -> None:
    names = [name for name, _ in net.named_parameters()]
    assert names == [
        "tied",
        "first.bias",
        "norm.weight",
        "norm.bias",
        "last.weight",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "norm", "last"]


def test_attributes_are_found_in_no_instance_dict(net: Net) -> None:
    assert "first" not in net.__dict__
    assert net.first is net._modules["first"]
    assert net.kept is net._buffers["kept"]


def test_assigning_another_kind_replaces_the_registration() -> None:
    m = nn.Module()
    m.x = torch.ones(1)
    assert "x" in m.__dict__
    m.x = nn.Parameter(torch.ones(1))
    assert "x" not in m.__dict__ and "x" in m._parameters
    del m.x
    m.x = nn.ReLU()
    assert list(m._modules) == ["x"] and not m._parameters


def test_a_plain_tensor_cannot_replace_a_parameter() -> None:
    m = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="cannot assign .* as parameter 'weight'"):
        m.weight = torch.ones(1, 1)
    m.weight = None
    assert m.state_dict().keys() == {"bias"}


def test_before_init_nothing_can_be_registered() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Forgetful()


@pytest.mark.parametrize("name", ["", "a.b", "forward", 3])
def test_bad_names_are_refused(name: Any) -> None:
    m = nn.Module()
    for register in (m.register_parameter, m.register_buffer, m.add_module):
        with pytest.raises((KeyError, TypeError)):
            register(name, None)


def test_buffer_object_says_whether_it_persists() -> None:
    m = nn.Module()
    m.a = nn.Buffer(torch.ones(1))
    m.b = nn.Buffer(torch.ones(1), persistent=False)
    assert [n for n, _ in m.named_buffers()] == ["a", "b"]
    assert list(m.state_dict()) == ["a"]


def test_registration_hooks_may_replace_the_value() -> None:
    handles = [
        module_file.register_module_parameter_registration_hook(
            lambda m, name, p: nn.Parameter(p.detach() + 1)
        ),
        module_file.register_module_buffer_registration_hook(
            lambda m, name, b: b + 2 if b is not None else None
        ),
        module_file.register_module_module_registration_hook(
            lambda m, name, child: nn.Identity()
        ),
    ]
    m = nn.Module()
    m.p = nn.Parameter(torch.zeros(1))
    m.register_buffer("b", torch.zeros(1))
    m.child = nn.ReLU()
    for handle in handles:
        handle.remove()
    assert m.p.item() == 1 and m.b.item() == 2
    assert isinstance(m.child, nn.Identity)


# Walking.


def test_tied_parameters_are_listed_once_unless_asked(net: Net) -> None:
    every = [n for n, _ in net.named_parameters(remove_duplicate=False)]
    assert "first.weight" in every and "tied" in every
    assert len(list(net.parameters())) == len(every) - 1


def test_prefix_and_recurse_of_named_members(net: Net) -> None:
    assert [n for n, _ in net.named_parameters("p", recurse=False)] == ["p.tied"]
    assert [n for n, _ in net.named_buffers(recurse=False)] == ["kept", "lost"]


def test_submodules_by_path(net: Net) -> None:
    outer = nn.Sequential(net)
    assert outer.get_submodule("0.first") is net.first
    assert outer.get_parameter("0.last.weight") is net.last.weight
    assert outer.get_buffer("0.norm.running_mean") is net.norm.running_mean
    outer.set_submodule("0.norm", nn.Identity())
    assert isinstance(net.norm, nn.Identity)
    with pytest.raises(AttributeError, match="has no attribute `nowhere`"):
        outer.get_submodule("0.nowhere")


def test_apply_goes_deepest_first(net: Net) -> None:
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "Linear", "Net"]


# Calling.


def test_hooks_run_in_order_around_forward() -> None:
    m, seen = nn.Identity(), []
    m.register_forward_pre_hook(lambda m, args: seen.append("pre 1"))
    m.register_forward_pre_hook(lambda m, args: seen.append("pre 0"), prepend=True)
    m.register_forward_hook(lambda m, args, out: seen.append("post 1"))
    m.register_forward_hook(lambda m, args, out: seen.append("post 0"), prepend=True)
    m(torch.ones(1))
    assert seen == ["pre 0", "pre 1", "post 0", "post 1"]


def test_hooks_may_change_arguments_and_output(device: str) -> None:
    m = nn.Identity()
    pre = m.register_forward_pre_hook(lambda m, args: args[0] + 1)
    post = m.register_forward_hook(lambda m, args, out: out * 10)
    x = torch.ones(1).to(device)
    assert m(x).item() == 20
    pre.remove()
    assert m(x).item() == 10
    post.remove()
    assert m(x) is x


def test_hooks_with_kwargs_see_and_change_them() -> None:
    class Scale(nn.Module):
        def forward(self, x: Any, *, by: float = 1) -> Any:
            return x * by

    m, seen = Scale(), []
    m.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True
    )
    m.register_forward_hook(
        lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True
    )
    assert m(torch.ones(1), by=2).item() == 3
    assert seen == [{"by": 3}]


def test_always_called_hooks_run_when_forward_raises() -> None:
    class Broken(nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("broken")

    m, seen = Broken(), []
    m.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    m.register_forward_hook(lambda m, args, out: seen.append("not this one"))
    with pytest.raises(ValueError, match="broken"):
        m(torch.ones(1))
    assert seen == [None]


def test_global_hooks_see_every_module(net: Net) -> None:
    seen: list[str] = []
    handle = module_file.register_module_forward_hook(
        lambda m, args, out: seen.append(type(m).__name__)
    )
    net(torch.ones(2, 3))
    handle.remove()
    net(torch.ones(2, 3))
    assert seen == ["Linear", "BatchNorm1d", "Linear", "Net"]


def test_full_backward_hooks_see_and_change_gradients(device: str) -> None:
    m = nn.Linear(2, 1, bias=False).to(device)
    seen: list[Any] = []
    m.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 2,))
    m.register_full_backward_hook(lambda m, gin, gout: seen.append((gin, gout)))
    m.register_full_backward_hook(lambda m, gin, gout: (gin[0] * 0 + 7,))
    x = torch.ones(3, 2).to(device).requires_grad_()
    m(x).sum().backward()
    (gin,), (gout,) = seen[0]
    assert equal(gout, torch.full((3, 1), 2.0).to(device))
    assert torch.allclose(gin, 2 * m.weight.detach().expand(3, 2))
    assert equal(x.grad, torch.full((3, 2), 7.0).to(device))
    assert equal(m.weight.grad, torch.full((1, 2), 6.0).to(device))


def test_a_backward_hook_may_return_the_bare_gradient() -> None:
    m = nn.Identity()
    m.register_full_backward_hook(lambda m, gin, gout: gin[0] * 5)
    x = torch.ones(2, requires_grad=True)
    m(x).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_backward_hooks_take_part_in_double_backward() -> None:
    m = nn.Tanh()
    m.register_full_backward_hook(lambda m, gin, gout: (gin[0] * 3,))
    x = torch.tensor([0.3], requires_grad=True)
    (first,) = torch.autograd.grad(m(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    t = torch.tanh(x.detach())
    assert torch.allclose(second, 3 * -2 * t * (1 - t * t))


def test_full_and_old_backward_hooks_do_not_mix() -> None:
    m = nn.Identity()
    m.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match="Cannot use both"):
        m.register_backward_hook(lambda *a: None)


def test_compile_says_it_is_not_supported() -> None:
    with pytest.raises(NotImplementedError, match="compile"):
        nn.Identity().compile()


# State.


def test_state_dict_leaves_out_what_does_not_persist(net: Net) -> None:
    state = net.state_dict()
    assert isinstance(state, OrderedDict)
    assert "kept" in state and "lost" not in state
    assert state._metadata["norm"] == {"version": 2}
    assert not state["first.weight"].requires_grad
    assert net.state_dict(keep_vars=True)["tied"] is net.tied


def test_state_goes_from_one_module_to_another(net: Net, device: str) -> None:
    other = Net().to(device)
    assert repr(other.load_state_dict(net.state_dict())) == (
        "<All keys matched successfully>"
    )
    for name, value in other.state_dict().items():
        assert value.device == full(device)
        assert equal(value, net.state_dict()[name].to(device))


def test_strict_loading_lists_everything_that_does_not_fit() -> None:
    m = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(RuntimeError) as caught:
        m.load_state_dict({"0.weight": torch.ones(3, 2), "odd": torch.ones(1)})
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "0.bias". ' in text
    assert 'Unexpected key(s) in state_dict: "odd". ' in text
    assert "size mismatch for 0.weight: copying a param with shape" in text


def test_loose_loading_returns_what_does_not_fit() -> None:
    m = nn.Linear(2, 2)
    result = m.load_state_dict({"bias": torch.zeros(2), "odd": 1}, strict=False)
    assert result.missing_keys == ["weight"]
    assert result.unexpected_keys == ["odd"]


def test_loading_copies_unless_told_to_assign() -> None:
    m = nn.Linear(1, 1, bias=False)
    before, given = m.weight, torch.ones(1, 1, dtype=torch.float64)
    m.load_state_dict({"weight": given})
    assert m.weight is before and m.weight.dtype == torch.float32
    m.weight.requires_grad_(False)
    m.load_state_dict({"weight": given}, assign=True)
    assert m.weight.dtype == torch.float64
    assert isinstance(m.weight, nn.Parameter) and not m.weight.requires_grad
    given.fill_(5)
    assert m.weight.item() == 5


def test_extra_state_is_saved_and_given_back() -> None:
    class Counting(nn.Module):
        count = 0

        def get_extra_state(self) -> int:
            return self.count

        def set_extra_state(self, state: int) -> None:
            self.count = state

    a, b = nn.Sequential(Counting()), nn.Sequential(Counting())
    a[0].count = 5
    assert a.state_dict() == {"0._extra_state": 5}
    b.load_state_dict(a.state_dict())
    assert b[0].count == 5


def test_state_dict_hooks(net: Net) -> None:
    seen: list[str] = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append("save"))
    net.register_state_dict_post_hook(lambda m, sd, prefix, meta: sd.pop("kept"))
    with pytest.raises(RuntimeError, match="must return None"):
        net.state_dict()
    net._state_dict_hooks.clear()
    net.register_load_state_dict_pre_hook(lambda m, *rest: seen.append("load"))
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    net.load_state_dict({})
    assert seen == ["save", "load"]


def test_deep_copies_share_nothing_and_keep_ties(net: Net) -> None:
    copied = copy.deepcopy(net)
    assert copied.tied is copied.first.weight
    assert copied.tied is not net.tied
    assert equal(copied.tied, net.tied)


def test_pickled_modules_come_back(net: Net) -> None:
    back = pickle.loads(pickle.dumps(nn.Sequential(net.first, nn.ReLU())))
    assert repr(back) == repr(nn.Sequential(net.first, nn.ReLU()))
    assert isinstance(back[0].weight, nn.Parameter)
    assert equal(back[0].weight, net.first.weight)


# Conversion and modes.


def test_conversion_keeps_parameters_the_same_objects(net: Net, device: str) -> None:
    before = list(net.parameters())
    net(torch.ones(2, 3)).sum().backward()
    grad = net.last.weight.grad
    net.to(device).double()
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert net.last.weight.grad is grad and grad.dtype == torch.float64
    assert net.norm.num_batches_tracked.dtype == torch.int64
    assert {t.device for t in net.state_dict().values()} == {full(device)}
    net(torch.ones(2, 3, dtype=torch.float64).to(device))


def test_to_takes_device_dtype_or_tensor() -> None:
    m = nn.Linear(1, 1)
    assert m.to(torch.float64).weight.dtype == torch.float64
    assert m.to("cpu", torch.float32).weight.dtype == torch.float32
    assert m.to(torch.ones(1, dtype=torch.float64)).weight.dtype == torch.float64
    with pytest.raises(TypeError, match="only accepts floating point or complex"):
        m.to(torch.int32)
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        m.to(1.5)


def test_to_empty_brings_modules_off_meta(device: str) -> None:
    m = nn.Linear(2, 3, device="meta")
    assert m.weight.is_meta
    with pytest.raises(NotImplementedError, match="to_empty"):
        m.to(device)
    m.to_empty(device=device)
    assert m.weight.device == full(device)
    assert isinstance(m.weight, nn.Parameter) and m.weight.shape == (3, 2)


def test_modes_reach_all_submodules(net: Net) -> None:
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad_drops_or_zeroes(net: Net) -> None:
    net(torch.ones(2, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(equal(p.grad, torch.zeros_like(p)) for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


# Containers.


def test_sequential_slices_keep_names_and_class() -> None:
    m = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh(), c=nn.SELU()))
    assert list(m[1:]._modules) == ["b", "c"]
    assert isinstance(m[-1], nn.SELU) and m.b is m[1]
    with pytest.raises(IndexError, match="index 3 is out of range"):
        m[3]


def test_module_list_prints_equal_neighbours_once() -> None:
    m = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)] + [nn.ReLU()])
    assert repr(m) == (
        "ModuleList(\n"
        "  (0-2): 3 x Linear(in_features=1, out_features=1, bias=True)\n"
        "  (3): ReLU()\n"
        ")"
    )


def test_lists_insert_as_python_lists_do() -> None:
    m = nn.ModuleList([nn.ReLU()])
    m.insert(-1, nn.Tanh())
    m.insert(9, nn.SELU())
    assert [type(x).__name__ for x in m] == ["Tanh", "ReLU", "SELU"]
    assert list(m._modules) == ["0", "1", "2"]


def test_parameter_containers_make_parameters() -> None:
    m = nn.Module()
    m.list = nn.ParameterList([torch.ones(1), 3])
    m.dict = nn.ParameterDict({"a": torch.ones(1)})
    assert [n for n, _ in m.named_parameters()] == ["list.0", "dict.a"]
    assert m.list[1] == 3 and m.dict["a"].requires_grad
    with pytest.raises(RuntimeError, match="should not be called"):
        m.list()


# Lazy modules.


def test_lazy_modules_become_what_they_stand_for(device: str) -> None:
    net = nn.Sequential(
        nn.LazyConv2d(3, 3, padding=1),
        nn.LazyBatchNorm2d(),
        nn.Flatten(),
        nn.LazyLinear(2),
    ).to(device)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        net[0].weight + 1
    out = net(torch.ones(2, 1, 4, 4).to(device))
    assert out.shape == (2, 2) and out.device == full(device)
    assert [type(m).__name__ for m in net] == [
        "Conv2d",
        "BatchNorm2d",
        "Flatten",
        "Linear",
    ]
    assert net[3].in_features == 48


def test_lazy_modules_take_shapes_from_a_state_dict() -> None:
    lazy = nn.LazyLinear(3)
    lazy.load_state_dict(nn.Linear(4, 3).state_dict())
    assert lazy.weight.shape == (3, 4)
    lazy(torch.ones(1, 4))
    assert type(lazy) is nn.Linear and lazy.in_features == 4


def test_lazy_modules_can_be_copied_before_use() -> None:
    lazy = nn.LazyBatchNorm1d()
    copied = copy.deepcopy(lazy)
    copied(torch.ones(2, 3))
    assert type(copied) is nn.BatchNorm1d and type(lazy) is nn.LazyBatchNorm1d


# Parameters.


def test_parameter_shares_memory_and_is_a_leaf() -> None:
    data = torch.ones(2)
    p = nn.Parameter(data)
    data[0] = 5
    assert p[0].item() == 5 and p.is_leaf and p.requires_grad
    assert type(p + 1) is torch.Tensor
    assert not isinstance(data, nn.Parameter)


def test_tensor_subclasses_stay_themselves_as_parameters() -> None:
    class Special(torch.Tensor):
        pass

    p = nn.Parameter(torch.ones(2).as_subclass(Special))
    assert type(p) is Special and isinstance(p, nn.Parameter)
    m = nn.Module()
    m.p = p
    assert list(m.parameters())[0] is p


# Odds and ends.


def test_prefixes_of_wrapped_modules_can_be_stripped() -> None:
    from dispatchtorch.nn.modules.utils import consume_prefix_in_state_dict_if_present

    wrapper = nn.Module()
    wrapper.module = nn.Linear(1, 1)
    state = wrapper.state_dict()
    consume_prefix_in_state_dict_if_present(state, "module.")
    nn.Linear(1, 1).load_state_dict(state)
    assert "module" not in state._metadata


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_convolution_gradients_as_functions(nd: int) -> None:
    from dispatchtorch.nn import functional as F
    from dispatchtorch.nn import grad

    x = torch.randn(2, 4, *[6] * nd, requires_grad=True)
    w = torch.randn(6, 2, *[3] * nd, requires_grad=True)
    options = {"stride": 2, "padding": 1, "groups": 2}
    out = getattr(F, f"conv{nd}d")(x, w, **options)
    g = torch.randn(out.shape)
    of_input, of_weight = torch.autograd.grad(out, (x, w), g)
    by_input = getattr(grad, f"conv{nd}d_input")
    by_weight = getattr(grad, f"conv{nd}d_weight")
    assert torch.allclose(by_input(x.shape, w, g, **options), of_input, atol=1e-5)
    assert torch.allclose(by_weight(x, w.shape, g, **options), of_weight, atol=1e-5)


def test_data_parallel_splits_the_batch_and_gathers_gradients(device: str) -> None:
    from dispatchtorch.nn.parallel import data_parallel

    net = nn.Linear(3, 2).to(device)
    x = torch.randn(5, 3).to(device)
    split = data_parallel(net, x, [device, device])
    assert torch.allclose(split, net(x))
    split.sum().backward()
    of_split = net.weight.grad.clone()
    net.zero_grad()
    net(x).sum().backward()
    assert torch.allclose(of_split, net.weight.grad, atol=1e-6)


def test_sync_batch_norm_takes_over_parameters() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(synced[0], nn.SyncBatchNorm)
    synced(torch.randn(4, 3))


def test_every_public_name_is_there() -> None:
    for name in nn.__all__:
        if name != "attention":  # another package
            assert getattr(nn, name) is not None

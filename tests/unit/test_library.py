"""torch.library and torch.ops: PyTorch's interface to the dispatcher."""

from __future__ import annotations

import itertools
import warnings

import pytest

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.library import Library, custom_op

_numbers = itertools.count()


@pytest.fixture
def ns():
    """A namespace that no other test uses."""
    return f"testlib{next(_numbers)}"


@pytest.fixture
def lib(ns):
    made = Library(ns, "DEF")
    yield made
    made._destroy()


def ops_of(lib):
    return getattr(torch.ops, lib.ns)


# torch.ops


def test_an_overload_is_called_by_its_path():
    x = torch.ones(2)
    assert torch.ops.aten.add.Tensor(x, x, alpha=2).tolist() == [3.0, 3.0]
    assert torch.ops.aten.relu(-x).tolist() == [0.0, 0.0]
    assert torch.ops.aten.sum.dim_IntList(x, [0]).item() == 2


def test_names_of_an_overload():
    op = torch.ops.aten.add.Tensor
    assert (op.name(), op.__name__, str(op)) == (
        "aten::add.Tensor",
        "add.Tensor",
        "aten.add.Tensor",
    )
    assert repr(op) == "<OpOverload(op='aten.add', overload='Tensor')>"
    assert op is torch.ops.aten.add.Tensor
    assert op.overloadpacket is torch.ops.aten.add
    assert torch.ops.aten.relu.default._overloadname == "default"
    assert "Tensor" in torch.ops.aten.add.overloads()


def test_the_schema_as_an_object():
    schema = torch.ops.aten.add.Tensor._schema
    assert str(schema).startswith(
        "aten::add.Tensor(Tensor self, Tensor other, *, Scalar"
    )
    alpha = schema.arguments[2]
    assert (alpha.name, alpha.default_value, alpha.kwarg_only) == ("alpha", 1, True)
    assert not schema.is_mutable
    inplace = torch.ops.aten.add_.Tensor._schema
    assert inplace.is_mutable and inplace.arguments[0].alias_info.is_write
    assert torch.ops.aten.transpose.int.is_view


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (
            lambda: torch.ops.aten.no_such,
            "'_OpNamespace' 'aten' object has no attribute 'no_such'",
        ),
        (lambda: torch.ops.nowhere.op, "'_OpNamespace' 'nowhere' object has no attr"),
        (
            lambda: torch.ops.aten.add.Nope,
            "The underlying op of 'aten.add' has no overload name 'Nope'",
        ),
    ],
)
def test_names_that_there_arent(look_up, message):
    with pytest.raises(AttributeError, match=message):
        look_up()


def test_an_overload_survives_copies():
    import copy
    import pickle

    op = torch.ops.aten.mul.Tensor
    assert copy.deepcopy(op) is op
    assert pickle.loads(pickle.dumps(op)) is op


def test_shared_libraries_are_refused():
    with pytest.raises(NotImplementedError, match="shared libraries"):
        torch.ops.load_library("x.so")


# Library


def test_define_and_implement(lib):
    assert lib.define("scale(Tensor x, int n=2, *, float s=1.0) -> Tensor") == "scale"
    lib.impl("scale", lambda x, n=2, *, s=1.0: x * n * s, "CPU")
    op = ops_of(lib).scale
    assert op(torch.ones(1)).item() == 2
    assert op(torch.ones(1), 3, s=0.5).item() == 1.5


def test_a_library_takes_back_what_it_registered(ns):
    lib = Library(ns, "DEF")
    lib.define("f(Tensor x) -> Tensor")
    lib._destroy()
    with pytest.raises(AttributeError):
        getattr(getattr(torch.ops, ns), "f")
    Library(ns, "DEF")._destroy()  # the namespace is free again


def test_a_namespace_is_defined_once(lib):
    with pytest.raises(RuntimeError, match="Only a single TORCH_LIBRARY"):
        Library(lib.ns, "DEF")
    fragment = Library(lib.ns, "FRAGMENT")
    fragment.define("g(Tensor x) -> Tensor")
    assert "g" in dir(ops_of(lib))
    fragment._destroy()
    assert "g" not in dir(ops_of(lib))


def test_without_a_kernel_the_error_names_the_device(lib):
    lib.define("h(Tensor x) -> Tensor")
    with pytest.raises(NotImplementedError, match=r"from the 'CPU' backend"):
        ops_of(lib).h(torch.ones(1))
    with pytest.raises(NotImplementedError, match="no fake impl or Meta kernel"):
        ops_of(lib).h(torch.ones(1, device="meta"))


def test_every_plugins_device_type_is_a_dispatch_key(lib):
    lib.define("where(Tensor x) -> Tensor")
    lib.impl("where", lambda x: x + 1, "CPU")
    lib.impl("where", lambda x: x + 2, "LOOPBACK")
    assert ops_of(lib).where(torch.zeros(1)).item() == 1
    assert ops_of(lib).where(torch.zeros(1, device="loopback")).item() == 2


def test_a_kernel_for_all_devices(lib):
    lib.define("any(Tensor x) -> Tensor")
    lib.impl("any", lambda x: x + 1, "CompositeExplicitAutograd")
    for device in ("cpu", "loopback"):
        assert ops_of(lib).any(torch.zeros(1, device=device)).item() == 1
    assert ops_of(lib).any(torch.zeros(3, device="meta")).shape == (3,)


def test_a_composite_kernel_is_differentiated_through(lib):
    lib.define("cube(Tensor x) -> Tensor")
    lib.impl("cube", lambda x: x * x * x, "CompositeImplicitAutograd")
    x = torch.tensor(2.0, requires_grad=True)
    ops_of(lib).cube(x).backward()
    assert x.grad.item() == 12


def test_an_autograd_kernel_stands_in_for_autograd(lib):
    lib.define("double(Tensor x) -> Tensor")
    lib.impl("double", lambda x: x * 2, "CPU")

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            with torch._C._AutoDispatchBelowAutograd():
                return ops_of(lib).double(x)

        @staticmethod
        def backward(ctx, grad):
            return grad * 7

    lib.impl("double", Double.apply, "Autograd")
    x = torch.tensor(3.0, requires_grad=True)
    y = ops_of(lib).double(x)
    y.backward()
    assert (y.item(), x.grad.item()) == (6, 7)


def test_going_back_through_an_operator_without_autograd_kernel_warns(lib):
    lib.define("plain(Tensor x) -> Tensor")
    lib.impl("plain", lambda x: x * 2, "CPU")
    x = torch.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="an autograd kernel was not registered"):
        ops_of(lib).plain(x).sum().backward()
    assert x.grad.item() == 2


def test_a_kernel_of_the_core_is_overridden_and_restored():
    lib = Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lib.impl("sinc", lambda x: x + 41, "CPU")
    x = torch.ones(1, requires_grad=True)
    assert torch.sinc(torch.ones(1)).item() == 42
    assert type(torch.sinc(x).grad_fn).__name__ == "SincBackward0"
    lib._destroy()
    assert torch.sinc(torch.ones(1)).item() == pytest.approx(0, abs=1e-6)


def test_overriding_warns_once():
    import dispatchtorch.library as library

    library._warned = False
    lib = Library("aten", "IMPL")
    with pytest.warns(UserWarning, match="Overriding a previously registered kernel"):
        lib.impl("sinc", lambda x: x, "CPU")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lib.impl("tan", lambda x: x, "CPU")
    lib._destroy()


def test_kernels_may_come_before_the_schema(ns):
    early = Library(ns, "IMPL")
    early.impl("late", lambda x: x + 1, "CPU")
    lib = Library(ns, "DEF")
    lib.define("late(Tensor x) -> Tensor")
    assert getattr(torch.ops, ns).late(torch.zeros(1)).item() == 1
    lib._destroy()
    early._destroy()


def test_writing_arguments_raises_their_version(ns):
    @custom_op(f"{ns}::fill", mutates_args={"x"})
    def fill(x: Tensor, v: float) -> None:
        x.numpy().fill(v)

    x = torch.zeros(2)
    assert fill(x, 3.0) is None
    assert (x.tolist(), x._version) == ([3.0, 3.0], 1)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: Library("x", "NOPE"), ValueError, "Unsupported kind"),
        (lambda: Library("prim", "DEF"), ValueError, "reserved namespace"),
        (
            lambda: torch.library.define("nocolon", "(Tensor x) -> Tensor"),
            ValueError,
            "Expected `qualname`",
        ),
        (
            lambda: torch.library.define("a::b", "b(Tensor x) -> Tensor"),
            ValueError,
            "expected schema to look like",
        ),
        (lambda: torch.library.triton_op("a::b"), NotImplementedError, "Triton"),
        (lambda: torch.library.wrap_triton(None), NotImplementedError, "Triton"),
        (
            lambda: torch.library.register_fake("no::op", lambda: 0),
            RuntimeError,
            "does not exist",
        ),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_unknown_dispatch_keys(lib):
    lib.define("f(Tensor x) -> Tensor")
    with pytest.raises(RuntimeError, match="could not parse dispatch key: BOGUS"):
        lib.impl("f", lambda x: x, "BOGUS")
    with pytest.raises(NotImplementedError, match="a layer of its own"):
        lib.impl("f", lambda x: x, "Functionalize")


def test_the_registry_costs_nothing_to_operators_without_registrations(lib):
    """Binding asks the library's layers; the bound kernel is the one from before."""
    from dispatchtorch._library.kernels import AutogradKernels, BackendKernels
    from dispatchtorch.dispatch.operator import get_operator

    op = get_operator("exp")
    kernel = lambda x: x  # noqa: E731
    keys = torch.ones(1)._keys
    assert BackendKernels().bind(op, keys, kernel) is kernel
    assert AutogradKernels().bind(op, keys, kernel) is kernel


# custom_op


def test_a_function_becomes_an_operator(ns):
    @custom_op(f"{ns}::mul", mutates_args=())
    def mul(x: Tensor, y: float) -> Tensor:
        return x * y

    assert mul(torch.ones(1), 2.0).item() == 2
    assert getattr(torch.ops, ns).mul(torch.ones(1), 3.0).item() == 3
    assert repr(mul) == f"<CustomOpDef({ns}::mul)>"


def test_its_derivative(ns):
    @custom_op(f"{ns}::scaled", mutates_args=())
    def scaled(x: Tensor, xs: list[Tensor], n: int = 2, *, s: float = 1.0) -> Tensor:
        return x * n * s + xs[0]

    def setup(ctx, inputs, keyword_only_inputs, output):
        ctx.factor = inputs[2] * keyword_only_inputs["s"]

    def backward(ctx, grad):
        assert ctx.needs_input_grad == (True, [True], False)
        return grad * ctx.factor, [grad], None

    scaled.register_autograd(backward, setup_context=setup)
    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    scaled(x, [y], 3, s=0.5).sum().backward()
    assert x.grad.tolist() == [1.5, 1.5]
    assert y.grad.tolist() == [1.0, 1.0]


def test_several_results_and_saved_tensors(ns):
    @custom_op(f"{ns}::both", mutates_args=())
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sin(), x.cos()

    def setup(ctx, inputs, output):
        ctx.save_for_backward(*output)

    def backward(ctx, grad_sin, grad_cos):
        sin, cos = ctx.saved_tensors
        return grad_sin * cos - grad_cos * sin

    both.register_autograd(backward, setup_context=setup)
    x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: both(t), x)


def test_without_a_formula_backward_says_so(ns):
    @custom_op(f"{ns}::f", mutates_args=())
    def f(x: Tensor) -> Tensor:
        return x.clone()

    y = f(torch.ones(1, requires_grad=True))
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        y.sum().backward()


def test_its_fake_is_the_meta_kernel(ns):
    @custom_op(f"{ns}::pad", mutates_args=())
    def pad(x: Tensor) -> Tensor:
        return torch.cat([x, x])

    with pytest.raises(RuntimeError, match="There was no fake impl registered"):
        pad(torch.ones(2, device="meta"))

    @pad.register_fake
    def _(x):
        return x.new_empty(2 * x.shape[0])

    assert pad(torch.ones(2, device="meta")).shape == (4,)
    assert torch.library.opcheck(pad, (torch.ones(2),)) == {
        name: "SUCCESS"
        for name in (
            "test_schema",
            "test_autograd_registration",
            "test_faketensor",
            "test_aot_dispatch_dynamic",
        )
    }


def test_kernels_by_device(ns):
    @custom_op(f"{ns}::where", mutates_args=(), device_types="cpu")
    def where(x: Tensor) -> Tensor:
        return x + 1

    with pytest.raises(NotImplementedError):
        where(torch.zeros(1, device="loopback"))

    @where.register_kernel("loopback")
    def _(x):
        return x + 2

    assert where(torch.zeros(1)).item() == 1
    assert where(torch.zeros(1, device="loopback")).item() == 2


def test_kernels_for_a_device_that_isnt_installed_can_be_registered(ns):
    @custom_op(f"{ns}::f", mutates_args=(), device_types=["cpu", "cuda"])
    def f(x: Tensor) -> Tensor:
        return x.clone()

    assert f(torch.ones(1)).item() == 1


def test_a_result_must_not_alias_an_argument(ns):
    @custom_op(f"{ns}::same", mutates_args=())
    def same(x: Tensor) -> Tensor:
        return x

    @custom_op(f"{ns}::view", mutates_args=())
    def view(x: Tensor) -> Tensor:
        return x.view(-1)

    for f in (same, view):
        with pytest.raises(RuntimeError, match="must not also be an input"):
            f(torch.ones(2, 2))


def test_opcheck_finds_a_hidden_write(ns):
    @custom_op(f"{ns}::sneaky", mutates_args=())
    def sneaky(x: Tensor) -> Tensor:
        return x.add_(1).clone()

    with pytest.raises(Exception, match="not defined as mutable but was mutated"):
        torch.library.opcheck(sneaky, (torch.ones(2),), test_utils="test_schema")


def test_torch_dispatch_rules_for_a_mode(ns):
    from dispatchtorch.utils._python_dispatch import TorchDispatchMode

    @custom_op(f"{ns}::f", mutates_args=())
    def f(x: Tensor) -> Tensor:
        return x + 1

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    @f.register_torch_dispatch(Mode)
    def _(mode, func, types, args, kwargs):
        return func(*args) * 100

    assert f(torch.ones(1)).item() == 2
    with Mode():
        assert f(torch.ones(1)).item() == 200


def test_torch_function_is_given_the_overload(ns):
    @custom_op(f"{ns}::f", mutates_args=())
    def f(x: Tensor) -> Tensor:
        return x + 1

    seen = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Mode():
        f(torch.ones(1))
    assert getattr(torch.ops, ns).f.default in seen


def test_batching_rules_need_their_layer(ns):
    from dispatchtorch.dispatch.layer import registered_layers

    @custom_op(f"{ns}::f", mutates_args=())
    def f(x: Tensor) -> Tensor:
        return x + 1

    if any(layer.name == "vmap" for layer in registered_layers()):
        pytest.skip("the vmap layer is there")
    with pytest.raises(NotImplementedError, match="vmap"):
        f.register_vmap(lambda info, dims, x: (x, 0))

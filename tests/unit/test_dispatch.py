"""The dispatcher: binding, layers, overlays, declining kernels, fallback, many devices."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dispatchtorch_loopback import make_backend

import dispatchtorch as torch
from dispatchtorch.backend import Backend, Overlay, get_backend, register_backend
from dispatchtorch.device_layer import fallback_counts, set_fallback_policy
from dispatchtorch.dispatch import keys
from dispatchtorch.dispatch.codegen import compile_kernel, inlined
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import get_operator, operator, remove_operator
from dispatchtorch.dispatch.schema import parse
from dispatchtorch.errors import FallbackError


@pytest.fixture
def policy() -> Iterator[Any]:
    yield set_fallback_policy
    set_fallback_policy(None)


def test_a_schema_says_everything_about_the_arguments() -> None:
    schema = parse(
        "f.o(Tensor(a!) self, int[2]? dim=None, *, str mode='a, b') -> (Tensor x, Tensor y)"
    )
    assert (schema.name, schema.overload) == ("f", "o")
    self_, dim, mode = schema.arguments
    assert self_.writes and not self_.optional
    assert dim.is_list and dim.optional and dim.size == 2 and dim.default is None
    assert mode.kwonly and mode.default == "a, b"
    assert schema.return_names == ("x", "y")


@pytest.mark.parametrize("text", ["f", "f(Tensor)", "f(Tensor x)"])
def test_a_malformed_schema_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't parse"):
        parse(text)


def test_two_hundred_device_types_side_by_side() -> None:
    names = [f"fleet{i}" for i in range(200)]
    handles = [register_backend(make_backend(name)) for name in names]
    try:
        last = torch.arange(3.0, device=names[-1], requires_grad=True)
        (last * last).sum().backward()
        assert last.grad.device.type == names[-1]
        assert last.grad.tolist() == [0.0, 2.0, 4.0]
        first = torch.ones(3, device=names[0])
        with pytest.raises(RuntimeError, match="same device"):
            first + last
        assert (first + last.to(names[0])).tolist() == [1.0, 2.0, 3.0]
    finally:
        for handle in handles:
            handle.remove()


def test_a_taken_device_name_is_refused() -> None:
    get_backend("cpu")
    with pytest.raises(ValueError, match="provided already"):
        register_backend(make_backend("cpu"))


class Counting(Layer):
    name = "test_counting"
    order = 60

    def __init__(self) -> None:
        self.calls: list[str] = []

    def bind(self, op: Any, keyset: int, inner: Any) -> Any:
        def kernel(*args: Any) -> Any:
            self.calls.append(op.full_name)
            return inner(*args)

        return kernel


def test_a_layer_sees_calls_only_where_it_is_switched_on(device: str) -> None:
    layer = Counting()
    handle = register_layer(layer)
    x = torch.ones(2, device=device)
    try:
        x + 1
        assert layer.calls == []
        with layer.enabled():
            x + 1
            with layer.disabled():
                x * 2
        assert layer.calls == ["add"]
    finally:
        handle.remove()
    x + 1
    assert layer.calls == ["add"]


def test_a_layer_is_on_for_its_thread_alone() -> None:
    layer = Counting()
    handle = register_layer(layer)
    try:
        with layer.enabled():
            thread = threading.Thread(target=lambda: torch.ones(2) + 1)
            thread.start()
            thread.join()
        assert layer.calls == []
    finally:
        handle.remove()


def test_layers_bind_once_for_each_keyset() -> None:
    bound: list[int] = []

    class Binding(Layer):
        name = "test_binding"
        always = True

        def bind(self, op: Any, keyset: int, inner: Any) -> Any:
            if op.full_name == "mul":
                bound.append(keyset)
            return inner

    handle = register_layer(Binding())
    try:
        x = torch.ones(2)
        for _ in range(3):
            x.mul(x)
        assert len(bound) == 1
        torch.ones(2, dtype=torch.float64).mul(torch.ones(2, dtype=torch.float64))
        assert len(bound) == 2
    finally:
        handle.remove()


def test_overlays_stack_by_priority_decline_and_go_away() -> None:
    calls: list[str] = []
    low, high = Overlay("low", "cpu", 1), Overlay("high", "cpu", 2)

    @low.kernel("exp")
    def exp_low(x: Any) -> Any:
        calls.append("low")
        return np.exp(x)

    @high.kernel("exp")
    def exp_high(x: Any) -> Any:
        calls.append("high")
        return NotImplemented if x.size < 10 else np.exp(x)

    handles = [low.install(), high.install()]
    try:
        torch.zeros(3).exp()
        assert calls == ["high", "low"]
        calls.clear()
        torch.zeros(20).exp()
        assert calls == ["high"]
        handles[1].remove()
        calls.clear()
        torch.zeros(20).exp()
        assert calls == ["low"]
    finally:
        for handle in handles:
            handle.remove()
    calls.clear()
    assert torch.zeros(3).exp().tolist() == [1.0, 1.0, 1.0]
    assert calls == []


def make_partial(missing: str) -> Backend:
    backend: Backend = make_backend("partial")
    del backend.kernels[missing]
    return backend


def test_a_missing_primitive_falls_back_with_a_warning_and_is_counted(
    policy: Any,
) -> None:
    handle = register_backend(make_partial("sin"))
    try:
        x = torch.ones(4, device="partial", requires_grad=True)
        with pytest.warns(
            UserWarning, match="'sin' has no kernel for device 'partial'"
        ) as seen:
            y = x.sin()
        assert seen[0].filename == __file__
        assert y.device.type == "partial"
        y.sum().backward()
        assert x.grad.tolist() == pytest.approx([np.cos(1.0)] * 4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x.sin()
        calls, size = fallback_counts()["sin", "partial"]
        assert calls >= 2 and size >= 2 * 2 * 16
        policy("error")
        with pytest.raises(FallbackError, match="'sin'.*'partial'"):
            x.sin()
    finally:
        handle.remove()


def test_an_unknown_fallback_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match="'maybe'"):
        policy("maybe")


def test_operators_can_be_added_and_removed(device: str) -> None:
    @operator("test_double(Tensor self) -> Tensor")
    def double(self):
        """Twice the tensor."""
        return self + self

    try:
        x = torch.ones(2, device=device, requires_grad=True)
        assert torch.test_double(x).tolist() == [2.0, 2.0]
        x.test_double().sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
        with pytest.raises(ValueError, match="declared already"):
            operator("test_double(Tensor self) -> Tensor")(double.body)
    finally:
        remove_operator(get_operator("test_double"))
        torch.__dict__.pop("test_double", None)
        if "test_double" in torch.Tensor.__dict__:
            del torch.Tensor.test_double


def test_registration_while_other_threads_call() -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def call() -> None:
        x = torch.ones(4)
        try:
            while not stop.is_set():
                assert (x + x).tolist() == [2.0] * 4
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(50):
        overlay = Overlay(f"o{i}", "cpu", i)
        overlay.kernel("add")(lambda x, y: np.add(x, y))
        handle = overlay.install()
        handle.remove()
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors


def test_keysets_have_names() -> None:
    keyset = torch.ones(1, requires_grad=True)._keys
    assert set(keys.names(keyset)) == {"float32", "autograd", "cpu"}


def test_a_kernel_that_returns_the_wrong_thing_is_named() -> None:
    overlay = Overlay("wrong", "cpu")
    overlay.kernel("cos")(lambda x: "nonsense")
    handle = overlay.install()
    try:
        with pytest.raises(TypeError, match="'cpu' returned str, expected ndarray"):
            torch.ones(1).cos()
    finally:
        handle.remove()


def test_numpy_warnings_stay_the_users_own() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.zeros(1).log().item() == float("-inf")
        assert (torch.ones(1) / 0).item() == float("inf")
        assert (torch.tensor([3e38]) * 10).item() == float("inf")
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))


def test_every_primitive_has_a_shape_rule_for_meta() -> None:
    backend = get_backend("meta")
    from dispatchtorch.dispatch.operator import all_operators

    missing = [
        name
        for name, op in all_operators().items()
        if op.is_primitive
        and backend.kernels.get(name) is None
        and not op.tags & {"data_dependent"}
        and not name.startswith("test_")
    ]
    assert missing == ["nonzero_"] or missing == []


def test_a_kernel_that_declines_is_recorded_and_counted_as_any_other() -> None:
    asked: list[Any] = []

    def decline(x: Any, y: Any, out: Any = None) -> Any:
        asked.append(x)
        return NotImplemented

    overlay = Overlay("declines", "cpu", 1)
    overlay.kernel("mul", out=True)(decline)
    handle = overlay.install()
    try:
        x = torch.tensor([2.0, 3.0], requires_grad=True)
        y = torch.tensor([5.0, 7.0])
        (x * y).sum().backward()
        assert x.grad.tolist() == [5.0, 7.0]
        assert len(asked) == 2  # forward and backward
        y *= y
        assert y._version == 1 and y.tolist() == [25.0, 49.0]
        assert len(asked) == 4  # with out=, and without
    finally:
        handle.remove()


def test_lines_of_a_kernel_run_inside_another() -> None:
    lines = ["if x < 0: return other(x)", "y = x + one", "return y"]
    inner = compile_kernel("x", lines, {"one": 1, "other": lambda x: x * 100})
    assert (inner(1), inner(-1)) == (2, -100)
    constants: dict[str, Any] = {"ten": 10}
    body = [*inlined(inner, "x", "made", constants), "return made * ten"]
    outer = compile_kernel("x", body, constants)
    assert (outer(1), outer(-1)) == (20, -1000)
    # A third layer takes in both, loop and all.
    constants = {}
    body = ["if x == 0: return None", *inlined(outer, "x", "z", constants), "return z"]
    assert compile_kernel("x", body, constants)(1) == 20
    # What was written by hand, or names something else alike, is called.
    for other, names in ((lambda x: x - 1, {}), (inner, {"one": 5})):
        constants = dict(names)
        body = [*inlined(other, "x", "z", constants), "return z"]
        assert "inner" in constants
        assert compile_kernel("x", body, constants)(3) == other(3)

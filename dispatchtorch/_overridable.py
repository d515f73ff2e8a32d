"""The public functions by namespace and name, for ``torch.overrides``' questions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any

from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.interception import tensor_attributes
from dispatchtorch.tensor import Tensor

__all__ = ["ignored_functions", "name_of", "overridable_functions", "testing_overrides"]

Kernel = Callable[..., Any]

_MODULES = ("nn.functional", "linalg", "fft", "special", "functional", "nn.init")
# Public functions that make tensors, or aren't about tensors: overrides don't see them.
_IGNORED = """
    tensor as_tensor asarray from_numpy frombuffer from_dlpack arange empty
    empty_strided eye full linspace logspace ones rand randn randint randperm range zeros
    is_tensor is_storage typename set_default_dtype get_default_dtype set_printoptions
    manual_seed seed initial_seed get_rng_state set_rng_state save load no_grad
    enable_grad inference_mode is_grad_enabled set_grad_enabled broadcast_shapes
    can_cast promote_types result_type get_num_threads set_num_threads
    set_default_device get_default_device tril_indices triu_indices bartlett_window
    blackman_window hamming_window hann_window kaiser_window
""".split()
_IGNORED_METHODS = (
    "__new__ __init__ __hash__ __dir__ __init_subclass__ as_subclass new_tensor "
    "__torch_function__ __torch_dispatch__ _make_subclass _make_wrapper_subclass".split()
)


def overridable_functions() -> dict[Any, dict[str, Kernel]]:
    """{namespace: {name: function}} of what overrides see."""
    import dispatchtorch as torch

    functions: dict[str, Kernel] = {}
    methods: dict[str, Kernel] = {}
    for name, packet in sorted(_operator.packets.items()):
        if "function" in packet.variants and name not in _IGNORED:
            functions[name] = packet.callable("function")
        if "method" in packet.variants:
            methods[name] = packet.callable("method")
    for name, value in sorted(tensor_attributes().items()):
        if isinstance(value, property):
            methods[f"{name}.__get__"] = value.__get__
            if value.fset is not None:
                methods[f"{name}.__set__"] = value.__set__
        else:
            methods[name] = value
    found: dict[Any, dict[str, Kernel]] = {torch: functions, Tensor: methods}
    for path in _MODULES:
        try:
            module = import_module(f"dispatchtorch.{path}")
        except ModuleNotFoundError:
            continue
        found[module] = {
            name: value
            for name in sorted(getattr(module, "__all__", ()))
            if isinstance(value := getattr(module, name, None), FunctionType)
        }
    return found


_names: dict[Any, str] = {}
_for: tuple[int, int] = (0, 0)


def name_of(function: Any) -> str | None:
    """The dotted name of a function, looked up once in all namespaces."""
    global _for
    function = getattr(function, "function", function)  # of one that asks again
    if hasattr(function, "_overloadpacket") or hasattr(function, "_qualified_op_name"):
        return str(function)
    quick = getattr(function, "__qualname__", "")
    packet = _operator.packets.get(quick.removeprefix("Tensor."))
    operator_form = getattr(function, "form", "") == "operator"
    if (
        packet is not None
        and not operator_form
        and getattr(function, "__module__", "") == "dispatchtorch"
    ):
        if "function" in packet.variants or quick.startswith("Tensor."):
            return f"torch.{quick}"
    import dispatchtorch as torch

    if quick and vars(torch).get(quick) is function:
        place = (
            ".functional" if function.__module__ == "dispatchtorch.functional" else ""
        )
        return f"torch{place}.{quick}"
    count = (len(_operator.packets), len(vars(Tensor)))
    if count != _for:
        _for = count
        _names.clear()
        for namespace, functions in overridable_functions().items():
            prefix = getattr(namespace, "__name__", "torch").replace(
                "dispatchtorch", "torch"
            )
            prefix = "torch.Tensor" if namespace is Tensor else prefix
            for name, each in functions.items():
                if each not in _names or getattr(each, "__name__", "") == name:
                    _names[each] = f"{prefix}.{name}"
    try:
        found = _names.get(function)
    except TypeError:
        return None
    if found is None and operator_form:
        return f"torch.{quick}"
    if found is None and getattr(function, "__overridable__", False):
        return f"{function.__module__}.{quick}".replace("dispatchtorch", "torch")
    return found


def testing_overrides() -> dict[Kernel, Kernel]:
    """{function: a function with its parameters that returns -1}."""
    made: dict[Kernel, Kernel] = {}
    for functions in overridable_functions().values():
        for function in functions.values():
            made.setdefault(function, _stand_in(function))
    return made


def _stand_in(function: Kernel) -> Kernel:
    def stand_in(*args: Any, **kwargs: Any) -> int:
        return -1

    try:
        stand_in.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        pass
    return stand_in


def ignored_functions() -> set[Kernel]:
    """Public functions and methods that overrides don't see."""
    import dispatchtorch as torch

    found = {getattr(torch, name) for name in _IGNORED if hasattr(torch, name)}
    return found | {
        getattr(Tensor, name) for name in _IGNORED_METHODS if hasattr(Tensor, name)
    }

"""Kernels over tensors by dispatch key, and the layers that bind them.

A device's own kernels take native arrays. Those that ``torch.library`` registers take
tensors, as PyTorch's do, so they have a store of their own (``op.rules["library"]``) and
two layers: one just above the devices, one around autograd. Both work when a kernel is
bound; an operator without such kernels pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator, changing_registry
from dispatchtorch.rejection import given_arguments

__all__ = [
    "BELOW_AUTOGRAD",
    "add_kernel",
    "add_torch_dispatch",
    "fallthrough",
    "has_kernel",
    "parse_key",
    "write_marks",
]

Function = Callable[..., Any]

#: Under `torch._C._AutoDispatchBelowAutograd`: registered autograd kernels are skipped.
BELOW_AUTOGRAD = K.allocate("layer", "below autograd")

IMPLICIT = "compositeimplicitautograd"
EXPLICIT = "compositeexplicitautograd"
_FUNCTIONALITIES = (
    "Autograd ADInplaceOrView Autocast CompositeImplicitAutograd "
    "CompositeExplicitAutograd CompositeExplicitAutogradNonFunctional BackendSelect "
    "Functionalize Python PythonDispatcher Conjugate Negative ZeroTensor Tracer "
    "FuncTorchBatched FuncTorchVmapMode Batched VmapMode"
)
# Kernels under these keys can be bound; those of other keys would never run.
_BOUND = {"autograd", IMPLICIT, EXPLICIT, EXPLICIT + "nonfunctional"}
_BACKENDS = (
    "CPU CUDA HIP XLA MPS IPU XPU HPU VE Lazy MTIA MAIA PrivateUse1 PrivateUse2 "
    "PrivateUse3 Meta"
)
_NAMES = {name.casefold(): name for name in _FUNCTIONALITIES.split()}
_NAMES |= {name.casefold(): name for name in _BACKENDS.split()}


def parse_key(key: Any) -> str:
    """A dispatch key's name in lower case; RuntimeError for one that there isn't.

    Every device type has a key, and that key one for its autograd kernels.
    """
    name = str(key).rpartition(".")[2]
    folded = name.casefold()
    device = folded.removeprefix("autograd")
    if folded not in _NAMES and device not in _NAMES:
        from dispatchtorch.plugins import manager

        known = {each.casefold() for each in manager.known_devices()}
        if device not in known:
            raise RuntimeError(f"could not parse dispatch key: {name}")
    elif folded in _NAMES and folded in _UNBOUND:
        raise NotImplementedError(
            f"kernels for the dispatch key {name} are not supported: that feature is a "
            "layer of its own here (dispatchtorch.dispatch.layer.Layer)"
        )
    return folded


def device_key(device: str) -> str:
    """The dispatch key of a device type; it needn't be installed, but must be known."""
    try:
        return parse_key(device)
    except RuntimeError:
        from dispatchtorch.device import device as Device

        return str(Device(device).type)  # raises with what there is


_UNBOUND = {n.casefold() for n in _FUNCTIONALITIES.split()} - _BOUND


def fallthrough(*args: Any, **kwargs: Any) -> Any:
    """Registered as a kernel, it says that there is nothing to do for its key."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def add_kernel(op: Operator, key: Any, function: Function) -> Callable[[], None]:
    """Registers a kernel over tensors; returns what takes it back."""
    name = parse_key(key)
    install()
    with changing_registry(op):
        kernels = op.rules.setdefault("library", {})
        kernels.setdefault(name, []).append(function)

    def undo() -> None:
        with changing_registry(op):
            stack = kernels.get(name, [])
            if function in stack:
                stack.remove(function)
            if not stack:
                kernels.pop(name, None)

    return undo


def add_torch_dispatch(op: Operator, kind: type, function: Function) -> None:
    """Registers how a mode (or subclass) handles an operator."""
    with changing_registry(op):
        op.rules.setdefault("torch_dispatch", {})[kind] = function


def kernel_of(op: Operator, *keys: str) -> Function | None:
    """The last kernel registered under the first of ``keys`` that has one."""
    kernels = op.rules.get("library")
    if kernels:
        for key in keys:
            if kernels.get(key):
                return kernels[key][-1]  # type: ignore[no-any-return]
    return None


def has_kernel(op: Operator, key: Any) -> bool:
    """Whether a call with a dispatch key would find a kernel registered under it."""
    name = parse_key(key)
    if kernel_of(op, name) is not None:
        return True
    if "library" in op.tags:
        return False
    composite = op.body is not None and op.derivative is None
    if name == IMPLICIT:
        return composite
    if name.startswith("autograd"):
        return not composite
    if name == EXPLICIT:
        return op.body is not None and op.derivative is not None
    return not composite and name in _NAMES


def adapt(op: Operator, function: Function) -> Function:
    """A kernel that a user wrote, taking the schema's arguments positionally."""
    arguments = op.schema.arguments
    if not any(a.kwonly or a.has_default for a in arguments):
        return function

    def kernel(*args: Any) -> Any:
        positional, keywords = given_arguments(op, args)
        return function(*positional, **keywords)

    return kernel


def device_keys(keys: int) -> list[str]:
    """The device types of a keyset, accelerators first."""
    names = [n.casefold() for n in K.names(keys, "device")]
    return sorted(names, key=lambda n: (n == "cpu", n != "meta", n))


class BackendKernels(Layer):
    """Kernels over tensors for a device, or for all of them."""

    name = "library kernels"
    order = 5
    always = True

    def bind(self, op: Operator, keys: int, inner: Function) -> Function:
        defined = "library" in op.tags
        devices = device_keys(keys)
        if defined and not devices:
            devices = ["cpu"]
        if not defined and "library" not in op.rules:
            return inner
        function = kernel_of(op, *devices, EXPLICIT, EXPLICIT + "nonfunctional")
        if function is None and not (defined and "meta" in devices):
            function = kernel_of(op, "all devices")
        if function is None and not op.derivative:
            function = kernel_of(op, IMPLICIT)
        if function is None:
            if not defined or op.body is not None:
                return inner
            if devices[0] == "meta" and not op.schema.returns:
                function = _nothing  # without results, shapes say it all
            else:
                return _missing(op, devices[0])
        kernel = adapt(op, function)
        if keys & AUTOGRAD and not defined:
            kernel = _below(kernel)
        if "custom_op" in op.rules:
            marks = write_marks(op)
            return marks(kernel) if marks is not None else kernel
        return kernel

    def describe(self, op: Operator, keys: int) -> str:
        function = kernel_of(op, *device_keys(keys), EXPLICIT, IMPLICIT)
        if function is None:
            return "-"
        code = getattr(function, "__code__", None)
        if code is None:
            return repr(function)
        return f"{code.co_filename}:{code.co_firstlineno}"


def _nothing(*args: Any, **kwargs: Any) -> None:
    """The meta kernel of operators that only write."""


def _below(kernel: Function) -> Function:
    def below(*args: Any) -> Any:
        with state.exclude(AUTOGRAD | VIEW):
            return kernel(*args)

    return below


def _missing(op: Operator, device: str) -> Function:
    name = op.full_name

    def missing(*args: Any) -> Any:
        if device == "meta":
            definition = op.rules.get("custom_op")
            if definition is not None:
                raise RuntimeError(
                    f"There was no fake impl registered for {definition!r}. This is "
                    "necessary for torch.compile/export/fx tracing to work. Please use "
                    f"`{definition._init_fn.__name__}.register_fake` to add an fake impl."
                )
            raise NotImplementedError(
                f"{name}: attempted to run this operator with Meta tensors, but there "
                "was no fake impl or Meta kernel registered. You may have run into this "
                "message while using an operator with PT2 compilation APIs "
                "(torch.compile/torch.export); in order to use this operator with those "
                "APIs you'll need to add a fake impl. Please see the following for next "
                "steps:  https://pytorch.org/tutorials/advanced/"
                "custom_ops_landing_page.html"
            )
        have = [_NAMES.get(k, k) for k in op.rules.get("library", {})]
        raise NotImplementedError(
            f"Could not run '{name}' with arguments from the "
            f"'{_NAMES.get(device, device)}' backend. This could be because the operator "
            "doesn't exist for this backend, or was omitted during the selective/custom "
            "build process (if using custom build). "
            f"'{name}' is only available for these backends: [{', '.join(have)}]."
        )

    return missing


def write_marks(op: Operator) -> Callable[[Function], Function] | None:
    """What raises the version counters of the arguments that an operator writes."""
    written = [i for i, a in enumerate(op.schema.arguments) if a.writes]
    if not written:
        return None

    def wrap(kernel: Function) -> Function:
        def writing(*args: Any) -> Any:
            result = kernel(*args)
            for i in written:
                for t in args[i] if isinstance(args[i], (list, tuple)) else [args[i]]:
                    if t is None:
                        continue
                    if t._ver is None:
                        t._ver = [1, 0]
                    else:
                        t._ver[0] += 1
            return result

        return writing

    return wrap


class AutogradKernels(Layer):
    """Autograd kernels and formulas of libraries, around the autograd layer."""

    name = "library autograd"
    order = 42
    always = True

    def bind(self, op: Operator, keys: int, inner: Function) -> Function:
        if keys & BELOW_AUTOGRAD:
            return inner
        names = [f"autograd{name}" for name in device_keys(keys)]
        function = kernel_of(op, *names, "autograd")
        defined = "library" in op.tags
        if function is not None and state.tls.mask & AUTOGRAD:
            if function is not fallthrough:
                return adapt(op, function)
            below = op.new_table()
            lower = keys & ~(AUTOGRAD | VIEW) | BELOW_AUTOGRAD
            return lambda *args: below[lower](*args)
        if not keys & AUTOGRAD:
            return inner
        implicit = kernel_of(op, IMPLICIT)
        if implicit is not None and kernel_of(op, *device_keys(keys)) is None:
            return adapt(op, implicit)
        if op.rules.get("formula") is not None:
            from dispatchtorch._library.autograd import recording

            return recording(op, keys)
        if defined and op.body is None:
            from dispatchtorch._library.autograd import warning

            return warning(op, keys)
        return inner

    def describe(self, op: Operator, keys: int) -> str:
        if op.rules.get("formula") is not None:
            return "a registered formula"
        return "a registered kernel" if kernel_of(op, "autograd") is not None else "-"


_installed = False


def install() -> None:
    """Registers the two layers, once; before that, no operator asks them."""
    global _installed
    if not _installed:
        _installed = True
        register_layer(BackendKernels())
        register_layer(AutogradKernels())

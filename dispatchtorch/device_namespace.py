"""``torch.<device type>`` for every device: one namespace, made from its backend.

The core answers what a backend's contract answers (streams, memory figures, generators);
further names come from ``Backend.namespace``. Also the device types that programs for
PyTorch ask for have one where no plugin brings them: there ``is_available()`` is False,
figures are 0, and what needs the device raises an error that says how to get it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.plugins import MissingDeviceError, UnknownDeviceError

__all__ = ["DeviceModule", "available", "namespace", "required"]

#: Namespaces that PyTorch always has, and what it has there that needs the device (or
#: is a module of one vendor's library).
PYTORCH = {
    "cuda": "comm graphs nccl nvtx profiler CUDAGraph CUDAPluggableAllocator GreenContext MemPool caching_allocator_alloc "
    "caching_allocator_delete caching_allocator_enable change_current_allocator cudart "
    "cudaStatus current_blas_handle current_solver_handle graph graph_pool_handle "
    "clock_rate device_memory_used make_graphed_callables memory_snapshot memory_usage "
    "power_draw temperature use_mem_pool utilization",
    "xpu": "graphs MemPool XPUGraph XPUPluggableAllocator change_current_allocator graph "
    "clock_rate device_memory_used graph_pool_handle make_graphed_callables "
    "memory_snapshot memory_usage power_draw temperature use_mem_pool utilization",
    "mps": "compile_shader current_allocated_memory driver_allocated_memory "
    "load_metallib recommended_max_memory",
    "mtia": "MTIAGraph attach_out_of_memory_observer graph graph_pool_handle "
    "record_memory_history snapshot",
}

#: The modules inside of a namespace, and the names that each shows; those of `PYTORCH`
#: only in the namespaces that name them there.
SUBMODULES = {
    "streams": "Stream Event ExternalStream",
    "random": "get_rng_state get_rng_state_all set_rng_state set_rng_state_all "
    "manual_seed manual_seed_all seed seed_all initial_seed",
    "memory": "caching_allocator_alloc caching_allocator_delete caching_allocator_enable "
    "set_per_process_memory_fraction get_per_process_memory_fraction empty_cache "
    "memory_stats memory_stats_as_nested_dict reset_accumulated_memory_stats "
    "reset_peak_memory_stats reset_max_memory_allocated reset_max_memory_cached "
    "host_memory_stats host_memory_stats_as_nested_dict memory_allocated "
    "reset_accumulated_host_memory_stats reset_peak_host_memory_stats "
    "max_memory_allocated memory_reserved max_memory_reserved memory_cached "
    "max_memory_cached memory_snapshot memory_summary list_gpu_processes mem_get_info "
    "get_allocator_backend CUDAPluggableAllocator change_current_allocator MemPool "
    "use_mem_pool",
    "graphs": "CUDAGraph XPUGraph graph graph_pool_handle is_current_stream_capturing "
    "make_graphed_callables",
    "amp": "autocast GradScaler custom_fwd custom_bwd autocast_mode common grad_scaler "
    "amp_definitely_not_available",
    "amp.autocast_mode": "autocast custom_fwd custom_bwd",
    "amp.grad_scaler": "GradScaler",
    "amp.common": "amp_definitely_not_available",
    "nvtx": "mark range range_end range_pop range_push range_start",
    "nccl": "is_available",
    "comm": "broadcast broadcast_coalesced gather reduce_add reduce_add_coalesced scatter",
    "profiler": "profile start stop",
    "sparse": "FloatTensor DoubleTensor HalfTensor BFloat16Tensor IntTensor LongTensor "
    "ShortTensor CharTensor ByteTensor",
}


def available(device_type: str) -> bool:
    """Whether a plugin brings the device type and it can be used."""
    try:
        return get_backend(device_type).is_available()
    except RuntimeError:
        return False


def required(device_type: str, words: str = "") -> Backend:
    """The backend of a device type that can be used.

    Raises MissingDeviceError, beginning with ``words``, where no plugin brings it, and
    RuntimeError with the reason where it can't be used on this machine.
    """
    try:
        found = get_backend(device_type)
    except UnknownDeviceError as error:
        if not words:
            raise
        rest = str(error).partition("\n")[2]
        raise MissingDeviceError(f"{words}\n{rest}") from None
    if not found.is_available():
        reason = found.unavailable_reason()
        raise RuntimeError(f"No {device_type.upper()} devices are available: {reason}")
    return found


class DeviceModule(ModuleType):
    """The namespace of a device type. Names are made when they are asked for."""

    def __init__(self, device_type: str) -> None:
        super().__init__(
            f"dispatchtorch.{device_type}", f"Device functions of ``{device_type}``."
        )
        self.__path__: list[str] = []
        self.__package__ = self.__name__
        self._type = device_type
        self._made: dict[str, Any] = {}
        self._backend: Backend | None = None

    def _own(self) -> dict[str, Any]:
        """What the backend's namespace has; the names that were made are kept with it."""
        try:
            backend = get_backend(self._type)
            found = backend if backend.is_available() else None
        except RuntimeError:
            found = None
        if found is not self._backend:
            own = {} if found is None else found.namespace()
            for name, value in own.items():
                if isinstance(value, ModuleType):
                    sys.modules[f"{self.__name__}.{name}"] = value
            self._backend, self._made = found, {"*": own}
        return self._made.setdefault("*", {})  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            if name == "__all__":
                return self._own().get(name) or sorted(_public(self))
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        own = self._own()
        found = own.get(name, self)
        if found is self:
            found = self._made.get(name, self)
        if found is self and _shows(own, name):
            found = self._made[name] = _general(self, name)
        if found is self:
            shown = self.__name__.replace("dispatch", "", 1)
            from dispatchtorch._absent import explanation

            why = explanation(f"{self._type}.{name}")
            raise AttributeError(f"module '{shown}' has no attribute '{name}'{why}")
        return found

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_public(self)})


def _shows(own: dict[str, Any], name: str) -> bool:
    """Whether a namespace with names of its own shows one of the core's."""
    return "__all__" not in own or name in own["__all__"] or name == "amp"


def _general(module: DeviceModule, name: str) -> Any:
    """What the core makes of a name for any device type; ``module`` for nothing."""
    from dispatchtorch import _device_classes, _device_functions

    if name in _submodules(module):
        return _Submodule(module, name)
    if name in PYTORCH.get(module._type, "").split():
        return _device_classes.needing_device(module._type, name)
    found = _device_functions.function(module._type, name)
    return module if found is None else found


def _submodules(module: DeviceModule) -> set[str]:
    here = PYTORCH.get(module._type, "").split()
    vendors = {name for names in PYTORCH.values() for name in names.split()}
    return {n for n in SUBMODULES if "." not in n and (n in here or n not in vendors)}


def _public(module: DeviceModule) -> set[str]:
    from dispatchtorch import _device_functions as functions

    own = module._own()
    names = {*functions.names(), *PYTORCH.get(module._type, "").split()}
    names |= _submodules(module)
    shown = {name for name in names if _shows(own, name)}
    return shown | {name for name in own if not name.startswith("_")}


class _Submodule(ModuleType):
    """A module inside of a namespace: shows names of the namespace."""

    def __init__(self, parent: DeviceModule, name: str) -> None:
        super().__init__(f"{parent.__name__}.{name}")
        self.__path__: list[str] = []
        self.__package__ = self.__name__
        self._parent = parent
        self._name = name
        sys.modules[self.__name__] = self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name != "__all__":
            raise AttributeError(name)
        from dispatchtorch import _device_classes

        nested = f"{self._name}.{name}"
        if nested in SUBMODULES:
            found = _Submodule(self._parent, nested)
            setattr(self, name, found)
            return found
        shown = SUBMODULES[self._name].split()
        if name == "__all__":
            return shown
        if name in shown:
            made = _device_classes.inside(self._parent._type, self._name, name)
            return getattr(self._parent, name) if made is None else made
        raise AttributeError(
            f"module '{self.__name__.replace('dispatch', '', 1)}' has no attribute "
            f"'{name}'"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *SUBMODULES[self._name].split()})


_namespaces: dict[str, DeviceModule] = {}


def namespace(device_type: str) -> DeviceModule | None:
    """The namespace of a device type that is installed or known, else None."""
    found = _namespaces.get(device_type)
    if found is None:
        from dispatchtorch.plugins import manager

        if device_type not in PYTORCH and device_type not in manager.known_devices():
            return None
        found = _namespaces[device_type] = DeviceModule(device_type)
    return found


class _Existing:
    """The loader of a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def create_module(self, spec: Any) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run."""


def find_spec(name: str) -> Any:
    """How ``import dispatchtorch.<device type>…`` finds a namespace; None for others."""
    from importlib.machinery import ModuleSpec

    parts = name.split(".")[1:]
    found: Any = namespace(parts[0])
    for part in parts[1:]:
        found = getattr(found, part, None)
    if not isinstance(found, ModuleType):
        return None
    return ModuleSpec(name, _Existing(found), is_package=True)  # type: ignore[arg-type]

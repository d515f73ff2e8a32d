"""Settings of the process that PyTorch keeps at its top level, and functions of numbers.

Kernels here are deterministic and compute in the dtype they are given, so that most of
these settings are remembered and read by programs, and change no number.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import Any

from dispatchtorch import backend as _backend
from dispatchtorch.autograd import anomaly as _anomaly
from dispatchtorch.device import device as Device
from dispatchtorch.errors import AcceleratorError
from dispatchtorch.tensor import Tensor

__all__ = [
    "AcceleratorError",
    "FatalError",
    "OutOfMemoryError",
    "SymBool",
    "SymFloat",
    "SymInt",
    "are_deterministic_algorithms_enabled",
    "as_strided_",
    "detach",
    "detach_",
    "from_file",
    "get_deterministic_debug_mode",
    "get_device",
    "get_device_module",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "has_lapack",
    "has_mkl",
    "has_openmp",
    "has_spectral",
    "init_num_threads",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_conj",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_distributed",
    "is_inference",
    "is_inference_mode_enabled",
    "is_neg",
    "is_signed",
    "is_vulkan_available",
    "is_warn_always_enabled",
    "resize_as_",
    "resize_as_sparse_",
    "set_anomaly_enabled",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_warn_always",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
    "sym_float",
    "sym_int",
    "sym_ite",
    "sym_max",
    "sym_min",
    "sym_not",
    "sym_sqrt",
    "sym_sum",
    "use_deterministic_algorithms",
]

from dispatchtorch.errors import OutOfMemoryError

# What the build has: NumPy brings LAPACK and Fourier transforms.
has_lapack = has_spectral = True
has_mkl = has_openmp = False


class FatalError(Exception):
    """An error after which the process can't go on."""


for _error in (AcceleratorError, FatalError):
    _error.__module__ = "torch"

# Determinism.

_DEBUG_MODES = ("default", "warn", "error")
_debug_mode = 0


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for deterministic kernels; all kernels here are."""
    if not isinstance(mode, bool):
        raise TypeError(
            "_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, "
            f"not {type(mode).__name__}"
        )
    global _debug_mode
    _debug_mode = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether deterministic kernels were asked for."""
    return _debug_mode > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether operators without a deterministic kernel should only warn."""
    return _debug_mode == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 "default", 1 "warn" or 2 "error" where an operator isn't deterministic."""
    global _debug_mode
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, "
                f"but got {debug_mode}"
            )
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _debug_mode = debug_mode


def get_deterministic_debug_mode() -> int:
    """The number of the mode that :func:`set_deterministic_debug_mode` set."""
    return _debug_mode


# Precision, warnings, threads.

_precision = "highest"
_warn_always = False
_interop_threads: int | None = None


def set_float32_matmul_precision(precision: str) -> None:
    """How much precision products of float32 matrices may lose; none is lost here."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current"
            "setFloat32MatmulPrecision call has no effect. ",
            stacklevel=2,
        )
        return
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` set."""
    return _precision


def set_warn_always(b: bool) -> None:
    """Whether warnings that appear once a process should appear each time."""
    global _warn_always
    _warn_always = b


def is_warn_always_enabled() -> bool:
    """What :func:`set_warn_always` set."""
    return _warn_always


def set_flush_denormal(mode: bool) -> bool:
    """False: NumPy can't have subnormal numbers flushed to zero."""
    return False


def get_num_interop_threads() -> int:
    """The number of threads that run operators side by side."""
    from dispatchtorch._settings import get_num_threads

    return _interop_threads or get_num_threads()


def set_num_interop_threads(num: int) -> None:
    """Sets that number; RuntimeError unless positive, or when it is set again."""
    global _interop_threads
    if num <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    if _interop_threads is not None:
        raise RuntimeError(
            "Error: cannot set number of interop threads after parallel work has started "
            "or set_num_interop_threads called"
        )
    _interop_threads = num


def init_num_threads() -> None:
    """Nothing to start: threads are the array library's."""


def is_vulkan_available() -> bool:
    """False: no plugin calls its device "vulkan"."""
    return "vulkan" in _backend.registered_backends()


# Autograd's modes.


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return _anomaly.is_anomaly_enabled()


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN in gradients."""
    return _anomaly.checks_nan()


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switches anomaly detection."""
    _anomaly.set_detect_anomaly(enabled, check_nan)


def is_inference_mode_enabled() -> bool:
    """Whether tensors made now never get a history."""
    from dispatchtorch.dispatch import keys, state

    return bool(state.tls.include & keys.INFERENCE_MODE)


# Methods as functions.


def is_signed(input: Tensor) -> bool:
    """Whether a tensor's dtype has a sign."""
    return input.is_signed()  # type: ignore[no-any-return, attr-defined]


def is_conj(input: Tensor) -> bool:
    """Whether a tensor is to be conjugated when it is read."""
    return input.is_conj()  # type: ignore[no-any-return, attr-defined]


def is_neg(input: Tensor) -> bool:
    """Whether a tensor is to be negated when it is read."""
    return input.is_neg()  # type: ignore[no-any-return, attr-defined]


def is_inference(input: Tensor) -> bool:
    """Whether a tensor was made in inference mode."""
    return input.is_inference()


def is_distributed(input: Tensor) -> bool:
    """False: tensors are whole."""
    return input.is_distributed()  # type: ignore[no-any-return, attr-defined]


def get_device(input: Tensor) -> int:
    """The index of a tensor's device; -1 for ``cpu``."""
    return input.get_device()  # type: ignore[no-any-return, attr-defined]


def as_strided_(
    input: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """Makes a tensor another view of its memory, in place."""
    return input.as_strided_(size, stride, storage_offset)  # type: ignore[no-any-return, attr-defined]


def detach(input: Tensor) -> Tensor:
    """A view of a tensor without history."""
    return input.detach()


def detach_(input: Tensor) -> Tensor:
    """Takes a tensor's history away."""
    return input.detach_()  # type: ignore[no-any-return, attr-defined]


def resize_as_sparse_(input: Tensor, the_template: Tensor) -> Tensor:
    """``Tensor.resize_as_sparse_`` as a function."""
    return input.resize_as_sparse_(the_template)  # type: ignore[no-any-return, attr-defined]


def resize_as_(
    input: Tensor, the_template: Tensor, *, memory_format: Any = None
) -> Tensor:
    """Resizes a tensor to the shape of another."""
    return input.resize_as_(the_template, memory_format=memory_format)  # type: ignore[no-any-return, attr-defined]


def get_device_module(device: Any = None) -> ModuleType:
    """``torch.cpu``, ``torch.cuda`` …: the module of a device, the current by default."""
    import dispatchtorch

    if device is None:
        found = dispatchtorch.accelerator.current_accelerator()
        name = "cpu" if found is None else found.type
    elif isinstance(device, (str, Device)):
        name = Device(device).type
    else:
        raise RuntimeError(
            f"Invalid value of device '{device}', expect torch.device, str, or None"
        )
    from dispatchtorch.device_namespace import DeviceModule

    module = getattr(dispatchtorch, name, None)
    if not isinstance(module, DeviceModule):
        raise RuntimeError(
            f"Device '{name}' does not have a corresponding module registered as "
            f"'torch.{name}'."
        )
    return module


def from_file(
    filename: str,
    shared: bool | None = False,
    size: int | None = 0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A vector of ``size`` elements of a file's bytes, mapped: see UntypedStorage."""
    import dispatchtorch as torch

    if Device(device or "cpu").type != "cpu":
        raise RuntimeError("from_file maps files into host memory only")
    found = torch.get_default_dtype() if dtype is None else dtype
    storage = torch.UntypedStorage.from_file(
        filename, bool(shared), (size or 0) * found.itemsize
    )
    made = torch.empty(0, dtype=found).set_(storage, 0, (size or 0,))
    return made.requires_grad_(requires_grad)  # type: ignore[no-any-return]


# Numbers that compilers would trace; here they are Python's own.


class SymInt:
    """An integer unknown until run time. There is none: shapes are always known."""


class SymFloat:
    """A float unknown until run time. There is none."""


class SymBool:
    """A bool unknown until run time. There is none."""


for _symbol in (SymInt, SymFloat, SymBool):
    _symbol.__module__ = "torch"


def sym_int(a: Any) -> int:
    """A number without its fraction."""
    return math.trunc(a)


def sym_float(a: Any) -> float:
    """A number as a float."""
    return float(a)


def sym_max(a: Any, b: Any) -> Any:
    """The larger number; a float where either is."""
    return _as_common(max(a, b), a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller number; a float where either is."""
    return _as_common(min(a, b), a, b)


def _as_common(value: Any, a: Any, b: Any) -> Any:
    return float(value) if isinstance(a, float) or isinstance(b, float) else value


def sym_not(a: Any) -> bool:
    """The negation of a bool."""
    return not a


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """``t`` where ``b`` is true, else ``f``."""
    return t if b else f


def sym_sum(args: Any) -> Any:
    """The sum of numbers."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root of a number."""
    return math.sqrt(a)


def sym_constrain_range(
    size: Any, *, min: int | None = None, max: int | None = None
) -> None:
    """Checks that a number lies in a range; RuntimeError where it doesn't."""
    if (min is not None and size < min) or (max is not None and size > max):
        raise RuntimeError(f"Invalid value range for {size} between [{min}, {max}].")


def sym_constrain_range_for_size(
    size: Any, *, min: int | None = None, max: int | None = None
) -> None:
    """As :func:`sym_constrain_range`, for sizes: never negative."""
    sym_constrain_range(size, min=0 if min is None else min, max=max)

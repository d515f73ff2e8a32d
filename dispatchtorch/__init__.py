"""dispatchtorch: PyTorch's API, with every device a plugin and every feature a layer.

    import dispatchtorch as torch

Functions are generated from operator schemas when they are first named, and subpackages
are imported when they are first named, so that importing this package stays cheap.
"""

from __future__ import annotations

import sys as _sys
from typing import Any

from dispatchtorch import dtypes as _dtypes
from dispatchtorch import ops as _ops
from dispatchtorch.device import device
from dispatchtorch.dtypes import *
from dispatchtorch.dtypes import dtype, finfo, iinfo
from dispatchtorch.memory_format import *
from dispatchtorch.size import Size
from dispatchtorch.version import __version__

# isort: split
import dispatchtorch.device_layer
import dispatchtorch.ops.all
import dispatchtorch.autograd.layer
import dispatchtorch._tensor_methods
import dispatchtorch._tensor_operators
import dispatchtorch._settings
import dispatchtorch.rejection
import dispatchtorch.overrides
from dispatchtorch import autograd
from dispatchtorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from dispatchtorch._settings import *
from dispatchtorch.factory import (
    as_tensor,
    asarray,
    from_dlpack,
    from_numpy,
    frombuffer,
    tensor,
)
from dispatchtorch.tensor import Tensor

for _d in _dtypes.DTYPES:
    globals()[_d.name] = _d
for _alias, _name in {
    "float": "float32", "double": "float64", "half": "float16", "int": "int32",
    "long": "int64", "short": "int16", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    globals()[_alias] = globals()[_name]

# Names that live in modules which are imported when one of them is first used.
_LAZY = {
    name: module
    for module, names in {
        "dispatchtorch.amp": "autocast",
        "dispatchtorch.serialization": "save load",
        "dispatchtorch.random": "manual_seed seed initial_seed get_rng_state "
        "set_rng_state Generator default_generator",
        "dispatchtorch._tensor_str": "set_printoptions",
        "dispatchtorch.storage": "UntypedStorage TypedStorage FloatStorage DoubleStorage "
        "HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage "
        "ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage",
        "dispatchtorch.functional": "broadcast_tensors broadcast_shapes meshgrid "
        "cartesian_prod block_diag atleast_1d atleast_2d atleast_3d unravel_index einsum "
        "chain_matmul",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    from dispatchtorch.dispatch.operator import packets

    packet = packets.get(name)
    if packet is not None and "function" in packet.variants:
        made = globals()[name] = packet.callable("function")
        return made
    module = _LAZY.get(name)
    if module is not None:
        value = globals()[name] = getattr(import_module(module), name)
        return value
    if not name.startswith("__"):
        full = f"{__name__}.{name}"
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
        from dispatchtorch.plugins import manager

        if name in manager.known_devices():
            from dispatchtorch.device_namespace import namespace

            made = globals()[name] = _sys.modules[full] = namespace(name)  # type: ignore[assignment]
            return made
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


def __dir__() -> list[str]:
    from dispatchtorch.dispatch.operator import packets

    functions = {n for n, p in packets.items() if "function" in p.variants}
    return sorted({*globals(), *_LAZY, *functions})

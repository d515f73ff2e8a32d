"""dispatchtorch: PyTorch's API, with every device a plugin and every feature a layer.

    import dispatchtorch as torch

Functions are generated from operator schemas when they are first named, and subpackages
are imported when they are first named, so that importing this package stays cheap.
"""

from __future__ import annotations

import sys as _sys
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from dispatchtorch import dtypes as _dtypes
from dispatchtorch import ops as _operators
from dispatchtorch.device import device
from dispatchtorch.dtypes import *
from dispatchtorch.dtypes import dtype, finfo, iinfo
from dispatchtorch.memory_format import *
from dispatchtorch.size import Size
from dispatchtorch.torch_version import TorchVersion as _TorchVersion
from dispatchtorch.version import __version__

# isort: split
import dispatchtorch.device_layer
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

# `torch.ops` is PyTorch's door to operators; the package of that name stays importable.
del globals()["ops"]

if TYPE_CHECKING:  # what __getattr__ makes: written by `python -m dispatchtorch._stubs`
    from dispatchtorch import _C as _C
    from dispatchtorch._functions import *

for _d in _dtypes.DTYPES:
    globals()[_d.name] = _d
for _alias, _name in {
    "float": "float32", "double": "float64", "half": "float16", "int": "int32",
    "long": "int64", "short": "int16", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    globals()[_alias] = globals()[_name]
newaxis = None
legacy_contiguous_format = contiguous_format  # noqa: F405
__version__ = _TorchVersion(__version__)

# Names that live in modules which are imported when one of them is first used.
_LAZY = {
    name: module
    for module, names in {
        "dispatchtorch._library.tags": "Tag",
        "dispatchtorch._ops": "ops",
        "dispatchtorch.overrides": "DisableTorchFunction DisableTorchFunctionSubclass",
        "dispatchtorch.amp": "autocast",
        "dispatchtorch.compiler": "compile",
        "dispatchtorch.serialization": "save load",
        "dispatchtorch.sparse.construct": "sparse_coo_tensor sparse_csr_tensor "
        "sparse_csc_tensor sparse_bsr_tensor sparse_bsc_tensor sparse_compressed_tensor",
        "dispatchtorch.random": "manual_seed seed initial_seed get_rng_state "
        "set_rng_state Generator default_generator thread_safe_generator",
        "dispatchtorch.streams": "Stream Event",
        "dispatchtorch._storage.base": "StorageBase",
        "dispatchtorch._tensor_str": "set_printoptions",
        "dispatchtorch.storage": "Storage UntypedStorage TypedStorage FloatStorage DoubleStorage "
        "HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage "
        "ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage",
        "dispatchtorch.functional": "broadcast_tensors broadcast_shapes meshgrid "
        "cartesian_prod block_diag atleast_1d atleast_2d atleast_3d unravel_index einsum "
        "chain_matmul lu split",
        "dispatchtorch.linalg._lowrank": "pca_lowrank svd_lowrank",
        "dispatchtorch.linalg._lobpcg": "lobpcg",
        "dispatchtorch.linalg._removed": "eig lstsq matrix_rank solve symeig",
        "dispatchtorch._runtime": "AcceleratorError FatalError OutOfMemoryError SymBool SymFloat SymInt "
        "are_deterministic_algorithms_enabled as_strided_ detach detach_ from_file "
        "get_deterministic_debug_mode get_device get_device_module "
        "get_float32_matmul_precision get_num_interop_threads has_lapack "
        "has_mkl has_openmp has_spectral init_num_threads "
        "is_anomaly_check_nan_enabled is_anomaly_enabled is_conj "
        "is_deterministic_algorithms_warn_only_enabled is_distributed "
        "is_inference is_inference_mode_enabled is_neg is_signed "
        "is_vulkan_available is_warn_always_enabled resize_as_ resize_as_sparse_ "
        "set_anomaly_enabled set_deterministic_debug_mode "
        "set_float32_matmul_precision set_flush_denormal "
        "set_num_interop_threads set_warn_always sym_constrain_range "
        "sym_constrain_range_for_size sym_float sym_int sym_ite sym_max "
        "sym_min sym_not sym_sqrt sym_sum use_deterministic_algorithms",
        "dispatchtorch.utils.dlpack": "to_dlpack",
        "dispatchtorch._tensor_types": "BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor "
        "FloatTensor HalfTensor IntTensor LongTensor ShortTensor tensortype",
        "dispatchtorch.nn._recurrent": "gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh "
        "rnn_tanh_cell",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    from dispatchtorch.dispatch.operator import families

    module = _LAZY.get(name)
    if module is not None:
        value = globals()[name] = getattr(import_module(module), name)
        return value
    if not families.knows(name):
        found = _submodule(name)
        if found is not None:
            return found
    from dispatchtorch.dispatch.operator import packets

    packet = packets.get(name)
    if packet is not None and "function" in packet.variants:
        made = globals()[name] = packet.callable("function")
        return made
    found = _submodule(name)
    if found is None:
        from dispatchtorch._absent import explanation

        raise AttributeError(
            f"module 'torch' has no attribute '{name}'{explanation(name)}"
        )
    return found


def _submodule(name: str) -> Any:
    from importlib import import_module

    if name.startswith("__"):
        return None
    full = f"{__name__}.{name}"
    try:
        return import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
    return None


class _DeviceFinder:
    """How ``import dispatchtorch.<device type>`` finds what is made and no file."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith(f"{__name__}."):
            return None
        from dispatchtorch.device_namespace import find_spec

        return find_spec(name)


_sys.meta_path.append(_DeviceFinder)  # type: ignore[arg-type]


def __dir__() -> list[str]:
    from dispatchtorch.dispatch.operator import packets

    functions = {n for n, p in packets.items() if "function" in p.variants}
    return sorted({*globals(), *_LAZY, *functions})

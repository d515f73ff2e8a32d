# Written by `python -m dispatchtorch._stubs` from the operators' schemas.
# mypy: disable-error-code="overload-overlap, overload-cannot-match, misc, override"
# mypy: disable-error-code="no-redef, assignment"
# ruff: noqa

from builtins import bool as _bool, complex as _complex, float as _float
from builtins import int as _int, str as _str, tuple as _tuple, list as _list
from builtins import type as _type, object as _object
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from dispatchtorch.device import device as _device
from dispatchtorch.dtypes import dtype as _dtype
from dispatchtorch.memory_format import layout as _layout
from dispatchtorch.memory_format import memory_format as _memory_format
from dispatchtorch.size import Size as _Size
from dispatchtorch.tensor import Tensor

_Number = _int | _float | _complex | _bool
_Device = _device | _str | _int | None
_DType = _dtype | _type[Any]

from dispatchtorch import accelerator as accelerator
from dispatchtorch import amp as amp
from dispatchtorch import autograd as autograd
from dispatchtorch import backends as backends
from dispatchtorch import distributions as distributions
from dispatchtorch import fft as fft
from dispatchtorch import func as func
from dispatchtorch import functional as functional
from dispatchtorch import hub as hub
from dispatchtorch import jit as jit
from dispatchtorch import library as library
from dispatchtorch import linalg as linalg
from dispatchtorch import nn as nn
from dispatchtorch import optim as optim
from dispatchtorch import overrides as overrides
from dispatchtorch import random as random
from dispatchtorch import serialization as serialization
from dispatchtorch import special as special
from dispatchtorch import storage as storage
from dispatchtorch import testing as testing
from dispatchtorch import utils as utils
from dispatchtorch._library.tags import Tag as Tag

ops: Any
from dispatchtorch._runtime import AcceleratorError as AcceleratorError
from dispatchtorch._runtime import FatalError as FatalError
from dispatchtorch._runtime import OutOfMemoryError as OutOfMemoryError
from dispatchtorch._runtime import SymBool as SymBool
from dispatchtorch._runtime import SymFloat as SymFloat
from dispatchtorch._runtime import SymInt as SymInt
from dispatchtorch._runtime import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
)
from dispatchtorch._runtime import as_strided_ as as_strided_
from dispatchtorch._runtime import detach as detach
from dispatchtorch._runtime import detach_ as detach_
from dispatchtorch._runtime import from_file as from_file
from dispatchtorch._runtime import (
    get_deterministic_debug_mode as get_deterministic_debug_mode,
)
from dispatchtorch._runtime import get_device as get_device
from dispatchtorch._runtime import get_device_module as get_device_module
from dispatchtorch._runtime import (
    get_float32_matmul_precision as get_float32_matmul_precision,
)
from dispatchtorch._runtime import get_num_interop_threads as get_num_interop_threads
from dispatchtorch._runtime import has_lapack as has_lapack
from dispatchtorch._runtime import has_mkl as has_mkl
from dispatchtorch._runtime import has_openmp as has_openmp
from dispatchtorch._runtime import has_spectral as has_spectral
from dispatchtorch._runtime import init_num_threads as init_num_threads
from dispatchtorch._runtime import (
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
)
from dispatchtorch._runtime import is_anomaly_enabled as is_anomaly_enabled
from dispatchtorch._runtime import is_conj as is_conj
from dispatchtorch._runtime import (
    is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled,
)
from dispatchtorch._runtime import is_distributed as is_distributed
from dispatchtorch._runtime import is_inference as is_inference
from dispatchtorch._runtime import (
    is_inference_mode_enabled as is_inference_mode_enabled,
)
from dispatchtorch._runtime import is_neg as is_neg
from dispatchtorch._runtime import is_signed as is_signed
from dispatchtorch._runtime import is_vulkan_available as is_vulkan_available
from dispatchtorch._runtime import is_warn_always_enabled as is_warn_always_enabled
from dispatchtorch._runtime import resize_as_ as resize_as_
from dispatchtorch._runtime import set_anomaly_enabled as set_anomaly_enabled
from dispatchtorch._runtime import (
    set_deterministic_debug_mode as set_deterministic_debug_mode,
)
from dispatchtorch._runtime import (
    set_float32_matmul_precision as set_float32_matmul_precision,
)
from dispatchtorch._runtime import set_flush_denormal as set_flush_denormal
from dispatchtorch._runtime import set_num_interop_threads as set_num_interop_threads
from dispatchtorch._runtime import set_warn_always as set_warn_always
from dispatchtorch._runtime import sym_constrain_range as sym_constrain_range
from dispatchtorch._runtime import (
    sym_constrain_range_for_size as sym_constrain_range_for_size,
)
from dispatchtorch._runtime import sym_float as sym_float
from dispatchtorch._runtime import sym_int as sym_int
from dispatchtorch._runtime import sym_ite as sym_ite
from dispatchtorch._runtime import sym_max as sym_max
from dispatchtorch._runtime import sym_min as sym_min
from dispatchtorch._runtime import sym_not as sym_not
from dispatchtorch._runtime import sym_sqrt as sym_sqrt
from dispatchtorch._runtime import sym_sum as sym_sum
from dispatchtorch._runtime import (
    use_deterministic_algorithms as use_deterministic_algorithms,
)
from dispatchtorch._tensor_str import set_printoptions as set_printoptions
from dispatchtorch._tensor_types import BFloat16Tensor as BFloat16Tensor
from dispatchtorch._tensor_types import BoolTensor as BoolTensor
from dispatchtorch._tensor_types import ByteTensor as ByteTensor
from dispatchtorch._tensor_types import CharTensor as CharTensor
from dispatchtorch._tensor_types import DoubleTensor as DoubleTensor
from dispatchtorch._tensor_types import FloatTensor as FloatTensor
from dispatchtorch._tensor_types import HalfTensor as HalfTensor
from dispatchtorch._tensor_types import IntTensor as IntTensor
from dispatchtorch._tensor_types import LongTensor as LongTensor
from dispatchtorch._tensor_types import ShortTensor as ShortTensor
from dispatchtorch._tensor_types import tensortype as tensortype
from dispatchtorch.amp import autocast as autocast
from dispatchtorch.compiler import compile as compile
from dispatchtorch.functional import atleast_1d as atleast_1d
from dispatchtorch.functional import atleast_2d as atleast_2d
from dispatchtorch.functional import atleast_3d as atleast_3d
from dispatchtorch.functional import block_diag as block_diag
from dispatchtorch.functional import broadcast_shapes as broadcast_shapes
from dispatchtorch.functional import broadcast_tensors as broadcast_tensors
from dispatchtorch.functional import cartesian_prod as cartesian_prod
from dispatchtorch.functional import chain_matmul as chain_matmul
from dispatchtorch.functional import einsum as einsum
from dispatchtorch.functional import lu as lu
from dispatchtorch.functional import meshgrid as meshgrid
from dispatchtorch.functional import split as split
from dispatchtorch.functional import unravel_index as unravel_index
from dispatchtorch.linalg._lobpcg import lobpcg as lobpcg
from dispatchtorch.linalg._lowrank import pca_lowrank as pca_lowrank
from dispatchtorch.linalg._lowrank import svd_lowrank as svd_lowrank
from dispatchtorch.linalg._removed import eig as eig
from dispatchtorch.linalg._removed import lstsq as lstsq
from dispatchtorch.linalg._removed import matrix_rank as matrix_rank
from dispatchtorch.linalg._removed import solve as solve
from dispatchtorch.linalg._removed import symeig as symeig
from dispatchtorch.nn._recurrent import gru as gru
from dispatchtorch.nn._recurrent import gru_cell as gru_cell
from dispatchtorch.nn._recurrent import lstm as lstm
from dispatchtorch.nn._recurrent import lstm_cell as lstm_cell
from dispatchtorch.nn._recurrent import rnn_relu as rnn_relu
from dispatchtorch.nn._recurrent import rnn_relu_cell as rnn_relu_cell
from dispatchtorch.nn._recurrent import rnn_tanh as rnn_tanh
from dispatchtorch.nn._recurrent import rnn_tanh_cell as rnn_tanh_cell
from dispatchtorch.overrides import DisableTorchFunction as DisableTorchFunction
from dispatchtorch.overrides import (
    DisableTorchFunctionSubclass as DisableTorchFunctionSubclass,
)
from dispatchtorch.random import Generator as Generator
from dispatchtorch.random import default_generator as default_generator
from dispatchtorch.random import get_rng_state as get_rng_state
from dispatchtorch.random import initial_seed as initial_seed
from dispatchtorch.random import manual_seed as manual_seed
from dispatchtorch.random import seed as seed
from dispatchtorch.random import set_rng_state as set_rng_state
from dispatchtorch.random import thread_safe_generator as thread_safe_generator
from dispatchtorch.serialization import load as load
from dispatchtorch.serialization import save as save
from dispatchtorch.sparse.construct import sparse_bsc_tensor as sparse_bsc_tensor
from dispatchtorch.sparse.construct import sparse_bsr_tensor as sparse_bsr_tensor
from dispatchtorch.sparse.construct import (
    sparse_compressed_tensor as sparse_compressed_tensor,
)
from dispatchtorch.sparse.construct import sparse_coo_tensor as sparse_coo_tensor
from dispatchtorch.sparse.construct import sparse_csc_tensor as sparse_csc_tensor
from dispatchtorch.sparse.construct import sparse_csr_tensor as sparse_csr_tensor

BFloat16Storage: Any
BoolStorage: Any
ByteStorage: Any
CharStorage: Any
ComplexDoubleStorage: Any
ComplexFloatStorage: Any
DoubleStorage: Any
FloatStorage: Any
HalfStorage: Any
IntStorage: Any
LongStorage: Any
ShortStorage: Any
from dispatchtorch.storage import TypedStorage as TypedStorage
from dispatchtorch.storage import UntypedStorage as UntypedStorage

bfloat16: _dtype
bool: _dtype
cdouble: _dtype
cfloat: _dtype
complex128: _dtype
complex64: _dtype
double: _dtype
float: _dtype
float16: _dtype
float32: _dtype
float64: _dtype
float8_e4m3fn: _dtype
float8_e4m3fnuz: _dtype
float8_e5m2: _dtype
float8_e5m2fnuz: _dtype
float8_e8m0fnu: _dtype
half: _dtype
int: _dtype
int16: _dtype
int32: _dtype
int64: _dtype
int8: _dtype
long: _dtype
short: _dtype
uint16: _dtype
uint32: _dtype
uint64: _dtype
uint8: _dtype

def _addmm_activation(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    use_gelu: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def _block_diag(tensors: _tuple[Tensor, ...] | _list[Tensor]) -> Tensor: ...
def _chunk_cat(
    tensors: _tuple[Tensor, ...] | _list[Tensor],
    dim: _int,
    num_chunks: _int,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def _conj(input: Tensor) -> Tensor: ...
def _conj_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def _conj_physical(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def _ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Sequence[_int],
    target_lengths: Sequence[_int],
    blank: _int = ...,
    zero_infinity: _bool = ...,
) -> Any: ...
def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor: ...
def _embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: _bool = ...,
    mode: _int = ...,
    sparse: _bool = ...,
    per_sample_weights: Tensor | None = ...,
    include_last_offset: _bool = ...,
    padding_idx: _int = ...,
) -> Any: ...
def _fft_c2c(
    input: Tensor, dim: Sequence[_int], normalization: _int, forward: _bool
) -> Tensor: ...
def _fft_c2r(
    input: Tensor, dim: Sequence[_int], normalization: _int, last_dim_size: _int
) -> Tensor: ...
def _fft_r2c(
    input: Tensor, dim: Sequence[_int], normalization: _int, onesided: _bool
) -> Tensor: ...
def _foreach_abs(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_abs_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_acos(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_acos_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
    *,
    alpha: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor, *, alpha: _Number = ...
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
    *,
    alpha: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add_(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor, *, alpha: _Number = ...
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_add_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    value: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Tensor,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    value: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcdiv_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Tensor,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    value: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Tensor,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    value: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_addcmul_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensor1: _tuple[Tensor, ...] | _list[Tensor],
    tensor2: _tuple[Tensor, ...] | _list[Tensor],
    scalars: Tensor,
) -> _tuple[Tensor, ...]: ...
def _foreach_asin(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_asin_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_atan(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_atan_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_ceil(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_ceil_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_max_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_clamp_min_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
def _foreach_clone(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_copy_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    src: _tuple[Tensor, ...] | _list[Tensor],
    non_blocking: _bool = ...,
) -> _tuple[Tensor, ...]: ...
def _foreach_cos(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_cos_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_cosh(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_cosh_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div_(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_div_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
def _foreach_erf(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_erf_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_erfc(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_erfc_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_exp(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_exp_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_expm1(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_expm1_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_floor(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_floor_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_frac(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_frac_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weights: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weight: _Number,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weight: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weights: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weight: _Number,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_lerp_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    tensors1: _tuple[Tensor, ...] | _list[Tensor],
    weight: Sequence[_Number],
) -> _tuple[Tensor, ...]: ...
def _foreach_lgamma(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_lgamma_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_log10(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log10_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log1p(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log1p_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log2(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log2_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_log_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_max(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_maximum_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_minimum_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul_(
    input: _tuple[Tensor, ...] | _list[Tensor], other: Tensor
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_mul_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
def _foreach_neg(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_neg_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_norm(
    input: _tuple[Tensor, ...] | _list[Tensor],
    ord: _Number = ...,
    dtype: _DType | None = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow(
    input: _tuple[Tensor, ...] | _list[Tensor],
    exponent: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow(
    input: _tuple[Tensor, ...] | _list[Tensor], exponent: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow(
    input: _tuple[Tensor, ...] | _list[Tensor], exponent: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow(
    input: _Number, exponent: _tuple[Tensor, ...] | _list[Tensor]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    exponent: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow_(
    input: _tuple[Tensor, ...] | _list[Tensor], exponent: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_pow_(
    input: _tuple[Tensor, ...] | _list[Tensor], exponent: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
def _foreach_reciprocal(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_reciprocal_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_round(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_round_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_rsqrt(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_rsqrt_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sigmoid(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sigmoid_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sign(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sign_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sin(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_sin_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sinh(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sinh_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sqrt(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_sqrt_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
    *,
    alpha: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub_(
    input: _tuple[Tensor, ...] | _list[Tensor],
    other: _tuple[Tensor, ...] | _list[Tensor],
    *,
    alpha: _Number = ...,
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalar: _Number
) -> _tuple[Tensor, ...]: ...
@overload
def _foreach_sub_(
    input: _tuple[Tensor, ...] | _list[Tensor], scalars: Sequence[_Number]
) -> _tuple[Tensor, ...]: ...
def _foreach_tan(input: _tuple[Tensor, ...] | _list[Tensor]) -> _tuple[Tensor, ...]: ...
def _foreach_tan_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_tanh(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_tanh_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_trunc(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_trunc_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _foreach_zero_(
    input: _tuple[Tensor, ...] | _list[Tensor],
) -> _tuple[Tensor, ...]: ...
def _linalg_det(A: Tensor, *, out: Any = ...) -> Any: ...
def _linalg_eigh(
    A: Tensor, UPLO: _str = ..., compute_v: _bool = ..., *, out: Any = ...
) -> Any: ...
def _linalg_slogdet(A: Tensor, *, out: Any = ...) -> Any: ...
def _linalg_solve_ex(
    A: Tensor,
    B: Tensor,
    *,
    left: _bool = ...,
    check_errors: _bool = ...,
    out: Any = ...,
) -> Any: ...
def _linalg_svd(
    A: Tensor,
    full_matrices: _bool = ...,
    compute_uv: _bool = ...,
    *,
    driver: _str | None = ...,
    out: Any = ...,
) -> Any: ...
def _log_softmax(
    input: Tensor, dim: _int, half_to_float: _bool, *, out: Tensor | None = ...
) -> Tensor: ...
def _log_softmax_backward_data(
    grad_output: Tensor,
    output: Tensor,
    dim: _int,
    input_dtype: _DType,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def _lu_with_info(
    input: Tensor, pivot: _bool = ..., check_errors: _bool = ...
) -> Any: ...
@overload
def _native_batch_norm_legit(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    training: _bool,
    momentum: _Number,
    eps: _Number,
) -> _tuple[Tensor, Tensor, Tensor]: ...
@overload
def _native_batch_norm_legit(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: _bool,
    momentum: _Number,
    eps: _Number,
) -> _tuple[Tensor, Tensor, Tensor]: ...
def _neg_view(input: Tensor) -> Tensor: ...
def _neg_view_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def _prelu_kernel(input: Tensor, weight: Tensor) -> Tensor: ...
def _safe_softmax(input: Tensor, dim: _int, dtype: _DType | None = ...) -> Tensor: ...
def _sample_dirichlet(input: Tensor, generator: Any = ...) -> Tensor: ...
def _scaled_dot_product_attention_math(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = ...,
    dropout_p: _Number = ...,
    is_causal: _bool = ...,
    dropout_mask: Tensor | None = ...,
    *,
    scale: _Number | None = ...,
    enable_gqa: _bool = ...,
) -> _tuple[Tensor, Tensor]: ...
def _segment_reduce(
    data: Tensor,
    reduce: _str,
    *,
    lengths: Tensor | None = ...,
    indices: Tensor | None = ...,
    offsets: Tensor | None = ...,
    axis: _int = ...,
    unsafe: _bool = ...,
    initial: _Number | None = ...,
) -> Tensor: ...
def _softmax(
    input: Tensor, dim: _int, half_to_float: _bool, *, out: Tensor | None = ...
) -> Tensor: ...
def _softmax_backward_data(
    grad_output: Tensor,
    output: Tensor,
    dim: _int,
    input_dtype: _DType,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def _special(
    operands: _tuple[Tensor, ...] | _list[Tensor],
    function: _str,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def _standard_gamma(input: Tensor, generator: Any = ...) -> Tensor: ...
def _standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor: ...
def _to_copy(
    input: Tensor,
    *,
    dtype: _DType | None = ...,
    device: _Device | None = ...,
    non_blocking: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
def _unsafe_masked_index(
    input: Tensor,
    mask: Tensor,
    indices: _tuple[Tensor | None, ...] | _list[Tensor | None],
    fill: _Number,
) -> Tensor: ...
def _unsafe_masked_index_put_accumulate(
    input: Tensor,
    mask: Tensor,
    indices: _tuple[Tensor | None, ...] | _list[Tensor | None],
    values: Tensor,
) -> Tensor: ...
def _unsafe_view(input: Tensor, size: Sequence[_int]) -> Tensor: ...
def _view_dtype(input: Tensor, dtype: _DType) -> Tensor: ...
def _weight_norm(v: Tensor, g: Tensor, dim: _int = ...) -> Tensor: ...
def abs(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def abs_(input: Tensor) -> Tensor: ...
def absolute(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def absolute_(input: Tensor) -> Tensor: ...
def acos(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def acos_(input: Tensor) -> Tensor: ...
def acosh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def acosh_(input: Tensor) -> Tensor: ...
def adaptive_avg_pool1d(
    input: Tensor, output_size: _int | Sequence[_int]
) -> Tensor: ...
def adaptive_max_pool1d(
    input: Tensor, output_size: _int | Sequence[_int]
) -> _tuple[Tensor, Tensor]: ...
def add(
    input: Tensor,
    other: Tensor | _Number,
    *,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def add_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = ...) -> Tensor: ...
def addbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addbmm_(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addcdiv(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addcdiv_(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = ...
) -> Tensor: ...
def addcmul(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addcmul_(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: _Number = ...
) -> Tensor: ...
def addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addmm_(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
) -> Tensor: ...
def addmv(
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addmv_(
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addr(
    input: Tensor,
    vec1: Tensor,
    vec2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def addr_(
    input: Tensor,
    vec1: Tensor,
    vec2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def adjoint(input: Tensor) -> Tensor: ...
def affine_grid_generator(
    theta: Tensor, size: Sequence[_int], align_corners: _bool
) -> Tensor: ...
def alias_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def all(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def all(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: _Number = ...,
    atol: _Number = ...,
    equal_nan: _bool = ...,
) -> _bool: ...
def alpha_dropout(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def alpha_dropout_(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def amax(
    input: Tensor,
    dim: _int | Sequence[_int] = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def amin(
    input: Tensor,
    dim: _int | Sequence[_int] = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def aminmax(
    input: Tensor, *, dim: _int | None = ..., keepdim: _bool = ..., out: Any = ...
) -> Any: ...
def angle(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def any(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def any(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def arange(
    end: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def arange(
    start: _Number,
    end: _Number,
    step: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def arccos(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arccos_(input: Tensor) -> Tensor: ...
def arccosh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arccosh_(input: Tensor) -> Tensor: ...
def arcsin(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arcsin_(input: Tensor) -> Tensor: ...
def arcsinh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arcsinh_(input: Tensor) -> Tensor: ...
def arctan(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arctan2(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arctan2_(input: Tensor, other: Tensor) -> Tensor: ...
def arctan_(input: Tensor) -> Tensor: ...
def arctanh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def arctanh_(input: Tensor) -> Tensor: ...
def argmax(
    input: Tensor,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def argmin(
    input: Tensor,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def argsort(input: Tensor, dim: _int = ..., descending: _bool = ...) -> Tensor: ...
@overload
def argsort(
    input: Tensor, *, stable: _bool, dim: _int = ..., descending: _bool = ...
) -> Tensor: ...
def argwhere(input: Tensor) -> Tensor: ...
def as_strided(
    input: Tensor,
    size: Sequence[_int],
    stride: Sequence[_int],
    storage_offset: _int | None = ...,
) -> Tensor: ...
def as_strided_copy(
    input: Tensor,
    size: Sequence[_int],
    stride: Sequence[_int],
    storage_offset: _int | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[_int],
    stride: Sequence[_int],
    storage_offset: _int | None = ...,
) -> Tensor: ...
def asin(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def asin_(input: Tensor) -> Tensor: ...
def asinh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def asinh_(input: Tensor) -> Tensor: ...
def atan(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def atan2_(input: Tensor, other: Tensor) -> Tensor: ...
def atan_(input: Tensor) -> Tensor: ...
def atanh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def atanh_(input: Tensor) -> Tensor: ...
def avg_pool1d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
    count_include_pad: _bool = ...,
) -> Tensor: ...
def avg_pool2d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
    count_include_pad: _bool = ...,
    divisor_override: _int | None = ...,
) -> Tensor: ...
def avg_pool3d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
    count_include_pad: _bool = ...,
    divisor_override: _int | None = ...,
) -> Tensor: ...
def baddbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def baddbmm_(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def bartlett_window(
    window_length: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def bartlett_window(
    window_length: _int,
    periodic: _bool,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: _bool,
    momentum: _Number,
    eps: _Number,
    cudnn_enabled: _bool,
) -> Tensor: ...
def batch_norm_update_stats(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: _Number,
) -> _tuple[Tensor, Tensor]: ...
@overload
def bernoulli(
    input: Tensor, *, generator: Any = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def bernoulli(input: Tensor, p: _Number, *, generator: Any = ...) -> Tensor: ...
def bilinear(
    input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = ...
) -> Tensor: ...
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = ...,
    pos_weight: Tensor | None = ...,
    reduction: _int = ...,
) -> Tensor: ...
def bincount(
    input: Tensor, weights: Tensor | None = ..., minlength: _int = ...
) -> Tensor: ...
def binomial(count: Tensor, prob: Tensor, generator: Any = ...) -> Tensor: ...
def bitwise_and(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def bitwise_and_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def bitwise_left_shift(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def bitwise_left_shift_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def bitwise_not(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def bitwise_not_(input: Tensor) -> Tensor: ...
def bitwise_or(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def bitwise_or_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def bitwise_right_shift(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def bitwise_right_shift_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def bitwise_xor(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def bitwise_xor_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
@overload
def blackman_window(
    window_length: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def blackman_window(
    window_length: _int,
    periodic: _bool,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def broadcast_to(input: Tensor, size: Sequence[_int]) -> Tensor: ...
@overload
def bucketize(
    input: Tensor,
    boundaries: Tensor,
    *,
    out_int32: _bool = ...,
    right: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def bucketize(
    input: _Number, boundaries: Tensor, *, out_int32: _bool = ..., right: _bool = ...
) -> Tensor: ...
def cat(
    tensors: _tuple[Tensor, ...] | _list[Tensor],
    dim: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def cdist(
    x1: Tensor, x2: Tensor, p: _Number = ..., compute_mode: Any = ...
) -> Tensor: ...
def ceil(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def ceil_(input: Tensor) -> Tensor: ...
def celu(
    input: Tensor, alpha: _Number = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def celu_(input: Tensor, alpha: _Number = ...) -> Tensor: ...
def channel_shuffle(input: Tensor, groups: _int) -> Tensor: ...
def cholesky(
    input: Tensor, upper: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def cholesky_inverse(
    input: Tensor, upper: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def cholesky_solve(
    input: Tensor, input2: Tensor, upper: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def chunk(input: Tensor, chunks: _int, dim: _int = ...) -> _tuple[Tensor, ...]: ...
@overload
def clamp(
    input: Tensor,
    min: Tensor | None = ...,
    max: Tensor | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clamp(
    input: Tensor,
    min: _Number | None = ...,
    max: _Number | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clamp_(
    input: Tensor,
    min: Tensor | None = ...,
    max: Tensor | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clamp_(
    input: Tensor, min: _Number | None = ..., max: _Number | None = ...
) -> Tensor: ...
@overload
def clamp_max(input: Tensor, max: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_max(input: Tensor, max: _Number, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_max_(input: Tensor, max: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_max_(input: Tensor, max: _Number, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_min(input: Tensor, min: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_min(input: Tensor, min: _Number, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_min_(input: Tensor, min: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clamp_min_(input: Tensor, min: _Number, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def clip(
    input: Tensor,
    min: Tensor | None = ...,
    max: Tensor | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clip(
    input: Tensor,
    min: _Number | None = ...,
    max: _Number | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clip_(
    input: Tensor,
    min: Tensor | None = ...,
    max: Tensor | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def clip_(
    input: Tensor, min: _Number | None = ..., max: _Number | None = ...
) -> Tensor: ...
def clone(input: Tensor, *, memory_format: _memory_format | None = ...) -> Tensor: ...
def column_stack(
    tensors: _tuple[Tensor, ...] | _list[Tensor], *, out: Tensor | None = ...
) -> Tensor: ...
def combinations(
    input: Tensor, r: _int = ..., with_replacement: _bool = ...
) -> Tensor: ...
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def concat(
    tensors: _tuple[Tensor, ...] | _list[Tensor],
    dim: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def concatenate(
    tensors: _tuple[Tensor, ...] | _list[Tensor],
    dim: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def conj(input: Tensor) -> Tensor: ...
def conj_physical(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def conj_physical_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def constant_pad_nd(
    input: Tensor, pad: Sequence[_int], value: _Number = ...
) -> Tensor: ...
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: Any = ...,
    dilation: _int | Sequence[_int] = ...,
    groups: _int = ...,
) -> Tensor: ...
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: Any = ...,
    dilation: _int | Sequence[_int] = ...,
    groups: _int = ...,
) -> Tensor: ...
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: Any = ...,
    dilation: _int | Sequence[_int] = ...,
    groups: _int = ...,
) -> Tensor: ...
def conv_tbc(
    input: Tensor, weight: Tensor, bias: Tensor, pad: _int = ...
) -> Tensor: ...
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    output_padding: _int | Sequence[_int] = ...,
    groups: _int = ...,
    dilation: _int | Sequence[_int] = ...,
) -> Tensor: ...
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    output_padding: _int | Sequence[_int] = ...,
    groups: _int = ...,
    dilation: _int | Sequence[_int] = ...,
) -> Tensor: ...
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = ...,
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    output_padding: _int | Sequence[_int] = ...,
    groups: _int = ...,
    dilation: _int | Sequence[_int] = ...,
) -> Tensor: ...
def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[_int],
    padding: Sequence[_int],
    dilation: Sequence[_int],
    transposed: _bool,
    output_padding: Sequence[_int],
    groups: _int,
) -> Tensor: ...
def copysign(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def copysign_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def corrcoef(input: Tensor) -> Tensor: ...
def cos(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def cos_(input: Tensor) -> Tensor: ...
def cosh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def cosh_(input: Tensor) -> Tensor: ...
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: _Number = ...,
    reduction: _int = ...,
) -> Tensor: ...
def cosine_similarity(
    x1: Tensor, x2: Tensor, dim: _int = ..., eps: _Number = ...
) -> Tensor: ...
@overload
def count_nonzero(
    input: Tensor, dim: _int | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def count_nonzero(
    input: Tensor, dim: Sequence[_int], *, out: Tensor | None = ...
) -> Tensor: ...
def cov(
    input: Tensor,
    *,
    correction: _int = ...,
    fweights: Tensor | None = ...,
    aweights: Tensor | None = ...,
) -> Tensor: ...
def cross(
    input: Tensor, other: Tensor, dim: _int | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Sequence[_int],
    target_lengths: Sequence[_int],
    blank: _int = ...,
    reduction: _int = ...,
    zero_infinity: _bool = ...,
) -> Tensor: ...
@overload
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: _int = ...,
    reduction: _int = ...,
    zero_infinity: _bool = ...,
) -> Tensor: ...
def cummax(input: Tensor, dim: _int, *, out: Any = ...) -> Any: ...
def cummin(input: Tensor, dim: _int, *, out: Any = ...) -> Any: ...
def cumprod(
    input: Tensor, dim: _int, *, dtype: _DType | None = ..., out: Tensor | None = ...
) -> Tensor: ...
def cumprod_(input: Tensor, dim: _int, *, dtype: _DType | None = ...) -> Tensor: ...
def cumsum(
    input: Tensor, dim: _int, *, dtype: _DType | None = ..., out: Tensor | None = ...
) -> Tensor: ...
def cumsum_(input: Tensor, dim: _int, *, dtype: _DType | None = ...) -> Tensor: ...
@overload
def cumulative_trapezoid(y: Tensor, x: Tensor, *, dim: _int = ...) -> Tensor: ...
@overload
def cumulative_trapezoid(
    y: Tensor, *, dx: _Number = ..., dim: _int = ...
) -> Tensor: ...
def deg2rad(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def deg2rad_(input: Tensor) -> Tensor: ...
def det(input: Tensor) -> Tensor: ...
def detach_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def diag(
    input: Tensor, diagonal: _int = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def diag_embed(
    input: Tensor, offset: _int = ..., dim1: _int = ..., dim2: _int = ...
) -> Tensor: ...
def diagflat(input: Tensor, offset: _int = ...) -> Tensor: ...
def diagonal(
    input: Tensor, offset: _int = ..., dim1: _int = ..., dim2: _int = ...
) -> Tensor: ...
def diagonal_backward(
    grad_output: Tensor,
    input_sizes: Sequence[_int],
    offset: _int,
    dim1: _int,
    dim2: _int,
) -> Tensor: ...
def diagonal_copy(
    input: Tensor,
    offset: _int = ...,
    dim1: _int = ...,
    dim2: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: _int = ..., dim1: _int = ..., dim2: _int = ...
) -> Tensor: ...
def diff(
    input: Tensor,
    n: _int = ...,
    dim: _int = ...,
    prepend: Tensor | None = ...,
    append: Tensor | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def digamma(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def digamma_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def dist(
    input: Tensor, other: Tensor, p: _Number = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def div(
    input: Tensor,
    other: Tensor | _Number,
    *,
    rounding_mode: _str | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def div_(
    input: Tensor, other: Tensor | _Number, *, rounding_mode: _str | None = ...
) -> Tensor: ...
def divide(
    input: Tensor,
    other: Tensor | _Number,
    *,
    rounding_mode: _str | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def divide_(
    input: Tensor, other: Tensor | _Number, *, rounding_mode: _str | None = ...
) -> Tensor: ...
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def dropout(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def dropout_(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def dsmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def dsplit(input: Tensor, sections: _int) -> _tuple[Tensor, ...]: ...
@overload
def dsplit(input: Tensor, indices: Sequence[_int]) -> _tuple[Tensor, ...]: ...
def dstack(
    tensors: _tuple[Tensor, ...] | _list[Tensor], *, out: Tensor | None = ...
) -> Tensor: ...
def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: _int = ...,
    scale_grad_by_freq: _bool = ...,
    sparse: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: _bool = ...,
    mode: _int = ...,
    sparse: _bool = ...,
    per_sample_weights: Tensor | None = ...,
    include_last_offset: _bool = ...,
    padding_idx: _int | None = ...,
) -> _tuple[Tensor, Tensor, Tensor, Tensor]: ...
def embedding_renorm_(
    input: Tensor, indices: Tensor, max_norm: _Number, norm_type: _Number
) -> Tensor: ...
@overload
def empty(
    size: Sequence[_int],
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def empty(
    *size: _int,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def empty_like(
    input: Tensor,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
def empty_permuted(
    size: Sequence[_int],
    physical_layout: Sequence[_int],
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def empty_strided(
    size: Sequence[_int],
    stride: Sequence[_int],
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def eq(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def eq_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def equal(input: Tensor, other: Tensor) -> _bool: ...
def erf(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def erf_(input: Tensor) -> Tensor: ...
def erfc(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def erfc_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def erfinv(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def erfinv_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def exp(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def exp2(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def exp2_(input: Tensor) -> Tensor: ...
def exp_(input: Tensor) -> Tensor: ...
def expand_copy(
    input: Tensor,
    size: Sequence[_int],
    *,
    implicit: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def expm1(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def expm1_(input: Tensor) -> Tensor: ...
def eye(
    n: _int,
    m: _int | None = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def feature_alpha_dropout(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def feature_alpha_dropout_(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def feature_dropout(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
def feature_dropout_(input: Tensor, p: _Number, train: _bool) -> Tensor: ...
@overload
def fill(input: Tensor, value: Tensor) -> Tensor: ...
@overload
def fill(input: Tensor, value: _Number) -> Tensor: ...
@overload
def fill_(input: Tensor, value: Tensor) -> Tensor: ...
@overload
def fill_(input: Tensor, value: _Number) -> Tensor: ...
def fix(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def fix_(input: Tensor) -> Tensor: ...
def flatten(input: Tensor, start_dim: _int = ..., end_dim: _int = ...) -> Tensor: ...
def flip(
    input: Tensor, dims: Sequence[_int], *, out: Tensor | None = ...
) -> Tensor: ...
def fliplr(input: Tensor) -> Tensor: ...
def flipud(input: Tensor) -> Tensor: ...
def float_power(
    input: Tensor | _Number, exponent: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def floor(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def floor_(input: Tensor) -> Tensor: ...
def floor_divide(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def floor_divide_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def fmax(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def fmin(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def fmod(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def fmod_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def frac(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def frac_(input: Tensor) -> Tensor: ...
def frexp(input: Tensor, *, out: Any = ...) -> Any: ...
def frobenius_norm(
    input: Tensor,
    dim: _int | Sequence[_int],
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def full(
    size: Sequence[_int],
    fill_value: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def full_like(
    input: Tensor,
    fill_value: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
def gather(
    input: Tensor,
    dim: _int,
    index: Tensor,
    *,
    sparse_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def gcd(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def gcd_(input: Tensor, other: Tensor) -> Tensor: ...
def ge(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def ge_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def gelu_(input: Tensor, *, approximate: _str = ...) -> Tensor: ...
def geqrf(input: Tensor, *, out: Any = ...) -> Any: ...
def ger(input: Tensor, vec2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def gradient(
    input: Tensor, *, spacing: Any = ..., dim: Any = ..., edge_order: _int = ...
) -> Any: ...
def greater(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def greater_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def greater_equal(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def greater_equal_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def grid_sampler(
    input: Tensor,
    grid: Tensor,
    interpolation_mode: _int,
    padding_mode: _int,
    align_corners: _bool,
) -> Tensor: ...
def grid_sampler_2d(
    input: Tensor,
    grid: Tensor,
    interpolation_mode: _int,
    padding_mode: _int,
    align_corners: _bool,
) -> Tensor: ...
def grid_sampler_3d(
    input: Tensor,
    grid: Tensor,
    interpolation_mode: _int,
    padding_mode: _int,
    align_corners: _bool,
) -> Tensor: ...
def group_norm(
    input: Tensor,
    num_groups: _int,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    eps: _Number = ...,
    cudnn_enabled: _bool = ...,
) -> Tensor: ...
def gt(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def gt_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
@overload
def hamming_window(
    window_length: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def hamming_window(
    window_length: _int,
    periodic: _bool,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def hamming_window(
    window_length: _int,
    periodic: _bool,
    alpha: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def hamming_window(
    window_length: _int,
    periodic: _bool,
    alpha: _Number,
    beta: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def hann_window(
    window_length: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def hann_window(
    window_length: _int,
    periodic: _bool,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def hardshrink(
    input: Tensor, lambd: _Number = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def hash_tensor(
    input: Tensor,
    dim: _int | Sequence[_int] = ...,
    *,
    keepdim: _bool = ...,
    mode: _int = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def heaviside_(input: Tensor, values: Tensor) -> Tensor: ...
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: _Number = ..., reduction: _int = ...
) -> Tensor: ...
def histc(
    input: Tensor,
    bins: _int = ...,
    min: _Number = ...,
    max: _Number = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def histogram(
    input: Tensor,
    bins: _int = ...,
    *,
    range: Sequence[_float] | None = ...,
    weight: Tensor | None = ...,
    density: _bool = ...,
    out: Any = ...,
) -> Any: ...
@overload
def histogram(
    input: Tensor,
    bins: Tensor,
    *,
    weight: Tensor | None = ...,
    density: _bool = ...,
    out: Any = ...,
) -> Any: ...
@overload
def histogramdd(
    input: Tensor,
    bins: Sequence[_int],
    range: Sequence[_float] | None = ...,
    weight: Tensor | None = ...,
    density: _bool = ...,
) -> Any: ...
@overload
def histogramdd(
    input: Tensor,
    bins: _int,
    range: Sequence[_float] | None = ...,
    weight: Tensor | None = ...,
    density: _bool = ...,
) -> Any: ...
@overload
def histogramdd(
    input: Tensor,
    bins: _tuple[Tensor, ...] | _list[Tensor],
    range: Sequence[_float] | None = ...,
    weight: Tensor | None = ...,
    density: _bool = ...,
) -> Any: ...
def hsmm(mat1: Tensor, mat2: Tensor) -> Tensor: ...
@overload
def hsplit(input: Tensor, sections: _int) -> _tuple[Tensor, ...]: ...
@overload
def hsplit(input: Tensor, indices: Sequence[_int]) -> _tuple[Tensor, ...]: ...
def hspmm(mat1: Tensor, mat2: Tensor) -> Tensor: ...
def hstack(
    tensors: _tuple[Tensor, ...] | _list[Tensor], *, out: Tensor | None = ...
) -> Tensor: ...
def hypot(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def hypot_(input: Tensor, other: Tensor) -> Tensor: ...
def i0(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def i0_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def igamma(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def igamma_(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def igammac(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def igammac_(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def imag(input: Tensor) -> Tensor: ...
def index_add(
    input: Tensor,
    dim: _int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def index_add_(
    input: Tensor,
    dim: _int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def index_copy(
    input: Tensor, dim: _int, index: Tensor, source: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def index_copy_(
    input: Tensor, dim: _int, index: Tensor, source: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def index_fill(input: Tensor, dim: _int, index: Tensor, value: Tensor) -> Tensor: ...
@overload
def index_fill(input: Tensor, dim: _int, index: Tensor, value: _Number) -> Tensor: ...
@overload
def index_fill_(input: Tensor, dim: _int, index: Tensor, value: Tensor) -> Tensor: ...
@overload
def index_fill_(input: Tensor, dim: _int, index: Tensor, value: _Number) -> Tensor: ...
def index_put(
    input: Tensor,
    indices: _tuple[Tensor | None, ...] | _list[Tensor | None],
    values: Tensor,
    accumulate: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def index_put_(
    input: Tensor,
    indices: _tuple[Tensor | None, ...] | _list[Tensor | None],
    values: Tensor,
    accumulate: _bool = ...,
) -> Tensor: ...
def index_reduce(
    input: Tensor,
    dim: _int,
    index: Tensor,
    source: Tensor,
    reduce: _str,
    *,
    include_self: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def index_reduce_(
    input: Tensor,
    dim: _int,
    index: Tensor,
    source: Tensor,
    reduce: _str,
    *,
    include_self: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def index_select(
    input: Tensor, dim: _int, index: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def inner(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: _bool,
    momentum: _Number,
    eps: _Number,
    cudnn_enabled: _bool,
) -> Tensor: ...
def inverse(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def is_nonzero(input: Tensor) -> _bool: ...
def is_same_size(input: Tensor, other: Tensor) -> _bool: ...
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: _Number = ...,
    atol: _Number = ...,
    equal_nan: _bool = ...,
) -> Tensor: ...
def isfinite(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def isin(
    elements: Tensor,
    test_elements: Tensor,
    *,
    assume_unique: _bool = ...,
    invert: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def isin(
    elements: Tensor,
    test_element: _Number,
    *,
    assume_unique: _bool = ...,
    invert: _bool = ...,
) -> Tensor: ...
@overload
def isin(
    element: _Number,
    test_elements: Tensor,
    *,
    assume_unique: _bool = ...,
    invert: _bool = ...,
) -> Tensor: ...
def isinf(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def isnan(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def isneginf(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def isposinf(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def isreal(input: Tensor) -> Tensor: ...
def istft(
    input: Tensor,
    n_fft: _int,
    hop_length: _int | None = ...,
    win_length: _int | None = ...,
    window: Tensor | None = ...,
    center: _bool = ...,
    normalized: _bool = ...,
    onesided: _bool | None = ...,
    length: _int | None = ...,
    return_complex: _bool = ...,
) -> Tensor: ...
@overload
def kaiser_window(
    window_length: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def kaiser_window(
    window_length: _int,
    periodic: _bool,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def kaiser_window(
    window_length: _int,
    periodic: _bool,
    beta: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
def kl_div(
    input: Tensor, target: Tensor, reduction: _int = ..., *, log_target: _bool = ...
) -> Tensor: ...
def kron(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def kthvalue(
    input: Tensor, k: _int, dim: _int = ..., keepdim: _bool = ..., *, out: Any = ...
) -> Any: ...
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[_int],
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    eps: _Number = ...,
    cudnn_enable: _bool = ...,
) -> Tensor: ...
def lcm(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def lcm_(input: Tensor, other: Tensor) -> Tensor: ...
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def ldexp_(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def le(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def le_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
@overload
def lerp(
    input: Tensor, end: Tensor, weight: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def lerp(
    input: Tensor, end: Tensor, weight: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def lerp_(
    input: Tensor, end: Tensor, weight: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def lerp_(
    input: Tensor, end: Tensor, weight: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def less(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def less_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def less_equal(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def less_equal_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def lgamma(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def lgamma_(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def linspace(
    start: Tensor,
    end: Tensor,
    steps: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def linspace(
    start: _Number,
    end: Tensor,
    steps: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def linspace(
    start: Tensor,
    end: _Number,
    steps: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def linspace(
    start: _Number,
    end: _Number,
    steps: _int,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def log(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def log10(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def log10_(input: Tensor) -> Tensor: ...
def log1p(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def log1p_(input: Tensor) -> Tensor: ...
def log2(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def log2_(input: Tensor) -> Tensor: ...
def log_(input: Tensor) -> Tensor: ...
def log_softmax(
    input: Tensor, dim: _int, dtype: _DType | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def logaddexp(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def logaddexp2(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def logcumsumexp(input: Tensor, dim: _int, *, out: Tensor | None = ...) -> Tensor: ...
def logdet(input: Tensor) -> Tensor: ...
def logical_and(
    input: Tensor, other: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def logical_and_(input: Tensor, other: Tensor) -> Tensor: ...
def logical_not(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def logical_not_(input: Tensor) -> Tensor: ...
def logical_or(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def logical_or_(input: Tensor, other: Tensor) -> Tensor: ...
def logical_xor(
    input: Tensor, other: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def logical_xor_(input: Tensor, other: Tensor) -> Tensor: ...
def logit(
    input: Tensor, eps: _Number | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def logit_(
    input: Tensor, eps: _Number | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def logspace(
    start: Tensor,
    end: Tensor,
    steps: _int,
    base: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def logspace(
    start: _Number,
    end: Tensor,
    steps: _int,
    base: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def logspace(
    start: Tensor,
    end: _Number,
    steps: _int,
    base: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def logspace(
    start: _Number,
    end: _Number,
    steps: _int,
    base: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def logsumexp(
    input: Tensor,
    dim: _int | Sequence[_int],
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def lt(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def lt_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def lu_solve(
    input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: _bool = ...,
    unpack_pivots: _bool = ...,
    *,
    out: Any = ...,
) -> Any: ...
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: _Number = ...,
    reduction: _int = ...,
) -> Tensor: ...
@overload
def masked_fill(input: Tensor, mask: Tensor, value: Tensor) -> Tensor: ...
@overload
def masked_fill(input: Tensor, mask: Tensor, value: _Number) -> Tensor: ...
@overload
def masked_fill_(input: Tensor, mask: Tensor, value: Tensor) -> Tensor: ...
@overload
def masked_fill_(input: Tensor, mask: Tensor, value: _Number) -> Tensor: ...
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor: ...
def masked_scatter_(input: Tensor, mask: Tensor, source: Tensor) -> Tensor: ...
def masked_select(
    input: Tensor, mask: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def matrix_exp(input: Tensor) -> Tensor: ...
def matrix_power(input: Tensor, n: _int, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def max(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def max(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def max(input: Tensor, dim: _int, keepdim: _bool = ..., *, out: Any = ...) -> Any: ...
def max_pool1d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> Tensor: ...
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> _tuple[Tensor, Tensor]: ...
def max_pool2d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> Tensor: ...
def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> _tuple[Tensor, Tensor]: ...
def max_pool3d(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> Tensor: ...
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: _int | Sequence[_int],
    stride: _int | Sequence[_int] = ...,
    padding: _int | Sequence[_int] = ...,
    dilation: _int | Sequence[_int] = ...,
    ceil_mode: _bool = ...,
) -> _tuple[Tensor, Tensor]: ...
def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def mean(
    input: Tensor, *, dtype: _DType | None = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def mean(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def median(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def median(
    input: Tensor, dim: _int, keepdim: _bool = ..., *, out: Any = ...
) -> Any: ...
@overload
def min(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def min(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def min(input: Tensor, dim: _int, keepdim: _bool = ..., *, out: Any = ...) -> Any: ...
def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def mode(
    input: Tensor, dim: _int = ..., keepdim: _bool = ..., *, out: Any = ...
) -> Any: ...
def moveaxis(
    input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int]
) -> Tensor: ...
def movedim(
    input: Tensor, source: _int | Sequence[_int], destination: _int | Sequence[_int]
) -> Tensor: ...
def msort(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def mul(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def mul_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def multinomial(
    input: Tensor,
    num_samples: _int,
    replacement: _bool = ...,
    *,
    generator: Any = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def multiply(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def multiply_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def mvlgamma(input: Tensor, p: _int, *, out: Tensor | None = ...) -> Tensor: ...
def mvlgamma_(input: Tensor, p: _int, *, out: Tensor | None = ...) -> Tensor: ...
def nan_to_num(
    input: Tensor,
    nan: _Number | None = ...,
    posinf: _Number | None = ...,
    neginf: _Number | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def nan_to_num_(
    input: Tensor,
    nan: _Number | None = ...,
    posinf: _Number | None = ...,
    neginf: _Number | None = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def nanmean(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def nanmedian(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def nanmedian(
    input: Tensor, dim: _int, keepdim: _bool = ..., *, out: Any = ...
) -> Any: ...
@overload
def nanquantile(
    input: Tensor,
    q: Tensor,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    interpolation: _str = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def nanquantile(
    input: Tensor,
    q: _Number,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    interpolation: _str = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def nansum(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def narrow(input: Tensor, dim: _int, start: _int, length: _int) -> Tensor: ...
def narrow_copy(
    input: Tensor, dim: _int, start: _int, length: _int, *, out: Tensor | None = ...
) -> Tensor: ...
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: _bool,
    momentum: _Number,
    eps: _Number,
    *,
    out: Any = ...,
) -> Any: ...
def native_channel_shuffle(input: Tensor, groups: _int) -> Tensor: ...
def native_dropout(input: Tensor, p: _Number, train: _bool | None) -> Any: ...
def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: _int,
    C: _int,
    HxW: _int,
    group: _int,
    eps: _Number,
    *,
    out: Any = ...,
) -> Any: ...
def native_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[_int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: _Number,
    *,
    out: Any = ...,
) -> Any: ...
def ne(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def ne_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def neg(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def neg_(input: Tensor) -> Tensor: ...
def negative(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def negative_(input: Tensor) -> Tensor: ...
def nextafter(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def nextafter_(input: Tensor, other: Tensor) -> Tensor: ...
def nonzero(
    input: Tensor, *, as_tuple: _bool = ..., out: Tensor | None = ...
) -> Tensor: ...
def nonzero_static(
    input: Tensor, *, size: _int, fill_value: _int = ..., out: Tensor | None = ...
) -> Tensor: ...
def norm(
    input: Tensor,
    p: _Number | None = ...,
    dim: _int | Sequence[_int] | None = ...,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def norm_except_dim(v: Tensor, pow: _int = ..., dim: _int = ...) -> Tensor: ...
@overload
def normal(
    mean: Tensor, std: Tensor, *, generator: Any = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def normal(
    mean: Tensor, std: _Number = ..., *, generator: Any = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def normal(
    mean: _Number, std: Tensor, *, generator: Any = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def normal(
    mean: _Number,
    std: _Number,
    size: Sequence[_int],
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def not_equal(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def not_equal_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
@overload
def nuclear_norm(
    input: Tensor, keepdim: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def nuclear_norm(
    input: Tensor,
    dim: _int | Sequence[_int],
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def ones(
    size: Sequence[_int],
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def ones(
    *size: _int,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def ones_like(
    input: Tensor,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def ormqr(
    input: Tensor,
    input2: Tensor,
    input3: Tensor,
    left: _bool = ...,
    transpose: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: _Number = ..., eps: _Number = ..., keepdim: _bool = ...
) -> Tensor: ...
def pdist(input: Tensor, p: _Number = ...) -> Tensor: ...
def permute(input: Tensor, dims: Sequence[_int]) -> Tensor: ...
def permute_copy(
    input: Tensor, dims: Sequence[_int], *, out: Tensor | None = ...
) -> Tensor: ...
def pinverse(input: Tensor, rcond: _Number = ...) -> Tensor: ...
def pixel_shuffle(input: Tensor, upscale_factor: _int) -> Tensor: ...
def pixel_unshuffle(input: Tensor, downscale_factor: _int) -> Tensor: ...
def poisson(input: Tensor, generator: Any = ...) -> Tensor: ...
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: _bool,
    full: _bool,
    eps: _Number,
    reduction: _int,
) -> Tensor: ...
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def polygamma(n: _int, self: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def positive(input: Tensor) -> Tensor: ...
def pow(
    input: Tensor | _Number, exponent: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def pow_(input: Tensor, exponent: Tensor | _Number) -> Tensor: ...
def prelu(input: Tensor, weight: Tensor) -> Tensor: ...
@overload
def prod(
    input: Tensor, *, dtype: _DType | None = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def prod(
    input: Tensor,
    dim: _int,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def put(
    input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = ...
) -> Tensor: ...
def put_(
    input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = ...
) -> Tensor: ...
def qr(input: Tensor, some: _bool = ..., *, out: Any = ...) -> Any: ...
@overload
def quantile(
    input: Tensor,
    q: Tensor,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    interpolation: _str = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def quantile(
    input: Tensor,
    q: _Number,
    dim: _int | None = ...,
    keepdim: _bool = ...,
    *,
    interpolation: _str = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def rad2deg(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def rad2deg_(input: Tensor) -> Tensor: ...
@overload
def rand(
    size: Sequence[_int],
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def rand(
    *size: _int,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def rand_like(
    input: Tensor,
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
@overload
def randint(
    high: _int,
    size: Sequence[_int],
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def randint(
    low: _int,
    high: _int,
    size: Sequence[_int],
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def randint_like(
    input: Tensor,
    high: _int,
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
@overload
def randint_like(
    input: Tensor,
    low: _int,
    high: _int,
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
@overload
def randn(
    size: Sequence[_int],
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def randn(
    *size: _int,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def randn_like(
    input: Tensor,
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...
def randperm(
    n: _int,
    *,
    generator: Any = ...,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def range(
    start: _Number,
    end: _Number,
    step: _Number = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def ravel(input: Tensor) -> Tensor: ...
def real(input: Tensor) -> Tensor: ...
def reciprocal(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def reciprocal_(input: Tensor) -> Tensor: ...
def relu(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def relu_(input: Tensor) -> Tensor: ...
def remainder(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def remainder_(input: Tensor, other: Tensor | _Number) -> Tensor: ...
def renorm(
    input: Tensor, p: _Number, dim: _int, maxnorm: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def renorm_(
    input: Tensor, p: _Number, dim: _int, maxnorm: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def repeat_interleave(
    input: Tensor,
    repeats: _int,
    dim: _int | None = ...,
    *,
    output_size: _int | None = ...,
) -> Tensor: ...
@overload
def repeat_interleave(
    input: Tensor,
    repeats: Tensor,
    dim: _int | None = ...,
    *,
    output_size: _int | None = ...,
) -> Tensor: ...
@overload
def repeat_interleave(repeats: Tensor, *, output_size: _int | None = ...) -> Tensor: ...
def reshape(input: Tensor, shape: Sequence[_int]) -> Tensor: ...
def resolve_conj(input: Tensor) -> Tensor: ...
def resolve_neg(input: Tensor) -> Tensor: ...
def result_type(input: Tensor | _Number, other: Tensor | _Number) -> Any: ...
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[_int],
    weight: Tensor | None = ...,
    eps: _Number | None = ...,
) -> Tensor: ...
def roll(
    input: Tensor, shifts: _int | Sequence[_int], dims: _int | Sequence[_int] = ...
) -> Tensor: ...
def rot90(input: Tensor, k: _int = ..., dims: Sequence[_int] = ...) -> Tensor: ...
@overload
def round(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def round(input: Tensor, *, decimals: _int, out: Tensor | None = ...) -> Tensor: ...
@overload
def round_(input: Tensor) -> Tensor: ...
@overload
def round_(input: Tensor, *, decimals: _int, out: Tensor | None = ...) -> Tensor: ...
def row_stack(
    tensors: _tuple[Tensor, ...] | _list[Tensor], *, out: Tensor | None = ...
) -> Tensor: ...
def rrelu(
    input: Tensor,
    lower: _Number = ...,
    upper: _Number = ...,
    training: _bool = ...,
    generator: Any = ...,
) -> Tensor: ...
def rrelu_(
    input: Tensor,
    lower: _Number = ...,
    upper: _Number = ...,
    training: _bool = ...,
    generator: Any = ...,
) -> Tensor: ...
def rsqrt(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def rsqrt_(input: Tensor) -> Tensor: ...
def rsub(input: Tensor, other: Tensor | _Number, *, alpha: _Number = ...) -> Tensor: ...
def saddmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
) -> Tensor: ...
def scalar_tensor(
    s: _Number,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
) -> Tensor: ...
@overload
def scatter(
    input: Tensor, dim: _int, index: Tensor, src: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def scatter(
    input: Tensor, dim: _int, index: Tensor, value: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def scatter(
    input: Tensor,
    dim: _int,
    index: Tensor,
    src: Tensor,
    *,
    reduce: _str,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def scatter(
    input: Tensor,
    dim: _int,
    index: Tensor,
    value: _Number,
    *,
    reduce: _str,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def scatter_(input: Tensor, dim: _int, index: Tensor, src: Tensor) -> Tensor: ...
@overload
def scatter_(
    input: Tensor, dim: _int, index: Tensor, value: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def scatter_(
    input: Tensor,
    dim: _int,
    index: Tensor,
    src: Tensor,
    *,
    reduce: _str,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def scatter_(
    input: Tensor,
    dim: _int,
    index: Tensor,
    value: _Number,
    *,
    reduce: _str,
    out: Tensor | None = ...,
) -> Tensor: ...
def scatter_add(
    input: Tensor, dim: _int, index: Tensor, src: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def scatter_add_(input: Tensor, dim: _int, index: Tensor, src: Tensor) -> Tensor: ...
def scatter_reduce(
    input: Tensor,
    dim: _int,
    index: Tensor,
    src: Tensor,
    reduce: _str,
    *,
    include_self: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def scatter_reduce_(
    input: Tensor,
    dim: _int,
    index: Tensor,
    src: Tensor,
    reduce: _str,
    *,
    include_self: _bool = ...,
) -> Tensor: ...
@overload
def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor,
    *,
    out_int32: _bool = ...,
    right: _bool = ...,
    side: _str | None = ...,
    sorter: Tensor | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def searchsorted(
    sorted_sequence: Tensor,
    input: _Number,
    *,
    out_int32: _bool = ...,
    right: _bool = ...,
    side: _str | None = ...,
    sorter: Tensor | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def segment_reduce(
    data: Tensor,
    reduce: _str,
    *,
    lengths: Tensor | None = ...,
    indices: Tensor | None = ...,
    offsets: Tensor | None = ...,
    axis: _int = ...,
    unsafe: _bool = ...,
    initial: _Number | None = ...,
) -> Tensor: ...
def select(input: Tensor, dim: _int, index: _int) -> Tensor: ...
def select_backward(
    grad_output: Tensor, input_sizes: Sequence[_int], dim: _int, index: _int
) -> Tensor: ...
def select_copy(
    input: Tensor, dim: _int, index: _int, *, out: Tensor | None = ...
) -> Tensor: ...
def select_scatter(input: Tensor, src: Tensor, dim: _int, index: _int) -> Tensor: ...
def selu(input: Tensor) -> Tensor: ...
def selu_(input: Tensor) -> Tensor: ...
def sgn(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sgn_(input: Tensor) -> Tensor: ...
def sigmoid(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sigmoid_(input: Tensor) -> Tensor: ...
def sign(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sign_(input: Tensor) -> Tensor: ...
def signbit(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sin(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sin_(input: Tensor) -> Tensor: ...
def sinc(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sinc_(input: Tensor) -> Tensor: ...
def sinh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sinh_(input: Tensor) -> Tensor: ...
def slice_backward(
    grad_output: Tensor,
    input_sizes: Sequence[_int],
    dim: _int,
    start: _int | None,
    end: _int | None,
    step: _int,
) -> Tensor: ...
def slice_copy(
    input: Tensor,
    dim: _int = ...,
    start: _int | None = ...,
    end: _int | None = ...,
    step: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: _int = ...,
    start: _int | None = ...,
    end: _int | None = ...,
    step: _int = ...,
) -> Tensor: ...
def slogdet(input: Tensor, *, out: Any = ...) -> Any: ...
def smm(input: Tensor, mat2: Tensor) -> Tensor: ...
def softmax(
    input: Tensor, dim: _int, dtype: _DType | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def sort(
    input: Tensor,
    *,
    stable: _bool | None,
    dim: _int = ...,
    descending: _bool = ...,
    out: Any = ...,
) -> Any: ...
@overload
def sort(
    input: Tensor, dim: _int = ..., descending: _bool = ..., *, out: Any = ...
) -> Any: ...
def special_airy_ai(x: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_bessel_j0(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_bessel_j1(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_bessel_y0(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_bessel_y1(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_chebyshev_polynomial_t(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_chebyshev_polynomial_u(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_chebyshev_polynomial_v(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_chebyshev_polynomial_w(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_entr(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_erfcx(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_hermite_polynomial_h(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_hermite_polynomial_he(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_i0e(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_i1(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_i1e(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_laguerre_polynomial_l(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_legendre_polynomial_p(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_log_ndtr(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_modified_bessel_i0(
    input: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_modified_bessel_i1(
    input: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_modified_bessel_k0(
    input: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_modified_bessel_k1(
    input: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_ndtr(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_ndtri(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_scaled_modified_bessel_k0(
    x: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_scaled_modified_bessel_k1(
    x: Tensor, *, out: Tensor | None = ...
) -> Tensor: ...
def special_shifted_chebyshev_polynomial_t(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_shifted_chebyshev_polynomial_u(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_shifted_chebyshev_polynomial_v(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_shifted_chebyshev_polynomial_w(
    x: Tensor | _Number, n: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_spherical_bessel_j0(x: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def special_xlog1py(
    input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def special_zeta(
    input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def split_copy(
    input: Tensor, split_size: _int, dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def split_with_sizes(
    input: Tensor, split_sizes: Sequence[_int], dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def split_with_sizes_copy(
    input: Tensor, split_sizes: Sequence[_int], dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def spmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sqrt(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def sqrt_(input: Tensor) -> Tensor: ...
def square(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def square_(input: Tensor) -> Tensor: ...
@overload
def squeeze(input: Tensor) -> Tensor: ...
@overload
def squeeze(input: Tensor, dim: _int) -> Tensor: ...
@overload
def squeeze(input: Tensor, dim: Sequence[_int]) -> Tensor: ...
@overload
def squeeze_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def squeeze_copy(input: Tensor, dim: _int, *, out: Tensor | None = ...) -> Tensor: ...
@overload
def squeeze_copy(
    input: Tensor, dim: Sequence[_int], *, out: Tensor | None = ...
) -> Tensor: ...
def sspaddmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: _Number = ...,
    alpha: _Number = ...,
) -> Tensor: ...
def stack(
    tensors: _tuple[Tensor, ...] | _list[Tensor],
    dim: _int = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def std(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    *,
    correction: _Number | None = ...,
    keepdim: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def std(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    unbiased: _bool = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def std(
    input: Tensor, unbiased: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def std_mean(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    *,
    correction: _Number | None = ...,
    keepdim: _bool = ...,
) -> Any: ...
@overload
def std_mean(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    unbiased: _bool = ...,
    keepdim: _bool = ...,
) -> Any: ...
@overload
def std_mean(input: Tensor, unbiased: _bool = ...) -> Any: ...
def stft(
    input: Tensor,
    n_fft: _int,
    hop_length: _int | None = ...,
    win_length: _int | None = ...,
    window: Tensor | None = ...,
    center: _bool = ...,
    pad_mode: _str = ...,
    normalized: _bool = ...,
    onesided: _bool | None = ...,
    return_complex: _bool | None = ...,
    align_to_window: _bool | None = ...,
) -> Tensor: ...
def sub(
    input: Tensor,
    other: Tensor | _Number,
    *,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def sub_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = ...) -> Tensor: ...
def subtract(
    input: Tensor,
    other: Tensor | _Number,
    *,
    alpha: _Number = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def subtract_(
    input: Tensor, other: Tensor | _Number, *, alpha: _Number = ...
) -> Tensor: ...
@overload
def sum(
    input: Tensor, *, dtype: _DType | None = ..., out: Tensor | None = ...
) -> Tensor: ...
@overload
def sum(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    keepdim: _bool = ...,
    *,
    dtype: _DType | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def svd(
    input: Tensor, some: _bool = ..., compute_uv: _bool = ..., *, out: Any = ...
) -> Any: ...
def swapaxes(input: Tensor, axis0: _int, axis1: _int) -> Tensor: ...
def swapdims(input: Tensor, dim0: _int, dim1: _int) -> Tensor: ...
def t(input: Tensor) -> Tensor: ...
def t_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def take(input: Tensor, index: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def take_along_dim(
    input: Tensor, indices: Tensor, dim: _int | None = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def tan(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def tan_(input: Tensor) -> Tensor: ...
def tanh(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def tanh_(input: Tensor) -> Tensor: ...
@overload
def tensor_split(
    input: Tensor, tensor_indices_or_sections: Tensor, dim: _int = ...
) -> _tuple[Tensor, ...]: ...
@overload
def tensor_split(
    input: Tensor, sections: _int, dim: _int = ...
) -> _tuple[Tensor, ...]: ...
@overload
def tensor_split(
    input: Tensor, indices: Sequence[_int], dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def tensordot(
    input: Tensor,
    other: Tensor,
    dims: Any = ...,
    dims_other: Any = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
def threshold(
    input: Tensor, threshold: _Number, value: _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def threshold_(input: Tensor, threshold: _Number, value: _Number) -> Tensor: ...
def threshold_backward(
    grad_output: Tensor, self: Tensor, threshold: _Number
) -> Tensor: ...
def tile(input: Tensor, dims: Sequence[_int]) -> Tensor: ...
def topk(
    input: Tensor,
    k: _int,
    dim: _int = ...,
    largest: _bool = ...,
    sorted: _bool = ...,
    *,
    out: Any = ...,
) -> Any: ...
def trace(input: Tensor) -> Tensor: ...
def transpose(input: Tensor, dim0: _int, dim1: _int) -> Tensor: ...
def transpose_copy(
    input: Tensor, dim0: _int, dim1: _int, *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def trapezoid(y: Tensor, x: Tensor, *, dim: _int = ...) -> Tensor: ...
@overload
def trapezoid(y: Tensor, *, dx: _Number = ..., dim: _int = ...) -> Tensor: ...
@overload
def trapz(y: Tensor, x: Tensor, *, dim: _int = ...) -> Tensor: ...
@overload
def trapz(y: Tensor, *, dx: _Number = ..., dim: _int = ...) -> Tensor: ...
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: _bool = ...,
    transpose: _bool = ...,
    unitriangular: _bool = ...,
    *,
    out: Any = ...,
) -> Any: ...
def tril(
    input: Tensor, diagonal: _int = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def tril_(
    input: Tensor, diagonal: _int = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def tril_indices(
    row: _int,
    col: _int,
    offset: _int = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
) -> Tensor: ...
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: _Number = ...,
    p: _Number = ...,
    eps: _Number = ...,
    swap: _bool = ...,
    reduction: _int = ...,
) -> Tensor: ...
def triu(
    input: Tensor, diagonal: _int = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def triu_(
    input: Tensor, diagonal: _int = ..., *, out: Tensor | None = ...
) -> Tensor: ...
def triu_indices(
    row: _int,
    col: _int,
    offset: _int = ...,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
) -> Tensor: ...
def true_divide(
    input: Tensor,
    other: Tensor | _Number,
    *,
    rounding_mode: _str | None = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def true_divide_(
    input: Tensor, other: Tensor | _Number, *, rounding_mode: _str | None = ...
) -> Tensor: ...
def trunc(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def trunc_(input: Tensor) -> Tensor: ...
def unbind(input: Tensor, dim: _int = ...) -> _tuple[Tensor, ...]: ...
def unbind_copy(input: Tensor, dim: _int = ...) -> _tuple[Tensor, ...]: ...
def unflatten(input: Tensor, dim: _int, sizes: Sequence[_int]) -> Tensor: ...
def unfold_copy(
    input: Tensor, dimension: _int, size: _int, step: _int, *, out: Tensor | None = ...
) -> Tensor: ...
def unique(
    input: Tensor,
    sorted: _bool = ...,
    return_inverse: _bool = ...,
    return_counts: _bool = ...,
    dim: _int | None = ...,
) -> Any: ...
def unique_consecutive(
    input: Tensor,
    return_inverse: _bool = ...,
    return_counts: _bool = ...,
    dim: _int | None = ...,
) -> Any: ...
def unsafe_chunk(
    input: Tensor, chunks: _int, dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def unsafe_split(
    input: Tensor, split_size: _int, dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def unsafe_split_with_sizes(
    input: Tensor, split_sizes: Sequence[_int], dim: _int = ...
) -> _tuple[Tensor, ...]: ...
def unsqueeze(input: Tensor, dim: _int) -> Tensor: ...
def unsqueeze_copy(input: Tensor, dim: _int, *, out: Tensor | None = ...) -> Tensor: ...
def vander(x: Tensor, N: _int | None = ..., increasing: _bool = ...) -> Tensor: ...
@overload
def var(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    *,
    correction: _Number | None = ...,
    keepdim: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def var(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    unbiased: _bool = ...,
    keepdim: _bool = ...,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def var(
    input: Tensor, unbiased: _bool = ..., *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def var_mean(
    input: Tensor,
    dim: _int | Sequence[_int] | None = ...,
    *,
    correction: _Number | None = ...,
    keepdim: _bool = ...,
) -> Any: ...
@overload
def var_mean(
    input: Tensor,
    dim: _int | Sequence[_int] | None,
    unbiased: _bool = ...,
    keepdim: _bool = ...,
) -> Any: ...
@overload
def var_mean(input: Tensor, unbiased: _bool = ...) -> Any: ...
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def view_as_complex(input: Tensor) -> Tensor: ...
def view_as_complex_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def view_as_real(input: Tensor) -> Tensor: ...
def view_as_real_copy(input: Tensor, *, out: Tensor | None = ...) -> Tensor: ...
def view_copy(
    input: Tensor, size: Sequence[_int], *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def vsplit(input: Tensor, sections: _int) -> _tuple[Tensor, ...]: ...
@overload
def vsplit(input: Tensor, indices: Sequence[_int]) -> _tuple[Tensor, ...]: ...
def vstack(
    tensors: _tuple[Tensor, ...] | _list[Tensor], *, out: Tensor | None = ...
) -> Tensor: ...
@overload
def where(
    condition: Tensor,
    self: Tensor | _Number,
    other: Tensor | _Number,
    *,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def where(condition: Tensor) -> _tuple[Tensor, ...]: ...
def xlogy(
    input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def xlogy_(
    input: Tensor, other: Tensor | _Number, *, out: Tensor | None = ...
) -> Tensor: ...
def zero_(input: Tensor) -> Tensor: ...
@overload
def zeros(
    size: Sequence[_int],
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
@overload
def zeros(
    *size: _int,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    out: Tensor | None = ...,
) -> Tensor: ...
def zeros_like(
    input: Tensor,
    *,
    dtype: _DType | None = ...,
    layout: _layout | None = ...,
    device: _Device | None = ...,
    pin_memory: _bool | None = ...,
    requires_grad: _bool = ...,
    memory_format: _memory_format | None = ...,
) -> Tensor: ...

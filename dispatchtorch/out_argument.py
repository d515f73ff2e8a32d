"""``out=``: an operator's result written to tensors that the caller gives.

The operator runs as always and its result is copied, after the checks that PyTorch
makes: history, number, device, dtype, shape, and whether the memory written overlaps
itself or an operand's.
"""

from __future__ import annotations

import warnings
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.dispatch.operator import Operator, packets
from dispatchtorch.dtypes import can_cast, scalar_type_name
from dispatchtorch.errors import user_level
from dispatchtorch.lift import named_returns
from dispatchtorch.rejection import given_arguments
from dispatchtorch.signatures import raise_mismatch
from dispatchtorch.tensor import Tensor

__all__ = [
    "check_operand_overlap",
    "uncastable",
    "overlaps_itself",
    "write_out",
]

# Operators that take no other dtype than their result's, by what they say of others:
# {wanted} and {own} are C++'s names of the dtypes, {Wanted} and {Own} PyTorch's.
_EXACT = {
    "Expected out tensor to have dtype {wanted}, but got {own} instead": """
        aminmax argmax argmin argsort cross isin linalg_cross log_softmax max.dim min.dim
        msort renorm softmax sort topk gather scatter scatter_add scatter_reduce index_add
        index_copy index_reduce take_along_dim tril triu diag view_copy t_copy
        permute_copy transpose_copy squeeze_copy unsqueeze_copy select_copy slice_copy
        expand_copy diagonal_copy alias_copy detach_copy unfold_copy view_as_real_copy
        view_as_complex_copy as_strided_copy addmm addmv baddbmm bmm matmul mm mv
        frobenius_norm linalg_matmul linalg_matrix_power linalg_vector_norm matrix_power
        norm _linalg_det _linalg_eigh _linalg_slogdet _linalg_solve_ex _linalg_svd
        inverse linalg_cholesky linalg_cholesky_ex linalg_det linalg_eigh
        linalg_eigvalsh linalg_inv linalg_inv_ex linalg_ldl_factor
        linalg_ldl_factor_ex linalg_ldl_solve linalg_lu linalg_lu_factor
        linalg_lu_factor_ex linalg_lu_solve linalg_qr linalg_slogdet linalg_solve
        linalg_solve_ex linalg_svd linalg_svdvals lu_solve lu_unpack qr slogdet svd
        triangular_solve""",
    "result dtype {Own} does not match input dtype {Wanted}": "dot vdot",
    "multi_dot(): expected out tensor to have dtype {wanted} but got {own}": """
        chain_matmul linalg_multi_dot""",
    "linalg.matrix_norm expected out tensor dtype {Wanted} but got: {Own}": """
        linalg_matrix_norm nuclear_norm""",
    "linalg.norm expected out tensor dtype {Wanted} but got: {Own}": "linalg_norm",
    "linalg.vecdot: Expected out of dtype{Wanted} but found {Own}": "linalg_vecdot",
    "torch.ormqr: Expected input and result to have the same dtype, but input has "
    "dtype{Wanted} and result has dtype {Own}": "ormqr",
    "expected scalar type {Wanted} but found {Own}": """
        linalg_solve_triangular log_sigmoid""",
    "self and mat2 must have the same dtype, but got {Own} and {Wanted}": "addbmm",
    "Expected self.dtype() == output.dtype() to be true, but got false.  (Could this "
    "error message be improved?  If so, please report an enhancement request to "
    "PyTorch.)": "narrow_copy",
    "{name}(): self and result must have the same scalar type": """
        index_select masked_select""",
    "take(): self and out expected to have the same dtype, but got self.dtype = {Wanted} "
    "and out.dtype = {Own}": "take",
    "Found dtype {Own} but expected {Wanted}": """
        gelu hardshrink softshrink abs bitwise_not ceil conj_physical floor frac neg round sgn sign trunc""",
    "Expected the dtype for input and out to match, but got {Wanted} for input's dtype "
    "and {Own} for out's dtype.": "amax amin",
    "Expected object of scalar type {Wanted} but got scalar type {Own} for argument "
    "'out'": "complex polar",
    "dtype {Wanted} does not match dtype of out parameter ({Own})": "arange",
    "expected scalar_type {Wanted} but found {Own}": """
        cummax cummin diff logcumsumexp""",
    "torch.frexp() expects mantissa to have dtype {wanted} but got {own}": "frexp",
    "output values must be of same type as input": "kthvalue median nanmedian",
    "quantile() out tensor must be same dtype as the input tensor": "nanquantile quantile",
    "heaviside is not yet implemented for tensors with different dtypes.": "heaviside",
    "expected scalar type '{Wanted}' but got '{Own}' for values output": "mode",
    "the output given to float_power has dtype {Own} but the operation's result requires "
    "dtype {Wanted}": "float_power",
    "multinomial expects Long tensor out, got: {Own}": "multinomial",
    "{name} does not support non-boolean outputs.": "isneginf isposinf signbit",
    "nan_to_num: dtype of out: {Own} should be same as input: {Wanted}": "nan_to_num",
    "torch.histogram: input tensor and hist tensor should have the same dtype, but got "
    "input {wanted} and hist {own}": "histc",
    "torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or "
    "Long(int64) depending on whether out_int32 flag is True, but we got output tensor's "
    "dtype {Own} and out_int32 flag is False": "bucketize searchsorted",
    "tensordot: Expected the output tensor to have dtype {Wanted}, but got an output "
    "tensor with dtype {Own}": "inner tensordot",
    "Expected out type to be {Wanted} but got {Own}": "where.self",
    "nonzero: Expected out tensor to have scalar type {Wanted} but got scalar type{Own}":
        "nonzero",
}  # fmt: skip
_EXACT_OF = {name: text for text, names in _EXACT.items() for name in names.split()}
_CAST = "result type {Wanted} can't be cast to the desired output type {Own}"
# Words of their own for a result that can't be cast to the dtype of ``out``.
_UNCASTABLE = {
    "ldexp.Tensor": "ldexp can't be cast to the desired output type {Own}",
    "mean": "mean.dtype_out(): input types can't be cast to the desired output type {Own}",
    "logsumexp": "logsumexp(): Expected floating point type for result tensor, but got: "
    "{Own}",
    "max": "Expected canCast( typeMetaToScalarType(self.dtype()), "
    "typeMetaToScalarType(out.dtype())) to be true, but got false.  (Could this error "
    "message be improved?  If so, please report an enhancement request to PyTorch.)",
}
_UNCASTABLE["min"] = _UNCASTABLE["max"]
for _name in "cat stack hstack vstack dstack column_stack _chunk_cat".split():
    _UNCASTABLE[_name] = (
        "torch.cat(): input types can't be cast to the desired output type {Own}"
    )
for _name, _said in {
    "cholesky": "cholesky:result",
    "cholesky_inverse": "cholesky_inverse:result",
    "cholesky_solve": "cholesky_solve:result",
    "geqrf": "torch.geqrf:a",
    "linalg_cond": "linalg.cond:result",
    "linalg_cond.p_str": "linalg.cond:result",
    "linalg_eig": "torch.linalg.eig:eigenvalues",
    "linalg_eigvals": "torch.linalg.eigvals:eigenvalues",
    "linalg_householder_product": "torch.linalg.householder_product:result",
    "linalg_lstsq": "torch.linalg.lstsq:solution",
    "linalg_pinv.atol_rtol_tensor": "linalg.pinv:result",
    "linalg_pinv.rcond_tensor": "linalg.pinv:result",
    "linalg_tensorinv": "tensorinv:result",
    "linalg_tensorsolve": "tensorsolve:result",
    "orgqr": "torch.linalg.householder_product:result",
}.items():
    _title, _, _label = _said.partition(":")
    _UNCASTABLE[_name] = (
        f"{_title}: Expected {_label} to be safely castable from {{Wanted}} dtype, but "
        f"got {_label} with dtype {{Own}}"
    )
# The same of operators that write to their first operand.
_UNCASTABLE_INPLACE = {
    "ldexp": _UNCASTABLE["ldexp.Tensor"],
    "mvlgamma": "mvlgamma: result type {Own} can't be cast to the desired output type "
    "{Wanted}",
    "cumsum": "Bad in-place call: input tensor dtype {own} and output tensor dtype "
    "{wanted} should match",
}
for _name in ("clamp", "clamp_max", "clamp_min"):
    _UNCASTABLE_INPLACE[_name] = _CAST.replace("{Own}", "{own}")
_UNCASTABLE_INPLACE["cumprod"] = _UNCASTABLE_INPLACE["cumsum"]
# What PyTorch calls the operator that it says is without automatic differentiation.
_NO_GRADIENT = {
    "arange": "aten::arange", "conj_physical": "aten::conj_physical",
    "cross": "linalg_cross", "float_power": "pow",
    "floor_divide": "aten::floor_divide", "heaviside": "aten::heaviside",
    "log_softmax": "aten::log_softmax", "max.other": "maximum",
    "min.other": "minimum", "msort": "sort", "nanmean": "nansum",
    "softmax": "aten::softmax", "square": "pow", "take_along_dim": "gather",
    "diag": "aten::diagonal_copy", "hstack": "cat", "vstack": "cat", "dstack": "cat", "column_stack": "cat",
    "range": "aten::range", "_chunk_cat": "aten::_chunk_cat",
    **{
        name: f"aten::{name}"
        for name in """bitwise_and bitwise_or bitwise_xor bitwise_left_shift
        bitwise_right_shift gcd lcm""".split()
    },
}  # fmt: skip

# Operators that compute in the dtype of ``out`` where no other is asked for.
_COMPUTES_IN_OUT = frozenset("cumsum cumprod sum prod nansum".split())
# Operators that check their memory though they aren't pointwise.
_CHECKED = frozenset("kthvalue ldexp max min nan_to_num sort".split())
_ONLY_BOOL = frozenset({"all", "any"})


def write_out(op: Operator, out: Any, args: tuple[Any, ...]) -> Any:
    """Runs an operator and writes its result to ``out`` (a tensor, or several)."""
    outs = _as_outs(op, out, args)
    silent = "nondifferentiable" in op.tags and op.name not in _NO_GRADIENT
    history = args if silent else (*outs, *args)
    if state.grad_enabled() and _requires_grad(history):
        name = _NO_GRADIENT.get(op.full_name) or _NO_GRADIENT.get(op.name, op.name)
        if name == op.name and ("factory" in op.tags or name.endswith("_copy")):
            name = f"aten::{name}"
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    arguments = op.schema.arguments
    given = {a.name: v for a, v in zip(arguments, args, strict=True)}
    if "factory" in op.tags:
        _like_out(given, outs[0])
    elif op.name in _COMPUTES_IN_OUT:
        _compute_in_out(op.name, given, outs[0])
    if op.tags & {"pointwise", "separate_out", "apart_out"} or op.name in _CHECKED:
        _check_memory(outs, args, "apart_out" in op.tags)
    result = op(**given)
    results = result if isinstance(result, tuple | list) else (result,)
    with state.exclude(AUTOGRAD | VIEW):
        for target, source in zip(outs, results, strict=True):
            _check_target(op, target, source)
        for target, source in zip(outs, results, strict=True):
            _store(target, source)
    if isinstance(out, Tensor):
        return out
    return _named(type(result))(outs) if isinstance(result, tuple) else None


def _as_outs(op: Operator, out: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``out`` as a tuple of as many tensors as the operator has results."""
    returns = op.schema.returns
    if len(returns) == 1 and not returns[0].startswith("Tensor["):
        if not isinstance(out, Tensor):
            _reject(op, out, args)
        return (out,)
    if not isinstance(out, tuple | list):
        _reject(op, out, args)
    if len(returns) > 1 and len(out) != len(returns):
        raise TypeError(f"expected tuple of {len(returns)} elements but got {len(out)}")
    for i, each in enumerate(out):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument {len(args)}, but got "
                f"{type(each).__name__}"
            )
    return tuple(out)


def _reject(op: Operator, out: Any, args: tuple[Any, ...]) -> None:
    """Raises the TypeError of an ``out`` that is no tensor, or no tuple of them."""
    positional, keywords = given_arguments(op, args)
    packet = packets.get(op.name) or op
    raise_mismatch(packet, "function", positional, {**keywords, "out": out})


def _requires_grad(values: Any) -> bool:
    for each in values:
        if isinstance(each, Tensor):
            if each.requires_grad:
                return True
        elif type(each) in (list, tuple) and _requires_grad(each):
            return True
    return False


def _like_out(given: dict[str, Any], out: Tensor) -> None:
    """Factories take dtype and device from ``out`` where they aren't given."""
    for name in ("dtype", "device"):
        if name in given and given[name] is None:
            given[name] = getattr(out, name)


def _compute_in_out(name: str, given: dict[str, Any], out: Tensor) -> None:
    if given.get("dtype") is None:
        given["dtype"] = out.dtype
        if out.dtype is dtypes.bool and name.startswith("cum"):
            raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'")
    elif given["dtype"] is not out.dtype:
        raise RuntimeError(_filled(_EXACT_OF["sort"], "", given["dtype"], out.dtype))


def _filled(text: str, name: str, wanted: dtypes.dtype, own: dtypes.dtype) -> str:
    return text.format(
        name=name,
        wanted=dtypes.c_type(wanted),
        own=dtypes.c_type(own),
        Wanted=scalar_type_name(wanted),
        Own=scalar_type_name(own),
    )


def _check_dtype(op: Operator, wanted: dtypes.dtype, own: dtypes.dtype) -> None:
    """RuntimeError where a result of one dtype can't be written to another."""
    if own is wanted:
        return
    text = _EXACT_OF.get(op.full_name) or _EXACT_OF.get(op.name)
    if text is None and op.name.startswith("fft_") and "factory" not in op.tags:
        text = _transform_text(op.name[4:], wanted, own)
    if text is None and op.name in _ONLY_BOOL and own is not dtypes.uint8:
        text = "{name} only supports bool tensor for result, got: {Own}"
    if text is None and not can_cast(wanted, own):
        text = _UNCASTABLE.get(op.full_name, _CAST)
    if text is not None:
        kind = TypeError if text.startswith("torch.cat()") else RuntimeError
        raise kind(_filled(text, op.name, wanted, own))


def _transform_text(name: str, wanted: dtypes.dtype, own: dtypes.dtype) -> str | None:
    """What a Fourier transform says of an ``out`` of another kind than its result."""
    if own.category == wanted.category:
        return None
    name = {"ifft2": "fftn", "ifftn": "fftn"}.get(name, name.replace("2", "n"))
    kind = "complex" if wanted.is_complex else "floating point"
    return f"{name} expects a {kind} output tensor, but got {{Own}}"


def _named(kind: type) -> Any:
    """The type of the results written: PyTorch's ``sort_out`` next to ``sort``."""
    names = getattr(kind, "__match_args__", None)
    return named_returns(f"{kind.__name__}_out", names) if names else kind


def uncastable(full_name: str, wanted: dtypes.dtype, own: dtypes.dtype) -> RuntimeError:
    """The error of a result that can't be written to the tensor it was computed from."""
    name, _, overload = full_name.partition(".")
    if own is dtypes.bool and name in ("cumsum_", "cumprod_"):
        return NotImplementedError(f"\"{name}out_cpu\" not implemented for 'Bool'")
    text = _UNCASTABLE_INPLACE.get(name.rstrip("_"), _CAST)
    if (name.startswith("clamp") and overload) or wanted.is_complex:
        text = _CAST
    return RuntimeError(_filled(text, name, wanted, own))


def _check_target(op: Operator, target: Tensor, source: Tensor) -> None:
    """RuntimeError where a result can't be written to the tensor given for it."""
    if target._backend is not source._backend:
        if op.name in ("argmax", "argmin", "topk") or op.full_name[3:] == ".dim":
            raise RuntimeError(
                f"Expected out tensor to have device {source.device}, but got "
                f"{target.device} instead"
            )
        raise RuntimeError(
            f"Attempting to copy from device {source.device} to device {target.device}, "
            "but cross-device copies are not allowed!"
        )
    _check_dtype(op, source.dtype, target.dtype)


def _store(target: Tensor, source: Tensor) -> None:
    if target._shape != source._shape:
        if target.numel():
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(target._shape)}, which does not match the required output shape "
                f"{list(source._shape)}. This behavior is deprecated, and in a future "
                "PyTorch release outputs will not be resized unless they have zero "
                "elements. You can explicitly reuse an out tensor t by resizing it, "
                "inplace, to zero elements with t.resize_(0).",
                stacklevel=user_level(),
            )
        target.resize_(source._shape)
        if not source.is_contiguous() and _dense(source):
            target.as_strided_(source._shape, source.stride())
    target.copy_(source)


def _dense(t: Tensor) -> bool:
    """Whether elements fill a piece of memory, in whatever order of dims."""
    step = 1
    for stride, size in sorted(zip(t.stride(), t._shape, strict=True)):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


# Memory that is written and read at once.


def _check_memory(
    outs: tuple[Tensor, ...], args: tuple[Any, ...], apart: bool = False
) -> None:
    for out in outs:
        if overlaps_itself(out):
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor "
                "refers to a single memory location. Please clone() the tensor before "
                "performing the operation."
            )
        for each in args:
            for t in each if isinstance(each, (list, tuple)) else (each,):
                if isinstance(t, Tensor) and (apart or t is not out):
                    check_operand_overlap(out, t, apart)


def overlaps_itself(t: Tensor) -> bool:
    """Whether some elements surely share a memory location (a stride of 0)."""
    strides = t._backend.strides(t._data)
    if 0 not in strides:
        return False
    return any(d == 0 and n > 1 for n, d in zip(t._shape, strides, strict=True))


def _shared_memory() -> RuntimeError:
    return RuntimeError(
        "unsupported operation: some elements of the input tensor and the written-to "
        "tensor refer to a single memory location. Please clone() the tensor before "
        "performing the operation."
    )


def check_operand_overlap(out: Tensor, operand: Tensor, apart: bool = False) -> None:
    """RuntimeError where a tensor that is written shares part of an operand's memory.

    With ``apart`` it may not be all of the operand's memory either.
    """
    backend = out._backend
    if operand._backend is not backend:
        return
    if apart and operand is out:
        raise _shared_memory()
    a, b = _span(out), _span(operand)
    if a is None or b is None or a[1] <= b[0] or b[1] <= a[0]:
        return
    if (
        not apart
        and a == b
        and backend.strides(out._data) == backend.strides(operand._data)
    ):
        return
    raise _shared_memory()


def _span(t: Tensor) -> tuple[int, int] | None:
    """The addresses that a dense tensor lies between; None for an empty or other one."""
    backend = t._backend
    count = 1
    for size, stride in sorted(
        zip(t._shape, backend.strides(t._data), strict=True), key=lambda p: p[1]
    ):
        if size == 0 or (size != 1 and stride != count):
            return None
        count *= size
    start = backend.data_ptr(t._data)
    return start, start + count * t.dtype.itemsize

"""The softmax family."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import Operator, operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import numel_of, torch, wrap_dim
from dispatchtorch.ops._precision import in_single, refuse_but_floats
from dispatchtorch.ops.creation import as_dtype

_PLAIN = Plain()


def _exponentials(x: Any, dim: int) -> tuple[Any, Any, Any]:
    """``x`` less its maximum, the exponentials of that, and their sum."""
    shifted = x - torch.amax(x, dim, True)
    powers = torch.exp(shifted)
    return shifted, powers, torch.sum(powers, dim, True)


def _softmax_body(x: Any, dim: int) -> Any:
    _, powers, total = _exponentials(x, dim)
    return powers / total


def _log_softmax_body(x: Any, dim: int) -> Any:
    shifted, _, total = _exponentials(x, dim)
    return shifted - torch.log(total)


def _softmax_gradient(grad: Any, output: Any, dim: int) -> Any:
    return (grad - torch.sum(grad * output, dim, True)) * output


def _log_softmax_gradient(grad: Any, output: Any, dim: int) -> Any:
    return grad - torch.exp(output) * torch.sum(grad, dim, True)


def _family(name: str, compute: Any, gradient: Any, documentation: str) -> None:
    """Declares ``name``, the operator ``_name`` that it stands on, and its gradient."""

    def checked(self: Any, dim: int, half_to_float: bool) -> tuple[Any, int]:
        if half_to_float:
            raise RuntimeError(
                "softmax with half to float conversion is not supported on CPU"
            )
        ndim = len(self._shape)
        wrapped = dim if 0 <= dim < ndim else wrap_dim(dim, ndim)
        if not self._keys & dtypes.FLOATING_MASK and numel_of(self._shape):
            last = "lastdim_" if wrapped >= ndim - 1 else ""
            refuse_but_floats(self, f"{name}_{last}kernel_impl")
        return self, wrapped

    def body(self, dim, half_to_float):  # type: ignore[no-untyped-def]
        x, dim = checked(self, dim, half_to_float)
        if not numel_of(x._shape):
            return torch.empty_like(x)
        return compute(x.contiguous(), dim)

    def prepared(self, dim, half_to_float):  # type: ignore[no-untyped-def]
        x, dim = checked(self, dim, half_to_float)
        shape = x._shape
        return (x if shape else x.reshape(1)), dim, shape

    op = operator(
        f"_{name}(Tensor self, int dim, bool half_to_float) -> Tensor",
        lift=_PLAIN,
        variants="function",
    )(in_single(body))
    op.prepare = prepared
    op.__doc__ = documentation

    def backward_body(grad_output, output, dim, input_dtype):  # type: ignore[no-untyped-def]
        grad_output, output = grad_output.contiguous(), output.contiguous()
        made = gradient(grad_output, output, wrap_dim(dim, output.ndim))
        return made.to(input_dtype)

    backward = operator(
        f"_{name}_backward_data(Tensor grad_output, Tensor output, int dim, "
        "ScalarType input_dtype) -> Tensor",
        lift=_PLAIN,
        variants="function",
    )(in_single(backward_body))
    backward.prepare = lambda grad_output, output, dim, input_dtype: (
        *_with_dims(grad_output.contiguous(), output.contiguous()),
        wrap_dim(dim, output.ndim),
        output._shape,
    )
    backward.__doc__ = f"The gradient of :func:`{name}`, from its result."
    words = "".join(w.capitalize() for w in name.split("_"))
    derive(
        op,
        name_=f"{words}Backward0",
        self=lambda grad, result, dim: _call(backward, grad, result, dim),
    )

    def public(self, dim, dtype):  # type: ignore[no-untyped-def]
        if dtype is not None:
            self = self.to(as_dtype(dtype))
        return getattr(torch, op.name)(self, dim, False)

    public.__doc__ = documentation
    operator(
        f"{name}.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
        tags="out",
    )(public)


def _call(op: Operator, grad: Any, result: Any, dim: int) -> Any:
    return getattr(torch, op.name)(grad, result, dim, result.dtype)


def _with_dims(*tensors: Any) -> list[Any]:
    return [t if t.ndim else t.reshape(1) for t in tensors]


_family(
    "softmax",
    _softmax_body,
    _softmax_gradient,
    "The exponentials along a dim, scaled to add up to 1.",
)
_family(
    "log_softmax",
    _log_softmax_body,
    _log_softmax_gradient,
    "The logarithm of softmax, computed without forming it.",
)


@operator(
    "_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    variants="function",
)
def _safe_softmax(self, dim, dtype):
    """Softmax that gives zeros, not NaN, where all elements are minus infinity."""
    made = torch.softmax(self, dim, dtype)
    masked = (self == float("-inf")).all(dim, keepdim=True)
    return made.masked_fill(masked, 0)


derive(
    _safe_softmax,
    self=lambda grad, result, dim: torch._softmax_backward_data(
        grad, result, dim, result.dtype
    ),
)

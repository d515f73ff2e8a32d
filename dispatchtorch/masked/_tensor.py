"""``MaskedTensor``: a tensor some of whose elements are unspecified."""

from __future__ import annotations

import warnings
from typing import Any

import dispatchtorch as torch
from dispatchtorch.tensor import Tensor

__all__ = ["MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]

# Elementwise: the mask stays.
_UNARY = frozenset(
    """
    abs absolute acos acosh angle arccos arccosh arcsin arcsinh arctan arctanh asin asinh
    atan atanh bitwise_not ceil clamp clip conj_physical cos cosh deg2rad digamma erf erfc
    erfinv exp exp2 expm1 fix floor frac i0 isnan lgamma log log10 log1p log2 logit nan_to_num
    neg negative positive pow rad2deg reciprocal round rsqrt sgn sigmoid sign signbit sin
    sinc sinh sqrt square tan tanh trunc relu to float double half bfloat16 int long
    """.split()
)
# Elementwise on two: the masks have to be equal.
_BINARY = frozenset(
    """
    add sub subtract mul multiply div divide true_divide floor_divide fmod remainder
    atan2 arctan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift
    bitwise_right_shift logaddexp logaddexp2 eq ne le ge greater greater_equal gt
    less_equal lt less maximum minimum fmax fmin not_equal nextafter
    """.split()
)
_REDUCTIONS = frozenset("sum mean amin amax argmin argmax prod norm var std".split())
# Rearrangements, made of data and mask alike.
_PASSING = frozenset(
    """
    reshape view expand transpose t permute unsqueeze squeeze contiguous select narrow
    flatten clone detach index_select __getitem__ _getitem split unbind swapaxes swapdims movedim
    expand_as chunk
    """.split()
)
_DUNDERS = {
    "__add__": "add", "__radd__": "add", "__sub__": "sub", "__mul__": "mul",
    "__rmul__": "mul", "__truediv__": "div", "__neg__": "neg", "__pow__": "pow",
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt",
    "__ge__": "ge", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__invert__": "bitwise_not", "__floordiv__": "floor_divide", "__mod__": "remainder",
}  # fmt: skip


def is_masked_tensor(obj: Any, /) -> bool:
    """Whether ``obj`` is a MaskedTensor."""
    return isinstance(obj, MaskedTensor)


class MaskedTensor(Tensor):
    """Data and a mask of one shape: an element is specified where the mask is True."""

    _data_: Tensor
    _mask_: Tensor

    @staticmethod
    def __new__(cls: type, data: Any, mask: Any, requires_grad: bool = False) -> Any:
        if is_masked_tensor(data) or not isinstance(data, Tensor):
            raise TypeError("data must be a Tensor")
        if is_masked_tensor(mask) or not isinstance(mask, Tensor):
            raise TypeError("mask must be a Tensor")
        if data.layout is not mask.layout:
            raise TypeError("data and mask must have the same layout.")
        if data.layout is not torch.strided:
            raise NotImplementedError(
                f"MaskedTensor of layout {data.layout} isn't supported"
            )
        if mask.dtype is not torch.bool:
            raise TypeError("mask must have dtype bool.")
        if data.dtype not in (
            torch.float16, torch.float32, torch.float64, torch.bool, torch.int8,
            torch.int16, torch.int32, torch.int64,
        ):  # fmt: skip
            raise TypeError(f"{data.dtype} is not supported in MaskedTensor")
        if data.dim() != mask.dim():
            raise ValueError("data.dim() must equal mask.dim()")
        if data.size() != mask.size():
            raise ValueError("data.size() must equal mask.size()")
        warnings.warn(
            "The PyTorch API of MaskedTensors is in prototype stage and will change in "
            "the near future. Please open a Github issue for features requests and see "
            "our documentation on the torch.masked module for further information about "
            "the project.",
            UserWarning,
            stacklevel=3,
        )
        made = Tensor._make_subclass(cls, data.detach(), False)
        made._data_ = data
        made._mask_ = mask
        if requires_grad:
            made._data_ = data.detach().requires_grad_()
        return made

    def __init__(self, data: Any, mask: Any, requires_grad: bool = False) -> None:
        """``data`` and ``mask`` are shared, not copied."""

    def get_data(self) -> Tensor:
        """The data; unspecified elements hold anything."""
        return self._data_

    def get_mask(self) -> Tensor:
        """The mask."""
        return self._mask_

    def to_tensor(self, value: Any) -> Tensor:
        """The data with ``value`` for unspecified elements."""
        return torch.where(self._mask_, self._data_, value)

    @property  # type: ignore[misc]
    def requires_grad(self) -> bool:  # type: ignore[override]
        return self._data_.requires_grad

    @property  # type: ignore[misc]
    def grad(self) -> Any:  # type: ignore[override]
        found = self._data_.grad
        return None if found is None else _made(found, self._mask_)

    @property
    def grad_fn(self) -> Any:
        return self._data_.grad_fn

    def backward(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        self._data_.backward(*args, **kwargs)

    @property
    def is_leaf(self) -> bool:
        return self._data_.is_leaf

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return (
            f"MaskedTensor(\n{_text(self._data_, self._mask_)}\n)"
            if self.ndim
            else (
                f"MaskedTensor({_text(self._data_, self._mask_)}, {bool(self._mask_)})"
            )
        )

    __str__ = __repr__

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__":
            owner = args[0]
            return func(owner._data_)
        name = _DUNDERS.get(name, name)
        if name in _REDUCTIONS and is_masked_tensor(args[0]):
            return _reduce(name, args, kwargs)
        if name == "where":
            return _where(*args, **kwargs)
        if name in _BINARY:
            return _binary(func, name, args, kwargs)
        if name in _UNARY and is_masked_tensor(args[0]):
            first, *rest = args
            return _made(func(first._data_, *rest, **kwargs), first._mask_)
        if name in _PASSING and is_masked_tensor(args[0]):
            return _both(func, args, kwargs)
        if name in _QUERIES:
            return func(args[0]._data_, *args[1:], **kwargs)
        raise NotImplementedError(
            f"Function {name!r} isn't implemented for MaskedTensor; use get_data() and "
            "get_mask(), or to_tensor(value)"
        )


_QUERIES = frozenset(
    "size dim numel stride is_floating_point is_complex __len__ element_size ndimension "
    "nelement is_contiguous".split()
)


def _made(data: Tensor, mask: Tensor) -> MaskedTensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return MaskedTensor(data, mask)


def _binary(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    masks = [a._mask_ for a in args[:2] if is_masked_tensor(a)]
    if len(masks) == 2 and not torch.equal(masks[0], masks[1]):
        raise ValueError(
            "Input masks must match. If you need support for this, please open an issue "
            "on Github."
        )
    plain = [a._data_ if is_masked_tensor(a) else a for a in args]
    return _made(func(*plain, **kwargs), masks[0])


def _reduce(name: str, args: Any, kwargs: Any) -> Any:
    import dispatchtorch.masked as masked

    first, *rest = args
    data, mask = first._data_, first._mask_
    dim = kwargs.pop("dim", rest[0] if rest and name != "norm" else None)
    keepdim = kwargs.pop("keepdim", rest[1] if len(rest) > 1 else False)
    if name == "norm":
        found = masked.norm(data, kwargs.pop("p", rest[0] if rest else 2.0), dim,
                            keepdim=keepdim, mask=mask, **kwargs)  # fmt: skip
    else:
        found = getattr(masked, name)(data, dim, keepdim=keepdim, mask=mask, **kwargs)
    if name in ("argmin", "argmax"):
        found = found.to(torch.int64)
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return _made(found, mask.any())
    place = [dim] if isinstance(dim, int) else list(dim)
    return _made(found, mask.any(place, keepdim=keepdim))


def _where(condition: Any, one: Any, other: Any) -> Any:
    if not (is_masked_tensor(one) and is_masked_tensor(other)):
        raise TypeError("where expects MaskedTensors as its second and third argument")
    data = torch.where(condition, one._data_, other._data_)
    return _made(data, torch.where(condition, one._mask_, other._mask_))


def _both(func: Any, args: Any, kwargs: Any) -> Any:
    first, *rest = args
    data = func(first._data_, *rest, **kwargs)
    mask = func(first._mask_, *rest, **kwargs)
    if isinstance(data, Tensor):
        return _made(data, mask)
    return type(data)(_made(d, m) for d, m in zip(data, mask, strict=True))


def _text(data: Tensor, mask: Tensor, indent: int = 2) -> str:
    """Nested brackets with ``--`` for what is unspecified."""
    space = " " * indent
    if data.ndim == 0:
        return _number(data) if bool(mask) else "--"
    if data.ndim == 1:
        cells = [
            _number(d) if bool(m) else f"{'--':>8}"
            for d, m in zip(data.detach(), mask, strict=True)
        ]
        return f"{space}[{', '.join(cells)}]"
    inner = ",\n".join(
        _text(d, m, indent + 2) for d, m in zip(data.detach(), mask, strict=True)
    )
    return f"{space}[\n{inner}\n{space}]"


def _number(t: Tensor) -> str:
    value = t.item()
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
    """A MaskedTensor of a copy of ``data``, without its history."""
    parts = [t.detach().clone() if isinstance(t, Tensor) else t for t in (data, mask)]
    return MaskedTensor(parts[0], parts[1], requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> MaskedTensor:
    """A MaskedTensor that shares ``data`` and its history."""
    return MaskedTensor(data, mask)

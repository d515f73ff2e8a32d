"""Many tensors that take part in arithmetic as if they were one.

An update rule is written once, with tensor methods. Run on ``TensorList`` operands it
calls the ``_foreach_`` operators, which devices may offer as one kernel over a whole
list, and goes tensor by tensor where there is no such operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dispatchtorch as torch

__all__ = ["TensorList", "elementwise", "has_list_kernels", "maximum_"]


class TensorList:
    """A list of tensors with the methods and operators of a tensor.

    Any method works: with ``_foreach_<name>`` where the framework has it, else once a
    tensor. Other lists among the arguments must have the same length.
    """

    __slots__ = ("tensors",)

    is_sparse = False

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = list(tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tensors)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(TensorList, name, _method(name))
        return getattr(self, name)

    def __add__(self, other: Any) -> TensorList:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> TensorList:
        return self.sub(other)

    def __rsub__(self, other: Any) -> TensorList:
        return self.neg().add_(other)

    def __mul__(self, other: Any) -> TensorList:
        return self.mul(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> TensorList:
        return self.div(other)

    def __rtruediv__(self, other: Any) -> TensorList:
        return self.reciprocal().mul_(other)

    def __pow__(self, exponent: Any) -> TensorList:
        return self.pow(exponent)

    def __rpow__(self, base: Any) -> TensorList:
        return elementwise(torch.pow, base, self)

    def __neg__(self) -> TensorList:
        return self.neg()

    def __gt__(self, other: Any) -> TensorList:
        return self.gt(other)

    def __lt__(self, other: Any) -> TensorList:
        return self.lt(other)


def elementwise(function: Callable[..., Any], *args: Any) -> Any:
    """``function`` of tensors, or of each position of the lists among ``args``."""
    length = next((len(arg) for arg in args if type(arg) is TensorList), None)
    if length is None:
        return function(*args)
    columns = [
        arg.tensors if type(arg) is TensorList else [arg] * length for arg in args
    ]
    return TensorList([function(*row) for row in zip(*columns, strict=True)])


def maximum_(self: Any, other: Any) -> None:
    """Raises ``self``, a tensor or a list of them, to ``other`` where that is more."""
    if not isinstance(self, torch.Tensor):
        self.maximum_(other)
        return
    before = self.clone() if torch.is_grad_enabled() else self  # for the derivative
    self.copy_(torch.maximum(before, other))


def has_list_kernels(tensor: Any) -> bool:
    """Whether a tensor's device does the work of many tensors at once."""
    return "_foreach_addcdiv_.Scalar" in tensor._backend.kernels


def _method(name: str) -> Callable[..., Any]:
    """``TensorList.<name>``, on the operator over lists or on the tensor's method."""
    operator = getattr(torch, "_foreach_" + name, None)
    in_place = name.endswith("_")

    def method(self: TensorList, *args: Any, **kwargs: Any) -> TensorList:
        if operator is not None:
            plain = [arg.tensors if type(arg) is TensorList else arg for arg in args]
            result = operator(self.tensors, *plain, **kwargs)
            return self if in_place else TensorList(result)

        def one(tensor: Any, *operands: Any) -> Any:
            return getattr(tensor, name)(*operands, **kwargs)

        result = elementwise(one, self, *args)
        return self if in_place else result

    return method

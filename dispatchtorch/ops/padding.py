"""Padding: dims made longer by a constant, or by what stands in the tensor itself.

Reflection, replication and circular padding are one thing: each padded dim is read by a
list of places. The gradient adds up along the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import as_ints, scalar_type_name, torch
from dispatchtorch.ops._formats import in_format_of
from dispatchtorch.ops._history import linked
from dispatchtorch.ops._precision import half
from dispatchtorch.ops.creation import from_host

__all__ = ["gather_places", "int_line", "line", "scatter_places"]

Places = list[tuple[int, list[int]]]


def line(like: Any, row: Any, dtype: dtypes.dtype) -> Any:
    """A 1-d tensor of numbers on the device of another."""
    import numpy as np

    return from_host(np.asarray(row), dtype, like.device, False)


def int_line(like: Any, row: Any) -> Any:
    """A 1-d int64 tensor on the device of another."""
    return line(like, row, dtypes.int64)


def gather_places(x: Any, places: Places) -> Any:
    """Each listed dim read at its places."""
    for dim, row in places:
        x = x.index_select(dim, int_line(x, row))
    return x


def scatter_places(grad: Any, sizes: Any, places: Places) -> Any:
    """The adjoint of ``gather_places``: adds up what was read from the same place."""
    made = grad.to(torch.float32) if half(grad) else grad
    for dim, row in reversed(places):
        shape = list(made._shape)
        shape[dim] = sizes[dim]
        made = made.new_zeros(shape).index_add(dim, int_line(grad, row), made)
    return made.to(grad.dtype)


# Constants.


def _constant(self, pad, value=0):
    """Dims from the last to the first padded by ``pad`` = (before, after, ...)."""
    pad = as_ints(pad)
    if len(pad) % 2:
        raise RuntimeError(
            f"Length of pad must be even but instead it equals {len(pad)}"
        )
    if len(pad) > 2 * self.ndim:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the "
            f"input. Pad length is {len(pad)}while the input has {self.ndim}dimensions."
        )
    part, shape = self, list(self._shape)
    for i in range(len(pad) // 2):
        dim = self.ndim - 1 - i
        before, after = pad[2 * i : 2 * i + 2]
        if before < 0 or after < 0:
            length = part._shape[dim] + min(before, 0)
            if length < 0 or length + min(after, 0) < 0:
                raise RuntimeError("narrow(): length must be non-negative.")
            part = part.narrow(dim, -min(before, 0), length + min(after, 0))
        shape[dim] += before + after
    if tuple(shape) == part._shape:
        return part.clone()
    made = self.new_full(shape, value)
    target = made
    for i in range(len(pad) // 2):
        dim = self.ndim - 1 - i
        target = target.narrow(dim, max(pad[2 * i], 0), part._shape[dim])
    target.copy_(part)
    return in_format_of(made, self)


constant_pad_nd = operator(
    "constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor",
    variants="function",
)(_constant)
derive(
    constant_pad_nd,
    self=lambda grad, pad: torch.constant_pad_nd(grad, [-p for p in pad], 0),
)


# The tensor's own elements.


def _reflected(n: int, before: int, after: int) -> list[int]:
    last = n - 1
    return [last - abs(last - abs(i)) for i in range(-before, n + after)]


def _replicated(n: int, before: int, after: int) -> list[int]:
    return [min(max(i, 0), n - 1) for i in range(-before, n + after)]


def _circular(n: int, before: int, after: int) -> list[int]:
    """What negative pads leave is what the others repeat."""
    kept = list(range(max(-before, 0), n - max(-after, 0)))
    size = len(kept)
    if not size:
        return [0] * (n + before + after)  # of nothing, PyTorch leaves what was there
    left = [kept[(i - before) % size] for i in range(before)]
    return left + kept + [kept[i % size] for i in range(after)]


def _places(shape: Any, padding: Any, rule: Callable[..., list[int]]) -> Places:
    """The places of every dim that is padded, from the last dim on."""
    made = []
    for i in range(len(padding) // 2):
        before, after = padding[2 * i : 2 * i + 2]
        if before or after:
            dim = len(shape) - 1 - i
            made.append((dim, rule(shape[dim], before, after)))
    return made


def _check(x: Any, padding: Any, dims: int, name: str) -> tuple[int, ...]:
    """PyTorch's checks for padding by the tensor's own elements."""
    padding = as_ints(padding)
    if len(padding) != 2 * dims:
        raise RuntimeError(
            f"padding size is expected to be {2 * dims}, but got: {len(padding)}"
        )
    shape = x._shape
    batched = len(shape) == dims + 2
    if len(shape) not in (dims + 1, dims + 2) or 0 in shape[batched:]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 "
            "batch size and other non-zero dimensions for input, but got: "
            f"{list(shape)}"
        )
    outs = []  # type: ignore[var-annotated]
    for i in range(dims):
        dim = len(shape) - 1 - i
        before, after = padding[2 * i : 2 * i + 2]
        if name == "reflection" and max(before, after) >= shape[dim]:
            raise RuntimeError(
                f"Argument #{4 + 2 * i}: Padding size should be less than the "
                f"corresponding input dimension, but got: padding ({before}, {after}) at "
                f"dimension {dim} of input {list(shape)}"
            )
        outs.insert(0, shape[dim] + before + after)
    if all(n < 1 for n in outs) or (dims == 1 and outs[0] < 1):
        words = "DHW"[3 - dims :]
        given = " ".join(f"{w}: {n}" for w, n in zip(words, shape[-dims:], strict=True))
        given = given.replace(" W:", ", W:")
        if name == "replication" and dims == 2:
            given += " "  # as PyTorch spaces it
        found = " ".join(f"{w}: {n}" for w, n in zip(words, outs, strict=True))
        raise RuntimeError(f"input ({given}) is too small. Calculated output {found}")
    if min(outs) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(outs)}: "
            f"{[*shape[:-dims], *outs]}"
        )
    if x.dtype is dtypes.bool:
        raise NotImplementedError(
            f"\"{name}_pad{dims}d\" not implemented for '{scalar_type_name(x.dtype)}'"
        )
    return padding


def _declare(name: str, dims: int, rule: Callable[..., list[int]]) -> None:
    def body(self, padding):  # type: ignore[no-untyped-def]
        padding = _check(self, padding, dims, name)
        places = _places(self._shape, padding, rule)
        made = gather_places(self, places) if places else self.clone()
        return in_format_of(made, self)

    body.__doc__ = f"The {name} padding of the last {dims} dim(s)."
    op = operator(
        f"{name}_pad{dims}d(Tensor self, int[{2 * dims}] padding) -> Tensor",
        variants="private",
    )(body)
    derive(
        op,
        name_=f"{name.capitalize()}Pad{dims}DBackward0",
        self=lambda grad, self, padding: linked(
            scatter_places(grad, self._shape, _places(self._shape, padding, rule)), self
        ),
    )


for _dims in (1, 2, 3):
    _declare("reflection", _dims, _reflected)
    _declare("replication", _dims, _replicated)


@operator("_pad_circular(Tensor self, int[] pad) -> Tensor", variants="private")
def _pad_circular(self, pad):
    """The last dims padded by their own other end."""
    dims = len(pad) // 2
    if dims + 2 != self.ndim and dims + 1 != self.ndim:
        raise RuntimeError(
            f"Invalid padding size, expected {2 * (self.ndim - 2)} but got {len(pad)}"
        )
    for i in reversed(range(dims)):
        n = self._shape[self.ndim - 1 - i]
        before, after = pad[2 * i : 2 * i + 2]
        if before > n or after > n:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if n + before + after < 0:
            raise RuntimeError(
                "Negative padding value is resulting in an empty dimension"
            )
    places = _places(self._shape, pad, _circular)
    return gather_places(self, places) if places else self.clone()


_OWN = {
    "reflect": [f"reflection_pad{d}d" for d in (1, 2, 3)],
    "replicate": [f"replication_pad{d}d" for d in (1, 2, 3)],
    "circular": ["_pad_circular"] * 3,
}


@operator(
    'pad(Tensor self, int[] pad, str mode="constant", float? value=None) -> Tensor',
    variants="private",
)
def pad(self, pad, mode="constant", value=None):
    """The last dims padded by a constant or by the tensor's own elements."""
    count, ndim = len(pad), self.ndim
    if count % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if count > 2 * ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension "
            f"but got padding length {count} and input of dimension {ndim}"
        )
    if mode == "constant":
        return torch.constant_pad_nd(self, pad, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    dims = count // 2
    if not 1 <= dims <= 3 or ndim not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {count} is not supported for {ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    own = _OWN.get(mode)
    if own is None:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return getattr(torch, own[dims - 1])(self, pad)

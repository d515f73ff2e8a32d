"""Copies and sums between the devices of one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor

from .data_parallel import _device

__all__ = [
    "broadcast",
    "broadcast_coalesced",
    "gather",
    "reduce_add",
    "reduce_add_coalesced",
    "scatter",
]


def _one_of(name: str, first: Any, second: Any) -> None:
    if (first is None) == (second is None):
        raise RuntimeError(f"Exactly one of '{name}' and 'out' must be specified")


def broadcast(
    tensor: Tensor,
    devices: Sequence[Any] | None = None,
    *,
    out: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """The tensor on each device, itself on its own; or copied to each of ``out``."""
    _one_of("devices", devices, out)
    if out is not None:
        for target in out:
            if target.data_ptr() != tensor.data_ptr() or target.device != tensor.device:
                target.copy_(tensor)
        return tuple(out)
    return tuple(tensor.to(_device(d)) for d in devices or ())


def broadcast_coalesced(
    tensors: Sequence[Tensor], devices: Sequence[Any], buffer_size: int = 10485760
) -> list[list[Tensor]]:
    """All tensors on each device: a list for each.

    ``buffer_size`` is how much PyTorch copies at once; copies here are one by one.
    """
    places = [_device(d) for d in devices]
    return [[tensor.to(place) for tensor in tensors] for place in places]


def reduce_add(inputs: Sequence[Tensor], destination: Any = None) -> Tensor:
    """The sum of tensors of one shape, on one device (the current one by default)."""
    place = _place(destination)
    for n, each in enumerate(inputs):
        if each.shape != inputs[0].shape:
            raise ValueError(
                f"input {n} has invalid size: got {tuple(each.shape)}, but expected "
                f"{tuple(inputs[0].shape)}"
            )
    total = inputs[0].to(place)
    for each in inputs[1:]:
        total = total + each.to(place)
    return total


def reduce_add_coalesced(
    inputs: Sequence[Sequence[Tensor]],
    destination: Any = None,
    buffer_size: int = 10485760,
) -> tuple[Tensor, ...]:
    """The sums of the first tensors of all lists, of the second, and so on.

    ``buffer_size`` is how much PyTorch copies at once; copies here are one by one.
    """
    columns = zip(*inputs, strict=True)
    return tuple(reduce_add(column, destination) for column in columns)


def scatter(
    tensor: Tensor,
    devices: Sequence[Any] | None = None,
    chunk_sizes: Sequence[int] | None = None,
    dim: int = 0,
    streams: Sequence[Any] | None = None,
    *,
    out: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """Pieces of a tensor along ``dim``, one on each device or copied to each of ``out``.

    ``streams``: for each device the stream that copies, or None.
    """
    _one_of("devices", devices, out)
    if out is not None:
        if chunk_sizes is not None:
            raise RuntimeError(
                "'chunk_sizes' must not be specified when 'out' is specified"
            )
        sizes = [target.shape[dim] for target in out]
        for target, piece in zip(out, tensor.split(sizes, dim), strict=True):
            target.copy_(piece)
        return tuple(out)
    places = [_device(d) for d in devices or ()]
    pieces = (
        tensor.chunk(len(places), dim)
        if chunk_sizes is None
        else tensor.split(list(chunk_sizes), dim)
    )
    queues = list(streams or [None] * len(places))
    made = []
    for piece, place, queue in zip(pieces, places, queues, strict=False):
        if queue is None:
            made.append(piece.to(place))
        else:
            with queue:
                made.append(piece.to(place))
    return tuple(made)


def gather(
    tensors: Sequence[Tensor],
    dim: int = 0,
    destination: Any = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Tensors of several devices concatenated along ``dim``, on one (or in ``out``)."""
    if out is None:
        place = _place(destination)
        return torch.cat([each.to(place) for each in tensors], dim)  # type: ignore[no-any-return]
    if destination is not None:
        raise RuntimeError(
            f"'destination' must not be specified when 'out' is specified, but got "
            f"destination={destination}"
        )
    moved = [each.to(out.device) for each in tensors]
    return out.copy_(torch.cat(moved, dim))


def _place(destination: Any) -> torch.device:
    """The device that is named: an index, -1 for the host, None for the current one."""
    if destination is None:
        destination = torch.accelerator.current_device_index()
    return torch.device("cpu") if destination == -1 else _device(destination)

"""Memory formats of images: results take the one of what they were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatchtorch.memory_format import (
    channels_last,
    channels_last_3d,
    contiguous_format,
)
from dispatchtorch.tensor import bare

__all__ = [
    "channels_last_strides",
    "has_channels_last",
    "in_format_of",
    "own",
    "suggested_format",
    "with_gaps",
]

_FORMATS = {4: channels_last, 5: channels_last_3d}


def has_channels_last(t: Any) -> bool:
    """Whether an image's channels lie next to each other in memory.

    Sizes of 1 make that ambiguous; as in PyTorch, strides must then grow in the order
    of channels, spatial dims from the last on, and samples.
    """
    shape = t._shape
    if len(shape) not in _FORMATS or 0 in shape:
        return False
    return channels_last_strides(shape, t._backend.strides(t._data))


def channels_last_strides(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """As :func:`has_channels_last`, of the shape and strides of an image."""
    least = strides[1]
    if least == 0:
        return False
    if shape[1] > 1:
        least *= shape[1]
    for dim in range(len(shape) - 1, 1, -1):
        if strides[dim] < least:
            return False
        least = strides[dim] * shape[dim] if shape[dim] > 1 else strides[dim]
    # Where all but the samples is of size 1, both orders fit: not this one.
    return bool(strides[0] >= least and least != strides[1])


def suggested_format(t: Any) -> Any:
    """The memory format that a tensor's strides show; the contiguous one in doubt."""
    return _FORMATS[t.ndim] if has_channels_last(t) else contiguous_format


def in_format_of(made: Any, *likes: Any) -> Any:
    """A result with its channels last where one of some tensors has them there."""
    if any(has_channels_last(t) for t in likes):
        form = _FORMATS[made.ndim]
        # Where a size is 1, strides that pass for contiguous may be others.
        return (
            made.clone(memory_format=form)
            if 1 in made._shape
            else (made.contiguous(memory_format=form))
        )
    return made


def with_gaps(t: Any, whole: bool = False) -> Any:
    """A copy with the very strides of ``t``, of all its storage where those leave gaps.

    With ``whole`` of all the storage in any case, unless elements overlap.
    """
    pairs = list(zip(t._shape, t.stride(), strict=True))
    repeats = any(n > 1 and not step for n, step in pairs)
    lazy = t.is_conj() or t.is_neg()
    if repeats or lazy or (t.is_contiguous() and not (whole and t.storage_offset())):
        return t.clone()
    count = t.untyped_storage().nbytes() // t.element_size()
    memory = t.as_strided((count,), (1,), 0).clone()
    return own(memory.as_strided(t._shape, t.stride(), t.storage_offset()))


def own(made: Any) -> Any:
    """A result as a tensor of its own, where it is a view of an intermediate one."""
    return made if made._base is None else bare(made)

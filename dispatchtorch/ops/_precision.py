"""What operators of neural networks share: their dtypes, and float32 for halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.ops._common import scalar_type_name

__all__ = [
    "floats_only",
    "half",
    "has_values",
    "in_single",
    "refuse_but_floats",
    "single",
]

Body = Callable[..., Any]

_HALF = dtypes.float16.bit | dtypes.bfloat16.bit


def half(t: Any) -> bool:
    """Whether a tensor is of a half type, which computes in float32."""
    return bool(t._keys & _HALF)


def single(value: Any) -> Any:
    """A tensor of a half type in float32; any other value as it is."""
    keys = getattr(value, "_keys", 0)
    return value.to(dtypes.float32) if keys & _HALF else value


def has_values(t: Any) -> bool:
    """Whether values can be read: ``meta`` tensors have none."""
    return bool(t._backend.device_type != "meta")


def in_single(body: Body) -> Body:
    """A body that computes half types in float32 and rounds its results once.

    PyTorch's kernels do so. Results of one half type get that type back; where it meets
    another dtype, float32 is what they promote to.
    """

    def wide(*args: Any) -> Any:
        keys = 0
        for each in args:
            keys |= getattr(each, "_keys", 0)
        if not keys & _HALF:
            return body(*args)
        found = keys & dtypes.DIFFERENTIABLE_MASK
        kind = dtypes.dtypes_in(found)[0] if not found & (found - 1) else None
        made = body(*[single(each) for each in args])
        if kind is None:
            return made
        if type(made) is tuple:
            return tuple([None if each is None else each.to(kind) for each in made])
        return made.to(kind)

    wide.__doc__ = body.__doc__
    wide.__module__ = body.__module__
    return wide


def floats_only(kernel: str, *allowed: int) -> dict[int, str]:
    """What ``Pointwise(forbid=…)`` takes to refuse all but floating-point dtypes."""
    text = f"\"{kernel}\" not implemented for '{{dtype}}'"
    refused = {dtypes.BOOL, dtypes.INT, dtypes.COMPLEX} - set(allowed)
    return dict.fromkeys(refused, text)


def refuse_but_floats(t: Any, kernel: str) -> None:
    """NotImplementedError in PyTorch's words, unless ``t`` is of a floating dtype."""
    kind = t.dtype
    if kind.category != dtypes.FLOAT:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_type_name(kind)}'"
        )

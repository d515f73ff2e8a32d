"""How losses are reduced: the operators' number of a word, and the words that the
deprecated ``size_average`` and ``reduce`` stand for."""

from __future__ import annotations

import warnings

__all__ = ["get_enum", "legacy_get_enum", "legacy_get_string", "reduction_of"]

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str, *, stacklevel: int = 2) -> int:
    """The operators' number of a reduction; ValueError for any other word."""
    found = _NUMBERS.get(reduction) if isinstance(reduction, str) else None
    if found is not None:
        return found
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' "
            "instead.",
            stacklevel=stacklevel,
        )
        return 1
    raise ValueError(f"{reduction} is not a valid value for reduction")


def legacy_get_string(
    size_average: bool | None,
    reduce: bool | None,
    emit_warning: bool = True,
    *,
    stacklevel: int = 2,
) -> str:
    """The reduction that the deprecated arguments ask for; warns by default."""
    mean = size_average is None or size_average
    reduction = ("mean" if mean else "sum") if reduce is None or reduce else "none"
    if emit_warning:
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead.",
            stacklevel=stacklevel,
        )
    return reduction


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """The number of :func:`legacy_get_string`."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning, stacklevel=3))


def reduction_of(
    size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int
) -> str:
    """``reduction``, unless one of the deprecated arguments is used."""
    if size_average is None and reduce is None:
        return reduction
    return legacy_get_string(size_average, reduce, stacklevel=stacklevel + 1)

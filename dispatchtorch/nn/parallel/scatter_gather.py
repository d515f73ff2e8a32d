"""Splitting inputs over devices, and bringing outputs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .data_parallel import gather, scatter

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter_kwargs(
    inputs: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    target_gpus: Sequence[Any],
    dim: int = 0,
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """Arguments and keyword arguments for each device; as many of both."""
    many = list(scatter(inputs, target_gpus, dim)) if inputs else []
    named = list(scatter(kwargs, target_gpus, dim)) if kwargs else []
    many += [()] * (len(named) - len(many))
    named += [{}] * (len(many) - len(named))
    return tuple(map(tuple, many)), tuple(named)

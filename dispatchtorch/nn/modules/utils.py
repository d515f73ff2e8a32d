"""What modules share: sizes for each dimension, prefixes of state dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    from .module import Module

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """A function that repeats a scalar ``n`` times and makes a tuple of anything
    else."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else (x,) * n

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Sequence[Any], n: int) -> tuple[Any, ...]:
    """``(a, b) -> (b, b, a, a)`` for n = 2: sizes by dimension, as F.pad orders
    them."""
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size: Any, defaults: Sequence[int]) -> Any:
    """``out_size`` with its Nones taken from the last of ``defaults``."""
    if isinstance(out_size, int):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    tail = defaults[-len(out_size) :]
    return [d if v is None else v for v, d in zip(out_size, tail, strict=True)]


def _weight_and_bias(module: Module) -> tuple[Tensor, Tensor | None]:
    """``module.weight, module.bias``, from the registry where they are usually found.

    Attribute look-up finds a parameter only after it has failed everywhere else, which
    costs more than the rest of a module's call. A module that is parametrized or had a
    parameter replaced has it as an ordinary attribute.
    """
    parameters = module._parameters
    try:
        return parameters["weight"], parameters["bias"]  # type: ignore[return-value]
    except KeyError:
        return module.weight, module.bias  # type: ignore[return-value]


def consume_prefix_in_state_dict_if_present(
    state_dict: dict[str, Any], prefix: str
) -> None:
    """Strips ``prefix`` from the keys of ``state_dict`` that have it, in place.

    Its metadata is treated alike, so that what ``DataParallel`` and its kind saved
    loads into the bare module.
    """
    for key in [k for k in state_dict if k.startswith(prefix)]:
        state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    # The wrapped module itself is listed without the dot; it becomes the root.
    for key in [k for k in metadata if k.startswith(prefix) or k + "." == prefix]:
        metadata[key[len(prefix) :]] = metadata.pop(key)

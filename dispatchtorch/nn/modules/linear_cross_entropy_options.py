"""How ``LinearCrossEntropyLoss`` may split its work."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import dispatchtorch as torch

__all__ = ["LinearCrossEntropyOptions"]

_POLICIES = ("accurate", "balanced", "compact", "auto")
_METHOD = re.compile(r"auto|aspect_ratio(:[1-9]\d*)?")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class LinearCrossEntropyOptions:
    """Settings of the chunked linear cross entropy, which never holds all logits at
    once.

    Args:
        allow_retain_graph: lets ``backward`` be called more than once.
        batch_chunk_size: samples a chunk, or None to let ``chunking_method`` decide.
        chunking_method: ``"auto"``, ``"aspect_ratio"``, ``"aspect_ratio:<n>"`` or None.
        acc_policy: ``"accurate"``, ``"balanced"``, ``"compact"`` or ``"auto"``: how
            gradients are accumulated.
        acc_dtype: a floating point dtype to accumulate in, or None.

    Instances can't be changed. Raises ValueError for anything else.
    """

    __slots__ = __match_args__ = (
        "allow_retain_graph",
        "batch_chunk_size",
        "chunking_method",
        "acc_policy",
        "acc_dtype",
    )

    def __init__(
        self,
        allow_retain_graph: bool = False,
        batch_chunk_size: int | None = None,
        chunking_method: str | None = "auto",
        acc_policy: str = "auto",
        acc_dtype: Any = None,
    ) -> None:
        if batch_chunk_size is not None and not (
            isinstance(batch_chunk_size, int) and batch_chunk_size > 0
        ):
            raise ValueError(
                f"batch_chunk_size must be positive int or None, got "
                f"{batch_chunk_size!r}"
            )
        if chunking_method is not None and not _METHOD.fullmatch(chunking_method):
            raise ValueError(f"invalid chunking_method: {chunking_method!r}")
        if acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {acc_policy!r}")
        if acc_dtype is not None and acc_dtype not in _DTYPES:
            allowed = ", ".join(str(d) for d in (None, *_DTYPES))
            raise ValueError(
                f"acc_dtype must be one of {{{allowed}}}, got {acc_dtype!r}. Pass "
                "acc_dtype=None to let the op pick automatically."
            )
        values = (
            allow_retain_graph,
            batch_chunk_size,
            chunking_method,
            acc_policy,
            acc_dtype,
        )
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        _refuse("assign to", name)

    def __delattr__(self, name: str) -> NoReturn:
        _refuse("delete", name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={value!r}"
            for name, value in zip(self.__slots__, self._values(), strict=True)
        )
        return f"{type(self).__qualname__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()


def _refuse(what: str, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot {what} field {name!r}")

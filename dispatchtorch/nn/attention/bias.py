"""Causal masks by name: made of two lengths, and a tensor only when they are needed."""

from __future__ import annotations

import enum
import warnings
from typing import Any

import dispatchtorch as torch

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """The corner that the diagonal of a causal mask starts from or ends in."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(torch.Tensor):
    """A causal mask for ``scaled_dot_product_attention``'s ``attn_mask``.

    Args:
        variant: which corner the diagonal is tied to; that matters where the lengths
            differ.
        seq_len_q, seq_len_kv: the lengths of the query and of key and value.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    @staticmethod
    def __new__(
        cls: Any, variant: CausalVariant, seq_len_q: int, seq_len_kv: int
    ) -> Any:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(
                f"variant must be a CausalVariant, got {type(variant).__name__}"
            )
        made = torch.empty((1, seq_len_q, seq_len_kv)).as_subclass(cls)
        made.variant = variant
        made.seq_len_q, made.seq_len_kv = seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant is CausalVariant.LOWER_RIGHT:
            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when "
                "seq_len_q > seq_len_kv!",
                stacklevel=3,
            )
        return made

    def _materialize(self, device: Any = None) -> torch.Tensor:
        """The mask as a bool tensor: True where attention is allowed."""
        shift = 0
        if self.variant is CausalVariant.LOWER_RIGHT:
            shift = self.seq_len_kv - self.seq_len_q
        size = (self.seq_len_q, self.seq_len_kv)
        return torch.ones(size, dtype=torch.bool, device=device).tril(shift)

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return repr(self._materialize())

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _attend(*args, **kwargs)
        return super().__torch_function__(func, types, args, kwargs)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    if is_causal:
        raise ValueError("CausalBias should not be used with causal=True")
    # A square mask, or one tied to the upper left corner, is what `is_causal` means.
    upper_left = attn_mask.variant is CausalVariant.UPPER_LEFT
    plain = upper_left or attn_mask.seq_len_q == attn_mask.seq_len_kv
    return torch.nn.functional.scaled_dot_product_attention(  # type: ignore[no-any-return]
        query,
        key,
        value,
        attn_mask=None if plain else attn_mask._materialize(query.device),
        dropout_p=dropout_p,
        is_causal=plain,
        scale=scale,
        enable_gqa=enable_gqa,
    )


def _two(name: str, size: tuple[int, ...]) -> tuple[int, ...]:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
    return size


def causal_upper_left(*size: int) -> CausalBias:
    """The mask of ``torch.ones(size).tril()``: a query sees what isn't after it."""
    q, kv = _two("causal_upper_left", size)
    return CausalBias(CausalVariant.UPPER_LEFT, q, kv)


def causal_lower_right(*size: int) -> CausalBias:
    """The same from the end: the last query sees all keys."""
    q, kv = _two("causal_lower_right", size)
    return CausalBias(CausalVariant.LOWER_RIGHT, q, kv)

"""Multi-head attention as a module: the projections' parameters and the layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn import init
from dispatchtorch.nn.modules.linear import NonDynamicallyQuantizableLinear
from dispatchtorch.nn.modules.module import Module
from dispatchtorch.nn.parameter import Parameter

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in `num_heads` subspaces (Vaswani et al., 2017).

    MultiHead(Q, K, V) = concat(head_1, …, head_h) W_o with head_i =
    softmax(Q W_q K^T W_k^T / √head_dim) V W_v of `embed_dim // num_heads` features.

    Args:
        embed_dim: features of the query and the output.
        num_heads: number of heads, a divisor of `embed_dim`, else AssertionError.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        add_bias_kv: append a learned position to the keys and values.
        add_zero_attn: append a position of zeros to the keys and values.
        kdim, vdim: features of the keys and values, `embed_dim` when left out.
        batch_first: (B, L, E) rather than (L, B, E).
    """

    __constants__ = ["batch_first"]

    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        same = self._qkv_same_embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if same else None,
            "q_proj_weight": None if same else (embed_dim, embed_dim),
            "k_proj_weight": None if same else (embed_dim, self.kdim),
            "v_proj_weight": None if same else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            if shape is None:
                self.register_parameter(name, None)
            else:
                weight = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name, Parameter(weight))
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj", "q_proj", "k_proj", "v_proj"):
            weight = getattr(self, f"{name}_weight")
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.constant_(bias, 0.0)
        for weight in (self.bias_k, self.bias_v):
            if weight is not None:
                init.xavier_normal_(weight)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Modules pickled before the flag existed had one projection weight.
        state.setdefault("_qkv_same_embed_dim", True)
        super().__setstate__(state)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, attention weights or None).

        Args:
            query: (L, B, E), (B, L, E) if `batch_first`, or (L, E).
            key, value: (S, B, kdim) and (S, B, vdim), likewise.
            key_padding_mask: (B, S) or (S); True is left out, a float is added.
            need_weights: return the weights; without them the faster
                `scaled_dot_product_attention` is used.
            attn_mask: (L, S) or (B · num_heads, L, S); True is left out, a float is
                added.
            average_attn_weights: weights (B, L, S) rather than (B, heads, L, S).
            is_causal: a promise that `attn_mask`, which must be given, is causal.
        """
        swap = self.batch_first and query.dim() == 3
        if swap:
            # What was one tensor stays one, so that one projection serves for all.
            swapped = {id(t): t for t in (query, key, value)}
            swapped = {i: t.transpose(0, 1) for i, t in swapped.items()}
            query, key, value = (swapped[id(t)] for t in (query, key, value))
        separate: dict[str, Any] = {}
        if not self._qkv_same_embed_dim:
            separate = {
                "use_separate_proj_weight": True,
                "q_proj_weight": self.q_proj_weight,
                "k_proj_weight": self.k_proj_weight,
                "v_proj_weight": self.v_proj_weight,
            }
        output, weights = torch.nn.functional.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            **separate,
        )
        return output.transpose(0, 1) if swap else output, weights

    def merge_masks(
        self,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        query: Tensor,
    ) -> tuple[Tensor | None, int | None]:
        """Both masks as one, with its type: 0 attention, 1 padding, 2 both.

        `query` is (B, L, E). A merged mask is (B, heads, L, L), padding alone (B, L).
        """
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        if attn_mask.dim() == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length)
        merged = merged.expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            padding = key_padding_mask.view(batch, 1, 1, length)
            merged = merged + padding.expand(-1, self.num_heads, -1, -1)
        return merged, 2

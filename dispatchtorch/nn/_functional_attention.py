"""Multi-head attention of ``torch.nn.functional`` (Vaswani et al., 2017)."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from dispatchtorch.ops._common import torch as operators

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["multi_head_attention_forward"]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What ``nn.MultiheadAttention`` computes, with all its weights as arguments.

    ``query`` is (L, N, E), ``key`` and ``value`` (S, N, E), or all three without N.
    ``key_padding_mask`` (N, S) and ``attn_mask`` (L, S) or (N * num_heads, L, S)
    exclude places where they are True, or are added to the scores. ``is_causal`` says
    that ``attn_mask`` is the causal one. Returns the output (L, N, E) and, if
    ``need_weights``, the weights (N, L, S), or (N, num_heads, L, S) without averaging.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _batches_of_one(query, key, value)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, embed = query.shape
    source = key.shape[0]
    key_padding_mask = _additive(
        key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the "
            "Transformer module method `generate_square_subsequent_mask` to create "
            "this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the hint says it all
    else:
        attn_mask = _additive(attn_mask, "attn_mask", None, "", query.dtype)
        if key_padding_mask is not None:
            is_causal = False
    assert embed == embed_dim_to_check, (
        f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}"
    )
    head = embed // num_heads
    assert head * num_heads == embed, (
        f"embed_dim {embed} not divisible by num_heads {num_heads}"
    )
    if use_separate_proj_weight:
        assert key.shape[:2] == value.shape[:2], (
            f"key's sequence and batch dims {key.shape[:2]} do not match value's "
            f"{value.shape[:2]}"
        )
        weights = _separate_weights(
            (q_proj_weight, k_proj_weight, v_proj_weight), (query, key, value), embed
        )
    else:
        assert key.shape == value.shape, (
            f"key shape {key.shape} does not match value shape {value.shape}"
        )
        assert in_proj_weight is not None, (
            "use_separate_proj_weight is False but in_proj_weight is None"
        )
        weights = None
    q, k, v = _project(query, key, value, in_proj_weight, weights, in_proj_bias)
    attn_mask = _check_mask(attn_mask, target, source, batch * num_heads)

    if bias_k is not None and bias_v is not None:
        assert static_k is None, "bias cannot be added to static key."
        assert static_v is None, "bias cannot be added to static value."
        k = operators.cat([k, bias_k.repeat(1, batch, 1)])
        v = operators.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _widened(attn_mask), _widened(key_padding_mask)
    else:
        assert bias_k is None, "bias_k is set but bias_v is None"
        assert bias_v is None, "bias_v is set but bias_k is None"

    # Heads become batches: (N * num_heads, length, head).
    heads = batch * num_heads
    q = q.view(target, heads, head).transpose(0, 1)
    k = _heads(k, static_k, "static_k", heads, head)
    v = _heads(v, static_v, "static_v", heads, head)
    if add_zero_attn:
        zeros = operators.zeros((heads, 1, head), dtype=k.dtype, device=k.device)
        k, v = operators.cat([k, zeros], 1), operators.cat([v, zeros], 1)
        attn_mask, key_padding_mask = _widened(attn_mask), _widened(key_padding_mask)
    source = k.shape[1]
    if key_padding_mask is not None:
        attn_mask = _merged(attn_mask, key_padding_mask, batch, num_heads, source)
    if not training:
        dropout_p = 0.0

    if need_weights:
        made, shown = _with_weights(q, k, v, attn_mask, dropout_p)
        made = made.transpose(0, 1).contiguous().view(target * batch, embed)
        shown = shown.view(batch, num_heads, target, source)
        if average_attn_weights:
            shown = shown.mean(dim=1)
    else:
        if attn_mask is not None:
            if attn_mask.shape[0] == 1 and attn_mask.dim() == 3:
                attn_mask = attn_mask.unsqueeze(0)
            else:
                attn_mask = attn_mask.view(batch, num_heads, -1, source)
        made = operators.scaled_dot_product_attention(
            q.view(batch, num_heads, target, head),
            k.view(batch, num_heads, source, head),
            v.view(batch, num_heads, source, head),
            attn_mask,
            dropout_p,
            is_causal,
        )
        made = made.permute(2, 0, 1, 3).contiguous().view(target * batch, embed)
        shown = None
    made = operators.linear(made, out_proj_weight, out_proj_bias)
    made = made.view(target, batch, made.shape[1])
    if not batched:
        made = made.squeeze(1)
        shown = None if shown is None else shown.squeeze(0)
    return made, shown


def _batches_of_one(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Three sequences with a batch dim; what was one tensor stays one."""
    made = query.unsqueeze(1)
    keys = made if key is query else key.unsqueeze(1)
    if value is key:
        return made, keys, keys
    return made, keys, made if value is query else value.unsqueeze(1)


def _check_ranks(
    query: Any, key: Any, value: Any, padding: Any, mask: Any, num_heads: int
) -> bool:
    """Whether there is a batch dim; AssertionError where ranks disagree about it."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    word, rank = ("batched", 3) if batched else ("unbatched", 2)
    prefix = f"For {word} ({rank}-D) `query`, expected"
    assert key.dim() == rank and value.dim() == rank, (
        f"{prefix} `key` and `value` to be {rank}-D but found {key.dim()}-D and "
        f"{value.dim()}-D tensors respectively"
    )
    if padding is not None:
        assert padding.dim() == rank - 1, (
            f"{prefix} `key_padding_mask` to be `None` or {rank - 1}-D but found "
            f"{padding.dim()}-D tensor instead"
        )
    if mask is not None:
        assert mask.dim() in (2, 3), (
            f"{prefix} `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D "
            "tensor instead"
        )
        if not batched and mask.dim() == 3:
            wanted = (num_heads, query.shape[0], key.shape[0])
            assert mask.shape == wanted, (
                f"Expected `attn_mask` shape to be {wanted} but got {mask.shape}"
            )
    return batched


def _additive(mask: Any, name: str, other: Any, other_name: str, dtype: Any) -> Any:
    """A mask as numbers that are added to the scores."""
    if mask is None:
        return None
    boolean = not mask.is_floating_point()
    if boolean and mask.dtype is not operators.bool:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype is not mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same "
            "type for both instead.",
            stacklevel=3,
        )
    if not boolean:
        return mask
    zeros = operators.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(mask, -math.inf)


def _separate_weights(weights: Any, inputs: Any, embed: int) -> Any:
    names = ("query", "key", "value")
    for name, weight in zip(names, weights, strict=True):
        assert weight is not None, (
            f"use_separate_proj_weight is True but {name[0]}_proj_weight is None"
        )
    for name, weight, given in zip(names, weights, inputs, strict=True):
        wanted = (embed, given.shape[-1])
        assert weight.shape == wanted, (
            f"expecting {name} weights shape of {wanted}, but got {weight.shape}"
        )
    return weights


def _project(
    query: Any, key: Any, value: Any, packed: Any, weights: Any, bias: Any
) -> list[Any]:
    """Queries, keys and values, by as few products as there are different inputs."""
    linear = operators.linear
    if weights is None and query is key and key is value:
        return [part.contiguous() for part in linear(query, packed, bias).chunk(3, -1)]
    if weights is None:
        weights = packed.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [
        linear(given, weight, part)
        for given, weight, part in zip(
            (query, key, value), weights, biases, strict=True
        )
    ]


def _check_mask(mask: Any, target: int, source: int, heads: int) -> Any:
    """The mask as (1 or heads, target, source); RuntimeError for any other size."""
    if mask is None:
        return None
    wanted = (target, source) if mask.dim() == 2 else (heads, target, source)
    if mask.shape != wanted:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be "
            f"{wanted}."
        )
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _widened(mask: Any) -> Any:
    """A mask with one more place at the end, which is open to all."""
    return None if mask is None else operators.pad(mask, (0, 1))


def _heads(given: Any, static: Any, name: str, heads: int, head: int) -> Any:
    if static is None:
        return given.view(given.shape[0], heads, head).transpose(0, 1)
    for dim, wanted in ((0, heads), (2, head)):
        assert static.size(dim) == wanted, (
            f"expecting {name}.size({dim}) of {wanted}, but got {static.size(dim)}"
        )
    return static


def _merged(mask: Any, padding: Any, batch: int, num_heads: int, source: int) -> Any:
    """Padding of keys for each head, added to the mask."""
    assert padding.shape[0] == batch, (
        f"Expected key_padded_mask.shape[0] to be {batch}, but got {padding.shape[0]}"
    )
    assert padding.shape[1] == source, (
        f"Expected key_padded_mask.shape[1] to be {source}, but got {padding.shape[1]}"
    )
    padding = padding.view(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(batch * num_heads, 1, source)
    return padding if mask is None else mask + padding


def _with_weights(q: Any, k: Any, v: Any, mask: Any, dropout_p: float) -> Any:
    scores = (q * math.sqrt(1.0 / q.shape[-1])).bmm(k.transpose(-2, -1))
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)
    if dropout_p > 0.0:
        weights = operators.dropout(weights, dropout_p, True)
    return weights.bmm(v), weights

"""Scaled dot-product attention (Vaswani et al., 2017).

What four-dimensional inputs without dropout need is one operator with a derivative of
its own, so that devices may fuse it and only the logarithms of sums are kept for the
backward pass. Everything else is a composition.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain, broadcast_shapes
from dispatchtorch.ops._common import numel_of, torch
from dispatchtorch.ops._precision import single
from dispatchtorch.ops.linalg import _CPP

_PLAIN = Plain()
_MINUS_INFINITY = float("-inf")


def _scale_of(query: Any, scale: float | None) -> float:
    return 1.0 / math.sqrt(query._shape[-1]) if scale is None else scale


def _additive(mask: Any, like: Any) -> Any:
    """A Boolean mask (True takes part) as numbers added to the scores."""
    if mask is None or mask.dtype is not dtypes.bool:
        return mask
    zeros = torch.zeros((), dtype=like.dtype, device=like.device)
    return torch.where(mask, zeros, _MINUS_INFINITY)


def causal_mask(target: int, source: int, like: Any) -> Any:
    """True where a place may be seen: not after one's own (aligned at the start)."""
    rows = torch.arange(target, device=like.device).unsqueeze(1)
    return rows >= torch.arange(source, device=like.device)


def _scores(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    scores = (query * scale).matmul(key.transpose(-2, -1))
    if is_causal:
        seen = causal_mask(query._shape[-2], key._shape[-2], query)
        scores = scores.masked_fill(~seen, _MINUS_INFINITY)
    return scores if mask is None else scores + single(_additive(mask, scores))


@operator(
    "_fused_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, "
    "bool is_causal, float scale) -> (Tensor output, Tensor logsumexp)",
    lift=_PLAIN,
    variants="private",
    tags="tuple",
)
def _fused_attention(query, key, value, attn_mask, is_causal, scale):
    """Attention of (N, H, L, E) inputs, and logarithms of the sums it divided by."""
    scores = _scores(single(query), single(key), attn_mask, is_causal, scale)
    # Rows that may see nothing give zeros.
    top = torch.clamp(
        torch.amax(scores, -1, True), min=-1e300 if _wide(scores) else -1e38
    )
    powers = torch.exp(scores - top)
    total = torch.sum(powers, -1, True)
    made = powers.matmul(single(value)) / torch.where(total == 0, 1, total)
    return made.to(query.dtype), (torch.log(total) + top).squeeze(-1)


def _wide(t: Any) -> bool:
    return bool(t.dtype is dtypes.float64)


@operator(
    "_fused_attention_backward(Tensor grad_out, Tensor query, Tensor key, Tensor "
    "value, Tensor? attn_mask, Tensor output, Tensor logsumexp, bool is_causal, float "
    "scale, bool[3] output_mask) -> (Tensor?, Tensor?, Tensor?)",
    lift=_PLAIN,
    variants="private",
)
def _fused_attention_backward(
    grad_out,
    query,
    key,
    value,
    attn_mask,
    output,
    logsumexp,
    is_causal,
    scale,
    output_mask,
):
    """The gradients of query, key and value: the weights are computed anew."""
    kind = query.dtype
    grad, q, k, v = (single(t) for t in (grad_out, query, key, value))
    scores = _scores(q, k, attn_mask, is_causal, scale)
    if torch_recorded(query, key, value):
        # Differentiated twice: the sums depend on the inputs.
        top = torch.clamp(torch.amax(scores, -1, True).detach(), min=-1e38)
        powers = torch.exp(scores - top)
        total = torch.sum(powers, -1, True)
        weights = powers / torch.where(total == 0, 1, total)
    else:
        sums = logsumexp.unsqueeze(-1)
        weights = torch.exp(scores - torch.where(sums == _MINUS_INFINITY, 0, sums))
    by_weights = grad.matmul(v.transpose(-2, -1))
    through = torch.sum(by_weights * weights, -1, True)
    by_scores = weights * (by_weights - through) * scale
    made = (
        by_scores.matmul(k) if output_mask[0] else None,
        by_scores.transpose(-2, -1).matmul(q) if output_mask[1] else None,
        weights.transpose(-2, -1).matmul(grad) if output_mask[2] else None,
    )
    return tuple(None if t is None else t.to(kind) for t in made)


def torch_recorded(*tensors: Any) -> bool:
    """Whether operations on these tensors are being recorded."""
    from dispatchtorch.dispatch.state import grad_enabled

    return grad_enabled() and any(t.requires_grad for t in tensors)


_fused_attention_backward.prepare = lambda *args: (*args[:-1], tuple(args[-1]))

derive_joint(
    _fused_attention,
    "query key value",
    lambda grad, query, key, value, attn_mask, is_causal, scale, output, logsumexp,
    needs: torch._fused_attention_backward(
        grad, query, key, value, attn_mask, output, logsumexp, is_causal, scale, needs
    ),
    name_="ScaledDotProductFlashAttentionForCpuBackward0",
    outputs_=(0,),
)  # fmt: skip


def _check(query: Any, key: Any, value: Any, mask: Any) -> None:
    dims = {"query": query.ndim, "key": key.ndim, "value": value.ndim}
    if min(dims.values()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got "
            f"query.dim: {query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} "
            "instead."
        )
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got "
            f"query.dtype: {_name(query)} key.dtype: {_name(key)} and value.dtype: "
            f"{_name(value)} instead."
        )
    if mask is not None and mask.dtype not in (
        dtypes.bool, dtypes.float32, query.dtype
    ):  # fmt: skip
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but "
            f"got attn_mask.dtype: {_name(mask)} and  query.dtype: {_name(query)} "
            "instead."
        )


def _name(t: Any) -> str:
    return (
        "long int" if t.dtype is dtypes.int64 else _CPP.get(t.dtype.name, t.dtype.name)
    )


def _repeat_heads(query: Any, t: Any) -> Any:
    """Keys or values for each head of the query, where several share one."""
    heads, own = query._shape[-3], t._shape[-3]
    if own == heads:
        return t
    if not own or heads % own:
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in "
        )
    return t.repeat_interleave(heads // own, -3)


def _is_fusable(query: Any, key: Any, value: Any, mask: Any, dropout_p: float) -> bool:
    if dropout_p or query.ndim != 4 or not query.is_floating_point():
        return False
    q, k = query._shape, key._shape
    if k != value._shape or q[:2] != k[:2] or q[3] != k[3] or 0 in q or 0 in k:
        return False
    return mask is None or (not mask.requires_grad and mask.ndim in (2, 4))


@operator(
    "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, "
    "Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, "
    "float? scale=None, bool enable_gqa=False) -> Tensor",
    variants="nn",
)
def scaled_dot_product_attention(
    query, key, value, attn_mask, dropout_p, is_causal, *, scale, enable_gqa
):
    """``softmax(scale * query @ key.T + mask) @ value``, over the last two dims.

    ``attn_mask`` is True where a key takes part, or is added. ``enable_gqa`` lets
    several heads of the query share a head of key and value.
    """
    _check(query, key, value, attn_mask)
    if enable_gqa and query.ndim > 2:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    if _is_fusable(query, key, value, attn_mask, dropout_p):
        if attn_mask is not None:
            q, k = query._shape, key._shape
            broadcast_shapes([(*q[:3], k[2]), attn_mask._shape])
        return torch._fused_attention(
            query, key, value, attn_mask, is_causal, _scale_of(query, scale)
        )[0]
    return torch._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale
    )[0]


@operator(
    "_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, "
    "Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, "
    "Tensor? dropout_mask=None, *, float? scale=None, bool enable_gqa=False) -> "
    "(Tensor, Tensor)",
    variants="function",
)
def _scaled_dot_product_attention_math(
    query,
    key,
    value,
    attn_mask,
    dropout_p,
    is_causal,
    dropout_mask,
    *,
    scale,
    enable_gqa,
):
    """Attention step by step: the output, and the weights."""
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if enable_gqa:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    if not query.is_floating_point() and not query.is_complex():
        raise RuntimeError("expected scalar type Float but found Long")
    kind = query.dtype
    query, key, value = single(query), single(key), single(value)
    # Each side takes the root of the scale, which keeps products in range.
    scale = _scale_of(query, scale)
    root = math.sqrt(abs(scale))
    left = query * (root if scale >= 0 else -root)
    scores = left.matmul((key * root).transpose(-2, -1))
    if is_causal:
        seen = causal_mask(query._shape[-2], key._shape[-2], query)
        scores = scores.masked_fill(~seen, _MINUS_INFINITY)
    if attn_mask is not None:
        scores = scores + _additive(attn_mask, scores)
    weights = torch._safe_softmax(scores, -1) if numel_of(scores._shape) else scores
    if dropout_p > 0:
        if dropout_mask is not None:
            weights = weights.masked_fill(~dropout_mask, 0.0)
            made = weights.matmul(value * (1 / (1 - dropout_p)))
            return made.to(kind), weights.to(kind)
        weights = torch.dropout(weights, dropout_p, True)
    return weights.matmul(value).to(kind), weights.to(kind)

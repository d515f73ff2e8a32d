"""Random configurations of losses, and of modules over sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.oracle.drawing import Drawer, Drawn, Packed, Source, called, family


def _reduced(r: Drawer, **choices: list[Any]) -> dict[str, Any]:
    made = r.some(**choices)
    if r.random() < 0.07:
        return made | r.some(size_average=[True, False], reduce=[True, False])
    return made | r.some(reduction=["mean", "sum", "none", r.rarely("other", "sum")])


@family("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss",
        "HingeEmbeddingLoss", "KLDivLoss", "PoissonNLLLoss", "BCELoss", "BCEWithLogitsLoss",
        "MultiLabelSoftMarginLoss", "GaussianNLLLoss")  # fmt: skip
def _loss(r: Drawer, name: str) -> Drawn:
    own: dict[str, dict[str, list[Any]]] = {
        "SmoothL1Loss": dict(beta=[0.0, 0.5, 2.0, -1.0]),
        "HuberLoss": dict(delta=[0.5, 2.0, 0.0]),
        "HingeEmbeddingLoss": dict(margin=[0.3, 2.0]),
        "KLDivLoss": dict(log_target=[True, False]),
        "PoissonNLLLoss": dict(log_input=[True, False], full=[True, False], eps=[0.1]),
        "GaussianNLLLoss": dict(full=[True, False], eps=[0.1, 0.5]),
    }
    extra = _reduced(r, **own.get(name, {}))
    if name in ("HuberLoss", "GaussianNLLLoss"):
        extra = {k: v for k, v in extra.items() if k not in ("size_average", "reduce")}
    shape = r.sizes(r.randint(0, 3), r.one(0, 1, 1, 1), 4)
    other = r.rarely((*shape, 2), r.rarely((1,) * len(shape), shape))
    x = r.unit(*shape) if name in ("BCELoss", "PoissonNLLLoss") else r.normal(*shape)
    y = r.unit(*other)
    if name in ("SoftMarginLoss", "HingeEmbeddingLoss"):
        y = r.signs(*other)
    weights = ("BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss")
    if name in weights and shape and shape[-1] and r.random() < 0.3:
        extra["weight"] = Source(f"torch.linspace(.1, 1, {shape[-1]}, dtype=DTYPE)")
    if name == "BCEWithLogitsLoss" and shape and shape[-1] and r.random() < 0.3:
        extra["pos_weight"] = Source(f"torch.linspace(1, 3, {shape[-1]}, dtype=DTYPE)")
    inputs: list[Any] = [x, y]
    if name == "GaussianNLLLoss":
        inputs.append(
            r.one(r.unit(*shape), r.unit(*shape[:-1]), 0.5, r.unit(*shape) - 0.1)
        )
    return called(name, **extra), inputs


@family("NLLLoss", "CrossEntropyLoss", "MultiMarginLoss", "NLLLoss2d")
def _class_loss(r: Drawer, name: str) -> Drawn:
    c = r.randint(1, 4)
    own: dict[str, list[Any]] = dict(ignore_index=[-1, 0, 1])
    if name == "MultiMarginLoss":
        own = dict(p=[1, 2, r.rarely(3, 1)], margin=[0.5])
    if name == "CrossEntropyLoss":
        own["label_smoothing"] = [0.1, 0.9, r.rarely(1.5, 0.0)]
    extra = _reduced(r, **own)
    dims = (
        0
        if name == "MultiMarginLoss"
        else 2
        if name == "NLLLoss2d"
        else r.one(0, 0, 1, 2)
    )
    spatial = r.sizes(dims, 1, 3)
    if dims == 0 and r.random() < 0.3:
        shape, target = (c,), ()
    else:
        n = r.rarely(0, r.randint(1, 3), 0.08)
        shape, target = (n, c, *spatial), (n, *spatial)
    y: np.ndarray = r.integers(c, *target)
    if r.random() < 0.3 and extra.get("ignore_index", -100) not in (0, 1) and y.ndim:
        y = np.where(r.unit(*target) < 0.3, extra.get("ignore_index", -100), y)
        if name == "MultiMarginLoss":
            y = abs(y) % c
    if name == "CrossEntropyLoss" and r.random() < 0.3:
        y = r.unit(*shape)
    y = r.rarely(r.integers(c, 5), y, 0.03)
    y = r.rarely(y + c, y, 0.03)
    if r.random() < 0.3:
        extra["weight"] = Source(
            f"torch.linspace(.1, 1, {r.rarely(c + 1, c)}, dtype=DTYPE)"
        )
    x = r.normal(*shape)
    return called(name, **extra), [x, y]


@family("MultiLabelMarginLoss")
def _multi_label(r: Drawer, name: str) -> Drawn:
    shape = (
        (r.randint(1, 3), r.randint(1, 4)) if r.random() < 0.7 else (r.randint(1, 4),)
    )
    y = r.integers(shape[-1] + 1, *shape) - 1
    return called(name, **_reduced(r)), [r.normal(*shape), y]


@family("CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss",
        "TripletMarginWithDistanceLoss")  # fmt: skip
def _triple_loss(r: Drawer, name: str) -> Drawn:
    n, d = r.sizes(2, 1, 4)
    shape = (d,) if r.random() < 0.3 else (n, d)
    if name == "MarginRankingLoss":
        extra = _reduced(r, margin=[0.5, -1.0])
        return called(name, **extra), [
            r.normal(*shape),
            r.normal(*shape),
            r.signs(*shape),
        ]
    if name == "CosineEmbeddingLoss":
        extra = _reduced(r, margin=[0.5, -0.3])
        return (
            called(name, **extra),
            [r.normal(*shape), r.normal(*shape), r.signs(*r.rarely((9,), shape[:-1]))],
        )
    own: dict[str, list[Any]] = dict(
        margin=[0.5, 2.0, r.rarely(-1.0, 0.1)], swap=[True, False]
    )
    if name == "TripletMarginLoss":
        extra = _reduced(r, p=[1.0, 3.0], eps=[1e-3], **own)
    else:
        own["distance_function"] = [Source("nn.PairwiseDistance(p=1)"),
                                    Source("lambda a, b: 1 - nn.functional.cosine_similarity(a, b)"),
                                    None]  # fmt: skip
        extra = r.some(reduction=["mean", "sum", "none"], **own)
    third = r.rarely((5,), shape)
    return called(name, **extra), [r.normal(*shape), r.normal(*shape), r.normal(*third)]


@family("CTCLoss")
def _ctc(r: Drawer, name: str) -> Drawn:
    t, n, c = r.randint(3, 7), r.randint(1, 3), r.randint(2, 5)
    blank = r.one(0, 0, c - 1)
    extra = r.some(reduction=["mean", "sum", "none"], zero_infinity=[True, False])
    if blank:
        extra["blank"] = blank
    allowed = [i for i in range(c) if i != blank]
    lengths = [r.randint(0, 3) for _ in range(n)]
    into = [r.randint(2, t) for _ in range(n)]
    width = max(max(lengths), 1)
    y = np.array([[r.choice(allowed) for _ in range(width)] for _ in range(n)])
    x = r.normal(t, n, c)
    x = x - np.log(np.exp(x).sum(-1, keepdims=True))
    ins, outs = (
        (into, lengths) if r.random() < 0.5 else (np.array(into), np.array(lengths))
    )
    if r.random() < 0.3:
        y = np.array([r.choice(allowed) for _ in range(sum(lengths))], np.int64)
    return called(name, **extra), [x, y, ins, outs]


@family("AdaptiveLogSoftmaxWithLoss")
def _adaptive_softmax(r: Drawer, name: str) -> Drawn:
    d = r.one(4, 8)
    cutoffs = r.one([2, 5], [3], [2, 4, 7], r.rarely([5, 2], [4]), r.rarely([20], [1]))
    extra = r.some(div_value=[2.0, 1.0], head_bias=[True, False])
    n = r.randint(1, 5)
    x, y = (
        (r.normal(d), r.integers(9))
        if r.random() < 0.2
        else (r.normal(n, d), r.integers(9, n))
    )
    return called(name, d, 9, cutoffs, **extra), [x, r.rarely(y + 9, y)]


@family("LinearCrossEntropyLoss")
def _linear_cross_entropy(r: Drawer, name: str) -> Drawn:
    d, c, n = r.sizes(3, 1, 4)
    extra = r.some(bias=[True, False], reduction=["mean", "sum", "none"],
                   ignore_index=[0, -1], label_smoothing=[0.1])  # fmt: skip
    return called(name, d, c, **extra), [r.normal(n, d), r.integers(c, n)]


@family("RNN", "GRU", "LSTM")
def _recurrent(r: Drawer, name: str) -> Drawn:
    d, h, layers = r.randint(1, 4), r.randint(2, 4), r.one(1, 1, 2, 3)
    extra = r.some(bias=[True, False], batch_first=[True, False],
                   bidirectional=[True, False], dropout=[0.0, 0.5, r.rarely(1.5, 0.0)])  # fmt: skip
    if name == "RNN":
        extra |= r.some(nonlinearity=["tanh", "relu", r.rarely("x", "relu")])
    if name == "LSTM" and r.random() < 0.4:
        extra["proj_size"] = r.rarely(h, h - 1)
    if layers > 1:
        extra["num_layers"] = layers
    n, t = r.randint(1, 3), r.randint(1, 4)
    kind = r.random()
    shape = (n, t, d) if extra.get("batch_first") else (t, n, d)
    if kind < 0.2:
        shape = (t, d)
    inputs: list[Any] = [r.normal(*r.rarely((*shape[:-1], d + 1), shape))]
    if 0.2 < kind < 0.5:
        lengths = sorted((r.randint(1, t) for _ in range(n)), reverse=True)
        lengths[0] = t
        if kind < 0.35:
            r.shuffle(lengths)
        inputs = [Packed(r.normal(*shape), lengths, bool(extra.get("batch_first")))]
    if r.random() < 0.5:
        both = 2 if extra.get("bidirectional") else 1
        size = extra.get("proj_size", 0) or h
        batch = () if kind < 0.2 else (n,)
        batch = r.rarely((n + 1,), batch)
        h0 = r.normal(layers * both, *batch, size)
        inputs.append(
            [h0, r.normal(layers * both, *batch, h)] if name == "LSTM" else h0
        )
    return called(name, d, h, **extra), inputs


@family("RNNCell", "GRUCell", "LSTMCell")
def _cell(r: Drawer, name: str) -> Drawn:
    d, h, n = r.sizes(3, 1, 4)
    extra = r.some(bias=[True, False])
    if name == "RNNCell":
        extra |= r.some(nonlinearity=["tanh", "relu", r.rarely("x", "relu")])
    lead = () if r.random() < 0.3 else (n,)
    inputs: list[Any] = [r.normal(*r.rarely((2, *lead, d), (*lead, d)))]
    if r.random() < 0.6:
        h0 = r.normal(*lead, r.rarely(h + 1, h))
        inputs.append([h0, r.normal(*lead, h)] if name == "LSTMCell" else h0)
    return called(name, d, h, **extra), inputs


@family("MultiheadAttention")
def _attention(r: Drawer, name: str) -> Drawn:
    heads = r.one(1, 2, 3)
    e = r.rarely(heads * 2 + 1, heads * r.one(1, 2)) if heads > 1 else 2
    extra = r.some(
        dropout=[0.0, 0.3], bias=[True, False], add_bias_kv=[True, False],
        add_zero_attn=[True, False], batch_first=[True, False],
    )  # fmt: skip
    same = r.random() < 0.3
    if not same:
        extra |= r.some(kdim=[3, e], vdim=[5, e])
    n, t, s = r.sizes(3, 1, 4)
    s = t if same else s
    one = r.random() < 0.25

    def shaped(length: int, size: int) -> np.ndarray:
        if one:
            return r.normal(length, size)
        return r.normal(
            *((n, length, size) if extra.get("batch_first") else (length, n, size))
        )

    query = shaped(t, e)
    inputs = [query] * 3 if same else [
        query, shaped(s, extra.get("kdim", e)), shaped(s, extra.get("vdim", e))
    ]  # fmt: skip
    kwargs: dict[str, Any] = r.some(
        need_weights=[True, False], average_attn_weights=[True, False]
    )
    if r.random() < 0.4:
        mask = r.unit(s) < 0.3 if one else r.unit(n, s) < 0.3
        mask[..., 0] = False
        kwargs["key_padding_mask"] = r.one(mask, np.where(mask, -1e9, 0.0))
    if r.random() < 0.4:
        lead = r.one((), ((1 if one else n) * heads,))
        mask = r.unit(*lead, t, r.rarely(s + 1, s)) < 0.3
        mask[..., 0] = False
        kwargs["attn_mask"] = r.one(mask, np.where(mask, -1e9, 0.0))
    if r.random() < 0.1:
        kwargs["is_causal"] = True
    return called(name, e, heads, **extra), inputs, kwargs


_LAYER = dict(
    dim_feedforward=[3, 7], dropout=[0.0, 0.3], activation=["relu", "gelu"],
    layer_norm_eps=[1e-3], batch_first=[True, False], norm_first=[True, False],
    bias=[True, False],
)  # fmt: skip


@family("TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder",
        "TransformerDecoder", "Transformer")  # fmt: skip
def _transformer(r: Drawer, name: str) -> Drawn:
    heads = r.one(1, 2)
    e = heads * r.one(2, 3)
    extra = {"dim_feedforward": 5} | r.some(**_LAYER)
    if r.random() < 0.1:
        extra["activation"] = Source("torch.tanh")
    n, t, s = r.sizes(3, 1, 4)
    one = r.random() < 0.25
    first = extra.get("batch_first")

    def shaped(length: int) -> np.ndarray:
        if one:
            return r.normal(length, e)
        return r.normal(*((n, length, e) if first else (length, n, e)))

    def padding(length: int) -> np.ndarray:
        mask = r.unit(length) < 0.3 if one else r.unit(n, length) < 0.3
        mask[..., 0] = False
        return np.asarray(mask)

    def masks(**choices: Callable[[], Any]) -> dict[str, Any]:
        return {k: make() for k, make in choices.items() if r.random() < 0.35}

    def square(a: int, b: int) -> np.ndarray:
        mask = r.unit(a, b) < 0.3
        mask[..., 0] = False
        return np.asarray(r.one(mask, np.where(mask, -1e9, 0.0)))

    layer = called(
        name.removesuffix("Layer").rstrip() + "Layer" if name != "Transformer" else "X",
        e, heads, **extra,
    )  # fmt: skip
    norm = r.some(norm=[Source(f"nn.LayerNorm({e})"), None])
    if name == "TransformerEncoderLayer":
        kwargs = masks(
            src_mask=lambda: square(s, s), src_key_padding_mask=lambda: padding(s)
        )
        return layer, [shaped(s)], kwargs
    if name == "TransformerEncoder":
        more = norm | r.some(
            enable_nested_tensor=[True, False], mask_check=[True, False]
        )
        kwargs = masks(mask=lambda: square(s, s), src_key_padding_mask=lambda: padding(s),
                       is_causal=lambda: False)  # fmt: skip
        return called(name, Source(layer), r.one(1, 2, 0), **more), [shaped(s)], kwargs
    kwargs = masks(
        tgt_mask=lambda: square(t, t), memory_mask=lambda: square(t, s),
        tgt_key_padding_mask=lambda: padding(t),
        memory_key_padding_mask=lambda: padding(s),
    )  # fmt: skip
    if name.startswith("TransformerDecoder"):
        if name == "TransformerDecoder":
            layer = called(name, Source(layer), r.one(1, 2), **norm)
        return layer, [shaped(t), shaped(s)], kwargs
    kwargs |= masks(
        src_mask=lambda: square(s, s), src_key_padding_mask=lambda: padding(s)
    )
    extra |= {"num_encoder_layers": r.one(1, 2), "num_decoder_layers": r.one(1, 2)}
    return called(name, e, heads, **extra), [shaped(s), shaped(t)], kwargs

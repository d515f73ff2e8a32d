"""Random configurations of layers; a function draws those of a family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.oracle.drawing import Drawer, Drawn, Source, called, dims_of, family


@family("Conv1d", "Conv2d", "Conv3d", "LazyConv1d", "LazyConv2d", "LazyConv3d")
def _conv(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    groups = r.one(1, 1, 2, 3)
    into = r.rarely(5, groups * r.one(1, 2))
    out = r.rarely(7, groups * r.one(1, 2, 3))
    kernel = r.each(dims, 1, 2, 3)
    extra = r.some(
        stride=[r.each(dims, 1, 2, 3), r.rarely(0, 2)],
        padding=[r.each(dims, 0, 1, 2), "same", "valid", r.rarely("other", 1)],
        dilation=[r.each(dims, 1, 2), r.rarely(0, 1)],
        bias=[True, False],
        padding_mode=["zeros", "reflect", "replicate", "circular", r.rarely("x", "zeros")],
    )  # fmt: skip
    if groups > 1:
        extra["groups"] = groups
    seen = r.rarely(into + 1, into)
    shape = r.batched(seen, *r.sizes(dims, 3, 9 - dims))
    first = (out, kernel) if name.startswith("Lazy") else (into, out, kernel)
    return called(name, *first, **extra), [r.normal(*shape)]


@family("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "LazyConvTranspose1d",
        "LazyConvTranspose2d", "LazyConvTranspose3d")  # fmt: skip
def _conv_transpose(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    groups = r.one(1, 1, 2, 3)
    into = r.rarely(5, groups * r.one(1, 2))
    out = r.rarely(7, groups * r.one(1, 2))
    extra = r.some(
        stride=[r.each(dims, 1, 2, 3)],
        padding=[r.each(dims, 0, 1, 2)],
        output_padding=[r.each(dims, 0, 1)],
        dilation=[r.each(dims, 1, 2)],
        bias=[True, False],
        padding_mode=["zeros", r.rarely("circular", "zeros")],
    )
    if groups > 1:
        extra["groups"] = groups
    first = () if name.startswith("Lazy") else (into,)
    made = called(name, *first, out, r.each(dims, 1, 2, 3), **extra)
    sizes = r.sizes(dims, 2, 6 - dims)
    inputs: list[Any] = [r.normal(*r.batched(into, *sizes))]
    if r.random() < 0.2:
        inputs.append([s * r.one(1, 2, 3) + r.one(0, 1, 2) for s in sizes])
    return made, inputs


@family("MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
        "LPPool1d", "LPPool2d", "LPPool3d")  # fmt: skip
def _pool(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    kernel = r.each(dims, 1, 2, 3)
    choices: dict[str, list[Any]] = dict(
        stride=[r.each(dims, 1, 2, 3), None, r.rarely(0, 1)],
        ceil_mode=[True, False],
    )
    if "LP" not in name:
        choices["padding"] = [r.each(dims, 0, 1), r.rarely(-1, 1), r.rarely(3, 0)]
    if "Max" in name:
        choices["dilation"] = [r.each(dims, 1, 2), r.rarely(0, 1)]
        choices["return_indices"] = [True, False]
    if "Avg" in name:
        choices["count_include_pad"] = [True, False]
        if dims > 1:
            choices["divisor_override"] = [None, 1, 3, r.rarely(0, 2)]
    first = (r.one(1, 2, 3.0, 1.5), kernel) if "LP" in name else (kernel,)
    shape = r.batched(r.randint(1, 3), *r.sizes(dims, 2, 7))
    x = r.unit(*shape) if "LP" in name else r.normal(*shape)
    return called(name, *first, **r.some(**choices)), [x]


@family(
    *(f"Adaptive{kind}Pool{n}d" for kind in ("Avg", "Max") for n in (1, 2, 3)),
)
def _adaptive_pool(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    size = r.each(dims, 1, 2, 3, 5, None)
    if dims == 1 and r.random() < 0.8:
        size = r.randint(1, 4)
    extra = r.some(return_indices=[True, False]) if "Max" in name else {}
    shape = r.batched(r.randint(1, 3), *r.sizes(dims, 1, 7))
    return called(name, size, **extra), [r.normal(*shape)]


@family("FractionalMaxPool2d", "FractionalMaxPool3d")
def _fractional_pool(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    kernel = r.each(dims, 1, 2, 3)
    if r.random() < 0.5:
        extra = {"output_size": r.each(dims, 1, 2, 3)}
    else:
        extra = {"output_ratio": r.each(dims, 0.3, 0.5, 0.7, r.rarely(1.5, 0.6))}
    extra |= r.some(return_indices=[True, False])
    shape = r.batched(r.randint(1, 3), *r.sizes(dims, 4, 8))
    return called(name, kernel, **r.rarely({}, extra)), [r.normal(*shape)]


@family("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")
def _unpool(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    extra = r.some(stride=[r.each(dims, 1, 2, 3), None], padding=[r.each(dims, 0, 1)])
    shape = r.batched(r.randint(1, 2), *r.sizes(dims, 2, 4))
    count = int(np.prod(shape[-dims:]))
    places = np.arange(count)[::-1].reshape(shape[-dims:])
    return (
        called(name, r.each(dims, 2, 3), **extra),
        [r.normal(*shape), np.ascontiguousarray(np.broadcast_to(places, shape))],
    )


@family(*(f"{kind}Pad{n}d" for n in (1, 2, 3)
          for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")))  # fmt: skip
def _pad(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name)
    pads = (0, 1, 2, 1, -1) if r.random() < 0.9 else (0, 5, 1, -3)
    width = r.rarely(2 * dims - 1, 2 * dims, 0.02)
    if name.startswith("Circular"):  # mixed signs make PyTorch copy over itself
        pads = r.one((0, 1, 2), (0, -1))
    padding = r.one(r.choice(pads), tuple(r.choice(pads) for _ in range(width)))
    first = (padding, r.one(0, 1.5, -2)) if "Constant" in name else (padding,)
    shape = r.batched(r.randint(1, 2), *r.sizes(dims, 2, 5))
    return called(name, *first), [r.normal(*shape)]


@family("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d",
        "InstanceNorm3d", *(f"Lazy{k}Norm{n}d" for k in ("Batch", "Instance") for n in (1, 2, 3)),
        "SyncBatchNorm")  # fmt: skip
def _batch_norm(r: Drawer, name: str) -> Drawn:
    dims = dims_of(name) if name[-1] == "d" else 2
    c = r.randint(1, 4)
    extra = r.some(
        eps=[1e-3, 0.1],
        momentum=[0.3, None, 1.0, 0.0],
        affine=[True, False],
        track_running_stats=[True, False],
        bias=[True, False],
    )
    first = () if name.startswith("Lazy") else (r.rarely(c + 1, c),)
    shape = (r.randint(1, 3), c, *r.sizes(dims, 1, 4))
    if dims == 1 and r.random() < 0.4 and "Batch" in name:
        shape = shape[:2]
    elif "Instance" in name and r.random() < 0.3:
        shape = shape[1:]
    return called(name, *first, **extra), [r.normal(*r.rarely((c,), shape))]


@family("GroupNorm")
def _group_norm(r: Drawer, name: str) -> Drawn:
    groups = r.one(1, 2, 3)
    c = r.rarely(5, groups * r.one(1, 2))
    extra = r.some(eps=[1e-3], affine=[True, False], bias=[True, False])
    shape = (r.randint(0, 3), r.rarely(c + 1, c), *r.sizes(r.randint(0, 3), 1, 4))
    return called(name, groups, c, **extra), [r.normal(*shape)]


@family("LayerNorm", "RMSNorm")
def _layer_norm(r: Drawer, name: str) -> Drawn:
    normal = r.sizes(r.randint(1, 3), 1, 5)
    given = (
        normal[0]
        if len(normal) == 1 and r.random() < 0.5
        else r.one(list, tuple)(normal)
    )
    extra = r.some(eps=[1e-3, None] if name == "RMSNorm" else [1e-3],
                   elementwise_affine=[True, False])  # fmt: skip
    if name == "LayerNorm":
        extra |= r.some(bias=[True, False])
    shape = (*r.sizes(r.randint(0, 3), 0, 4), *normal)
    return called(name, given, **extra), [r.normal(*r.rarely(shape[:-1], shape))]


@family("LocalResponseNorm", "CrossMapLRN2d")
def _response_norm(r: Drawer, name: str) -> Drawn:
    extra = r.some(alpha=[0.5], beta=[0.5], k=[2.0])
    dims = 2 if name[-1] == "d" else r.randint(0, 3)
    shape = (r.randint(1, 3), r.randint(1, 5), *r.sizes(dims, 1, 4))
    return called(name, r.one(1, 2, 3), **extra), [r.normal(*shape)]


@family("Linear", "LazyLinear", "Bilinear", "Identity")
def _linear(r: Drawer, name: str) -> Drawn:
    a, b, out = r.sizes(3, 0 if r.random() < 0.05 else 1, 6)
    lead = r.sizes(r.randint(0, 3), r.one(0, 1, 1, 1), 4)
    extra = r.some(bias=[True, False])
    x = r.normal(*lead, r.rarely(a + 1, a))
    if name == "Bilinear":
        lead = r.rarely((7,), lead)
        return called(name, a, b, out, **extra), [x, r.normal(*lead, b)]
    if name == "LazyLinear":
        return called(name, out, **extra), [x]
    return called(name, a, out, **extra), [x]


_ACTIVATIONS: dict[str, dict[str, list[Any]]] = {
    "CELU": dict(alpha=[0.5, 2, -1.5, 0], inplace=[True, False]),
    "ELU": dict(alpha=[0.5, 2], inplace=[True, False]),
    "GELU": dict(approximate=["none", "tanh", "other"]),
    "GLU": dict(dim=[0, 1, -1, 5]),
    "Hardshrink": dict(lambd=[0.1, 1]),
    "Hardsigmoid": dict(inplace=[True, False]),
    "Hardswish": dict(inplace=[True, False]),
    "Hardtanh": dict(min_val=[-2, -0.5, 3], max_val=[0.5, 2], inplace=[True, False]),
    "LeakyReLU": dict(negative_slope=[0.2, -0.1, 2], inplace=[True, False]),
    "LogSigmoid": {},
    "LogSoftmax": dict(dim=[0, 1, -1, 6, None]),
    "Mish": dict(inplace=[True, False]),
    "RReLU": dict(lower=[0.1, 0.5], upper=[0.4, 0.9], inplace=[True, False]),
    "ReLU": dict(inplace=[True, False]),
    "ReLU6": dict(inplace=[True, False]),
    "SELU": dict(inplace=[True, False]),
    "SiLU": dict(inplace=[True, False]),
    "Sigmoid": {},
    "Softmax": dict(dim=[0, 1, -1, 6, None]),
    "Softmin": dict(dim=[0, 1, -1, 6, None]),
    "Softmax2d": {},
    "Softplus": dict(beta=[0.5, 2], threshold=[1, 5]),
    "Softshrink": dict(lambd=[0.1, 1, 0, -1]),
    "Softsign": {},
    "Tanh": {},
    "Tanhshrink": {},
    "Threshold": dict(inplace=[True, False]),
    "Dropout": dict(p=[0, 0.2, 1, 0.7, 1.5], inplace=[True, False]),
    "Dropout1d": dict(p=[0, 0.2, 1], inplace=[True, False]),
    "Dropout2d": dict(p=[0, 0.2, 1], inplace=[True, False]),
    "Dropout3d": dict(p=[0, 0.2, 1], inplace=[True, False]),
    "AlphaDropout": dict(p=[0, 0.2, 1, -0.1], inplace=[True, False]),
    "FeatureAlphaDropout": dict(p=[0, 0.2, 1], inplace=[True, False]),
    "Flatten": dict(start_dim=[0, 1, -1, 2], end_dim=[-1, 0, 1, 2, -2]),
    "ChannelShuffle": {},
    "PixelShuffle": {},
    "PixelUnshuffle": {},
}


@family(*_ACTIVATIONS)
def _activation(r: Drawer, name: str) -> Drawn:
    extra = r.some(**_ACTIVATIONS[name])
    first: tuple[Any, ...] = ()
    shape = r.sizes(r.randint(0, 5), r.one(0, 1, 1, 1), 4)
    if name == "Threshold":
        first = r.one(0.1, -1), r.one(2, 0.0)
    if name in ("ChannelShuffle", "PixelShuffle", "PixelUnshuffle"):
        first = (r.rarely(0, r.one(1, 2, 3)),)
        c = first[0] ** 2 * r.one(1, 2)
        shape = (*r.sizes(r.randint(0, 2), 1, 3), r.rarely(c + 1, c), *r.sizes(2, 1, 3))
        if name == "PixelUnshuffle":
            shape = (*shape[:-2], shape[-2] * first[0], shape[-1] * first[0])
    return called(name, *first, **extra), [r.normal(*shape)]


@family("PReLU")
def _prelu(r: Drawer, name: str) -> Drawn:
    c = r.randint(1, 3)
    shape = (*r.sizes(r.randint(0, 1)), r.rarely(c + 1, c), *r.sizes(r.randint(0, 2)))
    extra = r.some(init=[0.1, -1.0])
    return called(name, r.one(1, c), **extra), [r.normal(*r.rarely((), shape, 0.1))]


@family("Unflatten")
def _unflatten(r: Drawer, name: str) -> Drawn:
    sizes = r.one((2, 3), [3, 2], (-1, 2), (6,), (4, 2), Source("torch.Size([2, 3])"))
    return called(name, r.one(1, -1, 0, 4), sizes), [r.normal(r.one(2, 6), 6)]


@family("Fold", "Unfold")
def _fold(r: Drawer, name: str) -> Drawn:
    kernel = r.each(2, 1, 2, 3)
    extra = r.some(
        dilation=[r.each(2, 1, 2)], padding=[r.each(2, 0, 1)], stride=[r.each(2, 1, 2)]
    )
    sizes = r.sizes(2, 3, 6)
    if name == "Unfold":
        return called(name, kernel, **extra), [r.normal(*r.batched(2, *sizes))]

    def pair(value: Any) -> Any:
        return [value] * 2 if isinstance(value, int) else value

    parts = [pair(v) for v in (kernel, extra.get("dilation", 1),
                               extra.get("padding", 0), extra.get("stride", 1))]  # fmt: skip
    if any(len(p) != 2 for p in parts):
        return called(name, sizes, kernel, **extra), [r.normal(1, 4, 4)]
    blocks = 1
    for s, k, d, p, t in zip(sizes, *parts, strict=True):
        blocks *= max((s + 2 * p - d * (k - 1) - 1) // t + 1, 1)
    shape = r.batched(2 * parts[0][0] * parts[0][1], r.rarely(blocks + 1, blocks))
    return called(name, sizes, kernel, **extra), [r.normal(*shape)]


@family("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
def _upsample(r: Drawer, name: str) -> Drawn:
    dims = r.randint(1, 3) if name == "Upsample" else 2
    extra: dict[str, Any] = {}
    if r.random() < 0.5:
        extra["size"] = r.each(dims, 1, 3, 5, 8)
    else:
        extra["scale_factor"] = r.each(dims, 0.6, 1.5, 2, 2.3)
    if name == "Upsample":
        fitting = {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
        extra |= r.some(
            mode=[fitting, fitting, "nearest", "nearest-exact", "bicubic", "area",
                  r.rarely("other", fitting)],
            align_corners=[True, False, None],
            recompute_scale_factor=[True, False, None],
        )  # fmt: skip
    shape = (r.randint(1, 2), r.randint(1, 2), *r.sizes(dims, 1, 5))
    return called(name, **r.rarely({}, extra, 0.02)), [r.normal(*shape)]


@family("CosineSimilarity", "PairwiseDistance")
def _distance(r: Drawer, name: str) -> Drawn:
    extra = r.some(eps=[1e-3, 0.1])
    shape = r.sizes(r.randint(1, 3), 1, 4)
    if name == "PairwiseDistance":
        extra |= r.some(p=[1, 3.0, 2, float("inf"), 0.5], keepdim=[True, False])
        extra = {k: Source("float('inf')") if v == float("inf") else v
                 for k, v in extra.items()}  # fmt: skip
    else:
        extra |= r.some(dim=[0, -1, 1, 2])
    other = r.one(shape, shape, shape[1:], (1,) * len(shape))
    return called(name, **extra), [r.normal(*shape), r.normal(*other)]


@family("Embedding")
def _embedding(r: Drawer, name: str) -> Drawn:
    n, d = r.sizes(2, 1, 6)
    extra = r.some(
        padding_idx=[0, -1, None, r.rarely(n, n - 1)],
        max_norm=[1.0, 0.3], norm_type=[1.0, 2.0, 3.0],
        scale_grad_by_freq=[True, False], _freeze=[True, False], sparse=[True, False],
    )  # fmt: skip
    shape = r.sizes(r.randint(0, 3), r.one(0, 1, 1), 4)
    return called(name, n, d, **extra), [r.integers(r.rarely(n + 2, n), *shape)]


@family("EmbeddingBag")
def _embedding_bag(r: Drawer, name: str) -> Drawn:
    n, d = r.sizes(2, 2, 6)
    extra = r.some(
        padding_idx=[0, -1, None], max_norm=[1.0], norm_type=[1.0],
        scale_grad_by_freq=[True, False], mode=["sum", "mean", "max", r.rarely("x", "sum")],
        sparse=[True, False], include_last_offset=[True, False],
    )  # fmt: skip
    kwargs: dict[str, Any] = {}
    if r.random() < 0.5:
        shape: tuple[int, ...] = (r.randint(0, 3), r.randint(1, 4))
        inputs = [r.integers(n, *shape)]
        if r.random() < 0.05:
            inputs.append(np.array([0]))
    else:
        shape = (r.randint(1, 8),)
        cuts = sorted(r.randint(0, shape[0]) for _ in range(r.randint(0, 3)))
        last = [shape[0]] if extra.get("include_last_offset") else []
        inputs = [r.integers(n, *shape), np.array([r.rarely(1, 0, 0.02), *cuts, *last])]
    if r.random() < 0.3:
        kwargs["per_sample_weights"] = r.normal(*shape)
    return called(name, n, d, **extra), inputs, kwargs

"""Random configurations of modules, made and called here and under PyTorch.

``python -m tests.oracle.configurations [REGEX] [--count N] [--seed S]`` draws N
configurations of every module whose name matches and prints what differs: constructor
arguments in all their forms, batched and unbatched inputs of odd sizes and layouts, and
now and then an argument that is wrong, so that errors are compared too.

A configuration is a text, ``nn.Conv2d(3, 4, (2, 3), padding="same")``, and inputs. A
family of modules is a function here that draws one of each.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import dispatchtorch as dt
from tests.oracle import samples
from tests.oracle.samples import NotSame

__all__ = ["Case", "FAMILIES", "check", "draw", "main", "problem"]

# (module, what differs, why that stays): where PyTorch fails, or is wrong.
QUIRKS = [
    ("MaxPool3d", "Unsupported memory format", "of unbatched inputs it takes few"),
    ("NLLLoss|CrossEntropy", "grad_input must be contiguous", "it fails"),
    ("MaxUnpool", "view size is not compatible", "its backward fails"),
    ("LPPool1d", "must be Tensor, not (tuple|list)", "a kernel size in a tuple fails"),
    ("LPPool", "too many values to unpack", "another class of error"),
    ("Adaptive", "'NoneType' has no len", "None alone fails"),
    ("CrossMapLRN2d", "gradient|start \\(1\\) . length", "its gradient fails gradcheck"),
    ("SoftMarginLoss", "is not differentiable with respect", "ours is by the target"),
    ("ReflectionPad3d", "gradient 0", "of an empty result it isn't initialised"),
    ("MultiMarginLoss", r"result 0: np.float..\(0.0\)", "an empty batch isn't either"),
    ("Linear", r"result 0: np.float..\(", "nor results of no features"),
    ("ConvTranspose", "Output size is too small|output padding must be|memory descr",
     "float32 goes past the checks of sizes"),
    ("Conv", "non-positive dilation|dilation should be", "the library's wording"),
    ("Conv", "padding_mode must be one of", "the order of a set"),
    ("Embedding", "too many indices for tensor of dimension 0", "it fails"),
    ("EmbeddingBag.*scale_grad_by_freq=True", "gradient 0",
     "it divides by how often the index before occurs"),
    ("Upsample", "adaptive_avg_pool3d_backward", "it fails"),
    ("Upsample.*scale_factor", "gradient 0", "the gradient isn't that of the result"),
    ("GroupNorm", r"result 0: np.float..\(0.0\), PyTorch gives np.float..\(-?\d.*e-",
     "groups of one element"),
    ("Bilinear", "cannot reshape tensor of 0 elements", "another shape in the words"),
    ("MultiLabelSoftMarginLoss", "Dimension specified as -1", "of two errors the other"),
]  # fmt: skip


class Case(NamedTuple):
    """A module as an expression over ``nn`` and ``torch``; what it is called with,
    arrays standing for tensors; whether it trains; its dtype."""

    made: str
    inputs: list[Any]
    kwargs: dict[str, Any]
    training: bool
    dtype: str


class Drawer(random.Random):
    """Draws arguments and inputs."""

    def one(self, *choices: Any) -> Any:
        return self.choice(choices)

    def rarely(self, wrong: Any, right: Any, chance: float = 0.04) -> Any:
        return wrong if self.random() < chance else right

    def sizes(self, dims: int, low: int = 1, high: int = 9) -> tuple[int, ...]:
        return tuple(self.randint(low, high) for _ in range(dims))

    def each(self, dims: int, *choices: Any) -> Any:
        """An argument that is given once or for each dimension."""
        if self.random() < 0.5:
            return self.choice(choices)
        dims = self.rarely(dims + 1, dims, 0.02)
        made = tuple(self.choice(choices) for _ in range(dims))
        return list(made) if self.random() < 0.1 else made

    def some(self, **choices: list[Any]) -> dict[str, Any]:
        """Keyword arguments, of which each is left out in half of the draws."""
        return {
            name: self.choice(values)
            for name, values in choices.items()
            if self.random() < 0.5
        }

    def normal(self, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).standard_normal(shape)
        return np.asarray(made)

    def unit(self, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).random_sample(shape)
        return np.asarray(made * 0.98 + 0.01)

    def integers(self, high: int, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).randint(0, high, shape)
        return np.asarray(made)

    def signs(self, *shape: int) -> np.ndarray:
        return np.where(self.normal(*shape) > 0, 1.0, -1.0)

    def batched(self, *shape: int) -> tuple[int, ...]:
        """A shape without or with a batch dimension, which may be empty."""
        kind = self.random()
        if kind < 0.2:
            return shape
        if kind < 0.25:
            return (0, *shape)
        if kind < 0.28:
            return (1, 2, *shape)
        return (self.randint(1, 3), *shape)


def called(name: str, *args: Any, **kwargs: Any) -> str:
    shown = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    return f"nn.{name}({', '.join(shown)})"


class Source(str):
    """An argument given as source text."""

    def __repr__(self) -> str:
        return str(self)


Drawn = tuple[str, list[Any]] | tuple[str, list[Any], dict[str, Any]]
FAMILIES: dict[str, Callable[[Drawer], Drawn]] = {}


def family(*names: str) -> Callable[[Callable[[Drawer, str], Drawn]], None]:
    def register(drawn: Callable[[Drawer, str], Drawn]) -> None:
        for name in names:
            FAMILIES[name] = lambda r, name=name: drawn(r, name)

    return register


def dims_of(name: str) -> int:
    found = re.search(r"(\d)d$", name)
    assert found
    return int(found[1])


# ------------------------------------------------------------------ the families


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


class Packed(NamedTuple):
    array: np.ndarray
    lengths: list[int]
    batch_first: bool


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


# -------------------------------------------------------------------- comparing


def draw(name: str, seed: int) -> Case:
    r = Drawer(f"{name} {seed}")
    made, inputs, *rest = FAMILIES[name](r)
    kwargs = rest[0] if rest else {}
    dtype = r.one("float64", "float64", "float32")
    return Case(made, inputs, kwargs, r.random() < 0.6, dtype)


def _tensors(value: Any, module: Any, case: Case, r: Drawer, leaves: list[Any]) -> Any:
    """The inputs as tensors of a framework; the same draws give the same layouts."""
    if isinstance(value, Packed):
        t = _tensors(value.array, module, case, r, leaves)
        return module.nn.utils.rnn.pack_padded_sequence(
            t, value.lengths, value.batch_first, enforce_sorted=False
        )
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return tuple(_tensors(v, module, case, r, leaves) for v in value)
    if not isinstance(value, np.ndarray):
        return value
    kind = r.random()
    t = module.tensor(value)
    if value.dtype == np.float64:
        t = t.to(getattr(module, case.dtype))
    if kind < 0.15 and t.dim():
        t = module.stack([t, t], -1).select(-1, 1).detach()
    elif kind < 0.3 and t.dim() == 4:
        t = t.contiguous(memory_format=module.channels_last)
    elif kind < 0.4 and t.dim() > 1:
        t = t.transpose(0, 1).contiguous().transpose(0, 1)
    if t.is_floating_point() and r.random() < 0.8:
        t = t.requires_grad_()
        leaves.append(t)
        if "inplace=True" in case.made:
            t = t.clone()
    return t


def _flat(value: Any) -> Iterator[Any]:
    """Results, packed sequences among them, as tensors."""
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from _flat(v)
    elif value is not None:
        yield value


class _Run:
    """One framework's part: the module, and what it gives for a case."""

    def __init__(self, case: Case, module: Any) -> None:
        scope = {"nn": module.nn, "torch": module, "DTYPE": getattr(module, case.dtype)}
        self.module = module
        self.case = case
        self.leaves: list[Any] = []
        self.net, self.error = samples._run(
            lambda: eval(case.made, scope).to(getattr(module, case.dtype)),
            module,
            (),
            {},
        )
        self.out: Any = None
        if self.error is None:
            self.net.train(case.training)

    def call(self, where: Callable[[Any], Any]) -> None:
        r = Drawer(self.case.made)
        net, case = where(self.net), self.case
        self.leaves.clear()

        def run() -> Any:
            args = [_tensors(v, self.module, case, r, self.leaves) for v in case.inputs]
            kwargs = {k: _tensors(v, self.module, case, r, self.leaves)
                      for k, v in case.kwargs.items()}  # fmt: skip
            self.module.manual_seed(1)
            return net(*args, **kwargs)

        self.out, self.error = samples._run(run, self.module, (), {})


def check(
    case: Case, where: Callable[[Any], Any] = lambda net: net, strides: bool = False
) -> None:
    """Raises :class:`NotSame` with what differs first."""
    import torch

    theirs, mine = _Run(case, torch), _Run(case, dt)
    if theirs.error is not None or mine.error is not None:
        samples._compare_errors(mine.error, theirs.error, "constructor: ")
        return
    if repr(mine.net) != repr(theirs.net):
        raise NotSame(f"repr {mine.net!r}, PyTorch's {theirs.net!r}")
    _same_state(mine, theirs, "made ")
    if not case.made.startswith("nn.Lazy"):
        mine.net.load_state_dict(
            {k: samples.translate(v, {}) for k, v in theirs.net.state_dict().items()}
        )
    for each in (theirs, mine):
        each.call(where)
    if theirs.error is not None or mine.error is not None:
        samples._compare_errors(mine.error, theirs.error, "forward: ")
        return
    a, b = list(_flat(mine.out)), list(_flat(theirs.out))
    if len(a) != len(b):
        raise NotSame(f"{len(a)} results, PyTorch gives {len(b)}")
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        samples._same(x, y, f"result {i}", False, 2.0)
        if strides and tuple(x.stride()) != tuple(y.stride()) and y.numel() > 1:
            raise NotSame(
                f"result {i}: strides {x.stride()}, PyTorch gives {y.stride()} for "
                f"shape {tuple(y.shape)}"
            )
    _same_state(mine, theirs, "after the call: ")
    outputs = samples._leaves(b), samples._leaves(a)
    leaves = (
        [*theirs.leaves, *(p for p in theirs.net.parameters() if p.requires_grad)],
        [*mine.leaves, *(p for p in mine.net.parameters() if p.requires_grad)],
    )
    if not outputs[0] or not leaves[0]:
        return
    weights = samples._weights(outputs[0], 1)
    g1, wrong = samples._grads(torch, outputs[0], leaves[0], weights, False)
    g2, our_wrong = samples._grads(dt, outputs[1], leaves[1], weights, False)
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "backward: ")
        return
    for i, (x, y) in enumerate(zip(g2, g1, strict=True)):
        if (x is None) != (y is None):
            raise NotSame(f"gradient {i}: {x}, PyTorch gives {y}")
        if y is not None:
            samples._same(x, y, f"gradient {i}", False, 10.0)


def _same_state(mine: _Run, theirs: _Run, what: str) -> None:
    a, b = mine.net.state_dict(), theirs.net.state_dict()
    if list(a) != list(b):
        raise NotSame(f"{what}state dict {list(a)}, PyTorch's {list(b)}")
    for name in b:
        if "Uninitialized" in type(b[name]).__name__:
            continue
        loose = 2.0 if b[name].dtype.itemsize < 8 else 1e3  # made as float32
        samples._same(a[name], b[name], f"{what}{name}", False, loose)


def problem(
    name: str,
    seed: int,
    where: Callable[[Any], Any] = lambda net: net,
    strides: bool = False,
) -> str:
    """What differs in one configuration; empty where it agrees or it's a quirk."""
    case = draw(name, seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(case, where, strides)
    except Exception as error:
        text = str(error)
        if not isinstance(error, NotSame):
            text = f"runner: {type(error).__name__}: {error}"
        for module, known, _ in QUIRKS:
            if re.search(module, case.made) and re.search(known, text):
                return ""
        shapes = [getattr(v, "shape", v) for v in case.inputs]
        mode = "train" if case.training else "eval"
        return f"{case.made} #{seed} {mode} {case.dtype} {shapes}\n    {text}"
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.configurations")
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copies", choices=["no", "pickle", "deepcopy"], default="no")
    parser.add_argument("--strides", action="store_true")
    options = parser.parse_args(argv)
    where: Any = {
        "no": lambda net: net,
        "pickle": lambda net: pickle.loads(pickle.dumps(net)),
        "deepcopy": copy.deepcopy,
    }[options.copies]
    good = bad = modules = 0
    for name in FAMILIES:
        if not re.search(options.pattern, name):
            continue
        seen: set[str] = set()
        for i in range(options.seed, options.seed + options.count):
            found = problem(name, i, where, options.strides)
            good, bad = good + (not found), bad + bool(found)
            kind = re.sub(r"[\d.e+-]+", "#", found.partition("\n")[2])[:60]
            if found and kind not in seen:
                print(found, flush=True)
                seen.add(kind)
        modules += not seen
    print(f"{good} configurations agree, {bad} differ; {modules} modules without one")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

"""Calls that take every CUDA kernel through its layouts: odd sizes, strides, empty.

A case is a function of a device and a dtype; what it returns is the same on any device.
Operands are made on the host, so that devices see equal ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import dispatchtorch as torch
from dispatchtorch.nn import functional as F

__all__ = ["CASES", "FLOATS", "HALVES", "dtypes_of", "run"]

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_WIDE = (torch.float32, torch.bfloat16, torch.int64)
_TWO = (torch.float32, torch.bfloat16)
_ALL = (*FLOATS, torch.int32, torch.int64, torch.uint8, torch.bool, torch.complex64)

Case = Callable[[Any], Any]
CASES: dict[str, tuple[tuple[Any, ...], Case]] = {}


class Make:
    """Operands of one dtype on one device, the same for each device."""

    def __init__(self, device: str, dtype: Any) -> None:
        self.device = device
        self.dtype = dtype
        self.numbers = np.random.default_rng(7)

    def __call__(self, *shape: int, low: float = -3, high: float = 3) -> Any:
        values = self.numbers.uniform(low, high, shape)
        if not (self.dtype.is_floating_point or self.dtype.is_complex):
            values = np.trunc(values)
        if self.dtype is torch.bool or self.dtype is torch.uint8:
            values = np.abs(values)
        return torch.tensor(values).to(self.dtype).to(self.device)

    def index(self, size: int, *shape: int, dtype: Any = torch.int64) -> Any:
        values = torch.tensor(self.numbers.integers(0, size, shape))
        return values.to(dtype).to(self.device)

    def mask(self, *shape: int) -> Any:
        return torch.tensor(self.numbers.random(shape) > 0.5).to(self.device)


def case(*dtypes: Any) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES[function.__name__] = (dtypes, function)
        return function

    return add


def dtypes_of() -> list[Any]:
    """(case, dtype) pairs."""
    return [(n, d) for n, (dtypes, _) in CASES.items() for d in dtypes]


def run(name: str, dtype: Any, device: str) -> list[Any]:
    """What a case makes on a device."""
    made = CASES[name][1](Make(device, dtype))
    flat: list[Any] = []
    for each in made if isinstance(made, (list, tuple)) else [made]:
        flat += each if isinstance(each, (list, tuple)) else [each]
    return [each for each in flat if each is not None]


def graded(function: Callable[..., Any], *operands: Any) -> list[Any]:
    """The result, and gradients of all operands."""
    leaves = [t.detach().clone().requires_grad_() for t in operands]
    made = function(*leaves)
    slope = torch.linspace(-1, 1, max(made.numel(), 1))[: made.numel()]
    made.backward(slope.reshape(made.shape).to(made.dtype).to(made.device))
    return [made.detach(), *[t.grad for t in leaves]]


# Element by element.


@case(*_ALL)
def arithmetic(make: Any) -> Any:
    x, y = make(7, 33), make(33)
    turned = make(6, 4, 5).permute(2, 0, 1)
    empty = make(0, 3)
    return [x + y, x * x, turned * turned, turned[::2] + turned[:1], empty + empty]


@case(torch.float32, torch.bfloat16, torch.int64, torch.complex64)
def writing_in_place(make: Any) -> Any:
    x = make(40, 30)
    x.t().mul_(2)
    x[1:, ::3].add_(x[:1, ::3].clone())
    out = make(40, 30)
    torch.add(x, x, out=out)
    return [x, out, x[1:].add_(1)]


@case(*_TWO)
def functions(make: Any) -> Any:
    x, p = make(300), make(300, low=0.1)
    unary = "exp sin tanh floor round sign neg abs isnan sigmoid erf relu".split()
    positive = "log sqrt rsqrt reciprocal log1p".split()
    return [
        *[getattr(torch, f)(x) for f in unary],
        *[getattr(torch, f)(p) for f in positive],
        *[getattr(torch, f)(x, p) for f in "div fmod remainder atan2 pow".split()],
        *[getattr(torch, f)(x, p) for f in "maximum minimum eq lt copysign".split()],
        torch.where(x > 0, x, p),
        x.clamp(-1, 1),
        x.masked_fill(x > 1, 5.0),
        torch.addcmul(x, x, p, value=0.5),
        torch.addcdiv(x, x, p, value=0.5),
    ]


@case(torch.int64, torch.uint8, torch.bool)
def integers(make: Any) -> Any:
    x, y = make(100), make(100, low=1)
    names = "bitwise_and bitwise_xor logical_or maximum eq ge".split()
    if make.dtype is not torch.bool:
        names += "remainder floor_divide fmod pow sub".split()
    made = [getattr(torch, f)(x, y.abs() if f == "pow" else y) for f in names]
    return [*made, ~x, x.logical_not()]


@case(torch.complex64)
def complex_numbers(make: Any) -> Any:
    x, y = make(50), make(50)
    two = [getattr(torch, f)(x, y) for f in "mul div pow eq".split()]
    return [*two, *[getattr(torch, f)(x) for f in "abs exp log sqrt sin".split()]]


@case(*_TWO)
def activations(make: Any) -> Any:
    x = make(131)
    functions = [
        F.gelu,
        lambda t: F.gelu(t, approximate="tanh"),
        F.silu,
        F.mish,
        lambda t: F.softplus(t, 2, 0.5),
        F.elu,
        F.selu,
        lambda t: F.leaky_relu(t, 0.2),
        F.hardswish,
        F.relu,
        torch.sigmoid,
        torch.tanh,
    ]
    return [each for f in functions for each in graded(f, x)]


@case(*_ALL)
def casts(make: Any) -> Any:
    x = make(5, 6, 7, low=0)
    kinds = (make.dtype, torch.float32, torch.bfloat16, torch.uint8, torch.bool)
    return [x.transpose(0, 2)[::2].to(d) for d in (*kinds, torch.complex64)]


@case(*_WIDE)
def overlapping_copies(make: Any) -> Any:
    x = make(9, 8)
    x[1:].copy_(x[:-1])
    x[:, 1:].copy_(x[:, :-1])
    return x


# Reductions.


@case(*_ALL)
def sums(make: Any) -> Any:
    x, wide, tall = make(4, 6, 10), make(3, 9000), make(5000, 24)
    turned = x.transpose(0, 2)
    made = [x.sum(), x.sum(0), x.sum(1), x.sum((0, 2)), turned.sum(1), turned.sum(2)]
    made += [wide.sum(1), wide.sum(), tall.sum(0), tall[:, ::2].sum(0)]
    return [*made, make(0, 3).sum(0), make(0, 3).sum(1), x.any(1), x.all()]


@case(*FLOATS, torch.int32, torch.int64, torch.uint8)
def extremes(make: Any) -> Any:
    x, wide, tall = make(5, 7, 9), make(2, 9000), make(3000, 20)
    made = []
    for t in (x, x.transpose(0, 2), wide, tall):
        made += [t.amax(0), t.amin(-1, True), t.argmax(0), t.argmin(-1)]
    return [*made, wide.argmax()]


@case(torch.float32, torch.float64)
def products(make: Any) -> Any:
    x = make(4, 30, low=0.8, high=1.2)
    return [x.prod(1), x.prod()]


@case(torch.float32)
def not_numbers(make: Any) -> Any:
    x = make(4, 600)
    x[1, 77] = float("nan")
    x[2, 5] = float("inf")
    return [x.amax(1), x.argmax(1), x.amin(1), x.softmax(1), x.maximum(x[1:2])]


@case(*FLOATS)
def softmaxes(make: Any) -> Any:
    made = []
    for shape in [(5, 33), (3, 4096), (2, 17000), (4, 6, 10), (0, 3)]:
        x = make(*shape)
        made += graded(lambda t: t.softmax(-1), x) + graded(
            lambda t: t.log_softmax(0), x
        )
    return [
        *made,
        *graded(lambda t: t.softmax(1), make(4, 6, 10)),
        make(3, 3)[1:].softmax(1),
    ]


# Normalisation.


@case(*FLOATS)
def layer_norms(make: Any) -> Any:
    made = []
    for rows, length in [(5, 33), (200, 64), (2, 17000)]:
        x, w, b = make(rows, length), make(length), make(length)
        made += graded(lambda t, w, b, n=length: F.layer_norm(t, (n,), w, b), x, w, b)
        made += graded(lambda t, n=length: F.layer_norm(t, (n,)), x)
    return made


@case(*FLOATS)
def group_norms(make: Any) -> Any:
    made = []
    for shape in [(3, 6, 5, 5), (2, 8, 32), (5, 6)]:
        w, b = make(shape[1]), make(shape[1])
        made += graded(lambda t, w, b: F.group_norm(t, 2, w, b), make(*shape), w, b)
    return made


@case(*FLOATS)
def batch_norms(make: Any) -> Any:
    made = []
    for shape in [(3, 6, 5, 5), (2, 4, 96, 96), (5, 6)]:
        c = shape[1]
        mean, var, w, b = make(c), make(c, low=0.5), make(c), make(c)
        for training in (True, False):
            running = [mean.clone(), var.clone()]

            def norm(
                t: Any, w: Any, b: Any, r: Any = running, e: Any = training
            ) -> Any:
                return F.batch_norm(t, *r, w, b, e, 0.3)

            made += graded(norm, make(*shape), w, b)
            made += running
        made += graded(
            lambda t: F.batch_norm(t, None, None, training=True), make(*shape)
        )
    return made


# Losses and indices.


@case(*FLOATS)
def losses(make: Any) -> Any:
    made = []
    for shape in [(6, 5), (4, 5, 7)]:
        labels = make.index(5, shape[0], *shape[2:])
        labels.reshape(-1)[:1] = -100
        weight = make(5, low=0.1)
        for reduction in ("mean", "sum", "none"):
            made += graded(
                lambda t, y=labels, r=reduction: F.cross_entropy(t, y, reduction=r),
                make(*shape),
            )
            made += graded(
                lambda t, y=labels, r=reduction, w=weight: F.nll_loss(
                    t, y, w, reduction=r
                ),
                make(*shape),
            )
    return made


@case(*_ALL)
def gathering(make: Any) -> Any:
    x = make(5, 7, 9)
    made = []
    for kind in (torch.int64, torch.int32):
        index = make.index(7, 5, 4, 9, dtype=kind)
        made += [x.gather(1, index), x.scatter_add(1, index, make(5, 7, 9))]
        few = make.index(5, 6, dtype=kind)
        made += [x.index_select(d, few) for d in range(3)]
        made += [x.transpose(0, 2).index_select(0, few)]
    once = torch.tensor([3, 0, 5, 1]).to(x.device).reshape(1, 4, 1).expand(5, 4, 9)
    return [*made, x.scatter(1, once, make(5, 7, 9))]


@case(*FLOATS, torch.int64, torch.uint8)
def scatter_reductions(make: Any) -> Any:
    x, index, source = make(5, 7, 9), make.index(7, 5, 4, 9), make(5, 7, 9)
    return [
        x.scatter_reduce(1, index, source, how, include_self=own)
        for how in ("sum", "prod", "amax", "amin", "mean")
        for own in (True, False)
    ]


@case(*_ALL)
def several_indices(make: Any) -> Any:
    x = make(5, 7, 9)
    a, b = make.index(5, 4, 1), make.index(5, 3)
    turned = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    made = [x[a], x[:, b], x[a, b], x[:, a, b], x[a, :, b], turned[a, b], x[x != x]]
    for key in ((a, b), (None, b)):
        at = tuple(slice(None) if k is None else k for k in key)
        values = make(*x[at].shape)
        made += [x.index_put(key, values, accumulate=True)]
        made += [x.index_put(key, values[:1, :1], accumulate=True)]
    return [*made, x.index_put((a - 5,), make(1))]


@case(*FLOATS)
def embeddings(make: Any) -> Any:
    made = []
    for shape in [(3, 4), (5,), (0,)]:
        for kind in (torch.int64, torch.int32):
            index = make.index(11, *shape, dtype=kind)
            made += graded(
                lambda w, i=index: F.embedding(
                    i, w, padding_idx=3, scale_grad_by_freq=True
                ),
                make(11, 12),
            )
    return made


# Products, attention, layers.


@case(*FLOATS, torch.complex64, torch.complex128)
def matrix_products(make: Any) -> Any:
    made = []
    for m, k, n in [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (0, 3, 4), (3, 0, 4)]:
        a, b = make(m, k), make(k, n)
        made += [a @ b, b.t() @ a.t(), a.t().contiguous().t() @ b]
        made += [torch.addmm(make(m, n), a, b, beta=0.5, alpha=2)]
        made += [torch.addmm(make(n), a, b)]
        x, y = make(4, m, k), make(4, k, n)
        made += [x @ y, x[:, :, ::2] @ y[:, ::2], x[:1].expand(4, m, k) @ y]
        made += [x.transpose(0, 1).contiguous().transpose(0, 1) @ y]
        made += [torch.baddbmm(make(4, m, n), x, y, beta=2)]
    return made


@case(*FLOATS)
def attention(make: Any) -> Any:
    made = []
    for n, heads, queries, keys, width in [(2, 3, 5, 5, 8), (1, 2, 33, 70, 16)]:
        q = make(n, heads, queries, width)
        k, v = make(n, heads, keys, width), make(n, heads, keys, width)
        masks = [None, make.mask(queries, keys), make(n, 1, queries, keys)]
        for causal in (True, False):
            for mask in masks[: 1 if causal else 3]:
                made += graded(
                    lambda q, k, v, m=mask, c=causal: F.scaled_dot_product_attention(
                        q, k, v, m, is_causal=c
                    ),
                    q, k, v,
                )  # fmt: skip
    return made


@case(torch.float32, torch.bfloat16, torch.float64)
def convolutions(make: Any) -> Any:
    made = []
    rows: list[Any] = [
        (F.conv2d, (2, 3, 9, 8), (4, 3, 3, 2), {"stride": 2, "padding": 1}),
        (F.conv2d, (2, 4, 9, 8), (6, 2, 3, 3), {"groups": 2, "dilation": 2}),
        (F.conv1d, (2, 3, 12), (5, 3, 4), {"stride": 3, "padding": 2}),
        (F.conv3d, (1, 2, 5, 6, 4), (3, 2, 2, 3, 1), {"stride": (1, 2, 1)}),
        (F.conv_transpose2d, (2, 3, 5, 4), (3, 4, 3, 2), {"stride": 2}),
    ]
    for function, x, w, options in rows:
        made += graded(
            lambda t, u, f=function, o=options: f(t, u, **o), make(*x), make(*w)
        )
    return made


@case(*FLOATS)
def pooling(make: Any) -> Any:
    x = make(2, 3, 9, 8)
    made = [*F.max_pool2d(x, 3, 2, 1, return_indices=True)]
    made += [F.max_pool2d(x[0], (3, 2), (2, 1), (1, 0), (1, 2))]
    made += [*F.max_pool3d(make(2, 3, 5, 6, 4), 2, return_indices=True)]
    made += graded(lambda t: F.avg_pool2d(t, 3, 2, 1), x)
    made += [F.avg_pool2d(x, 3, 2, 1, count_include_pad=False, ceil_mode=True)]
    return [*made, F.avg_pool3d(make(2, 3, 5, 6, 4), 2, 1, 1)]


@case(torch.float32, torch.bfloat16, torch.float64)
def lists_of_tensors(make: Any) -> Any:
    def tensors() -> list[Any]:
        return [make(*s, low=0.5) for s in [(3,), (4100,), (0,), (5, 7), ()]]

    x, y, z = tensors(), tensors(), tensors()
    made = [*torch._foreach_add(x, y, alpha=2), *torch._foreach_mul(x, 0.5)]
    made += [*torch._foreach_addcdiv(x, y, z, value=-0.5), *torch._foreach_sqrt(x)]
    made += [*torch._foreach_lerp(x, y, 0.3), *torch._foreach_maximum(x, y)]
    torch._foreach_mul_(x, y)
    torch._foreach_copy_(y, z)
    torch._foreach_zero_(z)
    return [*made, *x, *y, *z]


@case(torch.float32, torch.float64)
def optimizers(make: Any) -> Any:
    made = []
    for kind, options in [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        (torch.optim.Adam, {"lr": 0.1}),
        (torch.optim.AdamW, {"lr": 0.1, "amsgrad": True}),
        (torch.optim.RMSprop, {"lr": 0.01}),
    ]:
        leaves = [make(*s).requires_grad_() for s in [(3,), (5000,), (5, 7)]]
        optimizer = kind(leaves, foreach=True, **options)
        for _ in range(2):
            for leaf in leaves:
                leaf.grad = (leaf * leaf).detach()
            optimizer.step()
        made += [leaf.detach() for leaf in leaves]
    return made

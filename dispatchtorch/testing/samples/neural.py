"""Samples of ``torch.nn.functional``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import cases, table, unary
from ._model import Draw, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
F = "nn.functional."
_REDUCTIONS = ("mean", "sum", "none")


def _row(
    name: str, generate: Any, dtypes: str = "fh", **options: Any
) -> OperatorSamples:
    return cases(F + name, generate, dtypes, options.pop("reference", None), **options)


def _functional(text: str) -> str:
    return "\n".join(F + line.strip() for line in text.strip().splitlines())


def _with(*keywords: dict[str, Any]) -> Any:
    """As ``unary``, and one call for each set of keywords."""

    def generate(g: Draw) -> Iterator[Any]:
        yield from unary(g)
        for each in keywords:
            yield S(g(2, 3), **each)

    return generate


ACTIVATIONS = table(
    _functional(
        """
        hardsigmoid fh
        hardswish   fh
        logsigmoid  fh covers=log_sigmoid
        mish        fh
        relu        fhi
        relu6       fhi
        sigmoid     fhcib scipy.special.expit
        silu        fhc
        softsign    fh
        tanh        fhcib np.tanh
        tanhshrink  fhc
        """
    ),
    unary,
) + [
    _row(
        "gelu",
        lambda g: [
            S(g(2, 3)),
            S(g(2, 3), approximate="tanh"),
            S(g()),
            S(g(0, 3)),
            S(g(3, 2, layout="transposed")),
        ],
    ),
    _row("elu", _with({"alpha": 1.5})),
    _row("celu", _with({"alpha": 1.5})),
    _row("selu", unary),
    _row("leaky_relu", _with({"negative_slope": 0.2})),
    _row("hardtanh", _with({"min_val": -0.3, "max_val": 0.8}), "fh"),
    _row("softplus", _with({"beta": 2, "threshold": 1})),
    _row("softshrink", _with({"lambd": 0.3})),
    _row("hardshrink", _with({"lambd": 0.3})),
    _row("threshold", lambda g: [S(g(2, 3), 0.5, 2)], "fhi"),
    _row(
        "glu",
        lambda g: [
            S(g(2, 4)),
            S(g(4, 3), 0),
            Failure(
                S(g(3)),
                "RuntimeError",
                "Halving dimension must be even, but dimension 0 is size 3",
            ),
        ],
    ),
    _row("prelu", lambda g: [S(g(2, 3, 2), g(3)), S(g(3), g(1)), S(g(), g())]),
    _row("rrelu", lambda g: [S(g(2, 3))]),
    _row("softmin", lambda g: [S(g(2, 3), 1)]),
]


def _conv(dims: int, transposed: bool = False) -> Any:
    size = (5, 4, 3)[:dims]

    def generate(g: Draw) -> Iterator[Any]:
        def weight(inputs: int, outputs: int) -> Any:
            shape = (inputs, outputs) if transposed else (outputs, inputs)
            return g(*shape, *(2,) * dims)

        x = g(2, 2, *size)
        yield S(x, weight(2, 3), g(3))
        yield S(x, weight(2, 3), None, 2, 1)
        yield S(g(2, *size), weight(2, 2))
        if transposed:
            yield S(x, weight(2, 1), g(2), 2, 0, 1, 2)
        else:
            yield S(x, weight(1, 2), g(2), 1, 0, 2 if dims == 1 else 1, 2)
            yield S(g(1, 2, *size, layout="transposed"), weight(2, 1), padding="same")

    return generate


def _convolution(g: Draw) -> Iterator[Any]:
    yield S(
        g(1, 2, 4, 4), g(3, 2, 2, 2), g(3), [1, 1], [1, 1], [1, 1], False, [0, 0], 1
    )
    yield S(g(1, 2, 3, 3), g(2, 3, 2, 2), None, [2, 2], [0, 0], [1, 1], True, [1, 1], 1)


def _pool(dims: int, average: bool) -> Any:
    size = (7, 5, 4)[:dims]

    def generate(g: Draw) -> Iterator[Any]:
        x = _apart(g, 1, 2, *size)
        yield S(x, 2)
        yield S(x, 3, 2, 1)
        yield S(_apart(g, 2, *size), 2, ceil_mode=True)
        if average:
            yield S(x, 3, 2, 1, count_include_pad=False)
        else:
            yield S(x, 2, 1, 0, 2)
        if not average:
            yield S(x, 2, return_indices=True)

    return generate


def _apart(g: Draw, *shape: int) -> Any:
    """Values that differ enough for one maximum."""
    order = g.permutation(int(np.prod(shape))).values.reshape(shape)
    return g.of(order * 0.13 - 1.7)


def _adaptive(dims: int, average: bool) -> Any:
    size = (5, 4, 6)[:dims]

    def generate(g: Draw) -> Iterator[Any]:
        yield S(_apart(g, 1, 2, *size), 2)
        yield S(_apart(g, 2, *size), (3, 2, 4)[:dims])
        yield S(_apart(g, 1, 2, *size), 1)

    return generate


def _pool_of_two(dims: int) -> Any:
    return lambda g: [S(_apart(g, 1, 2, *(4,) * dims), [2] * dims)]


def _to_size(dims: int, align: tuple[bool, ...]) -> Any:
    return lambda g: [S(g(1, 2, *(3,) * dims), [5] * dims, *align)]


def _pairs(*extra: dict[str, Any], **drawn: Any) -> Any:
    """Losses of an input and a target of one shape."""

    def generate(g: Draw) -> Iterator[Any]:
        for reduction in _REDUCTIONS:
            yield S(g(3, 2, **drawn), g(3, 2, **drawn), reduction=reduction)
        yield S(g(**drawn), g(**drawn))
        for each in extra:
            yield S(g(3, 2, **drawn), g(3, 2, **drawn), **each)

    return generate


def _signs(g: Draw, *shape: int) -> Any:
    return g.of(np.where(g.mask(*shape).values, 1.0, -1.0), grad=False)


def _bce(g: Draw) -> Iterator[Any]:
    for reduction in _REDUCTIONS:
        yield S(_prob(g), _target(g), reduction=reduction)
    yield S(_prob(g), _target(g), weight=g(3, low=0.2, high=1, grad=False))


def _prob(g: Draw) -> Any:
    return g(2, 3, low=0.1, high=0.9)


def _target(g: Draw) -> Any:
    return g(2, 3, low=0.1, high=0.9, grad=False)


def _bce_logits(g: Draw) -> Iterator[Any]:
    for reduction in _REDUCTIONS:
        yield S(g(2, 3), _target(g), reduction=reduction)
    yield S(g(2, 3), _target(g), pos_weight=g(3, low=0.5, high=2, grad=False))
    yield S(g(2, 3), _target(g), weight=g(3, low=0.5, high=2, grad=False))


def _nll(g: Draw) -> Iterator[Any]:
    for reduction in _REDUCTIONS:
        yield S(g(4, 3), g.index(4, high=3), reduction=reduction)
    weight = g(3, low=0.3, high=2, grad=False)
    yield S(g(4, 3), g.of([0, 2, 1, 1], "int64"), weight=weight, ignore_index=1)
    yield S(g(2, 3, 2, 2), g.index(2, 2, 2, high=3))
    yield S(g(3), g.index(high=3))


def _cross_entropy(g: Draw) -> Iterator[Any]:
    yield from _nll(g)
    yield S(g(4, 3), g(4, 3, low=0.1, high=1))
    yield S(g(4, 3), g.index(4, high=3), label_smoothing=0.1)


def _reduced(make: Any) -> Any:
    def generate(g: Draw) -> Iterator[Any]:
        for reduction in _REDUCTIONS:
            yield S(*make(g), reduction=reduction)

    return generate


def _ctc(g: Draw) -> Iterator[Any]:
    lengths = (g.of([5, 4], "int64"), g.of([2, 1], "int64"))
    for reduction in _REDUCTIONS:
        yield S(
            g(5, 2, 4), g.of([[1, 2], [3, 1]], "int64"), *lengths, reduction=reduction
        )
    yield S(g(5, 2, 4), g.of([[1, 2], [3, 1]], "int64"), (5, 4), (2, 1))


def _batch_norm(g: Draw) -> Iterator[Any]:
    def statistics() -> list[Any]:
        return [g(3, grad=False), g(3, low=0.5, high=2, grad=False)]

    yield S(g(4, 3), *statistics(), g(3), g(3), training=True)
    yield S(g(2, 3, 2, 2), *statistics(), g(3), g(3))
    yield S(g(2, 3, 4), None, None, training=True)
    yield S(g(2, 3, 2), *statistics(), training=True, momentum=0.3, eps=1e-3)


def _layer_norm(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4), (4,))
    yield S(g(2, 3, 4), (3, 4), g(3, 4), g(3, 4))
    yield S(g(2, 4, layout="transposed"), (4,), g(4), None, 1e-3)


def _rms_norm(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4), (4,))
    yield S(g(2, 3, 4), (3, 4), g(3, 4), 1e-3)


def _attention(g: Draw) -> Iterator[Any]:
    q, k, v = g(2, 2, 3, 4), g(2, 2, 5, 4), g(2, 2, 5, 3)
    yield S(q, k, v)
    yield S(g(2, 3, 4), g(2, 3, 4), g(2, 3, 4), is_causal=True)
    yield S(g(2, 2, 3, 4), g(2, 2, 3, 4), g(2, 2, 3, 4), is_causal=True)
    yield S(q, k, v, g.mask(3, 5), scale=0.5)
    yield S(q, k, v, g(3, 5))


def _pad(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), (1, 2))
    yield S(g(2, 3), (1, 0, 2, 1), "constant", 2)
    yield S(g(2, 3), (-1, 1))
    for mode in ("reflect", "replicate", "circular"):
        yield S(g(1, 2, 4), (2, 1), mode)
        yield S(g(1, 2, 3, 4), (1, 2, 1, 0), mode)
        yield S(g(1, 1, 3, 3, 3), (1, 1, 1, 0, 0, 1), mode)


def _interpolate(g: Draw) -> Iterator[Any]:
    line, image, volume = g(1, 2, 4), g(1, 2, 3, 4), g(1, 1, 2, 3, 2)
    for mode in ("nearest", "nearest-exact"):
        for x in (line, image, volume):
            yield S(x, scale_factor=2, mode=mode)
        yield S(image, size=(2, 5), mode=mode)
    for mode, x in (
        ("linear", line),
        ("bilinear", image),
        ("trilinear", volume),
        ("bicubic", image),
    ):
        yield S(x, scale_factor=1.5, mode=mode)
        yield S(x, scale_factor=2, mode=mode, align_corners=True)
    for mode in ("bilinear", "bicubic", "lanczos"):
        yield S(image, size=(2, 3), mode=mode, antialias=True)
    yield S(image, size=(2, 2), mode="area")


def _grid_sample(g: Draw) -> Iterator[Any]:
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            yield S(
                g(1, 2, 4, 4), g(1, 2, 3, 2, low=-0.8, high=0.8), mode, padding, False
            )
    yield S(g(1, 1, 3, 3, 3), g(1, 2, 2, 2, 3, low=-0.8, high=0.8), align_corners=True)


def _sampler(dims: int) -> Any:
    size = (3,) * dims

    def generate(g: Draw) -> Iterator[Any]:
        grid = g(1, *(2,) * dims, dims, low=-0.8, high=0.8)
        yield S(g(1, 1, *size), grid, 0, 0, False)

    return generate


def _unpool(dims: int) -> Any:
    size = (4,) * dims

    def generate(g: Draw) -> Iterator[Any]:
        once = np.arange(2**dims).reshape(1, 1, *(2,) * dims) * 2
        yield S(g(1, 1, *(2,) * dims), g.of(once, "int64"), 2, output_size=size)

    return generate


def _fractional(dims: int) -> Any:
    def generate(g: Draw) -> Iterator[Any]:
        samples = g(1, 2, dims, low=0.1, high=0.9, grad=False)
        yield S(
            _apart(g, 1, 2, *(5,) * dims),
            2,
            output_size=(3,) * dims,
            _random_samples=samples,
        )

    return generate


def _native_norms(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4), [4], g(4), g(4), 1e-5)
    yield S(g(2, 3), [3], None, None, 1e-3)


def _native_group(g: Draw) -> Iterator[Any]:
    yield S(g(2, 4, 3), g(4), g(4), 2, 4, 3, 2, 1e-5)


def _native_batch(g: Draw) -> Iterator[Any]:
    mean, var = g(3, grad=False), g(3, low=0.5, high=2, grad=False)
    yield S(g(4, 3), g(3), g(3), mean, var, True, 0.1, 1e-5)
    yield S(
        g(4, 3),
        g(3),
        g(3),
        g(3, grad=False),
        g(3, low=0.5, high=2, grad=False),
        False,
        0.1,
        1e-5,
    )


def _legit_batch(g: Draw) -> Iterator[Any]:
    for each in _native_batch(g):
        x, weight, bias, mean, var, training, *rest = each.args
        yield S(x, weight, bias, mean, var, training, *rest)
        if training:
            yield S(x, weight, bias, True, *rest)


def _heads(g: Draw) -> Iterator[Any]:
    """Weights of multi-head attention of 2 heads over 4 features."""
    x = g(3, 2, 4)
    yield S(x, x, x, 4, 2, g(12, 4), g(12), None, None, False, 0.0, g(4, 4), g(4))


_POOLS = [
    _row(f"{kind}_pool{dims}d", _pool(dims, kind == "avg"), "f" if dims == 3 else "fh")
    for kind in ("avg", "max")
    for dims in (1, 2, 3)
] + [
    _row(f"adaptive_{kind}_pool{dims}d", _adaptive(dims, kind == "avg"))
    for kind in ("avg", "max")
    for dims in (1, 2, 3)
]
_CONVOLUTIONS = [
    _row(
        f"conv{'_transpose' * transposed}{dims}d",
        _conv(dims, transposed),
        "f",
        loose=10,
    )
    for transposed in (False, True)
    for dims in (1, 2, 3)
]
_LOSSES = [
    _row("mse_loss", _pairs()),
    _row("l1_loss", _pairs()),
    _row("smooth_l1_loss", _pairs({"beta": 0.5})),
    _row("huber_loss", _pairs({"delta": 0.5})),
    _row(
        "kl_div",
        _pairs({"reduction": "batchmean"}, {"log_target": True}, low=0.1, high=2),
        "f",
    ),
    _row(
        "poisson_nll_loss",
        _pairs({"full": True}, {"log_input": False}, low=0.2, high=3),
        "f",
    ),
    _row("soft_margin_loss", _reduced(lambda g: (g(3, 2), _signs(g, 3, 2))), "f"),
    _row("hinge_embedding_loss", _reduced(lambda g: (g(3, 2), _signs(g, 3, 2))), "f"),
    _row("margin_ranking_loss", _reduced(lambda g: (g(4), g(4), _signs(g, 4))), "f"),
    _row(
        "cosine_embedding_loss",
        _reduced(lambda g: (g(3, 4), g(3, 4), _signs(g, 3))),
        "f",
    ),
    _row(
        "triplet_margin_loss",
        _reduced(lambda g: (g(3, 4), g(3, 4), g(3, 4))),
        "f",
        loose=10,
    ),
    _row(
        "triplet_margin_with_distance_loss",
        _reduced(lambda g: (g(3, 4), g(3, 4), g(3, 4))),
        "f",
        loose=10,
    ),
    _row(
        "gaussian_nll_loss",
        _reduced(lambda g: (g(3, 2), g(3, 2), g(3, 2, low=0.3, high=2))),
        "f",
    ),
    _row(
        "multi_margin_loss",
        _reduced(lambda g: (g(3, 4), g.index(3, high=4))),
        "f",
        grads=1,
    ),
    _row(
        "multilabel_margin_loss",
        _reduced(lambda g: (g(2, 4), g.of([[0, 2, -1, 1], [3, -1, 0, 1]], "int64"))),
        "f",
        grads=1,
    ),
    _row("multilabel_soft_margin_loss", _reduced(lambda g: (g(2, 3), _target(g))), "f"),
    _row("binary_cross_entropy", _bce, "f"),
    _row("binary_cross_entropy_with_logits", _bce_logits),
    _row("nll_loss", _nll, "f"),
    _row("cross_entropy", _cross_entropy, "f"),
    _row("ctc_loss", _ctc, "f", grads=1, loose=10),
]
_RESAMPLING = [
    _row("interpolate", _interpolate, "f"),
    _row("upsample", lambda g: [S(g(1, 2, 3), scale_factor=2)], "f"),
    _row("grid_sample", _grid_sample, "f", grads=1),
    cases("grid_sampler", _sampler(2), "f", grads=1),
    cases("grid_sampler_2d", _sampler(2), "f", grads=1),
    cases("grid_sampler_3d", _sampler(3), "f", grads=1),
    _row(
        "affine_grid",
        lambda g: [
            S(g(1, 2, 3), (1, 1, 2, 3), align_corners=False),
            S(g(1, 3, 4), (1, 1, 2, 2, 3), align_corners=True),
        ],
        "f",
        covers="affine_grid_generator",
    ),
    _row("pixel_shuffle", lambda g: [S(g(1, 4, 2, 3), 2)], "fhcib"),
    _row("pixel_unshuffle", lambda g: [S(g(1, 1, 4, 2), 2)], "fhcib"),
    _row("channel_shuffle", lambda g: [S(g(1, 4, 2, 2), 2)], "fh"),
    _row("native_channel_shuffle", lambda g: [S(g(1, 4, 2, 2), 2)], "fh"),
    _row(
        "unfold",
        lambda g: [S(g(1, 2, 4, 4), 2), S(g(2, 4, 5), (2, 3), 1, 1, 2)],
        "fh",
        covers="im2col",
    ),
    _row(
        "fold",
        lambda g: [S(g(1, 8, 9), (4, 4), 2), S(g(4, 4), (4, 4), 2, stride=2)],
        "fh",
        covers="col2im",
    ),
    _row("max_unpool1d", _unpool(1), "f"),
    _row("max_unpool2d", _unpool(2), "f"),
    _row("max_unpool3d", _unpool(3), "f"),
    _row("fractional_max_pool2d", _fractional(2), "f"),
    _row("fractional_max_pool3d", _fractional(3), "f"),
    _row("lp_pool1d", lambda g: [S(g(1, 2, 6, low=0.3, high=2), 2.0, 2)], "f"),
    _row("lp_pool2d", lambda g: [S(g(1, 2, 4, 4, low=0.3, high=2), 3.0, 2)], "f"),
    _row("pad", _pad, "fhc", covers="_pad_circular"),
    cases(
        "constant_pad_nd", lambda g: [S(g(2, 3), (1, 2)), S(g(2, 3), (1, -1, 0, 1), 2)]
    ),
]
# The forms of interpolate that take the size alone.
_TO_SIZE = [
    cases(
        f"ops.aten.{name}{d}d",
        _to_size(d, align),
        "f",
    )
    for name, dims, align in (
        ("upsample_nearest", (1, 2, 3), ()),
        ("_upsample_nearest_exact", (1, 2, 3), ()),
        ("upsample_linear", (1,), (False,)),
        ("upsample_bilinear", (2,), (True,)),
        ("upsample_trilinear", (3,), (False,)),
        ("upsample_bicubic", (2,), (False,)),
    )
    for d in dims
] + [
    cases(
        f"ops.aten._upsample_{kind}2d_aa",
        lambda g: [S(g(1, 2, 4, 4), [2, 3], False)],
        "f",
    )
    for kind in ("bilinear", "bicubic", "lanczos")
]
_NORMALISING = [
    _row("batch_norm", _batch_norm, "f", loose=10),
    _row(
        "instance_norm",
        lambda g: [S(g(2, 3, 4)), S(g(2, 3, 4), weight=g(3), bias=g(3))],
        "f",
        loose=10,
    ),
    _row(
        "group_norm",
        lambda g: [S(g(2, 4, 3), 2), S(g(2, 4, 3), 4, g(4), g(4))],
        "f",
        loose=10,
    ),
    _row("layer_norm", _layer_norm, "fh", loose=10),
    _row("rms_norm", _rms_norm, "fh", loose=10),
    _row("local_response_norm", lambda g: [S(g(1, 4, 3), 2)], "f"),
    cases("native_layer_norm", _native_norms, "f", loose=10),
    cases("native_group_norm", _native_group, "f", loose=10),
    cases("native_batch_norm", _native_batch, "f", loose=10),
    cases("_native_batch_norm_legit", _legit_batch, "f", loose=10),
    cases(
        "batch_norm_update_stats",
        lambda g: [
            S(g(4, 3), g(3, grad=False), g(3, low=0.5, high=2, grad=False), 0.1)
        ],
        "f",
        loose=10,
        grads=0,
    ),
]

ROWS: list[OperatorSamples] = [
    *ACTIVATIONS,
    *_POOLS,
    *_CONVOLUTIONS,
    *_LOSSES,
    *_RESAMPLING,
    *_TO_SIZE,
    *_NORMALISING,
    cases("convolution", _convolution, "f", loose=10),
    *[
        cases(
            f"{'ops.aten.' * (d > 1)}max_pool{d}d_with_indices",
            _pool_of_two(d),
            "f",
        )
        for d in (1, 2, 3)
    ],
    _row("conv_tbc", lambda g: [S(g(4, 2, 3), g(2, 3, 2), g(2), 1)], "f"),
    _row(
        "linear",
        lambda g: [
            S(g(2, 3), g(4, 3)),
            S(g(2, 2, 3), g(4, 3), g(4)),
            S(g(3), g(4, 3)),
            S(g(0, 3), g(4, 3), g(4)),
        ],
        "fhci",
    ),
    _row("bilinear", lambda g: [S(g(2, 3), g(2, 4), g(5, 3, 4), g(5))], "f"),
    _row(
        "scaled_dot_product_attention",
        _attention,
        "f",
        loose=10,
        covers="_fused_attention",
    ),
    _row("multi_head_attention_forward", _heads, "f", loose=10),
]

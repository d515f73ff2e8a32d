"""Every module against PyTorch's: same seed, same weights, outputs, gradients, repr.

To add a module, add a row: how it is made, and its inputs. The rows run on every
device.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore"),
]

_rng = np.random.RandomState(0)


def f(*shape: int) -> np.ndarray:
    """Normal numbers."""
    return np.asarray(_rng.standard_normal(shape), dtype=np.float32)


def u(*shape: int) -> np.ndarray:
    """Numbers between 0 and 1, exclusively."""
    return (_rng.random_sample(shape) * 0.98 + 0.01).astype(np.float32)


def i(high: int, *shape: int) -> np.ndarray:
    """Integers from 0 to below ``high``."""
    return np.asarray(_rng.randint(0, high, shape), dtype=np.int64)


class Fixed(NamedTuple):
    """An input that doesn't require a gradient though its dtype could."""

    array: np.ndarray


def sign(*shape: int) -> Fixed:
    """1 and -1."""
    return Fixed(np.where(_rng.random_sample(shape) < 0.5, -1, 1).astype(np.float32))


def logp(*shape: int) -> np.ndarray:
    """Log-probabilities along the last dimension."""
    x = f(*shape)
    return (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(np.float32)


def ints(*values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


class Row(NamedTuple):
    """A module, as an expression over ``nn`` and ``torch``, and what it is called
    with."""

    made: str
    inputs: tuple[Any, ...]
    kwargs: dict[str, Any] = {}

    @property
    def random(self) -> bool:
        return "Dropout" in self.made or "RReLU" in self.made or "Frac" in self.made


def rows(text: str, *inputs: Any) -> list[Row]:
    """Several modules for the same inputs."""
    return [Row(made.strip(), inputs) for made in text.strip().splitlines()]


x2, x3, x4, x5 = f(4, 6), f(2, 4, 9), f(2, 4, 8, 7), f(2, 4, 6, 5, 7)

ROWS: list[Row] = [
    *rows(
        """
        CELU(1.5)
        ELU(0.7)
        ELU(inplace=False)
        GELU()
        GELU("tanh")
        GLU()
        GLU(dim=0)
        Hardshrink(0.3)
        Hardsigmoid()
        Hardswish()
        Hardtanh(-0.5, 0.7)
        Identity(1, a=2)
        LeakyReLU(0.2)
        LogSigmoid()
        LogSoftmax(1)
        Mish()
        PReLU()
        PReLU(6, 0.1)
        RReLU(0.1, 0.4)
        ReLU()
        ReLU6()
        SELU()
        SiLU()
        Sigmoid()
        Softmax(-1)
        Softmin(0)
        Softplus(2, 1)
        Softshrink(0.2)
        Softsign()
        Tanh()
        Tanhshrink()
        Threshold(0.1, 0.5)
        """,
        x2,
    ),
    Row("Softmax2d()", (x4,)),
    Row("Softmax2d()", (x4[0],)),
    # Linear maps and tables.
    *rows("Linear(6, 3)\nLinear(6, 3, bias=False)\nLazyLinear(5)", x2),
    Row("Linear(9, 3)", (x3,)),
    Row("LazyLinear(5, bias=False)", (x3,)),
    Row("modules.linear.NonDynamicallyQuantizableLinear(6, 6)", (x2,)),
    Row("Bilinear(6, 5, 3)", (x2, f(4, 5))),
    Row("Bilinear(6, 5, 3, bias=False)", (x2, f(4, 5))),
    *rows(
        """
        Embedding(10, 3)
        Embedding(10, 3, padding_idx=2)
        Embedding(10, 3, padding_idx=-1, max_norm=1.0)
        Embedding(10, 3, max_norm=0.5, norm_type=1.0, scale_grad_by_freq=True)
        Embedding.from_pretrained(torch.arange(30.0).reshape(10, 3))
        Embedding.from_pretrained(torch.arange(30.0).reshape(10, 3), freeze=False)
        EmbeddingBag(10, 3)
        EmbeddingBag(10, 3, mode="sum", padding_idx=1)
        EmbeddingBag(10, 3, mode="max")
        """,
        i(10, 4, 5),
    ),
    Row("EmbeddingBag(10, 3)", (i(10, 7), ints(0, 2, 5))),
    Row(
        'EmbeddingBag(10, 3, mode="sum", include_last_offset=True)',
        (i(10, 7), ints(0, 2, 5, 7)),
    ),
    Row('EmbeddingBag(10, 3, mode="sum")', (i(10, 2, 3), None, u(2, 3))),
    Row(
        "EmbeddingBag.from_pretrained(torch.ones(10, 2), freeze=False)", (i(10, 2, 3),)
    ),
    # Convolutions.
    *rows(
        """
        Conv1d(4, 6, 3)
        Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False)
        Conv1d(4, 6, 4, padding="same")
        Conv1d(4, 6, 3, padding=2, padding_mode="circular")
        LazyConv1d(6, 3)
        ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1)
        ConvTranspose1d(4, 6, 3, groups=2, dilation=2, bias=False)
        LazyConvTranspose1d(6, 3)
        """,
        x3,
    ),
    *rows(
        """
        Conv2d(4, 6, 3)
        Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2))
        Conv2d(4, 8, 3, groups=4, bias=False)
        Conv2d(4, 6, (3, 4), padding="same", dilation=(1, 2))
        Conv2d(4, 6, 3, padding="valid")
        Conv2d(4, 6, 3, padding=(1, 2), padding_mode="reflect")
        Conv2d(4, 6, 4, padding="same", padding_mode="replicate")
        LazyConv2d(6, 3, bias=False)
        ConvTranspose2d(4, 6, 3)
        ConvTranspose2d(4, 6, (3, 2), 2, (1, 0), (1, 0), 2, True, (1, 2))
        LazyConvTranspose2d(6, 3, stride=2)
        """,
        x4,
    ),
    *rows(
        """
        Conv3d(4, 6, 3)
        Conv3d(4, 6, (1, 3, 2), 2, (0, 1, 1))
        LazyConv3d(6, 3)
        ConvTranspose3d(4, 2, 3, 2, 1, 1)
        LazyConvTranspose3d(6, 3)
        """,
        x5,
    ),
    *rows("Conv2d(4, 6, 3)\nConvTranspose2d(4, 6, 3)\nLazyConv2d(6, 3)", x4[0]),
    Row("ConvTranspose2d(4, 6, 3, stride=2)", (x4,), {"output_size": [18, 15]}),
    Row("ConvTranspose1d(4, 6, 3, stride=3)", (x3[0],), {"output_size": [4, 29]}),
    # Pooling.
    *rows(
        """
        MaxPool1d(3)
        MaxPool1d(3, 2, 1, 2, ceil_mode=True)
        MaxPool1d(2, return_indices=True)
        AvgPool1d(3)
        AvgPool1d(3, 2, 1, True, False)
        LPPool1d(2, 3)
        LPPool1d(3, 2, 1, True)
        AdaptiveMaxPool1d(4)
        AdaptiveMaxPool1d(4, return_indices=True)
        AdaptiveAvgPool1d(4)
        """,
        x3,
    ),
    *rows(
        """
        MaxPool2d(2)
        MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True)
        MaxPool2d(2, return_indices=True)
        AvgPool2d(2)
        AvgPool2d((3, 2), 2, (1, 0), True, False)
        AvgPool2d(3, divisor_override=2)
        LPPool2d(2, (2, 3), 2)
        FractionalMaxPool2d(2, output_size=(4, 5))
        FractionalMaxPool2d((2, 3), output_ratio=0.5, return_indices=True)
        AdaptiveMaxPool2d((3, None))
        AdaptiveMaxPool2d(3, return_indices=True)
        AdaptiveAvgPool2d((None, 3))
        AdaptiveAvgPool2d(1)
        """,
        x4,
    ),
    *rows(
        """
        MaxPool3d(2)
        MaxPool3d(2, 1, 1, return_indices=True)
        AvgPool3d(2)
        AvgPool3d((1, 2, 2), 2, 0, True)
        LPPool3d(2, 2)
        FractionalMaxPool3d(2, output_ratio=(0.5, 0.6, 0.7))
        AdaptiveMaxPool3d(2)
        AdaptiveAvgPool3d((2, None, 3))
        """,
        x5,
    ),
    *rows("MaxPool2d(2)\nAvgPool2d(2)\nAdaptiveAvgPool2d(2)", x4[0]),
    Row("MaxUnpool1d(2)", (f(1, 1, 2), ints([[0, 3]]))),
    Row("MaxUnpool1d(2)", (f(1, 1, 2), ints([[0, 3]])), {"output_size": [5]}),
    Row("MaxUnpool2d(2, 2)", (f(1, 1, 2, 2), ints([[[0, 3], [8, 15]]]))),
    Row("MaxUnpool3d(2)", (f(1, 1, 1, 1, 2), ints([[[[1, 6]]]]))),
    # Padding.
    *rows(
        """
        ConstantPad1d((1, 2), 0.5)
        ZeroPad1d(2)
        ReflectionPad1d((2, 1))
        ReplicationPad1d(3)
        CircularPad1d((1, 2))
        """,
        x3,
    ),
    *rows(
        """
        ConstantPad2d((1, -1, 2, 0), 3.5)
        ZeroPad2d((1, 2, 3, 4))
        ReflectionPad2d((2, 1, 1, 0))
        ReplicationPad2d(2)
        CircularPad2d((1, 0, 2, 1))
        """,
        x4,
    ),
    *rows(
        """
        ConstantPad3d(1, 3.5)
        ZeroPad3d((1, 2, 0, 1, 1, 0))
        ReflectionPad3d(1)
        ReplicationPad3d((1, 2, 0, 1, 1, 0))
        CircularPad3d(1)
        """,
        x5,
    ),
    # Normalisation.
    *rows(
        """
        BatchNorm1d(6)
        BatchNorm1d(6, momentum=None)
        BatchNorm1d(6, affine=False)
        BatchNorm1d(6, bias=False)
        BatchNorm1d(6, track_running_stats=False)
        LazyBatchNorm1d()
        SyncBatchNorm(6)
        LayerNorm(6)
        LayerNorm(6, bias=False)
        RMSNorm(6)
        RMSNorm(6, eps=0.1, elementwise_affine=False)
        """,
        x2,
    ),
    *rows(
        """
        BatchNorm1d(4, eps=0.1, momentum=0.3)
        InstanceNorm1d(4)
        InstanceNorm1d(4, affine=True, track_running_stats=True)
        LazyInstanceNorm1d()
        LayerNorm((4, 9))
        GroupNorm(2, 4)
        RMSNorm((4, 9))
        LocalResponseNorm(2, 0.5, 0.7, 2.0)
        """,
        x3,
    ),
    *rows(
        """
        BatchNorm2d(4)
        LazyBatchNorm2d(affine=False)
        InstanceNorm2d(4, affine=True)
        InstanceNorm2d(4, track_running_stats=True, momentum=0.5)
        LazyInstanceNorm2d(affine=False)
        LayerNorm([8, 7], elementwise_affine=False)
        GroupNorm(4, 4, affine=False)
        GroupNorm(1, 4, bias=False)
        LocalResponseNorm(3)
        """,
        x4,
    ),
    *rows(
        "BatchNorm3d(4)\nLazyBatchNorm3d()\nInstanceNorm3d(4)\nLazyInstanceNorm3d()", x5
    ),
    Row("InstanceNorm1d(4)", (x3[0],)),
    Row("SyncBatchNorm(4)", (x4,)),
    *rows(
        """
        Dropout()
        Dropout(0.0)
        Dropout(1.0)
        AlphaDropout(0.3)
        FeatureAlphaDropout(0.4)
        """,
        x2,
    ),
    Row("Dropout1d(0.4)", (x3,)),
    Row("Dropout2d(0.4)", (x4,)),
    Row("Dropout3d(0.4)", (x5,)),
    # Shapes.
    Row("Flatten()", (x4,)),
    Row("Flatten(0, 1)", (x4,)),
    Row("Unflatten(1, (2, -1))", (x3,)),
    Row("PixelShuffle(2)", (x4,)),
    Row("PixelUnshuffle(2)", (f(1, 2, 4, 6),)),
    Row("ChannelShuffle(2)", (x4,)),
    Row("Unfold((2, 3), dilation=2, padding=1, stride=2)", (x4,)),
    Row("Fold((4, 5), 2)", (f(2, 12, 12),)),
    Row("Fold((6, 5), (2, 2), padding=1, stride=2)", (f(2, 8, 12),)),
    *rows(
        """
        Upsample(20)
        Upsample(scale_factor=1.5)
        Upsample(scale_factor=2, mode="linear")
        """,
        x3,
    ),
    *rows(
        """
        Upsample((16, 10), mode="bilinear", align_corners=True)
        Upsample(scale_factor=(2, 1.5), mode="bicubic")
        Upsample(scale_factor=1.3, mode="bilinear", recompute_scale_factor=True)
        UpsamplingNearest2d(scale_factor=2)
        UpsamplingBilinear2d((12, 12))
        """,
        x4,
    ),
    Row('Upsample(scale_factor=2, mode="trilinear")', (x5,)),
    *rows(
        """
        CosineSimilarity()
        CosineSimilarity(dim=0, eps=1e-3)
        PairwiseDistance()
        PairwiseDistance(1, keepdim=True)
        """,
        x2,
        f(4, 6),
    ),
    # Losses.
    *rows(
        """
        L1Loss()
        L1Loss(reduction="sum")
        L1Loss(reduction="none")
        L1Loss(size_average=False)
        MSELoss()
        MSELoss(reduce=False)
        SmoothL1Loss()
        SmoothL1Loss(beta=0.5, reduction="sum")
        HuberLoss()
        HuberLoss("none", 0.3)
        KLDivLoss(reduction="batchmean", log_target=True)
        """,
        x2,
        f(4, 6),
    ),
    Row("KLDivLoss()", (logp(4, 6), u(4, 6))),
    *rows(
        "PoissonNLLLoss()\nPoissonNLLLoss(full=True)\nPoissonNLLLoss(False)",
        u(4, 6),
        u(4, 6) * 4,
    ),
    Row("GaussianNLLLoss()", (x2, f(4, 6), u(4, 6))),
    Row("GaussianNLLLoss(full=True, reduction='none')", (x2, f(4, 6), u(4, 1))),
    Row("BCELoss()", (u(4, 6), u(4, 6))),
    Row("BCELoss(torch.arange(6.0), reduction='sum')", (u(4, 6), u(4, 6))),
    *rows(
        """
        BCEWithLogitsLoss()
        BCEWithLogitsLoss(torch.arange(6.0), pos_weight=torch.ones(6) * 2)
        MultiLabelSoftMarginLoss()
        MultiLabelSoftMarginLoss(torch.arange(6.0), reduction="none")
        """,
        x2,
        u(4, 6).round(),
    ),
    Row("HingeEmbeddingLoss(0.5)", (x2, sign(4, 6))),
    Row("SoftMarginLoss()", (x2, sign(4, 6))),
    *rows(
        """
        CrossEntropyLoss()
        CrossEntropyLoss(torch.arange(6.0), ignore_index=2, label_smoothing=0.1)
        CrossEntropyLoss(reduction="none")
        NLLLoss(reduction="sum")
        NLLLoss(torch.arange(6.0), ignore_index=1)
        MultiMarginLoss()
        MultiMarginLoss(2, 0.5, torch.arange(6.0), reduction="sum")
        """,
        x2,
        i(6, 4),
    ),
    Row("CrossEntropyLoss()", (x2, u(4, 6))),
    Row("CrossEntropyLoss()", (x4, i(4, 2, 8, 7))),
    Row("NLLLoss()", (x4, i(4, 2, 8, 7))),
    Row("LinearCrossEntropyLoss(6, 5)", (x2, i(5, 4))),
    Row(
        "LinearCrossEntropyLoss(6, 5, out_features=(2, 3), bias=True, "
        "weight=torch.arange(5.0), ignore_index=1, label_smoothing=0.1)",
        (x2, i(5, 4, 2, 3)),
    ),
    Row("MultiLabelMarginLoss()", (x2, ints([1, 3, -1, 0, 0, 0]).repeat(4, 0))),
    Row("CosineEmbeddingLoss(0.1)", (x2, f(4, 6), sign(4))),
    Row("MarginRankingLoss(0.2)", (f(5), f(5), sign(5))),
    *rows(
        """
        TripletMarginLoss()
        TripletMarginLoss(0.5, 1.0, swap=True, reduction="sum")
        TripletMarginWithDistanceLoss()
        TripletMarginWithDistanceLoss(distance_function=nn.CosineSimilarity())
        """,
        x2,
        f(4, 6),
        f(4, 6),
    ),
    *rows(
        'CTCLoss()\nCTCLoss(1, "none", zero_infinity=True)',
        logp(9, 2, 5),
        ints([2, 3, 2], [4, 2, 2]),
        ints(9, 8),
        ints(3, 2),
    ),
    # Containers.
    Row(
        "Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 2)))", (x2,)
    ),
]


class Side:
    """One of the two frameworks, running one row."""

    def __init__(self, framework: Any, device: str, row: Row) -> None:
        self.framework = framework
        self.device = device
        scope = {"nn": framework.nn, "torch": framework}
        framework.manual_seed(7)
        self.module = eval("nn." + row.made, scope)
        if device != "cpu":
            self.module.to(device)
        self.args = [self.tensor(a) for a in row.inputs]
        self.kwargs = row.kwargs

    def tensor(self, array: Any) -> Any:
        if array is None:
            return None
        if isinstance(array, Fixed):
            return self.tensor(array.array).detach()
        made = self.framework.tensor(array.tolist(), dtype=self.dtype(array))
        made = made.to(self.device)
        return made.requires_grad_() if array.dtype == np.float32 else made

    def dtype(self, array: np.ndarray) -> Any:
        return (
            self.framework.float32 if array.dtype.kind == "f" else self.framework.int64
        )

    def call(self) -> list[Any]:
        self.framework.manual_seed(11)
        out = self.module(*self.args, **self.kwargs)
        return list(out) if isinstance(out, tuple) else [out]

    def state(self) -> dict[str, np.ndarray]:
        return {k: host(v) for k, v in self.module.state_dict().items()}

    def gradients(self, outputs: list[Any]) -> dict[str, np.ndarray | None]:
        scored = [o for o in outputs if o.is_floating_point() and o.requires_grad]
        if scored:
            total: Any = sum((o * (o.detach().cos() + 0.5)).sum() for o in scored)
            total.backward()
        named = {f"input {n}": a for n, a in enumerate(self.args) if a is not None}
        named.update(self.module.named_parameters())
        return {k: None if t.grad is None else host(t.grad) for k, t in named.items()}


def host(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy())


def same(ours: Any, theirs: Any, what: str) -> None:
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        assert ours.dtype == theirs.dtype, what
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5, err_msg=what)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.made)
def test_module_is_as_pytorchs(row: Row, device: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = Side(torch, device, row), Side(oracle, "cpu", row)
    assert repr(ours.module) == repr(theirs.module)
    if "Lazy" not in row.made:
        assert ours.state().keys() == theirs.state().keys()
        for name, value in theirs.state().items():
            same(ours.state()[name], value, f"initial {name}")

    if not (row.random and device != "cpu"):
        for step in ("first", "second"):  # statistics move between the two
            results, expected = ours.call(), theirs.call()
            assert len(results) == len(expected)
            for n, (a, b) in enumerate(zip(results, expected, strict=True)):
                same(host(a), host(b), f"{step} output {n}")
        mine, other = ours.gradients(results), theirs.gradients(expected)
        assert mine.keys() == other.keys()
        for name, gradient in other.items():
            same(mine[name], gradient, f"gradient of {name}")
        assert ours.state().keys() == theirs.state().keys()
        for name, value in theirs.state().items():
            same(ours.state()[name], value, f"{name} after the calls")
        assert repr(ours.module) == repr(theirs.module)

    ours.module.eval()
    theirs.module.eval()
    if not (row.random and device != "cpu" and "Frac" in row.made):
        for a, b in zip(ours.call(), theirs.call(), strict=True):
            same(host(a), host(b), "output in evaluation mode")


INPLACE = (
    "CELU ELU Hardsigmoid Hardswish Hardtanh LeakyReLU Mish ReLU ReLU6 SELU SiLU "
    "Dropout"
)


@pytest.mark.parametrize("name", INPLACE.split())
def test_inplace_overwrites_the_input(name: str, device: str) -> None:
    module = getattr(torch.nn, name)(inplace=True).eval()
    x = torch.tensor([[-1.0, 0.5, 2.0]]).to(device)
    expected = getattr(torch.nn, name)().eval()(x.clone())
    assert module(x) is x
    same(host(x), host(expected), name)


PUBLIC = [n for n in oracle.nn.modules.__all__ if n not in ("Container",)]


@pytest.mark.parametrize("name", PUBLIC)
def test_signature_and_constants_are_pytorchs(name: str) -> None:
    import inspect

    ours, theirs = getattr(torch.nn, name), getattr(oracle.nn, name)

    def shape(function: Any) -> list[Any]:
        return [
            (p.name, p.kind, p.default if not callable(p.default) else "function")
            for p in inspect.signature(function).parameters.values()
        ]

    assert shape(ours) == shape(theirs)
    if hasattr(theirs, "forward"):
        assert shape(ours.forward) == shape(theirs.forward)
        constants = getattr(theirs, "__constants__", None)
        assert getattr(ours, "__constants__", None) == constants
        assert ours._version == theirs._version
    assert ours.__doc__

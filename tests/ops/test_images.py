"""Padding, resampling, grids, sliding blocks and the rarer poolings."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
from .oracle import Spec, compare, spec  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

_rng = np.random.RandomState(3)
Case = tuple[str, tuple[Any, ...]]


def f(*shape: int, dtype: str = "float64", grad: bool = True) -> Spec:
    """Normal numbers."""
    return spec(_rng.standard_normal(shape), dtype, grad)


def points(*shape: int) -> Spec:
    """Points in and around the image."""
    return spec(_rng.uniform(-1.4, 1.4, shape), "float64", True)


def i(*shape: int, dtype: str = "int64") -> Spec:
    return spec(_rng.randint(0, 9, shape), dtype)


def run(text: str, *arguments: Any, **options: Any) -> None:
    """Compares an expression over F, m (the framework) and the tensors x, y, z.

    With ``gradgrad``, again with the result squared: maps that are linear have no second
    derivative by themselves.
    """
    if options.pop("gradgrad", False):
        run(text, *arguments, **options)
        if not any(isinstance(a, Spec) and a.grad for a in arguments):
            return
        first = f"(lambda r: r[0] if isinstance(r, tuple) else r)({text})"
        options.pop("grad_fn", None)
        _run(f"{first} ** 2", arguments, {**options, "gradgrad": True})
        return
    _run(text, arguments, options)


def _run(text: str, arguments: Any, options: dict[str, Any]) -> None:
    def evaluate(m: Any, *tensors: Any) -> Any:
        scope = {
            "m": m,
            "F": m.nn.functional,
            **dict(zip("xyz", tensors, strict=False)),
        }
        return eval(text, scope)

    compare(evaluate, *arguments, **options)


PADS = [
    ("(2, 1)", (3, 5)),
    ("(2, 1)", (2, 3, 5)),
    ("(1, 2, 2, 0)", (3, 4, 5)),
    ("(1, 2, 2, 0)", (2, 3, 4, 5)),
    ("(0, 1, 1, 2, 2, 1)", (2, 3, 4, 5)),
    ("(0, 1, 1, 2, 2, 1)", (1, 2, 3, 4, 5)),
    ("(-1, 2)", (2, 3, 5)),
    ("(2, -1, 1, -2)", (2, 3, 4, 5)),
    ("(0, 0)", (2, 3, 5)),
]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("pads", "shape"), PADS)
def test_pad(mode: str, pads: str, shape: tuple[int, ...], device: str) -> None:
    named = mode != "circular"  # which PyTorch writes by copying into slices
    run(f"F.pad(x, {pads}, {mode!r})", f(*shape), device=device, grad_fn=named,
        gradgrad=True)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "F.pad(x, (1, 1), value=1.5)",
        "F.pad(x, [3, -2, 1, 1])",
        "F.pad(x, (1, 1), 'reflect')",
        "F.pad(x, (2, 1), mode='replicate')",
        "F.pad(x, (2, 1), mode='circular')",
        "m.constant_pad_nd(x, (1, 0, 2))",
        "m.constant_pad_nd(x, (1, 0, 2, 1), 3)",
        "m.constant_pad_nd(x, (1, 0) * 3, 3)",
    ],
)
@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "bool", "float16", "bfloat16", "complex64"]
)
def test_pad_keeps_dtypes(text: str, dtype: str, device: str) -> None:
    run(text, i(3, 4, dtype=dtype), device=device)


PAD_ERRORS = """
(1,)
(1, 2, 3, 4, 5, 6)
(-2, -3)
(-5, 5)
(1, 1), "foo"
(1, 1), "reflect", 1.0
(4, 1), "reflect"
(1, 1, 1, 1, 1, 1), "reflect"
(1, 1, 1), "circular"
(5, 1), "circular"
(-2, -3), "circular"
(-3, -3), "replicate"
(-1, -3), "reflect"
""".strip().splitlines()


@pytest.mark.parametrize("arguments", PAD_ERRORS)
def test_pad_errors(arguments: str, device: str) -> None:
    run(f"F.pad(x, {arguments})", f(3, 4), device=device)
    run(f"F.pad(x, {arguments})", f(2, 3, 4), device=device)


@pytest.mark.parametrize("shape", [(2, 0, 4), (2, 3, 0), (0, 3, 4)])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_of_empty(mode: str, shape: tuple[int, ...], device: str) -> None:
    run(f"F.pad(x, (1, 1), {mode!r})", f(*shape), device=device)


def resizings() -> Iterator[tuple[str, tuple[int, ...]]]:
    images = {1: (2, 3, 7), 2: (2, 3, 5, 6), 3: (1, 2, 4, 3, 5)}
    targets = {
        1: ["11", "size=(4,)", "scale_factor=1.7", "scale_factor=0.6", "7", "1"],
        2: ["(9, 4)", "3", "scale_factor=(1.3, 0.7)", "scale_factor=2", "(1, 12)"],
        3: ["(6, 2, 5)", "scale_factor=(2, 0.5, 1.5)"],
    }
    modes = {
        1: ["nearest", "nearest-exact", "linear", "area"],
        2: ["nearest", "nearest-exact", "bilinear", "bicubic", "area"],
        3: ["nearest", "nearest-exact", "trilinear", "area"],
    }
    for dims, shape in images.items():
        for target, mode in itertools.product(targets[dims], modes[dims]):
            yield f"F.interpolate(x, {target}, mode={mode!r})", shape
            if "scale" in target:
                yield (
                    f"F.interpolate(x, {target}, mode={mode!r}, "
                    "recompute_scale_factor=True)",
                    shape,
                )
            if mode.endswith(("linear", "bicubic")):
                yield (
                    f"F.interpolate(x, {target}, mode={mode!r}, align_corners=True)",
                    shape,
                )
    for target, mode in itertools.product(
        targets[2], ["bilinear", "bicubic", "lanczos"]
    ):
        yield f"F.interpolate(x, {target}, mode={mode!r}, antialias=True)", images[2]
        if mode != "lanczos":
            yield (
                f"F.interpolate(x, {target}, mode={mode!r}, antialias=True, "
                "align_corners=True)",
                images[2],
            )


@pytest.mark.parametrize(("text", "shape"), list(resizings()))
def test_interpolate(text: str, shape: tuple[int, ...], device: str) -> None:
    named = "area" not in text and "size=" not in text
    run(text, f(*shape), device=device, gradgrad=True, grad_fn=named)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "uint8", "int64"])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_interpolate_dtypes(mode: str, dtype: str, device: str) -> None:
    values = spec(_rng.randint(0, 255, (2, 3, 6, 5)), dtype)
    if dtype == "uint8" and mode.startswith("bi"):
        mine = torch.tensor(values.values, dtype=torch.uint8).to(device)
        wanted = oracle.tensor(values.values, dtype=oracle.uint8)
        got = torch.nn.functional.interpolate(mine, (9, 3), mode=mode)
        want = oracle.nn.functional.interpolate(wanted, (9, 3), mode=mode)
        assert got.dtype is torch.uint8
        apart = got.cpu().numpy().astype(int) - want.numpy().astype(int)
        assert np.abs(apart).max() <= 1
        return
    # Where taps of both signs cancel, what is left of halves is their rounding.
    atol = 0.1 if dtype in ("float16", "bfloat16") else None
    run(f"F.interpolate(x, (9, 3), mode={mode!r})", values, device=device, atol=atol)


INTERPOLATE_ERRORS = [
    ("x", (1, 2, 4)),
    ("x, 3, 2", (1, 2, 4)),
    ("x, 3", (1, 2)),
    *[(f"x, 3, mode={m!r}", (2, 4, 5)) for m in ("bilinear", "bicubic", "foo", "trilinear")],
    *[(f"x, 3, mode={m!r}", (2, 4, 5, 3)) for m in ("linear", "trilinear", "lanczos")],
    *[(f"x, 3, mode={m!r}", (2, 2, 2, 2, 2)) for m in ("linear", "bilinear", "bicubic")],
    ("x, 3, align_corners=True", (2, 4, 5)),
    ("x, (3, 4)", (2, 4, 5)),
    ("x, scale_factor=(3, 4)", (2, 4, 5)),
    ("x, 3, recompute_scale_factor=True", (2, 4, 5)),
    ("x, 3, antialias=True", (2, 4, 5)),
    ("x, 3, mode='area', antialias=True", (2, 4, 5, 5)),
    *[(f"x, 0, mode={m!r}", (2, 4, 5, 5)) for m in ("nearest", "bilinear", "bicubic")],
    ("x, 0, mode='linear'", (2, 4, 5)),
    ("x, 3", (2, 0, 5)),
    ("x, 3", (0, 4, 5)),
    ("x, (2.5, 2)", (2, 4, 5, 5)),
    ("x, scale_factor=0.1", (2, 4, 5, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "shape"), INTERPOLATE_ERRORS)
def test_interpolate_errors(arguments: str, shape: Any, device: str) -> None:
    run(f"F.interpolate({arguments})", f(*shape), device=device)


@pytest.mark.parametrize(
    "text",
    [
        "F.upsample(x, 3, mode='bilinear')",
        "F.upsample_nearest(x, 3)",
        "F.upsample_bilinear(x, scale_factor=2)",
    ],
)
def test_upsample_is_deprecated(text: str, device: str) -> None:
    run(text, f(1, 2, 4, 4), device=device)
    scope = {"x": torch.zeros(1, 2, 4, 4), "F": torch.nn.functional}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="is deprecated"):
            eval(text, scope)


GRIDS: list[Case] = [
    ("F.affine_grid(x, (2, 3, 4, 5), {})", (f(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 1, 5), {})", (f(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 2, 4, 5), {})", (f(2, 3, 4),)),
    *[
        (
            f"F.grid_sample(x, y, {mode!r}, {padding!r}, {{}})",
            (f(2, 3, 4, 5), points(2, 3, 4, 2)),
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
    ],
    *[
        (
            f"F.grid_sample(x, y, {mode!r}, {padding!r}, {{}})",
            (f(2, 2, 3, 4, 5), points(2, 2, 3, 2, 3)),
        )
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
    ],
    ("F.grid_sample(x, y, align_corners={})", (f(1, 2, 1, 1), points(1, 3, 3, 2))),
    ("F.grid_sample(x, y, padding_mode='reflection', align_corners={})",
     (f(1, 2, 1, 4), points(1, 3, 3, 2))),
]  # fmt: skip


@pytest.mark.parametrize("corners", ["True", "False"])
@pytest.mark.parametrize(("text", "arguments"), GRIDS)
def test_grids(text: str, arguments: Any, corners: str, device: str) -> None:
    run(text.format(corners), *arguments, device=device, grad_fn=True)


def test_the_gradients_of_grid_sample_are_those_of_differences() -> None:
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(1, 2, 3, 2, dtype=torch.float64) * 1.5 - 0.75
    grid.requires_grad_()

    def sample(a: Any, b: Any) -> Any:
        return torch.nn.functional.grid_sample(a, b, align_corners=True)

    assert torch.autograd.gradcheck(sample, (x, grid))


GRID_ERRORS: list[Case] = [
    ("F.affine_grid(x, (2, 3, 4))", (f(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 4, 5))", (f(2, 3, 3),)),
    ("F.affine_grid(x, (2, 3, 4, 5, 6))", (f(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 0, 5))", (f(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 4, 5))", (i(2, 2, 3),)),
    ("F.affine_grid(x, (2, 3, 4, 5))", (f(3, 2, 3),)),
    ("F.grid_sample(x, y, 'foo')", (f(1, 2, 3, 4), points(1, 2, 2, 2))),
    ("F.grid_sample(x, y, 'nearest', 'foo')", (f(1, 2, 3, 4), points(1, 2, 2, 2))),
    ("F.grid_sample(x, y)", (f(1, 2, 3, 4), points(2, 2, 2, 2))),
    ("F.grid_sample(x, y)", (f(1, 2, 3, 4), points(1, 2, 2, 3))),
    ("F.grid_sample(x, y)", (f(1, 2, 3, 4), points(1, 2, 2))),
    ("F.grid_sample(x, y)", (f(1, 2, 3), points(1, 2, 2))),
    ("F.grid_sample(x, y)", (f(1, 2, 0, 4), points(1, 2, 2, 2))),
    ("F.grid_sample(x, y)", (f(1, 2, 3, 4, dtype="float32"), points(1, 2, 2, 2))),
    ("F.grid_sample(x, y, 'bicubic')", (f(1, 2, 3, 4, 5), points(1, 2, 2, 2, 3))),
    ("F.grid_sample(x, y)", (i(1, 2, 3, 4), i(1, 2, 2, 2))),
]


@pytest.mark.parametrize(("text", "arguments"), GRID_ERRORS)
def test_grid_errors(text: str, arguments: Any, device: str) -> None:
    run(text, *arguments, device=device)


BLOCKS: list[Case] = [
    ("F.unfold(x, 2)", (f(2, 3, 4, 5),)),
    ("F.unfold(x, (2, 3), 2, (1, 2), (2, 1))", (f(2, 3, 5, 6),)),
    ("F.unfold(x, 2)", (f(3, 4, 5),)),
    ("F.unfold(x, 2)", (f(0, 3, 4, 5),)),
    ("F.unfold(x, 2)", (i(1, 2, 3, 4, dtype="bool"),)),
    ("F.fold(x, (3, 4), 2)", (f(2, 8, 6),)),
    ("F.fold(x, (3, 4), 2)", (f(8, 6),)),
    ("F.fold(x, (5, 6), (2, 3), 2, (1, 2), (2, 1))", (f(2, 12, 18),)),
    ("F.pixel_shuffle(x, 2)", (f(2, 8, 2, 3),)),
    ("F.pixel_shuffle(x, 1)", (f(8, 2, 3),)),
    ("F.pixel_unshuffle(x, 2)", (f(2, 2, 4, 6),)),
    ("F.channel_shuffle(x, 3)", (f(2, 6, 2, 3),)),
    ("F.conv_tbc(x, y, z, 1)", (f(5, 2, 3), f(2, 3, 4), f(4))),
]
BLOCK_ERRORS: list[Case] = [
    *[
        (f"F.unfold(x, {arguments})", (f(1, 2, 3, 4),))
        for arguments in ("5", "0", "2, 0", "2, 1, -1", "2, 1, 0, 0", "(2, 2, 2)")
    ],
    ("F.unfold(x, 2)", (f(1, 2, 0, 4),)),
    ("F.unfold(x, 2)", (i(1, 2, 3, 4),)),
    *[
        (f"F.fold(x, {arguments})", (f(1, 8, 6),))
        for arguments in (
            "(0, 4), 2", "(1, 4), 2", "(3, 4), 0", "(3, 4), 2, 0", "(3, 4), 2, 1, -1",
            "(3, 4), 2, 1, 0, 0", "(5, 5), 2", "(3, 4), 3",
        )
    ],
    ("F.fold(x, (3, 4), 2)", (f(8),)),
    ("F.fold(x, (3, 4), 2)", (i(1, 8, 6),)),
    *[(f"F.pixel_shuffle(x, {n})", (f(7, 2, 2),)) for n in (2, 0)],
    ("F.pixel_shuffle(x, 2)", (f(8, 2),)),
    *[("F.pixel_unshuffle(x, 2)", (f(*s),)) for s in ((7, 3, 2), (7, 2, 3), (8, 2))],
    *[(f"F.channel_shuffle(x, {n})", (f(1, 7, 2),)) for n in (2, 0)],
    ("F.channel_shuffle(x, 2)", (f(8, 2),)),
    ("F.conv_tbc(x, y, z)", (f(5, 2, 3), f(2, 2, 4), f(4))),
    ("F.conv_tbc(x, y, z)", (f(5, 2), f(2, 2, 4), f(4))),
    ("F.conv_tbc(x, y, z)", (f(5, 2, 3), f(2, 3, 4), f(3))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "arguments"), BLOCKS + BLOCK_ERRORS)
def test_blocks_and_channels(text: str, arguments: Any, device: str) -> None:
    second = "conv_tbc" not in text  # PyTorch has none there
    named = "conv_tbc" not in text
    run(text, *arguments, device=device, gradgrad=second, grad_fn=named)


def indices(*shape: int, below: int) -> Spec:
    count = int(np.prod(shape))
    return spec(_rng.permutation(below)[:count].reshape(shape))


POOLS: list[Case] = [
    *[
        (f"F.max_pool2d(x, {a})", (f(2, 3, 6, 7),))
        for a in ("2", "3, 2, 1", "(3, 2), ceil_mode=True", "2, return_indices=True",
                  "2, None, 0, 1, False, True", "kernel_size=2, stride=1, dilation=2")
    ],
    ("F.max_pool2d(x, 2)", (f(3, 6, 7),)),
    ("F.max_pool1d(x, 3, return_indices=True)", (f(2, 3, 8),)),
    ("F.max_pool3d(x, 2, 1, 1, return_indices=True)", (f(1, 2, 4, 3, 5),)),
    ("F.max_pool2d_with_indices(x, 2)", (f(2, 3, 6, 7),)),
    *[
        (f"F.adaptive_{way}_pool2d(x, {size})", (f(2, 3, 6, 7),))
        for way in ("max", "avg")
        for size in ("3", "(4, 5)", "(None, 2)", "1", "(9, 7)", "(2, -1)", "(2, 2, 2)")
    ],
    *[
        (f"F.adaptive_{way}_pool{len(shape) - 2}d(x, {size})", (f(*shape),))
        for way in ("max", "avg")
        for shape, size in (
            ((2, 3, 8), "3"), ((2, 3, 8), "(5,)"), ((1, 2, 4, 5, 6), "(2, None, 4)"),
        )
    ],
    ("F.adaptive_max_pool2d(x, 2, return_indices=True)", (f(3, 5, 5),)),
    ("F.adaptive_max_pool2d_with_indices(x, 2)", (f(3, 5, 5),)),
    ("F.adaptive_max_pool2d(x, 2)", (f(5, 5),)),
    ("F.adaptive_avg_pool2d(x, 2)", (f(5, 5),)),
    ("F.lp_pool1d(x, 2, 3)", (f(2, 3, 8),)),
    ("F.lp_pool2d(x, 2.0, (2, 3), 2, True)", (f(2, 3, 6, 7),)),
    ("F.lp_pool3d(x, 2, 2)", (f(1, 2, 4, 5, 6),)),
    ("F.max_unpool1d(x, y, 2)", (f(1, 1, 4), indices(1, 1, 4, below=8))),
    ("F.max_unpool2d(x, y, 2)", (f(1, 1, 2, 3), indices(1, 1, 2, 3, below=24))),
    ("F.max_unpool2d(x, y, 2, output_size=(1, 1, 5, 6))",
     (f(1, 1, 2, 3), indices(1, 1, 2, 3, below=24))),
    ("F.max_unpool3d(x, y, 2)", (f(1, 1, 2, 2, 2), indices(1, 1, 2, 2, 2, below=64))),
    ("F.max_unpool2d(x, y, 2)", (f(1, 2, 2), spec([[[0, 1], [2, 99]]]))),
    ("F.max_unpool2d(x, y, 2)", (f(1, 2, 2), f(1, 2, 2))),
    ("F.max_unpool2d(x, y, 2)", (f(2, 2), i(2, 2))),
    ("F.max_unpool2d(x, y, 2)", (f(1, 2, 2), i(1, 2, 1))),
    ("F.max_unpool2d(x, y, 2, output_size=(9, 9))", (f(1, 2, 2), i(1, 2, 2))),
    ("F.max_unpool2d(x, y, 2, output_size=(9,))", (f(1, 2, 2), i(1, 2, 2))),
    *[
        (f"F.fractional_max_pool2d(x, {a}, _random_samples=y)",
         (f(2, 3, 8, 9), spec(_rng.random_sample((2, 3, 2)))))
        for a in ("2, 3", "(2, 3), (4, 5), return_indices=True", "2, output_ratio=0.5",
                  "2", "2, 9", "3, 1", "2, output_ratio=(.6, .4), return_indices=True")
    ],
    *[
        (f"F.fractional_max_pool3d(x, {a}, _random_samples=y)",
         (f(1, 2, 5, 6, 7), spec(_rng.random_sample((1, 2, 3)))))
        for a in ("2, 3", "(2, 3, 1), (2, 4, 5), return_indices=True", "2, 9")
    ],
    *[
        ("F.fractional_max_pool2d(x, 2, 3, _random_samples=y)",
         (f(1, 2, 5, 5), f(*shape, grad=False)))
        for shape in ((1, 2, 3), (1, 1, 2))
    ],
]  # fmt: skip


@pytest.mark.parametrize(("text", "arguments"), POOLS)
def test_pools(text: str, arguments: Any, device: str) -> None:
    named = "max_pool1d" not in text and arguments[0].values.ndim > 3
    run(text, *arguments, device=device, gradgrad=True, grad_fn=named)


def test_names_and_signatures_are_pytorchs() -> None:
    import inspect

    names = "pad interpolate upsample affine_grid grid_sample fold unfold lp_pool1d "
    names += "max_unpool2d max_pool2d max_pool2d_with_indices adaptive_avg_pool2d "
    names += "adaptive_max_pool3d fractional_max_pool2d_with_indices upsample_bilinear"
    for name in names.split():
        ours = getattr(torch.nn.functional, name)
        theirs = getattr(oracle.nn.functional, name)
        assert ours.__name__ == name
        assert ours.__module__ == "torch.nn.functional" or ours.__module__.endswith(
            ".nn.functional"
        )
        mine = inspect.signature(ours).parameters.values()
        other = inspect.signature(theirs).parameters.values()
        assert [(p.name, p.kind, p.default) for p in mine] == [
            (p.name, p.kind, p.default) for p in other
        ]

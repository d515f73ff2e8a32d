"""Results lie in memory as PyTorch's do, whatever order the operands lie in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .oracle import compare, spec

pytestmark = pytest.mark.oracle
oracle = pytest.importorskip("torch")

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "columns": lambda t: t.permute(*range(t.ndim)[::-1]).contiguous().permute(
        *range(t.ndim)[::-1]
    ),
    "gaps": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda t: t[:1].expand(t.shape),
}  # fmt: skip
INDEX = [0, 2, 1]
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "cat": lambda m, x: m.cat([x, x]),
    "stack": lambda m, x: m.stack([x, x]),
    "column_stack": lambda m, x: m.column_stack([x, x]),
    "flip": lambda m, x: m.flip(x, (0, 1)),
    "rot90": lambda m, x: m.rot90(x),
    "roll": lambda m, x: m.roll(x, (1, 2), (0, 1)),
    "tril": lambda m, x: m.tril(x),
    "masked_fill": lambda m, x: x.masked_fill(x > 0, 0),
    "masked_scatter": lambda m, x: x.masked_scatter(x > 0, x.abs()),
    "gather": lambda m, x: x.gather(0, m.zeros(2, 4, dtype=m.int64)),
    "scatter": lambda m, x: x.scatter(0, m.zeros(2, 4, dtype=m.int64), 1.0),
    "scatter_add": lambda m, x: x.scatter_add(0, m.zeros(2, 4, dtype=m.int64), x),
    "index_add": lambda m, x: x.index_add(0, m.tensor(INDEX), x.clone()),
    "index_copy": lambda m, x: x.index_copy(0, m.tensor(INDEX), x.clone()),
    "index_put": lambda m, x: x.index_put((m.tensor(INDEX),), x.clone()),
    "index_reduce": lambda m, x: x.index_reduce(
        0, m.tensor(INDEX), x.clone(), "amax"
    ),
    "select_scatter": lambda m, x: x.select_scatter(m.zeros(4), 0, 1),
    "slice_scatter": lambda m, x: x.slice_scatter(m.zeros(1, 4), 0, 1, 2),
    "diagonal_scatter": lambda m, x: x.diagonal_scatter(m.zeros(3)),
    "sort": lambda m, x: m.sort(x, 1),
    "topk": lambda m, x: m.topk(x, 1, 1),
    "kthvalue": lambda m, x: m.kthvalue(x, 1, 0, keepdim=True),
    "cummax": lambda m, x: m.cummax(x, 0),
    "logcumsumexp": lambda m, x: m.logcumsumexp(x, 0),
    "renorm": lambda m, x: m.renorm(x, 2, 0, 1.0),
    "addr": lambda m, x: m.addr(x, m.ones(3), m.ones(4)),
    "complex": lambda m, x: m.complex(x, m.ones(4)),
    "to": lambda m, x: x.to(m.float32, memory_format=m.contiguous_format),
    "view_copy": lambda m, x: m.view_copy(x, (12,)),
    "resize_as_": lambda m, x: x.clone().resize_as_(x),
    "batch_norm": lambda m, x: m.nn.functional.batch_norm(
        x, None, None, training=True
    ),
    "rms_norm": lambda m, x: m.nn.functional.rms_norm(x, (4,)),
    "softmax": lambda m, x: m.softmax(x, 0),
    "quantile": lambda m, x: m.quantile(x, m.tensor([0.25, 0.5]), 0, True),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", CALLS)
def test_strides(call: str, layout: str) -> None:
    values = np.random.default_rng(0).standard_normal((3, 4))
    compare(CALLS[call], spec(values, "float32", layout=LAYOUTS[layout]), grad=False)


IMAGES: dict[str, Callable[[Any, Any], Any]] = {
    "pixel_shuffle": lambda m, x: m.nn.functional.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda m, x: m.nn.functional.pixel_unshuffle(x, 2),
    "channel_shuffle": lambda m, x: m.nn.functional.channel_shuffle(x, 2),
    "cat": lambda m, x: m.cat([x, x], 1),
    "batch_norm": lambda m, x: m.nn.functional.batch_norm(
        x, None, None, training=True
    ),
    "group_norm": lambda m, x: m.nn.functional.group_norm(x, 2),
}  # fmt: skip


@pytest.mark.parametrize("call", IMAGES)
def test_channels_stay_last(call: str) -> None:
    values = np.random.default_rng(0).standard_normal((2, 4, 4, 6))
    compare(
        lambda m, x: IMAGES[call](m, x.contiguous(memory_format=m.channels_last)),
        spec(values, "float32"),
        grad=False,
    )


def test_transposed_convolution_of_volumes_is_row_major() -> None:
    def call(m: Any, x: Any, w: Any) -> Any:
        x = x.contiguous(memory_format=m.channels_last_3d)
        return m.nn.functional.conv_transpose3d(x, w)

    rng = np.random.default_rng(0)
    compare(
        call,
        spec(rng.standard_normal((1, 2, 3, 3, 3)), "float32"),
        spec(rng.standard_normal((2, 3, 2, 2, 2)), "float32"),
        grad=False,
    )


def test_a_resized_result_has_the_strides_of_the_computation() -> None:
    def call(m: Any, x: Any) -> Any:
        return m.linalg.qr(x, out=(m.empty(0), m.empty(0)))

    values = np.random.default_rng(0).standard_normal((4, 3))
    compare(call, spec(values, "float32"), grad=False)

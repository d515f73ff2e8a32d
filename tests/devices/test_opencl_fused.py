"""Fused OpenCL kernels do what decompositions do on ``cpu``, in every float dtype.

Values and gradients of odd sizes and of operands that don't lie in one piece; few launches.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.device_layer import declined_counts
from tests.devices.opencl_cases import D, compare, needs_opencl, with_gradients

pytestmark = needs_opencl
F = torch.nn.functional
DTYPES = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-4},
    torch.float64: {"rtol": 1e-9, "atol": 1e-9},
    torch.float16: {"rtol": 2e-2, "atol": 4e-2},
    torch.bfloat16: {"rtol": 8e-2, "atol": 1.5e-1},
}


def here(t: Any, x: Any) -> Any:
    return t.to(x.device)


LABELS = torch.tensor([3, 0, 4, -100, 1, 2, 0])
MAP = torch.arange(84).reshape(2, 6, 7) % 5
PLACES = torch.tensor([[1, 0, 4], [4, 4, 2]])
HIDDEN = torch.tensor([[True, False, True, True, True]] * 4 + [[False] * 5])


def attended(q: Any, k: Any, v: Any, mask: Any = None, **options: Any) -> Any:
    mask = None if mask is None else here(mask, q)
    q = q.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k[..., ::2], v[..., 1::2], mask, **options)


QKV = [(2, 5, 3, 4), (2, 3, 5, 8), (2, 3, 5, 8)]
MANY = [(2, 33, 1, 9), (2, 1, 33, 18), (2, 1, 33, 18)]
IMAGE = [(2, 3, 11, 9)]

#: name -> (function, shapes of its operands).
CASES: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (33,), w, b), [(3, 5, 33), (33,), (33,)]),
    "layer_norm of two dims": (lambda x, w: F.layer_norm(x, (4, 7), w), [(3, 4, 7), (4, 7)]),
    "layer_norm of columns": (lambda x: F.layer_norm(x.t()[1:], (6,)), [(6, 9)]),
    "layer_norm of many rows": (lambda x, w: F.layer_norm(x, (5,), w), [(700, 5), (5,)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 3, w, b), [(2, 6, 5), (6,), (6,)]),
    "group_norm of points": (lambda x: F.group_norm(x, 2), [(3, 8)]),
    "instance_norm": (lambda x: F.instance_norm(x), [(2, 3, 7)]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [(4, 3, 5, 7), (3,), (3,)],
    ),
    "batch_norm in evaluation": (
        lambda x, w: F.batch_norm(x, w.detach() + 4, w.detach() ** 2 + 1, w), [(4, 3, 5), (3,)],
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, here(LABELS, x)), [(7, 5)]),
    "cross_entropy, weighted": (
        lambda x: F.cross_entropy(
            x, here(LABELS, x), here(torch.arange(1.0, 6).to(x.dtype), x), reduction="none"
        ), [(7, 5)],
    ),
    "cross_entropy of a map": (
        lambda x: F.cross_entropy(x, here(MAP, x), ignore_index=2, reduction="sum"),
        [(2, 5, 6, 7)],
    ),
    "embedding": (lambda t: F.embedding(here(PLACES, t), t), [(5, 3)]),
    "embedding of columns": (lambda t: F.embedding(here(PLACES, t), t.t()), [(3, 5)]),
    "embedding, padded and scaled": (
        lambda t: F.embedding(here(PLACES, t), t, 2, scale_grad_by_freq=True), [(5, 17)],
    ),
    "attention": (attended, QKV),
    "attention, causal": (lambda *x: attended(*x, is_causal=True), MANY),
    "attention, masked": (lambda *x: attended(*x, mask=HIDDEN), QKV),
    "attention, biased": (
        lambda q, k, v: attended(q, k, v, mask=torch.ones(1, 3, 5, 1).to(q.dtype)), QKV,
    ),
    "gelu": (F.gelu, [(5, 7)]),
    "gelu by tanh": (lambda x: F.gelu(x.t(), approximate="tanh"), [(5, 7)]),
    "silu": (F.silu, [(37,)]),
    "mish": (F.mish, [(37,)]),
    "softplus": (lambda x: F.softplus(x, 2.0, 3.0), [(37,)]),
    "elu": (lambda x: F.elu(x, 0.7), [(37,)]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.013), [(37,)]),
    "hardswish": (lambda x: F.hardswish(x * 4), [(37,)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "max_pool2d, dilated": (lambda x: F.max_pool2d(x.transpose(2, 3), 3, 1, 1, 2), IMAGE),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2, 1), [(1, 2, 3, 4, 5)]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), IMAGE),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), IMAGE),
    "avg_pool2d without padding": (
        lambda x: F.avg_pool2d(x[:, 1:], 3, 1, 1, count_include_pad=False), IMAGE,
    ),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, divisor_override=3), [(1, 2, 3, 4, 5)]),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), [(2, 3, 13)]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, dtype: Any) -> None:
    torch.manual_seed(len(name))
    function, shapes = CASES[name]
    operands = [torch.randn(shape).to(dtype) for shape in shapes]
    before = declined_counts()
    compare(with_gradients(function), *operands, **DTYPES[dtype])
    after = {n: c for n, c in declined_counts().items() if c > before.get(n, 0)}
    assert {n for n, where in after if "opencl" in where} <= {"clone"}


def test_second_derivatives_take_the_kernels_apart() -> None:
    def second(x: Any) -> Any:
        y = F.avg_pool2d(F.gelu(F.layer_norm(x**3, (6,))), 2)
        (g,) = torch.autograd.grad((y**2).sum(), x, create_graph=True)
        return torch.autograd.grad((g**2).sum(), x)[0]

    torch.manual_seed(0)
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    compare(second, x, rtol=1e-7, atol=1e-7)


def test_running_statistics_move() -> None:
    def moved(x: Any) -> Any:
        mean, var = torch.zeros(3).to(x), torch.ones(3).to(x)
        F.batch_norm(x, mean, var, training=True, momentum=0.3)
        return mean, var

    compare(moved, torch.randn(4, 3, 5) + 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: F.nll_loss(t, here(torch.tensor([0, 1, 7]), t)),
        lambda t: F.embedding(here(torch.tensor([0, 3]), t), t),
    ],
)
def test_labels_and_indices_out_of_range_raise(call: Any) -> None:
    words = []
    for device in ("cpu", D):
        with pytest.raises(IndexError) as caught:
            call(torch.randn(3, 4).to(device)).sum().item()
        words.append(str(caught.value))
    assert words[0] == words[1]


# Lists of tensors.

LISTS = [
    "add(l, k, alpha=2)", "add(l, 1.5)", "mul(l, k)", "div(l, k)", "sub(l, .5)",
    "lerp(l, k, .25)", "lerp(l, k, .75)", "lerp(l, k, k)", "addcmul(l, k, k, value=.5)",
    "addcdiv(l, k, k, -2)", "sqrt(l)", "reciprocal(l)", "pow(l, 3)", "maximum(l, k)",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("text", LISTS)
def test_operators_over_lists(text: str, dtype: Any) -> None:
    torch.manual_seed(0)
    shapes = [(7, 5), (3,), (), (0,), (2, 3, 4), (1001,)] * 7
    lists = [[torch.rand(s).to(dtype) + 0.5 for s in shapes] for _ in range(2)]
    for each in lists:
        each[0] = (torch.rand((5, 7)).to(dtype) + 0.5).t()

    def both(l: Any, k: Any) -> Any:  # noqa: E741
        fresh = eval(f"torch._foreach_{text}", {"torch": torch, "l": l, "k": k})
        own = [x.clone() for x in l]
        version = own[0]._version
        written = text.replace("(", "_(", 1)
        made = eval(f"torch._foreach_{written}", {"torch": torch, "l": own, "k": k})
        assert made[0] is own[0]
        assert own[0]._version == version + 1
        return fresh, own

    compare(both, *lists, **DTYPES[dtype])


@contextmanager
def launches() -> Iterator[list[str]]:
    """A block in which the kernels that start are noted."""
    from dispatchtorch_opencl.runtime import Runtime

    found: list[str] = []
    launch = Runtime.launch

    def noted(self: Any, kernel: Any, *args: Any) -> None:
        found.append(kernel.function_name)
        launch(self, kernel, *args)

    Runtime.launch = noted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Runtime.launch = launch  # type: ignore[method-assign]


OPTIMIZERS = [
    "SGD(p, .1)", "SGD(p, .1, momentum=.9, nesterov=True, weight_decay=.1)", "Adam(p)",
    "AdamW(p, amsgrad=True)", "RMSprop(p, centered=True)", "Adagrad(p)", "NAdam(p)",
    "RAdam(p)", "Adamax(p)", "Adadelta(p)", "ASGD(p)", "Rprop(p)",
]  # fmt: skip


@pytest.mark.parametrize("text", OPTIMIZERS)
def test_a_step_of_an_optimizer_is_one_launch(text: str) -> None:
    results = []
    for device in ("cpu", D):
        torch.manual_seed(0)
        model = torch.nn.Sequential(*[torch.nn.Linear(5, 5) for _ in range(3)])
        p = list(model.to(device).parameters())
        optimizer = eval(f"torch.optim.{text}", {"torch": torch, "p": p})
        x = torch.randn(4, 5).to(device)
        for _ in range(4):
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            with launches() as started:
                optimizer.step()
        results.append([q.detach().cpu() for q in p])
    assert started == ["lists"]
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


# What GPUs run.

_AS_ON_A_GPU = """
import dispatchtorch as torch
from tests.devices.opencl_cases import compare, with_gradients
from tests.devices.test_opencl_fused import CASES

assert not torch.ones(1, device="opencl")._data.memory.runtime.is_cpu
for name, (function, shapes) in CASES.items():
    torch.manual_seed(0)
    operands = [torch.randn(shape) for shape in shapes]
    compare(with_gradients(function), *operands, rtol=1e-4, atol=1e-4)
print("all", len(CASES))
"""


def test_kernels_for_gpus_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHTORCH_OPENCL_STYLE", "gpu")
    done = subprocess.run(
        [sys.executable, "-c", _AS_ON_A_GPU],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"all {len(CASES)}\n", done.stderr

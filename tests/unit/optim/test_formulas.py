"""Steps run as formulas: layouts, sizes, threads, and lines one at a time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.dispatch.operator import get_operator
from dispatchtorch.ops.foreach_formula import Formula, apply_formula_
from tests.unit.optim.optimizing import CASES, assert_same_state, name_of

oracle = pytest.importorskip("torch")

LARGE = 150_000  # elements, more than any block has

#: How a parameter and its gradient lie in memory: views of arrays of these shapes.
LAYOUTS: dict[str, Any] = {
    "contiguous": lambda m, x: (x(300, 500), x(300, 500)),
    "both transposed": lambda m, x: (x(500, 300).t(), x(500, 300).t()),
    "gradient transposed": lambda m, x: (x(300, 500), x(500, 300).t()),
    "channels last": lambda m, x: (
        x(30, 50, 10, 10).to(memory_format=m.channels_last),
        x(30, 50, 10, 10),
    ),
    "every other": lambda m, x: (x(300, 1000)[:, ::2], x(300, 500)),
    "one row": lambda m, x: (x(1, LARGE), x(LARGE, 1).t()),
}


def stepped(
    m: Any, name: str, options: dict[str, Any], layout: Any, steps: int = 3
) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)

    def x(*shape: int) -> Any:
        return m.from_numpy(rng.standard_normal(shape).astype("float32"))

    param, grad = layout(m, x)
    param.requires_grad_()
    optimizer = getattr(m.optim, name)([param], **options)
    for _ in range(steps):
        param.grad = grad
        optimizer.step()
        grad = grad * -0.5
    return optimizer, param


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "options"), CASES, ids=name_of)
def test_large_parameters_give_the_oracles_numbers(
    name: str, options: dict[str, Any]
) -> None:
    layout = LAYOUTS["contiguous"]
    ours, mine = stepped(torch, name, options, layout)
    theirs, yours = stepped(oracle, name, options, layout)
    np.testing.assert_allclose(mine.detach(), yours.detach(), 2e-5, 2e-6)
    assert_same_state(ours, theirs, 2e-5, 2e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop"])
def test_any_layout_gives_the_oracles_numbers(name: str, layout: str) -> None:
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    ours, mine = stepped(torch, name, options, LAYOUTS[layout])
    theirs, yours = stepped(oracle, name, options, LAYOUTS[layout])
    np.testing.assert_allclose(mine.detach(), yours.detach(), 2e-5, 2e-6)
    assert_same_state(ours, theirs, 2e-5, 2e-6)
    state, other = (s.state_dict()["state"][0] for s in (ours, theirs))
    for key, value in other.items():
        if mine.device.type == "cpu" and min(value.shape, default=1) > 1:
            assert state[key].stride() == value.stride()


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Rprop", "ASGD"])
def test_threads_change_no_number(name: str) -> None:
    def large(m: Any, x: Any) -> Any:
        return x(LARGE * 6), x(LARGE * 6)

    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            _, param = stepped(torch, name, {}, large)
            made.append(param)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


def test_threads_are_silent_about_division_by_zero() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            param = torch.zeros(LARGE * 6, requires_grad=True)
            param.grad = torch.zeros(LARGE * 6)
            torch.optim.Adam([param], eps=0).step()
    finally:
        torch.set_num_threads(before)
    assert param.isnan().all()


@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop", "ASGD"])
@pytest.mark.parametrize("size", [3, LARGE])
def test_a_step_counts_as_a_change(name: str, size: int) -> None:
    base = torch.zeros(2, size)
    param = base[0].requires_grad_()
    optimizer = getattr(torch.optim, name)([param])
    for _ in range(2):
        param.grad = torch.ones(size)
        versions = param._version, base._version, param.grad._version
        optimizer.step()
        assert param._version > versions[0]
        assert base._version > versions[1]
        assert param.grad._version == versions[2]
    for key, value in optimizer.state[param].items():
        if value is not None and key not in ("eta", "mu"):
            assert value._version > 0, key


def test_a_step_between_forward_and_backward_is_noticed() -> None:
    param = torch.ones(LARGE, requires_grad=True)
    optimizer = torch.optim.Adam([param])
    loss = (param * param).sum()
    param.grad = torch.ones(LARGE)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_whose_elements_share_memory_are_refused() -> None:
    param = torch.zeros(1).expand(4).requires_grad_()
    for name in ("SGD", "Adam"):
        optimizer = getattr(torch.optim, name)([param])
        param.grad = torch.ones(4)
        with pytest.raises(RuntimeError, match="single memory location"):
            optimizer.step()


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_updated_line_by_line(dtype: str) -> None:
    made = []
    for m in (torch, oracle):
        param = m.linspace(-1, 1, 2000).to(getattr(m, dtype)).requires_grad_()
        param.grad = m.ones(2000, dtype=getattr(m, dtype))
        m.optim.Adam([param], lr=0.5).step()
        assert param.dtype is getattr(m, dtype)
        made.append(param.detach().float())
    np.testing.assert_allclose(made[0], made[1], atol=0.01)


# Formulas.

ALL = """t1 = sub(x1, x0)
t2 = mul(t1, n0)
m1 = gt(t2, n1)
m2 = lt(x0, x1)
t3 = abs(t2)
t4 = sqrt(t3)
t4 = add(t4, n2)
t5 = div(x1, t4)
t5 = masked_fill(t5, m1, n0)
t6 = sign(t1)
t7 = fill(t1, n2)
t7 = masked_fill(t7, m2, n1)
t8 = maximum(t5, n1)
t8 = minimum(t8, x1)
t9 = neg(t7)
t9 = reciprocal(t9)
t10 = copy(t9)
t10 = add(t10, t6)
x0 = mul(t8, t10)
x2 = copy(x0)
x3 = masked_fill(x3, m2, n2)"""


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (30, 40), (3, LARGE)])
def test_a_kernel_does_what_the_lines_do(dtype: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = [
        torch.randn(shape, generator=generator).to(getattr(torch, dtype))
        for _ in range(8)
    ]
    numbers = [0.3, -0.25, 1.5]
    mine, other = ([t.clone() for t in rows] for _ in range(2))
    apply_formula_(mine, ALL, 4, numbers)
    get_operator("_foreach_formula_").body(other, ALL, 4, numbers)
    for a, b in zip(mine, other, strict=True):
        torch.testing.assert_close(a, b)
    if mine[0].numel() > 2:
        assert not torch.equal(mine[3], rows[3])


def test_nan_and_infinity_are_filled_and_have_signs_as_tensors_do() -> None:
    values = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 2.0])
    text = "m1 = lt(x0, n0)\nx1 = sign(x0)\nx0 = masked_fill(x0, m1, n1)"
    for number in (0.0, float("nan")):
        x, signs = values.clone(), values.clone()
        apply_formula_([x, signs], text, 2, [0.5, number])
        assert torch.equal(signs, values.sign())
        expected = values.masked_fill(values < 0.5, number)
        assert torch.equal(x.isnan(), expected.isnan())
        assert torch.equal(x.nan_to_num(7), expected.nan_to_num(7))
        assert torch.equal(torch.signbit(x[3]), torch.signbit(expected[3]))


def test_rows_that_a_kernel_declines_are_done_line_by_line() -> None:
    x = torch.ones(2, 3)
    other = torch.full((2, 3), 2.0, dtype=torch.float64)
    apply_formula_([x, other], "t1 = mul(x1, n0)\nx0 = add(x0, t1)", 2, [0.5])
    assert x.dtype is torch.float32
    assert (x == 2).all()


def test_temporaries_are_used_again() -> None:
    text = "\n".join(
        ["t1 = abs(x0)"]
        + [f"t{i} = sqrt(t{i - 1})" for i in range(2, 9)]
        + ["t9 = mul(t8, x0)", "t10 = mul(x0, x0)", "x0 = add(t9, t10)"]
    )
    formula = Formula(text)
    assert formula.temporaries == ["t0", "t1"]
    assert formula.columns == 1
    assert formula.written == {0}


@pytest.mark.parametrize("text", ["", "x0 = nothing(x1)", "x0 + x1", "y0 = abs(x0)"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a line of a formula"):
        Formula(text)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["plain", "transposed", "one transposed"])
def test_long_steps_of_plain_sgd_are_those_of_short_ones(dtype, layout):
    kind = getattr(torch, dtype)
    value = torch.randn(300, 500, dtype=kind)
    slope = torch.randn(300, 500, dtype=kind)
    if layout != "plain":
        value = value.t().contiguous().t()
    if layout == "transposed":
        slope = slope.t().contiguous().t()
    parameter = torch.nn.Parameter(value.clone())
    parameter.grad = slope
    version = parameter._version
    torch.optim.SGD([parameter], lr=0.25).step()
    assert torch.allclose(parameter, value - 0.25 * slope, rtol=1e-6)
    assert parameter.stride() == value.stride()
    assert parameter._version > version

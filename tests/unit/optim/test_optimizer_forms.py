"""Functional and differentiable forms of optimizers, compared with PyTorch's."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch import optim
from tests.unit.optim.optimizing import (
    CASES,
    SHAPES,
    arrays,
    name_of,
    numbers,
    tensors,
)

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle


def rows(framework: Any, count: int) -> list[Any]:
    return tensors(framework, arrays(SHAPES, "float32", count), "float32")


FUNCTIONAL: list[tuple[str, str, list[str], dict[str, Any]]] = [
    (
        "sgd",
        "sgd",
        ["m"],
        {"momentum": 0.9, "dampening": 0.1, "nesterov": False, "weight_decay": 0.1},
    ),
    ("adam", "adam", ["m", "v", "v", "step"], {"amsgrad": True, "weight_decay": 0.1}),
    ("adamw", "adamw", ["m", "v", "v", "step"], {"amsgrad": True, "weight_decay": 0.1}),
    ("adamax", "adamax", ["m", "v", "step"], {"weight_decay": 0.1}),
    (
        "nadam",
        "nadam",
        ["m", "v", "one", "step"],
        {"momentum_decay": 0.1, "weight_decay": 0.1},
    ),
    ("radam", "radam", ["m", "v", "step"], {"weight_decay": 0.1}),
    ("adagrad", "adagrad", ["v", "step"], {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("adadelta", "adadelta", ["v", "v", "step"], {"rho": 0.9, "weight_decay": 0.1}),
    (
        "rmsprop",
        "rmsprop",
        ["v", "none", "m", "step"],
        {"alpha": 0.9, "momentum": 0.9, "centered": False, "weight_decay": 0.1},
    ),
    (
        "rprop",
        "rprop",
        ["m", "v", "step"],
        {"step_size_min": 0.1, "step_size_max": 9.0, "etaminus": 0.5, "etaplus": 1.2},
    ),
    (
        "asgd",
        "asgd",
        ["m", "one", "one", "step"],
        {"lambd": 0.1, "t0": 2.0, "alpha": 0.5, "weight_decay": 0.1},
    ),
]
BETAS = {"beta1": 0.9, "beta2": 0.99}


@pytest.mark.parametrize(
    ("module", "name", "columns", "options"),
    FUNCTIONAL,
    ids=[case[0] for case in FUNCTIONAL],
)
@pytest.mark.parametrize("foreach", [False, True])
def test_functional_forms(
    module: str,
    name: str,
    columns: list[str],
    options: dict[str, Any],
    foreach: bool,
) -> None:
    results = []
    for framework in (torch, oracle):
        home = __import__(f"{framework.__name__}.optim.{module}", fromlist=[name])
        function = getattr(home, name)
        kinds = {
            "m": lambda f=framework: rows(f, 1),
            "v": lambda f=framework: [t.abs() for t in rows(f, 2)],
            "one": lambda f=framework: [f.tensor(1.0) for _ in SHAPES],
            "step": lambda f=framework: [f.tensor(2.0) for _ in SHAPES],
            "none": list,
        }
        lists = [kinds[kind]() for kind in columns]
        params = rows(framework, 3)
        every = {"lr": 0.1, "eps": 1e-8, "maximize": False, **BETAS, **options}
        wanted = inspect.signature(function).parameters
        every = {key: value for key, value in every.items() if key in wanted}
        function(params, rows(framework, 4), *lists, foreach=foreach, **every)
        results.append([*params, *(t for column in lists for t in column)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), 2e-5, 2e-6)


def test_functional_sgd_puts_new_buffers_into_the_list() -> None:
    from dispatchtorch.optim.sgd import sgd

    params, grads = [torch.ones(2)], [torch.ones(2)]
    buffers: list[Any] = [None]
    sgd(
        params,
        grads,
        buffers,
        weight_decay=0,
        momentum=0.9,
        lr=0.1,
        dampening=0,
        nesterov=False,
        maximize=False,
    )
    assert buffers[0].tolist() == [1, 1]
    assert buffers[0] is not grads[0]


def test_functional_forms_want_steps_as_tensors() -> None:
    from dispatchtorch.optim.radam import radam

    one = [torch.ones(1)]
    with pytest.raises(RuntimeError, match="API has changed, `state_steps`"):
        radam(one, one, one, one, [1], beta1=0, beta2=0, lr=0, weight_decay=0, eps=0)


# Differentiating through steps.

DIFFERENTIABLE = [
    (name, options)
    for name, options in CASES
    if options and name not in ("Rprop", "Adafactor")
]


def unrolled(
    framework: Any, name: str, options: dict[str, Any], steps: int
) -> tuple[Any, Any]:
    """The derivative of a loss after some steps for the parameters before them."""
    start = framework.tensor([0.5, -1.5, 2.0], dtype=framework.float64)
    start.requires_grad_()
    holder = framework.zeros(3, dtype=framework.float64)
    make_one = getattr(framework.optim, name)
    optimizer = make_one([holder], differentiable=True, **options)
    param = start
    for _ in range(steps):
        loss = (param**3).sum() + param.prod()
        (grad,) = framework.autograd.grad(loss, param, create_graph=True)
        state = optimizer.state.pop(optimizer.param_groups[0]["params"][0], None)
        param = param.clone()
        optimizer.param_groups[0]["params"] = [param]
        if state is not None:
            optimizer.state[param] = state
        param.grad = grad
        optimizer.step()
    loss = (param**2).sum()
    (result,) = framework.autograd.grad(loss, start)
    return loss.detach(), result


@pytest.mark.parametrize(("name", "options"), DIFFERENTIABLE, ids=name_of)
def test_derivative_of_one_step(name: str, options: dict[str, Any]) -> None:
    _, ours = unrolled(torch, name, options, 1)
    _, theirs = unrolled(oracle, name, options, 1)
    np.testing.assert_allclose(numbers(ours), numbers(theirs), 1e-5, 1e-6)


@pytest.mark.parametrize(("name", "options"), DIFFERENTIABLE, ids=name_of)
def test_derivative_of_several_steps(name: str, options: dict[str, Any]) -> None:
    """The oracle can't do this: its state changes in place under the graph."""

    def loss_at(values: list[float]) -> float:
        param = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
        optimizer = getattr(optim, name)([param], **options)
        for _ in range(3):
            optimizer.zero_grad()
            ((param**3).sum() + param.prod()).backward()
            optimizer.step()
        return float((param**2).sum())

    loss, grad = unrolled(torch, name, options, 3)
    at = [0.5, -1.5, 2.0]
    assert math.isclose(float(loss), loss_at(at), rel_tol=1e-6)
    if options.get("momentum") and name == "SGD":
        return  # the first buffer is a constant, as PyTorch has it
    for i in range(3):
        above, below = list(at), list(at)
        above[i] += 1e-5
        below[i] -= 1e-5
        slope = (loss_at(above) - loss_at(below)) / 2e-5
        assert math.isclose(float(grad[i]), slope, rel_tol=1e-3, abs_tol=1e-4)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam"])
def test_derivative_for_the_learning_rate(name: str) -> None:
    results = []
    for framework in (torch, oracle):
        lr = framework.tensor(0.1, requires_grad=True, dtype=framework.float64)
        param = framework.ones(3, dtype=framework.float64)
        optimizer = getattr(framework.optim, name)([param], lr=lr, differentiable=True)
        param.grad = framework.tensor([1.0, -2.0, 3.0], dtype=framework.float64)
        optimizer.step()
        (param**2).sum().backward()
        results.append(numbers(lr.grad))
    np.testing.assert_allclose(*results, 1e-5)


def test_lists_are_not_differentiable() -> None:
    param = torch.ones(2, requires_grad=True).clone()
    optimizer = optim.Adam([param], foreach=True, differentiable=True)
    param.grad = torch.ones(2)
    with pytest.raises(AssertionError, match="_foreach ops don't support autograd"):
        optimizer.step()

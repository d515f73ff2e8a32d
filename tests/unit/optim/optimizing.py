"""Options of optimizers, and steps taken with the same gradients by both frameworks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")


SHAPES = [(3, 2), (2, 3), (1, 4)]
VECTORS = [(5,), ()]

L2 = {"weight_decay": 0.1}
UP = {"maximize": True}

# One row an option set; every row runs for matrices, vectors and numbers.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, **L2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, **UP}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, **L2}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "amsgrad": True, **L2}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, **UP}),
    ("Adam", {"lr": 0.1, "decoupled_weight_decay": True, **L2}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, **L2, **UP}),
    ("Adamax", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1, **L2, **UP}),
    ("NAdam", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "momentum_decay": 0.1, **L2, **UP}),
    ("NAdam", {"lr": 0.1, "decoupled_weight_decay": True, **L2}),
    ("RAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.5, 0.7), **L2, **UP}),
    ("RAdam", {"lr": 0.1, "decoupled_weight_decay": True, **L2}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.3, **L2}),
    ("Adagrad", {"lr": 0.1, "eps": 0.1, **UP}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "eps": 0.1, **L2, **UP}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, **L2}),
    ("RMSprop", {"momentum": 0.9, "alpha": 0.5, **UP}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "eps": 0.1}),
    ("Rprop", {"lr": 0.1}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.7), "step_sizes": (1e-3, 0.3), **UP}),
    ("ASGD", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.3, "t0": 3, **L2, **UP}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "d": 1.5, "eps": (1e-3, 0.1), **L2, **UP}),
]
MUON: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.1, "nesterov": False, "momentum": 0.5, "weight_decay": 0.3},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
]


def name_of(case: Any) -> str:
    if isinstance(case, str):
        return case
    return ",".join(f"{key}={value}" for key, value in case.items()) or "defaults"


def arrays(shapes: list[tuple[int, ...]], dtype: str, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    result = [rng.standard_normal(shape) for shape in shapes]
    if dtype.startswith("complex"):
        result = [a + 1j * rng.standard_normal(a.shape) for a in result]
    return [np.asarray(a) for a in result]


def tensors(framework: Any, values: list[np.ndarray], dtype: str) -> list[Any]:
    kind = getattr(framework, dtype)
    return [framework.tensor(a.tolist(), dtype=kind) for a in values]


def make(
    framework: Any,
    name: str,
    options: dict[str, Any],
    shapes: list[tuple[int, ...]],
    dtype: str = "float32",
) -> tuple[Any, list[Any]]:
    params = tensors(framework, arrays(shapes, dtype, 0), dtype)
    params = [framework.nn.Parameter(p) for p in params]
    return getattr(framework.optim, name)(params, **options), params


def run(
    framework: Any,
    optimizer: Any,
    params: list[Any],
    steps: int,
    dtype: str = "float32",
    first: int = 1,
) -> None:
    """Takes steps with gradients that are the same numbers in both frameworks."""
    shapes = [tuple(p.shape) for p in params]
    for step in range(first, first + steps):
        grads = tensors(framework, arrays(shapes, dtype, step), dtype)
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        optimizer.step()


def numbers(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().tolist())


def assert_same_state(ours: Any, theirs: Any, rtol: float, atol: float) -> None:
    mine, yours = ours.state_dict(), theirs.state_dict()
    assert mine["state"].keys() == yours["state"].keys()
    for key, state in yours["state"].items():
        assert list(mine["state"][key]) == list(state)
        for name, value in state.items():
            got = mine["state"][key][name]
            if isinstance(value, oracle.Tensor):
                assert str(got.dtype).split(".")[1] == str(value.dtype).split(".")[1]
                assert tuple(got.shape) == tuple(value.shape)
                np.testing.assert_allclose(numbers(got), numbers(value), rtol, atol)
            else:
                assert got == value
    assert mine["param_groups"] == yours["param_groups"]


def assert_same_numbers(
    name: str,
    options: dict[str, Any],
    shapes: list[tuple[int, ...]],
    dtype: str = "float32",
    rtol: float = 2e-5,
    atol: float = 2e-6,
) -> None:
    ours, mine = make(torch, name, options, shapes, dtype)
    theirs, yours = make(oracle, name, options, shapes, dtype)
    run(torch, ours, mine, 20, dtype)
    run(oracle, theirs, yours, 20, dtype)
    for one, other in zip(mine, yours, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), rtol, atol)
    assert_same_state(ours, theirs, rtol, atol)

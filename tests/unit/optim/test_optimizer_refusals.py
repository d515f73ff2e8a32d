"""L-BFGS, sparse and fused steps, and what optimizers refuse, compared with PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch import optim
from tests.unit.optim.optimizing import (
    CASES,
    SHAPES,
    make,
    name_of,
    numbers,
    run,
)

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle


# L-BFGS.


def rosenbrock(framework: Any, options: dict[str, Any], steps: int) -> list[float]:
    a = framework.nn.Parameter(framework.tensor([-1.0, 0.5], dtype=framework.float64))
    b = framework.nn.Parameter(framework.tensor([[2.0]], dtype=framework.float64))
    unused = framework.nn.Parameter(framework.ones(1, dtype=framework.float64))
    optimizer = framework.optim.LBFGS([a, b, unused], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        x, y, z = a[0], a[1], b[0, 0]
        loss = (
            100 * (y - x**2) ** 2 + (1 - x) ** 2 + 100 * (z - y**2) ** 2 + (1 - y) ** 2
        )
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(steps)]
    state = optimizer.state[a]
    return [*losses, state["func_evals"], state["n_iter"], *a.tolist(), b.item()]


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "lr": 0.01, "max_eval": 7},
        {"lr": 1e-3, "max_iter": 7},
        {"lr": 1e-3, "history_size": 3},
    ],
    ids=name_of,
)
def test_lbfgs_takes_the_oracles_path(options: dict[str, Any]) -> None:
    ours = rosenbrock(torch, options, 4)
    theirs = rosenbrock(oracle, options, 4)
    np.testing.assert_allclose(ours, theirs, 1e-5, 1e-9)


def test_lbfgs_solves_a_problem() -> None:
    result = rosenbrock(torch, {"line_search_fn": "strong_wolfe", "max_iter": 100}, 2)
    np.testing.assert_allclose(result[-3:], [1, 1, 1], 1e-4)


def test_lbfgs_state_has_the_oracles_names() -> None:
    states = []
    for framework in (torch, oracle):
        param = framework.nn.Parameter(framework.tensor([3.0, -2.0]))
        optimizer = framework.optim.LBFGS([param], max_iter=3)

        def closure(param: Any = param, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (param**4).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        states.append(optimizer.state_dict()["state"][0])
    assert states[0].keys() == states[1].keys()


def test_lbfgs_does_complex_parameters() -> None:
    results = []
    for framework in (torch, oracle):
        param = framework.nn.Parameter(framework.tensor([1 + 2j, -3 + 1j]))
        optimizer = framework.optim.LBFGS([param], line_search_fn="strong_wolfe")

        def closure(param: Any = param, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = ((param - 1).abs() ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        results.append(numbers(param))
    np.testing.assert_allclose(*results, 1e-4, 1e-5)


# Errors and representations, word for word.

BAD: list[tuple[str, dict[str, Any]]] = [
    *((name, {"lr": -1}) for name in ("SGD", "Adam", "Adafactor", "Muon", "LBFGS")),
    *((name, {"weight_decay": -1}) for name in ("SGD", "AdamW", "Adafactor", "Muon")),
    *((name, {"eps": -1}) for name in ("Adam", "Adagrad", "Adadelta", "SparseAdam")),
    *((name, {"betas": (1.0, 0.9)}) for name in ("Adam", "NAdam", "SparseAdam")),
    *((name, {"betas": (0.9, -1)}) for name in ("RAdam", "Adamax")),
    ("SGD", {"momentum": -1}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ("SGD", {"foreach": True, "fused": True}),
    ("Adam", {"foreach": True, "fused": True}),
    ("Adagrad", {"differentiable": True, "fused": True}),
    ("NAdam", {"momentum_decay": -1}),
    ("NAdam", {"fused": True}),
    ("Adagrad", {"lr_decay": -1}),
    ("Adagrad", {"initial_accumulator_value": -1}),
    ("Adadelta", {"rho": 1.5}),
    ("RMSprop", {"alpha": -1}),
    ("RMSprop", {"momentum": -1}),
    ("Rprop", {"etas": (1.5, 2)}),
    ("Adafactor", {"d": 0.5}),
    ("Adafactor", {"beta2_decay": 0.5}),
    ("Adafactor", {"eps": (-1, 0.1)}),
    ("Adafactor", {"eps": (None, -1)}),
    ("Muon", {"momentum": -1}),
    ("Muon", {"adjust_lr_fn": "best"}),
]


@pytest.mark.parametrize(("name", "options"), BAD, ids=name_of)
def test_bad_options_raise_the_oracles_error(
    name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(Exception) as theirs:
        make(oracle, name, options, [(3, 2)])
    with pytest.raises(theirs.type) as ours:
        make(torch, name, options, [(3, 2)])
    assert str(ours.value) == str(theirs.value)


def test_tensor_options_that_make_no_sense() -> None:
    cases: list[tuple[str, Any]] = [
        ("SGD", lambda f: {"lr": f.tensor([1.0, 2.0])}),
        ("Adam", lambda f: {"lr": f.tensor(0.1), "foreach": True}),
        ("Adam", lambda f: {"betas": (f.tensor(0.9), 0.9)}),
        ("Adam", lambda f: {"betas": (f.tensor(0.9), f.tensor(0.9)), "foreach": True}),
    ]
    for name, options in cases:
        with pytest.raises(ValueError) as theirs:
            make(oracle, name, options(oracle), [(2,)])
        with pytest.raises(ValueError) as ours:
            make(torch, name, options(torch), [(2,)])
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    "name", sorted({name for name, _ in CASES} | {"Muon", "LBFGS", "SparseAdam"})
)
def test_representation_and_options_are_the_oracles(name: str) -> None:
    ours, _ = make(torch, name, {}, [(3, 2)])
    theirs, _ = make(oracle, name, {}, [(3, 2)])
    assert repr(ours) == repr(theirs)
    assert list(ours.defaults.items()) == list(theirs.defaults.items())
    assert list(ours.param_groups[0]) == list(theirs.param_groups[0])


def test_every_public_name_of_the_oracle_is_here() -> None:
    assert set(optim.__all__) == set(oracle.optim.__all__)
    for name in oracle.optim.__all__:
        assert hasattr(optim, name)


def test_what_shapes_and_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        optim.Muon([torch.ones(3)])
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optim.LBFGS([{"params": [torch.ones(3)]}, {"params": [torch.ones(3)]}])
    for name in ("Adafactor", "Muon"):
        param = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.complex64))
        optimizer = getattr(optim, name)([param])
        param.grad = torch.ones(3, 2, dtype=torch.complex64)
        with pytest.raises(RuntimeError, match=f"{name} does not support complex"):
            optimizer.step()


def test_sparse_adam_wants_sparse_gradients() -> None:
    param = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = optim.SparseAdam([param])
    param.grad = torch.ones(3, 2)
    with pytest.raises(
        RuntimeError, match="SparseAdam does not support dense gradients"
    ):
        optimizer.step()


def sparse_of(framework: Any, rows: list[int], seed: int) -> Any:
    """A gradient with a few rows, one of them twice."""
    values = np.random.default_rng(seed).standard_normal((len(rows), 2)).tolist()
    return framework.sparse_coo_tensor([rows], framework.tensor(values), (4, 2))


def has_sparse() -> bool:
    try:
        return bool(sparse_of(torch, [0], 0).is_sparse)
    except (AttributeError, NotImplementedError):
        return False


@pytest.mark.skipif(not has_sparse(), reason="no sparse tensors")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SparseAdam", {"lr": 0.1}),
        ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.7), "maximize": True}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
        ("Adagrad", {"lr": 0.1, "foreach": True, "maximize": True}),
        ("SGD", {"lr": 0.1, "maximize": True}),
    ],
    ids=name_of,
)
def test_sparse_gradients(name: str, options: dict[str, Any]) -> None:
    results = []
    for framework in (torch, oracle):
        param = framework.nn.Parameter(framework.ones(4, 2))
        optimizer = getattr(framework.optim, name)([param], **options)
        for step, rows in enumerate([[0, 2, 0], [1], [2, 2]]):
            param.grad = sparse_of(framework, rows, step)
            optimizer.step()
        state = optimizer.state_dict()["state"].get(0, {})
        results.append((numbers(param), state))
    np.testing.assert_allclose(results[0][0], results[1][0], 1e-5, 1e-6)
    assert list(results[0][1]) == list(results[1][1])
    for mine, yours in zip(results[0][1].values(), results[1][1].values(), strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(yours), 1e-5, 1e-6)


@pytest.mark.skipif(not has_sparse(), reason="no sparse tensors")
@pytest.mark.parametrize(
    "name", sorted({name for name, _ in CASES} - {"SGD", "Adagrad"})
)
def test_what_is_no_good_for_sparse_gradients_says_so(name: str) -> None:
    messages = []
    for framework in (torch, oracle):
        param = framework.nn.Parameter(framework.ones(4, 2))
        optimizer = getattr(framework.optim, name)([param])
        param.grad = sparse_of(framework, [1], 0)
        with pytest.raises(RuntimeError) as caught:
            optimizer.step()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


# What gradient scalers do with fused optimizers.


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_fused_steps_unscale_and_skip(name: str) -> None:
    plain, expected = make(torch, name, {"lr": 0.1}, SHAPES)
    fused, params = make(torch, name, {"lr": 0.1, "fused": True}, SHAPES)
    assert fused._step_supports_amp_scaling
    assert not hasattr(plain, "_step_supports_amp_scaling")
    run(torch, plain, expected, 1)
    fused.grad_scale = torch.tensor(8.0)
    fused.found_inf = torch.tensor(0.0)
    for param, source in zip(params, expected, strict=True):
        param.grad = source.grad * 8
    fused.step()
    after = [numbers(p) for p in params]
    for one, other, source in zip(after, expected, params, strict=True):
        np.testing.assert_allclose(one, numbers(other), 1e-6)
        np.testing.assert_allclose(numbers(source.grad), numbers(other.grad), 1e-6)
    fused.found_inf = torch.tensor(1.0)
    fused.step()
    for one, param in zip(after, params, strict=True):
        np.testing.assert_array_equal(one, numbers(param))


def test_step_counts_have_the_default_dtype() -> None:
    assert torch.get_default_dtype() == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        optimizer, params = make(torch, "Adam", {}, [(2,)])
        run(torch, optimizer, params, 1)
        assert optimizer.state[params[0]]["step"].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)

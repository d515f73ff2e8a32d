"""The optimizers' numbers, state and options, compared with PyTorch's."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch import optim

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

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


@pytest.mark.parametrize(("name", "options"), CASES, ids=name_of)
def test_twenty_steps_give_the_oracles_numbers(
    name: str, options: dict[str, Any]
) -> None:
    assert_same_numbers(name, options, SHAPES + VECTORS)


@pytest.mark.parametrize(("name", "options"), CASES, ids=name_of)
def test_foreach_gives_the_oracles_numbers(name: str, options: dict[str, Any]) -> None:
    assert_same_numbers(name, {**options, "foreach": True}, SHAPES + VECTORS)


@pytest.mark.parametrize("options", MUON, ids=name_of)
def test_muon_gives_the_oracles_numbers(options: dict[str, Any]) -> None:
    # Orthogonalized in bfloat16, of which 8 bits are significant.
    assert_same_numbers("Muon", options, SHAPES, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in CASES if case[0] != "Adafactor" and case[1]],
    ids=name_of,
)
@pytest.mark.parametrize("foreach", [False, True])
def test_complex_parameters(name: str, options: dict[str, Any], foreach: bool) -> None:
    assert_same_numbers(
        name, {**options, "foreach": foreach}, [(3, 2), (4,)], "complex64"
    )


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_double_precision(name: str) -> None:
    assert_same_numbers(name, {}, SHAPES, "float64", rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_half_precision(name: str) -> None:
    assert_same_numbers(name, {}, SHAPES, "bfloat16", rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_fused_gives_the_oracles_numbers(name: str) -> None:
    options = {"fused": True, "lr": 0.1, "weight_decay": 0.1}
    assert_same_numbers(name, options, SHAPES + VECTORS)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_learning_rate_may_be_a_tensor(name: str) -> None:
    for options in ({}, {"foreach": True}):
        if name in ("Adam", "AdamW") and options:
            continue
        ours, mine = make(torch, name, {**options, "lr": torch.tensor(0.1)}, SHAPES)
        theirs, yours = make(
            oracle, name, {**options, "lr": oracle.tensor(0.1)}, SHAPES
        )
        run(torch, ours, mine, 3)
        run(oracle, theirs, yours, 3)
        for one, other in zip(mine, yours, strict=True):
            np.testing.assert_allclose(numbers(one), numbers(other), 2e-5, 2e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in CASES if case[0] not in ("SGD", "Adagrad", "Adafactor")],
    ids=name_of,
)
@pytest.mark.parametrize("foreach", [False, True])
def test_capturable_gives_the_numbers_of_a_plain_step(
    name: str, options: dict[str, Any], foreach: bool
) -> None:
    plain, expected = make(torch, name, options, SHAPES + VECTORS)
    options = {**options, "capturable": True, "foreach": foreach}
    device, params = make(torch, name, options, SHAPES + VECTORS)
    run(torch, plain, expected, 10)
    run(torch, device, params, 10)
    for one, other in zip(params, expected, strict=True):
        # Bias corrections in single precision lose some digits of 1 - 0.999.
        np.testing.assert_allclose(numbers(one), numbers(other), 1e-3, 1e-4)


# State goes from one framework to the other.


def translated(state: Any, framework: Any) -> Any:
    """A state dict with its tensors made tensors of ``framework``."""
    if isinstance(state, dict):
        return {key: translated(value, framework) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(translated(value, framework) for value in state)
    if isinstance(state, (torch.Tensor, oracle.Tensor)):
        dtype = getattr(framework, str(state.dtype).split(".")[1])
        return framework.tensor(state.tolist(), dtype=dtype)
    return state


@pytest.mark.parametrize(("name", "options"), CASES, ids=name_of)
def test_state_goes_to_the_oracle_and_back(name: str, options: dict[str, Any]) -> None:
    ours, mine = make(torch, name, options, SHAPES)
    run(torch, ours, mine, 4)

    theirs, yours = make(oracle, name, options, SHAPES)
    theirs.load_state_dict(translated(ours.state_dict(), oracle))
    with oracle.no_grad():
        for source, target in zip(mine, yours, strict=True):
            target.copy_(oracle.tensor(source.tolist()))
    run(oracle, theirs, yours, 4, first=5)

    again, back = make(torch, name, options, SHAPES)
    again.load_state_dict(translated(theirs.state_dict(), torch))
    with torch.no_grad():
        for source, target in zip(yours, back, strict=True):
            target.copy_(torch.tensor(source.tolist()))
    run(torch, again, back, 4, first=9)

    run(torch, ours, mine, 8, first=5)
    for one, other in zip(back, mine, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), 2e-5, 2e-6)


@pytest.mark.parametrize(
    "name", sorted({name for name, _ in CASES} | {"LBFGS", "Muon"})
)
def test_old_files_get_the_options_they_lack(name: str) -> None:
    if name in ("NAdam", "ASGD"):
        old: dict[int, Any] = {}
    else:
        old = {0: {"step": 3}}
    file = {"state": old, "param_groups": [{"params": [0]}]}
    ours, _ = make(torch, name, {}, [(3, 2)])
    theirs, _ = make(oracle, name, {}, [(3, 2)])
    ours.load_state_dict(file)
    theirs.load_state_dict(file)
    assert_same_state(ours, theirs, 0, 0)


# Functional forms.


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

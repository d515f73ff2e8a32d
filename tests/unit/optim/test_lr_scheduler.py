"""Learning rate schedules, compared with PyTorch's epoch by epoch."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.optim import lr_scheduler

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

EPOCHS = 30
Maker = Callable[[Any, Any], Any]  # (lr_scheduler module, optimizer) -> scheduler


class Decay:
    """A schedule's function that has state."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, epoch: float) -> float:
        return self.factor**epoch


def halves(epoch: int) -> float:
    return 0.5 ** (epoch // 7)


def chain(m: Any, o: Any) -> Any:
    parts = [m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9), m.StepLR(o, 6, 0.5)]
    return m.ChainedScheduler(parts, optimizer=o)


def sequence(m: Any, o: Any) -> Any:
    parts = [m.LinearLR(o, 0.1, total_iters=4), m.ExponentialLR(o, 0.9)]
    parts.append(m.CosineAnnealingLR(o, 6))
    return m.SequentialLR(o, parts, [5, 12])


def nested(m: Any, o: Any) -> Any:
    first = m.SequentialLR(o, [m.ConstantLR(o), m.ExponentialLR(o, 0.9)], [4])
    return m.ChainedScheduler([first, m.StepLR(o, 9)])


def restarted(m: Any, o: Any) -> Any:
    warm = m.CosineAnnealingWarmRestarts(o, 4, 2)
    return m.SequentialLR(o, [m.LinearLR(o), warm], [3])


SCHEDULES: dict[str, Maker] = {
    "lambda": lambda m, o: m.LambdaLR(o, halves),
    "lambda, one a group": lambda m, o: m.LambdaLR(o, [halves, Decay(0.9)]),
    "multiplicative": lambda m, o: m.MultiplicativeLR(
        o, lambda e: 0.95 if e % 3 else 1.1
    ),
    "multiplicative, one a group": lambda m, o: m.MultiplicativeLR(o, [halves, halves]),
    "step": lambda m, o: m.StepLR(o, 4),
    "step, slow": lambda m, o: m.StepLR(o, 1, 0.9),
    "milestones": lambda m, o: m.MultiStepLR(o, [3, 9, 9, 20], 0.3),
    "constant": lambda m, o: m.ConstantLR(o, 0.3, 7),
    "constant, at once": lambda m, o: m.ConstantLR(o, total_iters=0),
    "linear": lambda m, o: m.LinearLR(o, 0.2, 0.9, 8),
    "linear, down": lambda m, o: m.LinearLR(o, 1.0, 0.1, 5),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.8),
    "polynomial": lambda m, o: m.PolynomialLR(o, 12, 2.5),
    "polynomial, long": lambda m, o: m.PolynomialLR(o, 40),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 7, 0.01),
    "cosine, long": lambda m, o: m.CosineAnnealingLR(o, 50),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 5, eta_min=0.01),
    "restarts, longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 2),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 5),
    "cyclic, lists": lambda m, o: m.CyclicLR(o, [0.01, 0.02], [0.1, 0.2], 3, 4),
    "cyclic, lower": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 4, 2, mode="triangular2"),
    "cyclic, falling": lambda m, o: m.CyclicLR(
        o, 0.01, 0.1, 4, mode="exp_range", gamma=0.9, cycle_momentum=False
    ),
    "cyclic, own": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 4, scale_fn=Decay(0.8)),
    "cyclic, own by batch": lambda m, o: m.CyclicLR(
        o, 0.01, 0.1, 4, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"
    ),
    "one cycle": lambda m, o: m.OneCycleLR(o, 0.5, EPOCHS),
    "one cycle, linear": lambda m, o: m.OneCycleLR(
        o, [0.5, 0.7], epochs=6, steps_per_epoch=5, anneal_strategy="linear"
    ),
    "one cycle, three phases": lambda m, o: m.OneCycleLR(
        o,
        0.5,
        EPOCHS,
        three_phase=True,
        div_factor=5,
        final_div_factor=7,
        pct_start=0.4,
    ),
    "one cycle, no momentum": lambda m, o: m.OneCycleLR(
        o, 0.5, EPOCHS, cycle_momentum=False
    ),
    "chained": chain,
    "sequential": sequence,
    "nested": nested,
    "restarted": restarted,
}
CLOSED = [
    "step",
    "milestones",
    "constant",
    "linear",
    "exponential",
    "polynomial",
    "cosine",
    "lambda",
    "cyclic",
    "one cycle",
]


def optimizer_of(framework: Any, name: str = "SGD", **options: Any) -> Any:
    groups = [
        {"params": [framework.nn.Parameter(framework.ones(2))]},
        {"params": [framework.nn.Parameter(framework.ones(1))], "lr": 0.3},
    ]
    if name == "SGD":
        options = {"momentum": 0.9, **options}
    return getattr(framework.optim, name)(groups, **{"lr": 0.1, **options})


def module_of(framework: Any) -> Any:
    return framework.optim.lr_scheduler


def path(
    framework: Any, maker: Maker, epochs: int = EPOCHS, name: str = "SGD"
) -> np.ndarray:
    """Rates and momenta of both groups at each epoch."""
    optimizer = optimizer_of(framework, name)
    scheduler = maker(module_of(framework), optimizer)
    rows = []
    for epoch in range(epochs + 1):
        row = list(map(float, scheduler.get_last_lr()))
        for group in optimizer.param_groups:
            row += [group["momentum"]] if "momentum" in group else list(group["betas"])
        assert row[:2] == [float(g["lr"]) for g in optimizer.param_groups]
        rows.append(row)
        if epoch < epochs:
            optimizer.step()
            scheduler.step()
    return np.array(rows)


@pytest.mark.parametrize("name", SCHEDULES)
def test_thirty_epochs_are_the_oracles(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = path(torch, SCHEDULES[name])
    np.testing.assert_allclose(ours, path(oracle, SCHEDULES[name]), 1e-12, 1e-15)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if "cycl" in name])
def test_first_betas_are_momenta(name: str) -> None:
    ours = path(torch, SCHEDULES[name], name="Adam")
    theirs = path(oracle, SCHEDULES[name], name="Adam")
    np.testing.assert_allclose(ours, theirs, 1e-12, 1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_that_are_tensors_stay_the_same_tensors(name: str) -> None:
    rates = []
    for framework in (torch, oracle):
        lr = framework.tensor(0.1, dtype=framework.float64)
        optimizer = optimizer_of(framework, lr=lr)
        scheduler = SCHEDULES[name](module_of(framework), optimizer)
        row = []
        for _ in range(9):
            optimizer.step()
            scheduler.step()
            row.append([float(x) for x in scheduler.get_last_lr()])
            assert optimizer.param_groups[0]["lr"] is lr
        rates.append(row)
    np.testing.assert_allclose(*rates, 1e-12, 1e-15)


@pytest.mark.parametrize("name", CLOSED)
def test_any_epoch_can_be_asked_for(name: str) -> None:
    rates = []
    for framework in (torch, oracle):
        scheduler = SCHEDULES[name](module_of(framework), optimizer_of(framework))
        row = []
        for epoch in (1, 11, 4, 29, 0):
            with pytest.warns(UserWarning, match="The epoch parameter in"):
                scheduler.step(epoch)
            assert scheduler.last_epoch == epoch
            row.append(scheduler.get_last_lr())
        rates.append(row)
    np.testing.assert_allclose(*rates, 1e-12, 1e-15)


def test_restarts_take_parts_of_epochs() -> None:
    rates = []
    for framework in (torch, oracle):
        for growth in (1, 2, 3):
            optimizer = optimizer_of(framework)
            module = module_of(framework)
            scheduler = module.CosineAnnealingWarmRestarts(optimizer, 3, growth)
            for i in range(0, 120, 7):
                scheduler.step(i / 4)
                rates.append([*scheduler.get_last_lr(), scheduler.T_cur, scheduler.T_i])
            scheduler.step()
            rates.append([*scheduler.get_last_lr(), scheduler.T_cur, scheduler.T_i])
    half = len(rates) // 2
    np.testing.assert_allclose(rates[:half], rates[half:], 1e-12, 1e-15)


RESUMABLE = {
    "lambda": lambda m, o, e: m.LambdaLR(o, halves, e),
    "multiplicative": lambda m, o, e: m.MultiplicativeLR(o, halves, e),
    "step": lambda m, o, e: m.StepLR(o, 3, last_epoch=e),
    "milestones": lambda m, o, e: m.MultiStepLR(o, [3, 5, 5], last_epoch=e),
    "constant": lambda m, o, e: m.ConstantLR(o, last_epoch=e),
    "linear": lambda m, o, e: m.LinearLR(o, last_epoch=e),
    "exponential": lambda m, o, e: m.ExponentialLR(o, 0.9, e),
    "cosine": lambda m, o, e: m.CosineAnnealingLR(o, 5, last_epoch=e),
    "cyclic": lambda m, o, e: m.CyclicLR(o, 0.1, 0.2, 3, last_epoch=e),
    "restarts": lambda m, o, e: m.CosineAnnealingWarmRestarts(o, 3, 2, last_epoch=e),
    "one cycle": lambda m, o, e: m.OneCycleLR(o, 0.2, 20, last_epoch=e),
    "polynomial": lambda m, o, e: m.PolynomialLR(o, last_epoch=e),
}


@pytest.mark.parametrize("name", RESUMABLE)
@pytest.mark.parametrize("last_epoch", [0, 2, 4, 7])
def test_going_on_after_an_epoch(name: str, last_epoch: int) -> None:
    rates = []
    for framework in (torch, oracle):
        optimizer = optimizer_of(framework)
        for group in optimizer.param_groups:
            group.update(lr=0.07, initial_lr=0.1, max_lr=0.2, min_lr=1e-3)
            group.update(max_momentum=0.95, base_momentum=0.85)
        scheduler = RESUMABLE[name](module_of(framework), optimizer, last_epoch)
        row = [scheduler.get_last_lr()]
        for _ in range(4):
            optimizer.step()
            scheduler.step()
            row.append(scheduler.get_last_lr())
        rates.append(row)
    np.testing.assert_allclose(*rates, 1e-12, 1e-15)


# State.


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_is_the_oracles(name: str) -> None:
    states = []
    for framework in (torch, oracle):
        optimizer = optimizer_of(framework)
        scheduler = SCHEDULES[name](module_of(framework), optimizer)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        states.append(scheduler.state_dict())
    ours, theirs = states
    assert list(ours) == list(theirs)
    assert str(ours) == str(theirs) or ours == pytest.approx(theirs)


@pytest.mark.parametrize("name", SCHEDULES)
def test_saved_schedules_go_on(name: str) -> None:
    expected = path(torch, SCHEDULES[name], 20)
    optimizer = optimizer_of(torch)
    scheduler = SCHEDULES[name](lr_scheduler, optimizer)
    for _ in range(9):
        optimizer.step()
        scheduler.step()
    again = optimizer_of(torch)
    resumed = SCHEDULES[name](lr_scheduler, again)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(pickle.loads(pickle.dumps(scheduler.state_dict())))
    for epoch in range(10, 21):
        again.step()
        resumed.step()
        np.testing.assert_allclose(resumed.get_last_lr(), expected[epoch][:2], 1e-12)


def test_functions_are_not_saved_but_what_objects_remember_is() -> None:
    optimizer = optimizer_of(torch)
    decay = Decay(0.5)
    scheduler = lr_scheduler.LambdaLR(optimizer, [halves, decay])
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [None, {"factor": 0.5}]
    state["lr_lambdas"] = [None, {"factor": 0.25}]
    scheduler.load_state_dict(state)
    assert decay.factor == 0.25
    assert scheduler.lr_lambdas == [halves, decay]
    assert state["lr_lambdas"] == [None, {"factor": 0.25}]


def test_what_cyclic_functions_remember_is_saved() -> None:
    decay = Decay(0.5)
    scheduler = lr_scheduler.CyclicLR(optimizer_of(torch), 0.1, 0.2, scale_fn=decay)
    state = scheduler.state_dict()
    assert state["_scale_fn_custom"] == {"factor": 0.5}
    scheduler.load_state_dict({**state, "_scale_fn_custom": {"factor": 0.1}})
    assert decay.factor == 0.1


# A metric decides.

PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 1, "cooldown": 3, "factor": 0.5},
    {"patience": 0, "threshold": 0.2, "min_lr": [0.01, 0.001]},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "abs", "min_lr": 0.02},
    {"patience": 1, "mode": "max", "threshold": 0.1},
    {"patience": 1, "mode": "max", "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 0, "eps": 0.05},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateaus_are_the_oracles(options: dict[str, Any]) -> None:
    metrics = [
        3,
        2,
        1.9,
        1.95,
        1.7,
        1.71,
        1.72,
        1.73,
        1,
        1,
        1.2,
        1.1,
        0.5,
        math.nan,
        0.4,
    ]
    results = []
    for framework in (torch, oracle):
        optimizer = optimizer_of(framework)
        scheduler = module_of(framework).ReduceLROnPlateau(optimizer, **options)
        row = []
        for metric in metrics:
            optimizer.step()
            scheduler.step(framework.tensor(metric))
            row.append([*scheduler.get_last_lr(), scheduler.in_cooldown])
        results.append((row, scheduler.state_dict()))
    np.testing.assert_allclose(results[0][0], results[1][0], 1e-12)
    assert results[0][1] == results[1][1]
    assert list(results[0][1]) == list(results[1][1])


def test_plateaus_and_groups_that_come_later() -> None:
    for least, fails in ((0.01, False), ([0.01, 0.01], True)):
        optimizer = optimizer_of(torch)
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=least)
        optimizer.add_param_group({"params": torch.nn.Parameter(torch.ones(1))})
        scheduler.step(1.0)
        if fails:
            with pytest.raises(RuntimeError, match="number of param groups in the"):
                scheduler.step(1.0)
        else:
            scheduler.step(1.0)
            assert scheduler.get_last_lr() == pytest.approx([0.01, 0.03, 0.01])


def test_saved_plateaus_go_on() -> None:
    optimizer = optimizer_of(torch)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=1)
    scheduler.step(1.0)
    scheduler.step(1.0)
    other = lr_scheduler.ReduceLROnPlateau(optimizer)
    other.load_state_dict(scheduler.state_dict())
    other.step(0.5)
    assert other.get_last_lr() == pytest.approx([0.01, 0.03])


# Warnings and errors, word for word.


def caught(action: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        action()
    return [f"{record.category.__name__}: {record.message}" for record in records]


def too_early(framework: Any) -> None:
    optimizer = optimizer_of(framework)
    scheduler = module_of(framework).StepLR(optimizer, 2)
    scheduler.step()
    optimizer.step()
    scheduler.step()


def replaced(framework: Any) -> None:
    optimizer = optimizer_of(framework)
    scheduler = module_of(framework).StepLR(optimizer, 2)
    optimizer.step = lambda: None
    optimizer.step()
    scheduler.step()


def asked(framework: Any) -> None:
    for name in ("lambda", "step", "cosine", "cyclic", "one cycle"):
        SCHEDULES[name](module_of(framework), optimizer_of(framework)).get_lr()


@pytest.mark.parametrize("action", [too_early, replaced, asked])
def test_warnings_are_the_oracles(action: Callable[[Any], None]) -> None:
    theirs = caught(lambda: action(oracle))
    assert theirs
    assert caught(lambda: action(torch)) == theirs


def test_steps_are_seen_through_to_the_optimizer() -> None:
    optimizer = optimizer_of(torch)
    lr_scheduler.StepLR(optimizer, 2)
    wrapped = optimizer.step
    lr_scheduler.StepLR(optimizer, 2)
    assert optimizer.step is wrapped
    param = optimizer.param_groups[0]["params"][0]
    param.grad = torch.ones(2)
    assert optimizer.step(lambda: 5) == 5
    assert param.tolist() == pytest.approx([0.9, 0.9])


BAD: dict[str, Maker] = {
    "no optimizer": lambda m, o: m.StepLR(3, 2),
    "no start": lambda m, o: m.StepLR(o, 2, last_epoch=3),
    "lambdas": lambda m, o: m.LambdaLR(o, [halves]),
    "factors": lambda m, o: m.MultiplicativeLR(o, [halves]),
    "constant": lambda m, o: m.ConstantLR(o, 2.0),
    "start": lambda m, o: m.LinearLR(o, 0),
    "end": lambda m, o: m.LinearLR(o, end_factor=2),
    "no sequence": lambda m, o: m.SequentialLR(o, [], []),
    "milestones": lambda m, o: m.SequentialLR(o, [m.StepLR(o, 2)], [3]),
    "plateau in sequence": lambda m, o: m.SequentialLR(
        o, [m.StepLR(o, 2), m.ReduceLROnPlateau(o)], [3]
    ),
    "stranger": lambda m, o: m.SequentialLR(o, [m.StepLR(o, 2), object()], [3]),
    "no chain": lambda m, o: m.ChainedScheduler([]),
    "plateau in chain": lambda m, o: m.ChainedScheduler([m.ReduceLROnPlateau(o)]),
    "factor": lambda m, o: m.ReduceLROnPlateau(o, factor=1.0),
    "mode": lambda m, o: m.ReduceLROnPlateau(o, mode="best"),
    "threshold mode": lambda m, o: m.ReduceLROnPlateau(o, threshold_mode="best"),
    "min_lr": lambda m, o: m.ReduceLROnPlateau(o, min_lr=[1]),
    "cyclic mode": lambda m, o: m.CyclicLR(o, 0.1, 0.2, mode="round"),
    "cyclic lists": lambda m, o: m.CyclicLR(o, [0.1], 0.2),
    "cyclic momentum": lambda m, o: m.CyclicLR(o, 0.1, 0.2, base_momentum=[0.1]),
    "T_0": lambda m, o: m.CosineAnnealingWarmRestarts(o, 0),
    "T_mult": lambda m, o: m.CosineAnnealingWarmRestarts(o, 2, 0),
    "eta_min": lambda m, o: m.CosineAnnealingWarmRestarts(o, 2, eta_min="0"),
    "epoch": lambda m, o: m.CosineAnnealingWarmRestarts(o, 2).step(-1),
    "no total": lambda m, o: m.OneCycleLR(o, 0.1, epochs=3),
    "total": lambda m, o: m.OneCycleLR(o, 0.1, total_steps=0),
    "epochs": lambda m, o: m.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3),
    "steps": lambda m, o: m.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=0.5),
    "pct_start": lambda m, o: m.OneCycleLR(o, 0.1, 10, pct_start=1),
    "strategy": lambda m, o: m.OneCycleLR(o, 0.1, 10, anneal_strategy="log"),
    "max_lr": lambda m, o: m.OneCycleLR(o, [0.1], 10),
    "base": lambda m, o: m.LRScheduler(o),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_arguments_raise_the_oracles_error(what: str) -> None:
    with pytest.raises(Exception) as theirs:
        BAD[what](module_of(oracle), optimizer_of(oracle))
    with pytest.raises(theirs.type) as ours:
        BAD[what](lr_scheduler, optimizer_of(torch))
    assert str(ours.value) == str(theirs.value)


def test_schedules_of_different_optimizers_do_not_go_together() -> None:
    one, other = optimizer_of(torch), optimizer_of(torch)
    parts = [lr_scheduler.StepLR(one, 2), lr_scheduler.StepLR(other, 2)]
    with pytest.raises(ValueError, match="to belong to the same optimizer, but got"):
        lr_scheduler.SequentialLR(one, parts, [3])
    with pytest.raises(ValueError, match="to belong to the same optimizer, but got"):
        lr_scheduler.ChainedScheduler(parts)


def test_momentum_can_only_move_where_there_is_some() -> None:
    optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.ones(1))])
    message = "optimizer must support momentum or beta1 with `cycle_momentum`"
    with pytest.raises(ValueError, match=message):
        lr_scheduler.CyclicLR(optimizer, 0.1, 0.2)
    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, 0.1, 10)


def test_one_cycle_ends() -> None:
    optimizer = optimizer_of(torch)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, 2)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 3 times. The specified number"):
        scheduler.step()


def test_every_public_schedule_of_the_oracle_is_here() -> None:
    assert set(lr_scheduler.__all__) == set(oracle.optim.lr_scheduler.__all__)
    for name in lr_scheduler.__all__:
        assert issubclass(getattr(lr_scheduler, name), lr_scheduler.LRScheduler)


def test_optimizers_with_schedules_can_be_freed() -> None:
    import gc
    import weakref

    optimizer = optimizer_of(torch)
    lr_scheduler.StepLR(optimizer, 2)
    weak = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert weak() is None
    finally:
        gc.enable()

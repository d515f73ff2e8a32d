"""Averages of weights, compared with PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.optim import swa_utils

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def model_of(framework: Any) -> Any:
    model = framework.nn.Sequential(
        framework.nn.Linear(2, 3), framework.nn.BatchNorm1d(3)
    )
    rng = np.random.default_rng(0)
    with framework.no_grad():
        for param in model.parameters():
            param.copy_(framework.tensor(rng.random(tuple(param.shape)).tolist()))
    return model


def batches(framework: Any, count: int) -> list[Any]:
    rng = np.random.default_rng(1)
    return [framework.tensor(rng.random((4, 2)).tolist()) for _ in range(count)]


def numbers(state: Any) -> dict[str, Any]:
    return {key: value.tolist() for key, value in state.items()}


def assert_close(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, 1e-5, 1e-6)


AVERAGES: dict[str, Any] = {
    "mean": lambda f: {},
    "with buffers": lambda f: {"use_buffers": True},
    "ema": lambda f: {"avg_fn": f.optim.swa_utils.get_ema_avg_fn(0.9)},
    "ema of lists": lambda f: {
        "multi_avg_fn": f.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    },
    "ema of lists with buffers": lambda f: {
        "multi_avg_fn": f.optim.swa_utils.get_ema_multi_avg_fn(0.9),
        "use_buffers": True,
    },
    "swa": lambda f: {"avg_fn": f.optim.swa_utils.get_swa_avg_fn()},
    "swa of lists": lambda f: {
        "multi_avg_fn": f.optim.swa_utils.get_swa_multi_avg_fn()
    },
    "own": lambda f: {"avg_fn": lambda mean, new, count: mean + new * (count + 1)},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_are_the_oracles(name: str) -> None:
    states = []
    for framework in (torch, oracle):
        model = model_of(framework)
        averaged = framework.optim.swa_utils.AveragedModel(
            model, **AVERAGES[name](framework)
        )
        for batch in batches(framework, 4):
            model(batch)
            with framework.no_grad():
                for param in model.parameters():
                    param.mul_(1.5)
            averaged.update_parameters(model)
        assert averaged.n_averaged.item() == 4
        states.append(numbers(averaged.state_dict()))
    assert_close(*states)


def test_the_average_is_a_model_of_its_own() -> None:
    model = model_of(torch).eval()
    averaged = swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    (batch,) = batches(torch, 1)
    assert torch.equal(averaged(batch), model(batch))
    assert averaged.module is not model
    with torch.no_grad():
        model[0].weight.zero_()
    assert averaged.module[0].weight.abs().sum() > 0


def test_only_one_kind_of_average() -> None:
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(
            model_of(torch),
            avg_fn=swa_utils.get_ema_avg_fn(),
            multi_avg_fn=swa_utils.get_ema_multi_avg_fn(),
        )


@pytest.mark.parametrize(
    "make", [swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn]
)
def test_decay_is_a_share(make: Any) -> None:
    for decay in (-1, 2):
        with pytest.raises(ValueError, match=f"Invalid decay value {decay} provided"):
            make(decay)


def test_statistics_are_those_of_the_data() -> None:
    states = []
    for framework in (torch, oracle):
        model = model_of(framework)
        model[1].momentum = 0.3
        model(batches(framework, 1)[0])
        model.eval()
        data = [(batch, "label") for batch in batches(framework, 3)]
        framework.optim.swa_utils.update_bn(data, model)
        assert not model.training
        assert model[1].momentum == 0.3
        states.append(numbers(model.state_dict()))
    assert_close(*states)


def test_models_without_statistics_see_no_data() -> None:
    def data() -> Any:
        pytest.fail("looked at the data")
        yield

    swa_utils.update_bn(data(), torch.nn.Linear(2, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"swa_lr": 0.05},
        {"swa_lr": 0.05, "anneal_epochs": 0},
        {"swa_lr": [0.05, 0.2], "anneal_epochs": 3, "anneal_strategy": "linear"},
    ],
    ids=str,
)
def test_rates_are_the_oracles(options: dict[str, Any]) -> None:
    rates, states = [], []
    for framework in (torch, oracle):
        params = [framework.nn.Parameter(framework.ones(1)) for _ in range(2)]
        groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.3}]
        optimizer = framework.optim.SGD(groups, lr=0.1)
        scheduler = framework.optim.swa_utils.SWALR(optimizer, **options)
        row = [scheduler.get_last_lr()]
        for _ in range(15):
            optimizer.step()
            scheduler.step()
            row.append(scheduler.get_last_lr())
        rates.append(row)
        states.append(scheduler.state_dict())
    np.testing.assert_allclose(*rates, 1e-12)
    assert states[0].keys() == states[1].keys()


@pytest.mark.parametrize(
    "options",
    [{"anneal_strategy": "log"}, {"anneal_epochs": -1}, {"anneal_epochs": 1.5}],
    ids=str,
)
def test_bad_rates_raise_the_oracles_error(options: dict[str, Any]) -> None:
    messages = []
    for framework in (torch, oracle):
        optimizer = framework.optim.SGD([framework.nn.Parameter(framework.ones(1))])
        with pytest.raises(ValueError) as caught:
            framework.optim.swa_utils.SWALR(optimizer, 0.05, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_every_public_name_of_the_oracle_is_here() -> None:
    assert set(swa_utils.__all__) == set(oracle.optim.swa_utils.__all__)

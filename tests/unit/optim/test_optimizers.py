"""The optimizers' numbers, state and options, compared with PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from tests.unit.optim.optimizing import (
    CASES,
    MUON,
    SHAPES,
    VECTORS,
    assert_same_numbers,
    assert_same_state,
    make,
    name_of,
    numbers,
    run,
)

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle


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

"""The layer does its work, and changes nothing else."""

from __future__ import annotations

import pytest
from dispatchtorch_example_layer import layer

import dispatchtorch as torch
from dispatchtorch.testing.conformance import run


def test_it_counts_calls_inside_its_block_alone() -> None:
    x = torch.ones(3)
    layer.calls.clear()
    with layer.enabled():
        x + x
        x.exp()
    x + x
    assert layer.calls["add"] == 1
    assert layer.calls["exp"] == 1


@pytest.mark.parametrize("operators", ["^add$", "^softmax$", "^Tensor.view"])
def test_operators_do_the_same_under_the_layer(operators: str) -> None:
    with layer.enabled():
        report = run("cpu", operators, dtypes=["float32"])
    assert report.results
    assert [str(each) for each in report.results if each.failed] == []

"""segment_reduce: values, gradients and errors."""

from __future__ import annotations

import numpy as np
import pytest

import dispatchtorch as torch

try:  # the comparisons are skipped without PyTorch
    from tests.ops.oracle import compare, spec
except ImportError:  # pragma: no cover
    compare = spec = None

VALUES = np.array([[1.0, 2.0], [3.0, 5.0], [0.0, 4.0], [7.0, 0.0], [3.0, 0.0]])
REDUCTIONS = ("sum", "mean", "prod", "max", "min")


@pytest.mark.oracle
@pytest.mark.parametrize("initial", [None, 2.0])
@pytest.mark.parametrize("lengths", [[1, 4], [2, 0, 3], [5]], ids=str)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_segments_given_by_lengths(reduce, lengths, initial):
    def run(module, data, lengths):
        return module.segment_reduce(data, reduce, lengths=lengths, initial=initial)

    compare(run, spec(VALUES, grad=True), spec(np.array(lengths)), grad_fn=True)


@pytest.mark.oracle
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_segments_given_by_offsets_along_another_dim(reduce):
    def run(module, data, offsets):
        return module.segment_reduce(data.t(), reduce, offsets=offsets, axis=1)

    offsets = np.array([[0, 2, 5], [0, 4, 5]])
    compare(run, spec(VALUES, grad=True), spec(offsets))


@pytest.mark.oracle
@pytest.mark.parametrize("call", [
    lambda m, x: m.segment_reduce(x, "sum"),
    lambda m, x: m.segment_reduce(x, "none", lengths=m.tensor([5])),
    lambda m, x: m.segment_reduce(x, "sum", lengths=m.tensor([4])),
    lambda m, x: m.segment_reduce(x, "sum", lengths=m.tensor([6, -1])),
    lambda m, x: m.segment_reduce(x, "sum", lengths=m.tensor([5]), axis=1),
    lambda m, x: m.segment_reduce(x.long(), "sum", lengths=m.tensor([5])),
    lambda m, x: m.segment_reduce(x, "sum", indices=m.tensor([0, 0, 0, 1, 1])),
], ids=range(7))  # fmt: skip
def test_errors_are_pytorchs(call):
    compare(call, spec(VALUES))


def test_elements_in_no_segment_are_left_out(device):
    x = torch.arange(6.0, device=device, requires_grad=True)
    lengths = torch.tensor([2, 1], device=device)
    made = torch.segment_reduce(x, "sum", lengths=lengths, unsafe=True)
    made.sum().backward()
    assert made.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]

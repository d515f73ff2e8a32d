"""The initialisers: PyTorch's numbers from the same seed, its errors and warnings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import dispatchtorch as torch
from dispatchtorch import nn

sys.path.insert(0, str(Path(__file__).parent))

NAMES = [
    "uniform_", "normal_", "trunc_normal_", "ones_", "zeros_", "eye_", "dirac_",
    "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_",
    "orthogonal_",
]  # fmt: skip
SHAPES = [
    (), (0,), (3,), (0, 3), (3, 0), (4, 3), (3, 4), (5, 5), (20, 7), (6, 3, 2),
    (0, 3, 3), (4, 2, 3, 3), (4, 2, 3, 2, 3), (2, 3, 2, 2, 2, 2),
]  # fmt: skip
CALLS = [
    "uniform_(t, -1, 2)",
    "normal_(t, 1, 2)",
    "constant_(t, 3.5)",
    "xavier_uniform_(t, 2.0)",
    "xavier_normal_(t, gain=2.0)",
    "kaiming_uniform_(t, 0.3, 'fan_out', 'leaky_relu')",
    "kaiming_uniform_(t, mode='FAN_IN', nonlinearity='selu')",
    "kaiming_normal_(t, 1, 'fan_in', 'tanh')",
    "orthogonal_(t, 2.0)",
    "sparse_(t, 0.3, 0.5)",
    "sparse_(t, 0.0)",
    "sparse_(t, 1)",
]
TRUNCATED = [
    "", "std=0.5", "std=0.02", "mean=1, std=0.5, a=0.0, b=1.2", "mean=5.0",
    "a=3.0, b=4.0", "a=-0.1, b=0.1", "a=-10, b=10.0", "a=1, b=1.2, mean=0.3",
    "a=float('-inf'), b=0.0, mean=1", "a=1.0, b=1.0", "a=3, b=1", "std=0",
]  # fmt: skip
NONLINEARITIES = [
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu",
]  # fmt: skip
DEPRECATED = [
    "uniform(t)", "normal(t)", "constant(t, 2)", "eye(t)", "dirac(t.view(6, 2, 1))",
    "xavier_uniform(t)", "xavier_normal(t)", "kaiming_uniform(t)", "kaiming_normal(t)",
    "orthogonal(t)", "sparse(t, 0.5)",
]  # fmt: skip
REFUSED = [
    "calculate_gain('leaky_relu', True)",
    "calculate_gain('leaky_relu', 'a')",
    "calculate_gain(None)",
    "kaiming_uniform_(t, mode='bar')",
    "kaiming_uniform_(t, nonlinearity='bar')",
    "sparse_(torch.empty(3, 3, 3), 0.1)",
    "dirac_(torch.empty(3, 4, 5), groups=2)",
]


@pytest.mark.oracle
class TestAgainstPyTorch:
    @pytest.fixture(autouse=True)
    def same(self):
        pytest.importorskip("torch")
        from twin import assert_same

        self.same = assert_same

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize("name", NAMES)
    def test_each_initialiser_on_each_shape(self, name, shape):
        self.same(f"nn.init.{name}(torch.zeros({shape}))")

    @pytest.mark.parametrize("generator", ["", ", generator=g"], ids=["default", "own"])
    @pytest.mark.parametrize("call", CALLS)
    def test_arguments_and_generators(self, call, generator):
        if "constant" in call:
            generator = ""
        call = call.removesuffix(")") + generator + ")"
        self.same(
            "g = torch.Generator().manual_seed(5); t = torch.zeros(12, 5); "
            f"(nn.init.{call}, torch.rand(1, generator=g))"
        )

    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    @pytest.mark.parametrize("arguments", TRUNCATED)
    def test_truncated_normal_proposes_and_rejects_the_same(self, arguments, dtype):
        self.same(
            f"t = torch.zeros(40, 10, dtype=torch.{dtype}); "
            f"nn.init.trunc_normal_(t, {arguments})",
            rtol=1e-2 if dtype == "bfloat16" else 1e-4,
        )

    @pytest.mark.parametrize("groups", [1, 2, 3])
    def test_dirac_in_groups(self, groups):
        self.same(f"nn.init.dirac_(torch.zeros(6, 4, 3), {groups})")
        self.same(f"nn.init.dirac_(torch.zeros(6, 2, 3, 4), groups={groups})")

    @pytest.mark.parametrize("name", NONLINEARITIES)
    def test_gain(self, name):
        self.same(f"nn.init.calculate_gain({name!r})")
        self.same(f"nn.init.calculate_gain({name!r}, 0.3)")

    @pytest.mark.parametrize("call", DEPRECATED)
    def test_old_names_warn(self, call):
        self.same(f"t = torch.zeros(4, 3); nn.init.{call}")

    @pytest.mark.parametrize("call", REFUSED)
    def test_refusals(self, call):
        self.same(f"t = torch.zeros(4, 3); nn.init.{call}")


@pytest.mark.parametrize("name", NAMES)
def test_initialisers_return_the_parameter_and_leave_no_history(name):
    shape = (4, 3, 2) if name == "dirac_" else (4, 3)
    p = nn.Parameter(torch.zeros(shape))
    made = getattr(nn.init, name)(p)
    assert made is p
    assert p.requires_grad
    assert p.grad_fn is None


def test_orthogonal_rows_or_columns_are_orthonormal():
    for shape in [(3, 7), (7, 3), (5, 5), (4, 2, 3)]:
        w = nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64))
        w = w.reshape(shape[0], -1)
        small = w @ w.t() if w.shape[0] <= w.shape[1] else w.t() @ w
        assert torch.allclose(small, torch.eye(len(small), dtype=torch.float64))


def test_truncated_normal_stays_within_its_bounds():
    for a, b in [(-2.0, 2.0), (0.5, 0.6), (3.0, 9.0)]:
        x = nn.init.trunc_normal_(torch.empty(500), a=a, b=b)
        assert a <= x.min().item()
        assert x.max().item() <= b


def test_fans_count_the_kernel():
    assert nn.init._calculate_fan_in_and_fan_out(torch.empty(3, 4, 5)) == (20, 15)
    assert nn.init._calculate_correct_fan(torch.empty(3, 4), "fan_out") == 3

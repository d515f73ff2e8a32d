"""Transforms and the registry of constraints under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.unit.nn.twin import assert_same

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_VECTOR = "torch.tensor([[-1.5, 0.3, 2.0], [0.0, -0.2, 0.7]])"
_POSITIVE = "torch.tensor([[0.5, 1.3, 2.0], [0.1, 3.0, 0.7]])"
_MATRIX = "torch.tensor([[0.5, 1.3, 2.0], [0.1, -3.0, 0.7], [1.0, 0.3, 0.2]])"

TRANSFORMS = {
    "abs": ("tr.AbsTransform()", _VECTOR),
    "affine": ("tr.AffineTransform(1.0, -2.0)", _VECTOR),
    "affine_tensors": (
        "tr.AffineTransform(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([2.0, -1.0, 0.3]))",
        _VECTOR,
    ),
    "affine_vectors": (
        "tr.AffineTransform(0.0, torch.tensor([2.0, -1.0, 0.3]), event_dim=1)",
        _VECTOR,
    ),
    "affine_number_vectors": ("tr.AffineTransform(0.0, 3.0, event_dim=1)", _VECTOR),
    "cat": (
        "tr.CatTransform([tr.ExpTransform(), tr.TanhTransform()], dim=-1, lengths=[1, 2])",
        _VECTOR,
    ),
    "cat_vectors": (
        "tr.CatTransform([tr.SoftmaxTransform(), tr.SoftmaxTransform()], dim=0)",
        _VECTOR,
    ),
    "compose": (
        "tr.ComposeTransform([tr.ExpTransform(), tr.AffineTransform(1.0, 2.0), "
        "tr.PowerTransform(torch.tensor(0.5))])",
        _VECTOR,
    ),
    "compose_none": ("tr.ComposeTransform([])", _VECTOR),
    "compose_vectors": (
        "tr.ComposeTransform([tr.AffineTransform(1.0, 2.0), tr.StickBreakingTransform()])",
        _VECTOR,
    ),
    "corr_cholesky": ("tr.CorrCholeskyTransform()", _VECTOR),
    "cumulative": (
        "tr.CumulativeDistributionTransform(D.Normal(torch.tensor(0.3), 2.0))",
        _VECTOR,
    ),
    "exp": ("tr.ExpTransform()", _VECTOR),
    "independent": ("tr.IndependentTransform(tr.ExpTransform(), 1)", _VECTOR),
    "lower_cholesky": ("tr.LowerCholeskyTransform()", _MATRIX),
    "positive_definite": ("tr.PositiveDefiniteTransform()", _MATRIX),
    "power": ("tr.PowerTransform(torch.tensor([2.0, 0.5, -1.0]))", _POSITIVE),
    "reshape": ("tr.ReshapeTransform((3,), (3, 1))", _VECTOR),
    "sigmoid": ("tr.SigmoidTransform()", _VECTOR),
    "softmax": ("tr.SoftmaxTransform()", _VECTOR),
    "softplus": ("tr.SoftplusTransform()", _VECTOR),
    "stack": (
        "tr.StackTransform([tr.ExpTransform(), tr.TanhTransform(), tr.ExpTransform()], -1)",
        _VECTOR,
    ),
    "stick_breaking": ("tr.StickBreakingTransform()", _VECTOR),
    "tanh": ("tr.TanhTransform()", _VECTOR),
}
QUESTIONS = {
    "forward": "y",
    "inverse": "T.inv(y)",
    "log_det": "T.log_abs_det_jacobian(x, y)",
    "inverse_log_det": "T.inv.log_abs_det_jacobian(y, x)",
    "shapes": "(T.forward_shape(x.shape), T.inverse_shape(y.shape))",
    "sign": "T.sign",
    "described": "(repr(T), repr(T.inv), T.bijective, repr(T.inv.domain))",
    "event_dims": "(T.domain.event_dim, T.codomain.event_dim, T.domain.is_discrete)",
    "checks": "(T.domain.check(x), T.codomain.check(y))",
    "cached": "C = T.with_cache(); (C.inv(C(x)) is x, C(x) is C(x), C._cache_size)",
    "equal": "(T == T, T == T.inv, T.inv == T.inv, T.inv.inv is T, T != T)",
    "gradient": "x.requires_grad_(); torch.autograd.grad(T(x).pow(2).sum(), x)",
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_answers(name: str, question: str) -> None:
    made, x = TRANSFORMS[name]
    assert_same(
        "import torch.distributions as D; tr = D.transforms; "
        f"T = {made}; x = {x}; y = T(x); {QUESTIONS[question]}",
        rtol=1e-4,
    )


CONSTRAINTS = {
    "c.real": 3,
    "c.positive": 3,
    "c.nonnegative": 3,
    "c.greater_than(2.0)": 3,
    "c.less_than(torch.tensor([1.0, 2.0, 3.0]))": 3,
    "c.unit_interval": 3,
    "c.interval(-1.0, torch.tensor([1.0, 2.0, 3.0]))": 3,
    "c.half_open_interval(-1.0, 2.0)": 3,
    "c.simplex": 3,
    "c.corr_cholesky": 3,
    "c.lower_cholesky": (3, 3),
    "c.positive_definite": (3, 3),
    "c.positive_semidefinite": (3, 3),
    "c.real_vector": 3,
    "c.independent(c.positive, 1)": 3,
    "c.cat([c.real, c.positive], -1, [1, 2])": 3,
    "c.stack([c.real, c.positive, c.unit_interval], -1)": 3,
    "c.boolean": 3,
}


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_registry(constraint: str, registry: str) -> None:
    shape = CONSTRAINTS[constraint]
    assert_same(
        f"""
import torch.distributions as D
c = D.constraints
T = D.{registry}({constraint})
x = torch.randn(2, *(({shape},) if isinstance({shape}, int) else {shape}))
y = T(x)
out = repr(T), y, T.inv(y), {constraint}.check(y)
""",
        rtol=1e-3,
        atol=1e-5,
    )

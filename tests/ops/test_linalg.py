"""torch.linalg: decompositions, solvers, norms, on every device and as PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

rng = np.random.default_rng(7)
L = torch.linalg


def X(*shape: int, grad: bool = True) -> Any:
    return spec(rng.standard_normal(shape), "float64", grad)


def C(*shape: int, grad: bool = True) -> Any:
    values = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return spec(values, "complex128", grad)


def P(n: int, *batch: int, grad: bool = True) -> Any:
    a = rng.standard_normal((*batch, n, n))
    return spec(a @ np.swapaxes(a, -1, -2) + n * np.eye(n), "float64", grad)


# What has one right answer: value, strides, gradients, second gradients, node names.
ROWS: dict[str, tuple[Any, ...]] = {
    "cholesky": (lambda m, a: m.linalg.cholesky(a), P(3, 2)),
    "cholesky upper": (lambda m, a: m.linalg.cholesky(a, upper=True), P(3, 2)),
    "cholesky_ex": (lambda m, a: m.linalg.cholesky_ex(a), P(3)),
    "cholesky_inverse": (lambda m, a: m.cholesky_inverse(a), P(3, 2)),
    "cholesky_solve": (lambda m, a, b: m.cholesky_solve(b, a), P(3, 2), X(3, 2)),
    "inv": (lambda m, a: m.linalg.inv(a), P(3, 2)),
    "inv complex": (lambda m, a: m.linalg.inv(a), C(3, 3)),
    "inv_ex": (lambda m, a: m.linalg.inv_ex(a), P(3)),
    "det": (lambda m, a: m.linalg.det(a), X(2, 3, 3)),
    "det singular": (lambda m, a: m.det(a * 0 + 1), X(3, 3)),
    "slogdet": (lambda m, a: m.linalg.slogdet(a), X(2, 3, 3)),
    "slogdet complex": (lambda m, a: m.slogdet(a), C(3, 3)),
    "logdet": (lambda m, a: m.logdet(a), P(3, 2)),
    "eigvalsh": (lambda m, a: m.linalg.eigvalsh(a), P(3, 2)),
    "svdvals": (lambda m, a: m.linalg.svdvals(a), X(2, 4, 3)),
    "qr": (lambda m, a: m.linalg.qr(a), X(2, 4, 3)),
    "qr wide": (lambda m, a: m.linalg.qr(a), X(3, 5)),
    "qr complete": (lambda m, a: m.linalg.qr(a, "complete"), X(3, 5)),
    "qr complex": (lambda m, a: m.linalg.qr(a), C(4, 3)),
    "lu": (lambda m, a: m.linalg.lu(a), X(2, 3, 3)),
    "lu tall": (lambda m, a: m.linalg.lu(a), X(5, 3)),
    "lu wide": (lambda m, a: m.linalg.lu(a), X(3, 5)),
    "lu_factor": (lambda m, a: m.linalg.lu_factor(a), X(2, 3, 3)),
    "lu_factor_ex": (lambda m, a: m.linalg.lu_factor_ex(a), X(4, 3)),
    "lu_unpack": (lambda m, a: m.lu_unpack(*m.linalg.lu_factor(a)), X(4, 3)),
    "lu_solve": (
        lambda m, a, b: m.linalg.lu_solve(*m.linalg.lu_factor(a), b),
        X(2, 3, 3),
        X(2, 3, 2),
    ),
    "lu_solve right, adjoint": (
        lambda m, a, b: m.linalg.lu_solve(
            *m.linalg.lu_factor(a), b, left=False, adjoint=True
        ),
        X(3, 3),
        X(2, 3),
    ),
    "ldl_factor": (lambda m, a: m.linalg.ldl_factor(a), X(2, 5, 5, grad=False)),
    "ldl_factor hermitian": (
        lambda m, a: m.linalg.ldl_factor_ex(a + a.mH, hermitian=True),
        C(5, 5, grad=False),
    ),
    "ldl_solve": (
        lambda m, a, b: m.linalg.ldl_solve(*m.linalg.ldl_factor(a + a.mT), b),
        X(5, 5, grad=False),
        X(5, 2, grad=False),
    ),
    "solve": (lambda m, a, b: m.linalg.solve(a, b), X(2, 3, 3), X(3, 2)),
    "solve vector": (lambda m, a, b: m.linalg.solve(a, b), X(2, 3, 3), X(2, 3)),
    "solve right": (
        lambda m, a, b: m.linalg.solve(a, b, left=False),
        C(3, 3),
        C(2, 3),
    ),
    "solve_ex": (lambda m, a, b: m.linalg.solve_ex(a, b), X(3, 3), X(3, 2)),
    "solve_triangular": (
        lambda m, a, b: m.linalg.solve_triangular(a, b, upper=True),
        P(3, 2),
        X(3, 2),
    ),
    "solve_triangular right, unit": (
        lambda m, a, b: m.linalg.solve_triangular(
            a, b, upper=False, left=False, unitriangular=True
        ),
        X(3, 3),
        X(2, 3),
    ),
    "lstsq": (lambda m, a, b: m.linalg.lstsq(a, b).solution, X(2, 5, 3), X(2, 5, 2)),
    "lstsq gelsd": (
        lambda m, a, b: m.linalg.lstsq(a, b, driver="gelsd"),
        X(5, 3, grad=False),
        X(5, 2, grad=False),
    ),
    "lstsq gels wide": (
        lambda m, a, b: m.linalg.lstsq(a, b, driver="gels").solution,
        X(3, 5),
        X(3, 2),
    ),
    "householder_product": (
        lambda m, a, t: m.linalg.householder_product(a, t),
        X(2, 4, 3),
        X(2, 2),
    ),
    "householder_product complex": (
        lambda m, a, t: m.linalg.householder_product(a, t),
        C(4, 3),
        C(3),
    ),
    "ormqr": (
        lambda m, a, t, c: m.ormqr(a, t, c, left=False, transpose=True),
        X(4, 3),
        X(3),
        X(2, 4),
    ),
    "geqrf": (lambda m, a: m.geqrf(a), X(2, 4, 3, grad=False)),
    "matrix_exp": (lambda m, a: m.linalg.matrix_exp(a), X(2, 3, 3)),
    "matrix_exp large": (lambda m, a: m.matrix_exp(a * 9), X(4, 4)),
    "matrix_exp complex": (lambda m, a: m.matrix_exp(a), C(3, 3)),
    "matrix_norm": (lambda m, a: m.linalg.matrix_norm(a), X(2, 4, 3)),
    "matrix_norm nuc": (
        lambda m, a: m.linalg.matrix_norm(a, "nuc", (0, 2), True),
        X(2, 4, 3),
    ),
    "norm": (lambda m, a: m.linalg.norm(a), X(2, 4, 3)),
    "norm matrix 2": (lambda m, a: m.linalg.norm(a, 2, (0, 1)), X(4, 3, 2)),
    "norm vector 3": (lambda m, a: m.linalg.norm(a, 3, 1), X(4, 3)),
    "cond": (lambda m, a: m.linalg.cond(a), X(2, 3, 3)),
    "cond fro": (lambda m, a: m.linalg.cond(a, "fro"), X(2, 3, 3, grad=False)),
    "cond -inf": (lambda m, a: m.linalg.cond(a, float("-inf")), X(3, 3, grad=False)),
    "matrix_rank": (lambda m, a: m.linalg.matrix_rank(a), X(2, 4, 3, grad=False)),
    "pinv": (lambda m, a: m.linalg.pinv(a), X(2, 4, 3)),
    "pinv complex": (lambda m, a: m.linalg.pinv(a), C(3, 4)),
    "pinv hermitian": (lambda m, a: m.linalg.pinv(a, hermitian=True), P(3)),
    "pinv rtol": (
        lambda m, a: m.linalg.pinv(a, rtol=0.5, atol=m.tensor(0.1)),
        X(4, 3, grad=False),
    ),
    "matrix_power": (lambda m, a: m.linalg.matrix_power(a, 5), X(2, 3, 3)),
    "matrix_power -2": (lambda m, a: m.linalg.matrix_power(a, -2), P(3)),
    "multi_dot": (
        lambda m, a, b, c: m.linalg.multi_dot([a, b, c]),
        X(5),
        X(5, 2),
        X(2, 4),
    ),
    "tensorinv": (lambda m, a: m.linalg.tensorinv(a.reshape(6, 2, 3), 1), P(6)),
    "tensorsolve": (
        lambda m, a, b: m.linalg.tensorsolve(a.reshape(2, 3, 6), b),
        P(6),
        X(2, 3),
    ),
    "vander": (lambda m, a: m.linalg.vander(a, N=4), X(2, 3)),
    "vecdot": (lambda m, a, b: m.linalg.vecdot(a, b, dim=0), C(3, 2), C(3, 2)),
    "cross": (lambda m, a, b: m.linalg.cross(a, b), X(2, 3), X(1, 3)),
    "triangular_solve": (
        lambda m, a, b: m.triangular_solve(b, a, transpose=True),
        P(3, 2),
        X(2, 3, 2),
    ),
}


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ROWS)
def test_function_does_what_it_does_in_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    fn, *arguments = ROWS[name]
    compare(fn, *arguments, gradgrad=True, rtol=1e-6, atol=1e-8)


# Decompositions with free signs and phases: what they multiply to.


def _rebuilt_eigh(a: Any, *options: Any) -> Any:
    values, vectors = L.eigh(a, *options)
    return vectors @ torch.diag_embed(values).to(vectors.dtype) @ vectors.mH


def _rebuilt_eig(a: Any) -> Any:
    values, vectors = L.eig(a)
    return (vectors @ torch.diag_embed(values) @ L.inv(vectors)).real


def _rebuilt_svd(a: Any) -> Any:
    u, s, vh = L.svd(a, full_matrices=False)
    return u @ torch.diag_embed(s).to(u.dtype) @ vh


def _rebuilt_ldl(a: Any) -> Any:
    factors = L.ldl_factor(a)
    return L.inv(
        L.ldl_solve(*factors, torch.eye(a.shape[-1], dtype=a.dtype).to(a.device))
    )


def _rebuilt_geqrf(a: Any) -> Any:
    packed, tau = torch.geqrf(a)
    return torch.ormqr(packed, tau, packed.triu())


REBUILT = {
    "eigh": (_rebuilt_eigh, "symmetric"),
    "eigh U": (lambda a: _rebuilt_eigh(a, "U"), "symmetric"),
    "eig": (_rebuilt_eig, "square"),
    "svd": (_rebuilt_svd, "tall"),
    "svd wide": (_rebuilt_svd, "wide"),
    "qr": (lambda a: torch.matmul(*L.qr(a)), "tall"),
    "lu": (lambda a: L.multi_dot(list(L.lu(a))), "wide"),
    "ldl": (_rebuilt_ldl, "symmetric"),
    "geqrf": (_rebuilt_geqrf, "tall"),
    "cholesky": (lambda a: L.cholesky(a @ a.mT) @ L.cholesky(a @ a.mT).mT, "square"),
}
_SHAPES = {"symmetric": (4, 4), "square": (4, 4), "tall": (5, 3), "wide": (3, 5)}


def _matrix(kind: str, device: str) -> Any:
    a = torch.from_numpy(np.random.default_rng(1).standard_normal(_SHAPES[kind]))
    return (a + a.mT if kind == "symmetric" else a).to(device)


@pytest.mark.parametrize("name", REBUILT)
@pytest.mark.filterwarnings("ignore:operator '_:UserWarning")
def test_factors_multiply_to_the_matrix(name: str, device: str) -> None:
    rebuild, kind = REBUILT[name]
    a = _matrix(kind, device)
    wanted = a @ a.mT if name == "cholesky" else a
    made = rebuild(a)
    assert made.device == a.device
    torch.testing.assert_close(made, wanted)


DIFFERENTIABLE = {
    "eigh": (lambda a: L.eigh(a + a.mT)[1].abs(), "square"),
    "eig": (lambda a: (L.eig(a)[0], L.eig(a)[1].abs()), "square"),
    "svd": (lambda a: (L.svd(a, full_matrices=False)[0].abs(), L.svd(a)[1]), "tall"),
    "svd Vh": (lambda a: L.svd(a, full_matrices=False)[2].abs(), "wide"),
    "svd complex": (
        lambda a: _rebuilt_svd(torch.complex(a, a.flip(-1))),
        "tall",
    ),
    "eigh complex": (
        lambda a: L.eigh(torch.complex(a + a.mT, a - a.mT))[1].abs(),
        "square",
    ),
    "lobpcg": (
        lambda a: _lobpcg(a @ a.mT + torch.diag(torch.arange(4.0).double())),
        "square",
    ),
}


def _lobpcg(a: Any) -> Any:
    torch.manual_seed(0)
    values, vectors = torch.lobpcg(a, k=1, tol=1e-14)
    return values, vectors.abs()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_of_what_has_free_phases(name: str) -> None:
    fn, kind = DIFFERENTIABLE[name]
    a = _matrix(kind, "cpu").requires_grad_()
    assert torch.autograd.gradcheck(fn, (a,))
    assert torch.autograd.gradgradcheck(fn, (a,))


def test_a_loss_that_depends_on_the_phase_of_eigenvectors_has_no_gradient() -> None:
    a = _matrix("square", "cpu").requires_grad_()
    with pytest.raises(RuntimeError, match=r"multiplication by e\^\{i phi\}"):
        L.eig(a)[1].sum().abs().backward()


# Errors.

_ONE = torch.eye(3)
ERRORS = [
    "m.linalg.inv(m.zeros(3, 3))",
    "m.linalg.inv(m.zeros(2, 3, 3))",
    "m.linalg.inv(m.ones(2, 3))",
    "m.linalg.inv(m.ones(3))",
    "m.linalg.inv(m.eye(3).half())",
    "m.linalg.inv(m.eye(3).long())",
    "m.linalg.inv_ex(m.zeros(3, 3), check_errors=True)",
    "m.linalg.inv(m.eye(3), out=m.empty(3, 3).double())",
    "m.linalg.cholesky(-m.eye(3))",
    "m.linalg.cholesky(m.eye(3).half())",
    "m.linalg.cholesky_ex(m.zeros(2, 3, 3), check_errors=True)",
    "m.cholesky_inverse(m.zeros(2, 3, 3))",
    "m.cholesky_solve(m.ones(2, 1), m.eye(3))",
    "m.linalg.eigh(m.eye(3), UPLO='X')",
    "m.linalg.eigh(m.eye(3).half())",
    "m.linalg.eig(m.full((2, 2), float('nan')))",
    "m.linalg.svd(m.full((2, 2), float('nan')))",
    "m.linalg.svd(m.eye(3), driver='gesvd')",
    "m.linalg.qr(m.eye(3), 'all')",
    "m.linalg.lu_factor(m.zeros(2, 3, 3))",
    "m.linalg.lu_factor(m.eye(3), pivot=False)",
    "m.linalg.lu_solve(m.eye(3), m.ones(3), m.eye(3))",
    "m.lu_unpack(m.eye(3), m.zeros(3, dtype=m.int32))",
    "m.linalg.ldl_factor(m.zeros(3, 3))",
    "m.linalg.ldl_solve(m.eye(3), m.ones(3), m.eye(3))",
    "m.linalg.solve(m.zeros(3, 3), m.eye(3))",
    "m.linalg.solve(m.eye(3), m.ones(4, 2))",
    "m.linalg.solve(m.eye(3), m.ones(3), left=False)",
    "m.linalg.solve(m.eye(3), m.eye(3).double())",
    "m.linalg.solve_triangular(m.eye(3), m.ones(4, 2), upper=True)",
    "m.linalg.lstsq(m.eye(3), m.eye(3), driver='gel')",
    "m.linalg.lstsq(m.eye(3), m.ones(2, 2))",
    "m.linalg.householder_product(m.ones(2, 3), m.ones(3))",
    "m.ormqr(m.eye(3), m.ones(3), m.ones(2, 3))",
    "m.linalg.matrix_norm(m.eye(3), 3)",
    "m.linalg.matrix_norm(m.eye(3), 'fro', dim=(0, 0))",
    "m.linalg.norm(m.ones(2, 2, 2), 2)",
    "m.linalg.cond(m.ones(2, 3), 1)",
    "m.linalg.matrix_rank(m.eye(3).long())",
    "m.linalg.pinv(m.eye(3), rcond=m.tensor(1j))",
    "m.linalg.multi_dot([m.eye(3)])",
    "m.linalg.multi_dot([m.eye(3), m.ones(2, 3)])",
    "m.linalg.tensorinv(m.ones(4, 3), 1)",
    "m.linalg.tensorsolve(m.ones(4, 3), m.ones(4))",
    "m.linalg.vander(m.ones(3), N=1)",
    "m.linalg.vecdot(m.ones(3), m.ones(3).double())",
    "m.linalg.cross(m.ones(4), m.ones(4))",
    "m.solve(m.eye(3), m.eye(3))",
    "m.eye(3).symeig()",
    "m.matrix_rank(m.eye(3))",
    "m.lobpcg(m.ones(3, 2))",
    "m.lobpcg(m.eye(5), k=2)",
    "m.pca_lowrank(m.eye(5), q=6)",
]


@pytest.mark.oracle
@pytest.mark.parametrize("code", ERRORS)
def test_error_is_pytorchs(code: str) -> None:
    oracle = pytest.importorskip("torch")
    errors = []
    for module in (oracle, torch):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - compared below
            eval(code, {"m": module})
        text = str(raised.value).partition("\nException raised")[0]
        errors.append((type(raised.value).__name__, text.strip()))
    assert errors[1] == errors[0]


def test_linalg_error_is_a_runtime_error_under_both_names() -> None:
    assert issubclass(L.LinAlgError, RuntimeError)
    assert L.LinAlgError is torch._C._LinAlgError
    with pytest.raises(L.LinAlgError, match="element 2 is zero"):
        L.inv(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))


# Engines.


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_numpy_alone_gives_what_scipy_gives(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    from dispatchtorch_numpy import decompositions as d

    a = np.random.default_rng(3).standard_normal((2, 60, 60)).astype(dtype)
    a = a + 1j * np.swapaxes(a, -1, -2) if dtype == "complex128" else a
    regular = a / 60 + np.eye(60)

    def everything() -> list[Any]:
        return [*d.lu(a), d.triangular_solve(regular, a, True, False)]

    with_scipy = everything()
    monkeypatch.setattr(d, "_scipy", lambda: None)
    for mine, theirs in zip(everything(), with_scipy, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_meta_gives_shapes_without_values() -> None:
    a = torch.empty(2, 5, 3, device="meta")
    u, s, vh = L.svd(a)
    assert (u.shape, s.shape, vh.shape) == ((2, 5, 5), (2, 3), (2, 3, 3))
    assert L.pinv(a).shape == (2, 3, 5)
    assert L.eig(a.mT @ a)[0].dtype == torch.complex64


# A few of many: random sampling and LOBPCG.


def test_svd_lowrank_finds_a_matrix_of_low_rank() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 20, 3).double() @ torch.randn(2, 3, 8).double()
    for matrix in (a, a.mT):
        u, s, v = torch.svd_lowrank(matrix, q=4)
        torch.testing.assert_close(u @ torch.diag_embed(s) @ v.mT, matrix)


def test_pca_lowrank_centers_the_columns() -> None:
    torch.manual_seed(0)
    a = torch.randn(30, 4).double() + 5
    _, s, _ = torch.pca_lowrank(a, q=4)
    torch.testing.assert_close(s, L.svdvals(a - a.mean(0)))


@pytest.mark.parametrize("largest", [True, False])
def test_lobpcg_finds_eigenvalues_at_either_end(largest: bool) -> None:
    torch.manual_seed(0)
    a = torch.randn(30, 30).double()
    a, b = a @ a.mT, torch.diag(torch.linspace(1, 2, 30).double())
    steps: list[int] = []
    values, vectors = torch.lobpcg(
        a, k=2, B=b, largest=largest, tracker=lambda w: steps.append(w.ivars["istep"])
    )
    torch.testing.assert_close(a @ vectors, b @ vectors * values, atol=1e-4, rtol=1e-4)
    every = L.eigvals(L.solve(b, a)).real.sort(descending=largest)[0]
    torch.testing.assert_close(values, every[:2], atol=1e-6, rtol=1e-6)
    assert steps == list(range(1, len(steps) + 1))

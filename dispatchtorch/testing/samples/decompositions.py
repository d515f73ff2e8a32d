"""Samples of ``torch.linalg``: decompositions, solvers, norms, and what stands on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._generators import cases
from ._model import Draw, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
L = "linalg."
_MATRICES = "fc"


def _row(name: str, generate: Any, **options: Any) -> OperatorSamples:
    options.setdefault("loose", 20)
    dtypes = options.pop("dtypes", _MATRICES)
    return cases(name, generate, dtypes, options.pop("reference", None), **options)


def _square(g: Draw) -> Iterator[Any]:
    yield S(g.invertible(3, 3))
    yield S(g.invertible(2, 2, 2))
    yield S(g.invertible(0, 0))
    yield Failure(S(g(2, 3)), "RuntimeError", "must be batches of square matrices")


def _definite(g: Draw) -> Iterator[Any]:
    yield S(g.positive_definite(3, 3))
    yield S(g.positive_definite(2, 2, 2))
    yield S(g.positive_definite(3, 3), upper=True)


def _tall(g: Draw) -> Iterator[Any]:
    yield S(_ranked(g, 3, 3))
    yield S(_ranked(g, 4, 2))
    yield S(_ranked(g, 2, 3, 3))


def _ranked(g: Draw, *shape: int) -> Any:
    """Full rank, singular values apart."""
    values = 0.2 * g(*shape, low=-1, high=1).values
    rows, columns = shape[-2:]
    return g.of(values + np.eye(rows, columns) * np.arange(1.0, columns + 1))


# Decompositions leave signs and phases open: what they multiply to doesn't.


def _hermitian(then: Callable[..., Any]) -> Callable[..., Any]:
    def around(function: Any) -> Any:
        def call(a: Any, *args: Any, **kwargs: Any) -> Any:
            return then(*function((a + a.mH) / 2, *args, **kwargs))

        return call

    return around


def _settled(then: Callable[..., Any]) -> Callable[..., Any]:
    def around(function: Any) -> Any:
        return lambda *args, **kwargs: then(*function(*args, **kwargs))

    return around


def _rebuilt(values: Any, vectors: Any) -> Any:
    return values, (vectors * values.unsqueeze(-2).to(vectors.dtype)) @ vectors.mH


def _of_eig(values: Any, vectors: Any) -> Any:
    order = values.real.argsort(-1)
    projector = (vectors * values.unsqueeze(-2)) @ vectors.inverse()
    return values.gather(-1, order), projector


def _of_svd(u: Any, s: Any, vh: Any) -> Any:
    rank = s.shape[-1]
    return s, (u[..., :rank] * s.unsqueeze(-2).to(u.dtype)) @ vh[..., :rank, :]


def _of_old_svd(u: Any, s: Any, v: Any) -> Any:
    return _of_svd(u, s, v.mH)


def _of_qr(q: Any, r: Any) -> Any:
    return q @ r, r.abs()


def _sorted(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        values = function(*args, **kwargs)
        return values.gather(-1, values.real.argsort(-1))

    return call


def _symmetrised(function: Any) -> Any:
    return lambda a, *args, **kwargs: function((a + a.mH) / 2, *args, **kwargs)


def _lower(place: int) -> Callable[..., Any]:
    """The operand at ``place`` is read as a triangle: so is its gradient."""

    def around(function: Any) -> Any:
        def call(*args: Any) -> Any:
            lowered = [a.tril() if i == place else a for i, a in enumerate(args)]
            return function(*lowered)

        return call

    return around


def _factor(g: Draw) -> Any:
    """A Cholesky factor."""
    return g.of(np.linalg.cholesky(g.positive_definite(3, 3).values))


# Solvers.


def _systems(g: Draw) -> Iterator[Any]:
    yield S(g.invertible(3, 3), g(3, 2))
    yield S(g.invertible(2, 3, 3), g(2, 3, 1))
    yield S(g.invertible(3, 3), g(3))
    yield S(g.invertible(3, 3), g(2, 3), left=False)


def _systems_ex(g: Draw) -> Iterator[Any]:
    yield S(g.invertible(3, 3), g(3, 2))
    yield S(g.invertible(2, 3, 3), g(2, 3, 1))


def _triangular(g: Draw) -> Iterator[Any]:
    upper = g.of(np.triu(g.invertible(3, 3).values))
    yield S(upper, g(3, 2), upper=True)
    yield S(g.of(np.tril(g.invertible(3, 3).values)), g(3, 2), upper=False)
    yield S(upper, g(2, 3), upper=True, left=False)


def _old_triangular(g: Draw) -> Iterator[Any]:
    yield S(g(3, 2), g.of(np.triu(g.invertible(3, 3).values)))
    yield S(g(3, 2), g.of(np.tril(g.invertible(3, 3).values)), upper=False)


def _factored(g: Draw) -> tuple[Any, Any]:
    """Packed LU factors of a matrix that needs no pivoting, and its pivots."""
    return g.of(g.invertible(3, 3).values), g.of([1, 2, 3], "int32")


def _reflectors(g: Draw) -> Iterator[Any]:
    lower = np.tril(0.3 * g(3, 2, low=-1, high=1).values)
    yield S(g.of(lower), g(2, low=0.3, high=1))


def _matrix_norms(g: Draw) -> Iterator[Any]:
    for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")):
        yield S(_ranked(g, 3, 3), order)
    yield S(g(2, 3, 4), "fro", (0, 2), keepdim=True)


def _norms(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3))
    yield S(g(4), 3)
    yield S(_ranked(g, 3, 3), "nuc")
    yield S(_ranked(g, 3, 3), 2)
    yield S(g(2, 3, 4), 1, (0, 1))


def _ranks(g: Draw) -> Iterator[Any]:
    yield S(g.of([[1.0, 2.0], [2.0, 4.0]]))
    yield S(g.of([[1.0, 2.0], [0.0, 4.0]]), 1e-3)
    yield S(g.positive_definite(3, 3), hermitian=True)
    yield S(g(3, 2), atol=0.1, rtol=0.1)


def _pseudo(g: Draw) -> Iterator[Any]:
    yield S(_ranked(g, 4, 2))
    yield S(_ranked(g, 3, 3), 1e-4)
    yield S(g.positive_definite(3, 3), hermitian=True)
    yield S(_ranked(g, 3, 3), rtol=1e-4)


def _least_squares(g: Draw) -> Iterator[Any]:
    yield S(_ranked(g, 4, 2), g(4, 2))
    yield S(_ranked(g, 3, 3), g(3, 1))


def _solution(function: Any) -> Any:
    return lambda *args, **kwargs: function(*args, **kwargs)[0]


_FIRST: dict[str, Any] = {"around": _solution}


ROWS: list[OperatorSamples] = [
    _row(
        L + "cholesky",
        _definite,
        around=_symmetrised,
        reference=lambda a, upper=False: (
            np.linalg.cholesky(a) if not upper else NotImplemented
        ),
    ),
    _row(L + "cholesky_ex", _definite, around=_symmetrised),
    _row(L + "det", _square, reference="np.linalg.det"),
    _row(L + "slogdet", _square),
    _row(L + "inv", _square, reference="np.linalg.inv"),
    _row(L + "inv_ex", lambda g: [S(g.invertible(3, 3))]),
    _row(L + "matrix_exp", lambda g: [S(g.invertible(2, 2)), S(g.invertible(2, 2, 2))]),
    _row(L + "matrix_power", lambda g: [S(g.invertible(3, 3), n) for n in (0, 2, -1)]),
    _row(
        L + "eigh",
        lambda g: [S(g.invertible(3, 3)), S(g.invertible(2, 2, 2), "U")],
        around=_hermitian(_rebuilt),
    ),
    _row(
        L + "eigvalsh",
        lambda g: [S(g.invertible(3, 3)), S(g.invertible(2, 2))],
        around=_symmetrised,
    ),
    _row(L + "eig", lambda g: [S(g.invertible(3, 3))], around=_settled(_of_eig)),
    _row(
        L + "eigvals",
        lambda g: [S(g.invertible(3, 3)), S(g.invertible(2, 2, 2))],
        around=_sorted,
    ),
    _row(
        L + "svd",
        lambda g: [*_tall(g), S(_ranked(g, 4, 2), full_matrices=False)],
        around=_settled(_of_svd),
        grads=1,
    ),
    _row(L + "svdvals", _tall),
    _row(
        L + "qr",
        lambda g: [*_tall(g), S(_ranked(g, 4, 2), "reduced")],
        around=_settled(_of_qr),
        grads=1,
    ),
    _row(L + "lu", lambda g: [S(g.invertible(3, 3)), S(g.invertible(2, 2, 2))]),
    _row(L + "lu_factor", lambda g: [S(g.invertible(3, 3))]),
    _row(L + "lu_factor_ex", lambda g: [S(g.invertible(3, 3))]),
    _row("_lu_with_info", lambda g: [S(g.invertible(3, 3))]),
    _row(
        L + "lu_solve",
        lambda g: [
            S(*_factored(g), g(3, 2)),
            S(*_factored(g), g(2, 3), left=False),
            S(*_factored(g), g(3, 2), adjoint=True),
        ],
    ),
    _row(
        L + "ldl_factor", lambda g: [S(g.positive_definite(3, 3))], dtypes="f", grads=0
    ),
    _row(
        L + "ldl_factor_ex",
        lambda g: [S(g.positive_definite(3, 3))],
        dtypes="f",
        grads=0,
    ),
    _row(
        L + "ldl_solve",
        lambda g: [S(*_factored(g), g(3, 2, grad=False))],
        dtypes="f",
        grads=0,
    ),
    _row(L + "solve", _systems),
    _row(L + "solve_ex", _systems_ex),
    _row(L + "solve_triangular", _triangular),
    _row(L + "lstsq", _least_squares, grads=1, **_FIRST),
    _row(L + "householder_product", _reflectors, grads=1),
    _row(L + "matrix_norm", _matrix_norms, grads=1),
    _row(L + "norm", _norms, grads=1),
    _row(
        L + "cond",
        lambda g: [
            S(g.invertible(3, 3)),
            S(g.invertible(3, 3), "fro"),
            S(g.invertible(2, 2), 1),
        ],
        grads=1,
    ),
    _row(L + "matrix_rank", _ranks, grads=0),
    _row(L + "pinv", _pseudo, grads=1),
    _row(
        L + "tensorinv",
        lambda g: [S(g.of(g.invertible(4, 4).values.reshape(4, 2, 2)), ind=1)],
        grads=1,
    ),
    _row(
        L + "tensorsolve",
        lambda g: [S(g.of(g.invertible(4, 4).values.reshape(2, 2, 2, 2)), g(2, 2))],
        grads=1,
    ),
    _row(
        L + "multi_dot", lambda g: [S([g(2, 3), g(3, 4), g(4, 2)]), S([g(2), g(2, 3)])]
    ),
    _row(L + "matmul", lambda g: [S(g(2, 3), g(3, 2))], reference="np.matmul"),
    _row(L + "vecdot", lambda g: [S(g(2, 3), g(2, 3)), S(g(3, 2), g(3, 1), dim=0)]),
    _row(L + "vander", lambda g: [S(g(3)), S(g(2, 3), N=4)]),
    _row(
        L + "diagonal", lambda g: [S(g(3, 4)), S(g(2, 3, 4), offset=1, dim1=0, dim2=2)]
    ),
    # The same by their older names.
    _row(
        "cholesky",
        lambda g: [S(g.positive_definite(3, 3)), S(g.positive_definite(2, 2), True)],
        around=_symmetrised,
    ),
    _row("cholesky_solve", lambda g: [S(g(3, 2), _factor(g))], around=_lower(1)),
    _row("cholesky_inverse", lambda g: [S(_factor(g))], around=_lower(0)),
    _row("det", _square, reference="np.linalg.det"),
    _row("logdet", lambda g: [S(g.positive_definite(3, 3))]),
    _row("slogdet", _square),
    _row("inverse", _square, reference="np.linalg.inv"),
    _row("pinverse", lambda g: [S(_ranked(g, 4, 2))], grads=1),
    _row("matrix_exp", lambda g: [S(g.invertible(2, 2))]),
    _row(
        "qr",
        lambda g: [S(_ranked(g, 3, 3)), S(_ranked(g, 4, 2))],
        grads=1,
        around=_settled(_of_qr),
    ),
    _row(
        "svd",
        lambda g: [S(_ranked(g, 3, 3)), S(_ranked(g, 4, 2))],
        grads=1,
        around=_settled(_of_old_svd),
    ),
    _row("geqrf", lambda g: [S(_ranked(g, 3, 2))], grads=0),
    _row("orgqr", _reflectors, grads=1),
    _row("ormqr", lambda g: [S(*next(iter(_reflectors(g))).args, g(3, 2))], grads=1),
    _row("lu_solve", lambda g: [S(g(3, 2), *_factored(g))]),
    _row("lu_unpack", lambda g: [S(*_factored(g))]),
    _row("triangular_solve", _old_triangular),
    _row(
        "nuclear_norm", lambda g: [S(_ranked(g, 3, 3)), S(g(2, 3, 3), (1, 2))], grads=1
    ),
    _row("frobenius_norm", lambda g: [S(g(2, 3), (0, 1)), S(g(2, 3), (1,), True)]),
    _row("norm_except_dim", lambda g: [S(g(2, 3)), S(g(2, 3), 2, 1)], dtypes="f"),
]

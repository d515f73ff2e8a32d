"""torch.linalg: the operators ``linalg_*`` under their public names."""

from __future__ import annotations

from typing import Any

from dispatchtorch.errors import LinAlgError

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig",
    "eigh", "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor",
    "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve",
    "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot",
    "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd",
    "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from dispatchtorch.dispatch.operator import packets

    packet = packets.get(f"linalg_{name}")
    if packet is None or name.startswith("_"):
        raise AttributeError(f"module 'torch.linalg' has no attribute '{name}'")
    made = globals()[name] = packet.callable("function")
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

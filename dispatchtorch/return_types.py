"""``torch.return_types``: the classes of what operators with several results return.

Each is made when it is first named, of the operator's schema; that of its form with
``out=`` has a name of its own.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.lift.returns import named_returns

__all__ = [  # noqa: F822
    "all_return_types",
    "pytree_register_structseq",
]

#: Operators whose results have names (those with a form with `out=` first).
_WITH_OUT = (
    "aminmax cummax cummin frexp geqrf histogram kthvalue linalg_cholesky_ex linalg_eig "
    "linalg_eigh linalg_inv_ex linalg_ldl_factor linalg_ldl_factor_ex linalg_lstsq "
    "linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_qr linalg_slogdet "
    "linalg_solve_ex linalg_svd lu_unpack max median min mode nanmedian qr slogdet sort "
    "svd topk triangular_solve"
).split()
_NAMES = [*_WITH_OUT, *(f"{name}_out" for name in _WITH_OUT), "histogramdd"]
__all__ += _NAMES


def __getattr__(name: str) -> Any:
    if name == "all_return_types":
        return [__getattr__(each) for each in sorted(_NAMES)]
    if name not in _NAMES:
        raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'")
    from dispatchtorch.dispatch.operator import packets

    packet: Any = packets[name.removesuffix("_out")]
    fields = next(
        op.schema.return_names for op in packet.overloads if op.schema.return_names
    )
    made = globals()[name] = named_returns(name, fields)
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def pytree_register_structseq(cls: Any) -> None:
    """Nothing to do: trees of tensors know these classes."""

"""Ready-made parametrizations: orthogonal matrices, weight and spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn.modules.module import Module
from dispatchtorch.nn.utils import parametrize
from dispatchtorch.nn.utils.spectral_norm import (
    _as_matrix,
    _check_iterations,
    _default_dim,
    _random_unit_vectors,
    _unit,
)
from dispatchtorch.nn.utils.weight_norm import _norm_except, _normalized

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

_ORTHOGONAL_MAPS = ("matrix_exp", "cayley", "householder")


def _tensor_of(module: Module, name: str) -> Tensor:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(
            f"Module '{module}' has no parameter or buffer with name '{name}'"
        )
    return tensor


def _has_orthonormal_columns(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    eps = 10.0 * n * torch.finfo(q.dtype).eps
    identity = torch.eye(k, dtype=q.dtype, device=q.device)
    return torch.allclose(q.mH @ q, identity, atol=eps)


def _orthonormalized(a: Tensor) -> Tensor:
    """Q of the QR decomposition whose R has a positive diagonal."""
    q, r = torch.linalg.qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    """A matrix with orthonormal rows or columns, whichever are shorter.

    A triangle of the unconstrained matrix is mapped to the orthogonal group: its skew
    part by the exponential or the Cayley transform, or its columns as Householder
    reflections. With a trivialisation (Lezcano-Casado, "Trivializations for
    gradient-based optimization on manifolds", 2019) the map's value is multiplied by
    a fixed `base`, which assignment moves.
    """

    base: Tensor | None

    def __init__(
        self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError(
                "The householder parametrization does not support complex tensors."
            )
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        n, k = X.size(-2), X.size(-1)
        wide = n < k
        if wide:
            X, n, k = X.mT, k, n
        if self.orthogonal_map == "householder":
            q = self._reflections(X)
        else:
            lower = X.tril()
            if n != k:
                rest = lower.new_zeros(*lower.shape[:-1], n - k)
                lower = torch.cat([lower, rest], -1)
            q = self._rotation(lower - lower.mH)[..., :k]
        base = getattr(self, "base", None)
        if base is not None:
            q = base @ q
        return q.mT if wide else q

    def _rotation(self, skew: Tensor) -> Tensor:
        if self.orthogonal_map == "matrix_exp":
            return torch.matrix_exp(skew)
        identity = torch.eye(skew.size(-1), dtype=skew.dtype, device=skew.device)
        half = skew / 2
        return torch.linalg.solve(identity - half, identity + half)

    def _reflections(self, X: Tensor) -> Tensor:
        vectors = X.tril(diagonal=-1)
        tau = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
        signs = X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        return torch.linalg.householder_product(vectors, tau) * signs

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(
                "Expected a matrix or batch of matrices of shape "
                f"{self.shape}. Got a tensor of shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if hasattr(self, "base"):
            self.base = self._completed(tall)
            # Where every map gives the identity.
            origin = torch.zeros_like(Q)
            origin.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return origin
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the "
                "Cayley parametrizations when use_trivialization=False."
            )
        packed, tau = torch.geqrf(tall)
        diagonal = packed.diagonal(dim1=-2, dim2=-1)
        # LAPACK skips a reflection with tau = 0, `_reflections` makes it a sign.
        signs = diagonal.sign() * torch.where(tau == 0.0, -1.0, 1.0)
        diagonal.copy_(signs)
        return packed.mT if wide else packed

    def _completed(self, tall: Tensor) -> Tensor:
        """A square orthogonal matrix that begins with the columns of `tall`."""
        n, k = tall.size(-2), tall.size(-1)
        if n == k:
            if _has_orthonormal_columns(tall):
                return tall.clone()
            return _orthonormalized(tall)
        extra = torch.randn(
            *tall.shape[:-1], n - k, dtype=tall.dtype, device=tall.device
        )
        return _orthonormalized(torch.cat([tall, extra], -1))


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep the matrix (or batch of matrices) `name` of `module` orthogonal.

    A tall matrix gets orthonormal columns, a wide one orthonormal rows.
    `orthogonal_map` is "matrix_exp" (the default for square and complex matrices),
    "cayley" or "householder" (the default for the others). Raises ValueError for
    another map, for a vector, and for a complex tensor with "householder".
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            "Expected a matrix or batch of matrices. "
            f"Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = (
            "matrix_exp" if square or weight.is_complex() else "householder"
        )
    if orthogonal_map not in _ORTHOGONAL_MAPS:
        choices = ", ".join(f'"{m}"' for m in _ORTHOGONAL_MAPS)
        raise ValueError(
            f"orthogonal_map has to be one of {choices}. Got: {orthogonal_map}"
        )
    parametrization = _Orthogonal(
        weight, orthogonal_map, use_trivialization=use_trivialization
    )
    return parametrize.register_parametrization(
        module, name, parametrization, unsafe=True
    )


class _WeightNorm(Module):
    """w = g · v / ‖v‖ from (g, v)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return _normalized(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return _norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Decouple the magnitude (along `dim`) and direction of the tensor `name`.

    With `dim` None there is one magnitude for the whole tensor. State dicts of the
    hook-based `nn.utils.weight_norm` load into the result.
    """
    parametrization = _WeightNorm(dim)
    parametrize.register_parametrization(module, name, parametrization, unsafe=True)

    def accept_hook_based_names(
        state_dict: dict[str, Any], prefix: str, *rest: Any
    ) -> None:
        old = [f"{prefix}{name}_{part}" for part in "gv"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(accept_hook_based_names)
    return module


class _SpectralNorm(Module):
    """w / σ(w), with σ followed by power iteration; a vector is divided by its norm."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self,
        weight: Tensor,
        n_power_iterations: int = 1,
        dim: int = 0,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        rank = weight.ndim
        if not -rank <= dim < rank:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{rank}, {rank - 1}] but got {dim})"
            )
        _check_iterations(n_power_iterations)
        self.dim = dim % rank
        self.eps = eps
        if rank > 1:
            self.n_power_iterations = n_power_iterations
            matrix = _as_matrix(weight, self.dim)
            u, v = _random_unit_vectors(matrix, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            # A good start, so that a module put in eval mode at once is right too.
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        with torch.no_grad():
            for _ in range(iterations):
                self._u.copy_(_unit(torch.mv(matrix, self._v), self.eps))
                self._v.copy_(_unit(torch.mv(matrix.mH, self._u), self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return _unit(weight, self.eps)
        matrix = _as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Backward must see these values after the next update in place.
        u, v = self._u.clone(), self._v.clone()
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide the tensor `name` of `module` by its largest singular value.

    In training each use of the tensor makes `n_power_iterations` steps of the power
    iteration. `dim` is the dim of the outputs (by default 1 for transposed
    convolutions, else 0). Raises ValueError for a missing tensor or less than one
    iteration.
    """
    weight = _tensor_of(module, name)
    dim = _default_dim(module) if dim is None else dim
    parametrization = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, parametrization)

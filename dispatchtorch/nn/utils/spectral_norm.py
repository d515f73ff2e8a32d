"""Spectral normalisation by a forward pre-hook: w = w_orig / σ(w_orig).

Miyato et al., "Spectral normalization for generative adversarial networks" (2018).
The largest singular value σ is followed by power iteration on buffers `<name>_u` and
`<name>_v`. `parametrizations.spectral_norm` is the newer form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import dispatchtorch as torch
from dispatchtorch.nn.parameter import Parameter, UninitializedParameter
from dispatchtorch.nn.utils.weight_norm import _remove_hook

if TYPE_CHECKING:
    from dispatchtorch import Tensor
    from dispatchtorch.nn.modules.module import Module

    T_module = TypeVar("T_module", bound=Module)

__all__ = [
    "SpectralNorm",
    "SpectralNormLoadStateDictPreHook",
    "SpectralNormStateDictHook",
    "spectral_norm",
    "remove_spectral_norm",
]


def _unit(vector: Tensor, eps: float) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=0, eps=eps)


def _as_matrix(weight: Tensor, dim: int) -> Tensor:
    """`dim` first, the others flattened."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.reshape(weight.size(0), -1)


def _random_unit_vectors(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Starting points (u, v) of the power iteration."""
    u, v = (matrix.new_empty(size).normal_(0, 1) for size in matrix.shape)
    return _unit(u, eps), _unit(v, eps)


def _check_iterations(n_power_iterations: int) -> None:
    if n_power_iterations <= 0:
        raise ValueError(
            "Expected n_power_iterations to be positive, but "
            f"got n_power_iterations={n_power_iterations}"
        )


def _default_dim(module: Module) -> int:
    """Where a weight has its outputs: transposed convolutions have them second."""
    nn = torch.nn
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return 1 if isinstance(module, transposed) else 0


class SpectralNorm:
    """The hook: recomputes the weight, in training after some power iterations."""

    _version: int = 1

    def __init__(
        self,
        name: str = "weight",
        n_power_iterations: int = 1,
        dim: int = 0,
        eps: float = 1e-12,
    ) -> None:
        _check_iterations(n_power_iterations)
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """`weight` as a matrix whose rows are its outputs."""
        return _as_matrix(weight, self.dim)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The normalised weight; with iterations u and v are updated in place."""
        weight = getattr(module, self.name + "_orig")
        u = getattr(module, self.name + "_u")
        v = getattr(module, self.name + "_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with torch.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(_unit(torch.mv(matrix.t(), u), self.eps))
                    u.copy_(_unit(torch.mv(matrix, v), self.eps))
                # Backward must see these values after the next update in place.
                u, v = u.clone(), v.clone()
        return weight / torch.dot(u, torch.mv(matrix, v))

    def remove(self, module: Module) -> None:
        """Put the normalised weight back as a parameter."""
        with torch.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the weight ahead of `module`'s forward."""
        setattr(module, self.name, self.compute_weight(module, module.training))

    def _solve_v_and_rescale(
        self, weight_mat: Tensor, u: Tensor, target_sigma: Tensor
    ) -> Tensor:
        """The v for which uᵀ W v is `target_sigma` and W v is along u."""
        v = torch.mv(torch.linalg.pinv(weight_mat), u)
        return v * (target_sigma / torch.dot(u, torch.mv(weight_mat, v)))

    @staticmethod
    def apply(
        module: Module, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        """Rename the parameter `name` of `module`, add u and v, register the hooks."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    "Cannot register two spectral_norm hooks on the same parameter "
                    f"{name}"
                )
        fn = SpectralNorm(name, n_power_iterations, dim, eps)
        weight: Any = module._parameters[name]
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized "
                "parameters. Make sure to run the dummy forward before applying "
                "spectral normalization"
            )
        with torch.no_grad():
            u, v = _random_unit_vectors(fn.reshape_weight_to_matrix(weight), eps)
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        # A plain attribute: not a parameter, nor a tensor that autograd follows.
        setattr(module, name, weight.data)
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(fn)
        module._register_state_dict_hook(SpectralNormStateDictHook(fn))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(fn))
        return fn


class SpectralNormLoadStateDictPreHook:
    """Adds v to state dicts written before it was saved."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        fn = self.fn
        versions = local_metadata.get("spectral_norm", {})
        if (versions.get(fn.name + ".version") or 0) >= 1:
            return
        key = prefix + fn.name
        has_new = all(key + s in state_dict for s in ("_orig", "_u", "_v"))
        if has_new and key not in state_dict:
            return  # the present form, only without metadata
        missing = [key + s for s in ("_orig", "", "_u") if key + s not in state_dict]
        if missing:
            if strict:
                missing_keys.extend(missing)
            return
        with torch.no_grad():
            original = state_dict[key + "_orig"]
            sigma = (original / state_dict.pop(key)).mean()
            matrix = fn.reshape_weight_to_matrix(original)
            u = state_dict[key + "_u"]
            state_dict[key + "_v"] = fn._solve_v_and_rescale(matrix, u, sigma)


class SpectralNormStateDictHook:
    """Notes in the state dict's metadata that it has v."""

    def __init__(self, fn: SpectralNorm) -> None:
        self.fn = fn

    def __call__(
        self,
        module: Module,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
    ) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        key = self.fn.name + ".version"
        if key in versions:
            raise RuntimeError(f"Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = self.fn._version


def spectral_norm(
    module: T_module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> T_module:
    """Divide the parameter `name` by its largest singular value ahead of each forward.

    `dim` is the dim of the outputs (by default 1 for transposed convolutions, else 0).
    Raises KeyError for an unknown name, RuntimeError when applied twice, ValueError
    for less than one iteration.
    """
    dim = _default_dim(module) if dim is None else dim
    SpectralNorm.apply(module, name, n_power_iterations, dim, eps)
    return module


def remove_spectral_norm(module: T_module, name: str = "weight") -> T_module:
    """Undo `spectral_norm`, keeping the value; ValueError where there is none."""
    _remove_hook(module, name, SpectralNorm, "spectral_norm")
    for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
        for key, hook in list(hooks.items()):
            fn = getattr(getattr(hook, "hook", hook), "fn", None)
            if isinstance(fn, SpectralNorm) and fn.name == name:
                del hooks[key]
    return module

"""Pruning: masks over parameters, chosen at random or by importance.

A pruned parameter `<name>` becomes `<name>_orig` and a buffer `<name>_mask`, whose
product a forward pre-hook sets as the attribute `<name>`. Follows the PyTorch page
`torch.nn.utils.prune`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor
    from dispatchtorch.nn.modules.module import Module

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A way of choosing a mask, and the forward pre-hook that applies it.

    A subclass has a `PRUNING_TYPE` ("unstructured", "structured" or "global", which
    says what part of an already pruned tensor it looks at) and `compute_mask`.
    """

    _tensor_name: str
    PRUNING_TYPE: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the pruned tensor ahead of `module`'s forward."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask for `t`, whose size it has, no less sparse than `default_mask`."""

    def apply_mask(self, module: Module) -> Tensor:
        """The product of the original parameter and the mask."""
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune the parameter `name` of `module`, on top of what was pruned before.

        Further arguments are the constructor's. The mask is computed from
        `importance_scores`, or from the parameter itself when left out.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        old_key: Any = None
        old: BasePruningMethod | None = None
        for key, hook in module._forward_pre_hooks.items():
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                old_key, old = key, hook
        if old is not None:
            container = (
                old if isinstance(old, PruningContainer) else PruningContainer(old)
            )
            container = PruningContainer(*container, method)
            default_mask = getattr(module, name + "_mask").detach().clone()
            method = container
        else:
            default_mask = torch.ones_like(getattr(module, name))
        # With what was pruned before, the importance is that of the pruned tensor.
        current = getattr(module, name)
        if importance_scores is None:
            importance_scores = current.detach()
        elif importance_scores.shape != current.shape:
            raise AssertionError(
                "importance_scores should have the same shape as parameter "
                f"{name} of {module}, got {importance_scores.shape} vs "
                f"{current.shape}"
            )
        # Before the module is touched: a method that raises leaves it as it was.
        mask = method.compute_mask(importance_scores, default_mask=default_mask)
        if old is None:
            del module._parameters[name]
            module.register_parameter(name + "_orig", current)
        else:
            del module._forward_pre_hooks[old_key]
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """`t` with the mask applied that `compute_mask` gives, no module involved."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                "importance_scores should have the same shape as tensor t, got "
                f"{importance_scores.shape} vs {t.shape}"
            )
        if default_mask is None:
            default_mask = torch.ones_like(t)
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned values the parameter again; the zeros stay."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        original: Any = module._parameters[name + "_orig"]
        # The same object, so that optimisers that hold it keep working.
        original.data = weight.data
        if hasattr(module, name):
            delattr(module, name)
        del module._parameters[name + "_orig"]
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Pruning methods applied to one parameter one after the other."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Append `method`. TypeError for another type, ValueError for another name."""
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. "
                f"Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The last method's mask over what `default_mask` leaves, and `default_mask`.

        ValueError for an unknown `PRUNING_TYPE`.
        """
        method: Any = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype).clone()
        if method.PRUNING_TYPE == "unstructured":
            part: Any = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t.dim()
            others = [d for d in range(t.dim()) if d != dim]
            left = mask.sum(dim=others) != 0
            part = (slice(None),) * dim + (left,)
        elif method.PRUNING_TYPE == "global":
            part = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        partial = method.compute_mask(t[part], default_mask=mask[part])
        mask[part] = partial.to(dtype=mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but gives the parameter its mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> BasePruningMethod:  # type: ignore[override]
        """Give the parameter `name` of `module` a mask of ones."""
        return super().apply(module, name)


class _ByAmount(BasePruningMethod):
    """A method that prunes a share (float) or number (int) of entries or channels."""

    def __init__(self, amount: int | float) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, available: int) -> int:
        count = _compute_nparams_toprune(self.amount, available)
        _validate_pruning_amount(count, available)
        return count


class RandomUnstructured(_ByAmount):
    """Prunes entries drawn at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.nelement())
        if count == 0:
            return default_mask.clone()
        return _without_top(torch.rand_like(t), default_mask, count, largest=True)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: int | float
    ) -> BasePruningMethod:
        """Prune `amount` of the entries of the parameter `name` of `module`."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_ByAmount):
    """Prunes the entries of least absolute value."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.nelement())
        return _without_top(torch.abs(t), default_mask, count, largest=False)

    @classmethod
    def apply(  # type: ignore[override]
        cls,
        module: Module,
        name: str,
        amount: int | float,
        importance_scores: Tensor | None = None,
    ) -> BasePruningMethod:
        """Prune `amount` of the entries of the parameter `name` of `module`."""
        return super().apply(
            module, name, amount=amount, importance_scores=importance_scores
        )


class RandomStructured(_ByAmount):
    """Prunes channels along `dim` drawn at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        size = _channels(t, self.dim)
        count = self._count(size)
        if count == 0:
            return default_mask
        scores = torch.rand(size)
        keep = scores > torch.kthvalue(scores, k=count).values
        return default_mask * _along(keep.to(t), t.dim(), self.dim)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: int | float, dim: int = -1
    ) -> BasePruningMethod:
        """Prune `amount` of the channels of the parameter `name` of `module`."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_ByAmount):
    """Prunes the channels along `dim` of least `n`-norm."""

    PRUNING_TYPE = "structured"

    def __init__(
        self, amount: int | float, n: int | float | str, dim: int = -1
    ) -> None:
        super().__init__(amount)
        self.n = n
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        size = _channels(t, self.dim)
        count = self._count(size)
        if count == 0:
            return default_mask
        best = torch.topk(_compute_norm(t, self.n, self.dim), k=size - count).indices
        keep = torch.zeros(size, dtype=t.dtype, device=t.device)
        keep[best] = 1
        return default_mask * _along(keep, t.dim(), self.dim)

    @classmethod
    def apply(  # type: ignore[override]
        cls,
        module: Module,
        name: str,
        amount: int | float,
        n: int | float | str,
        dim: int,
        importance_scores: Tensor | None = None,
    ) -> BasePruningMethod:
        """Prune `amount` of the channels of the parameter `name` of `module`."""
        return super().apply(
            module,
            name,
            amount=amount,
            n=n,
            dim=dim,
            importance_scores=importance_scores,
        )


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match "
                f"self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, mask: Tensor
    ) -> BasePruningMethod:
        """Prune the parameter `name` of `module` by `mask`."""
        return super().apply(module, name, mask=mask)


def _without_top(
    scores: Tensor, default_mask: Tensor, count: int, largest: bool
) -> Tensor:
    """`default_mask` without the `count` entries of largest or smallest score."""
    mask = default_mask.clone()
    if count:
        top = torch.topk(scores.reshape(-1), k=count, largest=largest)
        mask.view(-1)[top.indices] = 0
    return mask


def _channels(t: Tensor, dim: int) -> int:
    """How many channels `t` has along `dim`, after checking that it has any."""
    _validate_structured_pruning(t)
    _validate_pruning_dim(t, dim)
    return t.shape[dim]


def _along(channels: Tensor, rank: int, dim: int) -> Tensor:
    shape = [1] * rank
    shape[dim] = -1
    return channels.view(shape)


def identity(module: Module, name: str) -> Module:
    """Give the parameter `name` of `module` a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: int | float) -> Module:
    """Prune entries of the parameter `name` of `module` drawn at random.

    `amount` is a share in [0, 1] (float) or a number (int); ValueError beyond.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module,
    name: str,
    amount: int | float,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the entries of least magnitude or score; see `random_unstructured`."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(
    module: Module, name: str, amount: int | float, dim: int
) -> Module:
    """Prune channels along `dim` drawn at random; see `random_unstructured`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: int | float,
    n: int | float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the channels along `dim` of least `n`-norm; see `random_unstructured`.

    `n` is what `torch.norm` takes as `p`; the norms are those of
    `importance_scores` where given.
    """
    LnStructured.apply(
        module, name, amount, n, dim, importance_scores=importance_scores
    )
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one vector.

    `parameters` are pairs (module, name), `kwargs` the arguments of `pruning_method`,
    which must be unstructured, else TypeError.
    """
    pairs = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    tensors = [getattr(module, name) for module, name in pairs]
    ranked = [
        scores.get((module, name), tensor)
        for (module, name), tensor in zip(pairs, tensors)
    ]
    masks = [
        getattr(module, name + "_mask", torch.ones_like(tensor))
        for (module, name), tensor in zip(pairs, tensors)
    ]
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for '
            f"the `pruning_method`. Found method {pruning_method} of type "
            f"{method.PRUNING_TYPE}"
        )
    container = PruningContainer(method)
    mask = container.compute_mask(
        torch.cat([r.reshape(-1) for r in ranked]),
        default_mask=torch.cat([m.reshape(-1) for m in masks]),
    )
    parts = mask.split([tensor.numel() for tensor in tensors])
    for (module, name), tensor, part in zip(pairs, tensors, parts):
        custom_from_mask(module, name, mask=part.view(tensor.shape))


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune the parameter `name` of `module` where `mask`, of its shape, is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Make the pruned values of `name` the parameter; ValueError if it isn't pruned."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned "
        "before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of `module` or of a submodule is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for submodule in module.modules()
        for hook in submodule._forward_pre_hooks.values()
    )


def _validate_pruning_amount_init(amount: Any) -> None:
    if not isinstance(amount, (int, float)):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (isinstance(amount, float) and amount > 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the "
            "range [0, 1] or a non-negative integer"
        )


def _validate_pruning_amount(amount: int | float, tensor_size: int) -> None:
    if isinstance(amount, int) and amount > tensor_size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of "
            f"parameters to prune={tensor_size}"
        )


def _compute_nparams_toprune(amount: int | float, tensor_size: int) -> int:
    return amount if isinstance(amount, int) else round(amount * tensor_size)


def _validate_structured_pruning(t: Tensor) -> None:
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to "
            f"multidimensional tensors. Found tensor of shape {t.shape} "
            f"with {t.dim()} dims"
        )


def _validate_pruning_dim(t: Tensor, dim: int) -> None:
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _compute_norm(t: Tensor, n: int | float | str, dim: int) -> Tensor:
    """The `n`-norm of each slice of `t` along `dim`."""
    others = [d for d in range(t.dim()) if d != dim % t.dim()]
    return torch.norm(t, p=n, dim=others)  # type: ignore[arg-type]

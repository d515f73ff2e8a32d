"""Calling a module with other tensors in the place of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor
    from dispatchtorch.nn.modules.module import Module

__all__ = ["functional_call"]

_ABSENT: Any = object()


def _named_tensors(module: Module) -> dict[str, Tensor]:
    """All parameters and buffers under every name they have."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _with_tied(module: Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` with every other name of the tensors that they replace."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in _named_tensors(module).items():
        names_of.setdefault(id(tensor), []).append(name)
    extended = dict(tensors)
    for names in names_of.values():
        given = sorted(name for name in names if name in tensors)
        if not given:
            continue
        if any(tensors[name] is not tensors[given[0]] for name in given):
            raise ValueError(
                f"functional_call got multiple values for keys {given}, "
                "which are tied. Consider using tie_weights=False"
            )
        extended.update(dict.fromkeys(names, tensors[given[0]]))
    return extended


def _check_keys(module: Module, tensors: dict[str, Tensor]) -> None:
    have = _named_tensors(module).keys()
    problems = ""
    for what, names in (
        ("Unexpected", tensors.keys() - have),
        ("Missing", have - tensors.keys()),
    ):
        if names:
            listed = ", ".join(repr(name) for name in sorted(names))
            problems += f"\n\t{what} key(s): {listed}."
    if problems:
        raise RuntimeError(
            f"Error(s) in reparametrizing for {type(module).__name__}:{problems}"
        )


def _swap(owner: Module, name: str, value: Any) -> Any:
    """Put `value` at `name` and return what was there; `_ABSENT` for nothing."""
    if not name:
        raise KeyError('tensor name can\'t be empty string ""')
    for held in (owner._parameters, owner._buffers):
        if name in held:
            replaced, held[name] = held[name], value  # type: ignore[index, assignment]
            return replaced
    before = getattr(owner, name, _ABSENT)
    if before is not _ABSENT and not isinstance(before, (torch.Tensor, type(None))):
        raise TypeError(
            f"attribute `{name}`: {before} is not an instance of torch.Tensor"
        )
    if value is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    return before


@contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
) -> Iterator[None]:
    """Within this context `module` has the given tensors in the place of its own.

    Afterwards the dict holds what the module then had under its names, so that it
    shows buffers that were updated.
    """
    tensors = parameters_and_buffers
    if tie_weights:
        tensors = _with_tied(module, tensors)
    if strict:
        _check_keys(module, tensors)
    swapped: list[tuple[str, Module, str, Any]] = []
    try:
        for path, tensor in tensors.items():
            if tensor is not None and not isinstance(tensor, torch.Tensor):
                raise TypeError(f"{tensor} is not an instance of torch.Tensor")
            prefix, _, name = path.rpartition(".")
            owner = module.get_submodule(prefix)
            swapped.append((path, owner, name, _swap(owner, name, tensor)))
        yield
    finally:
        # Last first: the same place may have been swapped under two names.
        after = {}
        for path, owner, name, before in reversed(swapped):
            after[path] = _swap(owner, name, before)
        for path in parameters_and_buffers:
            if path in after:
                parameters_and_buffers[path] = after[path]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Deprecated name of `torch.func.functional_call`."""
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead "
        "which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module,
        parameters_and_buffers,
        args,
        kwargs,
        tie_weights=tie_weights,
        strict=strict,
    )


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with other tensors in the place of its own.

    `parameters_and_buffers` is by name; the names left out keep the module's tensors.
    With `tie_weights` tensors that the module has under two names stay one. Raises
    RuntimeError, if `strict`, for missing or unknown names, ValueError for different
    values of tied names.
    """
    if isinstance(module, getattr(torch.nn, "DataParallel", ())):
        raise RuntimeError(
            "The stateless API can't be used with nn.DataParallel module"
        )
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(
        module, parameters_and_buffers, tie_weights=tie_weights, strict=strict
    ):
        return module(*args, **({} if kwargs is None else kwargs))

"""Data parallelism: a batch split over devices, each with a replica of the module.

Copying is a differentiable operator, so gradients find their way back to the original
parameters by themselves. Replicas run one after the other; devices that work
asynchronously overlap all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.nn.modules.module import Module

if TYPE_CHECKING:
    Device = int | torch.device

__all__ = [
    "DataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


def _device(device: Any) -> torch.device:
    """The device in full; an index names one of the accelerator in use."""
    return torch.empty(0, device=device).device


def _all_devices() -> list[int]:
    """The indices of the accelerator's devices; none where there is no accelerator."""
    if torch.accelerator.is_available():
        return list(range(torch.accelerator.device_count()))
    return []


def scatter(inputs: Any, target_gpus: Sequence[Device], dim: int = 0) -> Any:
    """``inputs`` for each device: tensors are split along ``dim``, containers item by
    item, anything else is repeated. The last devices get nothing when there isn't
    enough for all."""
    if isinstance(inputs, Tensor):
        chunks = inputs.chunk(len(target_gpus), dim)
        return tuple(
            chunk.to(_device(d)) for chunk, d in zip(chunks, target_gpus, strict=False)
        )
    if isinstance(inputs, (tuple, list)) and inputs:
        make = getattr(type(inputs), "_make", type(inputs))
        parts = [scatter(item, target_gpus, dim) for item in inputs]
        return [make(items) for items in zip(*parts, strict=False)]
    if isinstance(inputs, dict) and inputs:
        columns = [scatter(value, target_gpus, dim) for value in inputs.values()]
        return [
            type(inputs)(zip(inputs, values, strict=True))
            for values in zip(*columns, strict=False)
        ]
    return [inputs for _ in target_gpus]


def gather(outputs: Sequence[Any], target_device: Device, dim: int = 0) -> Any:
    """The outputs of several devices as one, on ``target_device``: tensors are
    concatenated along ``dim``, scalars stacked, containers joined item by item."""
    first = outputs[0]
    if isinstance(first, Tensor):
        moved = [o.to(_device(target_device)) for o in outputs]
        if first.dim() == 0:
            moved = [t.unsqueeze(0) for t in moved]
        return torch.cat(moved, dim if first.dim() else 0)
    if first is None:
        return None
    if isinstance(first, dict):
        if any(len(o) != len(first) for o in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)(
            (key, gather([o[key] for o in outputs], target_device, dim))
            for key in first
        )
    make = getattr(type(first), "_make", type(first))
    return make(
        [gather(items, target_device, dim) for items in zip(*outputs, strict=True)]
    )


def replicate(
    network: Module, devices: Sequence[Device], detach: bool = False
) -> list[Module]:
    """One copy of ``network`` for each device. Parameters of a copy are computed from
    the original's (unless ``detach``), so they aren't parameters of the copy itself."""
    return [_replica(network, _device(d), detach, {}) for d in devices]


def _replica(
    module: Module, device: torch.device, detach: bool, known: dict[Any, Any]
) -> Module:
    if module in known:
        return known[module]
    copy = known[module] = module.__new__(type(module))
    state = copy.__dict__
    state.update(module.__dict__)
    for name in ("_parameters", "_buffers"):
        state[name] = {
            key: tensor if tensor is None else _moved(tensor, device, detach, known)
            for key, tensor in state[name].items()
        }
    state["_modules"] = {
        key: child if child is None else _replica(child, device, detach, known)
        for key, child in module._modules.items()
    }
    return copy


def _moved(
    tensor: Tensor, device: torch.device, detach: bool, known: dict[Any, Any]
) -> Tensor:
    if tensor not in known:  # tied tensors stay tied
        known[tensor] = (tensor.detach() if detach else tensor).to(device)
    return known[tensor]


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Device] | None = None,
) -> list[Any]:
    """The output of each module for its own inputs and keyword arguments."""
    all_kwargs = kwargs_tup if kwargs_tup is not None else [{} for _ in modules]
    return [
        module(*(args if isinstance(args, (tuple, list)) else (args,)), **kwargs)
        for module, args, kwargs in zip(modules, inputs, all_kwargs, strict=True)
    ]


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Device] | None = None,
    output_device: Device | None = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Calls ``module`` with its inputs split along ``dim`` over the devices.

    The module has to be on the first of them. ``output_device`` is the first by
    default.
    """
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    kwargs = module_kwargs or {}
    devices = _all_devices() if device_ids is None else list(device_ids)
    if not devices:
        return module(*args, **kwargs)
    first = _device(devices[0])
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device != first:
            raise RuntimeError(
                "module must have its parameters and buffers on device "
                f"{first} (device_ids[0]) but found one of them on device: "
                f"{tensor.device}"
            )
    many_args = scatter(args, devices, dim) if args else [()]
    many_kwargs = scatter(kwargs, devices, dim) if kwargs else [{} for _ in many_args]
    many_args += [()] * (len(many_kwargs) - len(many_args))
    many_kwargs += [{}] * (len(many_args) - len(many_kwargs))
    used = devices[: len(many_args)]
    if len(used) == 1:
        return module(*many_args[0], **many_kwargs[0])
    outputs = parallel_apply(replicate(module, used), many_args, many_kwargs, used)
    return gather(outputs, devices[0] if output_device is None else output_device, dim)


class DataParallel(Module):
    """Calls a module with its inputs split along ``dim`` over several devices.

    Args:
        module: must be on the first device.
        device_ids: all devices of the accelerator if None. Without an accelerator the
            module is called as it is.
        output_device: the first device if None.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Device] | None = None,
        output_device: Device | None = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = _all_devices() if device_ids is None else list(device_ids)
        if not self.device_ids:
            return
        self.output_device = (
            self.device_ids[0] if output_device is None else output_device
        )
        self.dim = dim
        if len(self.device_ids) == 1:
            module.to(_device(self.device_ids[0]))

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        return data_parallel(
            self.module, inputs, self.device_ids, self.output_device, self.dim, kwargs
        )

"""Which kernels attention may run on, and biases that stand for masks."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = [
    "WARN_FOR_UNFUSED_KERNELS",
    "SDPBackend",
    "activate_flash_attention_impl",
    "current_flash_attention_impl",
    "list_flash_attention_impls",
    "register_flash_attention_impl",
    "restore_flash_attention_impl",
    "sdpa_kernel",
]

#: Kept for programs that set it: devices here decline calls without a warning.
WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """The kernels of ``scaled_dot_product_attention`` that PyTorch tells apart."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    __str__ = enum.Enum.__str__


#: The switch of each kernel in torch.backends.cuda.
_SWITCHES = {
    SDPBackend.CUDNN_ATTENTION: "cudnn",
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "mem_efficient",
    SDPBackend.MATH: "math",
}


def _cur_sdpa_kernel_backends(with_priority: bool = False) -> list[SDPBackend]:
    """The kernels that are switched on."""
    from dispatchtorch.backends import cuda

    on = [
        each
        for each, name in _SWITCHES.items()
        if getattr(cuda, f"{name}_sdp_enabled")()
    ]
    return [*on, SDPBackend.OVERRIDEABLE]


@contextlib.contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[dict[Any, Any]]:
    """A block in which attention may use these kernels and no others.

    Devices read the switches in ``torch.backends.cuda``; one that has a single kernel
    uses that. ``set_priority`` orders the kernels where a device has several.
    """
    from dispatchtorch.backends import cuda

    wanted: Any = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(wanted, Iterable) or not all(
        isinstance(each, SDPBackend) for each in wanted
    ):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend "
            f"instances, got {type(backends).__name__}"
        )
    chosen = set(wanted)
    before = {n: getattr(cuda, f"{n}_sdp_enabled")() for n in _SWITCHES.values()}
    for backend, name in _SWITCHES.items():
        getattr(cuda, f"enable_{name}_sdp")(backend in chosen)
    try:
        yield {}
    finally:
        for name, value in before.items():
            getattr(cuda, f"enable_{name}_sdp")(value)


# Further implementations of flash attention, which libraries may register.

_implementations: dict[str, Callable[..., Any]] = {}
_active: tuple[str, Any] | None = None


def register_flash_attention_impl(
    impl: str, *, register_fn: Callable[..., Any]
) -> None:
    """Makes ``register_fn`` what activating ``impl`` calls; it returns a handle."""
    _implementations[impl] = register_fn


def activate_flash_attention_impl(impl: str) -> None:
    """Registers the kernels of an implementation in place of the present ones."""
    global _active
    if impl not in _implementations:
        raise ValueError(
            f"Unknown flash attention impl '{impl}'. Available implementations: "
            f"{list_flash_attention_impls()}"
        )
    if _active is not None and _active[0] == impl:
        return
    restore_flash_attention_impl(_raise_warn=False)
    _active = impl, _implementations[impl]()


def list_flash_attention_impls() -> list[str]:
    """The names that have been registered."""
    return sorted(_implementations)


def current_flash_attention_impl() -> str | None:
    """The name of the implementation that was activated."""
    return None if _active is None else _active[0]


def restore_flash_attention_impl(_raise_warn: bool = True) -> None:
    """Goes back to the devices' own kernels."""
    global _active
    if _active is not None:
        handle, _active = _active[1], None
        if hasattr(handle, "remove"):
            handle.remove()
    elif _raise_warn:
        import warnings

        warnings.warn("no flash attention implementation is active", stacklevel=2)

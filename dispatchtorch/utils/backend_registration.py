"""PyTorch's door for one more device, which here says where the door for any number is."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["generate_methods_for_privateuse1_backend", "rename_privateuse1_backend"]

_INSTEAD = (
    "there is no PrivateUse1 slot to {}: a device is a plugin under a name of its own, "
    "and any number of them live side by side; see docs/plugins.md and "
    "dispatchtorch.backend.Backend"
)


def rename_privateuse1_backend(backend_name: str) -> NoReturn:
    """NotImplementedError, which says what to do instead."""
    raise NotImplementedError(_INSTEAD.format(f"call {backend_name!r}"))


def generate_methods_for_privateuse1_backend(
    for_tensor: bool = True,
    for_module: bool = True,
    for_packed_sequence: bool = True,
    for_storage: bool = False,
    unsupported_dtype: Any = None,
) -> NoReturn:
    """NotImplementedError: every plugin's device has its methods and its namespace."""
    raise NotImplementedError(_INSTEAD.format("generate methods for"))

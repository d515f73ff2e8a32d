"""Layers: middleware that runs when a kernel is bound, not when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dispatchtorch.dispatch import keys as _keys

if TYPE_CHECKING:
    from dispatchtorch.dispatch.operator import Operator

__all__ = ["Layer", "LayerHandle", "layers_for", "register_layer", "registered_layers"]

Kernel = Callable[..., Any]


class Layer:
    """A cross-cutting feature of dispatch.

    ``name`` names the layer's bit. ``order`` places it: layers with a higher order lie
    further out (autograd is 40, in-place and view bookkeeping 20, the device 0). A layer
    takes part in a call when its bit is in the call's keyset: because an operand carries
    it, because the thread switched it on (``with layer.enabled():``), or, for layers
    with ``always = True``, in every call.
    """

    name: str = ""
    order: int = 50
    always: bool = False
    #: Whether the layer never calls the kernel below, which needn't be bound then.
    replaces: bool = False

    @property
    def key(self) -> int:
        """This layer's bit."""
        return _keys.allocate("layer", self.name)

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        """The kernel for ``op`` under ``keys``, given the layers below as ``inner``.

        Runs once for each keyset. Kernels take the schema's arguments positionally.
        Returning ``inner`` costs a call nothing.
        """
        raise NotImplementedError(f"layer {self.name!r} doesn't implement bind()")

    def describe(self, op: Operator, keys: int) -> str:
        """What this layer does to ``op``: one line for ``dispatchtorch explain``."""
        return type(self).__name__

    def enabled(self) -> _Enabled:
        """A block in which this thread's calls pass through the layer."""
        return _Enabled(self.key)

    def disabled(self) -> Any:
        """A block in which this thread's calls skip the layer."""
        from dispatchtorch.dispatch.state import exclude

        return exclude(self.key)


class _Enabled:
    __slots__ = ("before", "key")

    def __init__(self, key: int) -> None:
        self.key = key

    def __enter__(self) -> None:
        from dispatchtorch.dispatch import state

        self.before = state.update(state.tls.mask, state.tls.include | self.key)

    def __exit__(self, *exc_info: object) -> None:
        from dispatchtorch.dispatch import state

        state.update(*self.before)


class LayerHandle:
    """The registration of a layer; ``remove()`` undoes it."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def remove(self) -> None:
        from dispatchtorch.dispatch.operator import changing_registry

        with changing_registry():
            if self.layer in _layers:
                _layers.remove(self.layer)


_layers: list[Layer] = []


def register_layer(layer: Layer) -> LayerHandle:
    """Adds a layer; every operator binds anew. Raises ValueError for a name in use."""
    from dispatchtorch.dispatch.operator import changing_registry

    if not layer.name:
        raise ValueError(f"{type(layer).__name__} has no name")
    if any(other.name == layer.name for other in _layers):
        raise ValueError(f"a layer named {layer.name!r} is registered already")
    layer.key  # noqa: B018 - allocates the bit before any call can carry it
    with changing_registry():
        _layers.append(layer)
        _layers.sort(key=lambda each: each.order)
    return LayerHandle(layer)


def registered_layers() -> list[Layer]:
    """All layers, innermost first."""
    return list(_layers)


def layers_for(keys: int) -> list[Layer]:
    """The layers that take part in a call with ``keys``, innermost first."""
    return [layer for layer in _layers if layer.always or keys & layer.key]

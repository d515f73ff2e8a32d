"""Views in place: methods by which a tensor itself changes its shape."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.keys import VIEW
from dispatchtorch.tensor import Tensor

__all__: list[str] = []


def _view_in_place(name: str) -> None:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        from dispatchtorch.autograd.views import check_inplace

        check_inplace(self)
        seen = getattr(self, name)(*args, **kwargs)
        self._data, self._edge, self._keys = seen._data, seen._edge, seen._keys
        if self._base is None:
            self._keys = seen._keys & ~VIEW
        self._ver[0] += 1
        return self

    method.__name__, method.__qualname__ = f"{name}_", f"Tensor.{name}_"
    method.__doc__ = f"As ``{name}``, changing the tensor itself."
    setattr(Tensor, f"{name}_", method)


for _name in (
    "unsqueeze",
    "squeeze",
    "transpose",
    "t",
    "swapaxes",
    "swapdims",
    "as_strided",
):
    _view_in_place(_name)

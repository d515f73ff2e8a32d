"""Devices as values: a type's name and an index. No device is known by name here."""

from __future__ import annotations

from typing import Any

__all__ = ["device", "registry"]


class _Registry:
    """What the floor above tells this one: which device types there are."""

    __slots__ = ("accelerator", "check", "known")

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.check: Any = None  # raises for a type that no plugin provides
        self.accelerator: Any = None  # () -> the type that a bare index means


registry = _Registry()


_NOTHING: Any = object()


def _not_a_device(given: Any) -> TypeError:
    kind = "" if given is _NOTHING else given.__class__.__name__
    wrong = (
        "      didn't match because some of the arguments have invalid types: "
        f"(!{kind}!)\n"
    )
    return TypeError(
        f"device() received an invalid combination of arguments - got ({kind}), but "
        "expected one of:\n * (torch.device device)\n"
        f"{wrong if kind else ''} * (str type, int index = -1)\n"
    )


class device:
    """``torch.device("cpu")``, ``device("npu:1")``, ``device("npu", 1)``.

    Raises RuntimeError for a device type that no installed plugin provides.
    """

    __slots__ = ("_saved", "index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any = _NOTHING, index: int | None = None) -> None:
        if isinstance(type, device):
            name, found = type.type, type.index
        elif isinstance(type, str):
            name, _, number = type.partition(":")
            if not type:
                raise RuntimeError("Device string must not be empty")
            if index is not None and not isinstance(index, int):
                raise TypeError(
                    "device(): argument 'index' (position 2) must be int, not "
                    f"{index.__class__.__name__}"
                )
            if number and index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed "
                    f"explicitly: {type}"
                )
            found = _parse_index(type, number) if number or ":" in type else None
        elif isinstance(type, int) and not isinstance(type, bool):
            name, found = registry.accelerator(), type
        else:
            raise _not_a_device(type)
        if index is not None:
            if index < 0:
                raise RuntimeError(f"Device index must not be negative, got {index}")
            found = index
        if name not in registry.known:
            if registry.check is not None:
                registry.check(name)
            registry.known.add(name)
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", found)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"attribute '{name}' of 'torch.device' objects is not writable"
        )

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, device)
            and other.type == self.type
            and other.index == self.index
        )

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.type,) if self.index is None else (self.type, self.index)
        return device, args

    def __copy__(self) -> device:
        return self

    def __deepcopy__(self, memo: object) -> device:
        return self

    def __enter__(self) -> device:
        """Makes this the device of tensors that factories make in the block."""
        from dispatchtorch.dispatch import state

        stack = state.tls.devices
        state.tls.devices = (*stack, self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        from dispatchtorch.dispatch import state

        state.tls.devices = state.tls.devices[:-1]


def _parse_index(text: str, number: str) -> int:
    if not number.isdigit() or (len(number) > 1 and number[0] == "0"):
        raise RuntimeError(f"Invalid device string: '{text}'")
    return int(number)

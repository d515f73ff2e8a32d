"""Which device a storage came from, and where ``map_location`` has it go.

A location is a device as a string. The registry of (tag, restore) pairs is PyTorch's
``register_package``; all devices share one entry in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
from dispatchtorch._storage.typed import TypedStorage
from dispatchtorch._storage.untyped import UntypedStorage

__all__ = [
    "default_restore_location",
    "is_meta",
    "location_tag",
    "register_package",
    "restorer",
]

Tagger = Callable[[Any], "str | None"]
Deserializer = Callable[[Any, str], Any]
Restore = Callable[[Any, str], Any]

_packages: list[tuple[int, Tagger, Deserializer]] = []


def register_package(priority: int, tagger: Tagger, deserializer: Deserializer) -> None:
    """Adds a pair of functions that know where storages lie; the lowest priority goes
    first.

    Args:
        tagger: the location of a storage as a string, or None if it doesn't know.
        deserializer: the storage moved to a location, or None if it doesn't know it.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def location_tag(storage: Any) -> str:
    """Where ``storage`` lies: ``"cpu"``, ``"npu:1"``. RuntimeError if nobody knows."""
    for _, tagger, _ in _packages:
        tag = tagger(storage)
        if tag:
            return tag
    raise RuntimeError(
        f"don't know how to determine data location of {_typename(storage)}"
    )


def default_restore_location(storage: Any, location: str) -> Any:
    """``storage`` moved to ``location``. RuntimeError if nobody knows the place."""
    for _, _, deserializer in _packages:
        result = deserializer(storage, location)
        if result is not None:
            return result
    cause: Exception | None = None
    try:
        torch.device(location)
    except (RuntimeError, TypeError) as error:
        cause = error  # it may say which plugin is missing
    raise RuntimeError(
        f"don't know how to restore data location of {_typename(storage)} (tagged with "
        f"{location})"
    ) from cause


def _typename(storage: Any) -> str:
    kind = TypedStorage if isinstance(storage, TypedStorage) else UntypedStorage
    return f"torch.storage.{kind.__name__}"


def _device_tag(storage: Any) -> str:
    return sys.intern(str(storage.device))  # one object: pickled once


def _device_restore(storage: Any, location: str) -> Any:
    try:
        device = torch.device(location)
    except (RuntimeError, TypeError):
        return None
    if device == storage.device:
        return storage
    check_available(device)
    return storage.to(device=device)


def check_available(device: Any) -> None:
    """RuntimeError, saying what to do, where tensors can't be made on ``device``."""
    try:
        torch.empty(0, dtype=torch.uint8, device=device)
    except Exception as error:
        name = device.type
        raise RuntimeError(
            f"Attempting to deserialize object on a {name.upper()} device but "
            f"torch.{name}.is_available() is False. If you are running on a CPU-only "
            "machine, please use torch.load with map_location=torch.device('cpu') to "
            "map your storages to the CPU."
        ) from error


register_package(10, _device_tag, _device_restore)


def restorer(map_location: Any) -> Restore:
    """The function (storage, location) -> storage that ``map_location`` means."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(
            storage, str(map_location.get(location, location))
        )
    if isinstance(map_location, (str, bytes)):
        place = map_location if isinstance(map_location, str) else map_location.decode()
        return lambda storage, location: default_restore_location(storage, place)
    if isinstance(map_location, torch.device):
        return lambda storage, location: default_restore_location(
            storage, str(map_location)
        )

    def restore(storage: Any, location: str) -> Any:
        result = map_location(storage, location)
        return default_restore_location(storage, location) if result is None else result

    return restore


def is_meta(map_location: Any) -> bool:
    """Whether everything goes to the device without memory: then nothing is read."""
    known = isinstance(map_location, (str, torch.device))
    return known and str(map_location).partition(":")[0] == "meta"

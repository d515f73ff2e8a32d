"""The checkpoint format of before PyTorch 1.6: pickles, then the storages' bytes.

A file is five pickles (a magic number, the format's version, facts about the writing
machine, the object, the storages' keys in order) and for each key the number of
elements (eight bytes, little-endian) and the elements' bytes, little-endian too.
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from typing import Any

from dispatchtorch._serialization.locations import restorer
from dispatchtorch._serialization.names import torch_name
from dispatchtorch._serialization.options import skipping_data
from dispatchtorch._serialization.reader import (
    StorageSpec,
    corrupt,
    file_size,
    read_into,
    unpickle,
)
from dispatchtorch._serialization.writer import StorageTable, dump, replaced, zeros
from dispatchtorch._storage.untyped import UntypedStorage
from dispatchtorch._utils import before_data

__all__ = ["MAGIC_NUMBER", "PROTOCOL_VERSION", "load_legacy", "save_legacy"]

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
TYPE_SIZES = {"short": 2, "int": 4, "long": 4}


class SourceChangeWarning(Warning):
    """The source of a pickled module's class has changed since it was saved."""


def save_legacy(obj: object, f: Any, pickle_module: Any, protocol: int) -> None:
    """Writes ``obj`` to a path or to an object with ``write``."""
    table = StorageTable()

    def refer(each: Any) -> Any:
        saved_id = table.refer(each)
        return saved_id and (*saved_id, None)  # the last: once, a view of a storage

    facts = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": TYPE_SIZES,
    }
    head = [MAGIC_NUMBER, PROTOCOL_VERSION, facts]
    data = [pickle_module.dumps(each, protocol=protocol) for each in head]
    data.append(dump(obj, refer, pickle_module, protocol))
    found = sorted(table.found.values(), key=lambda each: each[0])
    keys = [key for key, _, _ in found]
    data.append(pickle_module.dumps(keys, protocol=protocol))

    def write(file: Any) -> None:
        file.write(b"".join(data))
        for _, storage, count in found:
            file.write(count.to_bytes(8, "little"))
            if skipping_data():
                for piece in zeros(storage.nbytes()):
                    file.write(piece)
                continue
            if sys.byteorder == "big":
                storage = storage.cpu().clone()
                storage.byteswap(storage._root.dtype)
            file.write(storage._host_view())

    if hasattr(f, "write"):
        write(f)
    else:
        with replaced(f) as file:
            write(file)


class _Bounded:
    """A file that doesn't set aside memory for bytes it hasn't."""

    def __init__(self, f: Any) -> None:
        self._f = f
        self._left = file_size(f) - f.tell()

    def read(self, count: int = -1) -> bytes:
        count = self._left if count < 0 else min(count, self._left)
        return self._took(self._f.read(count))

    def readline(self, limit: int = -1) -> bytes:
        return self._took(self._f.readline(limit))

    def readinto(self, target: Any) -> int:
        read_into(self._f, memoryview(target).cast("B"))
        self._left -= len(target)
        return len(target)

    def _took(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def load_legacy(
    f: Any, map_location: Any, pickle_module: Any, load_args: dict[str, Any]
) -> Any:
    """Reads an object that ``save_legacy``, or PyTorch, has written."""
    restore = restorer(map_location)
    specs: dict[str, StorageSpec] = {}
    here: dict[str, UntypedStorage] = {}  # the storages as they are read, on the host
    there: dict[str, Any] = {}  # where map_location has put them
    views: dict[str, Any] = {}
    position = f.tell()
    _refuse_tar(f, weights_only=pickle_module is None)
    f.seek(position)
    total = left = file_size(f)

    def persistent_load(saved_id: Any) -> Any:
        nonlocal left
        if isinstance(saved_id, tuple) and saved_id[:1] in (("module",), (b"module",)):
            return _module_class(*saved_id[1:])
        spec = StorageSpec(saved_id)
        if spec.key not in there:
            left -= spec.nbytes
            if left < 0:
                raise corrupt(
                    f"reading file: storage {spec.key} of {spec.nbytes} bytes is "
                    "larger than the file"
                )
            specs[spec.key] = spec
            here[spec.key] = spec.empty()
            moved = restore(here[spec.key], spec.location)
            there[spec.key] = spec.typed(moved)
        typed = there[spec.key]
        if spec.view is not None:
            typed = _view(typed, spec, views)
        return typed._untyped() if spec.is_untyped else typed

    def read() -> Any:
        source = f if isinstance(f, io.BytesIO) else _Bounded(f)
        return unpickle(source, persistent_load, pickle_module, load_args, total)

    if read() != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = read()
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version}")
    read()  # facts about the machine that wrote it; the format is the same on all
    start = f.tell()
    with before_data() as data:
        result = read()
    keys = read()
    if not isinstance(keys, list) or set(map(type, keys)) - {str, bytes}:
        raise corrupt("reading file: malformed list of storages")
    for key in keys:
        key = key.decode("ascii") if isinstance(key, bytes) else key
        if key not in specs:
            raise corrupt(f"reading file: nothing uses storage {key}")
        _fill(f, specs.pop(key), here[key], there[key]._untyped())
    if specs:
        raise corrupt(f"reading file: it has no data for {len(specs)} storages")
    if data.needed:
        end = f.tell()
        f.seek(start)
        result = read()
        f.seek(end)
    return result


def _module_class(kind: Any, path: Any, source: Any) -> Any:
    """A module's class, which PyTorch saves with its source; warns if that changed."""
    if torch_name(kind) is None and source:
        import inspect

        try:
            now = inspect.getsource(kind)
        except (OSError, TypeError):
            now = None
        if now != source:
            name = f"{kind.__module__}.{kind.__qualname__}"
            warnings.warn(
                f"Couldn't retrieve source code for container of type {name}. It won't "
                "be checked for correctness upon loading."
                if now is None
                else f"source code of class '{name}' has changed. The checkpoint has "
                f"that of {path}.",
                SourceChangeWarning,
                stacklevel=2,
            )
    return kind


def _fill(
    f: Any, spec: StorageSpec, here: UntypedStorage, there: UntypedStorage
) -> None:
    head = f.read(8)
    if len(head) != 8 or int.from_bytes(head, "little") != spec.count:
        raise corrupt(
            f"reading file: storage {spec.key} should have {spec.count} elements"
        )
    if skipping_data() or there.device.type == "meta":
        f.seek(spec.nbytes, 1)
        return
    read_into(f, here._host_view())
    if sys.byteorder == "big":
        here.byteswap(spec.dtype)
    if there is not here:
        there.copy_(here)


def _view(typed: Any, spec: StorageSpec, views: dict[str, Any]) -> Any:
    """A part of a storage, as files of the oldest versions have it."""
    key, offset, count = spec.view
    if key not in views:
        whole = typed._untyped()._as_tensor(spec.dtype)
        if not 0 <= offset <= offset + count <= whole.numel():
            raise corrupt("reading file: a view exceeds its storage")
        part = UntypedStorage._from_root(whole[offset : offset + count])
        views[key] = spec.typed(part)
    return views[key]


def _refuse_tar(f: Any, weights_only: bool) -> None:
    """Raises for files of PyTorch 0.1.10 and before, which are tar archives."""
    head = f.read(512)
    if head[257:262] != b"ustar":
        return
    if weights_only:
        raise pickle.UnpicklingError(
            "Cannot use ``weights_only=True`` with files saved in the legacy .tar "
            "format."
        )
    raise NotImplementedError("dispatchtorch can't read the .tar format of PyTorch 0.1")

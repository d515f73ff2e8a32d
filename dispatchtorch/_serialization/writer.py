"""Writing checkpoints: the pickle, PyTorch's zip archive, and files replaced whole.

The archive is plain zip without compression. Each record's data starts at a multiple of
64 bytes, so that a file can be mapped and used in place; the space before is an extra
field of the record's header.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import stat
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

import dispatchtorch as torch
from dispatchtorch._serialization.locations import location_tag
from dispatchtorch._serialization.names import torch_name
from dispatchtorch._serialization.options import get_crc32_options, skipping_data
from dispatchtorch._storage.base import StorageBase
from dispatchtorch._storage.typed import TypedStorage
from dispatchtorch._storage.untyped import UntypedStorage

__all__ = ["ArchiveWriter", "StorageTable", "dump", "replaced", "save_zip"]

ALIGNMENT = 64
_LIMIT32 = 0xFFFFFFFF
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_SIZES_FOLLOW, _UTF8 = 0x0008, 0x0800  # flags: after the data; of the names
_ZEROS = bytes(1 << 20)


def zeros(size: int) -> Iterator[bytes]:
    """``size`` zero bytes, in pieces."""
    for start in range(0, size, len(_ZEROS)):
        yield _ZEROS[: size - start]


class ArchiveWriter:
    """A zip archive with aligned, uncompressed records, written front to back.

    Args:
        write: takes bytes-like objects; what ``file.write`` is.
        name: the folder in the archive that all records lie in.
        checksums: whether records get a CRC-32; 0 without.
    """

    def __init__(
        self, write: Callable[[Any], Any], name: str, checksums: bool = True
    ) -> None:
        self._write_out = write
        self._folder = name
        self._checksums = checksums
        self._offset = 0
        self._entries: list[tuple[bytes, int, int, int, int]] = []

    def _write(self, data: Any) -> None:
        self._write_out(data)
        self._offset += len(data)

    def add(self, name: str, data: Any) -> None:
        """Writes one record: bytes, or a memoryview of bytes."""
        self._add(name, len(data), [data])

    def add_zeros(self, name: str, size: int) -> None:
        self._add(name, size, zeros(size))

    def _add(self, name: str, size: int, chunks: Iterable[Any]) -> None:
        path = f"{self._folder}/{name}".encode()
        start, big = self._offset, size >= _LIMIT32
        # A zip64 record says its sizes in an extra field, after the data in our case.
        extra = struct.pack("<2HQQ", 1, 16, 0, 0) if big else b""
        head = start + _LOCAL.size + len(path) + len(extra) + 4
        padding = -head % ALIGNMENT
        extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        flags, told = _UTF8 | _SIZES_FOLLOW if size else _UTF8, _LIMIT32 if big else 0
        header = (0, flags, 0, 0, 0, 0, told, told, len(path), len(extra))
        self._write(_LOCAL.pack(b"PK\3\4", *header) + path + extra)
        crc = 0
        for chunk in chunks:
            if self._checksums:
                crc = zlib.crc32(chunk, crc)
            self._write(chunk)
        if size:
            sizes = struct.pack("<2Q" if big else "<2I", size, size)
            self._write(struct.pack("<4sI", b"PK\7\10", crc) + sizes)
        self._entries.append((path, start, size, crc, flags))

    def close(self) -> None:
        """Writes the directory of records. The file itself stays open."""
        start = self._offset
        for path, offset, size, crc, flags in self._entries:
            extra = b""
            if size >= _LIMIT32:
                extra += struct.pack("<2Q", size, size)
            if offset >= _LIMIT32:
                extra += struct.pack("<Q", offset)
            if extra:
                extra = struct.pack("<2H", 1, len(extra)) + extra
            told = min(size, _LIMIT32)
            sizes = (crc, told, told, len(path), len(extra), 0, 0, 0, 0)
            self._write(
                _CENTRAL.pack(
                    b"PK\1\2", 0, 0, flags, 0, 0, 0, *sizes, min(offset, _LIMIT32)
                )
                + path
                + extra
            )
        count, end = len(self._entries), self._offset
        size = end - start
        directory = (count, count, size, start)
        self._write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 798, 45, 0, 0, *directory))
        self._write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        count, size, start = (
            min(count, 65535),
            min(size, _LIMIT32),
            min(start, _LIMIT32),
        )
        self._write(
            struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, size, start, 0)
        )

    def content_id(self) -> str:
        """Forty digits that follow from the records' names, sizes and checksums."""
        import hashlib

        text = repr([(path, size, crc) for path, _, size, crc, _ in self._entries])
        digest = hashlib.sha256(text.encode()).digest()
        return "".join(f"{number:020d}" for number in struct.unpack("<2Q", digest[:16]))


class StorageTable:
    """The storages that a pickle refers to, each once, in order of appearance."""

    def __init__(self) -> None:
        self.found: dict[Any, tuple[str, UntypedStorage, int]] = {}
        self._dtypes: dict[Any, Any] = {}

    def refer(self, obj: Any) -> tuple[Any, ...] | None:
        """The persistent id of a storage; None for all other objects."""
        if not isinstance(obj, StorageBase):
            return None
        untyped = obj._untyped()
        if isinstance(obj, TypedStorage):
            kind = getattr(torch, obj._pickle_storage_type())
            dtype, count = obj.dtype, obj._size()
        else:
            kind, dtype, count = UntypedStorage, torch.uint8, untyped.nbytes()
        identity = untyped._identity()
        if self._dtypes.setdefault(identity, dtype) != dtype and untyped.nbytes():
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as "
                "different types"
            )
        # The storage is kept, so its address stays its own until all is written.
        key, untyped, _ = self.found.setdefault(
            identity, (str(len(self.found)), untyped, count)
        )
        return "storage", kind, key, location_tag(untyped), count


class _NamedAsPyTorch:
    """A pickler that names what is ours as PyTorch does."""

    refer: Callable[[Any], Any]
    proto: int

    def persistent_id(self, obj: Any) -> Any:
        return self.refer(obj)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        names = torch_name(obj, name)
        if names is None:
            try:
                super().save_global(obj, name)  # type: ignore[misc]
            except pickle.PicklingError:
                pickle.dumps(obj)  # C's pickler has the words that users know
                raise
            return
        module, name = names
        me: Any = self
        if self.proto >= 4:
            me.save(module)
            me.save(name)
            me.write(pickle.STACK_GLOBAL)
        elif "." in name:
            # Old protocols have no dotted names: the last part is an attribute.
            parent, _, last = name.rpartition(".")
            owner = getattr(sys.modules[obj.__module__], parent.partition(".")[0])
            for part in parent.split(".")[1:]:
                owner = getattr(owner, part)
            me.save_reduce(getattr, (owner, last), obj=obj)
            return
        else:
            me.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        me.memoize(obj)


class _Pickler(_NamedAsPyTorch, pickle._Pickler):  # type: ignore[name-defined]
    # The pure Python pickler: C's has no hook for names. Tensors cost it some 20 µs.
    dispatch = pickle._Pickler.dispatch.copy()  # type: ignore[attr-defined]
    dispatch[FunctionType] = _NamedAsPyTorch.save_global  # type: ignore[assignment]


def _layout_reduce(layout: Any) -> Any:
    return torch.serialization._get_layout, (str(layout),)


def dump(
    obj: object, refer: Callable[[Any], Any], pickle_module: Any, protocol: int
) -> bytes:
    """The pickle of ``obj``; ``refer`` gives persistent ids.

    A ``pickle_module`` whose pickler is not written in Python names our objects
    ``dispatchtorch.…``: such a file opens here and not under PyTorch.
    """
    kind: Any = _Pickler
    if pickle_module is not pickle:
        base = pickle_module.Pickler
        if issubclass(base, pickle._Pickler):  # type: ignore[attr-defined]
            kind = type("Pickler", (_NamedAsPyTorch, base), {})
        else:
            body = {"persistent_id": lambda self, obj: refer(obj)}
            kind = type("Pickler", (base,), body)
    buffer = io.BytesIO()
    pickler = kind(buffer, protocol=protocol)
    if issubclass(kind, _NamedAsPyTorch):
        pickler.refer = refer
    if kind is _Pickler:
        pickler.dispatch_table = copyreg.dispatch_table | {torch.layout: _layout_reduce}
    pickler.dump(obj)
    return buffer.getvalue()


@contextlib.contextmanager
def replaced(path: Any) -> Iterator[Any]:
    """A file to write that takes the place of ``path`` when the block ends well.

    Until then, and for ever if the block fails or the process dies, ``path`` is what it
    was. What is not a regular file (a pipe, a device) is written directly, as is a file
    in a folder that can't be written.
    """
    target = os.path.realpath(os.fspath(path))
    try:
        before = os.stat(target)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(target, "wb") as file:
            yield file
        return
    folder = os.path.dirname(target)
    beside = os.path.join(folder, f".{os.getpid():x}-{os.urandom(6).hex()}.tmp")
    try:
        file = open(beside, "xb")  # noqa: SIM115 - closed below, before the rename
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, os.fspath(path)) from None
    except PermissionError:
        if before is None:
            raise
        with open(target, "wb") as file:
            yield file
        return
    try:
        with file:
            if before is not None:
                os.chmod(beside, stat.S_IMODE(before.st_mode))
            yield file
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def save_zip(
    obj: object, f: Any, pickle_module: Any, protocol: int, byteorder_record: bool
) -> None:
    """Writes ``obj`` as a zip archive to a path or to an object with ``write``."""
    table = StorageTable()
    data = dump(obj, table.refer, pickle_module, protocol)

    def write(file: Any, name: str) -> None:
        archive = ArchiveWriter(file.write, name, get_crc32_options())
        archive.add("data.pkl", data)
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", str(ALIGNMENT).encode())
        if byteorder_record:
            archive.add("byteorder", sys.byteorder.encode())
        for key, storage, _ in table.found.values():
            if skipping_data() or storage.device.type == "meta":
                archive.add_zeros(f"data/{key}", storage.nbytes())
            else:
                archive.add(f"data/{key}", storage._host_view())
        archive.add("version", b"3\n")
        if not byteorder_record:
            archive.add("byteorder", sys.byteorder.encode())
        archive.add(".data/serialization_id", archive.content_id().encode())
        archive.close()

    if not isinstance(f, (str, os.PathLike)):
        write(f, "archive")
        return
    path = os.fspath(f)
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        raise RuntimeError(f"Parent directory {parent} does not exist.")
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        with replaced(path) as file:
            write(file, stem if stem and path.isascii() else "archive")
    except IsADirectoryError as error:
        raise RuntimeError(
            f"open file failed with strerror: {error.strerror}"
        ) from error

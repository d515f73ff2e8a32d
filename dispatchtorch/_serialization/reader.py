"""Reading checkpoints: the zip archive, with every size checked before it is believed.

A file may come from anywhere. Whatever it says of itself is held against its true size
first, so that a few bytes can't ask for gigabytes; names of records are looked up in
the archive's own directory and never touch a file system.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
from dispatchtorch._serialization import unpickler
from dispatchtorch._serialization.allowed import UNSAFE_MESSAGE
from dispatchtorch._serialization.locations import is_meta, restorer
from dispatchtorch._serialization.names import StorageType, find
from dispatchtorch._serialization.options import (
    MAP_SHARED,
    LoadEndianness,
    get_default_load_endianness,
    get_default_mmap_options,
    skipping_data,
)
from dispatchtorch._storage.typed import TypedStorage
from dispatchtorch._storage.untyped import UntypedStorage

__all__ = ["ArchiveReader", "StorageSpec", "file_size", "load_zip", "unpickle"]

_MAX_VERSION = 10
# Compressed records (PyTorch never writes them, other tools may) can name sizes far
# beyond the file's: they may unfold to this many bytes, or times the file, in all.
_EXPANSION_BYTES, _EXPANSION_FACTOR = 1 << 28, 16
_MAX_COMPRESSED_PICKLE = 1 << 23
_HINT = (
    " If you are seeing this error, there is a high likelihood that your checkpoint "
    "file is corrupted. This can happen if the checkpoint was not saved properly, was "
    "transferred incorrectly, or the file was modified after saving."
)


def corrupt(what: str) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed {what}.{_HINT}")


def file_size(f: Any) -> int:
    """The size in bytes of a seekable file; the position stays."""
    position = f.tell()
    size = f.seek(0, os.SEEK_END)
    size = f.tell() if size is None else size
    f.seek(position)
    return int(size)


def read_into(f: Any, target: memoryview) -> None:
    """Fills ``target`` from the file. RuntimeError if it ends before."""
    done = 0
    while done < len(target):
        if hasattr(f, "readinto"):
            count = f.readinto(target[done:]) or 0
        else:
            piece = f.read(min(len(target) - done, 1 << 24))
            count = len(piece)
            target[done : done + count] = piece
        if not count:
            raise corrupt("reading file: it ends before the data does")
        done += count


class ArchiveReader:
    """The records of a zip archive.

    Args:
        f: the file, seekable.
        mapped: a memoryview of the whole file, to use in place instead of reading.

    Raises RuntimeError for archives that are damaged or contradict themselves.
    """

    def __init__(self, f: Any, mapped: memoryview | None = None) -> None:
        import zipfile

        self._f = f
        self._mapped = mapped
        self.total = file_size(f)
        try:
            self._zip = zipfile.ZipFile(f)
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, OverflowError) as error:
            raise corrupt(
                "reading zip archive: failed finding central directory"
            ) from error
        except NotImplementedError as error:
            raise corrupt(f"reading zip archive: {error}") from error
        if not entries:
            raise corrupt("reading zip archive: it has no records")
        self.folder = entries[0].filename.partition("/")[0]
        self._entries: dict[str, Any] = {}
        self._check(entries)

    def _check(self, entries: list[Any]) -> None:
        import zipfile

        stored = unfolded = 0
        for entry in entries:
            path, name = entry.filename, entry.orig_filename
            if not path.startswith(self.folder + "/"):
                raise RuntimeError(
                    f"file in archive is not in a subdirectory {self.folder}/: {path}"
                )
            if path != name or path in self._entries:
                raise corrupt(f"reading zip archive: two meanings of record {name!r}")
            if entry.flag_bits & 1:
                raise corrupt(f"reading file {path}: it is encrypted")
            if entry.compress_type == zipfile.ZIP_STORED:
                if entry.compress_size != entry.file_size:
                    raise corrupt(
                        f"reading file {path}: its sizes contradict each other"
                    )
            elif entry.compress_type == zipfile.ZIP_DEFLATED:
                unfolded += entry.file_size
                limit = _MAX_COMPRESSED_PICKLE
                if path.endswith("data.pkl") and entry.file_size > limit:
                    raise corrupt(f"reading file {path}: it unfolds to {limit} bytes")
            else:
                raise corrupt(
                    f"reading file {path}: unknown compression {entry.compress_type}"
                )
            stored += entry.compress_size
            self._entries[path] = entry
        # Records that overlap could make a small file as large as it likes.
        if stored > self.total:
            raise corrupt("reading zip archive: the records exceed the file")
        if unfolded > max(_EXPANSION_BYTES, _EXPANSION_FACTOR * self.total):
            raise corrupt(
                f"reading zip archive: {unfolded} bytes of compressed records in a "
                f"file of {self.total}"
            )

    def __contains__(self, name: str) -> bool:
        return f"{self.folder}/{name}" in self._entries

    def size(self, name: str) -> int:
        """The bytes of a record. RuntimeError if there is no such record."""
        return int(self._entry(name).file_size)

    def _entry(self, name: str) -> Any:
        try:
            return self._entries[f"{self.folder}/{name}"]
        except KeyError:
            raise corrupt(f"locating file {name}: file not found") from None

    def _start(self, entry: Any) -> int:
        """Where the data of a stored record begins."""
        self._f.seek(entry.header_offset)
        header = self._f.read(30)
        lengths = int.from_bytes(header[26:28], "little"), header[28:30]
        path = self._f.read(lengths[0])
        start = (
            entry.header_offset + 30 + lengths[0] + int.from_bytes(lengths[1], "little")
        )
        if header[:4] != b"PK\3\4" or path != entry.orig_filename.encode(
            "utf-8" if entry.flag_bits & 0x800 else "cp437"
        ):
            raise corrupt(f"reading file {entry.filename}: bad header")
        if start + entry.file_size > self.total:
            raise corrupt(
                f"reading file {entry.filename}: it ends before the data does"
            )
        return int(start)

    def read(self, name: str) -> bytes:
        """A record's bytes, checked against its checksum if it has one."""
        data = bytearray(self.size(name))
        self.read_into(name, memoryview(data))
        return bytes(data)

    def read_into(self, name: str, target: memoryview) -> None:
        """Fills ``target``, which has the record's size, with its bytes."""
        import zipfile

        entry = self._entry(name)
        if entry.compress_type == zipfile.ZIP_STORED:
            self._f.seek(self._start(entry))
            read_into(self._f, target)
            # A zero means that none was computed: see set_crc32_options.
            if entry.CRC and zlib.crc32(target) != entry.CRC:
                raise corrupt(f"reading file {name}: bad checksum")
            return
        try:
            with self._zip.open(entry) as file:
                read_into(file, target)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise corrupt(f"reading file {name}: {error}") from error

    def view(self, name: str) -> memoryview | None:
        """A stored record's bytes in place, in a mapped file; else None."""
        entry = self._entry(name)
        if self._mapped is None or entry.compress_type:
            return None
        start = self._start(entry)
        return self._mapped[start : start + entry.file_size]


class StorageSpec:
    """What a persistent id in a pickle says of a storage, its types checked."""

    def __init__(self, saved_id: Any) -> None:
        if not isinstance(saved_id, tuple) or not saved_id:
            raise pickle.UnpicklingError(
                f"persistent_load: expected a tuple, got {type(saved_id).__name__}"
            )
        what = _text(saved_id[0])
        if what != "storage":
            raise pickle.UnpicklingError(
                "Unknown typename for persistent_load, expected 'storage' but got "
                f"{what[:40] if isinstance(what, str) else type(what)!r}"
            )
        if not 5 <= len(saved_id) <= 6:
            raise pickle.UnpicklingError("persistent_load: malformed storage")
        kind, key, location, count = saved_id[1:5]
        self.key, self.location = _text(key), _text(location)
        self.count = count
        self.view: Any = saved_id[5] if len(saved_id) == 6 else None
        self.is_untyped = kind is UntypedStorage
        if isinstance(kind, StorageType):
            self.dtype = kind.dtype
        elif self.is_untyped:
            self.dtype = torch.uint8
        else:
            raise pickle.UnpicklingError(
                f"persistent_load: a value of {type(kind)} is no storage class"
            )
        if not (
            isinstance(self.key, str)
            and isinstance(self.location, str)
            and isinstance(count, int)
            and count >= 0
            and (self.view is None or _is_view(self.view))
        ):
            raise pickle.UnpicklingError("persistent_load: malformed storage")
        self.nbytes = count * self.dtype.itemsize

    def empty(self, device: str = "cpu") -> UntypedStorage:
        """Memory for it, uninitialised, ready to be viewed in its dtype."""
        root = torch.empty(self.count, dtype=self.dtype, device=device)
        return UntypedStorage._from_root(root)

    def typed(self, untyped: Any) -> TypedStorage:
        return TypedStorage._wrap(untyped, self.dtype)


def _is_view(view: Any) -> bool:
    """Whether ``view`` is (key, offset, count), as the oldest files have it."""
    if not isinstance(view, tuple) or len(view) != 3:
        return False
    return isinstance(view[0], (str, bytes)) and all(type(n) is int for n in view[1:])


def _text(value: Any) -> Any:
    # Pickles of Python 2, read with encoding="bytes", have byte strings here.
    return value.decode("ascii") if isinstance(value, bytes) else value


def unpickle(
    source: Any,
    persistent_load: Callable[[Any], Any],
    pickle_module: Any,
    load_args: dict[str, Any],
    budget: int,
) -> Any:
    """Reads one pickle from a file, ``torch`` meaning dispatchtorch.

    ``pickle_module`` None is the restricted unpickler, which ``budget`` is for.
    """
    if pickle_module is None:
        encoding = load_args.get("encoding", "utf-8")
        return unpickler.load(source, persistent_load, encoding=encoding, budget=budget)

    class Unpickler(pickle_module.Unpickler):  # type: ignore[misc,name-defined]
        def find_class(self, module: str, name: str) -> Any:
            found = find(module, name)
            return super().find_class(module, name) if found is None else found

        def persistent_load(self, saved_id: Any) -> Any:
            return persistent_load(saved_id)

    return Unpickler(source, **load_args).load()


def load_zip(
    f: Any,
    map_location: Any,
    pickle_module: Any,
    load_args: dict[str, Any],
    mapped: memoryview | None = None,
) -> Any:
    """Reads an object that ``save_zip``, or PyTorch, has written."""
    archive = ArchiveReader(f, mapped)
    _check_kind(archive, weights_only=pickle_module is None)
    swap = _byteorder(archive) != sys.byteorder
    restore = restorer(map_location)
    to_meta = is_meta(map_location)
    loaded: dict[str, TypedStorage] = {}

    def read(spec: StorageSpec) -> UntypedStorage:
        name = f"data/{spec.key}"
        if to_meta or spec.location == "meta":
            return spec.empty("meta")
        size = archive.size(name)
        if size != spec.nbytes:
            raise RuntimeError(
                f"record size ({size} bytes) does not match expected size "
                f"({spec.nbytes} bytes = {spec.count} elements * {spec.dtype.itemsize} "
                f"bytes/element) for dtype {spec.dtype}"
            )
        view = archive.view(name) if spec.nbytes and not swap else None
        if view is not None:
            return UntypedStorage._from_root(torch.frombuffer(view, dtype=spec.dtype))
        storage = spec.empty()
        if not skipping_data():
            archive.read_into(name, storage._host_view())
            if swap and spec.is_untyped:
                storage._foreign_bytes = True  # the tensor will say what to swap
            elif swap:
                storage.byteswap(spec.dtype)
        return storage

    def persistent_load(saved_id: Any) -> Any:
        spec = StorageSpec(saved_id)
        typed = loaded.get(spec.key)
        if typed is None:
            here = read(spec)
            there = here if to_meta else restore(here, spec.location)
            typed = loaded[spec.key] = spec.typed(there)
            if there is not here and isinstance(there, UntypedStorage):
                there._foreign_bytes = here._foreign_bytes
        return typed._untyped() if spec.is_untyped else typed

    source = io.BytesIO(archive.read("data.pkl"))
    return unpickle(source, persistent_load, pickle_module, load_args, archive.total)


def _check_kind(archive: ArchiveReader, weights_only: bool) -> None:
    if "version" not in archive:
        raise corrupt("locating file version: file not found")
    text = archive.read("version")[:32].strip()
    if not text.isdigit():
        raise RuntimeError(
            f"Couldn't parse the version {text.decode(errors='replace')} as Long Long."
        )
    if int(text) > _MAX_VERSION:
        raise RuntimeError(
            f"Attempted to read a PyTorch file with version {int(text)}, but the "
            f"maximum supported version for reading is {_MAX_VERSION}. The version of "
            "your PyTorch installation may be too old, please upgrade PyTorch to "
            "latest version to mitigate this issue."
        )
    if "constants.pkl" not in archive:
        return
    warnings.warn(
        "'torch.load' received a zip file that looks like a TorchScript archive",
        UserWarning,
        stacklevel=4,
    )
    if weights_only:
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to "
            f"``torch.load``. {UNSAFE_MESSAGE}"
        )
    raise NotImplementedError("dispatchtorch can't run TorchScript archives")


def _byteorder(archive: ArchiveReader) -> str:
    if "byteorder" in archive:
        order = archive.read("byteorder").decode("ascii", errors="replace")
        if order not in ("little", "big"):
            raise ValueError(f"Unknown endianness type: {order}")
        return order
    default = get_default_load_endianness()
    if default in (None, LoadEndianness.NATIVE):
        return sys.byteorder
    return "big" if default is LoadEndianness.BIG else "little"


def map_file(path: Any) -> memoryview:
    """A whole file as memory, mapped with the flags of ``set_default_mmap_options``."""
    import mmap

    shared = get_default_mmap_options() == MAP_SHARED
    with open(path, "r+b" if shared else "rb") as file:
        access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
        return memoryview(mmap.mmap(file.fileno(), 0, access=access))

"""Memory as bytes: the storage that tensors have."""

from __future__ import annotations

import os
import sys
from typing import Any

import dispatchtorch as torch
from dispatchtorch._storage.base import StorageBase

__all__ = ["UntypedStorage"]


def _is_mapped(root: Any) -> bool:
    """Whether a host tensor's memory is a mapping that child processes share."""
    owner = root._data
    while (base := getattr(owner, "base", None)) is not None:
        owner = base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    mapping = sys.modules.get("mmap")
    return mapping is not None and isinstance(owner, mapping.mmap)


class UntypedStorage(StorageBase):
    """Memory as bytes: ``UntypedStorage(size)`` or ``UntypedStorage(sequence)``.

    Args:
        size: bytes to allocate, uninitialised; or a sequence of integers to copy,
            each modulo 256. Left out: no bytes.
        device: where, the host by default.

    A storage that ``Tensor.untyped_storage()`` gives shares the tensor's memory.
    """

    __module__ = "dispatchtorch.storage"  # what pickles say

    def __init__(
        self, *args: Any, device: Any = None, allocator: Any = None, **kwargs: Any
    ) -> None:
        if not args and len(kwargs) == 1 and (kwargs.keys() <= {"size", "sequence"}):
            args, kwargs = tuple(kwargs.values()), {}
        if len(args) > 1 or kwargs:
            got = ", ".join(
                [type(a).__name__ for a in args]
                + [f"{k}={type(v).__name__}, " for k, v in kwargs.items()]
            )
            raise TypeError(
                "torch.UntypedStorage() received an invalid combination of arguments - "
                f"got ({got}), but expected one of:\n"
                " * (*, int allocator = None, torch.device device = None)\n"
                " * (int size, *, int allocator = None, torch.device device = None)\n"
                " * (object sequence, *, int allocator = None, "
                "torch.device device = None)\n"
            )
        if allocator is not None:
            raise NotImplementedError("UntypedStorage: allocator is not supported")
        size = args[0] if args else 0
        device = "cpu" if device is None else device
        if isinstance(size, int) and not isinstance(size, bool):
            if size < 0:
                raise RuntimeError(f"UntypedStorage: negative size {size}")
            root = torch.empty(size, dtype=torch.uint8, device=device)
        else:
            root = torch.tensor(
                _bytes_of(size), dtype=torch.uint8, device=torch.device(device)
            )
        self._hold(root)
        self._viewed = False

    def _hold(self, root: Any) -> UntypedStorage:
        """Makes ``root`` this storage's memory. It may be another tensor's too."""
        self._root = root
        self._filename: str | None = None
        self._in_shared_memory = False
        self._viewed = True  # only a memory that nothing views can be replaced
        self._foreign_bytes = False  # read from a file of the other byte order
        return self

    @classmethod
    def _from_root(cls, root: Any) -> UntypedStorage:
        """The storage whose memory is exactly the 1-d contiguous tensor ``root``."""
        return cls.__new__(cls)._hold(root)

    @classmethod
    def _of(cls, tensor: Any) -> UntypedStorage:
        """The storage of ``tensor``, shared with it and with all views of it."""
        return cls._from_root(tensor._root())

    def untyped(self) -> UntypedStorage:
        return self

    _untyped = untyped

    def _like(self, untyped: UntypedStorage) -> UntypedStorage:
        return untyped

    def _as_tensor(self, dtype: Any) -> Any:
        """The memory as a 1-d tensor of ``dtype``; a remainder is left out."""
        self._viewed = True
        return self._view(dtype)

    def _view(self, dtype: Any) -> Any:
        """As ``_as_tensor``, for a tensor that won't outlive the call."""
        if self._root.dtype == dtype:
            return self._root
        data = self._root.detach()
        if self._root.element_size() % dtype.itemsize:
            whole = self.nbytes() // dtype.itemsize * dtype.itemsize
            data = data.view(torch.uint8)[:whole]
        return data.view(dtype)

    def _tensor(self) -> Any:
        if self.device.type == "meta":
            raise NotImplementedError("Not available for 'meta' device type")
        return self._view(torch.uint8)

    def _host_view(self) -> memoryview:
        """The bytes on the host: shared if the memory lies there, else a copy."""
        data = self._root.detach().cpu()
        return memoryview(data.view(torch.uint8).numpy())

    # -- size and place ----------------------------------------------------------------

    def nbytes(self) -> int:
        return self._root.numel() * self._root.element_size()

    def size(self) -> int:
        return self.nbytes()

    def __len__(self) -> int:
        return self.nbytes()

    def __sizeof__(self) -> int:
        return super().__sizeof__() + self.nbytes()

    def element_size(self) -> int:
        return 1

    def data_ptr(self) -> int:
        return self._root.data_ptr() if self.nbytes() else 0

    def is_shared(self) -> bool:
        """Whether other processes can map this memory."""
        if self._in_shared_memory or self.device.type not in ("cpu", "meta"):
            return True
        return self.device.type == "cpu" and _is_mapped(self._root)

    def is_pinned(self, device: Any = None) -> bool:
        """Whether this is host memory that a device can read directly."""
        return bool(self._root.is_pinned(device))

    def pin_memory(self, device: Any = None) -> UntypedStorage:
        """A copy of this host memory in pages that a device can read directly."""
        return self._from_root(self._root.pin_memory(device))

    def resizable(self) -> bool:
        return not self._viewed

    def resize_(self, size: int) -> UntypedStorage:
        """Makes this ``size`` bytes long, the old contents first.

        Raises NotImplementedError when a tensor may view the memory: it can't follow.
        """
        if size != self.nbytes():
            if self._viewed:
                raise NotImplementedError(
                    "resize_: a storage that tensors view can't be resized in place"
                )
            root = torch.zeros(size, dtype=torch.uint8, device=self.device)
            kept = min(size, self.nbytes())
            root[:kept].copy_(self._view(torch.uint8)[:kept])
            self._root, self._viewed = root, False
        return self

    def share_memory_(self) -> UntypedStorage:
        """Moves the memory to where child processes share it; see ``_new_shared``.

        Raises NotImplementedError when a tensor may view the memory: it can't follow.
        """
        if self.is_shared() or not self.nbytes():
            return self
        if self._viewed:
            raise NotImplementedError(
                "share_memory_: memory that tensors view can't be moved; allocate it "
                "with UntypedStorage._new_shared"
            )
        moved = self._new_shared(self.nbytes()).copy_(self)
        self._root, self._in_shared_memory = moved._root, True
        return self

    @classmethod
    def _new_shared(cls, size: int, *, device: Any = "cpu") -> UntypedStorage:
        """``size`` zero bytes that this process and its forks share."""
        if torch.device(device).type != "cpu" or not size:
            return cls(size, device=device)
        import mmap

        storage = cls._from_root(
            torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)
        )
        storage._in_shared_memory = True
        return storage

    @classmethod
    def from_file(
        cls, filename: Any, shared: bool = False, nbytes: int = 0
    ) -> UntypedStorage:
        """The first ``nbytes`` of a file, mapped.

        With ``shared``, writes go to the file, which is made or lengthened as needed;
        without, they stay in this process.
        """
        if not nbytes:
            return cls(0)
        import mmap

        flags = os.O_RDWR | os.O_CREAT if shared else os.O_RDONLY
        fd = os.open(filename, flags | getattr(os, "O_BINARY", 0), 0o666)
        try:
            have = os.fstat(fd).st_size
            if have < nbytes:
                if not shared:
                    raise RuntimeError(
                        f"file <{filename}> size <{have}> is smaller than the required "
                        f"mapping size <{nbytes}>"
                    )
                os.ftruncate(fd, nbytes)
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            mapped = mmap.mmap(fd, nbytes, access=access)
        finally:
            os.close(fd)
        storage = cls._from_root(torch.frombuffer(mapped, dtype=torch.uint8))
        if shared:
            storage._filename, storage._in_shared_memory = os.fspath(filename), True
        return storage

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str | None = None,
        count: int = -1,
        offset: int = 0,
        *,
        dtype: Any = None,
    ) -> UntypedStorage:
        """A copy of ``count`` elements of ``dtype`` from a bytes-like object.

        ``byte_order`` ("big", "little" or "native") is the buffer's; one-byte integers
        need none.
        """
        if dtype is None:
            raise RuntimeError("argument 'dtype' cannot be None")
        size = dtype.itemsize
        if byte_order is None:
            if dtype not in (torch.uint8, torch.int8):
                raise RuntimeError(
                    "function missing required argument 'byte_order' (pos 2)"
                )
        elif byte_order not in ("big", "little", "native"):
            raise ValueError(
                f"invalid byte_order '{byte_order}' (expected 'big', 'little', or "
                "'native')"
            )
        view = memoryview(buffer).cast("B")
        if not 0 <= offset <= len(view):
            raise ValueError(
                "offset must be non-negative and no greater than buffer length "
                f"({len(view)}) , but got {offset}"
            )
        if count < 0:
            if (len(view) - offset) % size:
                raise ValueError(
                    f"buffer size ({len(view)}) must be a multiple of element size "
                    f"({size})"
                )
            count = (len(view) - offset) // size
        elif count * size > len(view) - offset:
            raise ValueError(
                f"buffer has only {len(view) - offset} elements after offset {offset}, "
                f"but specified a size of {count}"
            )
        storage = cls(count * size)
        storage._host_view()[:] = view[offset : offset + count * size]
        if byte_order not in (None, "native", sys.byteorder):
            storage.byteswap(dtype)
        return storage

    # -- contents ----------------------------------------------------------------------

    def _slice(self, index: slice) -> tuple[int, int]:
        start, stop, step = index.indices(self.nbytes())
        if step != 1:
            raise RuntimeError(
                f"Trying to slice with a step of {step}, but only a step of 1 is "
                "supported"
            )
        return start, max(start, stop)

    def __getitem__(self, index: Any) -> Any:
        """A byte as an int; for a slice, a storage that shares those bytes."""
        data = self._tensor()
        if isinstance(index, slice):
            start, stop = self._slice(index)
            self._viewed = True
            return self._from_root(data[start:stop])
        if not isinstance(index, int) or isinstance(index, bool):
            raise TypeError(
                f"can't index a torch.UntypedStorage with {type(index).__name__}"
            )
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"index {index} out of range for storage of size {len(self)}"
            )
        return int(data[index].item())

    def __setitem__(self, index: Any, value: Any) -> None:
        """Writes one byte (an int modulo 256) at an index or all over a slice."""
        is_slice = isinstance(index, slice)
        if not is_slice and (not isinstance(index, int) or isinstance(index, bool)):
            raise RuntimeError(
                f"can't index a torch.UntypedStorage with {type(index).__name__}"
            )
        if not isinstance(value, int):
            raise RuntimeError(
                "can only set storage content with a int types, but got "
                f"{type(value).__name__} instead"
            )
        if not is_slice and not 0 <= index < len(self):
            raise RuntimeError("out of bounds")
        start, stop = self._slice(index) if is_slice else (index, index + 1)
        self._tensor()[start:stop].fill_(value % 256)

    def tolist(self) -> list[int]:
        return self._tensor().tolist()

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Copies ``source``'s bytes, from whichever device, here."""
        source = source._untyped()
        if source.nbytes() != self.nbytes():
            raise RuntimeError(
                f"size does not match, self was {self.nbytes()} bytes but src was "
                f"{source.nbytes()} bytes"
            )
        # As they are where that gives the same bytes: devices may lack other views.
        dtype = self._root.dtype if self._root.dtype == source._root.dtype else None
        here, there = (s._view(dtype or torch.uint8) for s in (self, source))
        here.detach().copy_(there.detach(), bool(non_blocking))
        return self

    def fill_(self, value: int) -> UntypedStorage:
        self[:] = value
        return self

    def clone(self) -> UntypedStorage:
        storage = self._from_root(self._root.detach().clone())
        storage._viewed = False
        return storage

    def new(self) -> UntypedStorage:
        """An empty storage on the same device."""
        return UntypedStorage(0, device=self.device)

    def byteswap(self, dtype: Any) -> None:
        """Reverses the bytes of each element of ``dtype``, in place."""
        size = dtype.itemsize // (2 if dtype.is_complex else 1)
        whole = self.nbytes() // size * size
        if size > 1 and whole:
            elements = self._tensor()[:whole].view(-1, size)
            elements.copy_(elements.flip(1))

    # -- elsewhere ---------------------------------------------------------------------

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """This storage on ``device``: itself if it lies there, else a copy."""
        device = torch.device(device)
        here = self.device
        if here.type == device.type and device.index in (None, here.index):
            return self
        return self._from_root(
            self._root.detach().to(device, non_blocking=non_blocking)
        )

    def cpu(self) -> UntypedStorage:
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        return self.to(device=_indexed("cuda", device), non_blocking=non_blocking)

    def hpu(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        return self.to(device=_indexed("hpu", device), non_blocking=non_blocking)

    def mps(self) -> UntypedStorage:
        return self.to(device="mps")

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of this class, or the elements as another storage class has them."""
        if dtype is None:
            return "torch.storage.UntypedStorage"
        return self._convert(dtype, non_blocking)

    def __repr__(self) -> str:
        return (
            f"{self._rows()}\n[torch.storage.UntypedStorage(device={self.device}) of "
            f"size {len(self)}]"
        )


def _bytes_of(sequence: Any) -> list[int]:
    if isinstance(sequence, (bytes, bytearray, memoryview)):
        return list(sequence)
    kind = type(sequence).__name__
    if not isinstance(sequence, (list, tuple, range, str)):
        raise RuntimeError(
            f"torch.UntypedStorage(): Expected a sequence type, but got {kind}"
        )
    for item in sequence:
        if not isinstance(item, int):
            raise RuntimeError(
                "torch.UntypedStorage(): tried to construct a storage from a sequence "
                f"({kind}), but one of the items was of type {type(item).__name__} "
                "instead of int"
            )
    return [int(item) % 256 for item in sequence]


def _indexed(device_type: str, device: Any) -> Any:
    if device is None:
        return torch.device(device_type)
    if isinstance(device, int):
        return torch.device(device_type, device)
    return torch.device(device)

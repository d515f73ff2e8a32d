"""Moving batches between processes.

A :class:`Channel` is one end of a pipe that only two processes hold, so that nothing
is shared which a killed process could leave locked. The contents of large tensors and
arrays don't go through the pipe: they are written to anonymous memory whose file
descriptor is handed over, and the receiver maps it. Such memory has no name and dies
with its last user, however that one ends. Each buffer has memory of its own: keeping
the labels of a batch doesn't keep its images.

Where descriptors can't be handed over, everything goes through the pipe.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import sys
import tempfile
import weakref
from multiprocessing import reduction
from typing import Any

import dispatchtorch as torch

__all__ = ["Channel"]

_SHARES = sys.platform != "win32" and reduction.HAVE_SEND_HANDLE
# Below this, copying through the pipe is cheaper than mapping.
_LARGE = 1 << 16
# A mapping holds its descriptor (before Python 3.13), and processes have about a
# thousand of those. Past this many live mappings, contents are copied.
_MAX_MAPPED = 256
_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}

_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def _rebuild_tensor(
    data: Any, dtype: torch.dtype, shape: tuple[int, ...], requires_grad: bool
) -> torch.Tensor:
    if 0 in shape:
        flat = torch.empty(0, dtype=dtype)
    else:
        flat = torch.frombuffer(data, dtype=dtype)
    return flat.reshape(shape).requires_grad_(requires_grad)


def _contents(tensor: Any) -> Any:
    """The bytes of a plain tensor on the host; None for every other kind."""
    if type(tensor) is not torch.Tensor or tensor.layout is not torch.strided:
        return None
    try:
        flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy() if tensor.numel() else b""
    except (NotImplementedError, RuntimeError, TypeError):
        return None


class _Packer(reduction.ForkingPickler):  # type: ignore[misc]
    """Pickles with the contents of arrays and tensors left to ``buffers``."""

    def __init__(self, file: Any) -> None:
        self.buffers: list[pickle.PickleBuffer] = []
        super().__init__(file, 5, True, self.buffers.append)

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, torch.Tensor):
            return NotImplemented
        if obj.requires_grad and not obj.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, "
                "since autograd does not support crossing process boundaries.  "
                "If you just want to transfer the data, call detach() on the tensor "
                "before serializing (e.g., putting it on the queue)."
            )
        if (data := _contents(obj)) is None:
            return NotImplemented
        state = (pickle.PickleBuffer(data), obj.dtype, tuple(obj.shape))
        return _rebuild_tensor, (*state, obj.requires_grad)


def _write_segment(data: memoryview) -> int:
    """A descriptor of new anonymous memory that holds ``data``."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("dispatchtorch-batch", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, data.nbytes)
        with mmap.mmap(fd, data.nbytes) as memory:
            memory[:] = data
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read_segment(fd: int, size: int) -> Any:
    """The memory behind ``fd``, mapped or copied; ``fd`` is closed."""
    try:
        if len(_mapped) < _MAX_MAPPED:
            memory = mmap.mmap(fd, size, **_MAP_OPTIONS)
            _mapped.add(memory)
            return memory
        copied = bytearray(size)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            view = memoryview(copied)
            while view:
                view = view[file.readinto(view) :]
        return copied
    finally:
        os.close(fd)


class Channel:
    """Sends and receives objects over ``connection``.

    At most ``max_segments`` buffers of one object are handed over as memory of their
    own; the system limits how many descriptors may be on their way at a time.
    """

    def __init__(self, connection: Any, max_segments: int = 0) -> None:
        self.connection = connection
        self.max_segments = max_segments if _SHARES else 0

    def send(self, obj: Any) -> None:
        """Sends ``obj``; raises what pickling it raises before anything is sent."""
        stream = io.BytesIO()
        packer = _Packer(stream)
        packer.dump(obj)
        parts = [buffer.raw() for buffer in packer.buffers]
        sizes = [part.nbytes for part in parts]
        apart = [i for i, size in enumerate(sizes) if size >= _LARGE]
        apart = apart[: self.max_segments]
        inline = [part for i, part in enumerate(parts) if i not in apart]
        body = b"".join([stream.getbuffer(), *inline])
        fds: list[int] = []
        try:
            for i in apart:
                fds.append(_write_segment(parts[i]))
            rest: bytes | int = body
            # A full pipe would stop the worker from working ahead.
            if len(body) >= _LARGE and self.max_segments:
                fds.append(_write_segment(memoryview(body)))
                rest = len(body)
            self.connection.send_bytes(pickle.dumps((sizes, apart, rest), protocol=5))
            for fd in fds:
                reduction.send_handle(self.connection, fd, None)
        finally:
            for fd in fds:
                os.close(fd)

    def recv(self) -> Any:
        """The next object; ``EOFError`` when the other end is gone."""
        sizes, apart, rest = pickle.loads(self.connection.recv_bytes())
        buffers: list[Any] = [None] * len(sizes)
        for i in apart:
            buffers[i] = self._recv_segment(sizes[i])
        body = memoryview(self._recv_segment(rest) if isinstance(rest, int) else rest)
        end = len(body)
        for i in reversed(range(len(sizes))):
            if buffers[i] is None:
                buffers[i] = bytearray(body[end - sizes[i] : end])
                end -= sizes[i]
        return pickle.loads(body[:end], buffers=buffers)

    def _recv_segment(self, size: int) -> Any:
        return _read_segment(reduction.recv_handle(self.connection), size)

    def close(self) -> None:
        self.connection.close()

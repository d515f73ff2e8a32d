"""``torch.cuda`` beyond what every device has: graphs, pools, markers, the driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

from dispatchtorch_cupy import graphs

__all__ = ["names"]


def names(backend: Any) -> dict[str, Any]:
    """The names that the device adds to ``torch.cuda``."""
    cupy = backend.cupy
    cuda = cupy.cuda

    def index_of(device: Any) -> int:
        from dispatchtorch.streams import device_index

        return device_index(backend, device)

    def can_device_access_peer(device: Any, peer_device: Any) -> bool:
        """Whether kernels on one device can read another's memory."""
        return bool(
            cuda.runtime.deviceCanAccessPeer(index_of(device), index_of(peer_device))
        )

    def device_memory_used(device: Any = None) -> int:
        """Bytes of a device's memory that are in use, by any program."""
        free, total = backend.mem_get_info(index_of(device))
        return int(total - free)

    def is_tf32_supported() -> bool:
        """Whether the tensor cores multiply in TF32."""
        return backend.capability(backend.current_device())[0] >= 8  # type: ignore[no-any-return]

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        """Whether there are bfloat16 tensors, and hardware for them."""
        from dispatchtorch import dtypes

        native = backend.capability(backend.current_device())[0] >= 8
        return dtypes.bfloat16 in backend.dtypes and (native or including_emulation)

    def get_arch_list() -> list[str]:
        """The architectures that kernels are compiled for: those of the devices here."""
        found = {backend.capability(i) for i in range(backend.device_count())}
        return [f"sm_{major}{minor}" for major, minor in sorted(found)]

    def get_gencode_flags() -> str:
        """The compiler flags of :func:`get_arch_list`."""
        return " ".join(
            f"-gencode compute={each.replace('sm', 'compute')},code={each}"
            for each in get_arch_list()
        )

    def current_blas_handle() -> int:
        """The number of the cuBLAS handle of the current device."""
        return int(cuda.device.get_cublas_handle())

    def caching_allocator_alloc(
        size: int, device: Any = None, stream: Any = None
    ) -> int:
        """The address of ``size`` bytes, for use outside of tensors."""
        with backend.runtime.on(index_of(device)):
            if stream is None:
                pointer = cuda.alloc(size)
            else:
                native = getattr(stream, "native", stream)
                with native if hasattr(native, "ptr") else contextlib.nullcontext():
                    pointer = cuda.alloc(size)
        held[pointer.ptr] = pointer
        return int(pointer.ptr)

    def caching_allocator_delete(mem_ptr: int) -> None:
        """Gives back what :func:`caching_allocator_alloc` gave."""
        held.pop(mem_ptr, None)

    held: dict[int, Any] = {}

    def cudart() -> Any:
        """The CUDA runtime, as far as CuPy shows it."""
        return _Cudart(cuda.runtime)

    made: dict[str, Any] = {
        name: value
        for name, value in locals().items()
        if callable(value) and getattr(value, "__module__", "") == __name__
    }
    made.pop("index_of")
    made.update({name: getattr(graphs, name) for name in graphs.__all__})
    made["nvtx"] = _nvtx(cupy)
    made["nccl"] = _module("nccl", is_available=lambda tensors: False, version=_no_nccl)
    return made


class _Cudart:
    """Functions of the runtime under the names of the C library."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        plain = name.removeprefix("cuda")
        found = getattr(self._runtime, plain[:1].lower() + plain[1:], None)
        if found is None:
            raise AttributeError(f"cudart has no {name}")
        return found

    cudaError = SimpleNamespace(success=0)  # noqa: N815


def _module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(f"dispatchtorch.cuda.{name}")
    made.__dict__.update(members)
    made.__dict__["__all__"] = sorted(members)
    return made


def _no_nccl() -> tuple[int, ...]:
    raise RuntimeError("NCCL isn't used by this package")


def _nvtx(cupy: Any) -> ModuleType:
    """Markers in the profiler's time line; nothing where the library isn't there."""
    with contextlib.suppress(Exception):
        from cupy.cuda import nvtx

        depth = [0]

        def range_push(msg: str) -> int:
            nvtx.RangePush(msg)
            depth[0] += 1
            return depth[0] - 1

        def range_pop() -> int:
            nvtx.RangePop()
            depth[0] -= 1
            return depth[0]

        def mark(msg: str) -> None:
            nvtx.Mark(msg)

        @contextlib.contextmanager
        def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
            range_push(msg.format(*args, **kwargs))
            try:
                yield
            finally:
                range_pop()

        return _module(
            "nvtx", range_push=range_push, range_pop=range_pop, mark=mark, range=range
        )
    nothing = _module("nvtx")
    nothing.__dict__.update(
        range_push=lambda msg: -1,
        range_pop=lambda: -1,
        mark=lambda msg: None,
        range=lambda msg, *args, **kwargs: contextlib.nullcontext(),
    )
    return nothing

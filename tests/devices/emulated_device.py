"""Device ``emulated``: NumPy's memory, the CUDA kernels run by the emulator."""

from __future__ import annotations

from typing import Any

from dispatchtorch_cupy.kernels import kernels
from dispatchtorch_numpy.device import NumpyBackend

from dispatchtorch.backend import get_backend, register_backend
from tests.devices.cublas_emulation import EmulatedCublas
from tests.devices.cuda_emulation import EmulatedRuntime
from tests.devices.cudnn_emulation import EmulatedCudnn

__all__ = ["EmulatedBackend", "emulated"]


class EmulatedBackend(NumpyBackend):
    """The generic kernels over NumPy, and the CUDA kernels over them."""

    device_type = "emulated"
    is_host = False
    arrange = None  # type: ignore[assignment]
    runtime_type: Any = EmulatedRuntime

    def __init__(self) -> None:
        super().__init__()
        self.runtime: Any = self.runtime_type()
        generic = {n: (k.function, k.out) for n, k in self.kernels.items()}
        self.engine = EmulatedCublas()
        self.cudnn = EmulatedCudnn()
        made = kernels(
            generic=generic,
            runtime=self.runtime,
            engine=self.engine,
            cudnn=lambda: self.cudnn,
        )
        for name, (function, out) in made.items():
            self.add_kernel(name, function, out=out)

    def from_host(self, array: Any, index: int) -> Any:
        return array.copy()

    def to_host(self, array: Any) -> Any:
        self.runtime.check()
        return array.copy()

    def generator(self, index: int) -> Any:
        return None


def emulated() -> EmulatedBackend:
    """The registered device."""
    try:
        return get_backend("emulated")  # type: ignore[return-value]
    except Exception:
        register_backend(EmulatedBackend())
        return get_backend("emulated")  # type: ignore[return-value]

"""``torch.cpu``: the functions of a device namespace, where they say that all is done.

There is one host, one stream, and nothing to wait for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "names",
    "set_device",
    "stream",
    "synchronize",
]


def names() -> dict[str, Any]:
    """What ``torch.cpu`` has, and nothing of what other devices' namespaces have."""
    public = [name for name in __all__ if name != "names"]
    made = {name: globals()[name] for name in public}
    return made | {"__all__": public}


class Stream:
    """The stream of the host, whose work is done at once."""

    def __init__(self, priority: int = -1) -> None:
        """``priority`` orders streams where there are several."""

    def wait_stream(self, stream: Any) -> None:
        """Returns: work is done."""

    def record_event(self) -> None:
        """Returns: there is nothing to mark."""

    def wait_event(self, event: Any) -> None:
        """Returns: work is done."""


class Event:
    """A place in the host's work, which is always reached."""

    def query(self) -> bool:
        """True: work is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Returns: there is nothing to mark."""

    def synchronize(self) -> None:
        """Returns: work is done."""

    def wait(self, stream: Any = None) -> None:
        """Returns: work is done."""


_default_stream = Stream()
_current_stream = _default_stream


class StreamContext(AbstractContextManager):  # type: ignore[type-arg]
    """A block in which ``current_stream()`` is another (None: the same) stream."""

    cur_stream: Any

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.prev_stream = _default_stream

    def __enter__(self) -> None:
        global _current_stream
        if self.stream is not None:
            self.prev_stream, _current_stream = _current_stream, self.stream

    def __exit__(self, *exc_info: object) -> None:
        global _current_stream
        if self.stream is not None:
            _current_stream = self.prev_stream


def stream(stream: Any) -> AbstractContextManager[Any]:
    """A block in which ``current_stream()`` is another stream."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """The stream in use."""
    return _current_stream


def is_available() -> bool:
    """True: the host is always there."""
    return True


def is_initialized() -> bool:
    """True: the host is always there."""
    return True


def synchronize(device: Any = None) -> None:
    """Returns: work is done."""


def device_count() -> int:
    """1, however many processors there are."""
    return 1


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def set_device(device: Any) -> None:
    """Returns: there is one host."""


#: Instruction sets by the names that PyTorch has for them, where Linux's differ.
_FLAGS = {
    "sse3": "pni",
    "sse4_1": "sse4_1",
    "fma3": "fma",
    "lzcnt": "abm",
    "sha": "sha_ni",
    "avx_vnni": "avx_vnni",
    **{f"avx512_{x}": f"avx512{x}" for x in ("f", "cd", "dq", "bw", "vl", "ifma")},
    "avx512_vbmi": "avx512vbmi",
}
_SETS = (
    "sse sse2 sse3 ssse3 sse4_1 sse4_2 sse4a avx avx2 avx_vnni fma3 fma4 f16c bmi bmi2 "
    "aes sha clflush clflushopt clwb lzcnt avx512_f avx512_cd avx512_dq avx512_bw "
    "avx512_vl avx512_ifma avx512_vbmi avx512_vbmi2 avx512_bitalg avx512_vnni "
    "avx512_bf16 avx512_fp16 avx512_vpopcntdq avx512_vp2intersect amx_bf16 amx_tile "
    "amx_int8 amx_fp16"
).split()


def get_capabilities() -> Mapping[str, Any]:
    """Architecture, cores, caches, and whether each instruction set is there.

    Linux says all of it; elsewhere only architecture and cores are known.
    """
    import platform

    logical = os.cpu_count() or 1
    made: dict[str, Any] = {
        "architecture": platform.machine(),
        "cpu_name": platform.processor() or platform.machine(),
        "num_logical_cores": logical,
    }
    fields = _cpuinfo()
    if "flags" in fields:
        flags = set(fields["flags"].split())
        made |= {name: _FLAGS.get(name, name) in flags for name in _SETS}
        made["cpu_name"] = fields.get("model name", made["cpu_name"])
        made["num_sockets"] = int(fields["sockets"])
        made["num_physical_cores"] = int(fields["cores"])
    for name, level in (("l1d_cache_size", 0), ("l2_cache_size", 2)):
        size = _cache_size(level)
        if size is not None:
            made[name] = size
    return MappingProxyType(made)


def _cpuinfo() -> dict[str, str]:
    """Linux's description of the first processor, with the number of all of them."""
    try:
        with open("/proc/cpuinfo") as file:
            blocks = [b for b in file.read().split("\n\n") if b.strip()]
    except OSError:
        return {}
    parsed = []
    for block in blocks:
        pairs = (line.partition(":") for line in block.splitlines())
        parsed.append({key.strip(): value.strip() for key, _, value in pairs})
    first = dict(parsed[0]) if parsed else {}
    first["sockets"] = str(len({p.get("physical id", "0") for p in parsed}) or 1)
    cores = {(p.get("physical id"), p.get("core id", n)) for n, p in enumerate(parsed)}
    first["cores"] = str(len(cores) or 1)
    return first


def _cache_size(index: int) -> int | None:
    """Bytes of a cache (0: first level's data, 2: second level's), where Linux says."""
    try:
        with open(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size") as file:
            text = file.read().strip()
    except OSError:
        return None
    units = {"K": 1 << 10, "M": 1 << 20}
    return int(text.rstrip("KM")) * units.get(text[-1], 1)

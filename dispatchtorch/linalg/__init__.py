"""torch.linalg: the operators ``linalg_*`` under their public names."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    from dispatchtorch.dispatch.operator import packets

    packet = packets.get(f"linalg_{name}")
    if packet is None or name.startswith("_"):
        raise AttributeError(f"module 'torch.linalg' has no attribute '{name}'")
    made = globals()[name] = packet.callable("function")
    return made


def __dir__() -> list[str]:
    from dispatchtorch.dispatch.operator import packets

    names = {n[7:] for n in packets if n.startswith("linalg_") and n[-1] != "_"}
    return sorted({*globals(), *names})

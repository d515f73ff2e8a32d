"""Tools around tensors: data loading, checkpointing, pytrees, benchmarks, logging.

Each submodule is imported when it is first named, so the package itself costs nothing.
"""

from __future__ import annotations

from typing import Any

_SUBMODULES = frozenset(
    {
        "_device",
        "_python_dispatch",
        "_pytree",
        "backend_registration",
        "benchmark",
        "checkpoint",
        "collect_env",
        "data",
        "debug_log",
        "deterministic",
        "dlpack",
        "file_baton",
        "flop_counter",
        "hooks",
        "model_zoo",
        "module_tracker",
        "tensorboard",
        "throughput_benchmark",
        "weak",
    }
)

_REGISTRATION = frozenset(
    {"generate_methods_for_privateuse1_backend", "rename_privateuse1_backend"}
)

__all__ = [
    "backend_registration",
    "benchmark",
    "checkpoint",
    "collect_env",
    "data",
    "deterministic",
    "dlpack",
    "get_cpp_backtrace",
    "hooks",
    "model_zoo",
    "set_module",
    "swap_tensors",
    "tensorboard",
    "throughput_benchmark",
]


def set_module(obj: Any, mod: str) -> None:
    """Sets the module under which ``obj`` is shown and pickled."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def get_cpp_backtrace(
    frames_to_skip: int = 0, maximum_number_of_frames: int = 64
) -> str:
    """The stack of Python frames: there is no other."""
    import traceback

    frames = traceback.extract_stack()[: -1 - frames_to_skip]
    lines = reversed(frames[-maximum_number_of_frames:])
    return "\n".join(
        f"frame #{n}: {line.name} ({line.filename}:{line.lineno})"
        for n, line in enumerate(lines)
    )


def swap_tensors(t1: Any, t2: Any) -> None:
    """Exchanges all that two tensors are: values, attributes, class, gradient.

    RuntimeError for one that weak references or a graph that is alive go by.
    """
    import weakref

    for name, each in (("t1", t1), ("t2", t2)):
        if weakref.getweakrefs(each):
            raise RuntimeError(
                f"Cannot swap {name} because it has weakref associated with it"
            )
        meta = each._meta
        if meta is not None and meta.accumulate is not None and meta.accumulate():
            raise RuntimeError(
                f"Cannot swap {name}: a graph that is alive holds it; call backward() or "
                "let go of what was computed from it first"
            )
    slots = [
        slot
        for kind in type(t1).__mro__
        for slot in vars(kind).get("__slots__", ())
        if slot not in ("__dict__", "__weakref__")
    ]
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    missing = object()
    for slot in slots:
        first, second = getattr(t1, slot, missing), getattr(t2, slot, missing)
        for tensor, value in ((t1, second), (t2, first)):
            if value is not missing:
                setattr(tensor, slot, value)


def __getattr__(name: str) -> Any:
    if name == "ThroughputBenchmark":
        from dispatchtorch.utils.throughput_benchmark import ThroughputBenchmark

        return ThroughputBenchmark
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name in _REGISTRATION:
        from dispatchtorch.utils import backend_registration

        return getattr(backend_registration, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_REGISTRATION})

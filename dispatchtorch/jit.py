"""``torch.jit``: what programs ask of it without compiling; the rest isn't supported."""

from __future__ import annotations

import builtins
import warnings
from types import UnionType
from typing import Any, Final, NamedTuple, NoReturn, Union, get_args, get_origin

__all__ = [  # noqa: F822
    "Attribute",
    "CompilationUnit",
    "Error",
    "Final",
    "Future",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

_warned = False


class Error(Exception):
    """What a compiled program raised. Nothing is compiled."""


class Attribute(NamedTuple):
    """A value and its type, for a compiler."""

    value: Any
    type: Any


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def export(fn: Any) -> Any:
    """``fn`` itself: a mark for TorchScript."""
    return fn


def unused(fn: Any) -> Any:
    """``fn`` itself: a mark for TorchScript."""
    return fn


def script_if_tracing(fn: Any) -> Any:
    """``fn`` itself: nothing is traced."""
    return fn


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """``obj`` itself, which runs as Python: what PyTorch does under ``PYTORCH_JIT=0``.

    Warns once, since nothing is compiled; what it would take to save the program,
    :func:`save`, isn't supported.
    """
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "torch.jit.script: TorchScript isn't compiled here; functions and modules run "
            "as Python, as with PYTORCH_JIT=0.",
            stacklevel=2,
        )
    return obj


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, a mark for TorchScript; a decorator without one."""
    return drop if callable(drop) else (lambda fn: fn)


def _unsupported(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"torch.jit.{name}: TorchScript isn't supported; programs run as they are "
            "written"
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "NotImplementedError: TorchScript isn't supported."
    return function


export_opnames, freeze, load, optimize_for_inference, save, trace, trace_module = map(
    _unsupported,
    "export_opnames freeze load optimize_for_inference save trace trace_module".split(),
)


class _NeverMade(type):
    """The class of classes that only a compiler makes instances of."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        _unsupported(cls.__name__)()
        raise AssertionError("unreachable")


class ScriptFunction(metaclass=_NeverMade):
    """A compiled function. There is none: programs ask whether theirs is one."""


class ScriptModule(metaclass=_NeverMade):
    """A compiled module. There is none: programs ask whether theirs is one."""


class CompilationUnit(metaclass=_NeverMade):
    """A set of compiled functions. There is none."""


def annotate(the_type: Any, the_value: Any) -> Any:
    """``the_value``: its type is a hint for a compiler."""
    return the_value


def interface(obj: Any) -> Any:
    """The class itself: a mark for TorchScript."""
    return obj


def isinstance(obj: Any, target_type: Any) -> bool:
    """As Python's, and knows ``list[int]``, ``dict[str, Tensor]``, ``int | None``, …

    Containers are asked item by item. RuntimeError unless given a type or several.
    """
    targets = target_type if type(target_type) is tuple else (target_type,)
    return any(_fits(obj, each) for each in targets)


def _fits(obj: Any, target: Any) -> bool:
    origin, inner = get_origin(target), get_args(target)
    if target is None:
        target = type(None)
    if origin in (Union, UnionType):
        return any(_fits(obj, each) for each in inner)
    if origin is None:
        if not builtins.isinstance(target, type):
            raise RuntimeError(
                "The second argument to `torch.jit.isinstance` must be a type or a tuple "
                "of types"
            )
        return builtins.isinstance(obj, target)
    if not builtins.isinstance(obj, origin):
        return False
    if origin is dict:
        return all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in obj.items())
    if origin is tuple and Ellipsis not in inner:
        return len(obj) == len(inner) and all(map(_fits, obj, inner))
    return all(_fits(item, inner[0]) for item in obj)


def fork(func: Any, *args: Any, **kwargs: Any) -> Any:
    """A future of ``func(*args, **kwargs)``, which is called at once."""
    from dispatchtorch.futures import Future

    made: Any = Future()
    made.set_result(func(*args, **kwargs))
    return made


def wait(future: Any) -> Any:
    """The result of a future of ``fork``."""
    return future.wait()


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Returns the strategy before it: none, as nothing is fused by a compiler."""
    return []


_onednn_fusion = False


def enable_onednn_fusion(enabled: bool) -> None:
    """A switch of a compiler, without effect."""
    global _onednn_fusion
    _onednn_fusion = enabled


def onednn_fusion_enabled() -> bool:
    """What ``enable_onednn_fusion`` set."""
    return _onednn_fusion


class strict_fusion:
    """A block in which a compiler would have to fuse everything. Without effect."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass


def __getattr__(name: str) -> Any:
    if name == "Future":
        from dispatchtorch.futures import Future

        return Future
    raise AttributeError(f"module 'torch.jit' has no attribute '{name}'")

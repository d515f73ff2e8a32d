"""``torch.compiler`` and ``torch.compile``: programs run as they are written.

Nothing is compiled. Questions are answered, marks for the compiler leave what they mark
unchanged, and what asks for a compiler raises NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "assume_constant_result",
    "get_default_backend",
    "keep_portable_guards_unsafe",
    "keep_tensor_guards_unsafe",
    "load_cache_artifacts",
    "load_compiled_function",
    "nested_compile_region",
    "save_cache_artifacts",
    "set_default_backend",
    "set_enable_guard_collectives",
    "set_stance",
    "skip_all_guards_unsafe",
    "skip_guard_on_all_nn_modules_unsafe",
    "skip_guard_on_globals_unsafe",
    "skip_guard_on_inbuilt_nn_modules_unsafe",
    "substitute_in_graph",
    "wrap_numpy",
    "compile",
    "reset",
    "allow_in_graph",
    "list_backends",
    "disable",
    "cudagraph_mark_step_begin",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
]


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """``model`` itself with ``backend="eager"`` or ``disable=True``.

    NotImplementedError for any other backend. Without ``model`` a decorator is returned.
    """
    if not disable and backend != "eager":
        raise NotImplementedError(
            "torch.compile isn't supported: programs run as they are written. Leave it "
            'out, or pass backend="eager" or disable=True, which change nothing'
        )
    return (lambda model: model) if model is None else model


def reset() -> None:
    """Nothing to forget: nothing is compiled."""


def allow_in_graph(fn: Any) -> Any:
    """``fn`` itself: there are no graphs."""
    return fn


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """No compilers."""
    return []


def disable(
    fn: Any = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """``fn`` itself, which runs as it is written anyway; a decorator without ``fn``."""
    return (lambda fn: fn) if fn is None else fn


def cudagraph_mark_step_begin() -> None:
    """Nothing to mark: no device's work is captured."""


def is_compiling() -> bool:
    """False."""
    return False


def is_dynamo_compiling() -> bool:
    """False."""
    return False


def is_exporting() -> bool:
    """False."""
    return False


def assume_constant_result(fn: Any) -> Any:
    """``fn`` itself: a mark for a compiler."""
    return fn


def nested_compile_region(fn: Any = None, **options: Any) -> Any:
    """``fn`` itself, a mark for a compiler; a decorator without ``fn``."""
    return (lambda fn: fn) if fn is None else fn


def substitute_in_graph(
    original_fn: Any,
    *,
    can_constant_fold_through: bool = False,
    skip_signature_check: bool = False,
) -> Any:
    """A decorator that leaves the substitute as it is: a mark for a compiler."""
    return lambda substitute: substitute


_backend: Any = "eager"


def set_default_backend(backend: Any) -> None:
    """The backend of ``compile`` without one: only "eager" (None: the same)."""
    if backend not in (None, "eager"):
        raise NotImplementedError(
            f"torch.compile has no backend {backend!r}: programs run as they are written"
        )


def get_default_backend() -> Any:
    """``"eager"``: programs run as they are written."""
    return _backend


_STANCES = (
    "default force_eager eager_on_recompile fail_on_recompile aot_eager_then_compile "
    "eager_then_compile"
).split()


class set_stance:
    """What a compiler should do when it meets a call: a statement, block or decorator.

    Nothing is compiled, so that all stances mean the same.
    """

    def __init__(
        self,
        stance: str = "default",
        *,
        skip_guard_eval_unsafe: bool = False,
        force_backend: Any = None,
    ) -> None:
        if stance not in _STANCES:
            raise RuntimeError(f"invalid torch.compile stance '{stance}'")
        self.stance = stance

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass

    def __call__(self, fn: Any) -> Any:
        return fn


def set_enable_guard_collectives(enabled: bool) -> bool:
    """False: what was set before. There are no guards."""
    return False


def wrap_numpy(fn: Any) -> Any:
    """A function of tensors that calls ``fn`` with NumPy arrays and gives tensors."""
    from functools import wraps

    from dispatchtorch.utils._pytree import tree_map

    @wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        import numpy as np

        import dispatchtorch as torch

        def lower(value: Any) -> Any:
            return value.numpy() if isinstance(value, torch.Tensor) else value

        def lift(value: Any) -> Any:
            return torch.as_tensor(value) if isinstance(value, np.ndarray) else value

        args, kwargs = tree_map(lower, (args, kwargs))
        return tree_map(lift, fn(*args, **kwargs))

    return wrapped


def save_cache_artifacts() -> None:
    """None: nothing was compiled."""


def load_cache_artifacts(serialized_artifacts: bytes) -> None:
    """None: there is nothing to load them into."""


def load_compiled_function(file: Any, **options: Any) -> Any:
    """NotImplementedError: nothing is compiled."""
    raise NotImplementedError(
        "torch.compiler.load_compiled_function: compiled programs can't be loaded; "
        "programs run as they are written"
    )


def _kept(guard_entries: Any, **options: Any) -> list[bool]:
    """True for each guard: a filter for compilers."""
    return [True for _ in guard_entries]


keep_portable_guards_unsafe = keep_tensor_guards_unsafe = _kept
skip_guard_on_inbuilt_nn_modules_unsafe = skip_guard_on_all_nn_modules_unsafe = _kept
skip_guard_on_globals_unsafe = skip_all_guards_unsafe = _kept

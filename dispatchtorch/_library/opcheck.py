"""``opcheck``: tests that an operator was registered as it behaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dispatchtorch._library import kernels
from dispatchtorch._ops import OpOverload, OpOverloadPacket
from dispatchtorch.tensor import Tensor

__all__ = ["FakeContext", "OpCheckError", "current_context", "opcheck"]

_DEFAULT = (
    "test_schema",
    "test_autograd_registration",
    "test_faketensor",
    "test_aot_dispatch_dynamic",
)


class OpCheckError(Exception):
    """A test of ``opcheck`` failed."""


class FakeContext:
    """What ``get_ctx()`` gives inside a fake implementation."""

    def __init__(self, op: OpOverload) -> None:
        self._op = op

    def new_dynamic_size(self, *, min: int = 0, max: int | None = None) -> int:
        """A size that depends on data: there are no symbolic sizes here."""
        raise NotImplementedError(
            f"{self._op.name()}: the fake implementation asked for a data-dependent "
            "size (new_dynamic_size), and symbolic sizes are not supported"
        )

    create_unbacked_symint = new_dynamic_size


_contexts: list[FakeContext] = []


@contextmanager
def fake_context(context: FakeContext) -> Iterator[None]:
    _contexts.append(context)
    try:
        yield
    finally:
        _contexts.pop()


def current_context() -> FakeContext | None:
    return _contexts[-1] if _contexts else None


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: Any = _DEFAULT,
    raise_exception: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
) -> dict[str, Any]:
    """Runs the named tests; {test: "SUCCESS" or the exception}.

    Raises OpCheckError for the first failure unless ``raise_exception`` is False.
    Follows https://docs.pytorch.org/docs/stable/library.html#torch.library.opcheck.
    """
    names = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    if not isinstance(op, (OpOverload, OpOverloadPacket)):
        op = op._opoverload
    if isinstance(op, OpOverloadPacket):
        op = getattr(op, op.overloads()[0])
    if not set(names) <= set(_TESTS):
        raise ValueError(
            f"opcheck(op, ..., test_utils={names}), expected test_utils to be subset of "
            f"{tuple(_TESTS)} but it was not"
        )
    if rtol is not None or atol is not None:
        tolerances = {"rtol": rtol, "atol": atol}
    else:
        tolerances = {}
    results: dict[str, Any] = {}
    for name in names:
        try:
            _TESTS[name](op, args, kwargs or {}, tolerances)
        except Exception as error:
            if raise_exception:
                raise OpCheckError(
                    f"opcheck(op, ...): {name} failed with {error} (scroll up for stack "
                    "trace)"
                ) from error
            results[name] = error
        else:
            results[name] = "SUCCESS"
    return results


def _copied(value: Any) -> Any:
    """A deep copy of arguments that keeps requires_grad."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)([_copied(v) for v in value])
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return value


def _flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for each in value for t in _flat(each)]
    return []


def _schema(op: OpOverload, args: Any, kwargs: Any, tolerances: Any) -> None:
    import dispatchtorch as torch

    args, kwargs = _copied(args), _copied(kwargs)
    arguments = op._schema.arguments
    given = dict(zip([a.name for a in arguments], args, strict=False)) | kwargs
    with torch.no_grad():
        before = {n: [t.clone() for t in _flat(v)] for n, v in given.items()}
        result = op(*args, **kwargs)
    outputs = {id(t) for t in _flat(result)}
    cells = {id(t._ver) for t in _flat(result) if t._ver is not None}
    for argument in arguments:
        now = _flat(given.get(argument.name))
        changed = any(
            not torch.equal(a, b) and not bool(((a != a) & (b != b)).any())
            for a, b in zip(before.get(argument.name, []), now, strict=True)
        )
        if changed and not argument.is_write:
            raise RuntimeError(
                f"Argument {argument.name} is not defined as mutable but was mutated"
            )
        shared = any(
            id(t) in outputs or (t._ver is not None and id(t._ver) in cells)
            for t in now
        )
        if shared and argument.alias_info is None:
            raise RuntimeError(
                f"Argument {argument.name} is not defined to alias output but was "
                "aliasing"
            )


def _autograd_registration(
    op: OpOverload, args: Any, kwargs: Any, tolerances: Any
) -> None:
    wanting = [t for t in _flat([args, kwargs]) if t.requires_grad]
    if not wanting or "library" not in op._operator.tags:
        return
    rules = op._operator.rules
    devices = [f"autograd{t.device.type}" for t in wanting]
    found = kernels.kernel_of(op._operator, "autograd", kernels.IMPLICIT, *devices)
    if found is None and rules.get("formula") is None:
        raise AssertionError(
            f"The operator {op} has input(s) that require grad and no autograd kernel "
            "or formula was registered for it. Please use "
            "torch.library.register_autograd"
        )


def _to_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("meta")
    if isinstance(value, (list, tuple)):
        return type(value)([_to_meta(v) for v in value])
    if isinstance(value, dict):
        return {k: _to_meta(v) for k, v in value.items()}
    if getattr(value, "type", None) == "cpu":
        return type(value)("meta")
    return value


def _faketensor(op: OpOverload, args: Any, kwargs: Any, tolerances: Any) -> None:
    import dispatchtorch as torch

    with torch.no_grad():
        real = _flat(op(*_copied(args), **_copied(kwargs)))
        fake = _flat(op(*_to_meta(args), **_to_meta(kwargs)))
    if len(real) != len(fake):
        raise AssertionError(
            f"the fake implementation returned {len(fake)} tensors, expected {len(real)}"
        )
    for a, b in zip(real, fake, strict=True):
        for what in ("shape", "dtype"):
            if getattr(a, what) != getattr(b, what):
                raise AssertionError(
                    f"the fake implementation's result has {what} {getattr(b, what)}, "
                    f"expected {getattr(a, what)}"
                )
        if a.stride() != b.stride():
            raise AssertionError(
                f"the fake implementation's result has strides {b.stride()}, expected "
                f"{a.stride()}"
            )


def _aot_dispatch(op: OpOverload, args: Any, kwargs: Any, tolerances: Any) -> None:
    """Results and gradients are the same when every call below autograd is intercepted."""
    import dispatchtorch as torch
    from dispatchtorch.utils._python_dispatch import BaseTorchDispatchMode

    def run() -> tuple[list[Tensor], list[Any]]:
        given, named = _copied(args), _copied(kwargs)
        outputs = _flat(op(*given, **named))
        leaves = [t for t in _flat([given, named]) if t.requires_grad]
        heads = [t for t in outputs if t.requires_grad]
        if not leaves or not heads:
            return outputs, []
        ones = [torch.ones_like(t) for t in heads]
        return outputs, list(
            torch.autograd.grad(heads, leaves, ones, allow_unused=True)
        )

    _faketensor(op, args, kwargs, tolerances)
    expected = run()
    with BaseTorchDispatchMode():
        intercepted = run()
    torch.testing.assert_close(intercepted, expected, equal_nan=True, **tolerances)


_TESTS: dict[str, Callable[..., None]] = {
    "test_schema": _schema,
    "test_autograd_registration": _autograd_registration,
    "test_faketensor": _faketensor,
    "test_aot_dispatch_static": _aot_dispatch,
    "test_aot_dispatch_dynamic": _aot_dispatch,
}

"""``custom_op``: a Python function as an operator, with all that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dispatchtorch._library import kernels
from dispatchtorch._library.schemas import infer_schema
from dispatchtorch._ops import OpOverload, ops
from dispatchtorch.tensor import Tensor

if TYPE_CHECKING:
    from dispatchtorch.library import Library

__all__ = ["CustomOpDef", "custom_op", "parse_qualname"]

Function = Callable[..., Any]


def parse_qualname(qualname: str) -> tuple[str, str]:
    """Namespace and name of ``"namespace::name"``; ValueError for anything else."""
    parts = qualname.split("::")
    if len(parts) != 2 or not all(parts):
        raise ValueError(
            f'Expected `qualname` to be of the form "namespace::name", but got '
            f"{qualname}. The qualname passed to the torch.library APIs must consist of "
            "a namespace and a name, e.g. aten::sin"
        )
    if "." in parts[1]:
        raise ValueError(
            "The torch.library.custom_op APIs do not handle overloads, i.e. operator "
            "names with '.' in them. Please name your operator something like "
            f"{parts[1].replace('.', '_')}. Got: {parts[1]}"
        )
    return parts[0], parts[1]


def custom_op(
    name: str,
    fn: Function | None = None,
    /,
    *,
    mutates_args: Any,
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Makes a function an operator ``namespace::name``.

    ``mutates_args``: the names of the arguments that it writes, or "unknown".
    ``device_types``: those that the function is for; None for all. ``schema``: instead of
    the function's type hints. Follows https://docs.pytorch.org/docs/stable/library.html.
    """

    def define(function: Function) -> CustomOpDef:
        text = schema
        if text is None:
            text = infer_schema(function, mutates_args=mutates_args)
        namespace, opname = parse_qualname(name)
        made = CustomOpDef(namespace, opname, text, function, tags)
        if schema is not None:
            _check_mutation(text, made, mutates_args)
        made.register_kernel(device_types)(function)
        return made

    return define if fn is None else define(fn)


def _check_mutation(text: str, made: CustomOpDef, mutates_args: Any) -> None:
    written = {a.name for a in made._opoverload._schema.arguments if a.is_write}
    if mutates_args != "unknown" and written != set(mutates_args):
        made._lib._destroy()
        raise ValueError(
            "Attempted to create a custom op with `mutates_args={"
            f"{', '.join(map(repr, sorted(mutates_args)))}"
            "}` and `schema="
            f"{text}`. The schema suggests that the op mutates {written}, which is "
            "different from what was provided to us in `mutates_args`. Please make "
            "these consistent."
        )


_DEFINED: dict[str, CustomOpDef] = {}


class CustomOpDef:
    """An operator made by :func:`custom_op`; call it as the function."""

    def __init__(
        self, namespace: str, name: str, schema: str, fn: Function, tags: Any = None
    ) -> None:
        from dispatchtorch.library import Library

        self._namespace = namespace
        self._name = name
        self._schema = schema
        self._init_fn = fn
        self._backward_fn: Function | None = None
        self._abstract_fn: Function | None = None
        self._disabled: set[str] = set()
        self._checked = False
        self._lib: Library
        old = _DEFINED.pop(self._qualname, None)
        if old is not None:
            old._lib._destroy()
        self._lib = Library(namespace, "FRAGMENT")
        tags = () if tags is None else tags
        self._lib.define(
            f"{name}{schema}", tags=tags if isinstance(tags, (list, tuple)) else [tags]
        )
        self._operator = self._opoverload._operator
        self._operator.rules["custom_op"] = self
        self._operator.__doc__ = fn.__doc__
        self.__doc__ = fn.__doc__
        from dispatchtorch._library.autograd import Formula

        self._operator.rules["formula"] = Formula(None, None)
        _DEFINED[self._qualname] = self

    @property
    def _qualname(self) -> str:
        return f"{self._namespace}::{self._name}"

    @property
    def _opoverload(self) -> OpOverload:
        found: OpOverload = getattr(getattr(ops, self._namespace), self._name).default
        return found

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._opoverload(*args, **kwargs)

    def register_kernel(self, device_types: Any, fn: Function | None = None, /) -> Any:
        """Registers a function as the implementation for device types (None: all)."""

        def add(function: Function) -> Function:
            names: list[Any] = (
                [device_types]
                if device_types is None or isinstance(device_types, str)
                else list(device_types)
            )
            for device in names:
                key = "all devices" if device is None else kernels.device_key(device)
                checked = self._guarded(device, function)
                self._lib._add(self._operator, key, checked)
            return function

        return add if fn is None else add(fn)

    def _guarded(self, device: str | None, function: Function) -> Function:
        def kernel(*args: Any, **kwargs: Any) -> Any:
            if device in self._disabled:
                return self._init_fn(*args, **kwargs)
            result = function(*args, **kwargs)
            _check_alias(self._name, function, args, kwargs, result)
            return result

        kernel.__wrapped__ = function  # type: ignore[attr-defined]
        return kernel

    def register_fake(self, fn: Function, /) -> Function:
        """Registers what the operator gives on the ``meta`` device: shapes and dtypes."""

        def fake(*args: Any, **kwargs: Any) -> Any:
            from dispatchtorch._library.opcheck import FakeContext, fake_context

            with fake_context(FakeContext(self._opoverload)):
                return fn(*args, **kwargs)

        self._abstract_fn = fn
        self._lib._add(self._operator, "meta", fake)
        return fn

    def register_torch_dispatch(
        self, torch_dispatch_class: Any, fn: Function | None = None, /
    ) -> Any:
        """Registers how a mode or subclass with ``__torch_dispatch__`` handles it."""

        def add(function: Function) -> Function:
            kernels.add_torch_dispatch(self._operator, torch_dispatch_class, function)
            return function

        return add if fn is None else add(fn)

    def register_autograd(
        self, backward: Function, /, *, setup_context: Function | None = None
    ) -> None:
        """Registers ``backward(ctx, *grads)``, one gradient for each input.

        ``setup_context(ctx, inputs, output)`` saves what it needs on ``ctx``.
        """
        set_formula(self._opoverload, backward, setup_context)
        self._backward_fn = backward

    def register_vmap(self, func: Function | None = None, /) -> Any:
        """Registers a batching rule."""
        from dispatchtorch.library import register_vmap

        return register_vmap(self._qualname, func)

    def register_autocast(self, device_type: str, cast_inputs: Any, /) -> Any:
        """Casts floating inputs to a dtype under autocast."""
        from dispatchtorch.library import register_autocast

        return register_autocast(self._qualname, device_type, cast_inputs)

    @contextmanager
    def set_kernel_enabled(
        self, device_type: str, enabled: bool = True
    ) -> Iterator[None]:
        """A block in which a device's kernel is used, or the first function instead."""
        before = set(self._disabled)
        (self._disabled.discard if enabled else self._disabled.add)(device_type)
        try:
            yield
        finally:
            self._disabled = before


def set_formula(op: OpOverload, backward: Function, setup: Function | None) -> None:
    """Attaches a backward formula to an operator; it binds anew."""
    from dispatchtorch._library.autograd import Formula
    from dispatchtorch.dispatch.operator import changing_registry

    schema = op._schema
    if schema.is_mutable or any(r.alias_info for r in schema.returns):
        raise RuntimeError(
            f"Cannot register autograd formula for non-functional operator {op} with "
            f"schema {schema}. Please create a functional operator and register an "
            "autograd formula for that."
        )
    kernels.install()
    with changing_registry(op._operator):
        op._operator.rules["formula"] = Formula(backward, setup)


def _tensors(values: Any) -> Iterator[Tensor]:
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, (list, tuple)):
            yield from _tensors(each)


def _check_alias(
    name: str, function: Function, args: Any, kwargs: dict[str, Any], result: Any
) -> None:
    """Results of custom operators own their memory."""
    outputs = list(_tensors([result]))
    if not outputs:
        return
    cells = {id(t._ver) for t in _tensors(args) if t._ver is not None}
    cells |= {id(t._ver) for t in _tensors(kwargs.values()) if t._ver is not None}
    seen = {id(t) for t in _tensors([*args, *kwargs.values()])}
    for t in outputs:
        if id(t) in seen or (t._ver is not None and id(t._ver) in cells):
            raise RuntimeError(
                f"{name} (with implementation in {function.__module__}): The output of "
                "this custom operator (1) must not also be an input to this custom "
                "operator and (2) may not alias any inputs to this custom operator or "
                "other returns. The most common way to trigger this error is if we have "
                "y = custom_op(x) and y and x are the same Tensor. Please instead return "
                "a clone of the offending output tensor(s) (e.g. return x.clone()) or "
                "refactor the custom operator to not return y."
            )
        seen.add(id(t))

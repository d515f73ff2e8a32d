"""``torch.library``: operators, kernels and derivatives of a program's own.

Follows https://docs.pytorch.org/docs/stable/library.html. What is registered here goes
to the one dispatcher that all operators use: kernels over tensors for a dispatch key (any
device type is one), formulas for autograd, shapes for ``meta``.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from dispatchtorch._library import kernels as _kernels
from dispatchtorch._library.custom_ops import (
    CustomOpDef,
    custom_op,
    parse_qualname,
    set_formula,
)
from dispatchtorch._library.kernels import fallthrough as fallthrough_kernel
from dispatchtorch._library.opcheck import current_context, opcheck
from dispatchtorch._library.schemas import infer_schema
from dispatchtorch._ops import OpOverload, OpOverloadPacket, ops
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dispatch.schema import parse

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "fallthrough_kernel",
    "get_ctx",
    "get_kernel",
    "impl",
    "impl_abstract",
    "infer_schema",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
    "triton_op",
    "wrap_triton",
]

Function = Callable[..., Any]

_RESERVED = ("prim",)
_namespaces: dict[str, str] = {"aten": "the core"}
_pending: dict[str, list[tuple[Any, str, Function]]] = {}  # kernels before their schema
_warned = False


class Library:
    """Definitions and kernels that are undone together.

    ``kind`` is "DEF" (the one library that defines a namespace), "FRAGMENT" (adds to it)
    or "IMPL" (kernels for operators that exist). ``dispatch_key`` is the default of
    :meth:`impl`.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        if ns in _RESERVED and kind in ("DEF", "FRAGMENT"):
            raise ValueError(
                f"{ns} is a reserved namespace. Please try creating a library with "
                "another name."
            )
        place = _caller()
        if kind == "DEF":
            if ns in _namespaces:
                raise RuntimeError(
                    "Only a single TORCH_LIBRARY can be used to register the namespace "
                    f"{ns}; please put all of your definitions in a single "
                    "TORCH_LIBRARY block.  If you were trying to specify "
                    "implementations, consider using TORCH_LIBRARY_IMPL (which can be "
                    "duplicated).  If you really intended to define operators for a "
                    "single namespace in a distributed way, you can use "
                    "TORCH_LIBRARY_FRAGMENT to explicitly indicate this.  Previous "
                    f"registration of TORCH_LIBRARY was registered at {_namespaces[ns]};"
                    f" latest registration was registered at {place}"
                )
            _namespaces[ns] = place
        self._place = place
        self.ns = ns
        self.kind = kind
        self.dispatch_key = dispatch_key
        self._undo: list[Callable[[], None]] = []
        if kind == "DEF":
            self._undo.append(lambda: _namespaces.__delitem__(ns))
        weakref.finalize(self, _undo_all, self._undo).atexit = False

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})>"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Declares an operator; returns its name. RuntimeError for a bad schema."""
        if alias_analysis not in ("", "FROM_SCHEMA", "CONSERVATIVE"):
            raise RuntimeError(f"Invalid alias_analysis type {alias_analysis}")
        if self.kind == "IMPL":
            raise RuntimeError(
                f'def("{schema.partition("(")[0].strip()}"): Cannot define an operator '
                "inside of a TORCH_LIBRARY_IMPL block.  All def()s should be placed in "
                "the (unique) TORCH_LIBRARY block for their namespace.  (Error occurred "
                f"while processing TORCH_LIBRARY_IMPL block at {self._place})"
            )
        text = schema if "::" in schema.partition("(")[0] else f"{self.ns}::{schema}"
        try:
            parsed = parse(text)
        except ValueError:
            raise RuntimeError(
                f"expected a schema like 'name(Tensor x) -> Tensor' here:\n{schema}\n"
            ) from None
        if parsed.namespace != self.ns:
            raise RuntimeError(
                f"Explicitly provided namespace ({parsed.namespace}) in schema string "
                f"does not match namespace of enclosing TORCH_LIBRARY block ({self.ns}). "
                "Move this definition to the (unique) TORCH_LIBRARY block corresponding "
                "to this namespace (and consider deleting the namespace from your schema "
                "string.)  (Error occurred while processing TORCH_LIBRARY block at "
                f"{self._place})"
            )
        _kernels.install()
        op = Operator(
            _own(text), tags=frozenset({"library", "no_fallback"}), variants="private"
        )
        try:
            _operator.add_operator(op)
        except ValueError:
            raise RuntimeError(
                f"Tried to register an operator ({text}) with the same name and overload "
                "name multiple times. Each overload's schema should only be registered "
                "with a single call to def(). Duplicate registration: registered at "
                f"{_caller()}."
            ) from None
        op.rules["tags"] = tuple(tags) if isinstance(tags, (list, tuple)) else (tags,)
        self._undo.append(lambda: _operator.remove_operator(op))
        for library, key, function in _pending.pop(op.full_name, []):
            library._add(op, key, function)
        return schema.partition("(")[0].rpartition("::")[2].strip()

    def impl(
        self,
        op_name: Any,
        fn: Function,
        dispatch_key: str = "",
        *,
        with_keyset: bool = False,
        allow_override: bool = False,
    ) -> None:
        """Registers a kernel over tensors for a dispatch key (a device type, …)."""
        if not callable(fn):
            raise TypeError(
                f"Input function is required to be a callable but found type {type(fn)}"
            )
        if with_keyset:
            raise NotImplementedError(
                "Library.impl: with_keyset=True is not supported: keysets here are not "
                "PyTorch's"
            )
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        if isinstance(op_name, OpOverload):
            name = op_name.name()
        elif isinstance(op_name, str):
            name = op_name
        else:
            raise RuntimeError(
                "impl should be passed either a name or an OpOverload object as the "
                f"first argument, got {type(op_name)}"
            )
        namespace, _, short = name.rpartition("::")
        if namespace and namespace != self.ns:
            raise RuntimeError(
                f'impl("{name}", ...): Explicitly provided namespace ({namespace}) in '
                "operator name does not match namespace of enclosing TORCH_LIBRARY_IMPL "
                f"block ({self.ns}).  Move this definition to the TORCH_LIBRARY_IMPL "
                "block corresponding to this namespace (and consider deleting the "
                "namespace from your operator name.)  (Error occurred while processing "
                f"TORCH_LIBRARY_IMPL block at {self._place})"
            )
        _kernels.parse_key(key)
        op = _lookup(self.ns, short)
        if op is None:
            _pending.setdefault(f"{self.ns}::{short}", []).append((self, key, fn))
            return
        self._add(op, key, fn, warn=not allow_override)

    def fallback(
        self, fn: Function, dispatch_key: str = "", *, with_keyset: bool = False
    ) -> None:
        """Not supported: a layer (dispatchtorch.dispatch.layer) does this here."""
        raise NotImplementedError(
            "Library.fallback is not supported: register a dispatch layer "
            "(dispatchtorch.dispatch.layer.Layer), which sees every operator"
        )

    def _add(self, op: Operator, key: str, fn: Function, warn: bool = False) -> None:
        if key == "all devices":
            self._undo.append(_add_raw(op, key, fn))
            return
        name = _kernels.parse_key(key)
        if warn and _kernels.has_kernel(op, name):
            _warn_overriding(op, key)
        self._undo.append(_kernels.add_kernel(op, name, fn))

    def _register_fake(self, op_name: str, fn: Function, _stacklevel: int = 1) -> None:
        self.impl(op_name, fn, "Meta", allow_override=True)

    def _destroy(self) -> None:
        """Takes back all that was registered through this object."""
        _undo_all(self._undo)


def _undo_all(undo: list[Callable[[], None]]) -> None:
    while undo:
        undo.pop()()


def _add_raw(op: Operator, key: str, fn: Function) -> Callable[[], None]:
    _kernels.install()
    with _operator.changing_registry(op):
        stack = op.rules.setdefault("library", {}).setdefault(key, [])
        stack.append(fn)

    def undo() -> None:
        with _operator.changing_registry(op):
            if fn in stack:
                stack.remove(fn)

    return undo


def _own(text: str) -> str:
    """The schema with the types that our parser calls otherwise."""
    return " ".join(text.split())


def _caller() -> str:
    import sys

    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        ("dispatchtorch.library", "dispatchtorch._library")
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "<unknown>"


def _warn_overriding(op: Operator, key: str) -> None:
    global _warned
    if _warned:
        return
    _warned = True
    warnings.warn(
        "Warning only once for all operators,  other operators may also be overridden.\n"
        "  Overriding a previously registered kernel for the same operator and the same "
        f"dispatch key\n  operator: {op.text}\n  dispatch key: {key}",
        UserWarning,
        stacklevel=4,
    )


def _lookup(namespace: str, name: str) -> Operator | None:
    """The operator of ``name`` or ``name.overload`` (PyTorch's names)."""
    base, _, overload = name.partition(".")
    packet = getattr(getattr(ops, namespace), base, None)
    if packet is None:
        return None
    found: OpOverload | None = packet._all().get(overload)
    if found is None and not overload:
        found = next(iter(packet._all().values()))
    return None if found is None else found._operator


def _resolved(op: Any) -> OpOverload:
    """The operator meant by a name, an overload or a CustomOpDef."""
    if isinstance(op, OpOverload):
        return op
    if isinstance(op, CustomOpDef):
        return op._opoverload
    if isinstance(op, OpOverloadPacket):
        found: OpOverload = getattr(op, op.overloads()[0])
        return found
    if not isinstance(op, str):
        raise ValueError(
            f"expected an operator's name, an OpOverload or a CustomOpDef, got {op!r}"
        )
    namespace, _, name = op.partition("::")
    base, _, overload = name.partition(".")
    if not base or not namespace:
        parse_qualname(op)
    if f"{namespace}::{base}" not in _operator.packets and not (
        namespace == "aten" and base in _operator.packets
    ):
        raise RuntimeError(f"operator {op} does not exist")
    packet = getattr(getattr(ops, namespace), base)
    names = packet.overloads()
    wanted = overload or ("default" if "default" in names else names[0])
    return getattr(packet, wanted)  # type: ignore[no-any-return]


_keep: list[Library] = []  # of registrations that were given no library


def _library(lib: Library | None, namespace: str, kind: str = "FRAGMENT") -> Library:
    if lib is not None:
        return lib
    made = Library(namespace, kind)
    _keep.append(made)
    return made


def define(
    qualname: Any, schema: Any, *args: Any, lib: Any = None, tags: Any = ()
) -> Any:
    """Declares the operator ``"namespace::name"`` with a schema such as
    ``"(Tensor x) -> Tensor"``.

    ``define(lib, "name(Tensor x) -> Tensor")`` is the older, decorating form.
    """
    if isinstance(qualname, Library):
        library, alias_analysis = qualname, args[0] if args else ""

        def decorate(function: Function) -> Function:
            name = library.define(schema, alias_analysis)
            library.impl(name, function)
            return function

        return decorate
    if not isinstance(qualname, str):
        raise ValueError(
            f"define(qualname, schema): expected qualname to be instance of str, got "
            f"{type(qualname)}"
        )
    namespace, name = parse_qualname(qualname)
    if not schema.lstrip().startswith("("):
        raise ValueError(
            'define(qualname, schema, ...): expected schema to look like e.g. "(Tensor '
            f'x) -> Tensor" but got "{schema}"'
        )
    _library(lib, namespace).define(name + schema, alias_analysis="", tags=tags)
    return None


def _device_keys(types: Any) -> list[str]:
    """Dispatch keys of device types; "default" means every device."""
    return [
        "CompositeExplicitAutograd" if each == "default" else _kernels.device_key(each)
        for each in ([types] if isinstance(types, str) else types)
    ]


def impl(
    qualname: Any, types: Any, func: Any = None, *, lib: Library | None = None
) -> Any:
    """Registers a kernel for device types, or for "default", meaning all.

    ``impl(lib, name, dispatch_key)`` is the older, decorating form.
    """
    if isinstance(qualname, Library):
        library, name, key = qualname, types, func or ""

        def decorate(function: Function) -> Function:
            library.impl(name, function, key)
            return function

        return decorate
    keys = _device_keys(types)
    namespace, _ = parse_qualname(qualname.partition(".")[0])

    def register(function: Function) -> None:
        library = _library(lib, namespace)
        for key in keys:
            library.impl(qualname, function, key)

    return register if func is None else register(func)  # type: ignore[func-returns-value]


def register_kernel(
    op: Any, device_types: Any, func: Any = None, /, *, lib: Library | None = None
) -> Any:
    """Registers an implementation of an operator for device types (None: all)."""
    definition = _definition(op)
    if definition is not None:
        return definition.register_kernel(device_types, func)
    types = "default" if device_types is None else device_types
    name = op.name() if isinstance(op, OpOverload) else op
    return impl(name, types, func, lib=lib)


def _definition(op: Any) -> CustomOpDef | None:
    if isinstance(op, CustomOpDef):
        return op
    name = op.name() if isinstance(op, OpOverload) else op
    packet = _operator.packets.get(name)
    if packet is None:
        return None
    found: CustomOpDef | None = packet.overloads[0].rules.get("custom_op")
    return found


def register_fake(
    op: Any,
    func: Any = None,
    /,
    *,
    lib: Library | None = None,
    _stacklevel: int = 1,
    allow_override: bool = False,
) -> Any:
    """Registers what an operator gives on the ``meta`` device: shapes and dtypes."""
    definition = _definition(op)

    def add(function: Function) -> Function:
        if definition is not None:
            return definition.register_fake(function)
        found = _resolved(op)

        def fake(*args: Any, **kwargs: Any) -> Any:
            from dispatchtorch._library.opcheck import FakeContext, fake_context

            with fake_context(FakeContext(found)):
                return function(*args, **kwargs)

        _library(lib, found.namespace)._add(found._operator, "Meta", fake)
        return function

    return add if func is None else add(func)


def impl_abstract(
    qualname: Any, func: Any = None, *, lib: Library | None = None, _stacklevel: int = 1
) -> Any:
    """The former name of :func:`register_fake`."""
    warnings.warn(
        "`torch.library.impl_abstract` was renamed to `torch.library.register_fake`. "
        "Please use that instead; we will remove `torch.library.impl_abstract` in a "
        "future version of PyTorch.",
        FutureWarning,
        stacklevel=2,
    )
    return register_fake(qualname, func, lib=lib)


def register_autograd(
    op: Any,
    backward: Function,
    /,
    *,
    setup_context: Function | None = None,
    lib: Library | None = None,
) -> None:
    """Registers ``backward(ctx, *grads)`` of an operator.

    ``setup_context(ctx, inputs, output)`` saves on ``ctx`` what it needs; operators with
    keyword-only arguments are given ``(ctx, inputs, keyword_only_inputs, output)``.
    """
    definition = _definition(op)
    if definition is not None:
        definition.register_autograd(backward, setup_context=setup_context)
        return
    found = _resolved(op)
    set_formula(found, backward, setup_context)
    if lib is not None:
        operator = found._operator

        def undo() -> None:
            with _operator.changing_registry(operator):
                operator.rules.pop("formula", None)

        lib._undo.append(undo)


def register_torch_dispatch(
    op: Any,
    torch_dispatch_class: Any,
    func: Any = None,
    /,
    *,
    lib: Library | None = None,
) -> Any:
    """Registers how a class with ``__torch_dispatch__`` handles an operator.

    The function is given (mode, func, types, args, kwargs) for a mode and
    (func, types, args, kwargs) for a subclass of Tensor.
    """
    found = _resolved(op)._operator

    def add(function: Function) -> Function:
        _kernels.add_torch_dispatch(found, torch_dispatch_class, function)
        return function

    return add if func is None else add(func)


def _layer(name: str, what: str) -> None:
    from dispatchtorch.dispatch.layer import registered_layers

    if not any(layer.name == name for layer in registered_layers()):
        raise NotImplementedError(
            f"torch.library.{what} is not supported: no dispatch layer named {name!r} is "
            "registered"
        )


def register_vmap(op: Any, func: Any = None, /, *, lib: Library | None = None) -> Any:
    """Registers a batching rule ``func(info, in_dims, *args)`` for ``vmap``.

    Raises NotImplementedError where no vmap layer is there to use it.
    """
    _layer("vmap", "register_vmap")
    found = _resolved(op)._operator

    def add(function: Function) -> Function:
        with _operator.changing_registry(found):
            found.rules["vmap"] = function
        return function

    return add if func is None else add(func)


def register_autocast(
    op: Any, device_type: str, cast_inputs: Any, /, *, lib: Library | None = None
) -> None:
    """Casts an operator's floating inputs to a dtype under autocast.

    Raises NotImplementedError where no autocast layer is there to do it.
    """
    if device_type not in ("cpu", "cuda"):
        raise ValueError(f"Unknown device type: {device_type}")
    _layer("autocast", "register_autocast")
    found = _resolved(op)._operator
    with _operator.changing_registry(found):
        found.rules.setdefault("autocast", {})[device_type] = cast_inputs


def get_ctx() -> Any:
    """The context of the fake implementation that is running; None outside of one."""
    return current_context()


def get_kernel(op: Any, dispatch_key: Any) -> Any:
    """The kernel registered for an operator under a dispatch key, as a callable.

    RuntimeError where there is none.
    """
    found = _resolved(op)
    kernel = _kernels.kernel_of(found._operator, _kernels.parse_key(dispatch_key))
    if kernel is None:
        raise RuntimeError(
            f"no kernel of {found.name()} was registered with torch.library for the "
            f"dispatch key {dispatch_key}"
        )
    return kernel


def triton_op(*args: Any, **kwargs: Any) -> Any:
    """Not supported: Triton kernels are compiled for PyTorch's own tensors."""
    raise NotImplementedError(
        "torch.library.triton_op is not supported: no Triton here"
    )


def wrap_triton(triton_kernel: Any, /) -> Any:
    """Not supported: Triton kernels are compiled for PyTorch's own tensors."""
    raise NotImplementedError(
        "torch.library.wrap_triton is not supported: no Triton here"
    )

"""What a pickle may name when it is loaded with ``weights_only=True``.

By default: tensors, parameters, storages, dtypes, sizes, devices, OrderedDict, Counter,
set, complex, bytes and bytearray. ``add_safe_globals`` adds to it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from pickle import UnpicklingError
from typing import Any

from dispatchtorch._serialization.names import find, torch_name
from dispatchtorch._storage.base import LEGACY_STORAGES

__all__ = [
    "UNSAFE_MESSAGE",
    "add_safe_globals",
    "clear_safe_globals",
    "explain",
    "get_safe_globals",
    "look_up",
    "modern_name",
    "safe_globals",
    "unsafe_globals",
    "user_globals",
]

UNSAFE_MESSAGE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in "
    "`torch.load` from `False` to `True`. Re-running `torch.load` with `weights_only` "
    "set to `False` will likely succeed, but it can result in arbitrary code "
    "execution. Do it only if you got the file from a trusted source."
)
_DOCS = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by "
    "default with weights_only "
    "https://pytorch.org/docs/stable/generated/torch.load.html."
)

# Not even add_safe_globals makes these nameable.
BLOCKED = frozenset({"sys", "os", "posix", "nt"})


# -- what the user allows --------------------------------------------------------------

_user_globals: dict[Any, None] = {}


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Lets ``weights_only=True`` loads use these functions and classes.

    Args:
        safe_globals: callables, or pairs (callable, the full name it has in pickles).

    Classes may then be constructed and given state, functions may be called, with
    whatever arguments the file has: be sure that no harm can come of that.
    """
    _user_globals.update(dict.fromkeys(safe_globals))


def get_safe_globals() -> list[Any]:
    """What ``add_safe_globals`` has added."""
    return list(_user_globals)


def clear_safe_globals() -> None:
    """Takes back all that ``add_safe_globals`` has added."""
    _user_globals.clear()


class safe_globals:
    """``add_safe_globals`` for the length of a ``with`` block."""

    def __init__(self, safe_globals: Iterable[Any]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        self._added = [each for each in self.safe_globals if each not in _user_globals]
        add_safe_globals(self._added)

    def __exit__(self, *exc_info: object) -> None:
        for each in self._added:
            _user_globals.pop(each, None)


def user_globals() -> dict[str, Any]:
    """What the user allows, by the names that pickles have for it."""
    allowed = {}
    for each in _user_globals:
        if not isinstance(each, tuple):
            names = torch_name(each) or (each.__module__, each.__qualname__)
            allowed[".".join(names)] = each
            continue
        if len(each) != 2:
            raise ValueError(
                "Expected tuple of length 2 (global, str of callable full path), but "
                f"got tuple of length: {len(each)}"
            )
        if not isinstance(each[1], str):
            raise TypeError(
                "Expected second item in tuple to be str of callable full path, but "
                f"got: {type(each[1])}"
            )
        allowed[each[1]] = each[0]
    return allowed


# -- what is allowed to everybody ------------------------------------------------------


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """``_codecs.encode`` as old pickles use it: to turn text into bytes."""
    if not isinstance(text, str) or encoding not in _LATIN1:
        raise UnpicklingError("_codecs.encode may only turn latin1 text into bytes")
    return text.encode("latin1")


def _bytearray(value: Any = b"", encoding: Any = "latin1") -> bytearray:
    """``bytearray`` without the form that takes a size."""
    if isinstance(value, str):
        return bytearray(_encode(value, encoding))
    if not isinstance(value, (bytes, bytearray)):
        raise UnpicklingError(f"bytearray() of {type(value).__name__} is not allowed")
    return bytearray(value)


_LATIN1 = ("latin1", "latin-1")
CONTAINERS = {
    "builtins.set": set,
    "builtins.complex": complex,
    "builtins.bytearray": _bytearray,
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
}
# Functions that make a tensor of a storage or of another tensor, sharing its memory.
REBUILD = frozenset(
    f"torch._utils._rebuild_{name}"
    for name in (
        "tensor",
        "tensor_v2",
        "tensor_v3",
        "parameter",
        "parameter_with_state",
        "meta_tensor_no_storage",
        "qtensor",
        "nested_tensor",
        "wrapper_subclass",
    )
)
# Those that copy or go through their operands.
REBUILD_COPYING = frozenset(
    f"torch._utils._rebuild_{name}"
    for name in (
        "sparse_tensor",
        "device_tensor_from_numpy",
        "device_tensor_from_cpu_tensor",
    )
)
FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
PLAIN = frozenset({"torch.device", "torch.serialization._get_layout"})
TENSOR_CLASSES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter"})
_NAMEABLE = frozenset({"torch.storage.TypedStorage", "torch.storage.UntypedStorage"})
_TORCH_GLOBALS = frozenset(
    {"torch.Size", FROM_TYPE}.union(
        REBUILD, REBUILD_COPYING, PLAIN, TENSOR_CLASSES, _NAMEABLE
    )
)
_DTYPES = frozenset(
    ["bool", "half", "float16", "bfloat16", "float32", "float64"]
    + [f"complex{bits}" for bits in (32, 64, 128)]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (*range(1, 9), 16, 32, 64)]
    + [
        f"float8_{kind}"
        for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")
    ]
    + ["float4_e2m1fn_x2", "quint8", "qint8", "qint32", "quint4x2", "quint2x4"]
    + ["bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"]
)
MISSING = object()


def look_up(module: str, name: str) -> Any:
    """What a name that everybody may use means; MISSING for all other names."""
    full = f"{module}.{name}"
    if full in CONTAINERS:
        return CONTAINERS[full]
    if full in _TORCH_GLOBALS or (module == "torch" and name in _DTYPES):
        return find(module, name)
    if module in ("torch", "torch.cuda") and name in LEGACY_STORAGES:
        return find(module, name)
    return MISSING


def readable(module: str, name: str) -> str:
    """The name as PyTorch's errors have it."""
    return name if module == "builtins" else f"{module}.{name}"


def modern_name(module: str, name: str) -> tuple[str, str]:
    """A name of Python 2's in Python 3."""
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    module, name = NAME_MAPPING.get((module, name), (module, name))
    return IMPORT_MAPPING.get(module, module), name


def unsafe_globals(data: bytes) -> list[str]:
    """The names in a pickle that ``load`` wouldn't allow, in order. Runs nothing."""
    import pickletools

    user = user_globals()
    found: dict[str, None] = {}
    memo: dict[int, str] = {}
    texts: list[str] = []
    arg: Any
    for opcode, arg, _ in pickletools.genops(data):
        name = opcode.name
        if name == "GLOBAL":
            module, _, attribute = arg.partition(" ")
        elif name == "STACK_GLOBAL":
            module, attribute = ([""] * 2 + texts)[-2:]
        else:
            if "UNICODE" in name:
                texts.append(arg)
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                texts.append(memo.get(arg, ""))
            elif name in ("BINPUT", "LONG_BINPUT", "PUT") and texts:
                memo[arg] = texts[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = texts[-1] if texts else ""
            continue
        module, attribute = modern_name(module, attribute)
        full = f"{module}.{attribute}"
        if full not in user and look_up(module, attribute) is MISSING:
            found[full] = None
    return list(found)


def explain(error: UnpicklingError) -> UnpicklingError:
    """The error of a failed ``weights_only`` load, with what can be done about it."""
    text = str(error)
    if "Unsupported global" in text:
        return UnpicklingError(
            "Weights only load failed. This file can still be loaded, to do so you "
            "have two options, \033[1mdo those steps only if you trust the source of "
            f"the checkpoint\033[0m. \n\t(1) {UNSAFE_MESSAGE}\n\t(2) Alternatively, to "
            "load with `weights_only=True` please check the recommended steps in the "
            f"following error message.\n\tWeightsUnpickler error: {text}{_DOCS}"
        )
    reason = (
        f"\n\n\n{text}"
        if text.endswith("is blocked.")
        else "\nPlease file an issue with the following so that we can make "
        "`weights_only=True` compatible with your use case: WeightsUnpickler error: "
        f"\n\n{text}"
    )
    return UnpicklingError(f"Weights only load failed. {UNSAFE_MESSAGE}{reason}{_DOCS}")

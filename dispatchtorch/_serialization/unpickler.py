"""The restricted unpickler of ``load(weights_only=True)``.

A pickle is a program. This machine runs only the instructions that containers and
tensors need, lets a program name only what is on a list (``allowed``), and calls only
what the list says may be called, with arguments that can't make it take much memory or
time. It reaches no attribute, imports nothing and never calls what it wasn't given.
"""

from __future__ import annotations

import struct
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from types import FunctionType
from typing import Any

import dispatchtorch as torch
from dispatchtorch import _utils
from dispatchtorch._serialization import allowed
from dispatchtorch._serialization.names import StorageType
from dispatchtorch._storage.untyped import UntypedStorage

__all__ = ["load"]

_MAX_NAME = 1024  # bytes of a module or name in a GLOBAL instruction
_MIN_BUDGET = 1 << 20
_MAX_KEY = 1000  # parts of one key: nested tuples can take exponential time to hash


def _check_key(key: Any) -> None:
    """UnpicklingError for a key that would take very long, or deep, to hash."""
    if type(key) is not tuple:
        return
    pending, seen = [key], 0
    while pending:
        for part in pending.pop():
            seen += 1
            if seen > _MAX_KEY:
                raise UnpicklingError("a key has too many parts")
            if type(part) is tuple:
                pending.append(part)


_COPIED = (str, bytes, bytearray, list, tuple, dict, set, OrderedDict, Counter)
_MARK = object()
_U32 = struct.Struct("<I")


class _Machine:
    """Runs one pickle: ``code`` has the instructions, ``self.stack`` the values."""

    def __init__(
        self,
        f: Any,
        persistent_load: Callable[[Any], Any],
        encoding: str,
        budget: int,
    ) -> None:
        self.read_bytes = f.read
        self.readline = f.readline
        self.load_storage = persistent_load
        self.encoding = encoding
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.proto = 0
        self.user = allowed.user_globals()
        self.named: dict[int, tuple[str, Any]] = {}  # by id: what GLOBAL has given
        self.budget = budget

    def run(self) -> Any:
        read, code = self.read_bytes, _CODE
        while True:
            opcode = read(1)
            if not opcode:
                raise EOFError("the pickle ends too early")
            if opcode == b".":
                return self.pop()
            act = code.get(opcode[0])
            if act is None:
                raise UnpicklingError(f"Unsupported operand {opcode[0]}")
            act(self)

    # Input.

    def read(self, count: int) -> bytes:
        data = self.read_bytes(count)
        if len(data) != count:
            raise EOFError("the pickle ends too early")
        return data  # type: ignore[no-any-return]

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.read(form.size))[0]

    def line(self) -> str:
        data = self.readline(_MAX_NAME + 1)
        if not data.endswith(b"\n"):
            raise UnpicklingError("a name in the pickle is too long or cut off")
        return data[:-1].decode("utf-8")  # type: ignore[no-any-return]

    # The stack.

    def pop(self) -> Any:
        if not self.stack or (value := self.stack.pop()) is _MARK:
            raise UnpicklingError("the pickle takes more values than it has made")
        return value

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UnpicklingError("the pickle takes more values than it has made")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        stack = self.stack
        for i in range(len(stack) - 1, -1, -1):
            if stack[i] is _MARK:
                items = stack[i + 1 :]
                del stack[i:]
                return items
        raise UnpicklingError("the pickle takes more values than it has made")

    # Instructions with more to them than a line.

    def protocol(self) -> None:
        self.proto = self.read(1)[0]
        if self.proto != 2:
            warnings.warn(
                f"Detected pickle protocol {self.proto} in the checkpoint, which was "
                "not the default pickle protocol used by `torch.load` (2). The "
                "weights_only Unpickler might not support all instructions implemented "
                "by this protocol, please file an issue for adding support if you "
                "encounter this.",
                UserWarning,
                stacklevel=6,
            )

    def find_global(self) -> None:
        module, name = self.line(), self.line()
        if self.proto <= 2:
            module, name = allowed.modern_name(module, name)
        if module in allowed.BLOCKED:
            raise UnpicklingError(
                f"Trying to load unsupported GLOBAL {module}.{name} whose module "
                f"{module} is blocked."
            )
        full = f"{module}.{name}"
        found = self.user.get(full, allowed.MISSING)
        if found is allowed.MISSING:
            try:
                found = allowed.look_up(module, name)
            except AttributeError as error:
                raise UnpicklingError(str(error)) from error
            self.named[id(found)] = (full, found)  # keeps it, and so its id
        if found is allowed.MISSING:
            shown = allowed.readable(module, name)
            raise UnpicklingError(
                f"Unsupported global: GLOBAL {shown} was not an allowed global by "
                f"default. Please use "
                f"`torch.serialization.add_safe_globals([{shown}])` or the "
                f"`torch.serialization.safe_globals([{shown}])` context manager to "
                "allowlist this global if you trust this class/function."
            )
        self.stack.append(found)

    def is_user_global(self, value: Any) -> bool:
        return any(value is each for each in self.user.values())

    def reduce(self) -> None:
        args, function = self.pop(), self.pop()
        self.check_call(function, args)
        self.stack.append(function(*args))

    def new_object(self) -> None:
        args, kind = self.pop(), self.pop()
        if self.is_user_global(kind) and isinstance(kind, type):
            self.stack.append(kind.__new__(kind, *args))
            return
        name = self.named.get(id(kind), ("", None))[0]
        if kind is not OrderedDict and name not in allowed.TENSOR_CLASSES:
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted "
                f"via `add_safe_globals` but got {_shown(kind)}"
            )
        self.check_call(kind, args)
        self.stack.append(kind(*args))

    def charge(self, count: Any) -> None:
        """Takes what a call copies off a budget, the size of the file: a value that is
        named over and over can't be copied over and over."""
        self.budget -= count
        if self.budget < 0:
            raise UnpicklingError("the pickle copies more data than its file has")

    def check_call(self, function: Any, args: Any) -> None:
        """UnpicklingError unless the lists let ``function`` be called so."""
        if type(args) is not tuple:
            raise UnpicklingError("a call's arguments must be a tuple")
        if self.is_user_global(function):
            return
        name = self.named.get(id(function), ("", None))[0]
        if name in allowed.REBUILD or name in allowed.PLAIN:
            return
        if name in allowed.REBUILD_COPYING:
            for arg in (*args, *(args[-1] if name.endswith("sparse_tensor") else ())):
                if isinstance(arg, torch.Tensor):
                    self.charge(arg.numel())
                elif hasattr(arg, "nbytes"):
                    self.charge(arg.nbytes)
        elif name in allowed.CONTAINERS or name == "torch.Size":
            for arg in args:
                if type(arg) in _COPIED:
                    self.charge(len(arg))
                elif function is not complex:
                    raise UnpicklingError(
                        f"{name} of {type(arg).__name__} is not allowed"
                    )
                if function in (set, Counter, OrderedDict):
                    for item in arg:
                        if function is OrderedDict and type(item) in (list, tuple):
                            item = item[0] if item else None
                        _check_key(item)
        elif name in allowed.TENSOR_CLASSES:
            # Not by sizes or lists: those take memory that the file doesn't have.
            for arg in args:
                if not isinstance(arg, (torch.Tensor, bool)):
                    raise UnpicklingError(
                        f"{name} of {type(arg).__name__} is not allowed"
                    )
        elif name == allowed.FROM_TYPE:
            inner, kind, inner_args = (*args, None, None, None)[:3]
            if not self.is_user_global(inner):
                inner_name = self.named.get(id(inner), ("", None))[0]
                if (
                    inner_name not in allowed.REBUILD
                    and inner_name not in allowed.REBUILD_COPYING
                ):
                    raise _unrecognized(inner)
            self.check_call(inner, inner_args)
            if not isinstance(kind, type) or not issubclass(kind, torch.Tensor):
                raise UnpicklingError(f"{_shown(kind)} is no tensor class")
        else:
            raise _unrecognized(function)

    def build(self) -> None:
        state, value = self.pop(), self.top()
        kind = type(value)
        if self.is_user_global(kind):
            if hasattr(value, "__setstate__"):
                value.__setstate__(state)
            else:
                _set_state(value, state)
        elif kind is torch.Tensor and type(state) is tuple and len(state) == 4:
            value.data = _utils._rebuild_tensor(*state)
        elif kind is OrderedDict and type(state) is dict:
            value.__dict__.update(state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted "
                f"via `add_safe_globals`, but got {kind}"
            )

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) not in (dict, OrderedDict, Counter):
            raise UnpicklingError(
                "Can only SETITEM for dict, collections.OrderedDict, "
                f"collections.Counter, but got {type(target)}"
            )
        if len(items) % 2:
            raise UnpicklingError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            _check_key(key)
            target[key] = value

    def extend(self, items: list[Any], verb: str) -> None:
        target = self.top()
        if type(target) is not list:
            raise UnpicklingError(f"Can only {verb} lists, but got {type(target)}")
        target.extend(items)

    def append(self) -> None:
        item = self.pop()
        self.extend([item], "append to")

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def extend_to_mark(self) -> None:
        self.extend(self.pop_to_mark(), "extend")

    def set_items_to_mark(self) -> None:
        self.set_items(self.pop_to_mark())

    def make_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(items[::-1]))

    def get(self, index: int) -> None:
        try:
            self.stack.append(self.memo[index])
        except KeyError:
            raise UnpicklingError(f"Memo value not found at index {index}") from None

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def short_string(self) -> None:
        data = self.read(self.read(1)[0])
        plain = self.encoding == "bytes"
        encoding = "ascii" if self.encoding == "utf-8" else self.encoding
        self.stack.append(data if plain else data.decode(encoding))

    def unicode(self) -> None:
        data = self.read(self.number(_U32))
        self.stack.append(str(data, "utf-8", "surrogatepass"))

    def persistent(self) -> None:
        saved_id = self.pop()
        if type(saved_id) is not tuple or not saved_id:
            raise UnpicklingError("unsupported persistent id encountered")
        kind = saved_id[1] if len(saved_id) > 1 else None
        if saved_id[0] not in ("storage", b"storage") or not (
            isinstance(kind, StorageType) or kind is UntypedStorage
        ):
            raise UnpicklingError(
                "Only persistent_load of storage is allowed, but got "
                f"{type(saved_id[0]) if saved_id[0] != 'storage' else kind}"
            )
        self.stack.append(self.load_storage(saved_id))


_Act = Callable[[_Machine], None]


def _constant(make: Callable[[], Any]) -> _Act:
    return lambda m: m.stack.append(make())


def _value(form: str) -> _Act:
    parsed = struct.Struct(form)
    return lambda m: m.stack.append(m.number(parsed))


def _indexed(act: Callable[[_Machine, int], None], form: str) -> _Act:
    parsed = struct.Struct(form)
    return lambda m: act(m, m.number(parsed))


def _tuple(count: int) -> _Act:
    return lambda m: m.make_tuple(count)


def _long(m: _Machine) -> None:
    data = m.read(m.read(1)[0])
    m.stack.append(int.from_bytes(data, "little", signed=True))


_CODE: dict[int, _Act] = {
    0x80: _Machine.protocol,
    ord("N"): _constant(lambda: None),
    0x88: _constant(lambda: True),
    0x89: _constant(lambda: False),
    ord("K"): _value("<B"),
    ord("M"): _value("<H"),
    ord("J"): _value("<i"),
    0x8A: _long,
    ord("G"): _value(">d"),
    ord("U"): _Machine.short_string,
    ord("X"): _Machine.unicode,
    ord("("): _constant(lambda: _MARK),
    ord(")"): _constant(tuple),
    ord("]"): _constant(list),
    ord("}"): _constant(dict),
    0x8F: _constant(set),
    ord("t"): lambda m: m.stack.append(tuple(m.pop_to_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("a"): _Machine.append,
    ord("e"): _Machine.extend_to_mark,
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items_to_mark,
    ord("h"): _indexed(_Machine.get, "<B"),
    ord("j"): _indexed(_Machine.get, "<I"),
    ord("q"): _indexed(_Machine.put, "<B"),
    ord("r"): _indexed(_Machine.put, "<I"),
    ord("c"): _Machine.find_global,
    ord("R"): _Machine.reduce,
    0x81: _Machine.new_object,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.persistent,
}


def _shown(value: Any) -> str:
    """``value`` in an error: no repr of what a pickle has built, it can be endless."""
    empty = type(value) in _COPIED and not value
    named = empty or isinstance(value, (type, FunctionType))
    return repr(value) if named else f"a value of {type(value)}"


def _unrecognized(function: Any) -> UnpicklingError:
    return UnpicklingError(
        f"Trying to call reduce for unrecognized function {_shown(function)}"
    )


def _set_state(value: Any, state: Any) -> None:
    """The state that ``object.__reduce__`` pickles: attributes, or those and slots."""
    attributes, slots = state, None
    if isinstance(state, tuple) and len(state) == 2:
        attributes, slots = state
    if attributes:
        value.__dict__.update(attributes)
    for name, each in (slots or {}).items():
        setattr(value, name, each)


def load(
    f: Any,
    persistent_load: Callable[[Any], Any],
    *,
    encoding: str = "utf-8",
    budget: int = 0,
) -> Any:
    """Runs the pickle at the position of ``f``, which is left behind its end.

    ``budget`` is what the calls in it may copy, in bytes or items: the file's size.

    Raises UnpicklingError for all that isn't allowed or makes no sense, EOFError where
    the file ends too early.
    """
    machine = _Machine(f, persistent_load, encoding, budget + _MIN_BUDGET)
    try:
        return machine.run()
    except (UnpicklingError, EOFError, RuntimeError, MemoryError, OSError):
        raise
    except Exception as error:
        if machine.user:
            raise  # it may be from the code that the user has allowed
        raise UnpicklingError(
            f"the pickle is damaged, or not a checkpoint: {type(error).__name__}: "
            f"{error}"
        ) from error

"""``weights_only`` allows and refuses what PyTorch's does, in the same words."""

from __future__ import annotations

import collections
import inspect
import io
import os
import pickle
import warnings

import pytest

import dispatchtorch as torch
from dispatchtorch._serialization import unpickler

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle


def save(lib, obj, **kwargs):
    buffer = io.BytesIO()
    lib.serialization.save(obj, buffer, **kwargs)
    return buffer.getvalue()


def load(lib, data, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lib.serialization.load(io.BytesIO(data), **kwargs)


def describe(x):
    """All there is to know of a value, in terms that both libraries share."""
    kind = type(x).__name__
    if hasattr(x, "untyped_storage"):
        values = None if x.device.type == "meta" else x.detach().tolist()
        facts = (str(x.dtype), tuple(x.shape), tuple(x.stride()), x.storage_offset())
        flags = (x.requires_grad, x.is_leaf, str(x.device), x.is_conj(), x.is_neg())
        return kind, facts, flags, values, describe(dict(vars(x)))
    if kind in ("UntypedStorage", "TypedStorage"):  # PyTorch loads the one as the other
        return "storage", x.tolist()
    if isinstance(x, dict):
        items = [(describe(k), describe(v)) for k, v in x.items()]
        return kind, items, [describe(v) for v in getattr(x, "__dict__", {}).values()]
    if isinstance(x, (list, tuple)):
        return kind, [describe(each) for each in x]
    if isinstance(x, type):
        return kind, x.__name__
    return kind, x if isinstance(x, (set, str, bytes, bytearray)) else repr(x)


def outcome(call):
    """The value that ``call`` gives, or the class and text of its error."""
    try:
        return "value", describe(call())
    except Exception as error:
        return type(error), str(error)


class Plain:
    dump_patches = False  # modules have it

    def __init__(self):
        self.x = 1


class Slotted:
    __slots__ = ("a",)


class Stateful:
    def __getstate__(self):
        return {"q": 1}

    def __setstate__(self, state):
        self.seen = state


def runs(function, *args):
    class Runs:
        def __reduce__(self):
            return function, args

    return Runs()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "make",
    [
        lambda lib: Plain(),
        lambda lib: [1, {"k": Plain()}],
        lambda lib: runs(os.system, "true"),
        lambda lib: runs(eval, "1"),
        lambda lib: lib.nn.Linear(1, 1),
        lambda lib: frozenset([1]),
        lambda lib: slice(1, 2),
        lambda lib: range(3),
        lambda lib: collections.deque([1]),
        lambda lib: collections.defaultdict(int),
        lambda lib: int,
    ],
)
def test_refusals_have_pytorch_s_words(make, zipped):
    kind = {"_use_new_zipfile_serialization": zipped}
    data = save(oracle, make(oracle), **kind)
    expected = outcome(lambda: load(oracle, data))
    assert expected[0] is pickle.UnpicklingError
    assert outcome(lambda: load(torch, data)) == expected
    assert outcome(lambda: load(torch, save(torch, make(torch), **kind))) == expected


def test_other_protocols_warn_and_fail_as_in_pytorch():
    for protocol in (3, 4, 5):
        data = save(oracle, [1, "two"], pickle_protocol=protocol)
        seen = []
        for lib in (torch, oracle):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = outcome(
                    lambda lib=lib, data=data: lib.serialization.load(io.BytesIO(data))
                )
            seen.append((result, [str(w.message) for w in caught]))
        assert seen[0] == seen[1]
        mine = save(torch, [1, torch.ones(2)], pickle_protocol=protocol)
        assert load(oracle, mine, weights_only=False)[1].tolist() == [1.0, 1.0]
        assert load(torch, mine, weights_only=False)[1].tolist() == [1.0, 1.0]


def test_allowed_classes_are_built_as_in_pytorch():
    slotted = Slotted()
    slotted.a = 3
    data = save(oracle, [Plain(), slotted, Stateful(), outcome])
    for lib in (torch, oracle):
        with lib.serialization.safe_globals([Plain, Slotted, Stateful, outcome]):
            plain, slots, stateful, function = load(lib, data)
        assert plain.x == 1
        assert slots.a == 3
        assert stateful.seen == {"q": 1}
        assert function is outcome
        with lib.serialization.safe_globals([(Stateful, f"{__name__}.Plain")]):
            assert isinstance(load(lib, save(lib, Plain())), Stateful)


@pytest.mark.parametrize("entry", [(Plain, 3), (Plain, "a", "b")])
def test_malformed_safe_globals_are_pytorch_s_errors(entry):
    data = save(oracle, Plain())
    found = []
    for lib in (torch, oracle):
        with lib.serialization.safe_globals([entry]):
            found.append(outcome(lambda lib=lib: load(lib, data)))
    assert found[0] == found[1]


def test_unsafe_globals_are_listed_as_by_pytorch():
    data = save(
        oracle, [Plain(), collections.Counter(), os.system, eval, oracle.nn.ReLU()]
    )
    found = []
    for lib in (torch, oracle):
        with lib.serialization.safe_globals([Plain]):
            listed = lib.serialization.get_unsafe_globals_in_checkpoint
            found.append(set(listed(io.BytesIO(data))))
    assert found[0] == found[1]
    legacy = save(oracle, Plain(), _use_new_zipfile_serialization=False)
    errors = [
        outcome(
            lambda lib=lib: lib.serialization.get_unsafe_globals_in_checkpoint(
                io.BytesIO(legacy)
            )
        )
        for lib in (torch, oracle)
    ]
    assert errors[0] == errors[1]


def test_the_environment_decides_as_in_pytorch(monkeypatch):
    data = save(oracle, Plain())
    names = ["TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]
    for first in (None, "1", "yes", "0", "x"):
        for second in (None, "1", "true"):
            for name, value in zip(names, (first, second), strict=True):
                if value is None:
                    monkeypatch.delenv(name, raising=False)
                else:
                    monkeypatch.setenv(name, value)
            for wanted in (None, True, False):
                results = []
                for lib in (torch, oracle):
                    try:
                        result = type(load(lib, data, weights_only=wanted)).__name__
                    except Exception as error:
                        result = type(error).__name__, str(error)
                    results.append(result)
                assert results[0] == results[1]


def programs(seed, count):
    """Random pickles, most of them nonsense, from the instructions both machines "
    "have."""
    import random

    rng = random.Random(seed)
    pieces = [
        *[b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"(", b"(", b"t", b"0"],
        *[b"K\x05", b"M\x01\x02", b"J\xff\xff\xff\xff", b"\x8a\x01\xff", b"U\x01a"],
        *[
            b"X\x01\0\0\0k",
            b"G?\xf0\0\0\0\0\0\0",
            b"\x85",
            b"\x86",
            b"\x87",
            b"a",
            b"e",
        ],
        *[
            b"s",
            b"u",
            b"q\x01",
            b"q\x02",
            b"h\x01",
            b"h\x02",
            b"R",
            b"\x81",
            b"b",
            b"Q",
        ],
        *[b"r\x03\0\0\0", b"j\x03\0\0\0", b"ccollections\nOrderedDict\n"],
        *[b"ctorch\nSize\n", b"c__builtin__\nset\n", b"ctorch\nfloat32\n", b"\x8a\0"],
        *[b"X\x01\0\0\0k" + b"K\x01s", b"K\x01a", b"(K\x01K\x02e", b"K\x01K\x02\x86"],
    ]
    for _ in range(count):
        body = b"".join(rng.choice(pieces) for _ in range(rng.randint(1, 14)))
        yield b"\x80\x02" + body + b"."


def test_whatever_the_machine_accepts_pytorch_reads_alike():
    from torch import _weights_only_unpickler as theirs

    def refuse(saved_id):
        raise RuntimeError("no storages here")

    accepted = 0
    for program in programs(0, 6000):
        try:
            found = unpickler.load(io.BytesIO(program), refuse)
        except (pickle.UnpicklingError, EOFError, RuntimeError):
            continue
        accepted += 1
        assert describe(found) == describe(theirs.load(io.BytesIO(program))), program
    assert accepted > 100


def test_numpy_values_need_to_be_allowed_and_then_load():
    import numpy as np

    data = save(torch, {"a": np.arange(3), "b": np.float64(2.5)})
    for lib in (torch, oracle):
        with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
            load(lib, data)
        allowed = [
            np._core.multiarray._reconstruct,
            np._core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *{type(np.dtype(t)) for t in ("i8", "f8")},
        ]
        with lib.serialization.safe_globals(allowed):
            found = load(lib, data)
        assert found["a"].tolist() == [0, 1, 2]
        assert found["b"] == 2.5


def test_an_allowed_module_loads_with_weights_only():
    data = save(oracle, oracle.nn.ReLU(inplace=True))
    safe = [torch.nn.ReLU, set]
    with torch.serialization.safe_globals([*safe]):
        found = load(torch, data)
    assert type(found) is torch.nn.ReLU
    assert found.inplace


def test_a_module_saved_with_its_source_warns_where_that_changed():
    class Pickler(pickle._Pickler):
        source: str | None = None

        def persistent_id(self, obj):
            if obj is not Plain or self.source is None:
                return None
            saved_id, self.source = ("module", Plain, "old.py", self.source), None
            return saved_id

    def file(source):
        buffer = io.BytesIO()
        for each in (0x1950A86A20F9469CFC6C, 1001, {}):
            pickle.dump(each, buffer, 2)
        pickler = Pickler(buffer, 2)
        pickler.source = source
        pickler.dump([Plain])
        pickle.dump([], buffer, 2)
        buffer.seek(0)
        return buffer

    for lib in (torch, oracle):
        module = lib.serialization
        with pytest.warns(module.SourceChangeWarning, match="source code of class"):
            assert module.load(file("class Plain: pass"), weights_only=False) == [Plain]
        with pytest.raises(
            pickle.UnpicklingError, match="of storage is allowed|not an all"
        ):
            module.load(file("class Plain: pass"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        current = inspect.getsource(Plain)
        torch.serialization.load(file(current), weights_only=False)

"""Checkpoints go both ways: written here and read by PyTorch, and the reverse."""

from __future__ import annotations

import collections
import io
import os
import pickle
import re
import struct
import warnings
import zipfile

import pytest

import dispatchtorch as torch
from dispatchtorch._serialization.names import find, torch_name

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
]
# Dtypes without a storage class: saved over untyped storages, which PyTorch itself
# can't read back from the old format.
UNTYPED = DTYPES[12:]


def of_dtype(name):
    def make(lib):
        values = [1 + 2j, 0, -1j] if "complex" in name else [1, 4, 2]
        kind = "complex128" if "complex" in name else "float64"
        return lib.tensor(values, dtype=getattr(lib, kind)).to(getattr(lib, name))

    return make


def with_attributes(lib):
    t = lib.ones(2)
    t.note = {"n": 1}
    return t


def parameter_with_attributes(lib):
    p = lib.nn.Parameter(lib.ones(2), requires_grad=False)
    p.note = "kept"
    return p


def state_dict(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3))
    for i, p in enumerate(net.parameters()):
        p.data.fill_(float(i))
    return net.state_dict()


CASES = {
    **{f"dtype_{name}": of_dtype(name) for name in DTYPES},
    "contiguous": lambda lib: lib.arange(6.0).view(2, 3),
    "transposed": lambda lib: lib.arange(6.0).view(2, 3).t(),
    "slice_with_offset": lambda lib: lib.arange(10)[3:9:2],
    "expanded": lambda lib: lib.ones(1, 3).expand(4, 3),
    "scalar": lambda lib: lib.tensor(3.5),
    "empty": lambda lib: lib.empty(0),
    "empty_with_shape": lambda lib: lib.empty(2, 0, 3),
    "two_empties": lambda lib: [lib.empty(0), lib.empty(0)],
    "requires_grad": lambda lib: lib.ones(3, requires_grad=True),
    "computed": lambda lib: lib.ones(3, requires_grad=True) * 2,
    "parameter": lambda lib: lib.nn.Parameter(lib.arange(4.0)),
    "parameter_with_attributes": parameter_with_attributes,
    "tensor_with_attributes": with_attributes,
    "meta": lambda lib: lib.empty(2, 3, device="meta"),
    "shared_views": lambda lib: (lambda a: [a, a[1:], a.t(), a])(lib.ones(3, 3)),
    "untyped_storage": lambda lib: lib.arange(3).untyped_storage(),
    "state_dict": state_dict,
    "values": lambda lib: {
        "dtype": lib.float32,
        "device": lib.device("cpu"),
        "size": lib.Size([2, 3]),
        "layout": lib.strided,
    },
    "containers": lambda lib: {
        1: [None, True, False, 2**70, -5, 1.5, "héllo", 2 + 3j],
        ("a", 2): {1, 2, 3},
        "ordered": collections.OrderedDict(a=lib.ones(1), b=()),
        "counter": collections.Counter("aab"),
        "bytes": [b"ab\xff", bytearray(b"xy")],
        "deep": [[[(lib.zeros(2), {"k": lib.tensor(1)})]]],
    },
    "big_numbers": lambda lib: [255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**63],
    "many_objects": lambda lib: [[str(i), float(i)] for i in range(700)],
}


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


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("case", CASES)
def test_values_survive_in_both_directions(case, zipped, weights_only):
    make = CASES[case]
    expected = describe(load(oracle, save(oracle, make(oracle))))
    for writer in (torch, oracle):
        data = save(writer, make(writer), _use_new_zipfile_serialization=zipped)
        assert describe(load(torch, data, weights_only=weights_only)) == expected
        if zipped or case != "untyped_storage" and case[6:] not in UNTYPED:
            assert describe(load(oracle, data, weights_only=weights_only)) == expected


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"state_dict"}))
def test_archives_are_pytorch_s_byte_for_byte_but_for_their_id(case, tmp_path):
    mine, theirs = tmp_path / "a.pt", tmp_path / "b" / "a.pt"
    theirs.parent.mkdir()
    torch.serialization.save(CASES[case](torch), mine)
    oracle.save(CASES[case](oracle), theirs)
    pair = [path.read_bytes() for path in (mine, theirs)]
    names = [
        [i.filename for i in zipfile.ZipFile(p).infolist()] for p in (mine, theirs)
    ]
    assert names[0] == names[1]
    for i, data in enumerate(pair):
        # The id is forty digits; its checksum is in its descriptor and the directory.
        found = re.search(
            rb"serialization_idFB..Z*(\d{40})PK\x07\x08(.{4})", data, re.DOTALL
        )
        number, crc = found.groups()
        pair[i] = data.replace(number, b"0" * 40).replace(crc, b"0000")
    assert pair[0] == pair[1]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_lazily_conjugated_and_negated_tensors_keep_their_values(zipped):
    for make in (
        lambda lib: lib.tensor([1 + 2j, 3 - 1j]).conj(),
        lambda lib: lib.tensor([1 + 2j, 3 - 1j]).conj().imag,
    ):
        expected = make(oracle)
        for writer in (torch, oracle):
            data = save(writer, make(writer), _use_new_zipfile_serialization=zipped)
            for reader in (torch, oracle):
                found = load(reader, data)
                assert found.tolist() == expected.tolist()
                if writer is oracle is reader:
                    assert found.is_conj() == expected.is_conj()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", sorted(set(DTYPES) - {"bool"}))
def test_files_of_the_other_byte_order_are_swapped(name, order):
    t = of_dtype(name)(oracle)
    size = t.element_size() // (2 if t.is_complex() else 1)
    data = save(oracle, t)
    theirs = zipfile.ZipFile(io.BytesIO(data))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for entry in theirs.namelist():
            record = theirs.read(entry)
            if entry.endswith("data/0") and order == ">":
                record = b"".join(
                    record[i : i + size][::-1] for i in range(0, len(record), size)
                )
            if entry.endswith("byteorder"):
                record = b"big" if order == ">" else b"little"
            out.writestr(entry, record)
    found = load(torch, buffer.getvalue())
    assert describe(found) == describe(load(oracle, data))


def test_whole_modules_are_pytorch_s_modules_under_pytorch(tmp_path):
    def make(lib):
        net = lib.nn.Sequential(
            lib.nn.Linear(2, 3), lib.nn.ReLU(), lib.nn.Dropout(0.25)
        )
        net.register_buffer("steps", lib.tensor(3))
        for i, p in enumerate(net.parameters()):
            p.data.fill_(i + 1.0)
        return net.eval()

    for writer in (torch, oracle):
        data = save(writer, make(writer))
        for reader in (torch, oracle):
            net = load(reader, data, weights_only=False)
            assert type(net) is reader.nn.Sequential
            assert type(net[0]) is reader.nn.Linear
            assert type(net[0].weight) is reader.nn.Parameter
            assert repr(net) == repr(make(reader))
            assert net(reader.ones(1, 2)).tolist() == [[4.0, 4.0, 4.0]]
            assert net.steps.item() == 3


def test_optimizer_state_resumes_in_the_other_library():
    def trained(lib):
        p = lib.nn.Parameter(lib.ones(3))
        optimizer = lib.optim.SGD([p], lr=0.5, momentum=0.9)
        p.grad = lib.ones(3)
        optimizer.step()
        return optimizer

    expected = describe(trained(oracle).state_dict())
    for writer, reader in ((torch, oracle), (oracle, torch)):
        state = load(reader, save(writer, trained(writer).state_dict()))
        assert describe(state) == expected
        trained(reader).load_state_dict(state)


@pytest.mark.parametrize("module", ["nn", "optim", "optim.lr_scheduler", "utils.data"])
def test_classes_are_named_where_pytorch_has_them(module):
    from importlib import import_module

    mine, theirs = (
        import_module(f"{lib.__name__}.{module}") for lib in (torch, oracle)
    )
    shared = [
        name
        for name in sorted(set(dir(mine)) & set(dir(theirs)))
        if isinstance(getattr(mine, name), type) and not name.startswith("_")
    ]
    assert len(shared) > 5
    for name in shared:
        ours, other = getattr(mine, name), getattr(theirs, name)
        if ours.__module__.startswith("dispatchtorch"):
            place, qualname = torch_name(ours)
            assert getattr(import_module(place), qualname) is other
            assert find(other.__module__, other.__qualname__) is ours


def test_functions_of_the_library_keep_their_place():
    for name in ("relu", "softmax"):
        function = getattr(torch.nn.functional, name)
        data = save(torch, function)
        assert load(oracle, data, weights_only=False) is getattr(
            oracle.nn.functional, name
        )
        assert load(torch, data, weights_only=False) is function


def test_sparse_tensors_go_both_ways():
    def coo(lib):
        return lib.tensor([[0.0, 1.0], [2.0, 0.0]]).to_sparse()

    try:
        coo(torch)
    except (AttributeError, NotImplementedError, RuntimeError):
        with pytest.raises(NotImplementedError):
            load(torch, save(oracle, coo(oracle)))
        return
    for zipped in (True, False):
        for writer, reader in ((torch, oracle), (oracle, torch)):
            data = save(writer, coo(writer), _use_new_zipfile_serialization=zipped)
            found = load(reader, data)
            assert found.to_dense().tolist() == [[0.0, 1.0], [2.0, 0.0]]
            assert found.is_coalesced()


@pytest.mark.parametrize(
    "map_location", ["meta", "cpu", {"cpu": "meta"}, {"x": "y"}, None]
)
def test_map_location_moves_as_in_pytorch(map_location):
    data = save(oracle, [oracle.ones(2), oracle.nn.Parameter(oracle.zeros(1))])
    expected = describe(load(oracle, data, map_location=map_location))
    assert describe(load(torch, data, map_location=map_location)) == expected
    device = map_location if isinstance(map_location, str) else "cpu"
    found = load(torch, data, map_location=torch.device(device))
    assert [t.device.type for t in found] == [device, device]


@pytest.mark.parametrize("zipped", [True, False])
def test_map_location_may_be_a_function(zipped):
    data = save(oracle, [oracle.ones(2)], _use_new_zipfile_serialization=zipped)
    for lib in (torch, oracle):
        seen = []

        def place(storage, location, seen=seen):
            seen.append((type(storage).__name__, storage.nbytes(), location))

        assert load(lib, data, map_location=place)[0].tolist() == [1.0, 1.0]
        assert seen == [("UntypedStorage", 8, "cpu")]


def test_an_unknown_location_is_pytorch_s_error():
    data = save(oracle, oracle.ones(2))
    errors = [
        outcome(lambda lib=lib: load(lib, data, map_location="nowhere"))
        for lib in (torch, oracle)
    ]
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.serialization.load("/nonexistent/file"),
        lambda lib: lib.serialization.load(os.path.dirname(__file__)),
        lambda lib: lib.serialization.load(3),
        lambda lib: lib.serialization.load(io.BytesIO(b""), weights_only=False),
        lambda lib: lib.serialization.load(
            io.BytesIO(pickle.dumps({"a": 1}, 2)), weights_only=False
        ),
        lambda lib: lib.serialization.load(io.BytesIO(pickle.dumps({"a": 1}, 2))),
        lambda lib: lib.serialization.load(io.BytesIO(b""), mmap=True),
        lambda lib: lib.serialization.load(
            io.BytesIO(b""), weights_only=True, pickle_module=pickle
        ),
        lambda lib: lib.serialization.save(1, 3),
        lambda lib: lib.serialization.save(1, "/nonexistent/file"),
        lambda lib: lib.serialization.save(
            1, "/nonexistent/file", _use_new_zipfile_serialization=False
        ),
        lambda lib: lib.serialization.save(lambda: 1, io.BytesIO()),
        lambda lib: lib.serialization.set_default_mmap_options(3),
        lambda lib: lib.serialization.set_default_load_endianness("big"),
        lambda lib: lib.serialization._get_layout("torch.strided"),
        lambda lib: lib.serialization._get_layout("torch.nothing"),
        lambda lib: lib.serialization.check_module_version_greater_or_equal(re, (2, 2)),
        lambda lib: lib.serialization.check_module_version_greater_or_equal(re, (9,)),
        lambda lib: lib.serialization.check_module_version_greater_or_equal(re, ({},)),
        lambda lib: lib.serialization.validate_cuda_device("cpu"),
        lambda lib: lib.serialization.save(
            (lambda a: [a, a.view(lib.int32)])(lib.ones(2)), io.BytesIO()
        ),
    ],
)
def test_errors_of_use_are_pytorch_s(call):
    mine, theirs = outcome(lambda: call(torch)), outcome(lambda: call(oracle))
    assert mine[0] == theirs[0]
    if mine[0] is not EOFError:  # whose text there is empty
        assert mine[1] == theirs[1]


def test_damage_is_noticed_where_pytorch_notices_it():
    good = save(oracle, {"w": oracle.arange(4.0)})
    theirs = zipfile.ZipFile(io.BytesIO(good))

    def rebuilt(change):
        records = {n.partition("/")[2]: theirs.read(n) for n in theirs.namelist()}
        change(records)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as out:
            for name, record in records.items():
                out.writestr(f"archive/{name}", record)
        return buffer.getvalue()

    changes = [
        lambda r: r.pop("data/0"),
        lambda r: r.pop("data.pkl"),
        lambda r: r.pop("version"),
        lambda r: r.update({"byteorder": b"middle"}),
        lambda r: r.update({"version": b"99"}),
        lambda r: r.update({"version": b"x"}),
        lambda r: r.update({"data/0": b"123"}),
        lambda r: r.update({"data/0": bytes(500)}),
        lambda r: r.update({"constants.pkl": b"x"}),
    ]
    for change in changes:
        data = rebuilt(change)
        errors = [
            outcome(lambda lib=lib, d=data: load(lib, d)) for lib in (torch, oracle)
        ]
        assert errors[0][0] is errors[1][0]
        assert errors[0][0] != "value"
    fine = rebuilt(lambda r: [r.pop("byteorder"), r.pop(".format_version")])
    assert load(torch, fine)["w"].tolist() == load(oracle, fine)["w"].tolist()


def test_old_byte_strings_decode_by_the_encoding():
    head = [0x1950A86A20F9469CFC6C, 1001, {}]
    body = b"\x80\x02U\x03ab\xe9."
    data = b"".join(pickle.dumps(x, 2) for x in head) + body + pickle.dumps([], 2)
    for encoding in ("latin1", "bytes"):
        results = [
            load(lib, data, encoding=encoding, weights_only=False)
            for lib in (torch, oracle)
        ]
        assert results[0] == results[1]


def test_files_without_checksums_load_both_ways():
    for writer, reader in ((torch, oracle), (oracle, torch)):
        writer.serialization.set_crc32_options(False)
        try:
            data = save(writer, writer.arange(3.0))
        finally:
            writer.serialization.set_crc32_options(True)
        assert {i.CRC for i in zipfile.ZipFile(io.BytesIO(data)).infolist()} == {0}
        assert load(reader, data).tolist() == [0.0, 1.0, 2.0]


def test_recompressed_archives_load_both_ways():
    theirs = zipfile.ZipFile(io.BytesIO(save(oracle, oracle.arange(300.0))))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name in theirs.namelist():
            out.writestr(name, theirs.read(name))
    for lib in (torch, oracle):
        assert load(lib, buffer.getvalue())[299].item() == 299.0


def test_a_file_of_the_first_format_with_storage_views_loads():
    """Version 0.1 wrote a view as a part of its storage, by (key, offset, size)."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]

    class Storage(str):
        __slots__ = ()

    class Pickler(pickle._Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Storage):
                kind = oracle.FloatStorage
                return "storage", kind, "root", "cpu", 6, (str(obj), 2, 3)
            return None

    class Tensor:
        def __init__(self, storage):
            self.storage = storage

        def __reduce__(self):
            args = (self.storage, 0, (3,), (1,))
            return oracle._utils._rebuild_tensor, args

    buffer = io.BytesIO()
    shared = Storage("view")
    Pickler(buffer, 2).dump([Tensor(shared), Tensor(shared)])
    values = struct.pack("<6f", *range(6))
    data = b"".join(
        [
            *(pickle.dumps(x, 2) for x in head),
            buffer.getvalue(),
            pickle.dumps(["root"], 2),
            struct.pack("<q", 6),
            values,
        ]
    )
    for lib in (torch, oracle):
        first, second = load(lib, data)
        assert first.tolist() == [2.0, 3.0, 4.0]
        assert first.data_ptr() == second.data_ptr()


def test_whole_modules_of_the_old_format_load():
    data = save(oracle, oracle.nn.ReLU(), _use_new_zipfile_serialization=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = torch.serialization.load(io.BytesIO(data), weights_only=False)
    assert type(found) is torch.nn.ReLU


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["nope", "errors", "buffers"])
def test_the_restricted_unpickler_takes_an_encoding_alone(name, zipped):
    said = []
    for lib in (torch, oracle):
        buffer = io.BytesIO()
        lib.save(lib.ones(2), buffer, _use_new_zipfile_serialization=zipped)
        buffer.seek(0)
        with pytest.warns(UserWarning), pytest.raises(TypeError) as error:
            lib.load(buffer, weights_only=True, **{name: None})
        said.append(str(error.value))
    assert said[0] == said[1]

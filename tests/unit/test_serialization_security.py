"""Files from anywhere: with ``weights_only`` they run nothing, take no more memory than
they have bytes, and are refused in clear words when they are damaged."""

from __future__ import annotations

import functools
import io
import mmap  # noqa: F401 - so that a test doesn't see it being imported
import os
import pickle
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dispatchtorch as torch
from dispatchtorch._serialization import reader, unpickler
from dispatchtorch._serialization.writer import ArchiveWriter

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")

serialization = torch.serialization
# What damage may raise; anything else is a bug.
CLEAR = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    NotImplementedError,
)

# -- watching what runs ----------------------------------------------------------------

_DANGEROUS = (
    "exec",
    "compile",
    "import",
    "open",
    "socket.",
    "subprocess.",
    "os.",
    "shutil.",
)
_watching = threading.local()


def _audit(event, args):
    if getattr(_watching, "events", None) is not None and event.startswith(_DANGEROUS):
        _watching.events.append((event, str(args)))


sys.addaudithook(_audit)


class Watch:
    """Notes all that Python reports as it runs code, opens files or imports."""

    def __enter__(self):
        self.events = _watching.events = []
        return self

    def __exit__(self, *exc_info):
        _watching.events = None


def archive(data, records=None, name="archive"):
    buffer = io.BytesIO()
    writer = ArchiveWriter(buffer.write, name)
    writer.add("data.pkl", data)
    for key, value in (records or {}).items():
        writer.add(key, value)
    writer.add("byteorder", sys.byteorder.encode())
    writer.add("version", b"3\n")
    writer.close()
    return buffer.getvalue()


def legacy(data, keys=(), storages=b""):
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    pickles = [pickle.dumps(each, 2) for each in head]
    return b"".join([*pickles, data, pickle.dumps(list(keys), 2), storages])


def load(data, **kwargs):
    return serialization.load(io.BytesIO(data), **kwargs)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


@functools.cache
def warm_up():
    """What loads lazily is imported, so that nothing is imported when it counts."""
    buffer = io.BytesIO()
    serialization.save(torch.nn.Parameter(torch.ones(1)), buffer)
    buffer.seek(0)
    serialization.load(buffer)
    for data in (archive(b"\x80\x02N."), legacy(b"\x80\x02N.")):
        load(data)
    with pytest.raises(pickle.UnpicklingError):
        load(archive(b"\x80\x02cos\nsystem\n."))
    subprocess.run([sys.executable, "-c", ""], check=True)


STORAGE = (
    b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu")
)
ONE_TENSOR = (
    name("torch._utils", "_rebuild_tensor_v2")
    + (b"(" + STORAGE + b"K\x01tQK\x00K\x01\x85K\x01\x85\x89")
    + name("collections", "OrderedDict")
    + b")RtR"
)
DATA = {"data/0": struct.pack("<f", 1.0)}


def evil(command):
    """Pickles that would run ``command``, by every way that a pickle has."""
    call = name("posix", "system") + text(command) + b"\x85R"
    plain = name("os", "system") + text(command) + b"\x85R"
    code = f"__import__('os').system({command!r})"
    run = name("builtins", "eval") + text(code) + b"\x85R"
    old = name("__builtin__", "exec") + text(code) + b"\x85R"
    od = name("collections", "OrderedDict")
    get = name("__builtin__", "getattr")
    head = b"\x80\x02"
    return {
        "reduce": head + call + b".",
        "reduce_os": head + plain + b".",
        "reduce_eval": head + run + b".",
        "reduce_exec_python2": head + old + b".",
        "no_protocol": call + b".",
        "protocol_0": b"cos\nsystem\n(S" + repr(command).encode() + b"\ntR.",
        "inst": b"(S" + repr(command).encode() + b"\nios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + text(command) + b"o.",
        "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93"
        + text(command)
        + b"\x85R.",
        "frame": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00" + call + b".",
        "newobj": head + name("subprocess", "Popen") + text(command) + b"\x85\x81.",
        "newobj_ex": b"\x80\x04"
        + name("subprocess", "Popen")
        + text(command)
        + b"\x85}\x92.",
        "extension": head + b"\x82\x01.",
        "in_a_list": head + b"](K\x01" + call + b"e.",
        "in_a_dict_value": head + b"}" + text("k") + call + b"s.",
        "in_a_dict_key": head + b"}" + call + b"K\x01s.",
        "in_a_tuple": head + call + b"\x85\x85.",
        "popped": head + call + b"0K\x01.",
        "in_a_persistent_id": head + b"(" + call + b"tQ.",
        "as_storage_class": head
        + b"("
        + text("storage")
        + name("os", "system")
        + b"tQ.",
        "persistent_id_of_protocol_0": b"P" + command.encode() + b"\n.",
        "build_setstate": head
        + od
        + b")R}"
        + text("__setstate__")
        + name("os", "system")
        + b"sb"
        + b"}"
        + text(command)
        + b"K\x01sb.",
        "build_class": head
        + od
        + b"}"
        + text("__reduce__")
        + name("os", "system")
        + b"sb.",
        "build_function": head
        + name("torch._utils", "_rebuild_tensor_v2")
        + b"}"
        + text("__code__")
        + b"Nsb.",
        "getattr": head + get + od + text("__subclasses__") + b"\x86R)R.",
        "getattr_of_torch": head
        + get
        + name("torch._C", "_VariableFunctionsClass")
        + text("serialization")
        + b"\x86R.",
        "dotted_name": head
        + name("torch._utils", "_rebuild_tensor_v2.__globals__")
        + b".",
        "dotted_class": head
        + name("torch", "Tensor.__init_subclass__.__self__")
        + b".",
        "module_in_a_module": head + name("torch.serialization", "os") + b".",
        "os_in_a_module": head + name("torch.serialization", "os.system") + b".",
        "pickle_in_a_module": head + name("torch.serialization", "pickle.loads") + b".",
        "hub": head + name("torch.hub", "load") + text(command) + b"\x85R.",
        "load_itself": head + name("torch", "load") + text("/etc/passwd") + b"\x85R.",
        "load_from_bytes": head
        + name("torch.storage", "_load_from_bytes")
        + name("_codecs", "encode")
        + text("x")
        + text("latin1")
        + b"\x86R\x85R.",
        "from_file": head
        + name("torch.storage", "UntypedStorage.from_file")
        + text("/etc/passwd")
        + b"\x85R.",
        "codec_import": head
        + name("_codecs", "encode")
        + text("a")
        + text("rot13")
        + b"\x86R.",
        "bytearray_codec": head
        + name("builtins", "bytearray")
        + text("a")
        + text("zlib")
        + b"\x86R.",
        "partial": head
        + name("functools", "partial")
        + name("os", "system")
        + b"\x85R.",
        "namedtuple": head
        + name("collections", "namedtuple")
        + text("x")
        + text("y")
        + b"\x86R.",
        "reconstructor": head
        + name("copyreg", "_reconstructor")
        + name("os", "_wrap_close")
        + name("builtins", "object")
        + b"N\x87R.",
        "from_type_function": head
        + name("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + name("os", "system")
        + name("torch", "Tensor")
        + text(command)
        + b"\x85NtR.",
        "from_type_container": head
        + name("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + name("builtins", "bytearray")
        + name("torch", "Tensor")
        + b"J\0\0\0\x7f\x85"
        + b"NtR.",
        "from_type_itself": head
        + name("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + name("torch._tensor", "_rebuild_from_type_v2")
        + name("torch", "Tensor")
        + b"))NtR.",
        "hooks": head + ONE_TENSOR[:-4] + b")R}K\x01" + call + b"stR.",
        "tensor_state": head
        + name("torch._tensor", "_rebuild_from_type_v2")
        + b"("
        + ONE_TENSOR[:-2]
        + name("torch", "Tensor")
        + b")}"
        + text("data")
        + call
        + b"stR.",
        "call_a_dtype": head + name("torch", "float32") + b")R.",
        "call_a_list": head + b"])R.",
        "call_a_storage": head
        + name("torch.storage", "UntypedStorage")
        + b"K\x05\x85R.",
        "call_a_loaded_tensor": head + ONE_TENSOR + b")R.",
        "new_object_of_a_function": head
        + name("torch._utils", "_rebuild_tensor")
        + b")\x81.",
        "blocked_even_if_asked": head
        + name("posix", "system")
        + text(command)
        + b"\x85R.",
    }


@pytest.mark.parametrize(
    "form", ["zip", "legacy", "legacy_keys", "legacy_magic", "mmap"]
)
@pytest.mark.parametrize("way", sorted(evil("")))
def test_malicious_pickles_run_nothing(way, form, tmp_path):
    warm_up()
    mark = tmp_path / "ran"
    data = evil(f"touch {mark}")[way]
    kwargs = {}
    if form == "legacy":
        file = io.BytesIO(legacy(data, ["0"], struct.pack("<q", 1) + DATA["data/0"]))
    elif form == "legacy_keys":
        file = io.BytesIO(legacy(b"\x80\x02N.")[: -len(pickle.dumps([], 2))] + data)
    elif form == "legacy_magic":
        file = io.BytesIO(data)
    elif form == "mmap":
        file, kwargs = tmp_path / "a.pt", {"mmap": True}
        file.write_bytes(archive(data, DATA))
    else:
        file = io.BytesIO(archive(data, DATA))
    with pytest.raises(CLEAR), Watch() as watch:
        serialization.load(file, **kwargs)
    opened = [e for e in watch.events if not (e[0] == "open" and str(file) in e[1])]
    assert opened == []
    assert not mark.exists()


def test_the_payloads_work_where_they_are_not_restricted(tmp_path):
    """Otherwise the test above would prove nothing."""
    mark = tmp_path / "ran"
    for way in ("reduce", "reduce_eval", "stack_global", "in_a_list", "obj"):
        load(archive(evil(f"touch {mark}")[way]), weights_only=False)
        assert mark.exists()
        mark.unlink()


def test_blocked_modules_stay_blocked_when_they_are_allowed(tmp_path):
    mark = tmp_path / "ran"
    with serialization.safe_globals([os.system]):
        with pytest.raises(
            pickle.UnpicklingError, match="whose module posix is blocked"
        ):
            load(archive(evil(f"touch {mark}")["reduce"]))
    assert not mark.exists()


def test_listing_unsafe_names_runs_nothing(tmp_path):
    warm_up()
    mark = tmp_path / "ran"
    listed = serialization.get_unsafe_globals_in_checkpoint
    for way in ("reduce", "reduce_eval", "stack_global", "in_a_list", "newobj"):
        data = io.BytesIO(archive(evil(f"touch {mark}")[way]))
        listed(io.BytesIO(archive(b"\x80\x02N.")))  # imports what it needs
        with Watch() as watch:
            found = listed(data)
        assert watch.events == []
        assert found in (["posix.system"], ["builtins.eval"], ["os.system"],
                         ["subprocess.Popen"])  # fmt: skip
    assert not mark.exists()


def test_safe_globals_end_with_their_block():
    with serialization.safe_globals([slice]):
        with serialization.safe_globals([slice, range]):
            assert serialization.get_safe_globals() == [slice, range]
        assert serialization.get_safe_globals() == [slice]
        buffer = io.BytesIO()
        serialization.save(slice(1, 2), buffer)
        assert load(buffer.getvalue()) == slice(1, 2)
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([range])
    serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []


# -- memory and time -------------------------------------------------------------------


def refused_cheaply(data, megabytes=24, **kwargs):
    """Loads ``data``, which must fail without taking much memory; gives the error."""
    file = io.BytesIO(data)
    warm_up()
    tracemalloc.start()
    try:
        with pytest.raises(CLEAR) as info:
            serialization.load(file, **kwargs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20
    return str(info.value)


HUGE = b"\x8a\x06\0\0\0\0\0\x10"  # 2**44


def tensor_of(count, size, stride=b"K\x01", offset=b"K\x00"):
    return (
        b"\x80\x02"
        + name("torch._utils", "_rebuild_tensor_v2")
        + (
            b"("
            + STORAGE
            + count
            + b"tQ"
            + offset
            + size
            + b"\x85"
            + stride
            + b"\x85\x89"
        )
        + name("collections", "OrderedDict")
        + b")RtR."
    )


def test_a_storage_larger_than_its_record_is_refused():
    assert "does not match expected size" in refused_cheaply(
        archive(tensor_of(HUGE, HUGE), DATA)
    )


def test_a_storage_larger_than_a_legacy_file_is_refused():
    data = legacy(tensor_of(HUGE, HUGE), ["0"], struct.pack("<q", 2**44) + b"\0" * 9)
    assert "larger than the file" in refused_cheaply(data)


def test_many_storages_can_not_exceed_a_legacy_file():
    one = b"(" + text("storage") + name("torch", "FloatStorage") + b"%s" + text("cpu")
    body = b"".join(one % text(str(i)) + b"M\x00\x40tQ0"[:-1] for i in range(2000))
    data = legacy(b"\x80\x02(" + body + b"t.", ["0"], b"\0" * 100)
    assert "larger than the file" in refused_cheaply(data)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        (HUGE, b"K\x01", b"K\x00"),
        (b"K\x02", b"K\x01", b"K\x00"),
        (b"K\x01", b"K\x01", b"K\x01"),
        (b"K\x02", HUGE, b"K\x00"),
        (b"J\xff\xff\xff\xff", b"K\x01", b"K\x00"),
        (b"K\x01", b"J\xff\xff\xff\xff", b"K\x00"),
        (b"K\x01", b"K\x01", b"J\xff\xff\xff\xff"),
        (text("1"), b"K\x01", b"K\x00"),
        (b"G?\xf0\0\0\0\0\0\0", b"K\x01", b"K\x00"),
        (b"K\x01", b"K\x01", b"N"),
    ],
)
def test_tensors_never_reach_beyond_their_storage(size, stride, offset):
    for wrap in (
        lambda d: archive(d, DATA),
        lambda d: legacy(d, ["0"], struct.pack("<q", 1) + DATA["data/0"]),
    ):
        data = wrap(tensor_of(b"K\x01", size, stride, offset))
        for weights_only in (True, False):
            refused_cheaply(data, weights_only=weights_only)


@pytest.mark.parametrize(
    "body",
    [
        name("builtins", "bytearray") + HUGE + b"\x85R",
        name("builtins", "bytearray") + b"](K\x01K\x02e\x85R",
        name("torch", "Tensor") + HUGE + b"\x85R",
        name("torch", "Tensor") + HUGE + b"\x85\x81",
        name("torch.nn.parameter", "Parameter") + HUGE + b"\x85R",
        name("torch.storage", "UntypedStorage") + HUGE + b"\x85R",
        name("torch.storage", "TypedStorage") + HUGE + b"\x85\x81",
        # A view of a single number that would be copied to terabytes.
        name("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") + b"("
        + tensor_of(b"K\x01", HUGE, b"K\x00")[2:-1]
        + name("torch", "float64") + text("cpu") + b"\x89tR",
        # The same hundred thousand items, copied again and again.
        b"](" + b"K\x01" * 100000 + b"eq\x01" + b"0"[:0]
        + (name("torch", "Size") + b"h\x01\x85R") * 30 + b"t",
    ],
    ids=range(9),
)  # fmt: skip
def test_calls_that_would_take_memory_are_refused(body):
    refused_cheaply(archive(b"\x80\x02(" + body + b".", DATA))


@pytest.mark.parametrize(
    "end",
    [b"}h\x01K\x01s.", name("builtins", "set") + b"]h\x01a\x85R.", b"h\x01h\x01R."],
)
def test_values_that_double_with_every_step_do_not_stall(end):
    doubled = b"K\x01\x85q\x01" + b"h\x01h\x01\x86q\x01" * 60
    refused_cheaply(archive(b"\x80\x02" + doubled + end))


def test_deep_nesting_is_harmless():
    deep = b"\x80\x02" + b"(" * 30000 + b"t" * 30000
    found = load(archive(deep + b"."))
    assert type(found) is tuple
    refused_cheaply(archive(b"\x80\x02}" + deep[2:] + b"K\x01s."), megabytes=64)


def test_a_compressed_record_can_not_unfold_without_bound(monkeypatch):
    monkeypatch.setattr(reader, "_EXPANSION_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data.pkl", tensor_of(b"J\0\0\0\x01", b"J\0\0\0\x01"))
        out.writestr("archive/version", b"3")
        out.writestr("archive/data/0", bytes(1 << 26))
    assert "compressed records" in refused_cheaply(buffer.getvalue())


def test_a_compressed_pickle_can_not_unfold_without_bound():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/version", b"3")
        out.writestr("archive/data.pkl", b"\x80\x02" + b"\x8f" * (1 << 23))
    assert "unfolds" in refused_cheaply(buffer.getvalue())


def test_a_record_that_claims_more_than_it_has_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data.pkl", b"\x80\x02N.")
        out.writestr("archive/version", b"3")
    data = bytearray(buffer.getvalue())
    for offset in range(len(data) - 4):
        if data[offset : offset + 4] == b"PK\1\2":
            data[offset + 24 : offset + 28] = struct.pack("<I", 0xFFFFFFF0)
    refused_cheaply(bytes(data))


def test_records_can_not_overlap_to_fill_memory():
    """Many directory entries for the same bytes: a small file, gigabytes of tensors."""
    buffer = io.BytesIO()
    writer = ArchiveWriter(buffer.write, "archive")
    writer.add("data.pkl", b"\x80\x02N.")
    writer.add("version", b"3")
    writer.add("data/0", bytes(1 << 16))
    same = writer._entries[-1]
    for i in range(1, 3000):
        writer._entries.append((b"archive/data/%d" % i, *same[1:]))
    writer.close()
    assert "the records exceed the file" in refused_cheaply(buffer.getvalue())


# -- archives that lie -----------------------------------------------------------------


def test_names_of_records_never_reach_the_file_system(tmp_path):
    warm_up()
    secret = tmp_path / "secret"
    secret.write_bytes(DATA["data/0"])
    for key in (f"../../../../../../..{secret}", str(secret), "..", "", "a\0b"):
        body = tensor_of(b"K\x01", b"K\x01").replace(text("0"), text(key))
        with pytest.raises(CLEAR), Watch() as watch:
            load(archive(body, DATA))
        assert watch.events == []
    with pytest.raises(RuntimeError, match="not in a subdirectory"):
        data = bytearray(archive(b"\x80\x02N."))
        load(bytes(data).replace(b"archive/version", b"../../a/version"))


def test_one_name_has_one_meaning():
    buffer = io.BytesIO()
    writer = ArchiveWriter(buffer.write, "archive")
    for data in (b"\x80\x02K\x01.", b"\x80\x02K\x02."):
        writer.add("data.pkl", data)
    writer.add("version", b"3")
    writer.close()
    with pytest.raises(RuntimeError, match="two meanings"):
        load(buffer.getvalue())
    data = archive(b"\x80\x02N.", {"data.pkl\0": b"\x80\x02K\x01."})
    with pytest.raises(RuntimeError, match="two meanings"):
        load(data)


def test_the_same_storage_has_one_meaning():
    """A second persistent id for a key can't see the bytes as more than they are."""
    first = STORAGE + b"K\x01tQ"
    second = STORAGE.replace(b"FloatStorage", b"DoubleStorage") + b"K\x63tQ"
    found = load(archive(b"\x80\x02(" + first + second + b"t.", DATA))
    assert [storage._untyped().nbytes() for storage in found] == [4, 4]


def test_encrypted_and_exotic_archives_are_refused():
    good = archive(b"\x80\x02N.")
    where = good.index(b"PK\1\2")
    for offset, value in ((8, 0x0809), (10, 12), (10, 99)):
        data = bytearray(good)
        data[where + offset : where + offset + 2] = struct.pack("<H", value)
        with pytest.raises(CLEAR):
            load(bytes(data))


def test_torchscript_archives_are_named():
    data = archive(b"\x80\x02N.", {"constants.pkl": b"x"})
    with pytest.warns(UserWarning, match="looks like a TorchScript archive"):
        with pytest.raises(
            RuntimeError, match="Cannot use ``weights_only=True`` with T"
        ):
            load(data)
        with pytest.raises(NotImplementedError, match="TorchScript"):
            load(data, weights_only=False)


def test_tar_archives_are_named():
    data = bytes(257) + b"ustar\0" + bytes(700)
    with pytest.raises(pickle.UnpicklingError, match="legacy .tar format"):
        load(data)
    with pytest.raises(NotImplementedError, match=".tar format"):
        load(data, weights_only=False)


# -- programs at random ----------------------------------------------------------------

_PIECES = [
    *[bytes([i]) for i in range(256)],
    name("torch", "Tensor"),
    name("torch", "Size"),
    name("torch", "float32"),
    name("torch", "FloatStorage"),
    name("torch", "device"),
    name("builtins", "set"),
    name("collections", "OrderedDict"),
    name("collections", "Counter"),
    name("torch._utils", "_rebuild_tensor_v2"),
    name("torch._utils", "_rebuild_parameter"),
    name("torch._utils", "_rebuild_sparse_tensor"),
    name("_codecs", "encode"),
    name("torch._tensor", "_rebuild_from_type_v2"),
    name("builtins", "bytearray"),
    name("torch.nn.parameter", "Parameter"),
    name("torch.storage", "UntypedStorage"),
    name("torch.serialization", "_get_layout"),
    text("cpu"),
    text("0"),
    text("storage"),
    b"K\x01",
    b"q\x01",
    b"h\x01",
    b")R",
    b"\x85R",
    b"\x86R",
    b"tR",
    b"(",
    b"t",
    STORAGE,
    STORAGE + b"K\x01tQ",
    ONE_TENSOR,
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=25))
def test_no_program_escapes_the_machine(pieces):
    data = archive(b"\x80\x02" + b"".join(pieces) + b".", DATA)
    with Watch() as watch:
        try:
            load(data)
        except CLEAR:
            pass
    allowed = ("import", "compile", "exec", "open", "os.listdir")  # lazily, by our code
    assert [e for e in watch.events if not e[0].startswith(allowed)] == []


def test_stopping_is_what_ends_a_pickle():
    def refuse(saved_id):
        raise AssertionError

    source = io.BytesIO(b"\x80\x02K\x01.K\x02.")
    assert unpickler.load(source, refuse) == 1
    assert unpickler.load(source, refuse) == 2
    with pytest.raises(EOFError):
        unpickler.load(source, refuse)

"""Saving and loading: files, places, sharing, options, and writing that can't lose."""

from __future__ import annotations

import collections
import io
import os
import pathlib
import stat
import subprocess
import sys
import warnings
import zipfile

import pytest

import dispatchtorch as torch
from dispatchtorch._serialization import reader, writer
from dispatchtorch.storage import UntypedStorage

serialization = torch.serialization
save, load = serialization.save, serialization.load

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(obj, **kwargs):
    buffer = io.BytesIO()
    save(obj, buffer, **kwargs)
    buffer.seek(0)
    return buffer


def saved_as(obj, zipped):
    return saved(obj, _use_new_zipfile_serialization=zipped)


# -- places to write to and read from --------------------------------------------------


@FORMATS
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_paths_of_both_kinds(tmp_path, kind, zipped):
    path = kind(tmp_path / "net.pt")
    save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    assert load(path)["w"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["net.pt"]


@FORMATS
def test_open_files(tmp_path, zipped):
    path = tmp_path / "net.pt"
    with open(path, "wb") as file:
        save(torch.ones(2), file, _use_new_zipfile_serialization=zipped)
    with open(path, "rb") as file:
        assert load(file).tolist() == [1.0, 1.0]


def test_the_archive_s_folder_is_named_after_the_file(tmp_path):
    for name, folder in [("a.b.pt", "a.b"), ("plain", "plain"), ("é.pt", "archive")]:
        save(1, tmp_path / name)
        entries = zipfile.ZipFile(tmp_path / name).namelist()
        assert {entry.partition("/")[0] for entry in entries} == {folder}
        assert load(tmp_path / name) == 1


@FORMATS
def test_objects_that_only_write_and_only_read(zipped):
    class Sink:
        def __init__(self):
            self.data = b""

        def write(self, data):
            self.data += bytes(data)

    class Source:
        def __init__(self, data):
            self._file = io.BytesIO(data)
            for name in ("read", "readline", "seek", "tell"):
                setattr(self, name, getattr(self._file, name))

    sink = Sink()
    save([torch.arange(3.0)], sink, _use_new_zipfile_serialization=zipped)
    assert load(Source(sink.data))[0].tolist() == [0.0, 1.0, 2.0]


def test_legacy_objects_follow_each_other_in_a_file():
    buffer = io.BytesIO()
    for i in range(3):
        save(torch.full((2,), float(i)), buffer, _use_new_zipfile_serialization=False)
    buffer.seek(0)
    assert [load(buffer).tolist() for _ in range(3)] == [
        [0.0] * 2,
        [1.0] * 2,
        [2.0] * 2,
    ]
    assert buffer.read() == b""


def test_data_starts_at_multiples_of_64_bytes(tmp_path):
    path = tmp_path / "net.pt"
    save([torch.ones(n, dtype=torch.uint8) for n in (1, 7, 64, 100)], path)
    raw = path.read_bytes()
    for entry in zipfile.ZipFile(path).infolist():
        head = entry.header_offset
        lengths = raw[head + 26 : head + 30]
        start = (
            head
            + 30
            + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
        )
        assert start % 64 == 0


def test_saving_the_same_twice_gives_the_same_bytes():
    obj = {"a": torch.arange(5.0), "b": [torch.zeros(2)]}
    assert saved(obj).getvalue() == saved(obj).getvalue()


class Sparse:
    """A file in which large writes leave holes."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        if len(data) == 1 << 20:
            self._file.seek(1 << 20, 1)
        else:
            self._file.write(data)


def test_archives_may_exceed_four_gigabytes(tmp_path):
    path = tmp_path / "big.pt"
    with open(path, "wb") as file:
        archive = writer.ArchiveWriter(Sparse(file).write, "archive", checksums=False)
        archive.add("before", b"1")
        archive.add_zeros("zeros", 5 << 30)
        archive.add("after", b"23")
        archive.close()
    found = zipfile.ZipFile(path)
    sizes = [(entry.file_size, entry.compress_size) for entry in found.infolist()]
    assert sizes == [(1, 1), (5 << 30, 5 << 30), (2, 2)]
    with open(path, "rb") as file:
        archive = reader.ArchiveReader(file)
        assert (archive.read("before"), archive.read("after")) == (b"1", b"23")
        assert archive.size("zeros") == 5 << 30


# -- what survives ---------------------------------------------------------------------


@FORMATS
def test_tensors_that_share_memory_still_do(zipped):
    a = torch.arange(6.0)
    b = load(saved_as({"all": a, "tail": a[2:], "rows": a.view(2, 3)}, zipped))
    b["all"][2] = 9
    assert b["tail"][0] == 9
    assert b["rows"][0, 2] == 9
    assert len({t.untyped_storage().data_ptr() for t in b.values()}) == 1


@FORMATS
def test_a_view_brings_its_whole_storage(zipped):
    t = load(saved_as(torch.arange(10)[3:5], zipped))
    assert t.tolist() == [3, 4]
    assert (t.storage_offset(), t.untyped_storage().nbytes()) == (3, 80)


@FORMATS
def test_loaded_tensors_are_leaves_of_their_own(zipped):
    t = load(saved_as(torch.ones(3, requires_grad=True) * 2, zipped))
    assert t.requires_grad
    assert t.is_leaf
    assert not t._is_view()
    (t * 3).sum().backward()
    assert t.grad.tolist() == [3.0, 3.0, 3.0]
    plain = load(saved_as(torch.ones(3), zipped))
    plain += 1
    assert plain.tolist() == [2.0, 2.0, 2.0]


@FORMATS
def test_state_dicts_keep_their_metadata(zipped):
    state = collections.OrderedDict(w=torch.ones(2))
    state._metadata = collections.OrderedDict({"": {"version": 2}})
    found = load(saved_as(state, zipped))
    assert type(found) is collections.OrderedDict
    assert found._metadata == state._metadata


@FORMATS
def test_parameters_keep_flags_and_attributes(zipped):
    p = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    p.note = "kept"
    found = load(saved_as([p, p], zipped))
    assert type(found[0]) is torch.nn.Parameter
    assert not found[0].requires_grad
    assert found[0].note == "kept"
    assert found[0] is found[1]


class Kind(torch.Tensor):
    """A subclass, here so that it can be pickled."""


@FORMATS
def test_tensor_subclasses_load_where_they_are_allowed(zipped):
    t = torch.ones(2).as_subclass(Kind)
    t.note = 5
    file = saved_as(t, zipped)
    with pytest.raises(Exception, match=r"Kind was not an allowed global"):
        load(file)
    file.seek(0)
    with serialization.safe_globals([Kind]):
        found = load(file)
    assert type(found) is Kind
    assert found.note == 5
    file.seek(0)
    assert type(load(file, weights_only=False)) is Kind


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_protocol_round_trips_unrestricted(zipped, protocol):
    obj = {"t": torch.arange(3), "d": torch.float16, "n": list(range(300)), "k": Kind}
    file = saved(obj, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = load(file, weights_only=False)
    assert found["t"].tolist() == [0, 1, 2]
    assert (found["d"], found["k"], len(found["n"])) == (torch.float16, Kind, 300)


def test_another_pickle_module_is_used():
    import pickle

    calls = []

    class Pickler(pickle.Pickler):
        def dump(self, obj):
            calls.append("dump")
            super().dump(obj)

    class Unpickler(pickle.Unpickler):
        def load(self):
            calls.append("load")
            return super().load()

    class Module:
        __name__ = "mine"

    Module.Pickler, Module.Unpickler = Pickler, Unpickler
    found = load(saved(torch.ones(2), pickle_module=Module), pickle_module=Module)
    assert found.tolist() == [1.0, 1.0]
    assert calls == ["dump", "load"]


def test_cloudpickle_saves_what_pickle_can_not():
    cloudpickle = pytest.importorskip("cloudpickle")
    file = saved([torch.ones(2), lambda x: x + 1], pickle_module=cloudpickle)
    t, function = load(file, weights_only=False)
    assert function(t).tolist() == [2.0, 2.0]


def test_hooks_are_left_out_with_a_warning():
    t = torch.ones(2, requires_grad=True)
    t.register_hook(lambda grad: grad)
    with pytest.warns(UserWarning, match="backward hook .* will not be serialized"):
        file = saved(t)
    assert load(file).requires_grad


def test_storages_save_by_themselves():
    t = torch.arange(3, dtype=torch.uint8)
    found = load(saved([t.untyped_storage(), t]))
    assert found[0].tolist() == [0, 1, 2]
    assert found[0] == found[1].untyped_storage()


@FORMATS
def test_one_memory_as_two_dtypes_is_refused(zipped):
    t = torch.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        saved_as([t, t.view(torch.int32)], zipped)


# -- where tensors go ------------------------------------------------------------------


@FORMATS
def test_map_location_to_the_device_without_memory(zipped):
    file = saved_as({"w": torch.ones(2, 3)}, zipped)
    assert load(file, map_location="meta")["w"].device.type == "meta"


@FORMATS
def test_a_device_that_is_a_plugin(zipped):
    pytest.importorskip("dispatchtorch_loopback")
    t = torch.arange(6.0, device="loopback").view(2, 3).t()
    file = saved_as([t, t[1:]], zipped)
    found = load(file)
    assert [each.device.type for each in found] == ["loopback", "loopback"]
    assert found[0].cpu().tolist() == t.cpu().tolist()
    found[0].zero_()
    assert found[1].cpu().tolist() == [[0.0, 0.0], [0.0, 0.0]]
    for where in ("cpu", torch.device("cpu"), {"loopback:0": "cpu"}, lambda s, _: s):
        file.seek(0)
        on_host = load(file, map_location=where)
        assert on_host[0].device.type == "cpu"
        assert on_host[1].tolist() == t.cpu().tolist()[1:]
    there = load(saved_as(torch.ones(2), zipped), map_location="loopback")
    assert there.device.type == "loopback"


def test_a_function_may_leave_the_choice_to_the_default():
    seen = []
    found = load(saved(torch.ones(2)), map_location=lambda s, place: seen.append(place))
    assert found.tolist() == [1.0, 1.0]
    assert seen == ["cpu"]


def test_an_unknown_place_is_an_error_that_names_it():
    with pytest.raises(
        RuntimeError, match=r"don't know how to restore .* with nowhere"
    ):
        load(saved(torch.ones(2)), map_location="nowhere")


def test_places_can_be_registered(monkeypatch):
    from dispatchtorch._serialization import locations

    monkeypatch.setattr(locations, "_packages", list(locations._packages))
    serialization.register_package(
        1, lambda s: "attic", lambda s, place: s if place == "attic" else None
    )
    assert serialization.location_tag(torch.ones(1).untyped_storage()) == "attic"
    assert load(saved(torch.ones(2))).tolist() == [1.0, 1.0]
    monkeypatch.undo()
    assert serialization.location_tag(torch.ones(1).untyped_storage()) == "cpu"


# -- mmap ------------------------------------------------------------------------------


def test_mapped_files_are_read_when_used_and_stay_unchanged(tmp_path):
    path = tmp_path / "net.pt"
    save({"w": torch.arange(1000.0), "e": torch.empty(0), "s": torch.tensor(2)}, path)
    before = path.read_bytes()
    found = load(path, mmap=True)
    assert found["w"].sum() == 499500
    found["w"] += 1
    assert found["w"][0] == 1
    assert found["e"].shape == (0,)
    assert found["s"] == 2
    assert path.read_bytes() == before


def test_mapped_files_can_be_written_through(tmp_path):
    import mmap

    path = tmp_path / "net.pt"
    save(torch.zeros(3), path)
    with serialization.set_default_mmap_options(mmap.MAP_SHARED):
        t = load(path, mmap=True)
    t.fill_(5)
    del t
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    t = load(path, mmap=True)
    assert t.tolist() == [5.0, 5.0, 5.0]


def test_mapping_needs_a_zip_archive_at_a_path(tmp_path):
    path = tmp_path / "old.pt"
    save(1, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved"):
        load(path, mmap=True)
    with pytest.raises(ValueError, match="f must be a file path"):
        load(saved(1), mmap=True)


# -- options ---------------------------------------------------------------------------


def test_data_can_be_skipped_on_both_sides():
    t = torch.arange(100.0)
    with serialization.skip_data():
        empty = saved(t)
    assert empty.getbuffer().nbytes == saved(t).getbuffer().nbytes
    assert load(empty).tolist() == [0.0] * 100
    with serialization.skip_data():
        assert load(saved(torch.ones(3))).shape == (3,)
    assert load(saved(t)).tolist() == t.tolist()


def test_the_byte_order_may_be_left_out_and_assumed():
    file = saved(torch.ones(2), _disable_byteorder_record=True)
    names = zipfile.ZipFile(file).namelist()
    assert names[-2:] == ["archive/byteorder", "archive/.data/serialization_id"]
    assert serialization.get_default_load_endianness() is None


@pytest.mark.parametrize("order", list(serialization.LoadEndianness))
def test_files_that_don_t_say_their_byte_order_have_the_default(order):
    t = torch.tensor([1], dtype=torch.int16)
    theirs, buffer = zipfile.ZipFile(saved(t)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name in theirs.namelist():
            if not name.endswith("byteorder"):
                out.writestr(name, theirs.read(name))
    buffer.seek(0)
    native = order.name in ("NATIVE", sys.byteorder.upper())
    serialization.set_default_load_endianness(order)
    try:
        assert load(buffer).item() == (1 if native else 256)
    finally:
        serialization.set_default_load_endianness(None)


# -- writing that can't lose -----------------------------------------------------------


@FORMATS
def test_an_object_that_can_t_be_pickled_leaves_the_old_file(tmp_path, zipped):
    path = tmp_path / "net.pt"
    save(1, path)
    with pytest.raises(AttributeError, match="local object"):
        save([torch.ones(2), lambda: 0], path, _use_new_zipfile_serialization=zipped)
    assert load(path) == 1
    assert os.listdir(tmp_path) == ["net.pt"]


@FORMATS
@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, zipped, error):
    path = tmp_path / "net.pt"
    save(1, path)

    def fail(*args):
        raise error

    monkeypatch.setattr(UntypedStorage, "_host_view", fail)
    with pytest.raises(type(error)):
        save(torch.ones(2), path, _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    assert load(path) == 1
    assert os.listdir(tmp_path) == ["net.pt"]


def test_a_process_that_dies_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "net.pt"
    save(1, path)
    program = """
import os, sys
import dispatchtorch as torch
from dispatchtorch.storage import UntypedStorage
def die(self):
    os._exit(3)
UntypedStorage._host_view = die
torch.serialization.save([torch.ones(2)], sys.argv[1])
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == 3
    assert load(path) == 1


@pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX's")
def test_replacing_keeps_the_file_s_mode_and_follows_links(tmp_path):
    target, link = tmp_path / "real.pt", tmp_path / "link.pt"
    save(1, target)
    os.chmod(target, 0o640)
    link.symlink_to(target)
    save(2, link)
    assert link.is_symlink()
    assert load(target) == 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    fresh = tmp_path / "fresh.pt"
    umask = os.umask(0)
    os.umask(umask)
    save(1, fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o666 & ~umask


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX's")
def test_what_is_no_regular_file_is_written_directly():
    save(torch.ones(3), os.devnull)
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


def test_errors_of_places(tmp_path):
    with pytest.raises(RuntimeError, match=r"Parent directory .*none does not exist\."):
        save(1, tmp_path / "none" / "a.pt")
    with pytest.raises(FileNotFoundError, match="a.pt"):
        save(1, tmp_path / "none" / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="Is a directory"):
        save(1, tmp_path)
    with pytest.raises(AttributeError, match="'write' attribute"):
        save(1, 3)
    with pytest.raises(
        AttributeError, match="You can only torch.load from a file that is"
    ):
        load(3)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.pt")


# -- small things ----------------------------------------------------------------------


def test_storage_types_know_their_dtype():
    assert serialization.StorageType("HalfStorage").dtype == torch.float16
    assert str(serialization.StorageType("HalfStorage")) == (
        "StorageType(dtype=torch.float16)"
    )
    assert (
        serialization.normalize_storage_type(torch.FloatStorage) is torch.FloatStorage
    )


def test_a_temporary_folder_is_removed():
    with serialization.mkdtemp() as path:
        assert os.path.isdir(path)
    assert not os.path.exists(path)


def test_saving_and_loading_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(saved({"w": torch.ones(2)}))["w"].tolist() == [1.0, 1.0]

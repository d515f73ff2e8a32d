"""Storages are the memory of tensors: shared, compared, copied and converted."""

from __future__ import annotations

import copy
import os
import pickle
import warnings

import pytest

import dispatchtorch as torch
from dispatchtorch.storage import TypedStorage, UntypedStorage


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_a_tensor_and_its_views_have_one_storage():
    t = torch.arange(6.0).view(2, 3)
    assert t.untyped_storage() == t.t()[1:].untyped_storage()
    assert hash(t.untyped_storage()) == hash(t[1].untyped_storage())
    assert t.untyped_storage().data_ptr() == t[1].untyped_storage().data_ptr()
    assert t.untyped_storage() != t.clone().untyped_storage()
    assert t[1].untyped_storage().nbytes() == 24


def test_bytes_read_and_write_the_tensor():
    t = torch.tensor([1, 256], dtype=torch.int32)
    s = t.untyped_storage()
    assert s.tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
    assert list(s) == s.tolist()
    assert (len(s), s.size(), s.nbytes(), s.element_size()) == (8, 8, 8, 1)
    s[1] = 1
    s[4:6] = 0
    assert t.tolist() == [257, 0]
    assert (s[0], s[-1]) == (1, 0)
    s.fill_(255)
    assert t.tolist() == [-1, -1]


def test_a_slice_shares_and_makes_tensors_of_its_part():
    s = UntypedStorage([1, 2, 3, 4, 5])
    part = s[1:3]
    part[0] = 99
    assert s.tolist() == [1, 99, 3, 4, 5]
    assert s[3:1].nbytes() == 0
    from dispatchtorch._utils import _rebuild_tensor_v3

    t = _rebuild_tensor_v3(part, 1, (1,), (1,), False, None, torch.uint8)
    assert t.tolist() == [3]


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda s: s[9], IndexError, "index 9 out of range for storage of size 5"),
        (lambda s: s["a"], TypeError, "can't index a torch.UntypedStorage with str"),
        (lambda s: s[True], TypeError, "can't index a torch.UntypedStorage with bool"),
        (lambda s: s[::2], RuntimeError, "Trying to slice with a step of 2"),
        (lambda s: s.__setitem__(9, 1), RuntimeError, "out of bounds"),
        (lambda s: s.__setitem__(-1, 1), RuntimeError, "out of bounds"),
        (lambda s: s.__setitem__(0, 1.5), RuntimeError, "got float instead"),
        (lambda s: s.__setitem__("a", 1), RuntimeError, "can't index a"),
        (
            lambda s: s.copy_(UntypedStorage(3)),
            RuntimeError,
            "self was 5 bytes but src",
        ),
        (lambda s: s.to("cpu"), TypeError, "positional"),
        (lambda s: UntypedStorage("a"), RuntimeError, "was of type str instead of int"),
        (lambda s: UntypedStorage([1.5]), RuntimeError, "was of type float"),
        (lambda s: UntypedStorage(3.5), RuntimeError, "Expected a sequence type, but"),
        (lambda s: UntypedStorage(True), RuntimeError, "Expected a sequence type, but"),
        (lambda s: UntypedStorage(2, 3), TypeError, r"got \(int, int\)"),
        (lambda s: UntypedStorage(foo=3), TypeError, r"got \(foo=int, \)"),
        (lambda s: UntypedStorage(-1), RuntimeError, "negative"),
        (lambda s: TypedStorage(1, 2), RuntimeError, "Too many positional arguments"),
        (lambda s: TypedStorage(2.5), TypeError, "Argument type not recognized"),
        (lambda s: TypedStorage(wrap_storage=s), RuntimeError, "'dtype' must be spec"),
        (
            lambda s: TypedStorage(wrap_storage=3, dtype=torch.uint8),
            TypeError,
            "must be UntypedStorage, but got <class 'int'>",
        ),
        (
            lambda s: TypedStorage(2, dtype="a"),
            RuntimeError,
            "expected torch.dtype, but",
        ),
        (
            lambda s: torch.FloatStorage(3, dtype=torch.float32),
            RuntimeError,
            "Keyword argument 'dtype' cannot be specified",
        ),
        (
            lambda s: TypedStorage([1.0])[0:1],
            RuntimeError,
            "slices are only supported in",
        ),
        (lambda s: TypedStorage([1.0])[7], IndexError, "index 7 out of range"),
        (lambda s: TypedStorage([1.0])["a"], RuntimeError, "can't index a"),
    ],
)
def test_misuse_is_named(act, error, text):
    with pytest.raises(error, match=text):
        act(UntypedStorage([1, 2, 3, 4, 5]))


def test_construction_from_sizes_and_sequences():
    assert UntypedStorage().nbytes() == 0
    assert UntypedStorage(size=4).nbytes() == 4
    assert UntypedStorage([1, 300, -1]).tolist() == [1, 44, 255]
    assert UntypedStorage(4, device="meta").device.type == "meta"


def test_meta_storages_have_sizes_and_no_bytes():
    s = UntypedStorage(4, device="meta")
    assert (s.nbytes(), s.data_ptr()) == (4, 0)
    assert repr(s) == "...\n[torch.storage.UntypedStorage(device=meta) of size 4]"
    with pytest.raises(
        NotImplementedError, match="Not available for 'meta' device type"
    ):
        s.tolist()
    with pytest.raises(
        NotImplementedError, match="Not available for 'meta' device type"
    ):
        s[0]


def test_copies_are_separate_and_devices_are_reached():
    s = UntypedStorage([1, 2])
    for other in (
        s.clone(),
        copy.copy(s),
        copy.deepcopy(s),
        pickle.loads(pickle.dumps(s)),
    ):
        assert other.tolist() == [1, 2]
        assert other != s
        assert type(other) is UntypedStorage
    assert s.cpu() is s
    assert s.to(device="cpu") is s
    assert s.untyped() is s
    assert UntypedStorage(2).copy_(s).tolist() == [1, 2]
    assert (s.is_cuda, s.is_sparse, s.is_pinned(), s.filename) == (
        False,
        False,
        False,
        None,
    )


def test_resizing_is_for_memory_that_nothing_views():
    s = UntypedStorage([1, 2, 3])
    assert s.resizable()
    assert s.resize_(5).tolist() == [1, 2, 3, 0, 0]
    assert s.resize_(2).tolist() == [1, 2]
    viewed = torch.ones(2).untyped_storage()
    assert viewed.resize_(8) is viewed
    assert not viewed.resizable()
    with pytest.raises(NotImplementedError, match="resize_"):
        viewed.resize_(16)


def test_shared_memory_reaches_child_processes():
    import os

    s = UntypedStorage._new_shared(2)
    assert s.is_shared()
    if hasattr(os, "fork"):
        child = os.fork()
        if not child:
            s[0] = 7
            os._exit(0)
        os.waitpid(child, 0)
        assert s.tolist() == [7, 0]
    moved = UntypedStorage([5])
    assert not moved.is_shared()
    assert moved.share_memory_() is moved
    assert moved.is_shared()
    assert moved.tolist() == [5]
    with pytest.raises(NotImplementedError, match="_new_shared"):
        torch.ones(2).untyped_storage().share_memory_()


def test_files_are_mapped(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(8)))
    private = UntypedStorage.from_file(str(path), shared=False, nbytes=4)
    private[0] = 9
    assert private.tolist() == [9, 1, 2, 3]
    assert private.filename is None
    assert path.read_bytes()[0] == 0
    shared = UntypedStorage.from_file(str(path), shared=True, nbytes=10)
    shared[9] = 5
    assert shared.filename == str(path)
    del shared
    assert path.read_bytes() == bytes(range(8)) + b"\0\5"
    with pytest.raises(RuntimeError, match="size <10> is smaller than the required"):
        UntypedStorage.from_file(str(path), shared=False, nbytes=99)
    floats = torch.FloatStorage.from_file(str(path), False, 2)
    assert floats.dtype == torch.float32
    assert floats.size() == 2


def test_buffers_are_copied_in_either_byte_order():
    make = UntypedStorage.from_buffer
    data = b"abcdef"
    assert make(data, dtype=torch.uint8).tolist() == list(data)
    assert make(data, byte_order="little", dtype=torch.int16).tolist() == list(data)
    assert make(data, byte_order="big", dtype=torch.int16).tolist() == list(b"badcfe")
    part = make(data, byte_order="little", count=1, offset=2, dtype=torch.int16)
    assert part.tolist() == list(b"cd")
    assert torch.ShortStorage.from_buffer(data, "little").dtype == torch.int16
    for kwargs, error in [
        ({}, RuntimeError),
        ({"dtype": torch.int16}, RuntimeError),
        ({"dtype": torch.int16, "byte_order": "x"}, ValueError),
        ({"dtype": torch.int32, "byte_order": "little"}, ValueError),
        ({"dtype": torch.int16, "byte_order": "little", "count": 9}, ValueError),
        ({"dtype": torch.int16, "byte_order": "little", "offset": 9}, ValueError),
    ]:
        with pytest.raises(error):
            make(data, **kwargs)
    with pytest.raises(TypeError):
        make("text", dtype=torch.uint8)


def test_byteswap_is_by_element():
    s = UntypedStorage(range(8))
    s.byteswap(torch.int32)
    assert s.tolist() == [3, 2, 1, 0, 7, 6, 5, 4]
    s.byteswap(torch.complex64)
    assert s.tolist() == list(range(8))
    s.byteswap(torch.uint8)
    assert s.tolist() == list(range(8))


def test_typed_storages_show_elements():
    t = torch.arange(3.0)
    s = t.storage()
    assert (len(s), s.size(), s.nbytes(), s.element_size()) == (3, 3, 12, 4)
    assert s.tolist() == list(s) == [0.0, 1.0, 2.0]
    s[0] = 7
    s[1:3] = 5
    assert t.tolist() == [7.0, 5.0, 5.0]
    assert s[-1] == 5.0
    assert s.untyped() == t.untyped_storage()
    assert s.fill_(2) is s
    assert s.type() == "torch.FloatStorage"
    assert s.pickle_storage_type() == "FloatStorage"
    assert repr(s) == (
        " 2.0\n 2.0\n 2.0\n[torch.storage.TypedStorage(dtype=torch.float32, "
        "device=cpu) of size 3]"
    )
    other = pickle.loads(pickle.dumps(s))
    assert (other.tolist(), other.dtype) == ([2.0, 2.0, 2.0], torch.float32)
    with pytest.raises(KeyError, match="dtype torch.uint16 is not recognized"):
        torch.ones(1, dtype=torch.uint16).storage().pickle_storage_type()


def test_storages_convert():
    s = torch.tensor([0, 1, 300]).storage()
    assert s.double().tolist() == [0.0, 1.0, 300.0]
    assert s.bool().tolist() == [False, True, True]
    assert s.float().dtype == torch.float32
    assert s.long() != s
    assert s.type("torch.IntStorage").dtype == torch.int32
    assert UntypedStorage([1, 2]).float().tolist() == [1.0, 2.0]


def test_classes_named_after_dtypes_make_and_recognise():
    s = torch.FloatStorage([1, 2])
    assert type(s) is TypedStorage
    assert s.dtype == torch.FloatStorage.dtype == torch.float32
    assert isinstance(s, torch.FloatStorage)
    assert not isinstance(s, torch.DoubleStorage)
    assert torch.FloatStorage(3).size() == 3
    assert torch.FloatStorage().size() == 0
    wrapped = torch.ByteStorage(wrap_storage=s.untyped())
    assert wrapped.size() == 8
    assert torch.FloatStorage.__module__ == "dispatchtorch"


def test_only_the_first_use_of_a_typed_storage_warns():
    from dispatchtorch import storage

    storage._reset_warn_typed_storage_removal()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.ones(1).storage().tolist()
        torch.FloatStorage(1)
    assert len(caught) == 1
    assert "TypedStorage is deprecated" in str(caught[0].message)
    assert caught[0].filename == __file__
    storage._set_always_warn_typed_storage_removal(True)
    try:
        assert storage._get_always_warn_typed_storage_removal()
        with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
            torch.FloatStorage(1)
    finally:
        storage._set_always_warn_typed_storage_removal(False)


def test_deepcopy_keeps_sharing():
    a = torch.arange(4.0)
    first, second = copy.deepcopy([a, a[1:]])
    first[1] = 9
    assert second[0] == 9
    assert a[1] == 1
    assert second.storage_offset() == 1
    assert second.untyped_storage().nbytes() == 16


def test_deepcopy_keeps_what_a_tensor_is():
    t = torch.ones(2, 2, requires_grad=True)
    t.grad = torch.zeros(2, 2)
    t.note = [1]
    other = copy.deepcopy(t)
    assert other.requires_grad
    assert other.is_leaf
    assert other.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert other.grad is not t.grad
    assert other.note == [1]
    assert other.note is not t.note
    assert copy.deepcopy(torch.ones(2, 3).t()).stride() == (1, 3)
    assert copy.deepcopy(torch.empty(2, device="meta")).device.type == "meta"
    twice = copy.deepcopy([t, t])
    assert twice[0] is twice[1]

    class Kind(torch.Tensor):
        pass

    assert type(copy.deepcopy(torch.ones(1).as_subclass(Kind))) is Kind


def test_deepcopy_refuses_computed_tensors():
    with pytest.raises(
        RuntimeError, match="Only Tensors created explicitly by the user"
    ):
        copy.deepcopy(torch.ones(1, requires_grad=True) * 2)


def test_plain_pickle_takes_tensors():
    t = torch.arange(6.0).view(2, 3).t()
    other = pickle.loads(pickle.dumps(t))
    assert other.tolist() == t.tolist()
    assert other.stride() == t.stride()
    parameter = pickle.loads(pickle.dumps(torch.nn.Parameter(torch.ones(2))))
    assert type(parameter) is torch.nn.Parameter
    for value in (torch.float32, torch.device("cpu"), torch.Size([1, 2])):
        assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_writes_to_a_shared_tensor() -> None:
    base = torch.zeros(2, 3)
    x = base.t().share_memory_()
    assert x.is_shared() and x[0].is_shared() and not torch.zeros(1).is_shared()
    assert x.stride() == (1, 3) and x.share_memory_() is x
    child = os.fork()
    if not child:
        x.fill_(7)
        os._exit(0)
    os.waitpid(child, 0)
    assert (x == 7).all()


def test_a_module_shares_its_parameters() -> None:
    module = torch.nn.Linear(2, 2).share_memory()
    assert all(p.is_shared() and p.requires_grad for p in module.parameters())

"""Loading in worker processes: what arrives, in which order, and how things end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections import namedtuple

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    get_worker_info,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.skipif(sys.platform == "win32", reason="the tests fork"),
]

FORK = {"multiprocessing_context": "fork", "timeout": 60}
Pair = namedtuple("Pair", "x y")


class Items(Dataset):
    """Whatever is made by calling ``make(i)``, in the worker."""

    def __init__(self, n, make):
        self.n = n
        self.make = make

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.make(i)


class Stream(IterableDataset):
    """``lengths[w]`` pairs ``(w, k)`` from each worker ``w``."""

    def __init__(self, lengths):
        self.lengths = lengths

    def __iter__(self):
        info = get_worker_info()
        worker = 0 if info is None else info.id
        return iter([(worker, k) for k in range(self.lengths[worker])])


def load(dataset, **options):
    options = {"num_workers": 2, "batch_size": None, **FORK, **options}
    return DataLoader(dataset, **options)


def workers_of(iterator):
    return [worker.process for worker in iterator._pool.workers]


def test_batches_come_in_the_samplers_order_whoever_is_faster():
    def make(i):
        time.sleep(0.02 if i % 2 == 0 else 0)
        return i

    assert list(load(Items(12, make))) == list(range(12))


def test_out_of_order_delivery_does_not_wait_for_the_slow():
    def make(i):
        time.sleep(0.5 if i == 0 else 0)
        return i

    got = list(load(Items(12, make), in_order=False))
    assert sorted(got) == list(range(12))
    assert got[0] != 0


def test_out_of_order_streams_are_read_to_their_ends():
    got = list(load(Stream([5, 2]), in_order=False))
    assert sorted(map(tuple, got)) == sorted(
        [(0, k) for k in range(5)] + [(1, 0), (1, 1)]
    )


def test_workers_take_turns_and_an_ended_stream_is_skipped():
    got = [worker for worker, _ in load(Stream([2, 3, 5]), num_workers=3)]
    assert got == [0, 1, 2, 0, 1, 2, 1, 2, 2, 2]


CONTENTS = {
    "float32": lambda t: t.arange(4.0),
    "bool": lambda t: t.tensor([True, False]),
    "complex": lambda t: t.tensor([1 + 2j]),
    "bfloat16": lambda t: t.ones(3, dtype=t.bfloat16),
    "large": lambda t: t.arange(50_000, dtype=t.float64).reshape(2, -1),
    "strided": lambda t: t.arange(10)[::2],
    "transposed": lambda t: t.arange(6).reshape(2, 3).t(),
    "scalar": lambda t: t.tensor(3),
    "empty": lambda t: t.empty(0, 3),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_tensors_arrive_as_they_were(name):
    expected = CONTENTS[name](torch)
    (got,) = load(Items(1, lambda i: CONTENTS[name](torch)), num_workers=1)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.tolist() == expected.tolist()
    assert not got.requires_grad


def test_received_tensors_can_be_written_to():
    for size in (3, 100_000):
        (got,) = load(Items(1, lambda i, size=size: torch.zeros(size)), num_workers=1)
        got += 1
        assert got.sum().item() == size


def test_containers_and_arrays_arrive_as_they_were():
    def make(i):
        array = np.full(40_000, i, np.int16)
        return {"pair": Pair(torch.full((40_000,), i), [array, "x"]), "none": None}

    got = list(load(Items(3, make), collate_fn=lambda sample: sample))
    for i, sample in enumerate(got):
        assert isinstance(sample["pair"], Pair)
        assert sample["pair"].x.tolist() == [i] * 40_000
        assert (sample["pair"].y[0] == i).all()
        assert sample["pair"].y[0].dtype == np.int16


def test_a_leaf_keeps_requiring_its_gradient():
    (got,) = load(Items(1, lambda i: torch.ones(2, requires_grad=True)), num_workers=1)
    assert got.requires_grad


def test_a_tensor_with_a_graph_cannot_leave_its_process():
    dataset = Items(1, lambda i: torch.ones(2, requires_grad=True) * 2)
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf"):
        list(load(dataset, num_workers=1))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors")
def test_keeping_every_batch_keeps_few_descriptors_open():
    before = len(os.listdir("/proc/self/fd"))
    kept = list(load(Items(400, lambda i: torch.full((20_000,), i))))
    assert len(os.listdir("/proc/self/fd")) - before < 300
    assert [t[-1].item() for t in kept] == list(range(400))
    del kept
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize("prefetch_factor", [1, 2, 300])
def test_large_lists_of_keys_and_deep_prefetching_do_not_block(prefetch_factor):
    keys = [list(range(i, i + 30_000)) for i in range(40)]
    loader = DataLoader(
        range(60_000),
        batch_sampler=keys,
        num_workers=1,
        collate_fn=lambda batch: torch.tensor(batch[:20_000]),
        prefetch_factor=prefetch_factor,
        **FORK,
    )
    assert [batch[0].item() for batch in loader] == list(range(40))


def test_worker_info_in_workers_and_not_outside():
    assert get_worker_info() is None
    infos = list(load(Items(2, lambda i: repr(get_worker_info()))))
    assert [text.split(", seed")[0] for text in infos] == [
        "WorkerInfo(id=0, num_workers=2",
        "WorkerInfo(id=1, num_workers=2",
    ]


def test_worker_info_is_read_only():
    def make(i):
        try:
            get_worker_info().id = 3
        except AttributeError as error:
            return str(error)

    assert list(load(Items(1, make), num_workers=1)) == ["cannot assign to field 'id'"]


def test_worker_init_fn_runs_once_in_each_worker():
    def init(worker_id):
        get_worker_info().dataset.offset = 100 * worker_id

    class Offset(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return self.offset + i

    assert list(load(Offset(), worker_init_fn=init)) == [0, 101, 2, 103]


def test_workers_draw_different_numbers_and_repeat_them_for_the_same_seed():
    def numbers():
        torch.manual_seed(3)
        return [x.item() for x in load(Items(4, lambda i: torch.rand(())))]

    first = numbers()
    assert len(set(first)) == 4
    assert numbers() == first


def raise_value_error(i):
    if i == 3:
        raise ValueError("no such sample")
    return i


def test_an_exception_arrives_with_its_traceback_and_loading_goes_on():
    batches = iter(load(Items(6, raise_value_error)))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError) as caught:
        next(batches)
    message = str(caught.value)
    assert message.startswith(
        "Caught ValueError in DataLoader worker process 1.\n"
        "Original Traceback (most recent call last):\n"
    )
    assert "in raise_value_error" in message
    assert message.endswith("ValueError: no such sample\n")
    assert list(batches) == [4, 5]


class Demanding(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


@pytest.mark.parametrize(
    ("error", "arrives"),
    [
        (KeyError("k"), KeyError),
        (FileNotFoundError(2, "none"), FileNotFoundError),
        (Demanding(1, 2), RuntimeError),
        (UnicodeDecodeError("utf8", b"x", 0, 1, "r"), RuntimeError),
    ],
    ids=lambda e: getattr(e, "__name__", type(e).__name__),
)
def test_exceptions_keep_their_class_where_it_can_be_made(error, arrives):
    def make(i):
        raise error

    with pytest.raises(arrives, match=f"Caught {type(error).__name__} in DataLoader"):
        list(load(Items(1, make), num_workers=1))


def test_a_failing_init_fn_is_reported():
    def init(worker_id):
        raise ValueError("bad start")

    with pytest.raises(ValueError, match="bad start"):
        list(load(Items(2, int), worker_init_fn=init))


def test_a_sample_that_cannot_be_pickled_is_an_error_and_no_hang():
    with pytest.raises((AttributeError, RuntimeError, TypeError), match="pickle"):
        list(
            load(
                Items(1, lambda i: lambda: None), num_workers=1, collate_fn=lambda x: x
            )
        )


class Poison:
    def __reduce__(self):
        return int, ("no number",)


def test_a_key_that_cannot_be_unpickled_is_an_error_and_no_hang():
    # Two batches ahead: those keys go along with the start, and the third in the pipe.
    loader = load([1, 2], sampler=[0, 1, Poison(), 1], num_workers=1)
    batches = iter(loader)
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(ValueError, match="invalid literal for int"):
        next(batches)
    assert list(batches) == [2]


def test_a_result_that_cannot_be_unpickled_is_an_error_and_no_hang():
    batches = iter(load([Poison(), 1, 2], collate_fn=lambda x: x))
    with pytest.raises(ValueError, match="invalid literal for int"):
        next(batches)
    assert list(batches) == [1, 2]


def test_an_exception_of_a_local_class_is_reported_as_text():
    class Local(Exception):
        pass

    def make(i):
        raise Local("inner")

    with pytest.raises(RuntimeError, match="inner"):
        list(load(Items(1, make), num_workers=1))


DEATHS = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal: Killed"),
    "terminated": (lambda: os.kill(os.getpid(), signal.SIGTERM), "signal: Terminated"),
    "exited": (lambda: os._exit(3), "exited unexpectedly with exit code 3"),
    "SystemExit": (lambda: sys.exit(4), "exited unexpectedly with exit code 4"),
}


@pytest.mark.parametrize("name", DEATHS)
@pytest.mark.parametrize("in_order", [True, False])
def test_a_dead_worker_is_an_error_and_no_hang(name, in_order):
    die, detail = DEATHS[name]

    def make(i):
        if i == 3:
            die()
        return i

    with pytest.raises(RuntimeError, match="exited unexpectedly") as caught:
        list(load(Items(6, make), in_order=in_order))
    assert str(caught.value).startswith("DataLoader worker (pid(s) ")
    assert detail in str(caught.value.__cause__)


def test_timeout_is_an_error():
    loader = load(Items(1, lambda i: time.sleep(1)), num_workers=1, timeout=0.1)
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.1 seconds"):
        next(iter(loader))


def test_persistent_workers_serve_every_pass():
    loader = load(Items(4, lambda i: (i, os.getpid())), persistent_workers=True)
    first, second = list(loader), list(loader)
    assert [i for i, _ in second] == [0, 1, 2, 3]
    assert first == second
    assert iter(loader) is iter(loader)


def test_persistent_workers_start_over_in_the_middle_of_a_pass():
    loader = load(Stream([4, 4]), persistent_workers=True)
    batches = iter(loader)
    next(batches)
    assert len(list(loader)) == 8
    assert len(list(loader)) == 8


def test_workers_end_with_the_pass_and_with_the_iterator():
    batches = iter(load(Items(2, int)))
    processes = workers_of(batches)
    list(batches)
    assert [p.exitcode for p in processes] == [0, 0]

    batches = iter(load(Items(100, int)))
    processes = workers_of(batches)
    next(batches)
    del batches
    gc.collect()
    assert [p.exitcode for p in processes] == [0, 0]


def test_length_warning_names_the_workers_as_a_possible_cause():
    class Promised(Stream):
        def __len__(self):
            return 2

    loader = load(Promised([2, 2]))
    assert len(loader) == 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(loader)
    messages = [str(w.message) for w in caught if "Length of" in str(w.message)]
    assert len(messages) == 2
    assert "was reported to be 2(when accessing len(dataloader)), but 3" in messages[0]
    assert "replica at each worker" in messages[0]


class Importable(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return torch.full((30_000,), i)


PRELUDE = """
    import os, signal, sys, time
    import dispatchtorch as torch
    from dispatchtorch.utils.data import DataLoader, Dataset

    class Slow(Dataset):
        def __len__(self):
            return 1000
        def __getitem__(self, i):
            time.sleep(0.02)
            return torch.full((30_000,), i)
"""


def script(body, *args):
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


ENDINGS = {
    "returns": "",
    "raises": "raise SystemExit(5)",
    "is interrupted": "os.killpg(0, signal.SIGINT); time.sleep(5)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "exits at once": "os._exit(0)",
}


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("how", ENDINGS)
def test_no_worker_outlives_the_main_process(how, persistent):
    body = f"""
        loader = DataLoader(Slow(), num_workers=2, persistent_workers={persistent},
                            multiprocessing_context="fork")
        batches = iter(loader)
        next(batches)
        print(*[w.process.pid for w in batches._pool.workers], flush=True)
        {ENDINGS[how]}
    """
    process = script(body)
    out, err = process.communicate(timeout=60)
    pids = out.split()
    assert len(pids) == 2, err
    deadline = time.monotonic() + 20
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(map(gone, pids))
    if how in ("returns", "exits at once"):
        assert err == ""


@pytest.mark.slow
def test_workers_of_other_start_methods_load_the_same(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(PRELUDE)
        + textwrap.dedent(
            """
            if __name__ == "__main__":
                loader = DataLoader(Slow(), sampler=range(4), num_workers=2,
                                    batch_size=None, multiprocessing_context="spawn")
                print([t[-1].item() for t in loader])
            """
        )
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[0, 1, 2, 3]", done.stderr


def test_a_context_object_is_used_as_it_is():
    context = multiprocessing.get_context("fork")
    loader = DataLoader([1], num_workers=1, multiprocessing_context=context)
    assert loader.multiprocessing_context is context
    assert [t.item() for t in loader] == [1]


def test_two_workers_wait_for_items_side_by_side():
    def wait(i):
        start = time.monotonic()
        time.sleep(0.003)
        worker = torch.utils.data.get_worker_info().id
        return torch.tensor([worker, start, time.monotonic()], dtype=torch.float64)

    loader = DataLoader(Items(160, wait), batch_size=8, num_workers=2, **FORK)
    spans = [
        batch[[0, -1]] for batch in loader
    ]  # of whole batches: first and last item
    for a, b in zip(spans[::2], spans[1::2], strict=True):
        assert a[0, 0] != b[0, 0]
    overlapping = [
        a[0, 1] < b[1, 2] and b[0, 1] < a[1, 2]
        for a, b in zip(spans[::2], spans[1::2], strict=True)
    ]
    assert any(overlapping)


def test_the_first_keys_are_drawn_before_the_workers_start():
    """With them they begin, without a word through their pipes."""
    drawn = []

    class Keys:
        def __iter__(self):
            for i in range(6):
                drawn.append((i, len(multiprocessing.active_children())))
                yield i

    loader = DataLoader(
        range(6), sampler=Keys(), batch_size=1, num_workers=2, prefetch_factor=1, **FORK
    )
    before = len(multiprocessing.active_children())
    assert [int(batch) for batch in loader] == list(range(6))
    assert [count - before for _, count in drawn[:2]] == [0, 0]

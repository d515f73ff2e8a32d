"""Several third-party devices in one process: moves, models over three, training."""

from __future__ import annotations

import io
import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from dispatchtorch_loopback import make_backend
from plugin_environment import PLUGINS, needs_compiler

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.backend import register_backend
from dispatchtorch.testing.mirror import mirror_backend


@pytest.fixture(scope="module")
def devices() -> Iterator[tuple[str, ...]]:
    """Two loopbacks, a mirror of cpu, and the tutorial's device in C where it can be."""
    backends = [make_backend("red"), make_backend("green"), mirror_backend("mirror")]
    names = ["cpu", "red", "green", "mirror"]
    source = str(PLUGINS / "ccpu" / "src")
    if not needs_compiler():
        sys.path.insert(0, source)
        from dispatchtorch_ccpu.device import CcpuBackend

        backends.append(CcpuBackend())
        names.append("ccpu")
    with ExitStack() as stack:
        for backend in backends:
            stack.callback(register_backend(backend).remove)
        yield tuple(names)
    if source in sys.path:
        sys.path.remove(source)


def test_tensors_move_between_every_two(devices: tuple[str, ...]) -> None:
    values = torch.arange(6.0).reshape(2, 3)
    for source, target in itertools.permutations(devices, 2):
        x = values.to(source)
        moved = x.t().to(target)
        assert moved.device.type == target
        assert moved.tolist() == values.t().tolist()
        written = torch.zeros(3, 2, device=target)
        written.copy_(x.t())
        assert written.tolist() == values.t().tolist()


def test_a_tensor_goes_round_all_of_them_and_its_gradient_comes_back(
    devices: tuple[str, ...],
) -> None:
    leaf = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = leaf
    for name in devices:
        x = x.to(name) * 2
    x.to("cpu").sum().backward()
    assert leaf.grad.device.type == "cpu"
    assert leaf.grad.tolist() == [2.0 ** len(devices)] * 3


def test_operands_on_different_devices_are_refused(devices: tuple[str, ...]) -> None:
    for one, other in itertools.permutations(devices, 2):
        with pytest.raises(RuntimeError, match="two devices") as caught:
            torch.ones(2, device=one) + torch.ones(2, device=other)
        assert one in str(caught.value)
        assert other in str(caught.value)


def test_numbers_of_the_host_join_any_of_them(devices: tuple[str, ...]) -> None:
    for name in devices:
        total = torch.ones(2, device=name) + torch.tensor(2.0)
        assert total.device.type == name
        assert total.tolist() == [3.0, 3.0]


class Split(nn.Module):
    """A network whose layers lie on three devices."""

    def __init__(self, places: tuple[str, str, str]) -> None:
        super().__init__()
        self.places = places
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).to(places[0])
        self.second = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.GELU())
        self.second.to(places[1])
        self.third = nn.Linear(16, 3).to(places[2])

    def forward(self, x: Any) -> Any:
        x = self.first(x.to(self.places[0]))
        x = self.second(x.to(self.places[1]))
        return self.third(x.to(self.places[2]))


def train(
    places: tuple[str, str, str], steps: int = 4
) -> tuple[list[float], nn.Module]:
    torch.manual_seed(0)
    model = Split(places)
    images = torch.rand(6, 1, 6, 6)
    labels = torch.tensor([0, 1, 2, 0, 1, 2], device=places[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model


def test_a_model_over_three_devices_trains_as_on_one(devices: tuple[str, ...]) -> None:
    expected, _ = train(("cpu", "cpu", "cpu"))
    assert expected[-1] < expected[0]
    others = [name for name in devices if name != "cpu"]
    rounds = [tuple((others * 2)[i : i + 3]) for i in range(len(others))]
    for places in rounds:
        losses, model = train(places)
        assert losses == pytest.approx(expected, rel=1e-4)
        for child, place in zip(model.children(), places, strict=True):
            for parameter in child.parameters():
                assert parameter.device.type == place
                assert parameter.grad.device.type == place


def test_such_a_model_is_saved_and_loaded_elsewhere(devices: tuple[str, ...]) -> None:
    _, model = train(("red", "green", "mirror"), steps=1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    kept = torch.load(file)
    assert [each.device.type for each in kept.values()] == ["red"] * 2 + [
        "green"
    ] * 2 + ["mirror"] * 2
    again = Split((devices[-1],) * 3)
    again.load_state_dict(kept)
    x = torch.rand(2, 1, 6, 6)
    assert torch.allclose(again(x).cpu(), model(x).cpu(), atol=1e-5)


def test_each_has_a_namespace_and_a_random_state(devices: tuple[str, ...]) -> None:
    for name in devices[1:]:
        torch.manual_seed(3)
        first = torch.rand(4, device=name).tolist()
        torch.manual_seed(3)
        assert torch.rand(4, device=name).tolist() == first
        assert getattr(torch, name).is_available()


def test_threads_use_different_devices_at_once(devices: tuple[str, ...]) -> None:
    failures: list[str] = []

    def work(name: str) -> None:
        x = torch.ones(20, device=name, requires_grad=True)
        for _ in range(20):
            y = (x * 2).sum()
            (grad,) = torch.autograd.grad(y, x)
            if grad.device.type != name or grad.tolist() != [2.0] * 20:
                failures.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures

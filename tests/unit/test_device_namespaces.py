"""``torch.<device type>``: what a backend adds to it, and what the core makes of it."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from typing import Any

import pytest
from dispatchtorch_loopback import make_backend

import dispatchtorch as torch
from dispatchtorch.backend import register_backend


@pytest.fixture
def backend() -> Iterator[Any]:
    made: Any = make_backend("gadget")
    handle = register_backend(made)
    yield made
    handle.remove()


def test_a_backend_adds_names_and_replaces_the_cores(backend: Any) -> None:
    graphs = types.ModuleType("gadget_graphs")
    graphs.capture = lambda: "captured"  # type: ignore[attr-defined]
    backend.namespace = lambda: {
        "Graph": dict,
        "get_device_name": lambda device=None: "Gadget 1",
        "graphs": graphs,
    }
    assert torch.gadget.Graph is dict
    assert torch.gadget.get_device_name() == "Gadget 1"
    assert torch.gadget.device_count() == 2
    assert importlib.import_module("dispatchtorch.gadget.graphs").capture() == (
        "captured"
    )
    assert {"Graph", "graphs", "Stream", "manual_seed"} <= set(dir(torch.gadget))
    with pytest.raises(AttributeError, match=r"module 'torch.gadget' has no .*'nope'"):
        torch.gadget.nope  # noqa: B018


def test_a_backend_may_show_its_own_names_only(backend: Any) -> None:
    backend.namespace = lambda: {"__all__": ["tick", "is_available"], "tick": len}
    assert torch.gadget.tick is len and torch.gadget.is_available()
    assert not hasattr(torch.gadget, "memory_allocated")
    assert torch.gadget.__all__ == ["tick", "is_available"]


def test_a_removed_backends_names_go_with_it(backend: Any) -> None:
    backend.namespace = lambda: {"tick": len}
    assert torch.gadget.tick is len
    handle = register_backend(make_backend("gizmo"))
    assert torch.gizmo.is_available()
    handle.remove()
    assert not torch.gizmo.is_available() and torch.gizmo.device_count() == 0
    with pytest.raises(RuntimeError, match="No installed plugin provides 'gizmo'"):
        torch.gizmo.current_device()
    with register_again("gizmo", {"tick": max}):
        assert torch.gizmo.tick is max


def register_again(name: str, names: dict[str, Any]) -> Any:
    import contextlib

    made: Any = make_backend(name)
    made.namespace = lambda: names
    return contextlib.closing(
        types.SimpleNamespace(close=register_backend(made).remove)
    )


def test_a_device_that_is_installed_and_cannot_be_used_says_why(backend: Any) -> None:
    backend.is_available = lambda: False
    backend.unavailable_reason = lambda: "the cable is unplugged"
    assert not torch.gadget.is_available()
    assert torch.gadget.memory_allocated() == 0
    torch.gadget.manual_seed(1)
    torch.gadget.empty_cache()
    for call in (torch.gadget.current_device, torch.gadget.Stream):
        with pytest.raises(RuntimeError, match=r"No GADGET dev.*cable is unplugged"):
            call()


def test_legacy_types_are_the_devices(backend: Any) -> None:
    x = torch.gadget.FloatTensor([1, 2])
    assert x.type() == "torch.gadget.FloatTensor"
    assert isinstance(x, torch.gadget.FloatTensor)
    assert not isinstance(x, torch.FloatTensor)
    assert not isinstance(torch.ones(2), torch.gadget.FloatTensor)
    assert torch.ones(2).type("torch.gadget.DoubleTensor").device.type == "gadget"
    assert x.type(torch.FloatTensor).device.type == "cpu"
    assert x.type("torch.LongTensor").dtype is torch.int64
    assert repr(torch.gadget.FloatTensor) == "<class 'torch.gadget.FloatTensor'>"
    assert torch.gadget.FloatStorage.__module__ == "torch.gadget"


def test_figures_that_need_a_vendors_tools_are_refused(backend: Any) -> None:
    with pytest.raises(NotImplementedError, match="no compute capability"):
        torch.gadget.get_device_capability()
    with pytest.raises(NotImplementedError, match="operations that synchronise"):
        torch.gadget.set_sync_debug_mode("warn")
    torch.gadget.set_sync_debug_mode("default")
    with pytest.raises(NotImplementedError, match="streams of other libraries"):
        torch.gadget.ExternalStream(1)
    assert torch.gadget.can_device_access_peer(0, 1) is False


def test_a_device_that_pytorch_knows_can_be_named_without_its_plugin() -> None:
    place = torch.device("hpu:1")
    assert (place.type, place.index) == ("hpu", 1)
    assert torch.ones(1).device != place
    with pytest.raises(RuntimeError, match="Torch not compiled with HPU enabled"):
        torch.ones(1, device=place)
    with pytest.raises(RuntimeError, match="device type at start of device string: no"):
        torch.device("no")

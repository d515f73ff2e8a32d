"""What ``torch.utils`` holds itself."""

from __future__ import annotations

from types import ModuleType

import pytest

import dispatchtorch as torch


@pytest.mark.parametrize("name", [n for n in dir(torch.utils) if n[0] != "_"])
def test_everything_that_is_listed_is_there(name: str) -> None:
    assert getattr(torch.utils, name) is not None


def test_submodules_are_imported_when_they_are_named() -> None:
    assert isinstance(torch.utils._pytree, ModuleType)
    assert isinstance(torch.utils._python_dispatch, ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        torch.utils.nothing  # noqa: B018


def test_set_module() -> None:
    class Thing:
        pass

    torch.utils.set_module(Thing, "elsewhere.entirely")
    assert Thing.__module__ == "elsewhere.entirely"
    with pytest.raises(TypeError, match="should be a string"):
        torch.utils.set_module(Thing, 3)  # type: ignore[arg-type]


def test_the_slot_of_pytorch_points_to_plugins() -> None:
    with pytest.raises(NotImplementedError, match=r"'npu'.*docs/plugins\.md"):
        torch.utils.rename_privateuse1_backend("npu")
    with pytest.raises(NotImplementedError, match="plugin"):
        torch.utils.generate_methods_for_privateuse1_backend(for_storage=True)


def test_a_device_that_stands_in_for_one_is_no_accelerator() -> None:
    from dispatchtorch.backend import get_backend

    assert not get_backend("loopback").is_accelerator
    found = torch.accelerator.current_accelerator()
    assert found is None or found.type != "loopback"

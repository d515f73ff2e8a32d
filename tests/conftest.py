"""Fixtures and markers for the whole suite."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

DEVICES = ("cpu", "loopback")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("torch") is None:
        skip = pytest.mark.skip(reason="PyTorch, the oracle, isn't installed")
        for item in items:
            if "oracle" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """The devices that everything has to work on."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    """No test leaves a grad mode, a default dtype or a fallback policy behind."""
    import dispatchtorch as torch
    from dispatchtorch.dispatch import state

    dtype = torch.get_default_dtype()
    masks = (state.tls.mask, state.tls.include)
    yield
    state.restore(masks)
    if torch.get_default_dtype() is not dtype:
        torch.set_default_dtype(dtype)

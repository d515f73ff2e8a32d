"""The environment variables that let plugins in, keep them out, or make them strict."""

from __future__ import annotations

import pytest
from plugin_sites import Site, device_plugin, overlay_plugin


@pytest.fixture
def two(site: Site) -> Site:
    site.device("npu")
    site.extension("fast")
    return site


def test_zero_keeps_all_third_parties_out_and_the_built_in_ones_in(two: Site) -> None:
    two.run(
        """
        manager.load_extensions()
        assert "importlib.metadata" not in sys.modules
        text = str(error_of(get_backend, "npu", kind=plugins.UnknownDeviceError))
        assert "dispatchtorch-npu 1.0, is blocked" in text
        assert "DISPATCHTORCH_PLUGINS=0" in text
        assert status("cpu").state != "blocked" and status("meta").state != "blocked"
        assert status("npu").state == status("fast").state == "blocked"
        assert not imported("npu") and not imported("fast")
        """,
        PLUGINS="0",
    )


@pytest.mark.parametrize("value", ["", "1"])
def test_everything_is_let_in_by_default(two: Site, value: str) -> None:
    two.run(
        """
        get_backend("npu")
        manager.load_extensions()
        assert status("fast").state == "loaded"
        """,
        PLUGINS=value,
    )


@pytest.mark.parametrize("value", ["npu", "other, Dispatchtorch_NPU", "0,npu"])
def test_an_allow_list_names_plugins_or_distributions(two: Site, value: str) -> None:
    two.install("x", {"other": "x:Plugin [extension]"}, {"x": overlay_plugin("x")})
    two.run(
        """
        get_backend("npu")
        assert status("fast").state == "blocked"
        assert "DISPATCHTORCH_PLUGINS=" in status("fast").error
        """,
        PLUGINS=value,
    )


def test_an_allow_list_that_names_nothing_installed_is_reported(two: Site) -> None:
    two.run(
        """
        assert status("npx").state == "failed"
        assert "neither a plugin nor a distribution" in status("npx").error
        """,
        PLUGINS="npu,npx",
    )


@pytest.mark.parametrize("value", ["npu,fast", "dispatchtorch-npu, dispatchtorch.fast"])
def test_a_deny_list_names_plugins_or_distributions(two: Site, value: str) -> None:
    two.device("tpu")
    two.run(
        """
        manager.load_extensions()
        assert status("npu").state == status("fast").state == "blocked"
        assert "DISPATCHTORCH_PLUGINS_DENY" in str(error_of(get_backend, "npu"))
        assert get_backend("tpu").device_type == "tpu"
        """,
        PLUGINS_DENY=value,
    )


def test_built_in_devices_cannot_be_denied(site: Site) -> None:
    site.run(
        """
        assert status("cpu").state == "not loaded"
        """,
        PLUGINS_DENY="cpu",
    )


BROKEN = "raise ImportError('libnpu.so: no such file')"


def test_strict_mode_raises_for_a_device_that_fails(site: Site) -> None:
    site.device("npu", source=BROKEN)
    site.run(
        """
        error = error_of(get_backend, "npu", kind=plugins.PluginError)
        assert "libnpu.so: no such file" in str(error)
        assert isinstance(error.__cause__, ImportError)
        """,
        PLUGINS_STRICT="1",
    )


def test_strict_mode_raises_for_an_extension_that_fails_every_time(site: Site) -> None:
    site.extension("fast", BROKEN)
    site.run(
        """
        for _ in range(2):
            error = error_of(manager.load_extensions, kind=plugins.PluginError)
            assert "'fast' (dispatchtorch-fast 1.0)" in str(error)
        """,
        PLUGINS_STRICT="1",
    )


def test_strict_mode_raises_for_what_the_scan_finds_wrong(site: Site) -> None:
    site.install("future", {"npu": "future:Plugin [api-9]"}, {})
    site.install("malformed", {"fast": "malformed:Plugin [extention]"}, {})
    site.install("first", {"tpu": "first:Plugin"}, {"first": device_plugin("tpu")})
    site.install("second", {"tpu": "second:Plugin"}, {})
    site.run(
        """
        text = str(error_of(manager.load_extensions, kind=plugins.PluginError))
        assert "'npu' (future 1.0): it is made for version 9" in text
        assert "the mark 'extention'" in text
        assert "the name 'tpu' is taken by 'tpu' (first 1.0)" in text
        """,
        PLUGINS_STRICT="1",
    )


@pytest.mark.parametrize("value", ["0", ""])
def test_strict_mode_can_be_switched_off(site: Site, value: str) -> None:
    site.device("npu", source=BROKEN)
    site.run(
        """
        error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        """,
        PLUGINS_STRICT=value,
    )


def test_strict_mode_is_content_where_nothing_fails(two: Site) -> None:
    two.run(
        """
        get_backend("npu")
        manager.load_extensions()
        """,
        PLUGINS_STRICT="1",
        PLUGINS_DENY="unheard-of",
    )

"""What ``docs/plugins.md`` shows is what works."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from plugin_sites import Site

import dispatchtorch as torch
from dispatchtorch.backend import overlays_for, registered_backends
from dispatchtorch.dispatch.operator import get_operator
from dispatchtorch.hookspecs import hook_names
from dispatchtorch.plugins import PluginManager

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(
    r'^```\w+(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL
)


def blocks() -> list[tuple[str, str]]:
    """(title, text) of the page's code blocks."""
    return [(match[1] or "", match[2]) for match in BLOCK.finditer(PAGE.read_text())]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The page's example project, written to a folder."""
    for title, text in blocks():
        if "." in title:
            path = tmp_path / "project" / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path / "project"


@pytest.fixture
def plugin(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """A plugin of the snippets in all the hooks' sections."""
    monkeypatch.syspath_prepend(project)
    namespace: dict[str, Any] = {}
    for _, text in blocks():
        if text.startswith("def dispatchtorch_"):
            exec(text, namespace)  # noqa: S102 - our own page
    hooks = {name: value for name, value in namespace.items() if name in hook_names()}
    assert set(hooks) == set(hook_names())
    yield type("Plugin", (), hooks)
    for name in [n for n in sys.modules if n.startswith("dispatchtorch_npu")]:
        del sys.modules[name]


def test_the_snippets_of_the_hooks_make_a_working_plugin(
    plugin: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHTORCH_PLUGINS", "0")
    manager = PluginManager()
    with manager.register(plugin, name="npu"):
        (found,) = [s for s in manager.report() if s.name == "npu"]
        assert found.provides == (
            "operator swish",
            "layer count",
            "device npu",
            "overlay npu-fast on npu",
        )
        assert found.hint == "apt install libnpu"
        assert [o.name for o in overlays_for("npu")] == ["npu-fast"]
        x = torch.arange(3.0, device="npu")
        assert get_operator("swish")(x).tolist() == (x * x.sigmoid()).tolist()
        parser = argparse.ArgumentParser()
        manager.register_commands(parser.add_subparsers())
        assert parser.parse_args(["npu-reset", "3"]).index == 3
        assert manager.device_report("npu")["npu"]["driver"] == "libnpu 4.2"
        assert set(manager.conformance_expectations("npu")["npu"]) == {
            "known_failures",
            "tolerances",
        }
    assert "npu" not in registered_backends()


def test_the_project_works_when_pip_installs_it(project: Path, site: Site) -> None:
    pytest.importorskip("setuptools")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--no-index", "--no-build-isolation", "--disable-pip-version-check"),
            *("--target", str(site.folder), str(project)),
        ],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    site.run("""
        found = status("npu")
        assert (found.distribution, found.version) == ("dispatchtorch-npu", "0.1")
        assert found.state == "not loaded" and "dispatchtorch_npu" not in sys.modules
        assert get_backend("npu").device_type == "npu"
        assert status("npu").summary == "An NPU that is NumPy."
        import dispatchtorch as torch
        x = torch.ones(2, device="npu") + 1
        assert x.device.type == "npu" and x.tolist() == [2.0, 2.0]
    """)


def test_the_projects_plugin_is_described_without_its_device(
    project: Path, site: Site
) -> None:
    source = (project / "dispatchtorch_npu" / "__init__.py").read_text()
    site.install(
        "dispatchtorch-npu",
        {"npu": "dispatchtorch_npu:Plugin [api-1]"},
        {"dispatchtorch_npu": source},
    )
    site.run("""
        text = str(error_of(get_backend, "npu", kind=plugins.UnknownDeviceError))
        assert "No module named 'dispatchtorch_npu.device'" in text
        assert "(to fix it: apt install libnpu)" in text
    """)


def test_the_settings_are_those_that_the_code_reads() -> None:
    from dispatchtorch import _discovery

    source = Path(_discovery.__file__).read_text()
    pattern = r"DISPATCHTORCH_\w+"
    assert set(re.findall(pattern, PAGE.read_text())) == set(
        re.findall(pattern, source)
    )


def test_the_notebook_example_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    (text,) = [text for title, text in blocks() if title == "notebook"]
    site.run(
        f"sys.path.insert(0, {str(project)!r})\n"
        "from dispatchtorch_npu import Plugin\n" + dedent(text)
    )

"""The public names of PyTorch's small modules are here, or docs/absent.toml says why not."""

from __future__ import annotations

import importlib
import tomllib
import types
import warnings
from pathlib import Path

import pytest

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

MODULES = """
accelerator autograd.variable backends backends.cpu backends.cuda backends.cusparselt
backends.kleidiai backends.mha backends.mps backends.nnpack backends.openmp
backends.opt_einsum backends.quantized compiler cpu cuda cuda.comm cuda.graphs cuda.memory
cuda.profiler cuda.random cuda.streams futures hub jit monitor nn.attention
nn.attention.bias nn.attention.flex_attention nn.parallel.comm nn.parallel.parallel_apply
nn.parallel.replicate nn.parallel.scatter_gather overrides quasirandom random return_types
torch_version types utils.debug_log utils.deterministic utils.dlpack utils.file_baton
utils.hooks utils.model_zoo utils.throughput_benchmark utils.weak version xpu
""".split()

ABSENT = Path(__file__).parents[2] / "docs" / "absent.toml"
#: Names of a parent namespace that its modules show too.
SHARED = {"cuda.memory": "torch.cuda"}


def absent(namespace: str) -> set[str]:
    with open(ABSENT, "rb") as file:
        entries = tomllib.load(file)["absent"]
    keys = (f"torch.{namespace}", SHARED.get(namespace, ""))
    return {n for e in entries for key in keys for n in e.get(key, "").split()}


def public(module: types.ModuleType) -> set[str]:
    """``__all__``, or what the module defines and doesn't mark as private."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith(module.__name__)
    }


@pytest.mark.parametrize("name", MODULES)
def test_names(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = importlib.import_module(f"torch.{name}")
    ours = importlib.import_module(f"dispatchtorch.{name}")
    wanted = public(theirs) - absent(name)
    assert not {each for each in wanted if not hasattr(ours, each)}

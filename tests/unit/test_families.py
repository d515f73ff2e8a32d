"""Families of operators are imported when one of their names is first asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dispatchtorch.dispatch.families import Families
from dispatchtorch.ops import _index_writer


def run(code: str) -> str:
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


def test_the_index_is_in_step():
    path = Path(_index_writer.__file__).with_name("_index.py")
    assert path.read_text(encoding="utf-8") == _index_writer.index_text(), (
        "run `python -m dispatchtorch.ops._index_writer`"
    )


def test_a_training_step_imports_some_families_and_not_all():
    loaded = run(
        "import sys, dispatchtorch as torch\n"
        "print([m for m in sys.modules if m == 'dispatchtorch.ops.all'])\n"
        "m = torch.nn.Linear(3, 2)\n"
        "torch.nn.functional.mse_loss(m(torch.randn(4, 3)), torch.zeros(4, 2)).backward()\n"
        "torch.optim.SGD(m.parameters(), 0.1).step()\n"
        "print([m for m in sys.modules if m.startswith('dispatchtorch.ops.')])\n"
    ).splitlines()
    assert loaded[0] == "[]"
    assert "dispatchtorch.ops.pointwise" in loaded[1]
    assert "dispatchtorch.ops.all" not in loaded[1]


@pytest.mark.parametrize("first", ["", "torch.ones(2).sort(); ", "torch.special.erf; "])
def test_overloads_keep_their_order_whatever_was_named_first(first: str):
    code = (
        f"import dispatchtorch as torch; {first}"
        "from dispatchtorch.dispatch.operator import packets\n"
        "print([[o.full_name for o in packets[n].overloads]"
        " for n in ('where', 'round', 'scatter', 'max', 'clip', 'true_divide')])"
    )
    assert run(code) == run("import dispatchtorch.ops.all\n" + code)


def test_every_name_is_found_without_an_index():
    code = (
        "import dispatchtorch as torch\n"
        "from dispatchtorch.dispatch.operator import families, get_operator\n"
        "families._modules.clear()\n"
        "print(torch.add.__name__, torch.Tensor.relu.__name__, get_operator('max.dim').name)"
    )
    assert run(code) == "add relu max"


def test_unknown_names_are_attribute_errors():
    code = (
        "import dispatchtorch as torch\n"
        "for thing in (torch, torch.Tensor, torch.ones(1)):\n"
        "    print(hasattr(thing, 'no_such_operator'), end=' ')"
    )
    assert run(code) == "False False False"


def test_names_of_plugins_and_dunders_import_nothing():
    families = Families()
    families.set_index("nowhere", "nowhere.all", {"a": "x y", "b": "y"})
    assert families.knows("y") and not families.knows("z")
    assert families.rank("y", "nowhere.b") == 1
    assert families.rank("y", "elsewhere") == 2
    assert not families.declare_all("lib::op")
    assert not families.declare_all("__array__")
    with pytest.raises(ModuleNotFoundError):
        families.declare("x")

"""Type stubs and the page of operators are in step with the registry."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize("module", ["dispatchtorch._stubs", "dispatchtorch._docs"])
def test_what_is_generated_is_in_step(module):
    done = run(module, "--check")
    assert done.returncode == 0, f"run `python -m {module}`\n{done.stdout}{done.stderr}"


def test_importing_the_package_imports_no_generator():
    code = "import sys, dispatchtorch as t; t.add; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "dispatchtorch._stubs" not in done.stdout
    assert "dispatchtorch._docs" not in done.stdout


def test_every_public_function_and_method_is_in_the_stubs():
    import ast

    from dispatchtorch.dispatch.operator import packets

    def names(file, inside):
        body = ast.parse((ROOT / "dispatchtorch" / file).read_text()).body
        if inside:
            body = next(n.body for n in body if isinstance(n, ast.ClassDef))
        return {node.name for node in body if isinstance(node, ast.FunctionDef)}

    functions, methods = names("_functions.pyi", False), names("_methods.pyi", True)
    core = {name: packet for name, packet in packets.items() if "::" not in name}
    assert {n for n, p in core.items() if "function" in p.variants} <= functions
    assert {n for n, p in core.items() if "method" in p.variants} <= methods


PROGRAM = """
import dispatchtorch as torch
from dispatchtorch import nn
import dispatchtorch.nn.functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.fc(x)).view(-1, 4)


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
x = torch.zeros(2, 3, dtype=torch.float32, device="cpu")
y = torch.randn(2, 3).to(torch.float64).sum(0, keepdim=True)
z: torch.Tensor = x + 1 - y * 2 @ x.t()
loss = net(x).pow(2).mean()
loss.backward()
optimizer.step()
with torch.no_grad():
    values, indices = torch.max(x, 1)
    q = torch.where(x > 0, x, 0.0)
    number = torch.cat([x, y.float()], dim=0).reshape(-1)[0].item()
reveal_type(torch.add(x, 1))
reveal_type(x.shape)
reveal_type(x.view(2, 3))
reveal_type(x.split(1))
reveal_type(torch.float32)
wrong: int = torch.add(x, 1)
torch.relu("text")
x.sum(dimm=1)
"""


@pytest.mark.slow
def test_a_users_program_is_type_checked(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    shown, _, _ = api.run(
        [
            str(program),
            "--follow-imports=silent",
            "--ignore-missing-imports",
            "--config-file=",
            f"--cache-dir={tmp_path / 'cache'}",
        ]
    )
    lines = PROGRAM.splitlines()
    found = {}
    for line in shown.splitlines():
        if line.startswith(("Found", "Success")):
            continue
        _, number, rest = line.split(":", 2)
        found.setdefault(lines[int(number) - 1], rest.strip())
    assert found["reveal_type(torch.add(x, 1))"].endswith('tensor.Tensor"')
    assert found["reveal_type(x.shape)"].endswith('size.Size"')
    assert found["reveal_type(x.view(2, 3))"].endswith('tensor.Tensor"')
    assert found["reveal_type(x.split(1))"].endswith('tensor.Tensor, ..."') or (
        "tuple" in found["reveal_type(x.split(1))"]
    )
    assert found["reveal_type(torch.float32)"].endswith('dtypes.dtype"')
    errors = {line for line, text in found.items() if text.startswith("error")}
    assert errors == {
        "wrong: int = torch.add(x, 1)",
        'torch.relu("text")',
        "x.sum(dimm=1)",
    }


@pytest.mark.oracle
def test_absent_names_are_all_accounted_for():
    oracle = pytest.importorskip("torch")
    import dispatchtorch
    from dispatchtorch._docs import absent_names

    listed = {(space, n) for _, space, names in absent_names() for n in names}
    missing = set()
    for name in oracle.__all__:
        value = getattr(oracle, name, None)
        if not isinstance(value, type(sys)) and not hasattr(dispatchtorch, name):
            missing.add(("torch", name))
    for name in dir(oracle.Tensor):
        if not name.startswith("_") and not hasattr(dispatchtorch.Tensor, name):
            missing.add(("torch.Tensor", name))
    assert missing <= listed, sorted(missing - listed)

"""What the ``cuda`` device names of CuPy: read from its source, not from a run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PACKAGE", "calls", "chains"]

PACKAGE = Path(__file__).parents[3] / "backends/cupy/dispatchtorch_cupy"

# Names that stand for CuPy and its parts in the package's modules.
ROOTS = {
    "cupy": "cupy", "xp": "cupy", "self.cupy": "cupy", "self.xp": "cupy",
    "backend.cupy": "cupy", "_cuda": "cupy.cuda", "cuda": "cupy.cuda",
    "_runtime": "cupy.cuda.runtime", "_memory": "cupy.cuda.memory",
    "self._runtime": "cupy.cuda.runtime",
}  # fmt: skip
# A name that means something else in one module.
OTHER = {("linalg", "cuda"), ("memory", "runtime")}


def _words(node: ast.AST) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _full(words: str, module: str) -> str | None:
    """The dotted name in CuPy that an expression of a module means."""
    words = words.partition(".__version__")[0] if ".__version__" in words else words
    for root in sorted(ROOTS, key=len, reverse=True):
        if words.startswith(root + ".") and (module, root) not in OTHER:
            return ROOTS[root] + words[len(root) :]
    return None


def _trees() -> Iterator[tuple[str, str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        yield place, path.stem, ast.parse(path.read_text("utf-8"))


def chains() -> dict[str, str]:
    """Dotted names in CuPy -> a place where they are used."""
    found: dict[str, str] = {}
    for place, module, tree in _trees():
        inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                words = _words(node)
                full = None if words is None else _full(words, module)
                if full is not None:
                    found.setdefault(full, f"{place}:{node.lineno}")
            elif isinstance(node, ast.ImportFrom) and node.module:
                if node.module.split(".")[0] in ("cupy", "cupyx", "cupy_backends"):
                    for each in node.names:
                        name = f"{node.module}.{each.name}"
                        found.setdefault(name, f"{place}:{node.lineno}")
    return found


def calls() -> Iterator[tuple[str, int, list[str], str]]:
    """(dotted name in CuPy, number of positional arguments, keywords, place)."""
    for place, module, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                words = _words(node.func)
                full = None if words is None else _full(words, module)
                if full is not None:
                    starred = any(isinstance(a, ast.Starred) for a in node.args)
                    keywords = [k.arg for k in node.keywords if k.arg]
                    count = -1 if starred else len(node.args)
                    yield full, count, keywords, f"{place}:{node.lineno}"

"""``dispatchtorch new``: writes a plugin's package from a template."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

__all__ = ["KINDS", "new", "rendered"]

#: What can be made, and what to do with it next.
KINDS = {
    "backend": (
        "a device: an array class, three kernels, all else on the host",
        "dispatchtorch coverage --device {name}   # which kernels to write next",
    ),
    "layer": (
        "a dispatch layer, which sees every call of every operator",
        "dispatchtorch explain add   # the layers of a call",
    ),
    "operator-library": (
        "operators of your own, torch.ops.{namespace}.…",
        "python -c 'import dispatchtorch as torch; "
        "print(torch.ops.{namespace}.swish(torch.ones(3)))'",
    ),
}

#: Parts of paths that are stored under another name, so that tools let them alone.
_PLACES = {"src/package/": "src/@package@/", "github/": ".github/"}
TEMPLATES = Path(__file__).parents[1] / "_templates"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_DEVICE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def new(kind: str, name: str, into: str = ".") -> Path:
    """Writes the package of a plugin and says what to do next; returns its folder.

    Raises ValueError for a name that can't be used, FileExistsError for a folder that
    is there already.
    """
    files = rendered(kind, name)
    folder = Path(into) / _words(name)["distribution"]
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; nothing was written")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    what, then = (words.format(**_words(name)) for words in KINDS[kind])
    print(f"Wrote {folder}: {what}.\n")
    for path in sorted(files):
        print(f"  {path}")
    print(
        "\nNext:\n"
        f"  cd {folder}\n"
        "  pip install -e .\n"
        "  dispatchtorch doctor   # is it found, does it work?\n"
        "  pytest                 # its tests, on the conformance kit\n"
        f"  {then}\n"
        "README.md says the rest."
    )
    return folder


def rendered(kind: str, name: str) -> dict[str, str]:
    """The files of a plugin's package, by path: what ``new`` writes."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} isn't one of {', '.join(KINDS)}")
    _check(kind, name)
    words = _words(name)
    root = TEMPLATES / kind
    files = {}
    for path in sorted(root.rglob("*.template")):
        place = path.relative_to(root).as_posix().removesuffix(".template")
        for stored, shown in _PLACES.items():
            place = place.replace(stored, shown)
        text = path.read_text(encoding="utf-8")
        files[_filled(place, words)] = _filled(text, words)
    return files


def _check(kind: str, name: str) -> None:
    from dispatchtorch.plugins import BUILTIN

    wanted = _DEVICE if kind == "backend" else _NAME
    if not wanted.fullmatch(name):
        dashes = "" if kind == "backend" else " or dashes"
        raise ValueError(
            f"{name!r} can't be the name of a {kind}: use lower-case letters and digits, "
            f"in words joined by underscores{dashes}, a letter first"
        )
    if keyword.iskeyword(name.replace("-", "_")):
        raise ValueError(f"{name!r} is a keyword of Python")
    if name in BUILTIN or name in ("torch", "numpy", "aten", "prim"):
        raise ValueError(f"{name!r} is taken: it comes with dispatchtorch")


def _words(name: str) -> dict[str, str]:
    """What the templates' placeholders stand for."""
    namespace = name.replace("-", "_")
    return {
        "name": name,
        "namespace": namespace,
        "package": f"dispatchtorch_{namespace}",
        "distribution": f"dispatchtorch-{name.replace('_', '-')}",
        "Class": "".join(word.capitalize() for word in namespace.split("_")),
    }


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], text)

"""``torch.__version__`` as a value that compares as versions do, not as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["TorchVersion"]

_VERSION: Any = None  # the compiled pattern, made at the first comparison
_PATTERN = r"""
    v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)
    (?:[-_.]?(?P<stage>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<number>\d*))?
    (?:-(?P<implicit>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<after>\d*))?
    (?:[-_.]?(?P<dev>dev)[-_.]?(?P<step>\d*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
"""
_STAGES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_FIRST, _LAST = (0,), (2,)  # beside (1, …), which stands for something that is said


class TorchVersion(str):
    """A version that compares with text, and with a tuple of its parts.

    >>> TorchVersion("2.13.0") >= (2, 4)
    True
    >>> TorchVersion("1.10.0") > "1.9"
    True

    Text that is no version (PEP 440) is compared as text.
    """

    __slots__ = ()

    def _compared(self, other: Any, name: str) -> Any:
        plain = getattr(str, name)
        if isinstance(other, Iterable) and not isinstance(other, str):
            other = ".".join(str(part) for part in other)
        if not isinstance(other, str):
            return NotImplemented
        mine, theirs = _key(self), _key(other)
        if mine is None or theirs is None:
            return plain(self, other)
        return getattr(mine, name)(theirs)

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, "__lt__")

    def __le__(self, other: Any) -> Any:
        return self._compared(other, "__le__")

    def __gt__(self, other: Any) -> Any:
        return self._compared(other, "__gt__")

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, "__ge__")

    def __eq__(self, other: object) -> Any:
        return self._compared(other, "__eq__")

    def __ne__(self, other: object) -> Any:
        return self._compared(other, "__ne__")

    __hash__ = str.__hash__


def _key(text: str) -> tuple[Any, ...] | None:
    """What orders a version as PEP 440 has it; None for text that is none."""
    global _VERSION
    import re

    if _VERSION is None:
        _VERSION = re.compile(_PATTERN, re.VERBOSE)
    found = _VERSION.fullmatch(text.strip().lower())
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    post = found["implicit"] or (found["post"] and (found["after"] or "0"))
    dev = found["dev"] and int(found["step"] or 0)
    if found["stage"]:
        stage = _STAGES.get(found["stage"], found["stage"])
        before: tuple[Any, ...] = (1, stage, int(found["number"] or 0))
    else:  # a version under development comes before its first stage
        before = _FIRST if found["dev"] and post is None else _LAST
    local = found["local"]
    parts = re.split(r"[-_.]", local) if local else []
    return (
        int(found["epoch"] or 0),
        tuple(release),
        before,
        _FIRST if post is None else (1, int(post)),
        _LAST if dev is None else (1, dev),
        _FIRST
        if not local
        else (1, *((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)),
    )

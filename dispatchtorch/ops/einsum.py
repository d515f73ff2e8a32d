"""Einstein's notation: sums of products over named dims."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import numel_of

__all__: list[str] = []

# A label is a letter, or a negative int for a dim that "..." covers, counted from the
# end of what it covers.
_Labels = list[Any]


def _labels(text: str, where: str, start: int) -> _Labels:
    """The labels of one term of an equation, with None for the ellipsis."""
    made: _Labels = []
    i = 0
    while i < len(text):
        c = text[i]
        if c == " ":
            pass
        elif c == ".":
            if None in made:
                raise RuntimeError(
                    f"einsum(): found '.' for {where} for which an ellipsis was already "
                    "found"
                )
            if text[i : i + 3] != "...":
                raise RuntimeError(
                    f"einsum(): found '.' for {where} that is not part of any ellipsis"
                    + (" (...)" if where == "output" else "")
                )
            made.append(None)
            i += 2
        elif c.isascii() and c.isalpha():
            made.append(c)
        else:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + i} in the equation "
                "string, subscripts must be in [a-zA-Z]"
            )
        i += 1
    return made


def _inputs(left: str, operands: Any) -> list[_Labels]:
    terms = left.split(",")
    start = 0
    parsed: list[_Labels] = []
    for i, term in enumerate(terms):
        parsed.append(_labels(term, f"operand {i}", start))
        start += len(term) + 1
    if len(terms) != len(operands):
        word = "fewer" if len(terms) > len(operands) else "more"
        raise RuntimeError(
            f"einsum(): {word} operands were provided than specified in the equation"
        )
    made: list[_Labels] = []
    for i, (labels, t) in enumerate(zip(parsed, operands, strict=True)):
        count = sum(n is not None for n in labels)
        extra = t.ndim - count
        if None not in labels and extra:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({count}) does not "
                f"match the number of dimensions ({t.ndim}) for operand {i} and no "
                "ellipsis was given"
            )
        if extra < 0:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({count}) is more "
                f"than the number of dimensions ({t.ndim}) for operand {i}"
            )
        full: _Labels = []
        for n in labels:
            full += [n] if n is not None else range(-extra, 0)
        made.append(full)
    return made


def _output(right: str | None, start: int, inputs: list[_Labels]) -> _Labels:
    wide = max((-n for term in inputs for n in term if type(n) is int), default=0)
    covered = list(range(-wide, 0))
    if right is None:
        letters = [n for term in inputs for n in term if type(n) is str]
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        return [*covered, *once]
    made: _Labels = []
    for n in _labels(right, "output", start):
        if n is None:
            made += covered
            continue
        if n in made:
            raise RuntimeError(
                f"einsum(): output subscript {n} appears more than once in the output"
            )
        if all(n not in term for term in inputs):
            raise RuntimeError(
                f"einsum(): output subscript {n} does not appear in the equation for any "
                "input operand"
            )
        made.append(n)
    return made


def _diagonals(t: Any, labels: _Labels, operand: int) -> tuple[Any, _Labels]:
    """Repeated labels of one operand become its diagonal, in the first one's place."""
    i = 0
    while i < len(labels):
        if labels[i] in labels[:i]:
            first = labels.index(labels[i])
            m, n = t._shape[first], t._shape[i]
            if m != n:
                raise RuntimeError(
                    f"einsum(): subscript {labels[i]} is repeated for operand {operand} "
                    f"but the sizes don't match, {n} != {m}"
                )
            t = t.diagonal(0, first, i).movedim(-1, first)
            labels = labels[:i] + labels[i + 1 :]
        else:
            i += 1
    return t, labels


def _check_sizes(operands: Any, inputs: list[_Labels]) -> None:
    sizes: dict[Any, int] = {}
    for i, (t, labels) in enumerate(zip(operands, inputs, strict=True)):
        for n, size in zip(labels, t._shape, strict=True):
            known = sizes.get(n, 1)
            if known != 1 and size not in (1, known):
                if type(n) is int:
                    wide = max(-m for term in inputs for m in term if type(m) is int)
                    raise RuntimeError(
                        f"einsum(): dimension {wide + n} covered by ellipsis in operand "
                        f"{i}has size {size} which does not broadcast with previously "
                        f"seen ellipsis with size {known} for the respective dimension"
                    )
                raise RuntimeError(
                    f"einsum(): subscript {n} has size {size} for operand {i} which does "
                    f"not broadcast with previously seen size {known}"
                )
            sizes[n] = size if known == 1 else known


def _contract(x: Any, y: Any, dims: list[int]) -> Any:
    """The product of two operands of the same dims, summed over ``dims`` (kept as 1)."""
    ndim = x.ndim
    if not dims:
        return x * y
    summed = []
    for d in dims:
        m, n = x._shape[d], y._shape[d]
        if (m > 1 and n > 1) or (m == n and m != 1):
            summed.append(d)
        elif m != 1:
            x = x.sum(d, keepdim=True)
        elif n != 1:
            y = y.sum(d, keepdim=True)
    if not summed:
        return x * y
    a, b = x._shape, y._shape
    rest = [d for d in range(ndim) if d not in summed]
    both = [d for d in rest if a[d] != 1 and b[d] != 1]
    rows = [d for d in rest if a[d] != 1 and b[d] == 1]
    columns = [d for d in rest if a[d] == 1]
    if rows and columns and columns[-1] < rows[0]:
        # The other way round the result comes out in order.
        return _contract(y, x, dims)

    def size(shape: tuple[int, ...], places: list[int]) -> int:
        return numel_of([shape[d] for d in places])

    left = x.permute([*both, *rows, *summed, *columns]).reshape(
        (size(a, both), size(a, rows), size(a, summed))
    )
    right = y.permute([*both, *summed, *columns, *rows]).reshape(
        (size(b, both), size(b, summed), size(b, columns))
    )
    order = [*both, *rows, *columns, *summed]
    shape = [*[a[d] for d in [*both, *rows]], *[b[d] for d in columns]]
    made = left.bmm(right).reshape([*shape, *[1] * len(summed)])
    return made.permute([order.index(d) for d in range(ndim)])


@operator(
    "_einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
    variants="private",
)
def _einsum(equation, tensors, *, path):
    """Sums of products in Einstein's notation, one pair of operands at a time."""
    left, arrow, right = equation.partition("->")
    inputs = _inputs(left, tensors)
    output = _output(right if arrow else None, len(left) + 2, inputs)
    pairs = [
        _diagonals(t, labels, i)
        for i, (t, labels) in enumerate(zip(tensors, inputs, strict=True))
    ]
    _check_sizes([t for t, _ in pairs], [labels for _, labels in pairs])
    every = dict.fromkeys(n for _, labels in pairs for n in labels)
    order = [*output, *(n for n in every if n not in output)]
    kept = len(output)
    work = []
    for t, labels in pairs:
        # All operands get all dims, in the same order; what they lack has size 1.
        t = t.permute([labels.index(n) for n in order if n in labels])
        for d, n in enumerate(order):
            if n not in labels:
                t = t.unsqueeze(d)
        work.append(t)
    if len(work) == 1:
        gone = list(range(kept, len(order)))
        return work[0].sum(gone) if gone else work[0]
    steps = list(path) if path else []
    while len(work) > 1:
        i, j = (steps.pop(0), steps.pop(0)) if steps else (0, 1)
        x, y = work[i], work[j]
        work = [t for k, t in enumerate(work) if k not in (i, j)]
        dims = [
            d
            for d in range(kept, len(order))
            if (x._shape[d] != 1 or y._shape[d] != 1)
            and all(t._shape[d] == 1 for t in work)
        ]
        made = _contract(x, y, dims)
        if steps:
            work.append(made)
        else:
            work.insert(0, made)
    made = work[0]
    return made.reshape(made._shape[:kept]) if len(order) > kept else made

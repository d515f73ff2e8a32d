"""Reading and writing by index: the operators, and Python's brackets."""

from __future__ import annotations

from math import prod
from random import Random

import pytest

from .scripts import agree

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

BY_INDEX = (
    "t.gather(x,0,L([0]))",
    "t.gather(x,2,L([[0]]))",
    "t.gather(x,0,L([[0.]]))",
    "t.gather(x,0,t.zeros(4,6,dtype=t.long))",
    "t.gather(x,0,t.zeros(4,2,dtype=t.uint8))",
    "t.gather(x,0,L([[7]]))",
    "t.gather(x,1,L([[-1]]))",
    "t.gather(L(3.),0,L([0,0]))",
    "t.gather(L([3.,4]),0,L(1))",
    "t.gather(x,0,t.zeros(2,0,0,dtype=t.long))",
    "t.gather(x,0,t.zeros(0,dtype=t.float))",
    "t.gather(x,0,t.zeros(1,1,dtype=t.int32))",
    "x.scatter(0,L([[0]]),L([[1.,2]]).double())",
    "x.scatter(0,L([[0.]]),x)",
    "x.scatter(0,L([0]),x)",
    "x.scatter(0,L([[9]]),x)",
    "x.scatter(0,L([[-1]]),x)",
    "x.scatter(0,t.zeros(4,5,dtype=t.long),x)",
    "x.scatter(0,t.zeros(2,6,dtype=t.long),t.zeros(3,7))",
    "x.scatter(0,t.zeros(2,6,dtype=t.long),1.)",
    "x.scatter(0,L([[0]]),1j)",
    "x.scatter(0,L([[0]]),2.,reduce='multiply')",
    "x.long().scatter(0,L([[0]]),2.7)",
    "x.scatter_add(0,L([[0.]]),x)",
    "x.scatter_add(0,L([[0]]),x.double())",
    "x.scatter_add(0,L([0]),x)",
    "x.scatter_add(0,t.zeros(4,5,dtype=t.long),x)",
    "x.scatter_reduce(0,L([[0.]]),x,'sum')",
    "x.scatter_reduce(0,L([[0]]),x.double(),'sum')",
    "x.scatter_reduce(0,L([0]),x,'amax')",
    "x.scatter_reduce(5,L([[0]]),x,'amax')",
    "x.clone().requires_grad_().scatter_reduce(0,L([[0]]),x,'sum')",
    "x.clone().requires_grad_().scatter_reduce(0,L([[0]]),x,'prod')",
    "x.index_select(0,L([[0]]))",
    "x.index_select(0,L([0.]))",
    "x.index_select(0,L([9]))",
    "x.index_select(0,L([-1]))",
    "x.index_select(1,L([9]))",
    "x.index_select(3,L([0]))",
    "x.index_select(0,L(1))",
    "L(3.).index_select(0,L([0,0]))",
    "L(3.).index_select(0,L(0))",
    "x.index_select(0,L([True]))",
    "x.index_add(0,L([0]),x)",
    "x.index_add(0,L([0]),x[:1].double())",
    "x.index_add(0,L([[0]]),x[:1])",
    "x.index_add(0,L([0.]),x[:1])",
    "x.index_add(0,L([9]),x[:1])",
    "x.index_add(0,L([-1]),x[:1])",
    "x.index_add(0,L([0]),x[:1,:2])",
    "x.index_add(0,L([0]),x[:1],alpha=1j)",
    "x.long().index_add(0,L([0]),x[:1].long(),alpha=1.5)",
    "x.index_add(4,L([0]),x[:1])",
    "L(3.).index_add(0,L([0]),L([1.]))",
    "L(3.).index_add(0,L([0,0]),L([1.,2]))",
    "L(3.).index_add(0,L(0),L(1.))",
    "L(3.).index_add(0,L([2]),L(1.))",
    "x.index_copy(0,L([0]),x)",
    "x.index_copy(0,L([0]),x[:1].double())",
    "x.index_copy(0,L([[0]]),x[:1])",
    "x.index_copy(0,L([0.]),x[:1])",
    "x.index_copy(0,L([9]),x[:1])",
    "x.index_copy(0,L([-1]),x[:1])",
    "x.index_copy(0,L([0]),x[:1,:2])",
    "x.index_copy(0,L([0],dtype=t.int32),x[:1])",
    "L(3.).index_copy(0,L([0]),L([1.]))",
    "L(3.).index_copy(0,L([0,0]),L([1.,2]))",
    "x.index_fill(0,L([9]),1.)",
    "x.index_fill(0,L([-1]),1.)",
    "x.index_fill(0,L([-9]),1.)",
    "x.index_fill(0,L([[0]]),1.)",
    "x.index_fill(0,L([0.]),1.)",
    "x.index_fill(0,L([0],dtype=t.int32),1.)",
    "x.index_fill(0,L([0]),1j)",
    "x.index_fill(0,L([0]),L([1.,2]))",
    "x.index_fill(0,L([0]),L(1j))",
    "x.index_fill(5,L([0]),L(1.))",
    "L(3.).index_fill(0,L([0]),1.)",
    "L(3.).index_fill(0,L([3]),1.)",
    "x.index_reduce(0,L([0.]),x[:1],'prod')",
    "x.index_reduce(0,L([[0]]),x[:1],'prod')",
    "x.index_reduce(0,L([0]),x[:1].double(),'prod')",
    "x.index_reduce(0,L([0,1]),x[:1],'prod')",
    "x.index_reduce(0,L([9]),x[:1],'prod')",
    "x.index_reduce(0,L([-1]),x[:1],'prod')",
    "x.index_reduce(0,L([0]),x[:1,:2],'prod')",
    "x.clone().requires_grad_().index_reduce(0,L([0]),x[:1],'prod')",
    "L(3.).index_reduce(0,L([0]),L(2.),'prod')",
    "x.take(L([-1,14]))",
    "x.take(L([-16]))",
    "x.take(L([15]))",
    "x.take(L([1.]))",
    "x.take(L([1],dtype=t.int32))",
    "t.zeros(0).take(L([0]))",
    "x.put(L([-1,1]),L([1.,2]))",
    "x.put(L([-1,1]),L([1.]))",
    "x.put(L([-1]),L([1.]).double())",
    "x.put(L([99]),L([1.]))",
    "x.put(L([1.]),L([1.]))",
    "t.take_along_dim(x,L([[-1]]),0)",
    "t.take_along_dim(x,L([[5]]),0)",
    "t.take_along_dim(x,L([0]),0)",
    "t.take_along_dim(x,L([[0.]]),0)",
    "t.take_along_dim(x,L([[0]],dtype=t.int32),0)",
    "t.take_along_dim(x,L([20]))",
    "t.take_along_dim(x,L([-1]))",
    "t.take_along_dim(x,L([[0,1]]),3)",
    "x.masked_fill(L([1,0,1,0,1]),1)",
    "x.masked_fill(L([True,False]),1)",
    "x.masked_fill(L([[[True]]]),1)",
    "x.clone().masked_fill_(L([[[True]]]),1)",
    "x.masked_fill(L(True),L([1.]))",
    "x.masked_fill(L(True),L(1,dtype=t.float64))",
    "x.masked_fill(L(True),L(1j))",
    "x.long().masked_fill(L(True),1.5)",
    "x.long().masked_fill(L(True),L(1.5))",
    "x.byte().masked_fill(L(True),300)",
    "x.byte().masked_fill(L(True),-1)",
    "x.bool().masked_fill(L(True),3)",
    "x.masked_select(L([1]))",
    "x.masked_select(L([True,False]))",
    "x.masked_select(L([True,False,True,False,True]))",
    "x.masked_scatter(L([True,False,True,False,True]),L([1.,2,3,4,5,6]))",
    "x.masked_scatter(L([True,False,True,False,True]),L([1.,2,3]))",
    "x.masked_scatter(L([1,0,1,0,1]),x)",
    "x.masked_scatter(L([True,False,True,False,True]),x.double())",
    "x.masked_scatter(L([True,False]),x)",
    "x.masked_scatter(L([[[True]]]),x)",
)


@pytest.mark.parametrize("line", BY_INDEX)
def test_by_index_as_pytorch(line: str) -> None:
    agree(line)


BRACKETS = (
    "x[0].__setitem__(0,1j)",
    "x.byte().__setitem__(0,300)",
    "x.byte().__setitem__((L([0]),),300)",
    "x.byte().__setitem__(0,-1)",
    "x[1]",
    "x[-1]",
    "x[3]",
    "x[0, 5]",
    "x[0, 0, 0]",
    "x[:]",
    "x[1:]",
    "x[::2]",
    "x[::-1]",
    "x[::0]",
    "x[..., 0]",
    "x[None, 0]",
    "x[:, None]",
    "x[True]",
    "x[False]",
    "x[()]",
    "x[L([0, 1])]",
    "x[L([[0], [2]])]",
    "x[:, L([0, -1])]",
    "x[L([0, 1]), L([2, 3])]",
    "x[L([0, 1]), :, None]",
    "y[L([0, 1]), :, L([2, 3])]",
    "y[:, L([0, 1]), L([2, 3])]",
    "y.permute(2, 0, 1)[L([0, 1])]",
    "x[x > 3]",
    "x[L([True, False, True])]",
    "x[L([True, False])]",
    "x[L([0, 3])]",
    "x[L([0.5])]",
    "x[[0, 1]]",
    "x[[[0, 1], [1, 0]]]",
    "x[[True, False, True]]",
    "x[np.array([0, 1])]",
    "x[np.array([True, False, True])]",
    "x[1.5]",
    'x["a"]',
    "x[{}]",
    "x[2**70]",
    "x[L(1) : L(2)]",
    "L(1.0)[0]",
    "L(1.0)[...]",
    "L(1.0)[None]",
    "L(1.0)[:]",
    "L(1.0)[L(True)]",
    "x[0] = 7; x",
    "x[:, 1] = L([1.0, 2, 3]); x",
    "x[0] = L([1.0, 2]); x",
    "x[0] = 1j; x",
    "x[0] = None; x",
    "x[0] = [1, 2]; x",
    "x[L([0, 2])] = 5; x",
    "x[L([0, 2])] = L(5); x",
    "x[x > 3] = 0; x",
    "x[x > 3] = L([1]); x",
    "x[L([0, 0]), L([1, 1])] = L([3.0, 3.0]); x",
    "x[L([0, 9])] = 5",
    "x[False] = 1; (x, x._version)",
    "x[...] = t.ones(1, 1, 5); x",
    "x[1:1] = 3; x",
    "x.byte()[0] = 300",
)


@pytest.mark.parametrize("line", BRACKETS)
def test_brackets_as_pytorch(line: str) -> None:
    agree(line)


def _program(seed: int) -> tuple[tuple[int, ...], list[int], str]:
    """A random shape, an order of its dims, and an index, as text."""
    random = Random(seed)
    shape = tuple(random.choice([1, 2, 3, 4]) for _ in range(random.randint(1, 4)))
    order = list(range(len(shape)))
    if random.random() < 0.4:
        random.shuffle(order)
    parts: list[str] = []
    used = 0
    while used < len(shape) and random.random() < 0.8:
        size = shape[order[used]]
        kind = random.choice("int slice slice none list tensor mask grid".split())
        if kind == "none":
            parts.append("None")
            continue
        a, b = random.randint(-size, size - 1), random.randint(-size, size - 1)
        parts.append(
            {
                "int": f"{a}",
                "slice": f"{a}:{random.choice(['', '', b])}:{random.randint(1, 3)}",
                "list": f"[{a}, {b}]",
                "tensor": f"L([{a}, {b}])",
                "mask": f"t.arange({size}) % 2 == 0",
                "grid": f"L([[{a}], [{b}]])",
            }[kind]
        )
        used += 1
    return shape, order, ", ".join(parts) or "..."


@pytest.mark.parametrize("seed", range(80))
def test_random_reads_and_writes_as_pytorch(seed: int) -> None:
    shape, order, index = _program(seed)
    count = prod(shape)
    start = (
        f"a = t.arange({count}.0).reshape({shape}).clone().requires_grad_(); "
        f"v = (a * 1).permute({order})"
    )
    agree(f"{start}; v[{index}]")
    agree(f"{start}; r = v[{index}]; r.pow(2).sum().backward(); a.grad")
    agree(f"{start}; v[{index}] = 7; v.pow(2).sum().backward(); (a.grad, v)")
    agree(f"{start}; v[{index}] *= 2; v.pow(2).sum().backward(); (a.grad, v)")


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin", "none"])
@pytest.mark.parametrize(
    "kind", ["complex64", "complex128", "bool", "int64", "float16"]
)
def test_reductions_of_every_dtype_as_pytorch(
    kind: str, reduce: str, include_self: bool
) -> None:
    for name in ("scatter_reduce", "index_reduce"):
        agree(
            f"a = L([0, 0, 1]).to(t.{kind}); b = L([1, 2, 4]).to(t.{kind}); "
            f"a.{name}(0, L([0, 1, 1]), b, '{reduce}', include_self={include_self})"
        )

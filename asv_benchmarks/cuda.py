"""Benchmarks of the device ``cuda`` beside PyTorch's eager mode on the same GPU.

    python -m asv_benchmarks.cuda CASE

prints the rows of a case as JSON: least times of both libraries, which take turns. Where
PyTorch has no CUDA, or isn't there, the rows have ours alone. ``tools/cuda_report.py``
runs all cases, each in a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["CASES"]


def libraries() -> list[tuple[str, Any]]:
    import dispatchtorch

    found: list[tuple[str, Any]] = [("ours", dispatchtorch)]
    try:
        import torch

        if torch.cuda.is_available():
            found.append(("theirs", torch))
    except Exception as error:
        print(f"no PyTorch beside: {error}")
    return found


def seconds(torch: Any, run: Callable[[], Any], least: float = 0.2) -> float:
    """The time of one call, of as many as take ``least`` seconds."""
    torch.cuda.synchronize()
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            run()
        torch.cuda.synchronize()
        spent = time.perf_counter() - start
        if spent >= least or count >= 1 << 16:
            return spent / count
        count = max(count * 2, int(count * least / max(spent, 1e-9)) + 1)


def compared(
    cases: dict[str, Callable[[Any], Callable[[], Any]]], rounds: int = 4
) -> list[dict[str, Any]]:
    """Rows of the least times of both libraries, which take turns."""
    rows = []
    for name, make in cases.items():
        row: dict[str, Any] = {"case": name, "unit": "ms"}
        ready = []
        for label, torch in libraries():
            try:
                run = make(torch)
                run()
                run()
                torch.cuda.synchronize()
                ready.append((label, torch, run))
            except Exception as error:
                words = f"{label}: {type(error).__name__}: {error}"
                if label == "ours":
                    row["error"] = words[-600:]
                else:
                    row["note"] = words[-200:]
        for _ in range(rounds):
            for label, torch, run in ready:
                spent = 1e3 * seconds(torch, run)
                row[label] = min(spent, row.get(label, spent))
        rows.append(row)
    return rows


def case_tiny() -> list[dict[str, Any]]:
    """Four elements: what a call costs before the device has anything to do."""

    def of(make: Callable[[Any, Any, Any], Callable[[], Any]]) -> Any:
        def prepare(torch: Any) -> Callable[[], Any]:
            x = torch.ones(4, device="cuda")
            return make(torch, x, torch.full((4,), 2.0, device="cuda"))

        return prepare

    def backward(torch: Any, x: Any, y: Any) -> Callable[[], Any]:
        x.requires_grad_()
        return lambda: (x * y).sum().backward()

    rows = compared(
        {
            "a + b": of(lambda torch, x, y: lambda: x + y),
            "a * 2": of(lambda torch, x, y: lambda: x * 2),
            "a.exp()": of(lambda torch, x, y: x.exp),
            "a.add_(b)": of(lambda torch, x, y: lambda: x.add_(y)),
            "a.sum()": of(lambda torch, x, y: x.sum),
            "a[1:3]": of(lambda torch, x, y: lambda: x[1:3]),
            "torch.empty(4)": of(
                lambda torch, x, y: lambda: torch.empty(4, device="cuda")
            ),
            "matmul 4x4": of(
                lambda torch, x, y: (lambda m: lambda: m @ m)(x.expand(4, 4).clone())
            ),
            "(a * b).sum().backward()": of(backward),
        }
    )
    for row in rows:
        for key in ("ours", "theirs"):
            if key in row:
                row[key] *= 1e3
        row["unit"] = "us"
    return [*rows, *floors()]


def floors() -> list[dict[str, Any]]:
    """What CuPy alone takes for the same."""
    import cupy

    x, y = cupy.ones(4, "f4"), cupy.ones(4, "f4")
    kernel = cupy.RawKernel(
        'extern "C" __global__ void k(float* o, const float* a, const float* b) '
        "{ o[threadIdx.x] = a[threadIdx.x] + b[threadIdx.x]; }", "k"
    )  # fmt: skip
    out = cupy.empty(4, "f4")
    args = (out, x, y)
    found = {
        "floor: cupy.add": lambda: cupy.add(x, y),
        "floor: cupy.empty": lambda: cupy.empty(4, "f4"),
        "floor: RawKernel launch": lambda: kernel((1,), (4,), args),
        "floor: RawKernel.kernel launch": lambda: kernel.kernel((1,), (4,), args),
    }
    rows = []
    for name, run in found.items():
        run()
        cupy.cuda.runtime.deviceSynchronize()
        start = time.perf_counter()
        for _ in range(20000):
            run()
        cupy.cuda.runtime.deviceSynchronize()
        spent = (time.perf_counter() - start) / 20000
        rows.append({"case": name, "unit": "us", "ours": 1e6 * spent})
    return rows


def case_bandwidth() -> list[dict[str, Any]]:
    """Pointwise on 64M floats, as a part of a plain copy's bandwidth."""
    n = 1 << 26

    def of(make: Callable[[Any, Any, Any], Callable[[], Any]]) -> Any:
        def prepare(torch: Any) -> Callable[[], Any]:
            x = torch.ones(n, device="cuda")
            return make(torch, x, torch.ones(n, device="cuda"))

        return prepare

    rows = compared(
        {
            "copy_ of 64M floats": of(lambda torch, x, y: lambda: x.copy_(y)),
            "a + b, 64M floats": of(lambda torch, x, y: lambda: x + y),
            "a.add_(b), 64M floats": of(lambda torch, x, y: lambda: x.add_(y)),
            "relu, 64M floats": of(lambda torch, x, y: lambda: x.relu()),
            "gelu, 64M floats": of(
                lambda torch, x, y: lambda: torch.nn.functional.gelu(x)
            ),
            "a.sum(), 64M floats": of(lambda torch, x, y: lambda: x.sum()),
            "a.to(bfloat16), 64M": of(lambda torch, x, y: lambda: x.to(torch.bfloat16)),
        }
    )
    moved = (8, 12, 12, 8, 8, 4, 6)
    copy = None
    for row, count in zip(rows, moved, strict=True):
        if "ours" in row:
            rate = count * n / (row["ours"] * 1e-3) / 1e9
            copy = rate if copy is None else copy
            row["note"] = f"{rate:.0f} GB/s, {100 * rate / copy:.0f} % of copy_"
    return rows


def case_matmul() -> list[dict[str, Any]]:
    def of(kind: str, n: int) -> Any:
        def prepare(torch: Any) -> Callable[[], Any]:
            dtype = getattr(torch, kind)
            x = torch.randn(n, n, device="cuda").to(dtype)
            y = torch.randn(n, n, device="cuda").to(dtype)
            return lambda: x @ y

        return prepare

    def batched(torch: Any) -> Callable[[], Any]:
        x = torch.randn(96, 1024, 64, device="cuda", dtype=torch.bfloat16)
        return lambda: x @ x.transpose(1, 2)

    def linear(torch: Any) -> Callable[[], Any]:
        layer = torch.nn.Linear(4096, 4096).to("cuda", torch.bfloat16)
        x = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
        return lambda: layer(x)

    rows = compared(
        {
            "matmul 8192 bfloat16": of("bfloat16", 8192),
            "matmul 8192 float32": of("float32", 8192),
            "matmul 1024 float32": of("float32", 1024),
            "bmm 96 x 1024 x 64, transposed, bfloat16": batched,
            "Linear 4096, bfloat16": linear,
        },
        3,
    )
    for row in rows[:2]:
        if "ours" in row:
            row["note"] = f"{2 * 8192**3 / row['ours'] / 1e9:.0f} TFLOP/s"
    return rows


def case_rows() -> list[dict[str, Any]]:
    def of(make: Callable[[Any, Any], Callable[[], Any]]) -> Any:
        return lambda torch: make(torch, torch.randn(8192, 4096, device="cuda"))

    def backward(torch: Any, x: Any) -> Callable[[], Any]:
        layer = torch.nn.LayerNorm(4096).to("cuda")
        x.requires_grad_()
        return lambda: layer(x).sum().backward()

    def entropy(torch: Any, x: Any) -> Callable[[], Any]:
        labels = torch.zeros(8192, dtype=torch.int64, device="cuda")
        return lambda: torch.nn.functional.cross_entropy(x, labels)

    return compared(
        {
            "softmax 8192 x 4096": of(lambda torch, x: lambda: x.softmax(-1)),
            "log_softmax 8192 x 4096": of(lambda torch, x: lambda: x.log_softmax(-1)),
            "layer_norm 8192 x 4096": of(
                lambda torch, x: (lambda layer: lambda: layer(x))(
                    torch.nn.LayerNorm(4096).to("cuda")
                )
            ),
            "layer_norm with backward": of(backward),
            "cross_entropy 8192 x 4096": of(entropy),
            "sum over rows": of(lambda torch, x: lambda: x.sum(0)),
            "dropout 8192 x 4096": of(
                lambda torch, x: lambda: torch.nn.functional.dropout(x, 0.1)
            ),
            "index_select, 8192 rows": of(
                lambda torch, x: (lambda at: lambda: x.index_select(0, at))(
                    torch.arange(8191, -1, -1, device="cuda")
                )
            ),
            "sort 8192 x 4096": of(lambda torch, x: lambda: x.sort(-1)),
        },
        3,
    )


def resnet50(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, inner: int, width: int, stride: int) -> None:
            super().__init__()
            out = 4 * width
            self.body = nn.Sequential(
                nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width),
                nn.ReLU(), nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out),
            )  # fmt: skip
            self.side = None
            if stride != 1 or inner != out:
                self.side = nn.Sequential(
                    nn.Conv2d(inner, out, 1, stride, bias=False), nn.BatchNorm2d(out)
                )
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            other = x if self.side is None else self.side(x)
            return self.relu(self.body(x) + other)

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
              nn.MaxPool2d(3, 2, 1)]  # fmt: skip
    inner = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            layers.append(Block(inner, width, stride if k == 0 else 1))
            inner = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)]
    return nn.Sequential(*layers)


def gpt2(torch: Any, vocabulary: int = 50304, length: int = 1024) -> Any:
    nn, functional = torch.nn, torch.nn.functional
    width, heads = 768, 12

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = (
                nn.Linear(width, 4 * width),
                nn.Linear(4 * width, width),
            )

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = self.qkv(self.first(x)).split(width, 2)
            q, k, v = (
                z.reshape(n, t, heads, width // heads).transpose(1, 2)
                for z in (q, k, v)
            )
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(n, t, width))
            return x + self.down(functional.gelu(self.up(self.second(x))))

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(vocabulary, width)
            self.places = nn.Embedding(length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(12)])
            self.last = nn.LayerNorm(width)

        def forward(self, tokens: Any, targets: Any) -> Any:
            at = torch.arange(tokens.shape[1], device=tokens.device)
            x = self.blocks(self.words(tokens) + self.places(at))
            logits = functional.linear(self.last(x), self.words.weight)
            return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return Model()


def training(torch: Any, model: Any, loss: Callable[[], Any]) -> Callable[[], Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        loss().backward()
        optimizer.step()

    step()
    return step


def graphed(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    # The graph works on the memory of what the step holds: the optimizer's state, too.
    return lambda kept=step: graph.replay()  # type: ignore[misc]


def case_resnet() -> list[dict[str, Any]]:
    def prepare(torch: Any) -> Callable[[], Any]:
        model = resnet50(torch).to("cuda")
        x = torch.randn(64, 3, 224, 224, device="cuda")
        labels = torch.zeros(64, dtype=torch.int64, device="cuda")
        loss = torch.nn.CrossEntropyLoss()
        return training(torch, model, lambda: loss(model(x), labels))

    return compared({"ResNet-50 step, batch 64, float32": prepare}, 3)


def _gpt(torch: Any) -> Callable[[], Any]:
    model = gpt2(torch).to("cuda", torch.bfloat16)
    tokens = torch.randint(0, 50257, (8, 1024), device="cuda")
    return training(torch, model, lambda: model(tokens, tokens))


def case_gpt() -> list[dict[str, Any]]:
    return compared({"GPT-2 small step, 8 x 1024, bfloat16": _gpt}, 3)


def case_graphs() -> list[dict[str, Any]]:
    def network(torch: Any) -> Callable[[], Any]:
        layers = [torch.nn.Linear(256, 256) for _ in range(20)]
        model = torch.nn.Sequential(*layers).to("cuda")
        x = torch.randn(64, 256, device="cuda")
        return graphed(torch, training(torch, model, lambda: model(x).square().mean()))

    return compared(
        {
            "graph: step of 20 Linear(256)": network,
            "graph: GPT-2 small step": lambda torch: graphed(torch, _gpt(torch)),
        },
        3,
    )


def case_transfers() -> list[dict[str, Any]]:
    n = 1 << 24

    def plain(torch: Any) -> Callable[[], Any]:
        x = torch.ones(n)
        return lambda: x.to("cuda")

    def pinned(torch: Any) -> Callable[[], Any]:
        x = torch.ones(n).pin_memory()
        return lambda: x.to("cuda", non_blocking=True)

    def back(torch: Any) -> Callable[[], Any]:
        x = torch.ones(n, device="cuda")
        return lambda: x.cpu()

    return compared(
        {"64 MiB to the device": plain, "64 MiB, pinned": pinned, "64 MiB back": back},
        3,
    )


CASES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "tiny": case_tiny,
    "bandwidth": case_bandwidth,
    "matmul": case_matmul,
    "rows": case_rows,
    "gpt": case_gpt,
    "resnet": case_resnet,
    "graphs": case_graphs,
    "transfers": case_transfers,
}


if __name__ == "__main__":
    print("\n" + json.dumps(CASES[sys.argv[1]]()))

"""A recurrent cell written out, with a Python loop over time."""

import torch

torch.manual_seed(0)
T, B, I, H = 12, 4, 3, 8
x = torch.randn(T, B, I)
Wh = (torch.randn(I, H) * 0.3).requires_grad_()
Uh = (torch.randn(H, H) * 0.3).requires_grad_()
bh = torch.zeros(H, requires_grad=True)


def run(x):
    h = torch.zeros(x.size(1), H)
    states = []
    for t in range(x.size(0)):
        h = torch.tanh(x[t] @ Wh + h @ Uh + bh)
        states.append(h)
    return torch.stack(states)


target = x.cumsum(0).sum(-1)
for step in range(30):
    out = run(x).sum(-1)
    loss = ((out - target) ** 2).mean()
    grads = torch.autograd.grad(loss, [Wh, Uh, bh])
    with torch.no_grad():
        for p, g in zip([Wh, Uh, bh], grads):
            p -= 0.005 * g
    if step % 10 == 0 or step == 29:
        print(f"step {step:2d}  loss {loss.item():.4f}")

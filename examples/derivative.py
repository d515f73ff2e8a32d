"""The derivative of x**2 + 2*x at 3."""

import torch

x = torch.tensor(3.0, requires_grad=True)
y = x**2 + 2 * x
y.backward()
print("y =", y.item(), " dy/dx =", x.grad.item())
assert x.grad == 8.0

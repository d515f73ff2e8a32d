"""A tensor and a NumPy array over the same memory."""

import numpy as np
import torch

x = np.ones(5)
y = torch.from_numpy(x)
np.add(x, 1, out=x)
print(x)
print(y)
y.mul_(10)
print(x)

"""Moves a tensor to CUDA where there is one, and shows the error where there is none."""

import torch

x = torch.arange(3.0)
if torch.cuda.is_available():
    print(x.to("cuda") * 2)
else:
    try:
        x.to("cuda")
    except Exception as error:
        print("no CUDA device here:", str(error).splitlines()[0])
    print(x * 2)

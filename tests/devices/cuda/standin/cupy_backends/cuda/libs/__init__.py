"""cuBLAS, run by NumPy."""

from cupy_standin import Cublas

cublas = Cublas()

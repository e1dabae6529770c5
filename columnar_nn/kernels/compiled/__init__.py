"""Kernels in numba: imported only when the cache lacks one. Each factory makes one function."""

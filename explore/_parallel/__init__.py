"""Threads for compiled kernels, and a folder for what Numba compiles."""

from explore._parallel import numba_cache

numba_cache.ensure()

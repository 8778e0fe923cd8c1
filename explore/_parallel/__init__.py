"""How compiled kernels share work among threads. ``README.md`` in this folder says why.

Importing it gives Numba a folder for compiled code, which it needs before the first kernel.
"""

from explore._parallel import numba_cache

numba_cache.ensure()

"""Blocks of a network computed by compiled kernels, when nothing observes what is inside them."""

import explore._parallel  # noqa: F401  (Numba needs a folder for compiled code before the first kernel)

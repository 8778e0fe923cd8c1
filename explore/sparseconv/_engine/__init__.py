"""The bitmap engine: a compiled sparse convolution."""

import explore._parallel  # noqa: F401  (Numba needs a folder for compiled code before the first kernel)

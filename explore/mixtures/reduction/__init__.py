"""Mixture reduction: ten methods, each a sequence of stages."""

import explore._parallel  # noqa: F401  (Numba needs a folder for compiled code before the first kernel)

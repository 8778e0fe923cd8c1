"""Compiled encoders and products of the formats."""

import explore._parallel  # noqa: F401  (Numba needs a folder for compiled code before the first kernel)

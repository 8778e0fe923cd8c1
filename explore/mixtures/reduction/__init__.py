"""Mixture reduction: ten methods, stage by stage."""

import explore._parallel  # noqa: F401  (Numba needs a folder for compiled code before the first kernel)

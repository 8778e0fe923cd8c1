"""The check of sparse convolutions for ``explore doctor``."""

from __future__ import annotations


def check() -> str:
    """Compare the bitmap engine with torch; return one line, which says whose threads it uses.

    Raises:
        ArithmeticError: the two differ.
    """
    import torch

    from explore._parallel.policy import kernel_threads
    from explore._parallel.work_sharing import helper_threads
    from explore.sparseconv import prepare

    # Large enough for several threads.
    weight, x = torch.randn(32, 32, 3, 3), torch.randn(1, 32, 56, 56).relu_()
    dense, sparse = (
        torch.conv2d(x, weight, padding=1),
        prepare(weight, padding=1, method="bitmap")(x),
    )
    if not torch.allclose(sparse, dense, atol=1e-3):
        raise ArithmeticError(f"the engine is off by {float((sparse - dense).abs().max()):.2g}")
    return f"agrees with torch; {kernel_threads()} threads, helpers: {helper_threads()}"

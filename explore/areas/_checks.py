"""The check of what trained networks return."""

from __future__ import annotations

import torch

from explore.errors import RunDiverged


def check_logits(logits: torch.Tensor, network: str) -> None:
    """Check the logits of images before their maps and scores are used.

    Args:
        logits: of a trained network.
        network: how the message calls it.

    Raises:
        RunDiverged: a logit is NaN or infinite, as after a training that diverged.
    """
    if not bool(torch.isfinite(logits).all()):
        raise RunDiverged(
            f"{network} returns logits of NaN or infinity; its training diverged, or its weights "
            "are damaged; use other weights or a smaller learning rate"
        )

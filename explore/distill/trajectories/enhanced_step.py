"""One recorded step of an image, without and with discriminative area enhancement."""

from __future__ import annotations

import numpy as np
import torch
import xarray

from explore.core.recording import frame_index
from explore.distill.recordings import TRAJECTORY_MATCHING
from explore.distill.trajectories.loss import gradient_multiplier
from explore.errors import InvalidInput


def enhanced_step(
    recording: xarray.Dataset,
    beta: float = 1.0,
    threshold: float | str = "mean",
    step: int | None = None,
    label: str | None = None,
) -> xarray.Dataset:
    """Select what ``EnhancedStep`` shows: the recorded gradient, and what β makes of it.

    Args:
        recording: of a run of EDF (or MTT, DATM, whose gradient is not multiplied).
        beta, threshold: see ``gradient_multiplier``.
        step: of the recording; by default the last.
        label: name of the class; the first by default.

    Raises:
        InvalidInput: another kind of recording, an unknown class, or a negative β.
    """
    (run,) = TRAJECTORY_MATCHING.check(recording)
    labels = [str(name) for name in run.label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels:
        raise InvalidInput(f"label must be one of {', '.join(labels)}, got {label!r}")
    k, frame = labels.index(label), run.isel(step=frame_index(run, step))
    cam = frame["map"].values[k, 0].astype(np.float32)
    multiplier = gradient_multiplier(torch.from_numpy(cam)[None], beta, threshold)[0].numpy()
    recorded = frame["multiplier"].values[k, 0].astype(np.float32)
    gradient = frame["gradient"].values[k, 0].mean(0) / np.where(recorded > 0, recorded, 1)
    # A step goes against the gradient. Both steps share one scale.
    without, with_ = -gradient, -gradient * multiplier
    scale = max(float(np.abs(with_).max()), float(np.abs(without).max())) or 1.0
    image_dims = ("y", "x", "rgb")[: frame["image"].ndim - 2]
    return xarray.Dataset(
        {
            "image": (image_dims, frame["image"].values[k, 0]),
            "map": (("y", "x"), cam),
            "multiplier": (("y", "x"), multiplier),
            "without": (("y", "x"), without / scale),
            "with": (("y", "x"), with_ / scale),
            "difference": (("y", "x"), (with_ - without) / scale),
            "now": ((), int(frame.step)),
        },
        attrs={
            "label": label,
            "beta": float(beta),
            "threshold": threshold,
            "data": str(run.attrs["config"]["data"]["name"]),
        },
    )

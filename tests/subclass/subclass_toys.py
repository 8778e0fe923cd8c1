"""Small data sets and short runs for the tests of subclass runs."""

from __future__ import annotations

import torch
from torch import nn

from explore.core.registry import make_config, method as registered_method
from explore.data import ImageSet
from explore.subclass.run import SubclassRun

PARENTS = [0, 1, 0, 1]


def blobs(n: int = 120, seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points around the corners of a square."""
    subclasses = torch.arange(n) % classes
    centres = 3 * torch.stack([(subclasses % 2).float(), (subclasses // 2).float()], 1)
    return centres + torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)), subclasses


def make_run(
    method: str = "skd", parents=PARENTS, teacher=None, student_factory=None, **options
) -> SubclassRun:
    defaults = {
        "epochs": 4,
        "teacher_epochs": 3,
        "width": 8,
        "holdout": 20,
        "learning_rate": 0.02,
        "labels": 0,
    }
    config = make_config(
        registered_method(method), {"method": method, "parents": parents, **defaults, **options}
    )
    return SubclassRun(config, blobs(classes=len(parents)), teacher, student_factory)


def run_to_end(run):
    while run.step < run.steps:
        run.advance()
    return run


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def small_set(n: int = 40, **more) -> ImageSet:
    images = torch.randint(
        256, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return ImageSet("small", images, torch.arange(n) % 4, tuple("abcd"), (0.5,), (0.5,), **more)

"""Check that a distilled set fits its test images, and that these were not used before."""

from __future__ import annotations

import warnings

import numpy as np

from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.overlap import shared_images
from explore.distill.evaluation.sources import source_of
from explore.errors import ExploreWarning, InvalidInput


def check_test_images(distilled: DistilledSet, test: ImageSet) -> None:
    """Check that a distilled set can be evaluated on test images.

    Raises:
        InvalidInput: another size, normalisation, number or order of classes, or the images that
            the set was distilled from.
    """
    size, test_size = list(distilled.images.shape[1:]), list(test.images.shape[1:])
    if size != test_size:
        raise InvalidInput(
            f"distilled images are {size}, test images {test_size}; load images of the same size"
        )
    names, test_names = list(distilled.class_names), list(test.class_names)
    if len(names) != len(test_names):
        raise InvalidInput(
            f"the distilled set has {len(names)} classes, the test set {len(test_names)}; "
            "test on the data that were distilled"
        )
    if names != test_names and sorted(names) == sorted(test_names):
        raise InvalidInput(
            f"the classes of the distilled set have another order ({names}) than those of the test "
            "set; load both with the same options"
        )
    units, test_units = (*distilled.mean, *distilled.std), (*test.mean, *test.std)
    if len(distilled.mean) and not np.allclose(units, test_units, atol=1e-4):
        raise InvalidInput(
            f"the distilled set is normalised by mean {list(distilled.mean)}, std "
            f"{list(distilled.std)}, the test set by {list(test.mean)}, {list(test.std)}; "
            "test on the data that were distilled"
        )
    if source_of(distilled).get("sha256") == test.sha256:
        raise InvalidInput(
            f"the set was distilled from these test images ({test.name}); test on another split"
        )


def count_overlap(distilled: DistilledSet, test: ImageSet, train: ImageSet | None) -> int:
    """Return how many test images are among the real images, with a warning if there are any.

    Warns:
        ExploreWarning: test images are among the real images, or in the distilled set itself.
    """
    # The warnings point to the caller of ``evaluate``.
    count = 0 if train is None else len(shared_images(train, test))
    if count:
        warnings.warn(
            f"{count:,} of the {len(test):,} test images of {test.name} are also among the images "
            "that were distilled (same pixels); their accuracy does not measure generalisation",
            ExploreWarning,
            stacklevel=4,
        )
    if distilled.zca is None and len(distilled.mean):
        own = len(shared_images(distilled.to_display(), test))
        if own:
            warnings.warn(
                f"{own:,} test images of {test.name} are in the distilled set itself; "
                "was it selected from the test split?",
                ExploreWarning,
                stacklevel=4,
            )
    return count

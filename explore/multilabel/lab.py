"""The multi-label lab: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

from functools import cache, partial

import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.validation import check_choice
from explore.multilabel.catalog import METHOD_LABELS, RECORDED, STUDIES
from explore.multilabel.config import CORRELATION_NAMES, OVERLAP_NAMES
from explore.multilabel.figures.anchor_pulls import AnchorPulls, anchor_pulls
from explore.multilabel.figures.contrast_weight import ContrastWeight, contrast_weight
from explore.multilabel.figures.embedding import Embedding
from explore.multilabel.figures.embedding_data import FILTER_MODES, add_projection, embedding
from explore.multilabel.figures.losses import TrainingLosses, training_losses
from explore.multilabel.figures.similarity import (
    SIMILARITY_LABELS,
    SimilarityByOverlap,
    describe_order,
    similarity_by_overlap,
    training_label,
)
from explore.multilabel.figures.uncertainty import UncertaintyByCount, uncertainty_by_count
from explore.multilabel.recordings import (
    MEASURE_NAMES,
    STUDY,
    TRAINING,
    UNCERTAINTY_NAMES,
    WEIGHT_STUDY,
)
from explore.plotting.selection import by_name, check_recordings, single_recording
from explore.widgets.controls import Choice, Control, MultiChoice, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.prediction import Prediction

ANSWERS = ("pulls it as hard as one with equal labels", "pulls it, but weakly", "pushes it away")
QUESTION_ROW = 4
"""The neighbour that the question is about: it shares one label of five."""

ALPHAS = (0.05, 0.25, 0.34, 0.5, 0.67, 0.75, 1.0)

CORRELATION_LABELS = {
    "outside": "outside of the logarithm",
    "inside": "inside, as in the released code",
    "none": "left out",
}


@cache
def _read(name: str) -> xarray.Dataset:
    """Return a shipped recording, which is read once."""
    return open_recording(shipped(f"data/{name}.zarr.zip")).load()


@cache
def _with_positions(method: str) -> xarray.Dataset:
    return add_projection(_read(f"scenes-{method}"))


def recording_of(method: str) -> xarray.Dataset:
    """Return the shipped training on scenes with a loss, with the positions of its samples."""
    return _with_positions(check_choice("method", method, RECORDED))


def study_of(data: str) -> xarray.Dataset:
    """Return the shipped study of a data set: "scenes", "emotions" or "yeast"."""
    return _read(f"multilabel-study-{check_choice('data', data, STUDIES)}")


def weight_study() -> xarray.Dataset:
    """Return the shipped study of the weight of KMCL's contrast."""
    return _read("contrast-weights")


def who_pulls(recording: xarray.Dataset | None = None) -> Explorer:
    """Predict what an image that shares one label of five does to an anchor, then see all pulls.

    Args:
        recording: a training with isotropic KMCL on images; by default the one that ships.
    """
    run = recording_of("kmcl") if recording is None else recording

    prediction = Prediction(
        "What does an image that shares one label of five do to the anchor?",
        ANSWERS,
        _answer,
        hides=True,
    )
    controls: dict[str, Control] = {
        "correlation": Choice("J is", CORRELATION_NAMES, names=CORRELATION_LABELS),
        "overlap": Choice("measure of J", OVERLAP_NAMES),
        "alpha": Slider("positive from J ≥", ALPHAS),
    }
    return Explorer(partial(anchor_pulls, run), AnchorPulls, controls, "anchor-pulls", prediction)


def _answer(data: xarray.Dataset) -> str:
    """Return which of ``ANSWERS`` is true of the pulls, with the number."""
    pull, full = data["pull"].values[[QUESTION_ROW, 1]].astype(float)
    answer = ANSWERS[2 if pull <= 0 else 0 if pull > 0.8 * full else 1]
    return f"{answer} ({pull:+.2f}, with these settings)".replace("-", "−")


def see_embedding(*recordings: xarray.Dataset) -> Explorer:
    """Go through the steps of trainings, seen from an anchor, with a filter of label sets.

    Click a point to make it the anchor, or choose it from the list.

    Args:
        *recordings: trainings on the same samples; by default those that ship.
    """
    runs = [*map(recording_of, RECORDED)]
    if recordings:
        runs = [add_projection(run.load()) for run in check_recordings(TRAINING, recordings)]
    names = list(by_name((str(run.attrs.get("name", "")) for run in runs), runs))
    steps = max((run["step"].values.tolist() for run in runs), key=len)
    labels = [str(label) for label in runs[0]["label"].values]

    controls: dict[str, Control] = {
        # At step 0 all samples lie in one place.
        "step": Slider("step", steps, steps[min(2, len(steps) - 1)]),
        "training": Choice(
            "loss", names, names={name: METHOD_LABELS.get(name, name) for name in names}
        ),
        "anchor": Choice("anchor", list(range(runs[0].sizes["point"]))),
        "labels": MultiChoice("labels", labels),
        "mode": Choice(
            "samples with", FILTER_MODES, names={"any": "any of them", "all": "all of them"}
        ),
    }
    return Explorer(partial(embedding, runs), Embedding, controls, "embedding")


def compare_similarity(*recordings: xarray.Dataset) -> Explorer:
    """Predict how similarity follows the overlap of labels, then compare it, step by step.

    Args:
        *recordings: trainings on the same samples; by default those that ship.
    """
    runs = check_recordings(TRAINING, recordings or [*map(recording_of, RECORDED)])
    runs = [run.load() for run in runs]
    steps = max((run["step"].values.tolist() for run in runs), key=len)
    controls: dict[str, Control] = {
        "step": Slider("step", steps, steps[-1]),
        "similarity": Choice("similarity", list(SIMILARITY_LABELS), names=SIMILARITY_LABELS),
    }
    names = list(dict.fromkeys(training_label(run) for run in runs))
    prediction = None
    if len(names) > 1:
        question = "With which loss does the similarity follow the overlap of the labels most?"
        prediction = Prediction(question, names, describe_order)
    source = partial(similarity_by_overlap, runs)
    return Explorer(source, SimilarityByOverlap, controls, "similarity", prediction)


def compare_uncertainty(recording: xarray.Dataset | None = None) -> Explorer:
    """See whether the uncertainty of mixtures says more than the number of labels.

    Args:
        recording: a training with probmcl; by default the one that ships.
    """
    recording = recording_of("probmcl") if recording is None else recording
    run = single_recording(TRAINING, recording).load()
    controls: dict[str, Control] = {
        "by_count": Choice(
            "samples", [False, True], names={False: "all together", True: "by number of labels"}
        ),
        "measure": Choice("uncertainty", UNCERTAINTY_NAMES, "epistemic"),
    }
    source = partial(uncertainty_by_count, run, threshold=None)
    return Explorer(source, UncertaintyByCount, controls, "uncertainty")


def turn_weight(study: xarray.Dataset | None = None) -> Explorer:
    """Turn the weight of KMCL's contrast and reconstruction, and see what the classifier learns.

    Args:
        study: a recording of ``contrast-weights``; by default the one that ships.
    """
    run = single_recording(WEIGHT_STUDY, weight_study() if study is None else study)
    weights = run["weight"].values.tolist()
    return Explorer(
        partial(contrast_weight, run),
        ContrastWeight,
        {"weight": Slider("weight", weights, weights[0])},
        "contrast-weight",
    )


def compare_losses(*studies: xarray.Dataset) -> Explorer:
    """Compare losses over seeds, with settings that were chosen on validation samples.

    Args:
        *studies: recordings of ``multilabel-study``; by default those that ship.
    """
    listed = check_recordings(STUDY, studies or [*map(study_of, STUDIES)])
    runs = by_name((str(run.attrs["config"]["data"]["name"]) for run in listed), listed)

    def source(samples: str, measure: str) -> xarray.Dataset:
        return training_losses(runs[samples], measure)

    controls: dict[str, Control] = {
        "samples": Choice("data", list(runs)),
        "measure": Choice("score", MEASURE_NAMES),
    }
    return Explorer(source, TrainingLosses, controls, "training-losses")

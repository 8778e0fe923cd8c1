"""The lab on activation areas: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
import xarray
from IPython.display import HTML

from explore.areas.catalog import COMPLEXITY_RECORDING, RECORDED_METHODS
from explore.areas.config import COMPARISONS, CUES, OBJECT_SIZES, SIDE
from explore.areas.figures.area_curves import AreaCurves, area_curves
from explore.areas.figures.class_complexity import ClassComplexity, class_complexity
from explore.areas.figures.object_areas import PREDICTIONS, ObjectAreas
from explore.areas.figures.photograph_maps import PhotographMaps
from explore.areas.recordings import AREA_EVOLUTION, COMPLEXITY, find_recording
from explore.attention.kinds import CAM_KINDS
from explore.core.recording import open_recording
from explore.core.registry import label_of
from explore.core.resources import shipped
from explore.core.validation import check_path, check_text, check_whole_number
from explore.errors import DataMissing
from explore.plotting.selection import single_recording
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer

CACHED_MAPS = 32
"""Positions of the controls whose maps are kept; 80 scenes take about a megabyte."""

ALL_SIZES = "all sizes"
CLUTTER = (0, 2, 4, 8)
CUE_LABELS = {"outline": "outline (which shape?)", "texture": "texture (plain or striped?)"}
COMPARISON_LABELS = {
    "trained": "of the trained network, true class",
    "wrong class": "of the trained network, a wrong class",
    "random weights": "with the weights shuffled",
}
LAYER_LABELS = {"10": "last, 8×8", "6": "second, 16×16", "2": "first, 32×32"}
"""Layers of the networks for scenes."""

CAPTION = "What tells the classes apart is not the whole object."
KIND_LABELS = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "gradcam++": "Grad-CAM++",
    "smoothgradcam++": "SmoothGradCAM++",
}
NO_PHOTOGRAPHS = """<p><em>This cell shows photographs when the folder
<code>imagenette</code> and the weights of SqueezeNet,
<code>weights/squeezenet1_0_deepcompression_fp16.pth</code>, are in the folder of the
environment variable <code>EXPLORE_DATA</code>. They are not there now.</em></p>"""
PHOTOGRAPH_LAYERS = {"features": "last, 13×13", "features.9": "earlier, 27×27"}
"""Layers of SqueezeNet."""


def object_areas(count: int = 80) -> Explorer:
    """Explore many scenes: predict how much of the image the map uses, then see one dot per scene.

    Args:
        count: number of scenes, 10 to 500.
    """
    from explore.areas.scene_maps import SceneMaps, scene_maps
    from explore.attention.receptive_field import receptive_field
    from explore.models.trained.loading import load_network

    count = check_whole_number("count", count, 10, 500)

    @lru_cache(maxsize=CACHED_MAPS)
    def maps(
        cue: str, size: Any, clutter: int, comparison: str, kind: str, layer: str
    ) -> SceneMaps:
        object_size = None if size == ALL_SIZES else size
        return scene_maps(cue, object_size, clutter, comparison, kind, layer, count)

    @cache
    def field(cue: str, layer: str) -> tuple[int, int]:
        return receptive_field(load_network(CUES[cue])[0], layer, (3, 2 * SIDE, 2 * SIDE))

    def source(
        prediction: str,
        size: Any,
        cue: str,
        clutter: int,
        comparison: str,
        kind: str,
        layer: str,
        image: int,
    ) -> xarray.Dataset:
        mapped, k = maps(cue, size, clutter, comparison, kind, layer), image - 1
        assert mapped.scenes.masks is not None
        box = _field_box(mapped.maps[k].numpy(), field(cue, layer))
        return xarray.Dataset(
            {
                "share": ("image", mapped.object_shares),
                "area": ("image", mapped.areas),
                "label": ("image", mapped.labels.numpy()),
                "picture": (("y", "x", "rgb"), mapped.scenes.images[k].permute(1, 2, 0).numpy()),
                "map": (("y", "x"), mapped.enlarged[k].numpy()),
                "mask": (("y", "x"), mapped.scenes.masks[k].numpy().astype(float)),
                "field": ("edge", box),
                "chosen": ((), k),
                "accuracy": ((), mapped.accuracy),
                "pointing": ((), mapped.pointing),
            },
            {"class": ("class", np.array(mapped.class_names, object)), "task": ((), cue)},
            {
                "heading": f"{KIND_LABELS[kind]} {COMPARISON_LABELS[comparison]}",
                "layer": f"layer: {LAYER_LABELS[layer]}",
                "caption": CAPTION,
                "prediction": prediction,
            },
        )

    controls: dict[str, Control] = {
        "prediction": Choice("your prediction: the map uses", list(PREDICTIONS), names=PREDICTIONS),
        "size": Slider("object size", [ALL_SIZES, *OBJECT_SIZES]),
        "cue": Choice("the class is in the", list(CUES), names=CUE_LABELS),
        "clutter": Slider("clutter", list(CLUTTER), CLUTTER[1]),
        "comparison": Choice("map", list(COMPARISONS), names=COMPARISON_LABELS),
        "kind": Choice("kind", list(CAM_KINDS), names=KIND_LABELS),
        "layer": Choice("layer", list(LAYER_LABELS), names=LAYER_LABELS),
        "image": Slider("scene", list(range(1, count + 1))),
    }
    return Explorer(source, ObjectAreas, controls, "object-areas")


def revealed_areas() -> Explorer:
    """Return the explorer of scenes with its maps shown, for the command line."""
    return object_areas().set(prediction="less")


def areas_over_steps(*recordings: str) -> Explorer:
    """Explore how areas evolve while images are distilled.

    Args:
        *recordings: paths of recordings of ``explore run areas``; by default those of three methods
            on Fashion-MNIST that ship.
    """
    names = [check_text("recording", name) for name in recordings or RECORDED_METHODS]
    opened = {name: _areas_recording(name) for name in names}
    first = opened[names[0]]

    def source(recording: str, step: int, label: str) -> xarray.Dataset:
        chosen = opened[recording]
        labels = [str(name) for name in chosen.label.values]
        step = min(step, int(chosen.step.values[-1]))
        return area_curves(chosen, step, label if label in labels else labels[0])

    most = max(opened.values(), key=lambda recording: recording.sizes["step"])
    controls: dict[str, Control] = {
        "recording": Choice("distilled by", names, names={name: label_of(name) for name in names}),
        "step": Slider("frame", most.step.values.tolist()),
        "label": Choice("class", [str(name) for name in first.label.values]),
    }
    return Explorer(source, AreaCurves, controls, "areas")


def complexity(recording: str = COMPLEXITY_RECORDING) -> Explorer:
    """Explore the complexity of each class of a data set, as its images are measured.

    Args:
        recording: path of a recording of ``explore run complexity``; by default the one of
            Imagenette that ships.
    """
    path = check_path("recording", recording)
    if not path.exists() and recording != COMPLEXITY_RECORDING:
        raise DataMissing(f"there is no recording {path}; give the path of one")
    opened = open_recording(path if path.exists() else shipped(recording)).load()
    opened = single_recording(COMPLEXITY, opened)
    steps = opened.step.values.tolist()
    controls: dict[str, Control] = {"step": Slider("batches measured", steps, steps[-1])}
    return Explorer(
        lambda step: class_complexity(opened, step), ClassComplexity, controls, "complexity"
    )


def photographs(count: int = 2) -> Explorer | HTML:
    """Explore maps of SqueezeNet on photographs of Imagenette, or say what is missing.

    Args:
        count: photographs of each class.
    """
    try:
        return photograph_explorer(count)
    except DataMissing:
        return HTML(NO_PHOTOGRAPHS)


def photograph_explorer(count: int = 2) -> Explorer:
    """Explore maps of SqueezeNet on photographs of Imagenette.

    Args:
        count: photographs of each class.

    Raises:
        DataMissing: the photographs or the weights are not in the data folder.
    """
    from torchvision.models import SqueezeNet1_0_Weights

    from explore.attention.class_maps import ActivationMapper, resize_maps
    from explore.attention.localization import activation_area
    from explore.data import load
    from explore.data.normalization import normalize_bytes
    from explore.models.trained.loading import load_network

    images = load("imagenette", "test", count=check_whole_number("count", count, 1))
    network, entry = load_network("squeezenet")
    categories = SqueezeNet1_0_Weights.DEFAULT.meta["categories"]
    assert entry.statistics is not None
    inputs = normalize_bytes(images.images, *entry.statistics)

    @lru_cache(maxsize=CACHED_MAPS)
    def maps(kind: str, layer: str, photograph: int) -> tuple[Any, int, float, float]:
        mapper = ActivationMapper(network, layer, kind)
        mapped = mapper(inputs[photograph : photograph + 1], warn=False)
        target = int(mapped.targets[0])
        probability = float(mapped.logits.softmax(1)[0, target])
        return mapped.maps, target, probability, float(activation_area(mapped.maps)[0])

    def source(photograph: int, kind: str, layer: str) -> xarray.Dataset:
        k = photograph - 1
        layer_map, target, probability, area = maps(kind, layer, k)
        side = images.images.shape[-1]
        return xarray.Dataset(
            {
                "picture": (("y", "x", "rgb"), images.images[k].permute(1, 2, 0).numpy()),
                "map": (("y", "x"), resize_maps(layer_map, side)[0].numpy()),
                "area": ((), area),
                "probability": ((), probability),
            },
            attrs={
                "label": str(images.class_names[int(images.labels[k])]),
                "predicted": str(categories[target]),
                "kind": KIND_LABELS[kind],
                "layer": PHOTOGRAPH_LAYERS[layer],
            },
        )

    controls: dict[str, Control] = {
        "photograph": Slider("photograph", list(range(1, len(images) + 1))),
        "kind": Choice("kind", list(CAM_KINDS), names=KIND_LABELS),
        "layer": Choice("layer", list(PHOTOGRAPH_LAYERS), names=PHOTOGRAPH_LAYERS),
    }
    return Explorer(source, PhotographMaps, controls, "photographs")


def _field_box(scene_map: np.ndarray, field: tuple[int, int]) -> np.ndarray:
    """Return left, top, width and height of the brightest value's receptive field, in pixels."""
    row, column = np.unravel_index(int(scene_map.argmax()), scene_map.shape)
    centre = [(index + 0.5) * SIDE / scene_map.shape[0] for index in (column, row)]
    edges = [
        (max(0, c - f / 2), min(SIDE, c + f / 2)) for c, f in zip(centre, field[::-1], strict=True)
    ]
    (left, right), (top, bottom) = edges
    return np.array([left, top, right - left, bottom - top])


def _areas_recording(name: str) -> xarray.Dataset:
    path = f"areas-fashion-{name}" if name in RECORDED_METHODS else name
    return AREA_EVOLUTION.check(find_recording(path).load())[0]

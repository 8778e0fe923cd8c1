"""What the recordings of density surveys hold."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable

DENSITY_SURVEY = RecordingKind(
    "a density survey",
    {
        "density": Variable(("layer",), "share of values that are not zero"),
        "work": Variable(("layer",), "share of multiply-adds that is left if zeros are skipped"),
        "bytes": Variable(("layer", "format"), "size in bytes", "byte"),
        "elements": Variable(("layer", "format"), "size as the papers count it", "elements"),
        "levels": Variable(
            ("place",),
            "size of each value, 0 is zero and 255 the largest of its layer, layer after layer",
        ),
        "index": Variable((), "which image of the set"),
        "label": Variable((), "its class"),
        "picture": Variable(("y", "x", "rgb"), "the image"),
    },
    {
        "layer": Variable(("layer",), "", ""),
        "format": Variable(("format",), "", ""),
        "shape": Variable(("layer", "chw"), "", ""),
        "filters": Variable(("layer",), "", ""),
        "pointwise": Variable(("layer",), "", ""),
        "kernel": Variable(("layer", "axis"), "", ""),
        "stride": Variable(("layer", "axis"), "", ""),
        "padding": Variable(("layer", "axis"), "", ""),
        "offset": Variable(("layer",), "where the levels of a layer begin"),
        "class": Variable(("class",), "", ""),
    },
)

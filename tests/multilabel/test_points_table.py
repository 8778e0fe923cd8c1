"""The table of a training's samples: columns, positions, images as other programs read them, and refusals."""

from __future__ import annotations

import io
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
import xarray
from multilabel_toys import LABELS, images, options_of, vectors
from PIL import Image
from pyarrow import parquet
from toys import run_python

from explore import record
from explore.cli import main as cli
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import DependencyMissing, InvalidInput
from explore.multilabel.figures.projection import principal_axes, project
from explore.multilabel.points_table import points_table, write_points
from explore.multilabel.recordings import UNCERTAINTY_NAMES
from explore.multilabel.run import MultilabelRun

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def training() -> xarray.Dataset:
    """Return the recording of a short training on gray images."""
    return record(MultilabelRun(options_of("kmcl"), images()))


def file_of(content: bytes) -> np.ndarray:
    """Return the pixels of an image file."""
    return np.asarray(Image.open(io.BytesIO(content)))


# ---- values


def test_rows_are_the_samples_of_the_last_frame(training: xarray.Dataset) -> None:
    table = points_table(training)
    last = training.isel(step=-1)
    present = training["present"].values
    columns = table[[f"label: {name}" for name in LABELS]]
    assert np.array_equal(columns.to_numpy(int), present)
    assert (table["label_count"] == present.sum(1)).all()
    assert 0 in set(table["label_count"])
    probability = table[[f"probability: {name}" for name in LABELS]].to_numpy()
    assert np.array_equal(probability, last["probability"].values.astype(np.float32))
    assert table["point"].tolist() == list(range(len(present)))


def test_labels_and_predictions_are_written_as_text() -> None:
    frame = xarray.Dataset(
        {
            "embedding": (("point", "axis"), np.arange(6.0).reshape(3, 2)),
            "probability": (("point", "label"), [[0.9, 0.5, 0.1], [0.1, 0.2, 0.3], [1, 1, 1]]),
        },
        {
            "label": np.array(LABELS, object),
            "present": (("point", "label"), np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)),
            "step": 3,
        },
    )
    table = points_table(frame)
    assert table["labels"].tolist() == ["sea, sky", "", "sun"]
    assert table["text"].tolist() == [
        "labels: sea, sky; predicted: sea, sky",
        "labels: none; predicted: none",
        "labels: sun; predicted: sea, sky, sun",
    ]
    assert not [name for name in table if name.startswith(("image", "uncertainty"))]
    with pytest.raises(InvalidInput, match="different names, got sea, sea, sun"):
        points_table(frame.assign_coords(label=np.array(["sea", "sea", "sun"], object)))


def test_positions_of_all_steps_are_in_the_plane_of_the_last(training: xarray.Dataset) -> None:
    centre, axes = principal_axes(training["embedding"].values[-1])
    for step in (0, 1, None):
        embedding = training["embedding"].sel(step=2 if step is None else step).values
        position = points_table(training, step)[["x", "y"]].to_numpy()
        np.testing.assert_allclose(position, project(embedding, centre, axes), atol=1e-12)
    with pytest.raises(InvalidInput, match="no frame up to step -1"):
        points_table(training, -1)


def test_a_label_that_is_not_known_is_missing() -> None:
    mask = torch.ones(40, 3, dtype=torch.bool)
    mask[::2, 1] = False
    training = record(MultilabelRun(options_of("bce"), vectors(mask=mask)))
    table, mask = points_table(training), training["known"].values
    assert 0 < mask[:, 1].sum() < len(mask)
    assert np.array_equal(table["label: sky"].isna(), ~mask[:, 1])
    assert table["label: sea"].notna().all()


def test_uncertainties_of_mixtures_are_columns() -> None:
    training = record(MultilabelRun(options_of("probmcl"), vectors()))
    table = points_table(training)
    columns = [name for name in table if name.startswith("uncertainty: ")]
    assert columns == [f"uncertainty: {name}" for name in UNCERTAINTY_NAMES]
    last = training["uncertainty"].values[-1]
    assert np.array_equal(table[columns].to_numpy().T, last)


def test_other_recordings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a multi-label training"):
        points_table(open_recording(shipped("data/digits-dm.zarr.zip")))


# ---- file


@pytest.mark.parametrize("channels", [1, 3])
def test_other_programs_read_the_file(channels: int, tmp_path: Path) -> None:
    training = record(MultilabelRun(options_of("kmcl"), images(channels=channels)))
    path = write_points(training, tmp_path / "new" / "points.parquet")
    table = pandas.read_parquet(path)
    pandas.testing.assert_frame_equal(table, points_table(training))
    thumbnails = training["thumbnail"].values
    assert thumbnails.ndim == (3 if channels == 1 else 4)
    for image, url, thumbnail in zip(table["image"], table["image_url"], thumbnails, strict=True):
        assert np.array_equal(file_of(image["bytes"]), thumbnail)
        kind, content = url.split(",")
        assert kind == "data:image/png;base64"
        assert b64decode(content) == image["bytes"]
    assert table["image"][3]["path"] == "3.png"
    schema = parquet.read_schema(path)
    fields = schema.field("image").type
    assert {field.name: str(field.type) for field in fields} == {
        "bytes": "binary",
        "path": "string",
    }
    assert (
        schema.metadata[b"huggingface"] == b'{"info": {"features": {"image": {"_type": "Image"}}}}'
    )


def test_a_file_of_feature_vectors_has_no_images(tmp_path: Path) -> None:
    training = record(MultilabelRun(options_of("asl"), vectors()))
    schema = parquet.read_schema(write_points(training, tmp_path / "points.parquet"))
    assert "image" not in schema.names
    assert b"huggingface" not in schema.metadata


def test_another_suffix_is_refused(training: xarray.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"as a \.parquet file, got '.*points\.csv'"):
        write_points(training, tmp_path / "points.csv")


def test_without_pyarrow_the_error_says_how_to_install_it(
    training: xarray.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyMissing, match="pip install pyarrow"):
        write_points(training, tmp_path / "points.parquet")
    assert not list(tmp_path.iterdir())


def test_no_torch_is_imported(tmp_path: Path) -> None:
    code = """
import sys
sys.modules.update(torch=None, torchvision=None, numba=None)
from explore.core.recording import open_recording
from explore.multilabel.points_table import write_points
write_points(open_recording(sys.argv[1]), sys.argv[2])
"""
    path = tmp_path / "points.parquet"
    assert run_python(code, str(shipped("data/scenes-kmcl.zarr.zip")), str(path)) == ""
    assert len(pandas.read_parquet(path)) == 150


# ---- command line


def run_cli(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)  # type: ignore[arg-type]


def test_the_command_writes_the_table_of_a_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, path = shipped("data/scenes-kmcl.zarr.zip"), tmp_path / "points.parquet"
    assert run_cli("export", recording, path, "--format", "parquet", "--step", "1") == 0
    assert capsys.readouterr().out == f"wrote 150 points to {path}\n"
    expected = points_table(open_recording(recording), 1)
    pandas.testing.assert_frame_equal(pandas.read_parquet(path), expected)
    assert not expected["x"].equals(points_table(open_recording(recording))["x"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits-dm.zarr.zip", "p.parquet", "--format", "parquet"), "a multi-label training"),
        (("scenes-kmcl.zarr.zip", "p", "--format", "parquet"), "written as a .parquet file"),
        (("scenes-kmcl.zarr.zip", "p", "--format", "png", "--step", "1"), "png has no steps"),
    ],
)
def test_an_impossible_export_is_an_error(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, target, *options = arguments
    assert run_cli("export", shipped(f"data/{source}"), tmp_path / target, *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

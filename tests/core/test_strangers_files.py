"""Files from somebody else: names that lead outside, links, sizes that are not there, requests for downloads."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pandas
import pytest
from numcodecs import Blosc, VLenUTF8, Zstd
from toys import CountingRun, bits

from explore.core import reproduce
from explore.core._format import seal, to_json
from explore.core.products import without_downloads
from explore.core.record import record
from explore.core.recording import open_recording, pack
from explore.core.tables import csv_safe, format_table
from explore.errors import ExploreError, InvalidInput, RecordingDamaged

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "run.zarr"
    record(CountingRun(3, side=275), path, every=1)
    return path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run.zarr"))


def change_root(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    root = json.loads((folder / "zarr.json").read_text())
    change(root)
    (folder / "zarr.json").write_bytes(seal(root))


def arrays_of(root: dict[str, Any]) -> dict[str, Any]:
    return root["consolidated_metadata"]["metadata"]


def assert_refused(folder: Path, message: str = "is damaged") -> None:
    """Assert that opening, packing and recording name the damage, and write nothing outside."""
    outside = {p: p.read_bytes() for p in folder.parent.rglob("*.txt")}
    for call in (
        lambda: open_recording(folder).load(),
        lambda: pack(folder, folder.parent / "out.zarr.zip"),
        lambda: record(CountingRun(5, side=275), folder, every=1),
    ):
        with pytest.raises(RecordingDamaged, match=message):
            call()
    assert not (folder.parent / "out.zarr.zip").exists()
    assert {p: p.read_bytes() for p in folder.parent.rglob("*.txt")} == outside


@pytest.mark.parametrize(
    "name", ["../private/value", "/etc/value", "a/b", "..", ".", "", "a\\b", "C:value", "nul\0"]
)
def test_names_of_arrays_are_no_paths(folder: Path, name: str) -> None:
    change_root(folder, lambda root: arrays_of(root).update({name: arrays_of(root)["square"]}))
    assert_refused(folder, "is no name of an array")


def set_field(**values: Any) -> Callable[[dict[str, Any]], Any]:
    def change(root: dict[str, Any]) -> None:
        entry = arrays_of(root)["field"]
        if "chunks" in values:
            entry["chunk_grid"]["configuration"]["chunk_shape"] = values["chunks"]
        entry.update({k: v for k, v in values.items() if k != "chunks"})

    return change


SIZES = {
    "billions of chunks": set_field(shape=[4, 10**5, 10**4], chunks=[1, 1, 1]),
    "one large chunk": set_field(shape=[4, 10**6, 10**6], chunks=[1, 10**6, 10**6]),
    "more than exist": set_field(shape=[4, 2**40, 2**40], chunks=[1, 2**15, 2**15]),
    "chunks of zero": set_field(chunks=[0, 275, 275]),
    "negative": set_field(shape=[4, -1, 275]),
    "fractions": set_field(shape=[4, 2.5, 275]),
    "flags": set_field(shape=[True, 275, 275]),
    "fewer dimensions": set_field(shape=[4, 275]),
    "no list": set_field(shape="4"),
    "more frames": set_field(shape=[9, 275, 275]),
    "another type": set_field(data_type="float64"),
    "objects": set_field(data_type="object"),
    "a codec": set_field(codecs=[{"name": "numcodecs.pickle"}, {"name": "crc32c"}]),
    "no checksum": set_field(codecs=[{"name": "bytes"}]),
    "no metadata": lambda root: arrays_of(root).update(field=None),
    "no arrays": lambda root: root.update(consolidated_metadata={"metadata": {}}),
    "a list of arrays": lambda root: root["consolidated_metadata"].update(metadata=[1]),
    "no mapping": lambda root: root.update(consolidated_metadata=[1]),
    "no steps": lambda root: arrays_of(root).pop("step"),
    "config": lambda root: root["attributes"].update(config="all"),
    "number of steps": lambda root: root["attributes"].update(steps="many"),
    "depth": lambda root: root["attributes"].update(note=json.loads("[" * 90 + "]" * 90)),
}


@pytest.mark.parametrize("change", SIZES.values(), ids=SIZES)
def test_metadata_that_cannot_be_are_damage(folder: Path, change: Callable[[Any], Any]) -> None:
    change_root(folder, change)
    assert_refused(folder)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deep_json_is_damage(folder: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    (folder / "zarr.json").write_text('{"attributes":{"a":' + deep + "}}")
    assert_refused(folder)


def sealed(payload: bytes) -> bytes:
    return payload + google_crc32c.value(payload).to_bytes(4, "little")


def texts(*items: str) -> bytes:
    return bytes(VLenUTF8().encode(np.array(items, object)))


CHUNKS = {
    "larger": ("field/c/0/0/0", sealed(Blosc("zstd", 9).encode(np.zeros(5 * 10**7, "u1")))),
    "smaller": ("field/c/0/0/0", sealed(Blosc("zstd").encode(np.zeros(100, "f4")))),
    "garbage": ("field/c/0/0/0", sealed(b"\2\1!\4" + bytes([4, 0x9D, 4, 0]) + bytes(8))),
    "no header": ("field/c/0/0/0", sealed(b"abc")),
    "number of texts": ("label/c/0", sealed(Zstd().encode(texts("a", "b")))),
    "billions of texts": ("label/c/0", sealed(Zstd().encode(b"\xff" * 4 + texts("a")[4:]))),
    "texts without end": ("label/c/0", sealed(Zstd().encode(texts(*"abcde")[:-3]))),
    "texts, garbage": ("label/c/0", sealed(b"\x28\xb5\x2f\xfd" + bytes(20))),
    "texts, not UTF-8": (
        "label/c/0",
        sealed(Zstd().encode(texts(*"abcde").replace(b"e", b"\xff"))),
    ),
}


@pytest.mark.parametrize(("file", "content"), CHUNKS.values(), ids=CHUNKS)
def test_a_chunk_that_unpacks_to_something_else_is_damage(
    folder: Path, file: str, content: bytes
) -> None:
    (folder / file).write_bytes(content)
    for call in (
        lambda: open_recording(folder).load(),
        lambda: pack(folder, folder.parent / "out.zarr.zip"),
    ):
        with pytest.raises(RecordingDamaged, match=file):
            call()


@pytest.mark.parametrize("part", ["field/c/1/0/0", "field/c/1", "field", "zarr.json"])
def test_links_inside_a_store_are_not_followed(folder: Path, part: str) -> None:
    outside = folder.parent / "outside"
    (folder / part).rename(outside)
    (folder / part).symlink_to(outside)
    before = {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()}
    for call in (
        lambda: open_recording(folder).load(),
        lambda: pack(folder, folder.parent / "out.zarr.zip"),
        lambda: record(CountingRun(5, side=275), folder, every=1),
    ):
        with pytest.raises(RecordingDamaged, match="is a link to another place"):
            call()
    assert {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()} == before


def test_a_store_that_is_a_link_is_read_but_not_written_to(folder: Path) -> None:
    link = folder.parent / "link.zarr"
    link.symlink_to(folder)
    assert bits(open_recording(link)) == bits(open_recording(folder))
    with pytest.raises(InvalidInput, match=r"to is a link to .*run\.zarr; record to that folder"):
        record(CountingRun(5, side=275), link)


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    for name in ("run.zarr.commit", "run.zarr.checkpoint.npz.part", "run.zarr.zip.part"):
        (tmp_path / name).symlink_to(precious)
    for call in (
        lambda: record(CountingRun(2), tmp_path / "run.zarr"),
        lambda: record(CountingRun(2), tmp_path / "run.zarr"),
        lambda: pack(tmp_path / "run.zarr", tmp_path / "run.zarr.zip"),
    ):
        try:
            call()
        except ExploreError:
            continue
    assert precious.read_text() == "mine"


# ---- zip files made by hand


def zip_by_hand(folder: Path, to: Path, top: str = "", **options: Any) -> Path:
    with zipfile.ZipFile(to, "w", **options) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder)}")
        if top:
            archive.writestr(f"__MACOSX/{top}._zarr.json", b"x")
            archive.writestr(f"{top}.DS_Store", b"x")
    return to


@pytest.mark.parametrize("top", ["", "run.zarr/", "my run/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_made_by_hand_is_read(folder: Path, top: str, compression: int) -> None:
    path = zip_by_hand(folder, folder.parent / "hand.zarr.zip", top, compression=compression)
    assert bits(open_recording(path)) == bits(open_recording(folder))


def test_a_zip_file_that_unpacks_to_more_than_its_metadata_say_is_damage(folder: Path) -> None:
    (folder / "field/c/1/0/0").write_bytes(bytes(10**7))
    path = zip_by_hand(folder, folder.parent / "bomb.zarr.zip", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(RecordingDamaged, match="field/c/1/0/0 is larger than its metadata allow"):
        open_recording(path).load()


def test_other_files_in_a_folder_are_ignored(folder: Path) -> None:
    before = bits(open_recording(folder))
    for name in (".DS_Store", "._zarr.json", "field/.DS_Store", "field/c/._0"):
        (folder / name).write_bytes(b"x")
    assert bits(open_recording(folder)) == before
    assert bits(open_recording(pack(folder, folder.parent / "a.zarr.zip"))) == before
    assert record(CountingRun(5, side=275), folder, every=1).sizes["step"] == 6


# ---- downloads


def test_rerun_does_not_pass_on_a_request_for_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"download": True, "size": 8}
    config = {"method": "dm", "data": {"name": "mnist", "options": options}}
    run = CountingRun(1)
    run.config = {**run.config, **config, "init": {"config": config, "step": 1}}
    record(run, tmp_path / "a.zarr")
    configs: list[Any] = []

    def build(config: Any) -> Any:
        configs.append(config)
        raise InvalidInput("enough")

    monkeypatch.setattr(reproduce, "build", build)
    with pytest.raises(InvalidInput, match="enough"):
        reproduce.rerun(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert "download" not in json.dumps(configs)
    assert configs[0]["data"] == {"name": "mnist", "options": {"size": 8}}


def test_downloads_are_left_out_at_any_depth() -> None:
    config = {"a": [{"options": {"download": True, "size": 8}}], "b": ({"download": 1},), "c": 1}
    assert without_downloads(config) == {"a": [{"options": {"size": 8}}], "b": [{}], "c": 1}


# ---- tables


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"))
def test_formulas_are_texts_in_csv(start: str) -> None:
    formula = f"{start}HYPERLINK(1)"
    table = pandas.DataFrame({"method": [formula, "dm"], formula: [-0.5, 0.1]})
    rows = list(csv.reader(io.StringIO(format_table(table, "csv"), newline="")))
    quoted = f"'{formula}".replace("\r", "\n")
    assert rows == [["method", quoted], [quoted, "-0.5"], ["dm", "0.1"]]
    assert table.columns[1] == formula  # the table itself is unchanged


@pytest.mark.parametrize("text", ["-0.5", "+1e-3", "-inf", "a=b", "", "−4.3 ± 1.1"])
def test_numbers_and_other_texts_stay_in_csv(text: str) -> None:
    assert csv_safe(pandas.DataFrame({"a": [text]}))["a"].tolist() == [text]


def test_html_links_and_code_are_texts_in_markdown() -> None:
    cells = ["<img src=x onerror=1>", "[x](javascript:1)", "`a`", "a|b", "C:\\x", "&lt;", "R&D"]
    table = pandas.DataFrame({"<b>": cells})
    table.attrs["notes"] = ["<script>\nx"]
    lines = format_table(table).splitlines()
    assert lines[0] == "| &lt;b&gt; |"
    assert lines[2:9] == [
        "| &lt;img src=x onerror=1&gt; |",
        "| [x\\](javascript:1) |",
        "| \\`a\\` |",
        "| a\\|b |",
        "| C:\\\\x |",
        "| &amp;lt; |",
        "| R&D |",
    ]
    assert lines[10] == "&lt;script&gt; x"


def test_a_note_stays_a_comment_in_latex() -> None:
    table = pandas.DataFrame({"a": [1]})
    table.attrs["notes"] = ["one\n\\input{/etc/passwd}"]
    assert format_table(table, "latex").endswith("% one \\input{/etc/passwd}\n")


def test_to_json_keeps_mappings_of_any_class() -> None:
    from types import MappingProxyType

    assert to_json({"a": MappingProxyType({"b": np.int64(1)})}) == b'{"a":{"b":1}}'

"""Image sets and distilled sets check and convert all that they are made of."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from explore.data import ZCA, DistilledSet, ImageSet, load
from explore.data._indices import check_indices
from explore.data._json_values import check_json
from explore.data.image_set import channel_statistics, sha256_of
from explore.data.normalization import denormalize_to_bytes, normalize, normalize_bytes, to_bytes
from explore.errors import InvalidInput, UnknownName

PIXELS = torch.randint(
    0, 256, (6, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
LABELS = torch.arange(6) % 2


def image_set(**fields: Any) -> ImageSet:
    values = {
        "name": "toy",
        "images": PIXELS,
        "labels": LABELS,
        "class_names": ["x", "y"],
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        **fields,
    }
    return ImageSet(**values)


def distilled_set(**fields: Any) -> DistilledSet:
    values = {
        "images": torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)),
        "labels": torch.arange(4) % 2,
        "class_names": ["x", "y"],
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        **fields,
    }
    return DistilledSet(**values)


# ---- image sets


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": 3}, "name must be a text, got 3"),
        (
            {"images": PIXELS.float() / 255},
            r"images must be uint8 \[N, C, H, W\], got torch.float32",
        ),
        ({"images": None}, "images must be an array of numbers, got None"),
        ({"images": PIXELS.to_sparse()}, "images must be a plain tensor"),
        ({"images": np.ma.masked_less(PIXELS.numpy(), 9)}, "images is a masked array"),
        ({"labels": torch.tensor([0.0, 0.9, 1.0, 0.2, 0.0, 1.9])}, "labels must be integers"),
        ({"labels": LABELS.bool()}, "labels must be integers"),
        ({"labels": LABELS[:4]}, r"labels must be integers \[6\], one for each of the images, got"),
        ({"labels": LABELS + 1}, "labels must be 0..1, as there are 2 class names; image 1 has 2"),
        ({"class_names": "xy"}, "class_names must be a list of names, got 'xy'"),
        ({"class_names": [0.5, 1]}, "class_names must be a list of names"),
        ({"mean": [0.5] * 2}, "mean must have one number for each of the 3 channels"),
        ({"mean": [0.5, np.inf, 0.5]}, r"mean\[1\] must be a number, got inf"),
        ({"mean": 0.5}, "mean must be a list, got 0.5"),
        ({"std": [0.2, 0.2, 0.0]}, r"std\[2\] must be a number above 0, got 0.0"),
        ({"std": [0.2, np.nan, 0.2]}, r"std\[1\] must be a number above 0, got nan"),
        ({"std": [-1.0] * 3}, r"std\[0\] must be a number above 0, got -1.0"),
        ({"std": ["a"] * 3}, r"std\[0\] must be a number above 0, got 'a'"),
        ({"masks": torch.zeros(2)}, "masks must be true or false"),
        ({"masks": torch.zeros(6, 4, 4)}, r"masks must be true or false .* compare them"),
        ({"subclasses": torch.zeros(2).long()}, r"subclasses must be integers \[6\]"),
        ({"subclasses": torch.zeros(6)}, "subclasses must be integers .* convert them"),
        (
            {"subclasses": LABELS, "subclass_names": ["only"]},
            "subclasses must be 0..0, as there are 1 subclass_names; image 1 has 1",
        ),
        (
            {"subclasses": LABELS, "subclass_names": ["only"], "parents": [0, 1]},
            "parents has 2 entries, but there are 1 subclasses in subclass_names",
        ),
        ({"parents": "01"}, "parents must be a list"),
        ({"parents": None}, "parents must be a list, got None"),
        ({"multi_hot": torch.zeros(6)}, r"multi_hot must be numbers \[6, 2\]"),
        ({"multi_hot": torch.zeros(6, 3)}, r"multi_hot must be numbers \[6, 2\]"),
        ({"multi_hot": torch.full((6, 2), 0.5)}, "multi_hot must be 0 or 1"),
        ({"agreement": torch.zeros(2)}, r"agreement must be floats \[6\]"),
        ({"agreement": torch.full((6,), 1.5)}, "agreement must be 0 to 1"),
        ({"agreement": torch.full((6,), torch.nan)}, "agreement must be 0 to 1"),
        ({"options": [1]}, r"options must be a mapping of names to values, got \[1\]"),
        ({"options": {"a": {1, 2}}}, r"options\['a'\] must be something that JSON can hold"),
        ({"flip": "no"}, "flip must be true or false, got 'no'"),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused(fields, words):
    with pytest.raises(InvalidInput, match=words):
        image_set(**fields)


@pytest.mark.parametrize("convert", [torch.as_tensor, np.asarray, list, tuple])
def test_statistics_labels_and_names_become_one_type(convert):
    same = image_set(
        images=PIXELS.numpy(),
        labels=convert(LABELS.int().tolist()),
        class_names=np.array(["x", "y"]),
        mean=convert([0.5] * 3),
        std=convert([0.25] * 3),
        agreement=convert([0.5] * 6),
        multi_hot=convert([[1, 0]] * 6),
        masks=convert(np.ones((6, 4, 4), bool).tolist()),
        options={"size": np.int64(4), "path": Path("a/b"), "range": (1, 2)},
        flip=np.bool_(False),
    )
    assert same.sha256 == image_set().sha256
    assert (same.labels.dtype, same.agreement.dtype) == (torch.int64, torch.float32)
    assert (same.multi_hot.dtype, same.masks.dtype) == (torch.float32, torch.bool)
    assert list(same.mean) + list(same.std) == [0.5] * 3 + [0.25] * 3
    assert {type(value) for value in (*same.mean, *same.std)} == {float}
    assert same.class_names == ("x", "y")
    assert same.options == {"size": 4, "path": "a/b", "range": [1, 2]}
    assert same.flip is False
    assert torch.equal(same.batch(), image_set().batch())


def test_sets_say_whether_a_mirrored_image_is_a_member_of_its_class():
    digits = load("digits", size=8, margin=0)
    assert (
        digits.flip is digits.subset([0, 1]).flip is digits.grouped([0] * 5 + [1] * 5).flip is False
    )
    assert load("scenes", count=5).flip is True
    assert image_set().flip is None
    assert image_set() != image_set()  # no error of an ambiguous tensor


INDICES = [
    ([0, 2], [0, 2]),
    ((2, -1), [2, 5]),
    (3, [3]),
    (np.int64(3), [3]),
    (2.0, [2]),
    (range(1, 3), [1, 2]),
    (np.array([4, 4], np.uint8), [4, 4]),
    (torch.tensor([0, 1], dtype=torch.uint8), [0, 1]),  # PyTorch would take it for a mask
    (torch.tensor(1), [1]),
    ([], []),
    (np.arange(0), []),
    (slice(None, None, 2), [0, 2, 4]),
    (slice(None, None, -1), [5, 4, 3, 2, 1, 0]),
    (slice(4, 99), [4, 5]),
    (LABELS == 1, [1, 3, 5]),
    ([True, False, False, False, False, True], [0, 5]),
]


@pytest.mark.parametrize(("indices", "expected"), INDICES, ids=str)
def test_indices_choose_images_and_all_that_belongs_to_them(indices, expected):
    images = image_set(agreement=torch.arange(6) / 8)
    assert images.subset(indices).agreement.tolist() == [k / 8 for k in expected]
    assert torch.equal(images.batch(indices), images.batch()[expected])


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([0.5], r"indices must be whole numbers \[n\] or a slice"),
        (0.5, "indices must be a whole number, got 0.5"),
        (np.array([0.0, 1.0]), "indices must be whole numbers"),
        ([True, False], "a mask must have 6 entries"),
        (True, "indices must be a list, got True"),
        ("12", "indices must be a list, got '12'"),
        (None, "indices must be a list, got None"),
        (..., "indices must be a list"),
        ([[0, 1]], r"indices must be whole numbers \[n\]"),
        ([0, [1, 2]], "indices must be an array of numbers"),
        (["a"], "indices must be an array of numbers"),
        ({0, 1}, "indices must be in an order; {0, 1} has none"),
        ({1: 2}, "indices must be in an order"),
        ([6], "indices must be -6..5, as there are 6 images; got 6"),
        ([-7, 0], "indices must be -6..5, .* got -7"),
        (slice(0.5, 2), r"indices \(a slice\) must be a whole number, got 0.5"),
        (slice(None, None, 0), "the step of indices must not be 0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["batch", "subset"])
def test_other_indices_are_refused(method, indices, words):
    with pytest.raises(InvalidInput, match=words):
        getattr(image_set(), method)(indices)


def test_indices_of_nothing():
    assert check_indices("indices", [], 0, "images").tolist() == []
    with pytest.raises(InvalidInput, match=r"got 0"):
        check_indices("indices", [0], 0, "images")


# ---- normalisation


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.float16, torch.bfloat16])
def test_statistics_are_never_cast_to_the_type_of_the_images(dtype):
    x = torch.tensor([-1, 0, 1, 2]).view(1, 1, 2, 2).expand(2, 3, 2, 2)
    expected = (x.float() * 0.25 + 0.5).mul(255).round().clamp(0, 255).byte()
    assert torch.equal(image_set().to_display(x.to(dtype)), expected)
    assert torch.equal(denormalize_to_bytes(x.to(dtype), [0.5] * 3, [0.25] * 3), expected)
    assert torch.equal(to_bytes(x.to(dtype)), (x.clamp(0, 1) * 255).byte())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_set().to_display(torch.zeros(2, 1, 4, 4)), "each of the 1 channels"),
        (
            lambda: image_set().to_display(torch.zeros(4)),
            r"must be \[..., C, H, W\], got shape \[4\]",
        ),
        (lambda: image_set().to_display(torch.full((1, 3, 2, 2), torch.nan)), "hold NaN or Inf"),
        (lambda: normalize_bytes(torch.ones(3, 2, 2), [0.5] * 3, [0.5] * 3), "must be uint8"),
        (lambda: normalize_bytes(PIXELS, [0.5], [0.5]), "each of the 3 channels"),
        (
            lambda: normalize_bytes(PIXELS, [0.5] * 3, [0.0] * 3),
            r"std\[0\] must be a number above 0",
        ),
        (lambda: normalize(PIXELS, [0.5] * 3, [0.5] * 3), "x must be floats"),
        (lambda: channel_statistics(PIXELS.float()), "images must be uint8"),
    ],
)
def test_normalisations_that_cannot_be_right_are_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()


def test_halves_are_normalised_in_float32():
    x = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0)).half()
    result = normalize(x, [0.4] * 3, [0.3] * 3)
    assert result.dtype == torch.float16
    assert torch.equal(result, ((x.float() - 0.4) / 0.3).half())


def test_hashes_are_of_bytes_of_any_type():
    values = torch.arange(6).bfloat16()
    assert sha256_of(values) == sha256_of(values.view(torch.uint8))


# ---- whitening


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16])
def test_whole_numbers_and_halves_are_whitened_as_floats(dtype):
    x = PIXELS.to(dtype)
    zca, expected = ZCA().fit(x), ZCA().fit(x.float())
    assert zca.forward_matrix.dtype == torch.float32
    assert torch.equal(zca.forward_matrix, expected.forward_matrix)
    white = zca(x)
    assert white.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert torch.equal(white, expected(x.float()).to(white.dtype))
    torch.testing.assert_close(zca.undo(expected(x.float())).round().clamp(0, 255).byte(), PIXELS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ZCA("a"), "epsilon must be a number of at least 0, got 'a'"),
        (lambda: ZCA().fit(torch.full((3, 1, 2, 2), torch.nan)), "3 images hold NaN or Inf"),
        (lambda: ZCA().fit([[1]]), r"images must be \[N, C, H, W\] with N ≥ 2"),
        (
            lambda: ZCA().fit(torch.ones(2, 1, 1, 1).expand(2, 3, 400, 400)),
            "needs .* GB, more than",
        ),
        (
            lambda: ZCA().fit(torch.ones(3, 1, 2, 2).double() * 1e200 * PIXELS[:3, :1, :2, :2]),
            "large",
        ),
        (lambda: ZCA(0).fit(PIXELS[:3]), "with epsilon 0, the 3 images must vary in all 48"),
        (lambda: ZCA.of([0.0] * 4, torch.zeros(4, 4)), "inverse is singular"),
        (
            lambda: ZCA.of([0.0] * 4, torch.eye(3)),
            "mean must have one value for each row of inverse",
        ),
        (lambda: ZCA.of([0.0] * 3, torch.eye(4)), r"mean must .* got 3 values for torch.float32"),
        (lambda: ZCA(1e200).fit(PIXELS), "or epsilon is; scale them first"),
        (lambda: ZCA.of([0.0] * 4, np.float32(1)), r"inverse must be floats \[4, 4\]"),
        (lambda: ZCA.of([torch.nan] * 4, torch.eye(4)), "mean hold NaN or Inf"),
        (lambda: ZCA.of([0.0] * 4, torch.eye(4).long()), "inverse must be floats"),
        (lambda: ZCA.of([0.0] * 4, torch.eye(4), forward=torch.eye(2)), "forward must be floats"),
        (lambda: ZCA().fit(PIXELS)(torch.zeros(3)), "fitted on images of 48 values"),
    ],
)
def test_whitenings_that_cannot_be_right_are_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()


# ---- distilled sets


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mean": [np.nan] * 3}, r"mean\[0\] must be a number, got nan"),
        ({"std": [np.inf] * 3}, r"std\[0\] must be a number above 0, got inf"),
        ({"mean": ()}, "mean must have one number for each of the 3 channels"),
        (
            {"images": torch.full((4, 3, 5, 5), 1e200, dtype=torch.float64)},
            "4 images hold NaN or Inf",
        ),
        ({"images": torch.zeros(4, 3, 5, 5).byte()}, "images must be floats .* convert them"),
        ({"labels": torch.eye(4, 2)}, "soft labels must be probabilities .* image 2"),
        ({"labels": torch.eye(4, 2).long()}, r"for one-hot labels pass labels.argmax\(1\)"),
        ({"labels": torch.full((4, 2), 0.502)}, r"divide them by their sum: y = y.float\(\)"),
        ({"labels": torch.full((4, 2), torch.nan)}, "soft labels must be probabilities"),
        ({"zca": "yes"}, "zca must be a fitted ZCA or None, got 'yes'"),
        ({"zca": ZCA()}, "this ZCA is not fitted"),
        ({"zca": ZCA().fit(PIXELS)}, "zca must be fitted on images of 75 values"),
        ({"learning_rate": "0.1"}, "learning_rate must be a number above 0, got '0.1'"),
        ({"learning_rate": np.datetime64("NaT")}, "learning_rate must be a number above 0"),
        (
            {"labels": torch.eye(3, 2)},
            r"labels must be floats \[4, K\], one row for each of the images",
        ),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, got nan"),
        (
            {"provenance": {"a": object()}},
            r"provenance\['a'\] must be something that JSON can hold",
        ),
        ({"protocol": {(1, 2): 1}}, r"the keys of protocol must be texts, got \(1, 2\)"),
        ({"protocol": "none"}, "protocol must be a mapping"),
    ],
)
def test_a_distilled_set_that_could_not_be_read_again_is_refused(fields, words):
    with pytest.raises(InvalidInput, match=words):
        distilled_set(**fields)


def test_json_that_contains_itself_is_refused():
    values: dict[str, Any] = {}
    values["self"] = values
    with pytest.raises(InvalidInput, match="must have at most 50 levels"):
        check_json("provenance", values)


def test_descriptions_become_what_json_returns():
    values = {
        "path": Path("a.pt"),
        "day": datetime.date(2026, 1, 2),
        "pair": (1, np.float32(0.5)),
        "array": np.arange(3),
        "rate": torch.nn.Parameter(torch.tensor(0.25)),
        "none": None,
        "nan": float("nan"),
        3: {"deep": [True]},
    }
    assert check_json("provenance", values) == {
        "path": "a.pt",
        "day": "2026-01-02",
        "pair": [1, 0.5],
        "array": [0, 1, 2],
        "rate": 0.25,
        "none": None,
        "nan": "nan",
        "3": {"deep": [True]},
    }


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"space": ["model"]}, UnknownName, "unknown space of images"),
        ({"logits": "yes"}, InvalidInput, "logits must be true or false"),
        ({"rate": 0.1}, InvalidInput, "import_ has no argument 'rate'; it has space"),
        ({"labels": [0, 1, 10**12, 1]}, InvalidInput, "labels must be 0..100000, got 10"),
        ({"mean": None}, InvalidInput, "mean must be a list, got None"),
        ({"images": "x.pt"}, InvalidInput, "images must be an array of numbers"),
    ],
)
def test_imports_that_cannot_be_right_are_refused(more, error, words):
    values = {"space": "model", "mean": [0.5] * 3, "std": [0.5] * 3, **more}
    images, labels = (
        values.pop("images", torch.zeros(4, 3, 5, 5)),
        values.pop("labels", [0, 1, 0, 1]),
    )
    with pytest.raises(error, match=words):
        DistilledSet.import_(images, labels, **values)


FLOATS = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    classes=st.integers(1, 40),
    kinds=st.tuples(FLOATS, FLOATS),
    soft=st.sampled_from(["hard", "logits", "rounded", "divided"]),
    convert=st.sampled_from([torch.as_tensor, np.asarray, list]),
    rate=st.sampled_from([None, 0.1, np.float32(0.1), torch.tensor(0.1)]),
    provenance=st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
            lambda items: st.lists(items, max_size=2) | st.tuples(items),
            max_leaves=4,
        ),
        max_size=3,
    ),
    seed=st.integers(0, 99),
)
def test_whatever_is_accepted_can_be_read_again(
    shape, classes, kinds, soft, convert, rate, provenance, seed
):
    generator = torch.Generator().manual_seed(seed)
    count, channels = shape[:2]
    labels: Any = torch.randint(0, classes, (count,), generator=generator)
    if soft != "hard":
        logits = torch.randn(count, classes, generator=generator) * 3
        labels = logits if soft == "logits" else logits.softmax(1).to(kinds[1])
        if soft == "divided":
            labels = labels.float() / labels.float().sum(1, keepdim=True)
    try:
        first = DistilledSet.import_(
            torch.randn(shape, generator=generator).to(kinds[0]),
            labels,
            space="model",
            mean=convert(torch.rand(channels, generator=generator).tolist()),
            std=convert((torch.rand(channels, generator=generator) + 0.1).tolist()),
            class_names=convert(list(range(classes))),
            logits=soft == "logits",
            learning_rate=rate,
            provenance=provenance,
        )
    except InvalidInput as error:
        assert soft == "rounded" and "divide them by their sum" in str(error)  # noqa: PT017, PT018
        return
    with tempfile.TemporaryDirectory() as folder:
        second = DistilledSet.load(first.save(f"{folder}/set.safetensors"))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    for name in ("class_names", "learning_rate", "provenance", "protocol", "sha256"):
        assert getattr(first, name) == getattr(second, name)
    assert [*first.mean, *first.std] == [*second.mean, *second.std]
    assert first.images.dtype == torch.float32


@pytest.mark.parametrize("name", ["a/b", "..", "c:d", "", "e\\f", "\0", "ü" * 300, "\udce9", "x. "])
def test_any_class_name_becomes_a_folder_of_pictures(name, tmp_path):
    distilled_set(class_names=[name, "y"]).to_png(tmp_path / "png")
    folders = sorted(path for path in (tmp_path / "png").iterdir() if path.is_dir())
    assert [folder.name[0] for folder in folders] == ["0", "1"]
    assert [len(list(folder.iterdir())) for folder in folders] == [2, 2]


def test_what_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    two_channels = distilled_set(images=torch.zeros(4, 2, 5, 5), mean=[0.0] * 2, std=[1.0] * 2)
    for call, words in (
        (lambda: distilled_set().to_torch(tmp_path / "file"), "cannot be written"),
        (lambda: distilled_set().to_png(tmp_path / "file"), "cannot be written"),
        (lambda: distilled_set().to_png(7), "folder must be a path, got 7"),
        (lambda: two_channels.to_png(tmp_path / "png"), "PNG holds images of 1, 3 or 4 channels"),
    ):
        with pytest.raises(InvalidInput, match=words):
            call()


# ---- loading


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((["digits"],), {}, "unknown data set"),
        ((None,), {}, "unknown data set None"),
        (("digits", ["train"]), {}, "unknown split"),
        (("digits", None), {}, "unknown split None"),
        (("digits", "training"), {}, "unknown split 'training'"),
        (("digits",), {"size": "16"}, "size must be a whole number .*, got '16'"),
        (("digits",), {"size": 10**6}, "size must be a whole number of at least 1 and at most 256"),
        (("digits",), {"margin": 0.5}, "margin must be a whole number, got 0.5"),
        (("mnist",), {"download": "no"}, "download must be true or false, got 'no'"),
        (("mnist",), {"size": "28"}, "size must be a whole number"),
        (("cifar10",), {"download": "yes"}, "download must be true or false, got 'yes'"),
        (("cifar100",), {"download": 1}, "download must be true or false, got 1"),
        (("voc",), {"download": "no"}, "download must be true or false, got 'no'"),
        (("voc",), {"difficult": "no"}, "difficult must be true or false, got 'no'"),
        (("voc",), {"year": 2012}, "year must be one of '2007', .* got 2012"),
        (("voc",), {"year": np.zeros(3)}, r"year must be one of .* got float64 \[3\]"),
        (("imagenette",), {"size": "16"}, "size must be a whole number"),
        (("imagenet-subset",), {"subset": ["woof"]}, "unknown subset"),
        (("imagenet-subset",), {"subset": "woof", "path": "x" * 5000}, "path must be"),
        (("imagenet-subset",), {"subset": "woof", "path": 7}, "path must be a path, got 7"),
        (("mhist",), {"bands": "45"}, "is not a partition"),
        (("mhist",), {"bands": 4}, "is not a partition"),
        (("folder",), {"path": "nowhere/x"}, "does not exist"),
    ],
    ids=str,
)
def test_arguments_of_load_are_checked(arguments, options, words):
    with pytest.raises((InvalidInput, FileNotFoundError), match=words):
        load(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"count": 4, "clutter": np.array([1, 2])}, {"count": 4, "clutter": (1, 2)}),
        ({"count": torch.tensor(4), "size": 32.0}, {"count": 4}),
        (
            {"count": 4, "object_size": [np.float64(0.2)] * 2},
            {"count": 4, "object_size": (0.2, 0.2)},
        ),
        ({"count": 4, "seed": np.uint8(3)}, {"count": 4, "seed": 3}),
    ],
)
def test_options_of_scenes_may_be_numbers_of_numpy(options, same):
    first, second = load("scenes", **options), load("scenes", **same)
    assert first.sha256 == second.sha256
    assert first.options == second.options

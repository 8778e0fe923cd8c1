"""Test large sets: processed in chunks, decoded by threads, stored in a file, and never in memory more than once."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from toys import run_python

from explore.data import _chunks, _memmap, decoding as reading
from explore.data._chunks import chunks
from explore.data.coresets import select
from explore.data.decoding import read_image_chunks, read_images
from explore.data.image_folder import image_folder
from explore.data.image_set import channel_statistics, sha256_of
from explore.errors import InvalidInput


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "CHUNK_BYTES", 100)


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def photographs(folder: Path, count: int, side: int = 24) -> list[Path]:
    """Write JPEG files of noise with different sizes, so that threads do not finish in order."""
    files = []
    for i in range(count):
        files.append(folder / f"{i:03}.jpg")
        Image.fromarray(noise((side, side, 3), i).numpy()).save(
            files[-1], quality=random.Random(i).randint(20, 100)
        )
    return files


# ---- statistics


@pytest.mark.usefixtures("tiny_chunks")
@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 4),
    low=st.integers(0, 255),
    span=st.integers(0, 255),
    seed=st.integers(0, 9),
)
def test_statistics_are_those_of_all_at_once_in_any_chunks(shape, low, span, seed):
    images = torch.from_numpy(
        np.random.default_rng(seed).integers(low, min(255, low + span) + 1, shape, np.uint8)
    )
    mean, std = channel_statistics(images)
    values = images.numpy().astype(np.longdouble) / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)).astype(float), rtol=1e-15)
    if values[:, 0].size > 1:
        np.testing.assert_allclose(
            std, values.std((0, 2, 3), ddof=1).astype(float), rtol=1e-13, atol=1e-17
        )
    else:
        assert np.isnan(std).all()
    assert (
        str(channel_statistics(images.split(2)))
        == str(channel_statistics(images.flip(0)))
        == str((mean, std))
    )


def test_statistics_equal_those_in_double_precision():
    images = noise((300, 3, 64, 64))
    before = images.double().div(255)
    for tensors in (images, images.split(7), images.permute(0, 1, 3, 2)):
        mean, std = channel_statistics(tensors)
        np.testing.assert_allclose(mean, before.mean((0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(std, before.std((0, 2, 3)), rtol=1e-12)


def test_a_channel_without_contrast_has_none():
    assert channel_statistics(torch.full((900, 2, 5, 5), 77, dtype=torch.uint8)) == (
        [77 / 255] * 2,
        [0.0, 0.0],
    )


# ---- hash


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize(
    "values",
    [
        noise((40, 3, 5, 5)),
        noise((40, 5, 5, 3)).permute(0, 3, 1, 2),
        noise((40, 3, 5, 5))[::3, :, 1:],
        torch.arange(90.0).view(30, 3).T,
        torch.arange(999),
        torch.arange(99) % 3 == 0,
        torch.randn(70, dtype=torch.float16),
        torch.randn(70, requires_grad=True),
        torch.tensor(3.5),
        torch.zeros(0),
        torch.zeros(0, 4),
        torch.zeros(4, 0),
    ],
    ids=lambda values: f"{values.dtype}{list(values.shape)}",
)
def test_the_hash_is_that_of_the_bytes_in_one(values):
    raw = values.detach().contiguous().numpy().tobytes()
    assert sha256_of(values) == hashlib.sha256(raw).hexdigest()
    assert sha256_of(values, values) == hashlib.sha256(2 * raw).hexdigest()


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize("shape", [(), (0,), (7,), (30, 50), (3, 1000), (40, 3, 5, 5), (5, 0)])
def test_chunks_are_views_of_all_elements(shape):
    full = torch.zeros(shape)
    parts = list(chunks(full))
    assert torch.equal(torch.cat(parts), full.reshape(shape or (1,)))
    assert all(
        part.untyped_storage().data_ptr() == full.untyped_storage().data_ptr() for part in parts
    )
    assert all(len(part) <= 1 or part.numel() * 4 <= 100 for part in parts)


# ---- coresets


@pytest.mark.parametrize("method", ["herding", "kcenter"])
def test_a_choice_does_not_depend_on_the_chunks(method, monkeypatch):
    labels = torch.arange(90) % 4
    source = torch.Generator().manual_seed(0)
    for features in (
        noise((90, 3, 6, 6)),
        torch.randn(90, 20, generator=source),
        torch.randn(90, generator=source).half(),
    ):
        full = select(features, labels, method, 9)
        with monkeypatch.context() as patch:
            patch.setattr(_chunks, "CHUNK_BYTES", 200)
            assert torch.equal(select(features, labels, method, 9), full)
            assert torch.equal(select(features.double(), labels, method, 9), full)


@pytest.mark.usefixtures("tiny_chunks")
def test_a_feature_that_is_not_finite_is_found_in_any_chunk():
    features = torch.zeros(50, 10)
    features[[31, 47], 4] = torch.tensor([torch.inf, torch.nan])
    with pytest.raises(InvalidInput, match="2 features hold NaN or Inf, the first is number 31"):
        select(features, torch.zeros(50).long(), "random", 1)


# ---- threads


@pytest.mark.parametrize("threads", [1, 2, 4, 9])
@pytest.mark.parametrize("options", [{}, {"size": 9}, {"grey": True}])
def test_threads_keep_order_and_bytes(tmp_path, monkeypatch, threads, options):
    files = photographs(tmp_path, 70)
    monkeypatch.setattr(reading, "_thread_count", lambda _: threads)
    images = read_images(files, **options)
    for image, file in zip(images, files, strict=True):
        picture = Image.open(file).convert("L" if options.get("grey") else "RGB")
        if size := options.get("size"):
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)
        expected = np.asarray(picture)
        assert (
            image.numpy() == (expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1))
        ).all()
    monkeypatch.setattr(_chunks, "CHUNK_BYTES", 3000)
    parts = list(read_image_chunks(files, **options))
    assert len(parts) > 1
    assert torch.equal(torch.cat(parts), images)


@pytest.mark.parametrize("bad", [(0, 1), (33, 34), (17, 69), (69,)])
def test_the_first_invalid_file_is_named_whichever_thread_is_faster(tmp_path, monkeypatch, bad):
    files = photographs(tmp_path, 70)
    monkeypatch.setattr(reading, "_thread_count", lambda _: 8)
    full = reading._decode

    def slow(path: Path, *options: object) -> np.ndarray:
        time.sleep(0.05 if path == files[bad[0]] else 0)  # the others are reached before
        return full(path, *options)

    monkeypatch.setattr(reading, "_decode", slow)
    for i in bad:
        files[i].write_bytes(b"torn")
    with pytest.raises(InvalidInput, match=rf"{files[bad[0]].name} cannot be read"):
        read_images(files)


def test_small_files_are_read_by_one_thread(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(900))
    large.write_bytes(bytes(90_000))
    assert reading._thread_count(small) == 1
    assert 1 <= reading._thread_count(large) <= min(4, os.cpu_count() or 1)


# ---- allocation


linux = pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="looks into /proc")


def mapped_files() -> list[str]:
    """Return the lines of the mapped files that have no name any more."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if line.endswith("(deleted)")]


@linux
@pytest.mark.parametrize("location", ["TMPDIR", "/var/tmp"])
def test_a_large_set_is_stored_in_an_unlinked_file(tmp_path, monkeypatch, location):
    monkeypatch.setattr(_memmap, "LARGE_BYTES", 1000)
    if location == "TMPDIR":
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
    else:
        monkeypatch.delenv("TMPDIR", raising=False)
    before, images = len(mapped_files()), _memmap.allocate_pixels((10, 3, 40, 40))
    assert len(mapped_files()) == before + 1
    folder = tmp_path if location == "TMPDIR" else location
    assert sum(f" {folder}/" in line for line in mapped_files()) == 1
    assert not any(tmp_path.iterdir())
    images.copy_(noise((10, 3, 40, 40)))
    part = images[3:5]
    del images
    assert torch.equal(part, noise((10, 3, 40, 40))[3:5])
    del part
    assert len(mapped_files()) == before
    assert _memmap.allocate_pixels((10, 100)).shape == (10, 100)  # not above it
    assert len(mapped_files()) == before


@linux
def test_images_in_a_file_are_as_those_in_memory(tmp_path, monkeypatch):
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        photographs(tmp_path / name, 12)
    before = {split: image_folder(split, path=tmp_path) for split in ("train", "test")}
    monkeypatch.setattr(_memmap, "LARGE_BYTES", 0)
    for split, expected in before.items():
        images = image_folder(split, path=tmp_path)
        assert images.sha256 == expected.sha256
        assert (images.mean, images.std) == (expected.mean, expected.std)
        assert torch.equal(images.batch([3, 1]), expected.batch([3, 1]))
        assert images.subset([4, 2]).sha256 == expected.subset([4, 2]).sha256


@pytest.mark.parametrize("trouble", ["no folder", "full", "refused", "unknown"])
def test_a_set_is_stored_in_memory_if_no_file_can_be_created(tmp_path, monkeypatch, trouble):
    monkeypatch.setattr(_memmap, "LARGE_BYTES", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(
        "tempfile.tempdir", str(tmp_path / "none" if trouble == "no folder" else tmp_path)
    )

    def refuse(*_: object) -> None:
        raise OSError("not here")

    if trouble == "full":
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 19}))
    elif trouble == "refused":
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    elif trouble == "unknown":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    images = _memmap.allocate_pixels((2, 5)).fill_(7)
    assert images.tolist() == [[7] * 5] * 2
    assert not any(tmp_path.iterdir())


# ---- memory

LOAD = """
import resource, sys
from explore.data.coresets import select
from explore.data import load
load("digits", "val").batch()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
before = peak()
made = load("folder", sys.argv[1], path=sys.argv[2])
made.batch(range(16))
made.sha256
select(made.images, made.labels, "kcenter", 2)
print(len(made), made.images.nbytes / 2**20, peak() - before)
"""


@pytest.mark.slow
@linux
@pytest.mark.parametrize("split", ["train", "test"])
def test_loading_takes_little_more_than_the_bytes_themselves(tmp_path, split):
    shades = np.linspace(0, 255, 224).astype(np.uint8)
    Image.fromarray(np.stack([np.tile(shades, (224, 1))] * 3, -1)).save(tmp_path / "one.jpg")
    for part, count in (("train", 40), ("test", 2)):
        for k in range(10):
            (tmp_path / part / f"{k}").mkdir(parents=True)
            for i in range(count):
                os.link(tmp_path / "one.jpg", tmp_path / part / f"{k}" / f"{i}.jpg")
    (tmp_path / "val" / "0").mkdir(parents=True)
    os.link(tmp_path / "one.jpg", tmp_path / "val" / "0" / "1.jpg")
    count, size, growth = map(float, run_python(LOAD, split, str(tmp_path)).split())
    assert (count, round(size)) == ((400, 57) if split == "train" else (20, 3))
    # one class as float64 is 46 MB, a batch and its like 10 MB each; all images as float64 would be 460 MB
    assert growth < size + 350

"""Every format against torch, and its arrays against loops, on random sizes; non-finite values; views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sparse_oracles import (
    EVERY,
    EXAMPLES,
    SPARSE,
    Case,
    assert_close,
    assert_same_products,
    brute_sizes,
    cases,
    literal_convolution,
    literal_cpo,
    make_case,
    maps,
    oracle,
    readable_maps,
)

from explore.sparseconv import Geometry, conv2d, encode

SMALL = make_case(2, 3, 4, (6, 7), (3, 2), (1, 2), (1, 0), 0.4, 3)


# ---- random sizes


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_every_method_equals_torch(case) -> None:
    for method, options in EVERY:
        assert_close(conv2d(*case, method=method, **options), case)


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_decoding_returns_the_maps(case) -> None:
    expected = readable_maps(case)
    for method, options in EVERY:
        decoded = encode(case.x, **case.sizes, method=method, **options).decode()
        if method == "im2col":  # rows that no window reads are lost too
            sizes, (kh, _), (sh, _), ph = (
                brute_sizes(case),
                case.kernel,
                case.stride,
                case.padding[0],
            )
            read = [
                any(y * sh <= i + ph < y * sh + kh for y in range(sizes.oh))
                for i in range(case.x.shape[2])
            ]
            assert np.array_equal(decoded, np.where(np.array(read)[:, None], expected, 0))
        else:
            assert np.array_equal(decoded, expected)
        assert not np.signbit(decoded[decoded == 0]).any() or method in ("im2col", "mec")


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_geometry_equals_loops(case) -> None:
    g, sizes = Geometry(case.x.shape, *case.sizes.values()), brute_sizes(case)
    assert (g.padded, g.output) == ((sizes.height, sizes.width), (sizes.oh, sizes.ow))
    assert g.windows.tolist() == [len(readers) for readers in sizes.readers]
    assert all(g.owner[j] == readers[0] for j, readers in enumerate(sizes.readers) if readers)
    assert max(g.windows) <= g.classes
    real = range(case.padding[1], case.padding[1] + case.x.shape[3])
    keys = [(len(sizes.readers[j]), sizes.readers[j][0], j) for j in real if sizes.readers[j]]
    assert g.order.tolist() == [j for *_, j in sorted(keys)]
    buckets = [key[:2] for key in sorted(keys)]
    assert g.rank.tolist() == [
        buckets[:index].count(bucket) for index, bucket in enumerate(buckets)
    ]


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_cpo_of_one_map_equals_loops(case) -> None:
    single = Case(
        case.x[:1, :1], case.weight[:1, :1], np.zeros(1, np.float32), case.stride, case.padding
    )
    values, indices, pointers = literal_cpo(single)
    for kind in ("shared", "per-channel"):
        encoding = encode(single.x, **single.sizes, pointers=kind)
        assert encoding.arrays()["values"].tolist() == values
        assert encoding.arrays()["indices"].tolist() == indices
        if kind == "shared" or values:
            assert [row[0].tolist() for row in encoding.pointers] == pointers
    assert_close(
        literal_convolution(values, indices, pointers, single)[None, None].astype(np.float32),
        single,
    )


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_trimmed_pointers_have_the_same_entries(case) -> None:
    for method in ("cpo", "cps"):
        untrimmed, trimmed = (
            encode(case.x, **case.sizes, method=method, trim=trim) for trim in (False, True)
        )
        for a, b in zip(untrimmed.entries(), trimmed.entries(), strict=True):
            assert np.array_equal(a, b)
        left_out = untrimmed.elements - trimmed.elements
        ow = untrimmed.geometry.output[1]
        trims = case.stride[1] == 1 and case.kernel[1] > 1
        assert left_out == (len(case.x) * (ow + 1 - min(ow + 1, 3)) if trims else 0)


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_cpo_equals_cscc_without_horizontal_overlap(case) -> None:
    case = case._replace(stride=(case.stride[0], max(case.kernel[1], case.stride[1])))
    cpo, cscc = (encode(case.x, **case.sizes, method=method) for method in ("cpo", "cscc"))
    assert cpo.elements == cscc.elements
    assert np.array_equal(cpo.pointers[0], cscc.pointers)
    for image in range(len(case.x)):
        for ends in np.lib.stride_tricks.sliding_window_view(cscc.pointers[image], 2):
            base = cscc.pointers[:image, -1].sum(dtype=int)
            part = slice(base + int(ends[0]), base + int(ends[1]))
            assert sorted(cpo.indices[part]) == cscc.indices[part].tolist()


# ---- what is not finite


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_nan_and_infinities_propagate(method, options) -> None:
    case = make_case(2, 3, 2, (9, 8), (3, 3), (1, 1), (1, 1), 0.3, 0)
    case.x[0, 1, 2, 3], case.x[1, 2, 0, 0], case.x[1, 0, 7, 7], case.x[1, 1, 7, 6] = (
        np.nan,
        np.inf,
        -np.inf,
        np.inf,
    )
    case.weight[0, 2] = 0  # infinity times zero is NaN
    actual, expected = conv2d(*case, method=method, **options), oracle(case)
    assert np.array_equal(np.isnan(actual), np.isnan(expected))
    assert np.array_equal(np.isinf(actual), np.isinf(expected))
    assert np.allclose(actual, expected, 1e-4, 1e-5, equal_nan=True)
    decoded = encode(case.x, **case.sizes, method=method, **options).decode()
    assert np.array_equal(decoded, case.x + 0.0, equal_nan=True)


@pytest.mark.parametrize(("method", "options"), SPARSE)
def test_minus_zero_is_zero(method, options) -> None:
    x = np.full((1, 2, 5, 5), -0.0, np.float32)
    x[0, 0, 2, 2] = 1
    encoding = encode(x, 3, method=method, **options)
    assert set(encoding.arrays()["values"].tolist()) == {1.0}
    subnormal = np.array(
        [[1e-45, 0], [0, -1e-45]], np.float32
    )  # but the least of all numbers is not
    assert sorted(
        set(encode(subnormal, 1, method=method, **options).arrays()["values"].tolist())
    ) == sorted({float(np.float32(1e-45)), float(np.float32(-1e-45))})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_weight_is_not_multiplied_by_zeros(bad) -> None:
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 0, 0] = 2
    weight = np.full((1, 1, 3, 3), bad, np.float32)
    weight[0, 0, 0, 0] = 1
    assert np.isnan(conv2d(x, weight, method="mec")).all()
    for method, options in SPARSE:
        assert conv2d(x, weight, method=method, **options).tolist() == [[[[2]]]]


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_sums_beyond_float32_are_infinite(method, options) -> None:
    x, weight = np.full((1, 1, 2, 2), 3e38, np.float32), np.ones((1, 1, 2, 2), np.float32)
    assert conv2d(x, weight, method=method, **options).tolist() == [[[[np.inf]]]]


# ---- what may be given


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_views_and_read_only_arrays_are_accepted(method, options) -> None:
    expected = conv2d(*SMALL, method=method, **options)
    x, weight = SMALL.x, SMALL.weight
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # channels last
    buffer = np.zeros((2, 6, 6, 14), np.float32)
    buffer[:, ::2, :, ::2] = x
    back = np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    fixed = x.copy()
    fixed.flags.writeable = False
    for view in (
        last,
        buffer[:, ::2, :, ::2],
        back,
        np.asfortranarray(x),
        fixed,
        torch.from_numpy(x),
    ):
        assert_same_products(
            conv2d(view, weight, *SMALL[2:], method, **options), SMALL, method, expected
        )
    turned = np.ascontiguousarray(weight[::-1, :, ::-1])[::-1, :, ::-1]
    for filters in (
        np.asfortranarray(weight),
        turned,
        torch.nn.Parameter(torch.from_numpy(weight)),
    ):
        assert_same_products(
            conv2d(x, filters, SMALL.bias[::-1][::-1], *SMALL[3:], method, **options),
            SMALL,
            method,
            expected,
        )


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_missing_first_axes_mean_one_image_or_map(method, options) -> None:
    case = SMALL._replace(x=SMALL.x[:1, :1], weight=SMALL.weight[:, :1])
    expected = conv2d(*case, method, **options)
    assert expected.shape[0] == 1
    assert_same_products(conv2d(case.x[0], *case[1:], method, **options), case, method, expected)
    assert_same_products(conv2d(case.x[0, 0], *case[1:], method, **options), case, method, expected)


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_images_of_a_batch_are_convolved_one_by_one(method, options) -> None:
    x = np.concatenate([SMALL.x, np.zeros_like(SMALL.x), SMALL.x[::-1]])
    together = conv2d(x, *SMALL[1:], method, **options)
    for image, output in zip(x, together, strict=True):
        assert np.allclose(conv2d(image, *SMALL[1:], method, **options)[0], output, 1e-5, 1e-6)


@pytest.mark.parametrize(("method", "options"), EVERY)
def test_inputs_do_not_change_and_encodings_are_read_only(method, options) -> None:
    before = [a.copy() for a in SMALL[:3]]
    encoding = encode(SMALL.x, **SMALL.sizes, method=method, **options)
    encoding.convolve(SMALL.weight, SMALL.bias)
    assert all(np.array_equal(a, b) for a, b in zip(before, SMALL, strict=False))
    for array in encoding.arrays().values():
        assert not np.shares_memory(array, SMALL.x)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(AttributeError):
        encoding.geometry = None  # type: ignore[misc]


@pytest.mark.parametrize("channels", [31, 32, 33, 63, 65])
@pytest.mark.parametrize("filters", [1, 15, 17])
def test_channel_and_filter_tails(channels, filters) -> None:
    case = make_case(1, channels, filters, (5, 6), (3, 3), (1, 1), (1, 1), 0.3, channels)
    for method, options in EVERY:
        assert_close(conv2d(*case, method=method, **options), case)


@pytest.mark.parametrize(
    ("kernel", "size"),
    [((1, 1), (1, 1)), ((7, 7), (1, 1)), ((1, 7), (3, 7)), ((7, 1), (7, 3)), ((2, 5), (2, 6))],
)
@pytest.mark.parametrize("stride", [(1, 1), (3, 3), (9, 9)])
def test_one_window_few_windows_and_gaps(kernel, size, stride) -> None:
    case = make_case(2, 2, 2, size, kernel, stride, (3, 3), 0.7, 1)
    for method, options in EVERY:
        assert_close(conv2d(*case, method=method, **options), case)


def test_nothing_but_zeros_and_nothing_but_padding() -> None:
    weight, bias = SMALL.weight, SMALL.bias
    for x in (np.zeros((2, 3, 6, 7), np.float32), np.full((2, 3, 1, 1), -0.0, np.float32)):
        for method, options in EVERY:
            output = conv2d(x, weight, bias, padding=(3, 3), method=method, **options)
            assert np.array_equal(output, np.broadcast_to(bias[:, None, None], output.shape))


def test_random_maps_have_the_given_density() -> None:
    assert abs((maps((4, 8, 30, 30), 0.3, 0) != 0).mean() - 0.3) < 0.01
    assert np.signbit(maps((10, 10), 0, 0)).any()

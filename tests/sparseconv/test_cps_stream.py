"""The authors' stream of CPS indices: its content, and that one stream can stand for two maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sparse_oracles import M, maps

from explore.errors import InvalidInput
from explore.sparseconv import CPSStream, encode, encode_cps_stream


def column(rows: list[int], height: int, width: int = 4) -> np.ndarray:
    """Return a map with ones in these rows of its first column."""
    x = np.zeros((1, 1, height, width), np.float32)
    x[0, 0, rows, 0] = 1
    return x


def stream(x: np.ndarray, kernel: int = 3, **options) -> CPSStream:
    return encode_cps_stream(x, kernel, **options)


@pytest.mark.parametrize(
    ("rows", "indices"),
    [
        ([], []),
        ([2], [2]),
        ([5, 7], [5, 7]),
        ([0, 1, 2], [0, 7]),
        ([1, 2, 3], [0, 14]),
        ([4, 5, 6, 7], [4, 15]),
        ([4, 6, 7, 8], [4, 13, 8]),  # row 8 begins the next set, of two rows
        ([0, 3, 8, 9], [0, 3, 8, 9]),
    ],
)
def test_sets_of_the_first_column(rows, indices) -> None:
    assert stream(column(rows, 10)).indices.tolist() == indices


def test_padding_moves_rows_and_columns() -> None:
    assert stream(column([0, 1, 2], 10), padding=1).indices.tolist() == [12 + 0, 14]


def test_indices_alone_are_ambiguous() -> None:
    single, coded = stream(column([0, 7], 8)), stream(column([0, 1, 2], 8))
    assert single.indices.tolist() == coded.indices.tolist() == [0, 7]
    assert len(single.values) != len(coded.values)  # the pointers tell these two apart
    read = [np.flatnonzero(x[:, 0]).tolist() for x in single.readings(pointers=False)]
    assert sorted(read) == [[0, 1, 2], [0, 7]]
    assert len(single.readings()) == len(coded.readings()) == 1


def test_values_and_pointers_do_not_remove_the_ambiguity() -> None:
    first, second = column([0, 1, 2, 8, 11], 12), column([0, 7, 8, 9, 11], 12)
    a, b = stream(first), stream(second)
    assert a.indices.tolist() == b.indices.tolist() == [0, 7, 8, 11]
    assert a.values.tolist() == b.values.tolist()
    assert [row.tolist() for row in a.pointers] == [row.tolist() for row in b.pointers]
    assert sorted(x.tolist() for x in a.readings()) == sorted(
        x.tolist() for x in (first[0, 0], second[0, 0])
    )
    words = [encode(x, 3, method="cps").arrays()["words"].tolist() for x in (first, second)]
    assert words[0] != words[1]  # what the words are for


def test_the_worked_example_has_one_reading() -> None:
    assert [x.tolist() for x in stream(M).readings()] == [M.tolist()]


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 4)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    density=st.sampled_from([0.1, 0.5, 0.9]),
    seed=st.integers(0, 10**6),
)
def test_the_map_is_always_among_the_readings(size, stride, padding, density, seed) -> None:
    x = maps((1, 1, *size), density, seed)
    decoded = encode(x, 3, stride, padding).decode()[0, 0]
    readings = encode_cps_stream(x, 3, stride, padding).readings()
    assert any(np.array_equal(reading, decoded) for reading in readings)


def test_a_mask_beyond_the_map_is_no_position() -> None:
    x = column([0, 1, 2, 3], 4, 3)  # 15 is a mask: there are 12 positions
    assert stream(x).indices.tolist() == [0, 15]
    assert [reading.tolist() for reading in stream(x).readings(pointers=False)] == [
        x[0, 0].tolist()
    ]


def test_invalid_maps_are_refused() -> None:
    with pytest.raises(InvalidInput, match="x must be float32, got float64"):
        encode_cps_stream(M.astype(float), 3)
    with pytest.raises(InvalidInput, match="larger than the padded map"):
        encode_cps_stream(M, 6)


def test_readings_are_of_one_map() -> None:
    with pytest.raises(InvalidInput, match="readings are of one map, got 1 images of 2 channels"):
        stream(np.ones((1, 2, 4, 4), np.float32)).readings()


def test_positions_of_channels_are_consecutive() -> None:
    x = np.concatenate([column([0], 8), column([0, 1, 2], 8)], axis=1)
    encoding = stream(x)
    assert encoding.indices.tolist() == [0, 8 * 4, 7]
    assert encoding.pointers[0].tolist() == [[0, 4, 4]]
    assert encoding.nbytes == 4 * 4 + 3 * 2 + 9 * 2


def test_wider_indices_are_used_when_needed() -> None:
    assert stream(np.ones((1, 16, 64, 64), np.float32)).indices.dtype == np.uint16
    assert stream(np.ones((1, 16, 65, 64), np.float32)).indices.dtype == np.uint32
    with pytest.raises(InvalidInput, match="does not fit in 2 bytes"):
        stream(np.ones((1, 16, 65, 64), np.float32), index_bytes=2)

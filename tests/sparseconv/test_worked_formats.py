"""The worked example, a 4×5 map with a 3×3 kernel: every array of every format, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sparse_oracles import KERNEL, OUTPUT, WAYS, M

from explore.sparseconv import Geometry, conv2d, encode, encode_cps_stream


def as_integers(**arrays: Any) -> dict[str, list[Any]]:
    return {name: [int(v) for v in np.ravel(array)] for name, array in arrays.items()}


@pytest.mark.parametrize(("method", "options"), WAYS)
def test_every_format_convolves_and_decodes_it(method, options) -> None:
    encoding = encode(M, 3, method=method, **options)
    assert encoding.convolve(KERNEL).tolist() == [[OUTPUT]]
    assert encoding.convolve(KERNEL, np.array([0.5], np.float32)).tolist() == [
        [(np.array(OUTPUT) + 0.5).tolist()]
    ]
    assert encoding.decode().tolist() == [[M.tolist()]]
    assert conv2d(M, KERNEL, method=method, **options).tolist() == [[OUTPUT]]


def test_geometry() -> None:
    g = Geometry((1, 1, 4, 5), 3)
    assert (g.padded, g.output, g.classes) == ((4, 5), (2, 3), 3)
    assert g.windows.tolist() == [1, 2, 3, 2, 1]
    assert g.owner.tolist() == [0, 0, 0, 1, 2]
    assert g.order.tolist() == [0, 4, 1, 3, 2]
    assert g.rank.tolist() == [0] * 5
    assert g.window_columns.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert (g.im2col_elements, g.mec_elements) == (54, 36)


def test_im2col() -> None:
    encoding = encode(M, 3, method="im2col")
    assert encoding.arrays()["matrix"].astype(int).tolist() == [
        [
            [1, 0, 0, 0, 2, 0, 3, 0, 0],
            [0, 0, 4, 2, 0, 5, 0, 0, 6],
            [0, 4, 0, 0, 5, 0, 0, 6, 7],
            [0, 2, 0, 3, 0, 0, 0, 0, 0],
            [2, 0, 5, 0, 0, 6, 0, 0, 0],
            [0, 5, 0, 0, 6, 7, 0, 0, 8],
        ]
    ]
    assert (encoding.elements, encoding.nbytes, encoding.compression_ratio()) == (54, 216, 1)


def test_mec() -> None:
    encoding = encode(M, 3, method="mec")
    assert encoding.arrays()["lowered"].astype(int).tolist() == [
        [
            [1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0],
            [0, 0, 4, 2, 0, 5, 0, 0, 6, 0, 0, 0],
            [0, 4, 0, 0, 5, 0, 0, 6, 7, 0, 0, 8],
        ]
    ]
    assert (
        encoding.elements,
        encoding.nbytes,
        encoding.compression_ratio(),
        encoding.compression_ratio("mec"),
    ) == (36, 144, 1.5, 1)


def test_cscc() -> None:
    encoding = encode(M, 3, method="cscc")
    assert as_integers(**encoding.arrays()) == {
        "values": [1, 2, 3, 4, 2, 5, 6, 4, 5, 6, 7, 8],
        "indices": [0, 4, 6, 2, 3, 5, 8, 1, 4, 7, 8, 11],
        "pointers": [0, 3, 7, 12],
    }
    assert (encoding.elements, encoding.nbytes) == (28, 12 * 4 + 12 * 2 + 4 * 2)


@pytest.mark.parametrize("trim", [False, True])
def test_cpo(trim) -> None:
    encoding = encode(M, 3, trim=trim)
    assert as_integers(**encoding.arrays()) == {
        "values": [1, 3, 7, 8, 2, 4, 5, 6],
        "indices": [0, 6, 8, 11, 4, 2, 5, 8],
        "pointers_1": [0, 2, 4] if trim else [0, 2, 2, 4],
        "pointers_2": [0, 1, 4, 4],
        "pointers_3": [0, 0, 0, 0],
    }
    assert (encoding.elements, encoding.nbytes) == (
        (27, 32 + 16 + 22) if trim else (28, 32 + 16 + 24)
    )
    assert encoding.compression_ratio(unit="elements") == 54 / encoding.elements
    assert encoding.compression_ratio("mec", unit="elements") == 36 / encoding.elements
    assert encoding.compression_ratio("map") == 80 / encoding.nbytes


def test_cpo_with_pointers_per_channel_lists_the_maps() -> None:
    encoding = encode(M, 3, pointers="per-channel", trim=True)
    assert as_integers(**encoding.arrays())["maps"] == [0]
    assert (encoding.elements, encoding.nbytes) == (27, 70 + 2)


def test_cps_with_words_that_contain_their_column() -> None:
    encoding = encode(M, 3, method="cps", pointers="per-channel")
    assert as_integers(**encoding.arrays()) == {
        "values": [1, 3, 7, 8, 2, 4, 5, 6],
        "words": [16 * 0 + 5, 16 * 4 + 12, 16 * 1 + 2, 16 * 3 + 7],
        "pointers_1": [0, 4],
        "maps": [0],
    }
    arrays = encoding.arrays()
    assert arrays["values"].nbytes + arrays["words"].nbytes == 40
    assert (encoding.elements, encoding.nbytes) == (8 + 4 + 2, 40 + 4 + 2)


@pytest.mark.parametrize("trim", [False, True])
def test_cps_with_shared_pointers(trim) -> None:
    encoding = encode(M, 3, method="cps", trim=trim)
    assert as_integers(**encoding.arrays()) == {
        "values": [1, 3, 7, 8, 2, 4, 5, 6],
        "words": [5, 12, 2, 7],  # one channel, one set a column: g = 0
        "pointers_1": [0, 1, 2] if trim else [0, 1, 1, 2],
        "pointers_2": [0, 1, 2, 2],
        "pointers_3": [0, 0, 0, 0],
    }
    assert encoding.nbytes == (62 if trim else 64)


def test_the_authors_stream() -> None:
    encoding = encode_cps_stream(M, 3)
    assert encoding.indices.tolist() == [0, 2, 18, 19, 5, 12, 7]
    assert encoding.values.tolist() == [1, 3, 7, 8, 2, 4, 5, 6]
    assert [row.tolist() for row in encoding.pointers] == [
        [[0, 2, 2, 4]],
        [[0, 1, 4, 4]],
        [[0, 0, 0, 0]],
    ]
    assert encoding.elements == 27


def test_two_channels_share_a_bucket_column_by_column() -> None:
    x = np.zeros((2, 4, 5), np.float32)
    x[0], x[1] = M, 10 * M[:, ::-1]
    encoding = encode(x, 3)  # columns 0 | 4 | 1 | 3, each first of channel 0, then of channel 1
    assert encoding.arrays()["values"].tolist() == [
        1,
        3,
        70,
        80,
        7,
        8,
        10,
        30,
        2,
        40,
        50,
        60,
        4,
        5,
        6,
        20,
    ]
    assert encoding.arrays()["indices"].tolist() == [
        0,
        6,
        18,
        21,
        8,
        11,
        14,
        20,
        4,
        13,
        16,
        19,
        2,
        5,
        8,
        17,
    ]
    pointers = [encoding.arrays()[f"pointers_{t}"][0].tolist() for t in (1, 2, 3)]
    assert pointers == [[0, 4, 4, 8], [0, 4, 8, 8], [0, 0, 0, 0]]
    words = (
        encode(x, 3, method="cps").arrays()["words"].tolist()
    )  # g is the channel, as a column is one set
    assert words == [5, 16 + 12, 12, 16 + 5, 2, 16 + 7, 7, 16 + 2]

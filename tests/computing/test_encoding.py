"""Results travel as text: the same numbers give the same text, and come back as they were."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from computing.encoding import decoded, encoded, result_hash

ARRAYS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    hnp.arrays(st.sampled_from(["<f8", "<i8", "|u1"]), hnp.array_shapes(min_side=0, max_dims=3)),
    max_size=3,
)


@given(ARRAYS)
def test_arrays_come_back_as_they_were(arrays):
    back = decoded(encoded(arrays))
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_the_layout_in_memory_does_not_change_the_text():
    table = np.arange(12.0).reshape(3, 4)
    same = [table, np.asfortranarray(table), table.astype(">f8"), np.repeat(table, 2, 1)[:, ::2]]
    assert len({encoded({"x": array}) for array in same}) == 1


def test_every_nan_is_the_same_nan():
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    assert encoded({"x": odd}) == encoded({"x": np.full(2, np.nan)})


def test_the_hash_is_of_keys_and_results_in_the_order_of_the_keys():
    results = [("b", "2"), ("a", "1")]
    assert result_hash(results) == result_hash(reversed(results))
    assert result_hash(results) != result_hash([("b", "1"), ("a", "2")])
    assert result_hash([("a", "bc")]) != result_hash([("ab", "c")])

"""The largest numbers, compared with sorting all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.statistics.ranking import largest_indices


@given(st.lists(st.integers(-3, 3), max_size=30), st.integers(1, 40))
def test_they_are_the_first_of_all_sorted_with_ties_by_index(values, count):
    wanted = sorted(range(len(values)), key=lambda index: (-values[index], index))[:count]
    assert largest_indices(np.array(values, dtype=np.float32), count).tolist() == wanted

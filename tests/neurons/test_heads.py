"""The table of heads, from made-up caches."""

import h5py
import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.neurons.heads import COLUMNS, describe_heads, read_heads

# Two layers of two heads, three coordinates each.
REDUCTIONS = [[0.1, -0.4], [0.9, 0.2]]


@pytest.fixture
def heads(tmp_path):
    """The table of two made-up caches."""
    parts = pd.DataFrame({"layer": [1, 0, 0, 1, 0], "head": [0, 1, 0, 1, -1]})
    parts["part"] = ["head"] * 4 + ["embedding"]
    parts["reduction"] = [0.9, -0.4, 0.1, 0.2, 7.0]
    for name, start in (("pre", 0.0), ("post", 100.0)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["attn_z_mean"] = np.arange(12, dtype=np.float32).reshape(2, 6) + start
    with h5py.File(tmp_path / "pre.h5") as pre, h5py.File(tmp_path / "post.h5") as post:
        return describe_heads(pre, post, parts)


def test_each_coordinate_has_its_means_and_its_heads_reduction(heads):
    assert tuple(heads.columns) == COLUMNS
    assert heads["activation_pre"].tolist() == list(range(12))
    assert heads["activation_post"].tolist() == list(range(100, 112))
    assert heads["head"].tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert heads["reduction"].tolist() == [r for row in REDUCTIONS for r in row for _ in range(3)]


def test_the_table_survives_parquet_and_names_what_it_lacks(heads, tmp_path):
    heads.to_parquet(tmp_path / "heads.parquet")
    pd.testing.assert_frame_equal(read_heads(tmp_path / "heads.parquet"), heads)
    heads.drop(columns="head").to_parquet(tmp_path / "heads.parquet")
    with pytest.raises(InputError, match=r"heads\.parquet.*'head'"):
        read_heads(tmp_path / "heads.parquet")

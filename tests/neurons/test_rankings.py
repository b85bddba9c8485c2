"""Rankings of neurons, compared with sums by hand over prompts."""

import h5py
import numpy as np
import pytest

from dpo_neurons.neurons.rankings import (
    change_on_same_text,
    effect_sizes,
    read_ranking,
    tabulate_ranking,
)


@pytest.fixture
def caches(tmp_path):
    """Caches of six prompts, two layers and five neurons; one prompt got no token."""
    random = np.random.default_rng(2)
    mask = np.ones((6, 3), dtype=bool)
    mask[4] = False
    files = {}
    for name in ("pre", "post", "crossed"):
        files[name] = h5py.File(tmp_path / f"{name}.h5", "w")
        files[name]["mask"] = mask
        files[name]["mlp_post"] = random.normal(size=(6, 2, 5)).astype(np.float16)
        files[name]["mlp_post_mean"] = random.normal(size=(2, 5)).astype(np.float32)
        files[name]["mlp_post_same_text_mean"] = random.normal(size=(2, 5)).astype(np.float32)
    files["post"]["mlp_post"][:, 1, 3] = files["pre"]["mlp_post"][:, 1, 3]
    return files


def test_the_change_is_on_the_first_models_text(caches):
    expected = caches["crossed"]["mlp_post_same_text_mean"][:] - caches["pre"]["mlp_post_mean"][:]
    found = change_on_same_text(caches["pre"], caches["crossed"])
    np.testing.assert_allclose(found, np.abs(expected), rtol=1e-6)


def test_an_effect_size_is_a_mean_in_standard_deviations(caches):
    sizes = effect_sizes(caches["pre"], caches["post"])
    assert sizes.shape == (2, 5)
    assert sizes[1, 3] == 0  # nothing changed
    written = [0, 1, 2, 3, 5]
    before, after = (caches[n]["mlp_post"][:].astype(float)[written, 0, 2] for n in ("pre", "post"))
    changes = after - before
    mean = sum(changes) / 5
    variance = sum((change - mean) ** 2 for change in changes) / 4
    assert sizes[0, 2] == pytest.approx(abs(mean) / variance**0.5)


def test_a_ranking_survives_a_file(tmp_path):
    table = tabulate_ranking(np.arange(6.0).reshape(2, 3))
    table.to_parquet(tmp_path / "r.parquet")
    found = read_ranking(tmp_path / "r.parquet")
    assert list(found.itertuples(index=False, name=None)) == [
        (layer, neuron, 3.0 * layer + neuron) for layer in range(2) for neuron in range(3)
    ]

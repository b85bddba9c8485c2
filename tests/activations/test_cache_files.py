"""Activation caches: means, precision, and errors."""

import logging
import random as py_random
import shutil

import h5py
import numpy as np
import pytest
from support.whole_cache import new_cache

from dpo_neurons.activations.cache import CROSSED_DATASETS, DATASETS, open_cache
from dpo_neurons.errors import InputError
from dpo_neurons.files.hdf5 import read_attributes

FLOAT16_MAX = 65504.0
N_PROMPTS, N_TOKENS, N_LAYERS, D_MLP, D_MODEL = 5, 4, 2, 3, 6
random = np.random.default_rng(2)
COUNTS = np.array([4, 1, 0, 3, 2])
MASK = np.arange(N_TOKENS) < COUNTS[:, None]
TOKENS = random.integers(100, size=(N_PROMPTS, N_TOKENS))
# Activations of every position; uncounted positions are zero.
POSITIONS = random.normal(size=(N_LAYERS, N_PROMPTS, N_TOKENS, D_MLP)) * MASK[..., None]
OUTPUTS = random.normal(size=(N_LAYERS, N_PROMPTS, N_TOKENS, D_MODEL)) * MASK[..., None]
STREAMS = random.normal(size=(N_LAYERS, N_PROMPTS, N_TOKENS, D_MODEL)) * MASK[..., None]


def write(path, sums=None, batch_size=2, counts=COUNTS, residuals=None):
    everything = {
        "mlp_post": POSITIONS.sum(axis=2).astype(np.float32) if sums is None else sums,
        "mlp_out": OUTPUTS.sum(axis=2).astype(np.float32),
        "resid_post": STREAMS.sum(axis=2).astype(np.float32) if residuals is None else residuals,
    }
    mask = np.arange(N_TOKENS) < counts[:, None]
    with new_cache(path, N_PROMPTS, N_TOKENS, {"model": "m", "revision": "r"}) as cache:
        for start in range(0, N_PROMPTS, batch_size):
            rows = slice(start, start + batch_size)
            part = {name: each[:, rows].swapaxes(0, 1) for name, each in everything.items()}
            cache.add(start, TOKENS[rows], mask[rows], part)
    return path


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_means_are_over_tokens_and_not_over_prompts(tmp_path, batch_size):
    with open_cache(write(tmp_path / "a.h5", batch_size=batch_size)) as cache:
        everything = POSITIONS[:, MASK]
        np.testing.assert_allclose(cache["mlp_post_mean"], everything.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(cache["mlp_out_mean"], OUTPUTS[:, MASK].mean(axis=1), rtol=1e-5)
        of_prompts = np.array([POSITIONS[:, i, m].mean(axis=1) for i, m in enumerate(MASK) if m[0]])
        assert np.abs(of_prompts.mean(axis=0) - cache["mlp_post_mean"]).max() > 0.01
        counted = COUNTS > 0
        np.testing.assert_allclose(cache["mlp_post"][counted], of_prompts, atol=2e-3)
        streams = [STREAMS[:, i, m].mean(axis=1) for i, m in enumerate(MASK) if m[0]]
        np.testing.assert_allclose(cache["resid_post"][counted], streams, rtol=1e-5, atol=1e-6)
        assert (cache["mlp_post"][~counted] == 0).all()
        assert (cache["resid_post"][~counted] == 0).all()


def test_the_file_holds_what_the_contract_says(tmp_path):
    with open_cache(write(tmp_path / "a.h5")) as cache:
        datasets = {name: (cache[name].shape, str(cache[name].dtype)) for name in cache}
        np.testing.assert_array_equal(cache["tokens"], TOKENS)
        np.testing.assert_array_equal(cache["mask"], MASK)
        assert read_attributes(cache)["model"] == "m"
        assert cache["mlp_post"].chunks == (2, 1, D_MLP)
        assert cache["resid_post"].chunks == (2, 1, D_MODEL)
        assert cache["mlp_post"].compression is cache["resid_post"].compression is None
    assert datasets == {
        "mlp_post_mean": ((N_LAYERS, D_MLP), "float32"),
        "mlp_out_mean": ((N_LAYERS, D_MODEL), "float32"),
        "resid_post": ((N_PROMPTS, N_LAYERS, D_MODEL), "float32"),
        "mlp_post": ((N_PROMPTS, N_LAYERS, D_MLP), "float16"),
        "tokens": ((N_PROMPTS, N_TOKENS), "int32"),
        "mask": ((N_PROMPTS, N_TOKENS), "bool"),
    }
    assert set(datasets) == set(DATASETS)


def test_sums_do_not_lose_small_prompts_behind_large_ones(tmp_path):
    sums = np.full((N_LAYERS, N_PROMPTS, D_MLP), 1.0, np.float32)
    sums[:, 0] = 2**25
    sums[:, 4] = -(2.0**25)
    with open_cache(write(tmp_path / "a.h5", sums, batch_size=1)) as cache:
        np.testing.assert_array_equal(cache["mlp_post_mean"], np.full((2, 3), np.float32(3 / 10)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_naming_layer_and_prompt(tmp_path, value):
    sums = POSITIONS.sum(axis=2).astype(np.float32)
    sums[1, 3, 2] = value
    with pytest.raises(InputError, match="layer 1 is NaN or infinite for prompt 3"):
        write(tmp_path / "a.h5", sums)
    assert list(tmp_path.iterdir()) == []


def test_a_residual_stream_that_is_no_number_is_refused_too(tmp_path):
    residuals = STREAMS.sum(axis=2).astype(np.float32)
    residuals[0, 4, 5] = np.inf
    with pytest.raises(InputError, match="resid_post of layer 0 is NaN or infinite for prompt 4"):
        write(tmp_path / "a.h5", residuals=residuals)
    assert list(tmp_path.iterdir()) == []


def test_a_crossed_cache_holds_means_alone(tmp_path):
    sums = {
        "mlp_post_crossed": POSITIONS.sum(axis=2),
        "mlp_post_same_text": 2 * POSITIONS.sum(axis=2),
    }
    attributes = {"model": "m", "revision": "r"}
    with new_cache(tmp_path / "a.h5", N_PROMPTS, N_TOKENS, attributes) as cache:
        cache.add(0, TOKENS, MASK, {name: each.swapaxes(0, 1) for name, each in sums.items()})
    with open_cache(tmp_path / "a.h5", CROSSED_DATASETS) as cache:
        assert set(cache) == set(CROSSED_DATASETS)
        np.testing.assert_allclose(
            cache["mlp_post_mean"], POSITIONS[:, MASK].mean(axis=1), rtol=1e-5
        )
        np.testing.assert_allclose(
            cache["mlp_post_same_text_mean"], 2 * cache["mlp_post_mean"][:], rtol=1e-5
        )
    with (
        pytest.raises(InputError, match="lacks the dataset 'mlp_post'"),
        open_cache(tmp_path / "a.h5"),
    ):
        pass


def test_means_beyond_float16_are_clipped_per_prompt_but_not_in_the_mean(tmp_path, caplog):
    sums = np.zeros((N_LAYERS, N_PROMPTS, D_MLP), np.float32)
    sums[0, 0, 0], sums[1, 0, 1] = 4e6, -4e6
    with caplog.at_level(logging.WARNING), open_cache(write(tmp_path / "a.h5", sums)) as cache:
        assert cache["mlp_post"][0, 0, 0] == -cache["mlp_post"][0, 1, 1] == FLOAT16_MAX
        assert cache["mlp_post_mean"][0, 0] == -cache["mlp_post_mean"][1, 1] == 4e5
    assert "mlp_post: 2 means are too large for float16" in caplog.text


def test_prompts_that_all_end_at_once_are_refused(tmp_path):
    with pytest.raises(InputError, match="generated no token after any prompt"):
        write(tmp_path / "a.h5", counts=np.zeros(N_PROMPTS, int))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 300, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = write(tmp_path / "a.h5")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(InputError, match="cannot be read as HDF5") as caught, open_cache(path):
        pass
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_a_file_without_a_dataset_is_named(tmp_path, name):
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(InputError, match=f"lacks the dataset '{name}'") as caught, open_cache(path):
        pass
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"none\.h5: No such file"),
        open_cache(tmp_path / "none.h5"),
    ):
        pass


def test_a_cache_larger_than_the_free_space_is_refused_before_it_is_written(tmp_path, monkeypatch):
    # HDF5 would crash the process when the disk fills up under a chunked data set.
    free = N_PROMPTS * N_LAYERS * (D_MLP * 2 + D_MODEL * 4) - 1
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="the disk is full"):
        write(tmp_path / "cache.h5")
    assert list(tmp_path.iterdir()) == []


def everything_in(path):
    with open_cache(path) as cache:
        return {name: cache[name][:].tobytes() for name in cache}, read_attributes(cache)


def test_a_bit_that_is_flipped_anywhere_is_named_or_changes_nothing(tmp_path):
    # Without checksums, which are optional, HDF5 hangs on some damage.
    path = write(tmp_path / "a.h5")
    whole, undamaged, named = path.read_bytes(), everything_in(path), 0
    draw = py_random.Random(8)
    places = [place for place in range(len(whole)) if whole[place]]
    for place in draw.sample(places, 500):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            content = everything_in(path)
        except InputError as error:
            named += str(error).startswith(f"{path}: ")
        else:
            assert content == undamaged, place
    assert named > 300


def test_of_two_open_caches_the_damaged_one_is_named(tmp_path):
    paths = [write(tmp_path / name) for name in ("a.h5", "b.h5")]
    content = bytearray(paths[0].read_bytes())
    with open_cache(paths[0]) as cache:
        start = cache["mlp_post"].id.get_chunk_info(0).byte_offset
    content[start] ^= 1
    paths[0].write_bytes(content)
    with (
        pytest.raises(InputError, match="cannot be read as HDF5") as caught,
        open_cache(paths[0]) as first,
        open_cache(paths[1]) as second,
    ):
        first["mlp_post"][:] + second["mlp_post"][:]
    assert str(caught.value).startswith(str(paths[0]))


def test_an_error_that_is_not_of_the_cache_stays_what_it_is(tmp_path):
    with pytest.raises(PermissionError), open_cache(write(tmp_path / "a.h5")):
        raise PermissionError


@pytest.mark.parametrize("name", ["per_prompt", "mean"])
def test_a_cache_of_an_earlier_version_is_refused_in_one_sentence(tmp_path, name):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file[name] = np.zeros((2, 3))
    with (
        pytest.raises(InputError, match="written by an earlier version"),
        open_cache(tmp_path / "old.h5"),
    ):
        pass

"""Pieces: cuts of the prompts, and the same gathered cache for any number of shards."""

import capture_activations
import capture_crossed_activations
import gather_activations
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_models import PROMPTS

from dpo_neurons.activations import pieces as activation_pieces
from dpo_neurons.activations.cache import (
    CROSSED_DATASETS,
    DATASETS,
    SAME_TEXT_DATASETS,
    STREAM_DATASETS,
    gather_pieces,
)
from dpo_neurons.activations.pieces import WORTH_A_PIECE, cut_into_pieces, write_piece
from dpo_neurons.activations.shards import pieces_of_shard
from dpo_neurons.checkpoints.pair import examine_pair, format_pair
from dpo_neurons.errors import InputError
from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.files.jsonl import write_jsonl

PIECES = 4
random = np.random.default_rng(3)


@given(st.lists(st.integers(0, 9), max_size=150), st.integers(1, 9))
def test_every_prompt_is_in_one_piece_and_the_longest_come_first(lengths, pieces):
    cut = cut_into_pieces(lengths, pieces)
    together = [index for piece in cut for index in piece]
    assert sorted(together) == list(range(len(lengths)))
    assert together == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    sizes = [len(piece) for piece in cut]
    assert len(cut) == pieces
    filled = [size for size in sizes if size]
    assert sizes[: len(filled)] == filled
    assert max(filled, default=0) - min(filled, default=0) <= 1
    assert len(filled) <= 1 or min(filled) >= WORTH_A_PIECE
    assert len(filled) == pieces or sum(sizes) < WORTH_A_PIECE * (len(filled) + 1)


@given(st.integers(1, 9), st.integers(1, 9))
def test_every_piece_falls_to_one_shard(pieces, shards):
    divided = [
        piece for shard in range(shards) for piece in pieces_of_shard(pieces, shard + 1, shards)
    ]
    assert sorted(divided) == list(range(pieces))


@pytest.fixture
def study(checkpoints, tmp_path):
    """Folder with prompts and sources, and the arguments of both programs."""
    write_jsonl(tmp_path / "prompts.jsonl", [{"prompt": prompt} for prompt in PROMPTS])
    (tmp_path / "source.json").write_text('{"kind": "made", "revision": "r"}', encoding="utf-8")
    pair = examine_pair(checkpoints["gpt2", "pre"], checkpoints["gpt2", "other"])
    (tmp_path / "pair.json").write_text(format_pair(pair), encoding="utf-8")
    source, model = tmp_path / "source.json", checkpoints["gpt2", "pre"]
    common = {
        "--pair": tmp_path / "pair.json",
        "--name": "toy", "--prompts": tmp_path / "prompts.jsonl", "--tokens": 4,
        "--positions": "generated", "--dtype": "float32", "--attention": "default",
        "--batch-size": 2, "--device": "cpu", "--threads": 1, "--pieces": PIECES,
    }  # fmt: skip
    of_model = {"--checkpoint": model, "--tokenizer": model, "--source": source, **common}
    of_pair = {
        "--checkpoint-pre": model, "--checkpoint-post": checkpoints["gpt2", "other"],
        "--source-pre": source, "--source-post": source, **common,
    }  # fmt: skip
    return tmp_path, {capture_activations: of_model, capture_crossed_activations: of_pair}


@pytest.mark.parametrize(
    ("program", "datasets"),
    [
        (capture_activations, (*DATASETS, *STREAM_DATASETS)),
        (capture_crossed_activations, (*CROSSED_DATASETS, *SAME_TEXT_DATASETS)),
    ],
    ids=["one model", "crossed"],
)
def test_the_number_of_shards_changes_no_number(study, monkeypatch, program, datasets):
    folder, arguments = study
    monkeypatch.setattr(activation_pieces, "WORTH_A_PIECE", 1)
    # Torch lets a process set its threads once only.
    monkeypatch.setattr(program, "obey_threads", lambda threads: None)
    caches = []
    for shards in (1, 2, 3, PIECES):
        paths = [folder / f"{shards}.piece-{piece}.h5" for piece in range(PIECES)]
        for shard in range(1, shards + 1):
            own = [str(paths[piece]) for piece in pieces_of_shard(PIECES, shard, shards)]
            asked = {**arguments[program], "--shard": shard, "--shards": shards}
            words = [str(word) for pair in asked.items() for word in pair]
            monkeypatch.setattr("sys.argv", [program.__name__, *words, "--output", *own])
            program.main()
        words = ["--pieces", *map(str, paths), "--output", str(folder / f"{shards}.h5")]
        monkeypatch.setattr("sys.argv", ["gather_activations", *words])
        gather_activations.main()
        with h5py.File(folder / f"{shards}.h5") as file:
            caches.append({name: file[name][:] for name in file})
    for cache in caches:
        assert set(cache) == set(datasets)
        for name, values in cache.items():
            np.testing.assert_array_equal(values, caches[0][name])
    assert caches[0]["tokens"].shape == (len(PROMPTS), 4)


def write_pieces(folder, indices, **changes):
    """Pieces of made-up prompts: prompt i has i + 1 tokens, all with activation i."""
    paths = []
    for number, index in enumerate(indices):
        paths.append(folder / f"a.piece-{number}.h5")
        attributes = {"model": "m", "revision": "r", "versions": "1"}
        attributes |= changes.get(f"piece_{number}", {})
        with write_piece(paths[-1], index, 5, attributes) as p:
            for start in range(0, len(index), 2):
                prompts = np.array(index[start : start + 2])
                mask = np.arange(5) < prompts[:, None] + 1
                shapes = {"mlp_post": 3, "mlp_out": 2, "resid_post": 2}
                sums = {
                    name: np.tile((prompts * (prompts + 1.0))[:, None, None], (1, 2, width))
                    for name, width in shapes.items()
                }
                p.add(start, np.tile(prompts[:, None], 5), mask, sums)
    return paths


@pytest.mark.parametrize(
    "indices",
    [[[4, 2, 0, 3, 1]], [[4, 3], [2], [1, 0]], [[1], [], [4, 0, 2], [3], []]],
    ids=["one", "three", "some empty"],
)
def test_rows_are_gathered_in_the_order_of_the_prompts(tmp_path, indices):
    gather_pieces(write_pieces(tmp_path, indices), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == set(DATASETS)
        np.testing.assert_array_equal(file["mlp_post"][:, 1, 2], range(5))
        np.testing.assert_array_equal(file["resid_post"][:, 0, 1], range(5))
        np.testing.assert_array_equal(file["tokens"][:, 0], range(5))
        np.testing.assert_array_equal(file["mask"][:].sum(axis=1), range(1, 6))
        # 40 activations over 15 tokens: each prompt's i, i + 1 times.
        np.testing.assert_array_equal(
            file["mlp_post_mean"][:], np.full((2, 3), np.float32(40 / 15))
        )
        assert read_attributes(file) == {"model": "m", "revision": "r", "versions": "1"}


@pytest.mark.parametrize("indices", [[[0, 1], [1, 2]], [[0, 1], [3]], [[0, 2]]])
def test_pieces_of_no_one_set_of_prompts_are_refused(tmp_path, indices):
    with pytest.raises(InputError, match="not of one set of prompts; delete them"):
        gather_pieces(write_pieces(tmp_path, indices), tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_pieces_of_two_environments_are_refused_naming_both(tmp_path):
    paths = write_pieces(tmp_path, [[0, 1], [2]], piece_1={"versions": "2"})
    with pytest.raises(InputError, match=r"piece-1\.h5: versions is '2', but '1' in .*piece-0"):
        gather_pieces(paths, tmp_path / "a.h5")


def test_a_damaged_piece_is_named(tmp_path):
    paths = write_pieces(tmp_path, [[0, 1], [2]])
    paths[1].write_bytes(paths[1].read_bytes()[:900])
    with pytest.raises(InputError, match=r"piece-1\.h5: cannot be read as HDF5"):
        gather_pieces(paths, tmp_path / "a.h5")

"""Pieces of an activation cache: jobs capture them, and another job gathers them.

The prompts are always cut into the same pieces, and a batch never spans two pieces. Results are
therefore the same for any number of jobs.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activations.cache import MEANS, PER_PROMPT
from dpo_neurons.activations.capture import CountedSums
from dpo_neurons.activations.shards import pieces_of_shard
from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.files.hdf5 import (
    check_free_space,
    create_dataset,
    new_hdf5,
    write_array,
    write_attributes,
)
from dpo_neurons.models.batches import BatchSize, order_longest_first
from dpo_neurons.models.generation import Continuations, generate_greedily
from dpo_neurons.models.tokenization import count_tokens
from dpo_neurons.running.progress import Progress

log = logging.getLogger("dpo_neurons")

WORTH_A_PIECE = 128
"""Smallest number of prompts in a piece: smaller batches would cost more than sharing saves."""


def cut_into_pieces(lengths: Sequence[int], pieces: int) -> list[list[int]]:
    """Cut prompts into pieces with nearly equal numbers of prompts.

    lengths: of the prompts, in tokens. Returns the indices of each piece's prompts, the longest
    prompts first. If there are few prompts, the last pieces are empty.
    """
    filled = min(pieces, max(1, len(lengths) // WORTH_A_PIECE))
    cut = [piece.tolist() for piece in np.array_split(order_longest_first(lengths), filled)]
    return cut + [[] for _ in range(pieces - filled)]


class PieceWriter:
    """Writes batches of sums and counts to a piece, and the totals at the end."""

    def __init__(
        self,
        file: h5py.File,
        index: Sequence[int],
        n_tokens: int,
        owner: str,
    ) -> None:
        self._file = file
        self._index = index
        self._owner = owner
        self._shape = (len(index), n_tokens)
        self._per_prompt: dict[str, type[np.floating[Any]]] = {}
        self._totals: dict[str, np.ndarray] = {}
        self._count = 0

    def add(
        self, start: int, tokens: np.ndarray, mask: np.ndarray, sums: Mapping[str, np.ndarray]
    ) -> None:
        """Add a batch of prompts, from the piece's row `start` on.

        tokens, mask: (batch, n_tokens). sums: (batch, n_layers, width) each, by the names in MEANS
        and PER_PROMPT; they sum over the positions that `mask` counts.
        Raises InputError for sums that are NaN or infinite.
        """
        if not self._totals:
            self._create(sums, len(tokens))
        for name, batch_sums in sums.items():
            finite = np.isfinite(batch_sums).all(axis=2)
            if not finite.all():
                row, layer = np.argwhere(~finite)[0]
                raise InputError(
                    f"{self._owner}: {name} of layer {layer} is NaN or infinite for prompt "
                    f"{self._index[start + row]}; the weights are damaged or overflow: fetch the "
                    "checkpoint again or set models.….dtype to float32 or bfloat16"
                )
        counts = mask.sum(axis=1)
        self._file["tokens"][start : start + len(tokens)] = tokens
        self._file["mask"][start : start + len(tokens)] = mask
        for name, number in self._per_prompt.items():
            beyond, dataset = 0, self._file[name]
            # A layer at a time, as the chunks are: this needs no copy of all layers.
            for layer in range(sums[name].shape[1]):
                means = sums[name][:, layer] / np.maximum(counts, 1)[:, None]
                beyond += _clip(means, number)
                dataset[start : start + len(tokens), layer] = means.astype(number)
            if beyond:
                log.warning(
                    "%s: %d means are too large for %s and are stored as ±%g",
                    name, beyond, np.dtype(number).name, np.finfo(number).max,
                )  # fmt: skip
        for name, total in self._totals.items():
            total += sums[name].sum(axis=0, dtype=np.float64)
        self._count += int(counts.sum())

    def close(self) -> None:
        """Write the prompts' indices and the sums over all counted positions."""
        write_array(self._file, "index", np.asarray(self._index, dtype=np.int64))
        for name, total in self._totals.items():
            write_array(self._file, f"totals/{MEANS[name]}", total)
        self._file.attrs["counted"] = self._count

    def _create(self, sums: Mapping[str, np.ndarray], rows: int) -> None:
        n_prompts, n_tokens = self._shape
        shapes = {name: summed.shape[1:] for name, summed in sums.items()}
        self._totals = {name: np.zeros(shapes[name]) for name in MEANS if name in shapes}
        self._per_prompt = {name: form for name, form in PER_PROMPT.items() if name in shapes}
        n_bytes = 5 * n_prompts * n_tokens + sum(total.nbytes for total in self._totals.values())
        for name, number in self._per_prompt.items():
            n_bytes += np.dtype(number).itemsize * n_prompts * int(np.prod(shapes[name]))
        check_free_space(self._file, n_bytes)
        # Not compressed: float16 activations hardly shrink. A chunk is a layer of the first batch.
        # Batches of one size write each chunk once; those after long prompts may be larger.
        for name, number in self._per_prompt.items():
            n_layers, width = shapes[name]
            create_dataset(self._file, name, (n_prompts, n_layers, width), number, (rows, 1, width))
        shape = (n_prompts, n_tokens)
        create_dataset(self._file, "tokens", shape, np.int32, shape)
        create_dataset(self._file, "mask", shape, bool, shape)


def _clip(means: np.ndarray, number: type[np.floating[Any]]) -> int:
    """Clip means, (batch, width), to a format's range; return how many changed."""
    largest = float(np.finfo(number).max)
    beyond = int((np.abs(means) > largest).sum())
    if beyond:
        np.clip(means, -largest, largest, out=means)
    return beyond


@contextmanager
def write_piece(
    path: Path,
    index: Sequence[int],
    n_tokens: int,
    attributes: dict[str, str],
) -> Iterator[PieceWriter]:
    """Write the piece of the prompts `index`; it appears when the block succeeds.

    attributes: model, revision of its checkpoint, dtype, positions and versions.
    """
    with new_hdf5(path) as file:
        model = f"models.{attributes['model']}"
        writer = PieceWriter(file, index, n_tokens, model)
        yield writer
        writer.close()
        write_attributes(file, attributes)


@dataclass(frozen=True)
class Share:
    """The pieces of the prompts that a job captures, and their files."""

    pieces: int
    """Number of pieces that the prompts are cut into."""
    shard: int
    """Number of this job, from 1 on."""
    shards: int
    """Number of jobs that share the pieces."""
    paths: Sequence[Path]
    """The file of each piece of this job."""


def capture_pieces(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    capture: CountedSums,
    n_tokens: int,
    batch_size: BatchSize,
    share: Share,
    attributes: dict[str, str],
) -> None:
    """Continue the prompts of a job's pieces, and write the sums of `capture`.

    attributes: as for `write_piece`.
    Raises InputError for a prompt too long for the model, and for sums that are NaN or infinite.
    """
    pieces = cut_into_pieces(count_tokens(tokenizer, prompts), share.pieces)
    numbers = pieces_of_shard(share.pieces, share.shard, share.shards)
    n_prompts = sum(len(pieces[number]) for number in numbers)
    with Progress(total=n_prompts, desc="capturing", unit="prompt") as bar:
        for number, path in zip(numbers, share.paths, strict=True):
            index = pieces[number]
            piece_prompts = [prompts[prompt] for prompt in index]
            with write_piece(path, index, n_tokens, attributes) as piece:
                batches = generate_greedily(
                    model, tokenizer, piece_prompts, n_tokens, batch_size, capture, progress=None
                )
                for batch in _name_broken_layer(batches, capture, attributes["model"]):
                    sums = {name: summed.cpu().numpy() for name, summed in capture.sums.items()}
                    piece.add(batch.start, batch.tokens, batch.mask, sums)
                    bar.update(len(batch.tokens))


def _name_broken_layer(
    batches: Iterator[Continuations], capture: CountedSums, name: str
) -> Iterator[Continuations]:
    """Yield batches; if the model breaks in one, name the first layer that did.

    Raises InputError in place of a BrokenModelError.
    """
    try:
        yield from batches
    except BrokenModelError as error:
        layers = [
            int((~summed.isfinite().all(dim=2).all(dim=0)).int().argmax())
            for summed in capture.sums.values()
            if not summed.isfinite().all()
        ]
        where = f" from layer {min(layers)} on" if layers else ""
        raise InputError(
            f"models.{name}: activations are NaN or infinite{where}: {error}"
        ) from error

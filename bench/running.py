"""Plain generation, as transformers does it, and the project's capture while generating."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

    from dpo_neurons.activations.pieces import PieceWriter

ATTRIBUTES = {"model": "bench", "revision": "", "dtype": "", "positions": "generated"}


def generate_plainly(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, BatchEncoding, torch.Tensor]]:
    """Greedy continuations by `model.generate` alone, in batches of prompts as they come.

    Yields each batch's first index, its prompts as (batch, length), and what was generated,
    prompts included.
    """
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
    )
    for start in range(0, len(prompts), batch_size):
        batch = tokenizer(
            prompts[start : start + batch_size], padding=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                generation_config=config,
            )
        yield start, batch, output


def exhaust(run: Callable[..., Iterator[object]], *job: object) -> None:
    """Run something that yields batches to its end."""
    for _ in run(*job):
        pass


def capture_ours(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
    means_only: bool = False,
) -> None:
    """Generate, read and write as the workflow does, but with the prompts as they come."""
    from dpo_neurons.activations.capture import ActivationCapture
    from dpo_neurons.models.decoding import generate_greedily

    with (
        cache_at(path, len(prompts), tokens, means_only) as piece,
        ActivationCapture(model, "generated") as capture,
    ):
        for batch in generate_greedily(model, tokenizer, prompts, tokens, batch_size, capture):
            sums = {name: each.cpu().numpy() for name, each in capture.sums.items()}
            piece.add(batch.start, batch.tokens, batch.mask, sums)


def capture_as_the_workflow(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    tokens: int,
    batch_size: int,
    path: Path,
) -> None:
    """All that the workflow does once the model is loaded: the longest prompts first, in pieces."""
    from dpo_neurons.activations.cache import gather_pieces
    from dpo_neurons.activations.capture import ActivationCapture
    from dpo_neurons.activations.pieces import Share, capture_pieces
    from dpo_neurons.activations.shards import PIECES

    pieces = [path.with_suffix(f".piece-{number}.h5") for number in range(PIECES)]
    share = Share(pieces=PIECES, shard=1, shards=1, paths=pieces)
    with ActivationCapture(model, "generated") as capture:
        capture_pieces(model, tokenizer, prompts, capture, tokens, batch_size, share, ATTRIBUTES)
    gather_pieces(pieces, path)
    for piece in pieces:
        piece.unlink()


@contextmanager
def cache_at(
    path: Path, n_prompts: int, tokens: int, means_only: bool = False
) -> Iterator[PieceWriter]:
    """The project's own cache file, whoever fills it, the prompts in order: a single piece."""
    from dpo_neurons.activations.cache import gather_pieces
    from dpo_neurons.activations.pieces import write_piece

    piece = path.with_suffix(".piece.h5")
    with write_piece(piece, range(n_prompts), tokens, ATTRIBUTES, means_only) as writer:
        yield writer
    gather_pieces([piece], path)
    piece.unlink()
